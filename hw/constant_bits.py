"""The lowest one of a constant, so that zero bits below it take no time."""

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component

__all__ = ["LowestOne"]


class LowestOne(Component):
    """Combinational priority encoder.

    Parameters
    ----------
    bits : width of the value.

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
        # Whether all bits below a place are 0; the lowest one's place is how many places above 0 that is true of.
        zeros = [~self.value[:place].any() for place in range(self.bits)]
        m.d.comb += [
            self.any.eq(self.value.any()),
            self.rest.eq(Cat(bit & ~zero for bit, zero in zip(self.value, zeros, strict=True))),
            *(bit.eq(Cat(zeros[1 << index :: 1 << index]).xor()) for index, bit in enumerate(self.place)),
        ]
        return m
