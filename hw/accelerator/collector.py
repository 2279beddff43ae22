"""The collector of a MAP: takes what its CAPs store, one STORE operation after the other."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.component import Component

__all__ = ["Collector"]


class Collector(Component):
    """Joins the streams of some CAPs, by turns among those that were armed at the last go.

    The lowest armed CAP is first. Its turn lasts until the last word of a STORE has moved; then it is the next armed
    one's, after the highest the lowest's again. What the others offer waits, and so does all where none was armed.

    **Latency**: none; a word moves in the cycle in which both sides are ready. **Throughput**: one word a cycle, no
    cycle between two turns.

    Parameters
    ----------
    caps, width : streams that come in, and bits of a word.

    Members
    -------
    go, armed : in the cycle of a go, which CAPs start.
    words_0, words_1 .. : streams of the CAPs. last : the word that each offers is the last one of its STORE.
    words : the stream to the MAP.
    """

    def __init__(self, caps: int, width: int):
        self.caps = caps
        super().__init__(
            {
                "go": In(1),
                "armed": In(caps),
                "last": In(caps),
                "words": Out(stream.Signature(width)),
                **{f"words_{cap}": In(stream.Signature(width)) for cap in range(caps)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        members = Signal(self.caps)
        turn = Signal(self.caps)
        above = Signal(self.caps)

        # One bit of `turn` is set, or none: the lowest member's first, then that of the next one round.
        m.d.comb += above.eq(members & ~(turn | (turn - 1))[: self.caps])
        following = Mux(above.any(), _lowest(above), _lowest(members))
        with m.If(self.go):
            m.d.sync += [members.eq(self.armed), turn.eq(_lowest(self.armed))]
        with m.Elif(self.words.valid & self.words.ready & (turn & self.last).any()):
            m.d.sync += turn.eq(following)

        # The streams meet without a register in between.
        for cap in range(self.caps):
            source = getattr(self, f"words_{cap}")
            with m.If(turn[cap]):
                m.d.comb += [
                    self.words.payload.eq(source.payload),
                    self.words.valid.eq(source.valid),
                    source.ready.eq(self.words.ready),
                ]
        return m


def _lowest(bits: Value) -> Value:
    """The lowest 1 alone."""
    return bits & (~bits + 1)[: len(bits)]
