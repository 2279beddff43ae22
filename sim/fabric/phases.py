"""The time of the phases of a cluster on a fabric, from the programs of its tiles and from what they wait for.

All CAPs of a cluster run the same program on the same windows, and those of each MAP store by turns: so the CAPs of
one MAP stand for all, and the last of them, which stores after the others, tells the time.  Constants are those of the
built accelerator.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from golden.accelerator.cluster_law import FIRST_DECODE, SLOT_LATENCY
from golden.accelerator.gather_law import GatherClock
from golden.accelerator.port_times import PortTimes
from golden.accelerator.timing import GO_LATENCY
from hw.config import TileConfig
from hw.isa import LoadKind, Opcode, violation
from sim.evaluate.cost import Events
from sim.fabric.accounts import Parts, account, add_parts, program_events
from sim.fabric.cap_programs import Sums, block_program
from sim.fabric.map_programs import elementwise_program, load_program, pool_program, sum_program
from sim.mapping.builder import JobPlan
from sim.mapping.shapes import ElementwiseShape, MaxPoolShape, RequantizeShape

__all__ = [
    "PHASE_CYCLES",
    "Phase",
    "Stalls",
    "block_events",
    "dot_phase",
    "element_phase",
    "gather_stalls",
    "load_phase",
    "pool_phase",
    "sum_events",
]

PHASE_CYCLES = FIRST_DECODE + SLOT_LATENCY - 1 + GO_LATENCY
"""Cycles of a phase besides those of its tiles: from *go* to the first decode, and from HALT to the next *go*."""


@dataclass(frozen=True)
class Phase:
    """One phase of a cluster.

    Parameters
    ----------
    cycles : by part.
    map : events of one MAP.
    """

    cycles: Parts
    map: Events

    @property
    def total(self) -> int:
        """All cycles."""
        return sum(self.cycles.values())


@dataclass(frozen=True)
class Stalls:
    """What the last of some tiles waits for besides its own law.

    Parameters
    ----------
    windows, words : cycles in which it waits for windows, and for other tiles' words.
    moved : for each beat the cycle in which it moves, counted as
        :attr:`~golden.accelerator.port_times.PortTimes.times`.
    """

    windows: int
    words: int
    moved: list[int]


def gather_stalls(port: PortTimes, plane_cycles: int, queue: int, tiles: int = 1, first_word: int = 0) -> Stalls:
    """How long tiles of one program wait, that take the same windows and store by turns.

    A tile that has stored goes on until it needs a window that others have not taken yet; so tiles are apart after a
    STORE, and come together again at one of the next windows.

    Parameters
    ----------
    port : when the port of each of them would move its beats.
    plane_cycles : cycles in which the gather unit forms a plane.
    queue : planes that wait between gather unit and tiles.
    tiles : how many they are.
    first_word : the first cycle in which somebody takes their words.
    """
    clock = GatherClock(-FIRST_DECODE, plane_cycles, queue)
    edges = np.searchsorted(port.operation, np.arange(len(port.operations) + 1)).tolist()
    times = port.times.tolist()
    late = [0]  # of each tile, or of all if it is the same: how much later than its own law it is
    windows = words = beat = 0
    free = first_word
    moved: list[int] = []
    for op, (first, after) in zip(port.operations, itertools.pairwise(edges), strict=True):
        before = late[-1]
        if op.opcode == Opcode.STORE:
            late = late * (tiles // len(late))
            for tile in range(tiles):
                late[tile] = max(late[tile], free - times[first])
                free = times[after - 1] + late[tile] + 1
            words += late[-1] - before
        elif op.kind == LoadKind.PLANES:
            for time in times[first:after]:
                shown = clock.shown(beat)
                late = [max(cycles, shown - time) for cycles in late]
                clock.popped(beat, time + max(late))
                late = late[-1:] if len(set(late)) == 1 else late
                moved.append(time + late[-1])
                beat += 1
            windows += late[-1] - before
            continue
        moved.extend(time + late[-1] for time in times[first:after])
    return Stalls(windows, words, moved)


def _check(job: JobPlan, config: TileConfig) -> None:
    """Refuse a program with an instruction that the tile would refuse; each different one is looked at once."""
    distinct = {id(instruction): instruction for instruction in job.instructions}
    found = next(filter(None, (violation(instruction, config) for instruction in distinct.values())), None)
    if found is not None:
        raise AssertionError(f"a program breaks a rule of the tile: {found[1]}")


@lru_cache(maxsize=4096)
def _blocks(sums: Sums, blocks: int, plane_cycles: int, queue: int, caps: int, first_word: int) -> tuple[Parts, int]:
    """The time of a MAP's last CAP by part, and the cycle after its last word; cycle 0 is its first decode cycle."""
    job = block_program(sums, blocks)
    _check(job, sums.config)
    time = account(job.instructions, sums.config, "convolution")
    stalls = gather_stalls(time.port, plane_cycles, queue, caps, first_word)
    cycles = add_parts(time.cycles, {"movement": stalls.windows, "store": stalls.words})
    return cycles, stalls.moved[-1] + 1


