"""Counters narrower than their port: what they show before and after one has wrapped."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS
from hw.counter_map import COUNTERS, WRAPPED, counter_index
from hw.event_counters import EventCounters

CONFIG = CONFIGS["tiny"].replace(name="narrow", counter_bits=16)
WRITTEN = 3 * CONFIG.rows
"""Cells that a cycle writes: three columns in all rows."""


@pytest.mark.parametrize("beyond", [False, True], ids=["last", "wrapped"])
def test_a_wrap_is_seen_at_every_counter_until_the_next_program(beyond: bool) -> None:
    dut = EventCounters(CONFIG)
    cycles = (1 << CONFIG.counter_bits) // WRITTEN + beyond

    async def shown(context: Any) -> dict[str, int]:
        values: dict[str, int] = {}
        for counter in COUNTERS:
            context.set(dut.index, counter_index(counter.name))
            values[counter.name] = context.get(dut.value)
        return values

    async def bench(context: Any) -> None:
        context.set(dut.counted, 1)
        context.set(dut.operation.write, 1)
        context.set(dut.operation.write_mask, {"y": 1, "c": 1, "f": 1})
        context.set(dut.operation.all_rows, 1)
        await context.tick().repeat(cycles)
        context.set(dut.counted, 0)
        flag = beyond << WRAPPED
        wanted = dict.fromkeys((counter.name for counter in COUNTERS), flag) | {
            "cycles.load": cycles | flag,
            "events.writes": cycles | flag,
            "events.written_columns": 3 * cycles | flag,
            "activity.cells_written": WRITTEN * cycles % (1 << CONFIG.counter_bits) | flag,
            "identity.config": CONFIG.hash,
        }
        assert await shown(context) == wanted
        context.set(dut.clear, 1)
        await context.tick()
        context.set(dut.clear, 0)
        cleared = dict.fromkeys((counter.name for counter in COUNTERS), 0) | {"identity.config": CONFIG.hash}
        assert await shown(context) == cleared

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
