"""The cocotb side of the accelerator's ``rtl`` engine: runs command streams that another process sends.

The driver of :mod:`sim.accelerator.driver` does what it would do on a board, over AXI4-Lite; only the streams are moved
here.
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, RisingEdge, Timer

from sim import simulation_server
from sim.accelerator.axi import AxiLiteMaster
from sim.accelerator.driver import AcceleratorDriver, WrongDevice
from sim.accelerator.rtl_protocol import AnswerMessage, StreamMessage
from sim.streams import AXI, Stalls, StreamSink, StreamSource

PERIOD_NS = 10
POLL_CYCLES = 2000
"""Simulated cycles between two looks at the status."""

_COUNTED = ("CYCLES", "PHASES", "WORDS_IN", "WORDS_OUT", "WAITING_IN", "WAITING_OUT")


class Registers:
    """A :class:`sim.accelerator.driver.Device` over AXI4-Lite: time goes on while the driver's thread waits for it."""

    def __init__(self, master: AxiLiteMaster):
        self._master = master

    @resume
    async def read32(self, offset: int) -> int:
        """Read a register."""
        return await self._master.read(offset)

    @resume
    async def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        await self._master.write(offset, value)


class AcceleratorBench:
    """Clock, reset, streams and registers of an accelerator."""

    def __init__(self, dut: Any):
        self.dut = dut
        dut.rst.value = 1
        self.registers = Registers(AxiLiteMaster(dut.clk, dut))
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

        def begin() -> AcceleratorDriver:
            driver = AcceleratorDriver(self.registers, message.config)
            driver.stop()
            return driver

        try:
            driver = await bridge(begin)()
        except WrongDevice as error:
            return AnswerMessage(refused=str(error))
        self.results.start()
        self.commands.start(message.words)
        await bridge(driver.start)(message.watchdog)
        waited, ended = 0, False
        while not ended and waited <= message.timeout_cycles:
            await Timer(POLL_CYCLES * PERIOD_NS, unit="ns")
            await RisingEdge(self.dut.clk)
            waited += POLL_CYCLES
            status = await bridge(driver.status)()
            ended = status.done or status.error
        answer = await bridge(self._answer)(driver, message, timed_out=not ended)
        for stream in (self.commands, self.results):
            stream.stop()
        return answer

    def _answer(self, driver: AcceleratorDriver, message: StreamMessage, *, timed_out: bool) -> AnswerMessage:
        """Read everything that the registers tell."""
        driver.snapshot()
        return AnswerMessage(
            words=list(self.results.words),
            registers={name: driver.read(name) for name in _COUNTED},
            goes=driver.phase_log(),
            clusters=driver.counters(message.counters),
            links=[[(link.flits, link.stalls) for link in router] for router in driver.links()],
            error=driver.read("ERROR"),
            detail=driver.read("ERROR_DETAIL"),
            unsent_words=len(message.words) - self.commands.sent,
            timed_out=timed_out,
        )


@cocotb.test()
async def serve(dut: Any) -> None:
    """Take command streams until there are no more."""
    bench = AcceleratorBench(dut)
    await bench.reset()
    await simulation_server.serve(bench.run)
