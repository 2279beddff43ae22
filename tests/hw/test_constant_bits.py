"""The lowest one of a word, and how ones are found and counted, for every word of few bits."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator

from hw.constant_bits import LowestOne, counted, smeared


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_lowest_one(bits: int) -> None:
    top = Module()
    top.submodules.dut = dut = LowestOne(bits)

    async def bench(context: Any) -> None:
        for value in range(1 << bits):
            context.set(dut.value, value)
            assert context.get(dut.any) == (value != 0)
            assert context.get(dut.rest) == value & (value - 1)
            if value:
                assert context.get(dut.place) == (value & -value).bit_length() - 1

    simulator = Simulator(top)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("bits", [1, 3, 9])
def test_smeared_and_counted(bits: int) -> None:
    word, up, down = Signal(bits), Signal(bits), Signal(bits)
    number = Signal(bits.bit_length())
    top = Module()
    top.d.comb += [
        up.eq(smeared(word, up=True)),
        down.eq(smeared(word, up=False)),
        number.eq(Cat(counted(down))),
    ]

    async def bench(context: Any) -> None:
        for value in range(1 << bits):
            context.set(word, value)
            places = [place for place in range(bits) if value >> place & 1]
            assert context.get(up) == sum(1 << place for place in range(bits) if places and place >= min(places))
            assert context.get(down) == sum(1 << place for place in range(bits) if places and place <= max(places))
            assert context.get(number) == value.bit_length()

    simulator = Simulator(top)
    simulator.add_testbench(bench)
    simulator.run()
