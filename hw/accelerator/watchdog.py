"""The watchdog: notices that a run gets no further."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from hw.component import Component

__all__ = ["Watchdog"]


class Watchdog(Component):
    """Counts cycles of a run in which nothing moves.

    Members
    -------
    running : a run is under way; otherwise nothing is counted.
    progress : something moves or works in this cycle.
    limit : so many cycles without progress, one after the other, are too many; 0 for never.
    bites : the cycles before this one were too many.
    """

    def __init__(self) -> None:
        super().__init__({"running": In(1), "progress": In(1), "limit": In(32), "bites": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        quiet = Signal(32)
        m.d.comb += self.bites.eq(self.running & (self.limit != 0) & (quiet >= self.limit))
        with m.If(~self.running | self.progress):
            m.d.sync += quiet.eq(0)
        with m.Elif(~quiet.all()):
            m.d.sync += quiet.eq(quiet + 1)
        return m
