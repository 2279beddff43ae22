"""The queue of finished beats, and which tiles have taken the one at its head."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.accelerator.config import AcceleratorConfig
from hw.component import Component

__all__ = ["GatherQueue"]


class GatherQueue(Component):
    """First-word-fall-through queue of ``gather_queue`` beats, whose head every receiver takes once.

    **Latency**: a beat that is pushed shows in the next cycle, as does the one after a head that was taken by all.
    **Throughput**: one beat a cycle.

    Members
    -------
    push, pushed : a beat comes in; not while ``full``, even if one goes at the same time.
    receivers : tiles that take every beat.
    beat, beat_valid : the head, and for each tile whether it may take it.
    beat_taken : the tiles that take it.
    occupied, full : as the cycle began.
    """

    block = "queue"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        size = config.lanes * config.outputs
        super().__init__(
            {
                "push": In(1),
                "pushed": In(size),
                "receivers": In(config.tiles),
                "beat": Out(size),
                "beat_valid": Out(config.tiles),
                "beat_taken": In(config.tiles),
                "occupied": Out(1),
                "full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.gather_queue

        # The beats, around a ring.
        m.submodules.ring = ring = memory.Memory(
            shape=unsigned(self.config.lanes * self.config.outputs), depth=depth, init=[]
        )
        write, read = ring.write_port(), ring.read_port(domain="comb")
        head = Signal(range(depth))
        tail = Signal(range(depth))
        pop = Signal()
        for pointer, moves in ((head, pop), (tail, self.push)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
        m.d.comb += [
            write.addr.eq(tail),
            write.data.eq(self.pushed),
            write.en.eq(self.push),
            read.addr.eq(head),
            self.beat.eq(read.data),
        ]

        # How many there are; full and occupied are registers, as the whole unit hangs on them.
        count = Signal(range(depth + 1))
        following = Signal(bits_for(depth + 1))
        m.d.comb += following.eq(count + self.push - pop)
        m.d.sync += [count.eq(following), self.full.eq(following == depth), self.occupied.eq(following != 0)]

        # The head goes once all receivers have it, which need not be at the same time.
        missing = Signal(self.config.tiles)
        done = Signal(self.config.tiles)
        m.d.comb += [
            missing.eq(self.receivers & ~done),
            self.beat_valid.eq(Mux(self.occupied, missing, 0)),
            pop.eq(self.occupied & ~(missing & ~self.beat_taken).any()),
        ]
        m.d.sync += done.eq(Mux(pop, 0, done | (self.beat_valid & self.beat_taken)))
        return m
