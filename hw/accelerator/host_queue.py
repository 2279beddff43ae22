"""Words on their way to the host: a short queue with the ports of an AXI4-Stream master."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.component import Component

__all__ = ["HostQueue"]


class HostQueue(Component):
    """Two words that wait for the host; unit and address of their flits are not kept.

    **Latency**: a flit that is taken in one cycle is offered as a word in the next. **Throughput**: one a cycle.
    ``ready`` and ``valid`` are functions of registers alone.

    Members
    -------
    flits : stream of flits.
    words : stream of F-bit words.
    last : with a word: it is the ``packet_words``-th one since the last such word, or since the reset; 0 for none.
    packet_words : changes only while no word is there, or never.
    empty : no word waits.
    """

    block = "queue"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "flits": In(stream.Signature(flit_layout(config))),
                "words": Out(stream.Signature(config.flit_bits)),
                "last": Out(1),
                "packet_words": In(32),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head = Signal(self.config.flit_bits)
        behind = Signal(self.config.flit_bits)
        count = Signal(range(3))
        push = Signal()
        pop = Signal()
        m.d.comb += [
            self.flits.ready.eq(~count[1]),
            self.words.valid.eq(count != 0),
            self.words.payload.eq(head),
            self.empty.eq(count == 0),
            push.eq(self.flits.valid & self.flits.ready),
            pop.eq(self.words.valid & self.words.ready),
        ]

        # The head is a register, so that what is offered comes out of one.
        m.d.sync += count.eq(count + push - pop)
        with m.If(push):
            m.d.sync += behind.eq(self.flits.payload.payload)
        with m.If(pop | (count == 0)):
            m.d.sync += head.eq(Mux(count[1], behind, self.flits.payload.payload))

        # Packets.
        position = Signal(32)
        m.d.comb += self.last.eq(position + 1 == self.packet_words)
        with m.If(pop):
            m.d.sync += position.eq(Mux(self.last | (self.packet_words == 0), 0, position + 1))
        return m
