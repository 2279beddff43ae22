"""Responder counters against plain integers, one count at a time, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS, TileConfig
from hw.responders import Responders

SEED = 7
TINY = CONFIGS["tiny"]


def number(planes: list[int], output: int) -> int:
    """The two's complement number of one output from its planes, lowest first."""
    value = sum((plane >> output & 1) << bit for bit, plane in enumerate(planes))
    return value - ((planes[-1] >> output & 1) << len(planes))


@pytest.mark.parametrize(
    ("taps", "outputs"), [(1, 1), (1, 5), (2, 3), (3, 4), (4, 8), (7, 2), (9, 3), (16, 2), (75, 1)]
)
def test_counts_fills_and_totals(taps: int, outputs: int) -> None:
    config: TileConfig = TINY.replace(name="r", taps=taps, outputs=outputs, plane_bits=1)
    dut = Responders(config)
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")

    async def bench(context: Any) -> None:
        context.set(dut.set, 1)
        context.set(dut.constant, 5)
        await context.tick()
        context.set(dut.set, 0)
        totals = [5] * outputs
        for _ in range(6):
            fills = [0] * outputs
            length = int(rng.integers(1, 6))
            for step in range(length):
                rows = rng.integers(0, 2, taps * outputs)
                shift, negative = int(rng.integers(0, 2)), int(rng.integers(0, 2))
                context.set(dut.tag, int("".join(map(str, rows[::-1])), 2))
                control = {"valid": 1, "first": step == 0, "shift": shift, "negative": negative}
                context.set(dut.control, control | {"last": step == length - 1})
                counts = [int(rows[output::outputs].sum()) for output in range(outputs)]
                shown = context.get(dut.count)
                for output, count in enumerate(counts):
                    bits = [shown >> (bit * outputs + output) & 1 for bit in range(config.count_bits)]
                    assert sum(bit << place for place, bit in enumerate(bits)) == count
                signed = [-count if negative else count for count in counts]
                fills = [
                    (0 if step == 0 else fill * (1 + shift)) + count for fill, count in zip(fills, signed, strict=True)
                ]
                await context.tick()
            context.set(dut.control, {"valid": 0, "first": 0, "shift": 0, "negative": 0, "last": 0})
            totals = [total + fill for total, fill in zip(totals, fills, strict=True)]
            context.set(dut.snapshot, 1)
            await context.tick()
            context.set(dut.snapshot, 0)
            context.set(dut.drain, 1)
            planes: list[int] = []
            for _ in range(config.total_bits):
                planes.append(context.get(dut.drain_plane))
                await context.tick()
            context.set(dut.drain, 0)
            assert [number(planes, output) for output in range(outputs)] == totals

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_overflow_is_seen_in_both_directions() -> None:
    config = TINY.replace(name="r", taps=1, outputs=2, plane_bits=1, fill_bits=4, total_bits=4)
    dut = Responders(config)

    async def bench(context: Any) -> None:
        for start, negative, overflows in ((6, 0, 0), (7, 0, 1), (-7, 1, 0), (-8, 1, 1)):
            context.set(dut.control, {"valid": 0, "first": 0, "shift": 0, "negative": 0, "last": 0})
            context.set(dut.set, 1)
            context.set(dut.constant, start & 15)
            await context.tick()
            context.set(dut.set, 0)
            context.set(dut.tag, 2)
            context.set(dut.control, {"valid": 1, "first": 1, "shift": 0, "negative": negative, "last": 1})
            assert context.get(dut.overflow) == overflows, (start, negative)
            await context.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
