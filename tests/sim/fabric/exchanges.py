"""Exchanges of fabrics as phases of senders of a built accelerator, and random ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from golden.accelerator.timing import law
from hw.accelerator.config import AcceleratorConfig
from hw.isa import Program, StoreKind
from sim.accelerator.phases import TileWork
from sim.fabric.geometry import WindowCut, cut_map
from sim.fabric.placement import Mesh, Placement
from sim.mapping.builder import Builder, Sink
from tests.sim.fabric.built import CAP, MAP, phase_commands, sender_phase

Sender = tuple[int, int, int]
"""MAP, destinations, words."""


@lru_cache(maxsize=256)
def mesh_config(width: int, height: int, *, maps: int = 1, flit_bits: int = 64) -> AcceleratorConfig:
    """An accelerator of clusters whose MAPs can send."""
    return AcceleratorConfig(
        name="mesh", width=width, height=height, caps=maps, maps=maps, cap=CAP, map=MAP, flit_bits=flit_bits,
        gather_words=4096, program_words=1024, taps_words=2,
    )  # fmt: skip


def cluster(number: int, mesh: Mesh) -> int:
    """The accelerator's number of a cluster of the snake."""
    row, column = mesh.place(number)
    return row * mesh.width + column


def mask(receivers: Sequence[int], mesh: Mesh) -> int:
    """Destinations of a flit."""
    return sum(1 << cluster(receiver, mesh) for receiver in receivers)


def sending(words: int, bits: int = 64) -> TileWork:
    """A MAP that stores words, block by block."""
    builder = Builder(MAP)
    while words:
        planes = min(bits, words)
        builder.store(StoreKind.BLOCK, 0, planes, Sink(0, 0))
        words -= planes
    return TileWork(tuple(Program.build(builder.finish(None).instructions, MAP).words), (), 0)


def sender_cycles(senders: dict[int, Sender], config: AcceleratorConfig) -> int:
    """The law of a phase of senders by cluster; asserts that no two flits want the same link."""
    tiles = {(number, config.caps + one): sending(words) for number, (one, _, words) in senders.items()}
    run = law(phase_commands([sender_phase(senders, tiles)], config), config)
    assert run.contended == []
    return run.phases[0].cycles


def random_windows(rng: np.random.Generator, outputs: int = 64, *, local: bool = False) -> WindowCut:
    """Windows of a random layer, with a padding that is smaller than the kernel."""
    size = [int(rng.integers(1, 3 * outputs if axis and rng.random() < 0.2 else 30)) for axis in range(2)]
    kernel = [int(rng.integers(1, min(length, 7) + 1)) for length in size]
    stride = [int(rng.integers(1, 4)) for _ in size]
    padding = [int(rng.integers(0, length)) for length in kernel]
    after = [int(rng.integers(0, length)) for length in kernel]
    out = [
        (length + before + behind - long) // step + 1
        for length, before, behind, long, step in zip(size, padding, after, kernel, stride, strict=True)
    ]
    channels = int(rng.integers(1, 40))
    multiplier = int(rng.integers(1, 3))
    made = channels * multiplier if local else int(rng.integers(1, 40))
    bits, batch = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    return WindowCut(
        cut_map((size[0], size[1], channels), bits, outputs, batch),
        cut_map((out[0], out[1], made), 8, outputs, batch),
        (kernel[0], kernel[1]),
        (stride[0], stride[1]),
        (padding[0], padding[1]),
    )


def random_placement(rng: np.random.Generator, mesh: Mesh, maps: int = 1) -> Placement:
    """A placement on some or all clusters."""
    sets = int(rng.integers(1, mesh.clusters + 1))
    return Placement(
        sets, int(rng.integers(1, mesh.clusters // sets + 1)), int(rng.integers(1, maps + 1)), int(rng.integers(1, 5))
    )


def meshes(largest: int) -> Iterator[Mesh]:
    """All meshes of at most so many rows and columns."""
    for width in range(1, largest + 1):
        for height in range(1, largest + 1):
            yield Mesh(width, width * height)
