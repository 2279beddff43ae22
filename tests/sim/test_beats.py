"""Beats of whole runs: packed planes that fill their beats are taken as they are, and equal those packed one by one."""

from __future__ import annotations

import numpy as np
import pytest

from golden.engine import Bits, PackedPlanes
from hw.config import TileConfig
from sim.beats import beats_of, packed_beats


def packed(loads: list[Bits]) -> PackedPlanes:
    content = [np.packbits(planes, axis=1, bitorder="little").reshape(-1) for planes in loads]
    return PackedPlanes(np.concatenate(content), np.array([planes.shape for planes in loads], np.int64))


@pytest.mark.parametrize("plane_bits", [1, 5, 8, 12, 16, 24, 40, 120])
def test_packed_planes_have_the_beats_of_the_same_bits(plane_bits: int) -> None:
    config = TileConfig(name="x", taps=5, outputs=24, columns=16, plane_bits=plane_bits)
    rng = np.random.default_rng(plane_bits)
    sizes = [(3, 120), (1, 24), (4, 5), (2, 120), (1, 5)]
    loads = [rng.integers(0, 2, size, dtype=np.uint8) for size in sizes]
    content, segments = beats_of(packed(loads), config)
    alone = [packed_beats(planes, config) for planes in loads]
    assert segments.tolist() == [list(part.shape) for part in alone]
    assert content.tobytes() == b"".join(part.tobytes() for part in alone)
    again = beats_of(loads, config)
    assert (again[0].tobytes(), again[1].tolist()) == (content.tobytes(), segments.tolist())


def test_runs_without_loads() -> None:
    config = TileConfig(name="x", taps=5, outputs=24, columns=16, plane_bits=8)
    content, segments = beats_of([], config)
    assert (content.size, segments.shape) == (0, (0, 2))
