"""The engine protocol: a program and planes in, planes and counters out.

The Verilog in a simulator, the bit-level golden tile and the cycle laws are engines; the host knows nothing else of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import ErrorCode, Program

__all__ = ["Bits", "Engine", "Job", "Outcome", "TileError"]

Bits = NDArray[np.uint8]
"""Planes of one LOAD or STORE: 0/1, shape (planes, bits of a plane)."""


class TileError(RuntimeError):
    """The tile raised its error port."""


@dataclass(frozen=True)
class Job:
    """One run of a tile.

    Parameters
    ----------
    program : what it executes.
    planes : for every LOAD, in the order of execution, its planes: shape (d_width, R, S or G).
    """

    program: Program
    planes: Sequence[Bits] = ()


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Parameters
    ----------
    planes : for every STORE, in the order of execution, its planes; empty under the laws.
    counters : by the names of :data:`hw.counter_map.COUNTERS`; activity counters are absent where they are not counted.
    error, address : the error port and the address of the instruction that raised it.
    """

    planes: Sequence[Bits] = ()
    counters: dict[str, int] = field(default_factory=dict[str, int])
    error: ErrorCode = ErrorCode.NONE
    address: int = 0

    @property
    def cycles(self) -> int:
        """All cycles of the run, stalls included."""
        return total_cycles(self.counters)


class Engine(Protocol):
    """Runs jobs on one tile, whose cells, tags and totals persist from job to job."""

    config: TileConfig

    def run(self, job: Job) -> Outcome:
        """Run one job; an error of the tile is reported in the outcome, not raised."""
        ...

    def close(self) -> None:
        """Release what the engine holds (a simulator process)."""
        ...
