"""The lowest one of a constant, so that zero bits below it take no time, and what it takes to find ones.

All of it is made of whole words, which a simulator works out at once, and no carry goes through them.
"""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component

__all__ = ["LowestOne", "counted", "smeared"]


class LowestOne(Component):
    """Combinational priority encoder.

    Parameters
    ----------
    bits : width of the value, at least 2.

    Members
    -------
    value : the bits. any : there is a one. place : of the lowest one; any number where there is none. rest : the value
        without it.
    """

    block = "lowest"

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"value": In(bits), "any": Out(1), "rest": Out(bits), "place": Out(bits_for(bits - 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Whether there is a one at a place or below it; the lowest one's place is how many places that is not true of.
        ones, below = Signal(self.bits), Signal(self.bits)
        m.d.comb += [
            ones.eq(smeared(self.value, up=True)),
            below.eq(ones << 1),
            self.any.eq(ones[-1]),
            self.rest.eq(self.value & below),
            *(bit.eq(parity) for bit, parity in zip(self.place, counted(~ones[:-1]), strict=True)),
        ]
        return m


def smeared(bits: Value, *, up: bool) -> Value:
    """For each bit, whether it or one below it (``up``: otherwise, above it) is 1."""
    step, width = 1, len(bits)
    while step < width:
        shifts = [(bits << step * times)[:width] if up else bits >> step * times for times in (1, 2, 3)]
        bits, step = bits | shifts[0] | shifts[1] | shifts[2], step * 4
    return bits


def counted(bits: Value) -> list[Value]:
    """Number of ones, lowest bit first, of bits of which none above the lowest 0 is 1."""
    size = len(bits)
    masks = [sum(1 << place - 1 for place in range(step, size + 1, step)) for step in _powers(size)]
    return [(bits & mask).xor() for mask in masks]


def _powers(limit: int) -> list[int]:
    return [1 << bit for bit in range(limit.bit_length())]
