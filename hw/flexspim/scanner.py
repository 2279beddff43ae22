"""The event scanner: words of events in, one event after the other out."""

from typing import Any

from amaranth.hdl import EnableInserter, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.component import RUN, Component
from hw.constant_bits import LowestOne
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import EVENT_END, POSITION_BITS, Y_BITS, EventKind
from hw.flexspim.layouts import EVENT

__all__ = ["EventScanner"]


class EventScanner(Component):
    """Takes bitmaps or addresses and shows the next event.

    **Latency**: the event of a word that is taken in one cycle is shown in the next one. **Throughput**: a word without
    events, or an event, in each cycle in which nothing is shown or what is shown is taken.

    Members
    -------
    run : the scanner moves in this cycle.
    words : stream of words; the scanner never waits by itself, ``needs`` says that this cycle looks at a word.
    takes : with ``needs``, the word is used up in this cycle.
    start : words follow from the next cycle on: of this ``kind``, bitmaps of ``lines`` of ``line_words`` words each.
    busy : there are words to come, or an event is shown.
    shown, event : the next event. take : it is done with.
    """

    block = "scanner"

    def __init__(self, config: MacroConfig):
        self.config = config
        super().__init__(
            {
                "run": RUN,
                "words": In(stream.Signature(config.event_bits)),
                "needs": Out(1),
                "takes": Out(1),
                "start": In(1),
                "kind": In(EventKind),
                "lines": In(12),
                "line_words": In(16),
                "busy": Out(1),
                "shown": Out(1),
                "event": Out(EVENT),
                "take": In(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        bits = self.config.event_bits
        m.submodules.lowest = lowest = LowestOne(bits)
        scanning, addresses = Signal(name="scanning"), Signal(name="addresses")
        pending, word = Signal(bits, name="pending"), Signal(bits, name="word")
        line, first = Signal(12, name="line"), Signal(POSITION_BITS + 8, name="first_position")
        words_left, looks, empty = Signal(16, name="words_left"), Signal(name="looks"), Signal(name="no_event")
        found, ends = Signal(name="found"), Signal(name="ends_line")

        m.d.comb += [
            looks.eq(scanning & (~self.shown | self.take)),
            self.needs.eq(looks & ~pending.any()),
            word.eq(Mux(pending.any(), pending, self.words.payload)),
            lowest.value.eq(word),
            empty.eq(Mux(addresses, word[EVENT_END], ~lowest.any)),
            found.eq(looks & ~empty),
            # A word is used up when the last of its events is found.
            self.takes.eq(looks & (addresses | ~lowest.rest.any())),
            self.words.ready.eq(self.needs),
            self.busy.eq(scanning | self.shown),
            ends.eq(words_left == 1),
        ]
        with m.If(self.take | ~self.shown):
            m.d.sync += self.shown.eq(found)
        with m.If(found):
            m.d.sync += [
                self.event.position.eq(Mux(addresses, word[:POSITION_BITS], first + lowest.place)),
                self.event.y.eq(Mux(addresses, word[POSITION_BITS : POSITION_BITS + Y_BITS], line)),
            ]
        with m.If(looks & ~addresses):
            m.d.sync += pending.eq(lowest.rest)
            with m.If(self.takes):
                m.d.sync += [words_left.eq(Mux(ends, self.line_words, words_left - 1))]
                m.d.sync += first.eq(Mux(ends, 0, first + bits))
                with m.If(ends):
                    m.d.sync += line.eq(line + 1)
                    with m.If(line == self.lines - 1):
                        m.d.sync += scanning.eq(0)
        with m.If(looks & addresses & empty):
            m.d.sync += scanning.eq(0)
        with m.If(self.start):
            m.d.sync += [
                scanning.eq(1),
                addresses.eq(self.kind == EventKind.ADDRESSES),
                words_left.eq(self.line_words),
                line.eq(0),
                first.eq(0),
                pending.eq(0),
            ]
        return EnableInserter(self.run)(m)
