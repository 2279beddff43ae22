"""The cocotb side of the ``rtl`` engine: a test bench that runs jobs which another process sends, until told to close.

Hardware runs alone between the streams' words: Python wakes when a word can move, never to count a cycle.
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer, ValueChange

from hw.counter_map import COUNTERS
from sim import simulation_server
from sim.rtl_protocol import JobMessage, OutcomeMessage
from sim.streams import Stalls, StreamSink, StreamSource

PERIOD_NS = 10


class TileBench:
    """Clock, reset, streams and counters of one tile."""

    def __init__(self, dut: Any):
        self.dut = dut
        dut.counter_index.value = 0
        dut.rst.value = 1
        self.program = StreamSource(dut.clk, dut, "program")
        self.plane_in = StreamSource(dut.clk, dut, "plane_in")
        self.plane_out = StreamSink(dut.clk, dut, "plane_out")
        Clock(dut.clk, PERIOD_NS, unit="ns").start()

    async def reset(self) -> None:
        """Two cycles of reset; cells, tags and totals keep their values."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def run(self, job: JobMessage) -> OutcomeMessage:
        """Run one program to its end, its error, or the cycle at which the job wants a reset."""
        dut = self.dut
        for stream, offset in ((self.program, 1), (self.plane_in, 2), (self.plane_out, 3)):
            stream.stalls = Stalls(job.stall_probability, 4 * job.seed + offset)
        self.plane_out.start()
        self.plane_in.start(job.beats)
        self.program.start(job.words)
        ends = [RisingEdge(dut.done), ValueChange(dut.error), Timer(job.timeout_cycles * PERIOD_NS, unit="ns")]
        if job.reset_after:
            ends.append(ClockCycles(dut.clk, job.reset_after))
        ended = await First(*ends)
        was_reset = bool(job.reset_after) and ended is ends[-1]
        if was_reset:
            self._stop()
            await self.reset()  # at once; reading the counters takes longer than many an instruction
        else:
            await RisingEdge(dut.clk)
        timed_out = ended is ends[2]
        outcome = OutcomeMessage(
            beats=list(self.plane_out.words),
            error=dut.error.value.to_unsigned(),
            address=dut.error_address.value.to_unsigned(),
            counters=await self._counters(),
            was_reset=was_reset,
            timed_out=timed_out,
            unread_beats=len(job.beats) - self.plane_in.sent,
        )
        self._stop()
        if timed_out or outcome.error:
            await self.reset()
        return outcome

    def _stop(self) -> None:
        for stream in (self.program, self.plane_in, self.plane_out):
            stream.stop()

    async def _counters(self) -> dict[str, int]:
        values: dict[str, int] = {}
        for index, counter in enumerate(COUNTERS):
            self.dut.counter_index.value = index
            await RisingEdge(self.dut.clk)
            values[counter.name] = self.dut.counter_value.value.to_unsigned()
        return values


@cocotb.test()
async def serve(dut: Any) -> None:
    """Take jobs until there are no more."""
    bench = TileBench(dut)
    await bench.reset()
    await simulation_server.serve(bench.run)