@lru_cache(maxsize=4096)
def block_events(sums: Sums) -> Events:
    """Events of a CAP for one block."""
    return program_events(block_program(sums, 1).instructions[:-1], sums.config)


@lru_cache(maxsize=4096)
def dot_phase(
    sums: Sums,
    shape: RequantizeShape,
    tile: TileConfig,
    blocks: int,
    caps: int,
    plane_cycles: int,
    queue: int,
) -> Phase:
    """CAPs form ``blocks`` blocks each, their MAP requantises what ``caps`` of them store."""
    program = sum_program("", shape, sums, caps, blocks, tile)
    instructions = program.job.instructions
    _check(program.job, tile)
    time = account(instructions, tile, "requantise", after=program.joined)
    port = time.port
    loads = [index for index, op in enumerate(port.operations) if op.opcode == Opcode.LOAD]
    words = port.times[: np.searchsorted(port.operation, loads[program.last_sum], side="right")].tolist()
    first, last = words[0], words[-1] + 1
    assert last - first == len(words), "a MAP takes sums one word after the other"
    cap_cycles, stored = _blocks(sums, blocks, plane_cycles, queue, caps, first)
    # The MAP works while the CAPs do, as long as it takes their words; what comes after the last one is on top.
    marked = time.mark
    rest = add_parts(time.cycles, {part: -cycles for part, cycles in marked.items()})
    rest["load"] = rest.get("load", 0) + sum(marked.values()) - last
    # What the CAP itself does after its last word is hidden: HALT alone.
    tail = sum(cap_cycles.values()) - stored
    shown = add_parts(cap_cycles, {"controller": PHASE_CYCLES - tail}, rest)
    return Phase(shown, program_events(instructions, tile))


@lru_cache(maxsize=4096)
def sum_events(shape: RequantizeShape, sums: Sums, tile: TileConfig) -> tuple[Events, Events]:
    """Events of a MAP for the requantisation of a batch without the LOADs of sums, and for those of one block."""
    instructions = sum_program("", shape, sums, 1, 1, tile).job.instructions
    loads = [op for op in instructions if op.opcode == Opcode.LOAD and op.kind == LoadKind.BLOCK]
    others = [op for op in instructions if not (op.opcode == Opcode.LOAD and op.kind == LoadKind.BLOCK)]
    return program_events(others, tile), program_events(loads, tile)


@lru_cache(maxsize=1024)
def element_phase(shape: ElementwiseShape, tile: TileConfig, batches: int, part: str) -> Phase:
    """A MAP works on ``batches`` batches of row blocks, in place, one after the other in one program.

    What computes is charged to ``part``.
    """
    job = elementwise_program(shape, tile)
    _check(job, tile)
    body = account(job.instructions[:-1], tile, part).cycles
    cycles = {part: batches * count for part, count in body.items()}
    events = program_events(job.instructions[:-1], tile) * batches
    return Phase(add_parts(cycles, {"controller": PHASE_CYCLES + 1}), events)


@lru_cache(maxsize=1024)
def pool_phase(shape: MaxPoolShape, tile: TileConfig, batches: int, plane_cycles: int, queue: int) -> Phase:
    """A MAP takes the windows of ``batches`` batches of G channels, one phase after the other."""
    return _window_phase(pool_program(shape, tile), tile, batches, plane_cycles, queue)


@lru_cache(maxsize=1024)
def load_phase(bits: int, tile: TileConfig, batches: int, plane_cycles: int, queue: int) -> Phase:
    """A MAP takes ``batches`` batches of G channels as they are, one phase after the other."""
    return _window_phase(load_program(bits, tile), tile, batches, plane_cycles, queue)


def _window_phase(job: JobPlan, tile: TileConfig, batches: int, plane_cycles: int, queue: int) -> Phase:
    _check(job, tile)
    time = account(job.instructions, tile, "pooling")
    windows = gather_stalls(time.port, plane_cycles, queue).windows
    cycles = add_parts(time.cycles, {"movement": windows, "controller": PHASE_CYCLES})
    cycles = {part: batches * count for part, count in cycles.items()}
    return Phase(cycles, program_events(job.instructions, tile) * batches)
