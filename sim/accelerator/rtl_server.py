"""The cocotb side of the accelerator's ``rtl`` engine: runs command streams that another process sends.

Registers are read and written over AXI4-Lite, as a driver on a board would; counters are read once, after a run.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer

from hw.accelerator.register_map import LOG_ENTRIES, register
from hw.accelerator.router import PORTS
from sim import simulation_server
from sim.accelerator.axi import AxiLiteMaster
from sim.accelerator.rtl_protocol import AnswerMessage, StreamMessage
from sim.streams import AXI, Stalls, StreamSink, StreamSource

PERIOD_NS = 10
_POLL_NS = 20_000
"""Simulated time between two looks at the status."""

_COUNTED = ("CYCLES", "PHASES", "WORDS_IN", "WORDS_OUT", "WAITING_IN", "WAITING_OUT")


class AcceleratorBench:
    """Clock, reset, streams and registers of an accelerator."""

    def __init__(self, dut: Any):
        self.dut = dut
        dut.rst.value = 1
        self.registers = AxiLiteMaster(dut.clk, dut)
        self.commands = StreamSource(dut.clk, dut, "s_axis", ports=AXI)
        self.results = StreamSink(dut.clk, dut, "m_axis", ports=AXI)
        dut.s_axis_tlast.value = 0
        Clock(dut.clk, PERIOD_NS, unit="ns").start()

    async def reset(self) -> None:
        """Two cycles of reset; memories keep their values."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def run(self, message: StreamMessage) -> AnswerMessage:
        """Run one command stream to its end or its error."""
        for stream, offset in ((self.commands, 1), (self.results, 2)):
            stream.stalls = Stalls(message.stall_probability, 4 * message.seed + offset)
        await self._write("CONTROL", register("CONTROL").packed(stop=1))
        await ClockCycles(self.dut.clk, 4)
        await self._write("WATCHDOG", message.watchdog)
        self.results.start()
        self.commands.start(message.words)
        await self._write("CONTROL", register("CONTROL").packed(start=1))
        status, waited = register("STATUS"), 0
        while True:
            await Timer(_POLL_NS, unit="ns")
            await RisingEdge(self.dut.clk)
            value = await self._read("STATUS")
            waited += _POLL_NS // PERIOD_NS
            ended = status.field("done").of(value) or status.field("error").of(value)
            if ended or waited > message.timeout_cycles:
                break
        answer = await self._answer(message)
        for stream in (self.commands, self.results):
            stream.stop()
        return dataclasses.replace(answer, timed_out=not ended)

    async def _answer(self, message: StreamMessage) -> AnswerMessage:
        """Read everything that the registers tell."""
        await self._write("CONTROL", register("CONTROL").packed(snapshot=1))
        error, detail = await self._read("ERROR"), await self._read("ERROR_DETAIL")
        values = {name: await self._read_wide(name) for name in _COUNTED}
        goes: list[int] = []
        for phase in range(min(values["PHASES"], LOG_ENTRIES)):
            await self._write("PHASE_SELECT", phase)
            goes.append(await self._read_wide("PHASE_CYCLE"))
        found: list[list[int]] = []
        links: list[list[tuple[int, int]]] = []
        for cluster in range(message.clusters):
            await self._write("COUNTER_CLUSTER", cluster)
            row: list[int] = []
            for index in range(message.counters):
                await self._write("COUNTER_SELECT", index)
                row.append(await self._read_wide("COUNTER"))
            found.append(row)
            ports: list[tuple[int, int]] = []
            for port in range(len(PORTS)):
                await self._write("LINK_SELECT", register("LINK_SELECT").packed(router=cluster, port=port))
                ports.append((await self._read("LINK_FLITS"), await self._read("LINK_STALLS")))
            links.append(ports)
        return AnswerMessage(
            config_hash=await self._read_wide("CONFIG"),
            words=list(self.results.words),
            registers=values,
            goes=goes,
            clusters=found,
            links=links,
            error=error,
            detail=detail,
            unsent_words=len(message.words) - self.commands.sent,
        )

    async def _write(self, name: str, value: int) -> None:
        await self.registers.write(register(name).offset, value)

    async def _read(self, name: str) -> int:
        return await self.registers.read(register(name).offset)

    async def _read_wide(self, name: str) -> int:
        """A register, or a pair of them that is one number."""
        try:
            low = register(f"{name}_LOW")
        except KeyError:
            return await self._read(name)
        return await self.registers.read(low.offset) | await self._read(f"{name}_HIGH") << 32


@cocotb.test()
async def serve(dut: Any) -> None:
    """Take command streams until there are no more."""
    bench = AcceleratorBench(dut)
    await bench.reset()
    await simulation_server.serve(bench.run)
