"""The engine protocol of macros: a program with rows and events in, rows, spikes and counters out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw.counter_map import total_cycles
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import MacroError, MacroProgram

__all__ = ["MacroEngine", "MacroEngineError", "MacroJob", "MacroOutcome", "Rows", "no_rows", "synaptic_rate"]

Rows = NDArray[np.uint8]
"""Rows of cells: 0/1, shape (rows, columns)."""


class MacroEngineError(RuntimeError):
    """An engine could not run a job; the text says why."""


def no_rows(config: MacroConfig) -> Rows:
    """Rows of shape (0, columns)."""
    return np.zeros((0, config.columns), np.uint8)


@dataclass(frozen=True)
class MacroJob:
    """One run of a macro.

    Parameters
    ----------
    program : what it executes.
    rows : beats of ``rows_in`` in order: planes of SHAPEs, rows of LOADs, and rows that EVENTS fetches; shape (rows,
        columns).
    events : words of ``events`` in order.
    """

    program: MacroProgram
    rows: Rows
    events: Sequence[int] = ()


@dataclass(frozen=True)
class MacroOutcome:
    """What a run left behind.

    Parameters
    ----------
    rows : rows that STOREs gave, shape (rows, columns).
    spikes : words of ``spikes``, shape (slices, columns): 1 at the start column of each operand that spiked.
    counters : by the names of :data:`hw.flexspim.counter_map.MACRO_COUNTERS`, without the identity.
    error, address : the error port and the address of the instruction that raised it.
    """

    rows: Rows
    spikes: Rows
    counters: dict[str, int] = field(default_factory=dict[str, int])
    error: MacroError = MacroError.NONE
    address: int = 0

    @property
    def cycles(self) -> int:
        """All cycles of the run, stalls included."""
        return total_cycles(self.counters)


class MacroEngine(Protocol):
    """Runs jobs on one macro, whose cells, shape, layer and spikes persist from job to job."""

    config: MacroConfig

    def run(self, job: MacroJob) -> MacroOutcome:
        """Run one job; an error of the macro is reported in the outcome, not raised."""
        ...

    def close(self) -> None:
        """Release what the engine holds."""
        ...


def synaptic_rate(counters: Mapping[str, int], clock_hz: float) -> float:
    """Synaptic operations per second while the array works, from the counters of a run at a clock."""
    return counters["events.synaptic"] / counters["cycles.array"] * clock_hz
