"""Test bench of the counter in test_runner.py: some tests pass, some fail on purpose."""

from __future__ import annotations

import os
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge, Timer


async def start(dut: Any) -> None:
    dut.rst.value = 1
    dut.bad.value = 0
    Clock(dut.clk, 10, unit="ns", impl="gpi").start()
    for _ in range(2):  # the first edge is at time 0 and may come before the write to rst
        await RisingEdge(dut.clk)
    dut.rst.value = 0  # takes effect at the next edge, on every simulator


@cocotb.test()
async def counts(dut: Any) -> None:
    await start(dut)
    for expected in range(20):
        await RisingEdge(dut.clk)
        assert int(dut.count.value) == expected  # before the edge
        await ReadOnly()
        assert int(dut.count.value) == expected + 1  # after it


@cocotb.test()
async def seeded(dut: Any) -> None:
    await start(dut)
    assert os.environ["COCOTB_RANDOM_SEED"] == os.environ.get("BENCH_SEED", "1")


@cocotb.test()
async def fails(dut: Any) -> None:
    await start(dut)
    assert int(dut.count.value) == 99, "the counter is not at 99"


@cocotb.test()
async def breaks_an_assertion(dut: Any) -> None:
    await start(dut)
    dut.bad.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)


@cocotb.test()
async def hidden_is_hidden(dut: Any) -> None:
    await start(dut)
    assert not hasattr(dut, "hidden")


@cocotb.test()
async def hidden_is_shown(dut: Any) -> None:
    await start(dut)
    await ReadOnly()
    assert int(dut.hidden.value) == 42


@cocotb.test()
async def sleeps(dut: Any) -> None:
    await start(dut)
    await Timer(100, unit="sec")


@cocotb.test()
async def crashes(dut: Any) -> None:
    await start(dut)
    os.abort()
