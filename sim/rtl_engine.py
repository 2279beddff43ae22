"""The ``rtl`` engine: the generated Verilog of a tile in a simulator, driven by cocotb in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from golden.engine import Bits, Job, Outcome, TileError
from hw.config import TileConfig
from hw.isa import ErrorCode, Program
from hw.verilog import TOP
from sim.beats import stores_of, to_beats, to_planes
from sim.rtl_protocol import TIMEOUT_CYCLES, JobMessage, OutcomeMessage, checked_counters
from sim.runner import Build, build
from sim.simulation import Simulation
from sim.verilog_cache import cached_tile_verilog

__all__ = ["RtlEngine"]


class RtlEngine:
    """Runs jobs on the generated Verilog; see :class:`golden.engine.Engine`. Also a context that closes itself.

    One simulator process serves all jobs until :meth:`close`. An interrupted job ends it.

    Parameters
    ----------
    config : the tile.
    simulator : "verilator" or "icarus".
    seed : of the simulator's initial state and of the pauses.
    stall_probability : random pauses on every stream; cycles in which the tile stood still are counted apart.
    waves : a file that records the waves; its suffix is the format.
    verilog : text of the tile if it is not the config's own (seeded faults).
    timeout_cycles : a run that lasts longer is given up.

    Attributes
    ----------
    reset_after : cycles after which the tile is reset in the middle of each run from now on; 0 for never.
    jobs : runs so far; with the seed it decides where the pauses of the next one are.
    last_message : what the ports showed after the last run; zeros in the counters if the tile was reset.

    Raises
    ------
    ToolError
        If the simulator is missing or too old.
    SimulationError
        If the design does not compile or the simulation does not begin.
    """

    def __init__(
        self,
        config: TileConfig,
        simulator: str = "verilator",
        *,
        seed: int = 1,
        stall_probability: float = 0.0,
        waves: Path | None = None,
        verilog: str | None = None,
        timeout_cycles: int = TIMEOUT_CYCLES,
    ):
        self.config = config
        self.simulator = simulator
        self.seed = seed
        self.stall_probability = stall_probability
        self.timeout_cycles = timeout_cycles
        self.reset_after = 0
        self.last_message: OutcomeMessage | None = None
        self.jobs = 0
        text = cached_tile_verilog(config) if verilog is None else verilog
        suffix = "" if waves is None else waves.suffix.removeprefix(".")
        self.build: Build = build(text, TOP, simulator, waves="vcd" if suffix == "vcd" else "fst" if suffix else "")
        self._simulation = Simulation(self.build, "sim.tile_server", seed=seed, waves=waves)

    def __enter__(self) -> RtlEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the simulation has ended, by :meth:`close` or by itself."""
        return self._simulation.closed

    def run(self, job: Job) -> Outcome:
        """Run one job in the simulator.

        Raises
        ------
        TileError
            If the simulation ended, or did not take every plane of a run that ended well.
        """
        loads = [plane for planes in job.planes for plane in to_beats(planes, self.config)]
        self.jobs += 1
        message = JobMessage(
            words=job.program.words,
            beats=loads,
            seed=self.seed + self.jobs,
            stall_probability=self.stall_probability,
            reset_after=self.reset_after,
            timeout_cycles=self.timeout_cycles,
        )
        answer = cast("OutcomeMessage", self._simulation.ask(message))
        self.last_message = answer
        counters = checked_counters(answer, job, self.config, len(loads), self.timeout_cycles)
        error = ErrorCode(answer.error)
        planes = self._stored(job.program, answer.beats) if error is ErrorCode.NONE and not answer.was_reset else ()
        return Outcome(planes, counters, error, answer.address)

    def _stored(self, program: Program, beats: Sequence[int]) -> list[Bits]:
        """Cut the beats of ``plane_out`` into the planes of each STORE."""
        stored: list[Bits] = []
        position = 0
        for count, bits in stores_of(program, self.config):
            length = count * self.config.beats(bits)
            part = beats[position : position + length]
            if len(part) != length:
                raise TileError(f"the tile must give {length} beats for a STORE, not {len(part)}")
            stored.append(to_planes(part, count, bits, self.config))
            position += length
        if position != len(beats):
            raise TileError(f"the tile gave {len(beats)} beats, its STOREs make {position}")
        return stored

    def close(self) -> None:
        """End the simulation; raises what went wrong in it, if that was not raised before."""
        self._simulation.close()
