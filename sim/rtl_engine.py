"""The ``rtl`` engine: the generated Verilog of a tile in a simulator, driven by cocotb in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from golden.engine import Bits, Job, Outcome, TileError
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Program, StoreKind
from hw.verilog import TOP
from sim.rtl_protocol import TIMEOUT_CYCLES, JobMessage, OutcomeMessage
from sim.runner import Build, build
from sim.simulation import Simulation
from sim.verilog_cache import cached_tile_verilog

__all__ = ["RtlEngine", "plane_bits", "to_beats", "to_planes"]


def plane_bits(instruction: Instruction, config: TileConfig) -> int:
    """Bits of one plane that a LOAD or STORE moves."""
    taps = instruction.opcode == Opcode.LOAD and instruction.kind == LoadKind.TAPS
    wide = instruction.kind in (StoreKind.PLANES, StoreKind.TAG)
    return config.taps if taps else config.rows if wide else config.outputs


def to_beats(planes: Bits, config: TileConfig) -> list[int]:
    """Planes, shape (planes, bits), as words of ``plane_in``."""
    count, bits = planes.shape
    width = config.plane_bits
    padded = np.zeros((count, config.beats(bits) * width), dtype=np.uint8)
    padded[:, :bits] = planes
    packed = np.packbits(padded.reshape(-1, width), axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in packed]


def to_planes(beats: Sequence[int], planes: int, bits: int, config: TileConfig) -> Bits:
    """Words of ``plane_out`` as planes, shape (planes, bits)."""
    width = config.plane_bits
    size = -(-width // 8)
    raw = np.frombuffer(b"".join(beat.to_bytes(size, "little") for beat in beats), dtype=np.uint8)
    unpacked = np.unpackbits(raw.reshape(-1, size), axis=1, bitorder="little")[:, :width]
    return unpacked.reshape(planes, -1)[:, :bits]


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
        if answer.timed_out:
            raise TileError(
                f"the tile did not end a program of {len(job.program.instructions)} instructions "
                f"within {self.timeout_cycles} cycles"
            )
        error = ErrorCode(answer.error)
        if error is ErrorCode.NONE and not answer.was_reset and answer.unread_beats:
            raise TileError(f"the tile left {answer.unread_beats} of {len(loads)} beats of plane_in untaken")
        counters = {
            counter.name: answer.counters[counter.name]
            for counter in COUNTERS
            if not counter.name.startswith("identity.")
            and (self.config.activity or not counter.name.startswith("activity."))
        }
        if answer.counters["identity.config"] != self.config.hash:
            found = answer.counters["identity.config"]
            raise TileError(f"the hardware must have config hash {self.config.hash_text}, not {found:016x}")
        planes = self._stored(job.program, answer.beats) if error is ErrorCode.NONE and not answer.was_reset else ()
        return Outcome(planes, counters, error, answer.address)

    def _stored(self, program: Program, beats: Sequence[int]) -> list[Bits]:
        """Cut the beats of ``plane_out`` into the planes of each STORE."""
        stored: list[Bits] = []
        position = 0
        for instruction in program.executed():
            if instruction.opcode == Opcode.STORE:
                bits = plane_bits(instruction, self.config)
                count = instruction.a_width * self.config.beats(bits)
                part = beats[position : position + count]
                if len(part) != count:
                    raise TileError(f"the tile must give {count} beats for a STORE, not {len(part)}")
                stored.append(to_planes(part, instruction.a_width, bits, self.config))
                position += count
        if position != len(beats):
            raise TileError(f"the tile gave {len(beats)} beats, its STOREs make {position}")
        return stored

    def close(self) -> None:
        """End the simulation; raises what went wrong in it, if that was not raised before."""
        self._simulation.close()
