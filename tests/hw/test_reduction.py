"""Where a REDUCE stands, and the vertical lines, against lists of words, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS, TileConfig
from hw.isa import reduce_levels
from hw.reduction import ReductionTree
from hw.vertical import VerticalLines

SEED = 13
TINY = CONFIGS["tiny"]


@pytest.mark.parametrize("pairwise", [False, True])
@pytest.mark.parametrize("words", [2, 3, 4, 5, 8, 75, 4096])
def test_levels_and_pairs(words: int, pairwise: bool) -> None:
    dut = ReductionTree(TINY.replace(vertical=True, taps=max(words, 4)))
    levels = reduce_levels(words)

    async def bench(context: Any) -> None:
        context.set(dut.pairwise, pairwise)
        context.set(dut.words, words)
        context.set(dut.start, 1)
        await context.tick()
        context.set(dut.start, 0)
        for level in range(levels):
            distance = 1 << (levels - 1 - level)
            for pair in range(distance if pairwise else 1):
                assert context.get(dut.distance) == distance
                assert context.get(dut.segment) == (1 << levels) - 1
                first, limit = (pair, pair + 1) if pairwise else (0, distance)
                assert (context.get(dut.first), context.get(dut.limit)) == (first, limit)
                assert context.get(dut.partners) == (words - distance if level == 0 else distance)
                last = not pairwise or pair == distance - 1
                assert context.get(dut.last_pair) == last
                assert context.get(dut.last_level) == (level == levels - 1)
                context.set(dut.next_pair, not last)
                context.set(dut.next_level, last)
                await context.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("taps", "outputs"), [(1, 3), (2, 1), (7, 2), (16, 3)])
def test_lines_bring_rows_down(taps: int, outputs: int) -> None:
    config: TileConfig = TINY.replace(taps=taps, outputs=outputs, plane_bits=1, vertical=True)
    dut = VerticalLines(config)
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    places = len(dut.control.distance)

    async def bench(context: Any) -> None:
        for _ in range(60):
            bits = rng.integers(0, 2, (taps, outputs))
            control = {
                "on": int(rng.integers(4) > 0),
                "distance": 1 << int(rng.integers(places)),
                "segment": (1 << int(rng.integers(places + 1))) - 1,
                "first": int(rng.integers(taps)),
                "limit": int(rng.integers(taps + 1)),
                "partners": int(rng.integers(taps + 1)),
            }
            context.set(dut.control, control)
            context.set(dut.column, number(bits))
            partner, active = np.zeros_like(bits), np.ones_like(bits)
            for block in range(taps):
                place, upper = block & control["segment"], block + control["distance"]
                if not control["on"]:
                    partner[block] = bits[block]
                elif place < control["partners"] and upper < taps:
                    partner[block] = bits[upper]
                if control["on"]:
                    active[block] = control["first"] <= place < control["limit"]
            assert context.get(dut.partner) == number(partner)
            assert context.get(dut.active) == number(active)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def number(bits: Any) -> int:
    """Rows as one number, row 0 lowest."""
    return sum(int(bit) << row for row, bit in enumerate(np.reshape(bits, -1)))
