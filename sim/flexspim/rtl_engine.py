"""The ``rtl`` engine of macros: the generated Verilog in a simulator, driven by cocotb in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from golden.flexspim.engine import MacroEngineError, MacroJob, MacroOutcome, Rows
from hw.flexspim.config import MacroConfig
from hw.flexspim.verilog import TOP
from sim.flexspim.library import row_bytes
from sim.flexspim.outcome import TIMEOUT_CYCLES, checked_outcome, packed_rows, unpacked_rows
from sim.flexspim.protocol import MacroJobMessage, MacroOutcomeMessage
from sim.runner import build
from sim.simulation import Simulation
from sim.verilog_cache import cached_macro_verilog

__all__ = ["RtlMacro"]


class RtlMacro:
    """Runs jobs on the generated Verilog; see :class:`golden.flexspim.engine.MacroEngine`. Also a context.

    One simulator process serves all jobs until :meth:`close`. An interrupted job ends it.

    Parameters
    ----------
    config : the macro.
    simulator : "verilator" or "icarus".
    seed : of the simulator's initial state and of the pauses.
    stall_probability : random pauses on every stream; cycles in which the macro stood still are counted apart.
    waves : a file that records the waves; its suffix is the format.
    verilog : text of the macro if it is not the config's own (seeded faults).
    timeout_cycles : a run that lasts longer is given up.

    Raises
    ------
    ToolError
        If the simulator is missing or too old.
    SimulationError
        If the design does not compile or the simulation does not begin.
    """

    def __init__(
        self,
        config: MacroConfig,
        simulator: str = "verilator",
        *,
        seed: int = 1,
        stall_probability: float = 0.0,
        waves: Path | None = None,
        verilog: str | None = None,
        timeout_cycles: int = TIMEOUT_CYCLES,
    ):
        self.config = config
        self.seed = seed
        self.stall_probability = stall_probability
        self.timeout_cycles = timeout_cycles
        self.jobs = 0
        text = cached_macro_verilog(config) if verilog is None else verilog
        suffix = "" if waves is None else waves.suffix.removeprefix(".")
        built = build(text, TOP, simulator, waves="vcd" if suffix == "vcd" else "fst" if suffix else "")
        self._simulation = Simulation(built, "sim.flexspim.server", seed=seed, waves=waves)

    def __enter__(self) -> RtlMacro:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, job: MacroJob) -> MacroOutcome:
        """Run one job in the simulator.

        Raises
        ------
        TileError
            If the simulation ended.
        MacroEngineError
            If the macro does not end, or leaves words of a run that ends well.
        """
        self.jobs += 1
        message = MacroJobMessage(
            words=job.program.words,
            rows=[int.from_bytes(row.tobytes(), "little") for row in packed_rows(job.rows)],
            events=[int(word) for word in job.events],
            seed=self.seed + self.jobs,
            stall_probability=self.stall_probability,
            timeout_cycles=self.timeout_cycles,
        )
        answer = cast("MacroOutcomeMessage", self._simulation.ask(message))
        if answer.timed_out:
            raise MacroEngineError(
                f"the macro did not end a program of {len(job.program.instructions)} instructions "
                f"within {self.timeout_cycles} cycles"
            )
        return checked_outcome(
            job,
            self.config,
            self._rows(answer.rows),
            self._rows(answer.spikes),
            answer.counters,
            answer.error,
            answer.address,
            answer.untaken,
        )

    def _rows(self, words: Sequence[int]) -> Rows:
        size = row_bytes(self.config)
        content = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8)
        return unpacked_rows(content.reshape(-1, size), self.config)

    def close(self) -> None:
        """End the simulation; raises what went wrong in it, if that was not raised before."""
        self._simulation.close()
