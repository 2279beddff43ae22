"""The accelerator's generated Verilog in a simulator, driven by cocotb in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from golden.engine import TileError
from hw.accelerator.commands import HostCommand, stream_words
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.counters import cluster_counters
from hw.accelerator.register_map import LOG_ENTRIES
from hw.accelerator.verilog import BLOCKS, TOP
from sim.accelerator.driver import describe_error
from sim.accelerator.rtl_protocol import TIMEOUT_CYCLES, AnswerMessage, StreamMessage
from sim.runner import Build, build
from sim.simulation import Simulation
from sim.verilog_cache import cached_accelerator_verilog

__all__ = ["RtlAccelerator", "RunOutcome"]


@dataclass(frozen=True)
class RunOutcome:
    """What a run of a command stream gave.

    Parameters
    ----------
    words : for the host, in order.
    cycles : from the start of the run to its end.
    goes : the cycle in which each phase began, 0 for the first cycle of the run.
    registers : counters of the host port by register name.
    clusters : counters of each cluster by name.
    links : for each router its outputs' (flits, stalls), in the order of :data:`hw.accelerator.router.PORTS`.
    """

    words: list[int]
    cycles: int
    goes: list[int]
    registers: dict[str, int]
    clusters: list[dict[str, int]]
    links: list[list[tuple[int, int]]]


class RtlAccelerator:
    """Runs command streams on the generated Verilog of an accelerator. Also a context that closes itself.

    One simulator process serves all runs until :meth:`close`. What memories and cells hold stays from run to run.

    Parameters
    ----------
    config : the accelerator.
    simulator : "verilator" or "icarus".
    seed : of the simulator's initial state and of the pauses.
    stall_probability : random pauses of both streams.
    waves : a file that records the waves; its suffix is the format.
    verilog : text of the design if it is not the config's own (seeded faults).
    watchdog : cycles without progress after which the hardware gives up; 0 for never.
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
        config: AcceleratorConfig,
        simulator: str = "verilator",
        *,
        seed: int = 1,
        stall_probability: float = 0.0,
        waves: Path | None = None,
        verilog: str | None = None,
        watchdog: int = 1 << 20,
        timeout_cycles: int = TIMEOUT_CYCLES,
    ):
        self.config = config
        self.seed = seed
        self.stall_probability = stall_probability
        self.watchdog = watchdog
        self.timeout_cycles = timeout_cycles
        self.runs = 0
        self.counters = [counter.name for counter in cluster_counters(config)]
        text = cached_accelerator_verilog(config) if verilog is None else verilog
        suffix = "" if waves is None else waves.suffix.removeprefix(".")
        kind = "vcd" if suffix == "vcd" else "fst" if suffix else ""
        self.build: Build = build(text, TOP, simulator, waves=kind, blocks=BLOCKS)
        self._simulation = Simulation(self.build, "sim.accelerator.rtl_server", seed=seed, waves=waves)

    def __enter__(self) -> RtlAccelerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation; raises what went wrong in it, if that was not raised before."""
        self._simulation.close()

    def run(self, commands: Iterable[HostCommand]) -> RunOutcome:
        """Run one command stream in the simulator.

        Raises
        ------
        TileError
            If the simulation or the hardware's config is not what it should be, the accelerator raised an error, or
            not every word was taken; the text names the place.
        """
        words = list(stream_words(commands, self.config))
        answer = self.ask(words)
        if answer.refused:
            raise TileError(answer.refused)
        if answer.error:
            raise TileError(f"the accelerator stopped: {describe_error(answer.error, answer.detail, self.config)}")
        if answer.timed_out:
            raise TileError(f"the accelerator did not end its {len(words)} words within {self.timeout_cycles} cycles")
        if answer.unsent_words:
            raise TileError(f"the accelerator left {answer.unsent_words} of {len(words)} words untaken")
        if answer.registers["PHASES"] > LOG_ENTRIES:
            raise TileError(
                f"a run must have at most {LOG_ENTRIES} phases to be logged, not {answer.registers['PHASES']}"
            )
        return RunOutcome(
            words=answer.words,
            cycles=answer.registers["CYCLES"],
            goes=answer.goes,
            registers=answer.registers,
            clusters=[dict(zip(self.counters, values, strict=True)) for values in answer.clusters],
            links=answer.links,
        )

    def ask(self, words: list[int]) -> AnswerMessage:
        """Run the words of a stream, whatever they are, and return what the host port shows afterwards."""
        self.runs += 1
        message = StreamMessage(
            words=words,
            config=self.config,
            counters=len(self.counters),
            seed=self.seed + self.runs,
            stall_probability=self.stall_probability,
            watchdog=self.watchdog,
            timeout_cycles=self.timeout_cycles,
        )
        return cast("AnswerMessage", self._simulation.ask(message))
