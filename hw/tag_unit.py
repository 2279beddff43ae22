"""The tags: one bit per row, and a second one where ``passes`` is ``two_tags``."""

from typing import Any

from amaranth.hdl import EnableInserter, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.component import RUN, Component, all_ones
from hw.config import TileConfig
from hw.passes import TAG_REGISTERS

__all__ = ["TagUnit"]


class TagUnit(Component):
    """Takes the matches of a compare, moves by row blocks, is loaded by the plane port; names the rows of a write.

    A compare begins with what is tagged (``keep``), with all rows (``ones``) or with none; its matches are added, or
    taken away (``remove``).

    **Latency**: one cycle.

    Members
    -------
    run : the tags may change in this cycle.
    match, set : rows that match, and whether they change the tags.
    keep, ones, remove, second : how, and which register (also which one names the rows of a write).
    shift_up, shift_down : the first register moves by one row block.
    load, plane : it takes a plane.
    tag : the first register. rows : the one that ``second`` names. other : the second register, or 0.
    """

    block = "tags"

    def __init__(self, config: TileConfig):
        self.config = config
        self.two = TAG_REGISTERS[config.passes] == 2
        rows = config.rows
        super().__init__(
            {
                "run": RUN,
                "match": In(rows),
                "set": In(1),
                "keep": In(1),
                "ones": In(1),
                "remove": In(1),
                "second": In(1),
                "shift_up": In(1),
                "shift_down": In(1),
                "load": In(1),
                "plane": In(rows),
                "tag": Out(rows),
                "rows": Out(rows),
            }
            | ({"other": Out(rows)} if self.two else {})
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        size = self.config.outputs
        tag = Signal(self.config.rows, reset_less=True)
        m.d.comb += self.tag.eq(tag)

        with m.If(self.set & (~self.second if self.two else 1)):
            self._take(m, tag)
        with m.Elif(self.shift_up):
            m.d.sync += tag.eq(tag.shift_left(size))
        with m.Elif(self.shift_down):
            m.d.sync += tag.eq(tag.shift_right(size))
        with m.Elif(self.load):
            m.d.sync += tag.eq(self.plane)

        if not self.two:
            m.d.comb += self.rows.eq(tag)
            return EnableInserter(self.run)(m)
        # Rows of two writes are marked before either is made, so that neither sees what the other did.
        other = Signal(self.config.rows, reset_less=True)
        with m.If(self.set & self.second):
            self._take(m, other)
        m.d.comb += [self.other.eq(other), self.rows.eq(Mux(self.second, other, tag))]
        return EnableInserter(self.run)(m)

    def _take(self, m: Module, tag: Signal) -> None:
        # A case for each beginning, so that a simulator works out no more than one.
        everything = all_ones(self.config.rows)
        with m.If(~self.remove):
            with m.If(self.keep):
                m.d.sync += tag.eq(tag | self.match)
            with m.Elif(self.ones):
                m.d.sync += tag.eq(everything)
            with m.Else():
                m.d.sync += tag.eq(self.match)
        with m.Elif(self.keep):
            m.d.sync += tag.eq(tag & ~self.match)
        with m.Elif(self.ones):
            m.d.sync += tag.eq(~self.match)
        with m.Else():
            m.d.sync += tag.eq(0)
