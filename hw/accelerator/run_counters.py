"""Counts a run from its start to its end: cycles, phases, and words of the host's streams."""

from amaranth.hdl import Module
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from hw.accelerator.register_map import LOG_ENTRIES
from hw.component import Component

__all__ = ["RunCounters"]


class RunCounters(Component):
    """Counters of the host port, 0 at the start of a run.

    **Latency**: what happens in a cycle is counted in the next one; ``phase_cycle`` a cycle after ``phase_select``.

    Members
    -------
    begins : a run begins with the next cycle, its cycle 0.
    running : this cycle is one of the run.
    go, phase : phase ``phase`` begins in this cycle.
    word_in, word_out : a word of a host's stream moves in this cycle.
    waits_in, waits_out : the next word in is missing, or a word out is not taken.
    cycles : cycles of the run before this one.
    phase_select, phase_cycle : the log: the run's cycle in which a phase began, for the last ``LOG_ENTRIES`` phases.
    words_in, words_out, waiting_in, waiting_out : counts modulo 2^32, of waits only while ``running``.
    """

    block = "counters"

    def __init__(self) -> None:
        super().__init__(
            {
                "begins": In(1),
                "running": In(1),
                "go": In(1),
                "phase": In(32),
                "word_in": In(1),
                "word_out": In(1),
                "waits_in": In(1),
                "waits_out": In(1),
                "cycles": Out(64),
                "phase_select": In(range(LOG_ENTRIES)),
                "phase_cycle": Out(64),
                "words_in": Out(32),
                "words_out": Out(32),
                "waiting_in": Out(32),
                "waiting_out": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for count, event in (
            (self.cycles, self.running),
            (self.words_in, self.word_in),
            (self.words_out, self.word_out),
            (self.waiting_in, self.running & self.waits_in),
            (self.waiting_out, self.running & self.waits_out),
        ):
            with m.If(self.begins):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)

        # The log is a memory, as phases may be many.
        m.submodules.log = log = memory.Memory(shape=64, depth=LOG_ENTRIES, init=[])
        write, read = log.write_port(), log.read_port()
        m.d.comb += [
            write.addr.eq(self.phase),
            write.data.eq(self.cycles),
            write.en.eq(self.go),
            read.addr.eq(self.phase_select),
            read.en.eq(1),
            self.phase_cycle.eq(read.data),
        ]
        return m
