"""The tags against sets of rows, one compare at a time, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS, PASSES
from hw.tag_unit import TagUnit

SEED = 11
TINY = CONFIGS["tiny"]


@pytest.mark.parametrize("passes", PASSES)
def test_every_way_to_take_a_match(passes: str) -> None:
    config = TINY.replace(passes=passes)
    dut, everything = TagUnit(config), (1 << config.rows) - 1
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")

    def plane() -> int:
        return int.from_bytes(rng.bytes(-(-config.rows // 8)), "little") & everything

    async def bench(context: Any) -> None:
        tags = [0, 0]
        context.set(dut.set, 1)
        await context.tick()
        for _ in range(200):
            match, second = plane(), int(rng.integers(2)) if passes == "two_tags" else 0
            keep, ones, remove = (int(bit) for bit in rng.integers(0, 2, 3))
            ones &= ~keep
            for name, value in {"match": match, "second": second, "keep": keep, "ones": ones, "remove": remove}.items():
                context.set(getattr(dut, name), value)
            assert context.get(dut.rows) == tags[second]
            await context.tick()
            before = tags[second] if keep else everything if ones else 0
            tags[second] = before & ~match if remove else before | match
            assert context.get(dut.tag) == tags[0]
            if passes == "two_tags":
                assert context.get(dut.other) == tags[1]

    _simulate(dut, bench)


def test_tags_move_by_row_blocks_and_are_loaded() -> None:
    dut, everything = TagUnit(TINY), (1 << TINY.rows) - 1

    async def bench(context: Any) -> None:
        context.set(dut.plane, 0x8123)
        for name, expected in (
            ("load", 0x8123),
            ("shift_up", 0x8123 << TINY.outputs & everything),
            ("shift_down", (0x8123 << TINY.outputs & everything) >> TINY.outputs),
        ):
            context.set(getattr(dut, name), 1)
            await context.tick()
            context.set(getattr(dut, name), 0)
            assert context.get(dut.tag) == expected
            await context.tick()
            assert context.get(dut.tag) == expected

    _simulate(dut, bench)


def _simulate(dut: TagUnit, bench: Any) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
