"""Runs periods of traffic that ``TRAFFIC_PERIODS`` lists, and writes what was counted to ``TRAFFIC_RESULTS``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

PERIOD = 10
NUMBERS = ("sent", "due", "due_sums", "received", "received_sums")


def numbers(dut: Any) -> dict[str, list[int]]:
    """What the harness counted, by node."""
    values = {name: int(getattr(dut, name).value) for name in NUMBERS}
    nodes = len(dut.sent) // 32
    return {name: [value >> 32 * node & 0xFFFF_FFFF for node in range(nodes)] for name, value in values.items()}


def errors(dut: Any) -> list[int]:
    """The checkers' errors, by node."""
    value, nodes = int(dut.errors.value), len(dut.sent) // 32
    width = len(dut.errors) // nodes
    return [value >> width * node & (1 << width) - 1 for node in range(nodes)]


@cocotb.test
async def traffic(dut: Any) -> None:
    Clock(dut.clk, PERIOD, "ns").start()
    for name in ("rst", "run", "load", "seed", "pattern", "senders", "rate", "stall"):
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await Timer(2 * PERIOD, "ns")
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    results: list[dict[str, Any]] = []
    path = Path(os.environ["TRAFFIC_RESULTS"])
    for period in json.loads(os.environ["TRAFFIC_PERIODS"]):
        await FallingEdge(dut.clk)
        for name in ("seed", "pattern", "senders", "rate", "stall"):
            getattr(dut, name).value = period[name]
        dut.load.value = 1
        await Timer(PERIOD, "ns")
        dut.load.value = 0
        await Timer(20 * PERIOD, "ns")
        dut.run.value = 1
        await Timer(period["warm"] * PERIOD, "ns")
        before = numbers(dut)
        await Timer(period["cycles"] * PERIOD, "ns")
        after = numbers(dut)
        dut.run.value = 0
        # As many cycles as it may take to empty every queue through the narrowest place.
        for _ in range(period["drain"]):
            await Timer(10 * PERIOD, "ns")
            if dut.idle.value:
                break
        results.append(
            {
                "before": before,
                "after": after,
                "end": numbers(dut),
                "idle": int(dut.idle.value),
                "errors": errors(dut),
            }
        )
        path.write_text(json.dumps(results), encoding="utf-8")
