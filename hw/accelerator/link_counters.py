"""Counts what goes over the links of one router."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from hw.component import Component

__all__ = ["LINKS", "LinkCounters"]

LINKS = 5
"""Outputs of a router."""


class LinkCounters(Component):
    """Flits and stalls of each output of a router, modulo 2^32, 0 at the start of a run.

    Members
    -------
    begins : a run begins with the next cycle.
    running : stalls are counted.
    moved, stalled : at each output a flit is taken in this cycle, or is there and not taken.
    port : the output that is shown; none beyond the last one.
    flits, stalls : its counts before this cycle.
    """

    shared = True

    def __init__(self) -> None:
        super().__init__(
            {
                "begins": In(1),
                "running": In(1),
                "moved": In(LINKS),
                "stalled": In(LINKS),
                "port": In(3),
                "flits": Out(32),
                "stalls": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, shown, events in (
            ("flits", self.flits, self.moved),
            ("stalls", self.stalls, self.stalled & self.running.replicate(LINKS)),
        ):
            counts = [Signal(32, name=f"{name}_{link}") for link in range(LINKS)]
            with m.If(self.begins):
                m.d.sync += [count.eq(0) for count in counts]
            with m.Elif(events.any()):
                m.d.sync += [count.eq(count + events[link]) for link, count in enumerate(counts)]
            with m.Switch(self.port):
                for link, count in enumerate(counts):
                    with m.Case(link):
                        m.d.comb += shown.eq(count)
        return m
