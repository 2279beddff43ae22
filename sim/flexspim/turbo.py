"""The ``turbo`` engine of macros: programs on the compiled Verilog, in this process."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from golden.flexspim.engine import MacroEngineError, MacroJob, MacroOutcome
from hw.flexspim.config import MacroConfig
from sim.flexspim.library import Job, Outcome, event_bytes, macro_library, row_bytes
from sim.flexspim.outcome import TIMEOUT_CYCLES, checked_outcome, packed_rows, unpacked_rows
from sim.turbo.compiled import Bench, State
from sim.verilog_cache import cached_macro_verilog

__all__ = ["TurboMacro"]


class TurboMacro:
    """Runs jobs on the compiled Verilog; see :class:`golden.flexspim.engine.MacroEngine`. Also a context.

    Parameters
    ----------
    config : the macro.
    seed : of its initial state and of the pauses.
    stall_probability : random pauses on every stream, 0.0 to below 1.0; cycles in which the macro stood still are
        counted apart.
    verilog : text of the macro if it is not the config's own (seeded faults).
    timeout_cycles : a run that lasts longer is given up.

    Attributes
    ----------
    jobs : runs so far; with the seed it decides where the pauses of the next one are.
    clock_cycles : of the last run, from the cycle in which its header is offered to the one in which it is done.

    Raises
    ------
    ToolError
        If Verilator or a C++ compiler is missing.
    BuildFailed
        If the design does not compile.
    ValueError
        If the stall probability is out of its range.
    """

    def __init__(
        self,
        config: MacroConfig,
        *,
        seed: int = 1,
        stall_probability: float = 0.0,
        verilog: str | None = None,
        timeout_cycles: int = TIMEOUT_CYCLES,
    ):
        if not 0.0 <= stall_probability < 1.0:
            raise ValueError(f"stall probability must be at least 0 and below 1, not {stall_probability}")
        self.config = config
        self.seed = seed
        self.stall_probability = stall_probability
        self.timeout_cycles = timeout_cycles
        self.jobs = 0
        self.clock_cycles = 0
        text = cached_macro_verilog(config) if verilog is None else verilog
        self._bench = Bench(macro_library(text, config), seed)

    def __enter__(self) -> TurboMacro:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Within the compiled Verilog so far."""
        return self._bench.seconds

    def run(self, job: MacroJob) -> MacroOutcome:
        """Run one job.

        Raises
        ------
        MacroEngineError
            If the engine is closed, the macro does not end, or leaves words of a run that ends well.
        """
        if self._bench.closed:
            raise MacroEngineError("the simulation was closed before")
        self.jobs += 1
        size = event_bytes(self.config)
        words = (
            np.frombuffer(job.program.image, np.uint8),
            packed_rows(job.rows),
            np.frombuffer(b"".join(word.to_bytes(size, "little") for word in job.events), np.uint8),
        )
        report = self._simulate(words, len(job.program.words), len(job.rows), len(job.events))
        if report.state == State.TIMED_OUT:
            raise MacroEngineError(
                f"the macro did not end a program of {len(job.program.instructions)} instructions "
                f"within {self.timeout_cycles} cycles"
            )
        self.clock_cycles = report.cycles
        rows, spikes = (self._given(report, stream) for stream in (0, 1))
        untaken = len(job.rows) - report.taken[1], len(job.events) - report.taken[2]
        return checked_outcome(
            job, self.config, rows, spikes, list(report.counters), report.error, report.error_address, untaken
        )

    def _simulate(self, words: tuple[NDArray[np.uint8], ...], *counts: int) -> Outcome:
        job = Job(
            words=(ctypes.c_void_p * 3)(*(array.ctypes.data for array in words)),
            counts=(ctypes.c_uint64 * 3)(*counts),
            stall_probability=self.stall_probability,
            seed=self.seed + self.jobs,
            timeout=self.timeout_cycles,
        )
        report = Outcome()
        self._bench.run(job, report)
        return report

    def _given(self, report: Outcome, stream: int) -> NDArray[np.uint8]:
        count, size = report.given[stream], row_bytes(self.config)
        content = ctypes.string_at(report.words[stream], count * size) if count else b""
        return unpacked_rows(np.frombuffer(content, np.uint8).reshape(count, size), self.config)

    def close(self) -> None:
        """Release the macro."""
        self._bench.close()
