"""When a tile's plane port moves its beats, in *tile time*: in cycles in which the tile does not stand still."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from golden.laws import PORT_OPERATIONS, Timeline, port_steps
from golden.sequencer import Sequencer
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, Owner, Program

__all__ = ["BeatCollector", "PortTimes", "executed_port_times", "port_times"]


@dataclass(frozen=True, eq=False)
class PortTimes:
    """The beats of a program, in order, and what it does with its cycles when no beat has to wait.

    Parameters
    ----------
    operations : the LOADs and STOREs, in order.
    operation : for each beat, the index of its operation; shape (beats,).
    times : for each beat, its cycle of tile time: the first decode cycle is 0; shape (beats,), ascending.
    cycles : of the whole run, the decode cycles of the first instruction and of HALT included.
    waits : cycles in which the sequencer waits, with planes coming in (LOAD) or going out (STORE) at the port.
    """

    operations: tuple[Instruction, ...]
    operation: NDArray[np.int64]
    times: NDArray[np.int64]
    cycles: int
    waits: dict[Owner, int]


@lru_cache(maxsize=256)
def port_times(program: Program, config: TileConfig) -> PortTimes:
    """The tile time of every beat of a program, up to HALT or to an instruction that the tile refuses.

    A DOT of kind SKIP skips nothing. Takes a few operations for each instruction and memory for each beat.
    """
    return executed_port_times(Sequencer(program, config), config)


def executed_port_times(instructions: Iterable[Instruction], config: TileConfig) -> PortTimes:
    """The same of legal instructions in the order of execution."""
    timeline = Timeline(config)
    beats = BeatCollector(timeline)
    for op in instructions:
        timeline.execute(op)
        beats.note(op)
    return beats.times()


class BeatCollector:
    """Collects the beats of a run while a timeline goes over its instructions.

    Parameters
    ----------
    timeline : which has not executed anything yet.
    """

    def __init__(self, timeline: Timeline) -> None:
        """Begin without a beat."""
        self._timeline = timeline
        self._operations: list[Instruction] = []
        self._first_steps, self._steps = [0], [0]
        self._closed_after, self._closed_cycles = [0], [0]

    def note(self, op: Instruction) -> None:
        """Take what the timeline has just executed."""
        timeline = self._timeline
        if op.opcode in PORT_OPERATIONS:
            if op.opcode in (Opcode.LOAD, Opcode.STORE):
                count = port_steps(op, timeline.config)
                self._operations.append(op)
                self._first_steps.append(timeline.port_end - count + 1)
                self._steps.append(count)
        else:
            closed = timeline.cycles - timeline.open_cycles
            if closed != self._closed_cycles[-1]:
                self._closed_after.append(timeline.open_cycles)
                self._closed_cycles.append(closed)

    def times(self) -> PortTimes:
        """The beats of the run so far."""
        timeline = self._timeline
        # The open cycle of each step, and the closed cycles before it.
        counts = np.array(self._steps[1:], np.int64)
        operation = np.repeat(np.arange(len(self._operations)), counts)
        ends = np.cumsum(counts)
        within = np.arange(len(operation)) - np.repeat(ends - counts, counts)
        open_cycle = np.array(self._first_steps[1:], np.int64)[operation] + within
        stretch = np.searchsorted(np.array(self._closed_after), open_cycle, side="left") - 1
        times = open_cycle - 1 + np.array(self._closed_cycles, np.int64)[stretch]
        return PortTimes(tuple(self._operations), operation, times, timeline.cycles, timeline.waits)
