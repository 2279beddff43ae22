"""The ``turbo`` engine: programs on the compiled Verilog of a tile, in this process."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits, Outcome, TileError
from golden.engine import Job as TileJob
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import ErrorCode, Program
from sim.beats import Store, beat_bytes, beats_of, stores_of, unpacked_planes
from sim.rtl_protocol import TIMEOUT_CYCLES, OutcomeMessage, checked_counters
from sim.turbo.compiled import Bench, Library, State
from sim.turbo.library import Job, library
from sim.turbo.library import Outcome as Report
from sim.verilog_cache import cached_tile_verilog

__all__ = ["TurboEngine"]


class TurboEngine:
    """Runs jobs on the compiled Verilog; see :class:`golden.engine.Engine`. Also a context that closes itself.

    Outputs, counters and errors are those of :class:`sim.rtl_engine.RtlEngine`, whose simulator this is without cocotb
    and without waves.

    Parameters
    ----------
    config : the tile.
    seed : of its initial state and of the pauses.
    stall_probability : random pauses on every stream, 0.0 to below 1.0; cycles in which the tile stood still are
        counted apart.
    verilog : text of the tile if it is not the config's own (seeded faults).
    timeout_cycles : a run that lasts longer is given up.

    Attributes
    ----------
    reset_after : cycles after which the tile is reset in the middle of each run from now on; 0 for never.
    jobs : runs so far; with the seed it decides where the pauses of the next one are.
    last_message : what the ports showed after the last run, without its beats; zeros in the counters if the tile was
        reset.
    library : what was compiled.

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
        config: TileConfig,
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
        self.reset_after = 0
        self.jobs = 0
        self.last_message: OutcomeMessage | None = None
        self.library: Library = library(cached_tile_verilog(config) if verilog is None else verilog, config)
        self._bench = Bench(self.library, seed)
        self._program: Program | None = None
        self._image = np.empty(0, np.uint8)
        self._stores: list[Store] | None = None

    def __enter__(self) -> TurboEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def simulator(self) -> str:
        """How messages call it."""
        return "turbo"

    @property
    def seconds(self) -> float:
        """Within the compiled Verilog so far."""
        return self._bench.seconds

    @property
    def closed(self) -> bool:
        """Whether the engine was closed, or was interrupted in the middle of a job."""
        return self._bench.closed

    def run(self, job: TileJob) -> Outcome:
        """Run one job.

        Raises
        ------
        TileError
            If the engine is closed, the tile does not end, or does not take every plane of a run that ends well.
        """
        if self.closed:
            raise TileError("the simulation was closed or ended before")
        self.jobs += 1
        content, segments = beats_of(job.planes, self.config)
        given = int(segments[:, 0].sum())
        report = self._simulate(job.program, content, segments)
        state = State(report.state)
        answer = OutcomeMessage(
            beats=[],
            error=report.error,
            address=report.error_address,
            counters={counter.name: report.counters[index] for index, counter in enumerate(COUNTERS)},
            was_reset=state is State.RESET,
            timed_out=state is State.TIMED_OUT,
            unread_beats=given - report.taken,
        )
        self.last_message = answer
        counters = checked_counters(answer, job, self.config, given, self.timeout_cycles)
        if state is not State.ENDED:
            return Outcome((), counters, ErrorCode(report.error), report.error_address)
        return Outcome(self._planes(job.program, report), counters, ErrorCode.NONE, report.error_address)

    def _simulate(self, program: Program, content: NDArray[np.uint8], segments: NDArray[np.uint64]) -> Report:
        """Run a program to its end."""
        if program is not self._program:
            # Jobs of a layer often share theirs.
            self._image = np.frombuffer(program.image, np.uint8)
            self._stores, self._program = None, program
        job = Job(
            words=self._image.ctypes.data,
            word_count=len(self._image) // 16,
            beats=content.ctypes.data,
            segments=segments.ctypes.data,
            segment_count=len(segments),
            stall_probability=self.stall_probability,
            seed=self.seed + self.jobs,
            reset_after=self.reset_after,
            timeout=self.timeout_cycles,
        )
        report = Report()
        self._bench.run(job, report)
        return report

    def _planes(self, program: Program, report: Report) -> list[Bits]:
        """Cut the beats of ``plane_out`` into the planes of each STORE."""
        if self._stores is None:
            self._stores = stores_of(program, self.config)
        expected = sum(count * self.config.beats(bits) for count, bits in self._stores)
        if report.stored != expected:
            raise TileError(f"the tile gave {report.stored} beats, its STOREs make {expected}")
        size = beat_bytes(self.config)
        content = ctypes.string_at(report.beats, expected * size) if expected else b""
        beats = np.frombuffer(content, np.uint8).reshape(expected, size)
        planes: list[Bits] = []
        position = 0
        for count, bits in self._stores:
            end = position + count * self.config.beats(bits)
            planes.append(unpacked_planes(beats[position:end], count, bits, self.config))
            position = end
        return planes

    def close(self) -> None:
        """Release the tile."""
        self._bench.close()
