"""Programs on the tile as Amaranth's own simulator runs it: no Verilog, no compiler, and slow.

It shows what the Verilog must do from the same source by another way, and is the slow end of the comparison of speeds.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from golden.engine import Job, Outcome, TileError
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import ErrorCode
from hw.tile import Tile
from sim.beats import stores_of, to_beats, to_planes
from sim.rtl_protocol import TIMEOUT_CYCLES, OutcomeMessage, checked_counters

__all__ = ["AmaranthEngine"]

_STACK_BYTES = 1 << 29
_DEPTH = 1_000_000
"""Python compiles an expression of thousands of bits by recursion: room for that, and permission."""

Made = TypeVar("Made")


class AmaranthEngine:
    """Runs jobs on the tile's description itself; see :class:`golden.engine.Engine`.

    Cells and tags start at 0. Streams never pause.

    Parameters
    ----------
    config : the tile.
    timeout_cycles : a run that lasts longer is given up.
    """

    def __init__(self, config: TileConfig, *, timeout_cycles: int = TIMEOUT_CYCLES) -> None:
        self.config = config
        self.timeout_cycles = timeout_cycles
        self._tile = Tile(config)
        self._reset = Signal()
        self._job: Job | None = None
        self._answer: OutcomeMessage | None = None
        self._beats: list[int] = []
        self._simulator = _with_room(self._compiled)

    def run(self, job: Job) -> Outcome:
        """Run one job.

        Raises
        ------
        TileError
            If the tile does not end, or does not take every plane of a run that ends well.
        """
        self._beats = [beat for planes in job.planes for beat in to_beats(planes, self.config)]
        self._job, self._answer = job, None
        while self._answer is None:
            self._simulator.advance()
        answer = self._answer
        counters = checked_counters(answer, job, self.config, len(self._beats), self.timeout_cycles)
        error = ErrorCode(answer.error)
        if error is not ErrorCode.NONE:
            return Outcome((), counters, error, answer.address)
        stores = stores_of(job.program, self.config)
        if len(answer.beats) != sum(count * self.config.beats(bits) for count, bits in stores):
            raise TileError(f"the tile gave {len(answer.beats)} beats, which its STOREs do not make")
        planes, position = [], 0
        for count, bits in stores:
            end = position + count * self.config.beats(bits)
            planes.append(to_planes(answer.beats[position:end], count, bits, self.config))
            position = end
        return Outcome(planes, counters, error, answer.address)

    def close(self) -> None:
        """Do nothing; there is no process."""

    def _compiled(self) -> Simulator:
        top = Module()
        top.submodules.tile = ResetInserter(self._reset)(self._tile)
        simulator = Simulator(top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._serve, background=True)
        return simulator

    async def _serve(self, context: Any) -> None:
        """Run each job that comes, with a clock that never stops."""
        while True:
            if self._job is None:
                await context.tick()
                continue
            self._answer = await self._run(context, self._job)
            self._job = None

    async def _run(self, context: Any, job: Job) -> OutcomeMessage:
        """Move words of all three streams until the program ends."""
        tile = self._tile
        words, beats = iter(job.program.words), iter(self._beats)
        word, beat = next(words), next(beats, None)
        stored: list[int] = []
        taken = cycles = 0
        began = False
        context.set(tile.plane_out.ready, 1)
        while True:
            context.set(tile.program.valid, word is not None)
            context.set(tile.program.payload, word or 0)
            gives = beat is not None and context.get(tile.plane_in.ready)
            context.set(tile.plane_in.valid, gives)
            if gives:
                context.set(tile.plane_in.payload, beat)
                beat = next(beats, None)
                taken += 1
            if context.get(tile.plane_out.valid):
                stored.append(context.get(tile.plane_out.payload))
            moves = word is not None and context.get(tile.program.ready)
            await context.tick()
            cycles += 1
            if moves:
                word, began = next(words, None), True
            error = int(context.get(tile.error))
            timed_out = cycles >= self.timeout_cycles
            if error or (began and context.get(tile.done)) or timed_out:
                break
        for valid in (tile.program.valid, tile.plane_in.valid):
            context.set(valid, 0)
        answer = OutcomeMessage(
            beats=stored,
            error=error,
            address=context.get(tile.error_address),
            counters=self._counters(context),
            timed_out=timed_out,
            unread_beats=len(self._beats) - taken,
        )
        if error or timed_out:
            context.set(self._reset, 1)
            await context.tick()
            context.set(self._reset, 0)
        return answer

    def _counters(self, context: Any) -> dict[str, int]:
        counters: dict[str, int] = {}
        for index, counter in enumerate(COUNTERS):
            context.set(self._tile.counter_index, index)
            counters[counter.name] = context.get(self._tile.counter_value)
        return counters


def _with_room(make: Callable[[], Made]) -> Made:
    """Call a function where recursion may be deep; what it raises is raised here."""
    made: list[Made] = []
    failed: list[BaseException] = []

    def call() -> None:
        try:
            made.append(make())
        except BaseException as error:
            failed.append(error)

    depth, stack = sys.getrecursionlimit(), threading.stack_size(_STACK_BYTES)
    sys.setrecursionlimit(_DEPTH)
    try:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(depth)
        threading.stack_size(stack)
    if failed:
        raise failed[0]
    return made[0]
