"""When a tile's plane port moves its beats, in *tile time*: in cycles in which the tile does not stand still."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from golden.laws import PORT_OPERATIONS, Timeline, port_steps
from golden.sequencer import Sequencer
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, Owner, Program

__all__ = ["PortTimes", "port_times"]


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
    timeline = Timeline(config)
    operations: list[Instruction] = []
    first_steps, steps = [0], [0]
    closed_after, closed_cycles = [0], [0]
    for op in Sequencer(program, config):
        timeline.execute(op)
        if op.opcode in PORT_OPERATIONS:
            if op.opcode in (Opcode.LOAD, Opcode.STORE):
                count = port_steps(op, config)
                operations.append(op)
                first_steps.append(timeline.port_end - count + 1)
                steps.append(count)
        else:
            closed = timeline.cycles - timeline.open_cycles
            if closed != closed_cycles[-1]:
                closed_after.append(timeline.open_cycles)
                closed_cycles.append(closed)

    # The open cycle of each step, and the closed cycles before it.
    counts = np.array(steps[1:], np.int64)
    operation = np.repeat(np.arange(len(operations)), counts)
    ends = np.cumsum(counts)
    within = np.arange(len(operation)) - np.repeat(ends - counts, counts)
    open_cycle = np.array(first_steps[1:], np.int64)[operation] + within
    stretch = np.searchsorted(np.array(closed_after), open_cycle, side="left") - 1
    times = open_cycle - 1 + np.array(closed_cycles, np.int64)[stretch]
    return PortTimes(tuple(operations), operation, times, timeline.cycles, timeline.waits)
