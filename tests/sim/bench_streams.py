"""cocotb tests of the stream drivers on a small design; ``test_streams.py`` runs them."""

import random
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from sim.streams import Stalls, StreamSink, StreamSource

PERIOD = 10
WORDS = [random.Random(3).randrange(256) for _ in range(60)]


async def ports(dut: Any) -> tuple[StreamSource, StreamSink]:
    source, sink = StreamSource(dut.clk, dut, "in"), StreamSink(dut.clk, dut, "out")
    Clock(dut.clk, PERIOD, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 1)
    return source, sink


async def transfer(dut: Any, source: StreamSource, sink: StreamSink, limit: int = 4000) -> int:
    """Send all words; return the cycles until the last one was taken."""
    sink.start()
    source.start(WORDS)
    begin = get_sim_time("ns")
    for _ in range(limit):
        await ClockCycles(dut.clk, 1)
        if len(sink.words) == len(WORDS):
            break
    cycles = round((get_sim_time("ns") - begin) / PERIOD)
    await ClockCycles(dut.clk, 3)
    assert sink.words == WORDS
    assert source.finished
    assert source.sent == len(WORDS)
    source.stop()
    sink.stop()
    return cycles


@cocotb.test()
async def words_arrive_whatever_the_pauses(dut: Any) -> None:
    source, sink = await ports(dut)
    for number, (sending, taking) in enumerate(((0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.5, 0.5))):
        source.stalls, sink.stalls = Stalls(sending, number), Stalls(taking, number + 100)
        await transfer(dut, source, sink)


@cocotb.test()
async def one_word_per_cycle(dut: Any) -> None:
    source, sink = await ports(dut)
    assert len(WORDS) <= await transfer(dut, source, sink) <= len(WORDS) + 2
    source.stalls = Stalls(0.5, 1)
    assert await transfer(dut, source, sink) > 1.5 * len(WORDS)
    source.stalls, sink.stalls = Stalls(), Stalls(0.5, 1)
    assert await transfer(dut, source, sink) > 1.5 * len(WORDS)


@cocotb.test()
async def stop_and_start(dut: Any) -> None:
    source, sink = await ports(dut)
    source.start(WORDS)
    sink.start()
    with pytest.raises(RuntimeError, match=r"^a stream source must be stopped before it is started again$"):
        source.start(WORDS)
    with pytest.raises(RuntimeError, match=r"^a stream sink must be stopped before it is started again$"):
        sink.start()
    await ClockCycles(dut.clk, 20)
    source.stop()
    await ClockCycles(dut.clk, 10)
    taken = len(sink.words)
    assert 0 < taken < len(WORDS)
    assert dut.in__valid.value == 0
    await ClockCycles(dut.clk, 10)
    assert sink.words == WORDS[:taken]
    sink.stop()
    await ClockCycles(dut.clk, 1)
    await transfer(dut, source, sink)


@cocotb.test()
async def takes_with_pauses(dut: Any) -> None:
    source, sink = await ports(dut)
    sink.stalls = Stalls(0.7, 5)
    await transfer(dut, source, sink)
