"""The lowest one of a constant, so that zero bits below it take no time."""

from amaranth.hdl import Module
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
    value : the bits. place : of the lowest one; ``bits`` where there is none. rest : the value without it.
    """

    block = "lowest"

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"value": In(bits), "rest": Out(bits), "place": Out(bits_for(bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.place.eq(self.bits), self.rest.eq(self.value & (self.value - 1))]
        for bit in reversed(range(self.bits)):
            with m.If(self.value[bit]):
                m.d.comb += self.place.eq(bit)
        return m
