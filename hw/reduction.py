"""Where a REDUCE stands in its tree: the level, how far its pairs are apart, and which row blocks add."""

from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import RUN, Component
from hw.config import TileConfig

__all__ = ["ReductionTree"]


class ReductionTree(Component):
    """Levels and pairs of a sum of n words, 2..taps: level 0 joins blocks 2^(L-1) apart, the last one neighbours.

    **Latency**: outputs change one cycle after ``start``, ``next_level`` or ``next_pair``.

    Members
    -------
    run : it moves in this cycle.
    start : start with ``words`` (at least 2) words.
    next_level, next_pair : go on.
    pairwise : one pair at a time.
    distance : row blocks between the words of a pair.
    segment : blocks of a segment minus one. first, limit : the blocks of a segment that add now, the limit excluded.
    partners : how many of a segment's blocks have a word to add; the others add 0.
    last_level, last_pair : nothing comes after.
    """

    block = "tree"

    def __init__(self, config: TileConfig):
        self.config = config
        bits = bits_for(config.taps)
        super().__init__(
            {
                "run": RUN,
                "start": In(1),
                "words": In(bits),
                "next_level": In(1),
                "next_pair": In(1),
                "pairwise": In(1),
                "distance": Out(bits),
                "segment": Out(bits),
                "first": Out(bits),
                "limit": Out(bits),
                "partners": Out(bits),
                "last_level": Out(1),
                "last_pair": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        bits = len(self.words)

        # The highest word's number: its top bit is the first distance, all bits below and with it the segment.
        highest = Signal(bits)
        spread = Signal(bits)
        top = Signal(bits)
        m.d.comb += [
            highest.eq(self.words - 1),
            spread.eq(Cat(highest[bit:].any() for bit in range(bits))),
            top.eq(spread ^ (spread >> 1)),
            self.last_level.eq(self.distance == 1),
            self.last_pair.eq(1),
        ]
        with m.If(self.start):
            m.d.sync += self.distance.eq(top)
        with m.Elif(self.next_level):
            m.d.sync += self.distance.eq(self.distance >> 1)
        if not self.config.vertical:
            return EnableInserter(self.run)(m)

        # In level 0 the words beyond a power of two have partners, and the others are only extended.
        pair = Signal(bits)
        with m.If(self.start):
            m.d.sync += [self.segment.eq(spread), self.partners.eq(self.words - top), pair.eq(0)]
        with m.Elif(self.next_level):
            m.d.sync += [self.partners.eq(self.distance >> 1), pair.eq(0)]
        with m.Elif(self.next_pair):
            m.d.sync += pair.eq(pair + 1)
        m.d.comb += [
            self.first.eq(Mux(self.pairwise, pair, 0)),
            self.limit.eq(Mux(self.pairwise, pair + 1, self.distance)),
            self.last_pair.eq(~self.pairwise | (pair + 1 == self.distance)),
        ]
        return EnableInserter(self.run)(m)
