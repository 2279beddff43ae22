"""Orders in which the CAPs of a MAP are heard, against lists of words, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.accelerator.collector import Collector

WIDTH = 16


def simulate(caps: int, armed: list[int], stores: list[list[int]], pauses: float, seed: int) -> list[tuple[int, int]]:
    """Words as they come out, as (cycle, word), where each CAP stores operations of the given lengths.

    A word is ``cap * 4096 + operation * 64 + place``.
    """
    dut, rng, moved = Collector(caps, WIDTH), np.random.default_rng(seed), list[tuple[int, int]]()
    words = [
        [
            (cap << 12 | operation << 6 | place, place == length - 1)
            for operation, length in enumerate(lengths)
            for place in range(length)
        ]
        for cap, lengths in enumerate(stores)
    ]
    total = sum(len(words[cap]) for cap in armed)

    async def bench(context: Any) -> None:
        context.set(dut.armed, sum(1 << cap for cap in armed))
        context.set(dut.go, 1)
        await context.tick()
        context.set(dut.go, 0)
        context.set(dut.armed, 0)
        for cycle in range(400):
            last = 0
            for cap in range(caps):
                source, offers = getattr(dut, f"words_{cap}"), bool(words[cap]) and rng.random() >= pauses
                context.set(source.valid, offers)
                if offers:
                    context.set(source.payload, words[cap][0][0])
                    last |= words[cap][0][1] << cap
            context.set(dut.last, last)
            context.set(dut.words.ready, rng.random() >= pauses)
            taken = [
                cap
                for cap in range(caps)
                if context.get(getattr(dut, f"words_{cap}").valid) and context.get(getattr(dut, f"words_{cap}").ready)
            ]
            if context.get(dut.words.valid) and context.get(dut.words.ready):
                assert len(taken) == 1
                word = context.get(dut.words.payload)
                assert word == words[taken[0]].pop(0)[0]
                moved.append((cycle, word))
            else:
                assert not taken
            await context.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(moved) <= total
    return moved


def expected(armed: list[int], stores: list[list[int]]) -> list[int]:
    """Operation after operation, in each round those of the armed CAPs from the lowest up."""
    order: list[int] = []
    for operation in range(max(len(stores[cap]) for cap in armed)):
        for cap in armed:
            order += [cap << 12 | operation << 6 | place for place in range(stores[cap][operation])]
    return order


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize(
    ("caps", "armed"), [(1, [0]), (2, [0, 1]), (2, [1]), (4, [0, 1, 2, 3]), (4, [1, 3]), (5, [0, 4])]
)
def test_one_operation_of_each_by_turns(caps: int, armed: list[int], pauses: float) -> None:
    seed = caps * 10 + len(armed)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    stores = [[int(length) for length in rng.integers(1, 6, 4)] for _ in range(caps)]
    moved = simulate(caps, armed, stores, pauses, seed)
    assert [word for _, word in moved] == expected(armed, stores)
    if not pauses:
        assert [cycle for cycle, _ in moved] == list(range(len(moved))), "no cycle is lost between two turns"


def test_nobody_is_heard_before_a_go() -> None:
    assert simulate(3, [], [[2], [1], [1]], 0.0, 1) == []


def test_a_turn_waits_for_its_cap() -> None:
    # CAP 1 has fewer operations: after its turn came without a word, CAP 0 is not heard any more.
    moved = simulate(2, [0, 1], [[1, 1, 1], [2]], 0.0, 2)
    assert [word >> 12 for _, word in moved] == [0, 1, 1, 0]


def test_a_go_begins_anew() -> None:
    dut = Collector(3, WIDTH)

    async def bench(context: Any) -> None:
        context.set(dut.words.ready, 1)
        for cap in range(3):
            context.set(getattr(dut, f"words_{cap}").valid, 1)
            context.set(getattr(dut, f"words_{cap}").payload, cap)
        context.set(dut.last, 0b111)
        for armed, order in ((0b111, [0, 1, 2, 0]), (0b110, [1, 2, 1]), (0b101, [0, 2, 0, 2])):
            context.set(dut.armed, armed)
            context.set(dut.go, 1)
            await context.tick()
            context.set(dut.go, 0)
            for place, cap in enumerate(order):
                if place:
                    await context.tick()
                assert (context.get(dut.words.valid), context.get(dut.words.payload)) == (1, cap)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
