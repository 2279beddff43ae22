"""The cocotb side of the ``rtl`` engine of macros: runs jobs which another process sends, until told to close."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer, ValueChange

from hw.flexspim.counter_map import MACRO_COUNTERS
from sim import simulation_server
from sim.flexspim.protocol import MacroJobMessage, MacroOutcomeMessage
from sim.streams import Stalls, StreamSink, StreamSource

PERIOD_NS = 10


class MacroBench:
    """Clock, reset, streams and counters of one macro."""

    def __init__(self, dut: Any):
        self.dut = dut
        dut.counter_index.value = 0
        dut.rst.value = 1
        self.program, self.rows_in, self.events = (
            StreamSource(dut.clk, dut, name) for name in ("program", "rows_in", "events")
        )
        self.rows_out, self.spikes = (StreamSink(dut.clk, dut, name) for name in ("rows_out", "spikes"))
        Clock(dut.clk, PERIOD_NS, unit="ns").start()

    async def reset(self) -> None:
        """Two cycles of reset; cells keep their values."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def run(self, job: MacroJobMessage) -> MacroOutcomeMessage:
        """Run one program to its end or its error."""
        dut = self.dut
        streams = (self.program, self.rows_in, self.events, self.rows_out, self.spikes)
        for number, stream in enumerate(streams):
            stream.stalls = Stalls(job.stall_probability, 8 * job.seed + number)
        self.rows_out.start()
        self.spikes.start()
        self.events.start(job.events)
        self.rows_in.start(job.rows)
        self.program.start(job.words)
        ends = [RisingEdge(dut.done), ValueChange(dut.error), Timer(job.timeout_cycles * PERIOD_NS, unit="ns")]
        ended = await First(*ends)
        await RisingEdge(dut.clk)
        outcome = MacroOutcomeMessage(
            rows=list(self.rows_out.words),
            spikes=list(self.spikes.words),
            untaken=(len(job.rows) - self.rows_in.sent, len(job.events) - self.events.sent),
            error=dut.error.value.to_unsigned(),
            address=dut.error_address.value.to_unsigned(),
            counters=await self._counters(),
            timed_out=ended is ends[2],
        )
        for stream in streams:
            stream.stop()
        if outcome.timed_out or outcome.error:
            await self.reset()
        return outcome

    async def _counters(self) -> list[int]:
        values: list[int] = []
        for index in range(len(MACRO_COUNTERS)):
            self.dut.counter_index.value = index
            await RisingEdge(self.dut.clk)
            values.append(self.dut.counter_value.value.to_unsigned())
        return values


@cocotb.test()
async def serve(dut: Any) -> None:
    """Take jobs until there are no more."""
    bench = MacroBench(dut)
    await bench.reset()
    await simulation_server.serve(bench.run)
