"""The command sequencer: turns the host's words into flits, goes and barriers.

::

    words --> command register --> checks --> RUN, WAIT, END: look whether all is idle
       |                              |
       +------------------------------+-----> WRITE: one flit for each word of its payload
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.accelerator.protocol import (
    ADDRESS_BITS,
    COMMAND_BITS,
    COUNT_BITS,
    UNIT_BITS,
    AcceleratorError,
    Command,
    unit_size,
)
from hw.component import Component

__all__ = ["COMMAND", "CommandSequencer"]

COMMAND = data.StructLayout(
    {"opcode": 8, "unit": UNIT_BITS, "address": ADDRESS_BITS, "count": COUNT_BITS, "destinations": 64}
)
"""A command, lowest bits first."""


class CommandSequencer(Component):
    """Executes a command stream; ``docs/accelerator.md`` says what commands mean.

    **Latency**: a word of a WRITE's payload is offered as a flit in the cycle in which it comes. A command acts in the
    cycle after its last word was taken, at the earliest: a RUN that sees all idle in that cycle t makes ``go`` high in
    t + 1, in which the next command's first word is taken; likewise a WAIT that sees its clusters idle in t, and an
    END, whose ``done`` is high from t + 1 on. **Throughput**: one word a cycle, no pause between commands.

    A WRITE is checked before its first flit is sent: DESTINATION, then UNIT, then ADDRESS. One of no words is checked
    for DESTINATION and UNIT, and sends nothing. After an error, and after a ``halt``, no word is taken and nothing
    starts until a reset.

    Members
    -------
    words : stream of F-bit words; taken only while ``running``.
    flits : stream to the mesh.
    start : begins a run, unless one runs or was stopped by an error or ``halt``; clears ``done`` and ``phases``.
    halt : stops for good, whatever runs.
    go : all armed units start in this cycle.
    clusters_idle, mesh_empty, host_empty : no unit of a cluster at work, no flit in a router, no word for the host.
    begins : ``start`` has its effect in this cycle.
    running : from the cycle after ``start`` to the one in which END sees all idle, or to an error or ``halt``.
    done : a run has ended with END, and none has begun since.
    error, error_unit, error_detail : the first error, kept; the unit and the detail are 0 where it has none.
    phases : goes of this run before this cycle.
    taken : a word is taken in this cycle.
    waiting_words : in this cycle only a word that is not there keeps it from going on.
    """

    block = "sequencer"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "words": In(stream.Signature(config.flit_bits)),
                "flits": Out(stream.Signature(flit_layout(config))),
                "start": In(1),
                "halt": In(1),
                "go": Out(1),
                "clusters_idle": In(config.clusters),
                "mesh_empty": In(1),
                "host_empty": In(1),
                "begins": Out(1),
                "running": Out(1),
                "done": Out(1),
                "error": Out(AcceleratorError),
                "error_unit": Out(UNIT_BITS),
                "error_detail": Out(32),
                "phases": Out(32),
                "taken": Out(1),
                "waiting_words": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, clusters = self.config, self.config.clusters
        command = Signal(COMMAND)
        complete = Signal()
        collect = Signal()
        send = Signal()

        # What this cycle's word is: a part of a command, or of a payload. A WRITE that has sent all of its payload is
        # not in the way of the next command.
        code = Signal(AcceleratorError)
        detail = Signal(32)
        fine = Signal()
        is_write = Signal()
        m.d.comb += [
            is_write.eq(command.opcode == Command.WRITE),
            fine.eq(code == AcceleratorError.NONE),
            collect.eq(self.running & (~complete | (is_write & fine & (command.count == 0)))),
            send.eq(self.running & complete & is_write & fine & (command.count != 0)),
        ]

        # Words go into the command, or to the mesh as they come.
        m.d.comb += [
            self.words.ready.eq(collect | (send & self.flits.ready)),
            self.flits.valid.eq(send & self.words.valid),
            self.flits.payload.destinations.eq(command.destinations[:clusters]),
            self.flits.payload.unit.eq(command.unit),
            self.flits.payload.address.eq(command.address),
            self.flits.payload.payload.eq(self.words.payload),
            self.taken.eq(self.words.valid & self.words.ready),
            self.waiting_words.eq((collect | (send & self.flits.ready)) & ~self.words.valid),
        ]
        parts = max(1, COMMAND_BITS // config.flit_bits)
        part = Signal(range(parts))
        last = Signal()
        m.d.comb += last.eq(part == parts - 1)
        with m.If(self.taken & collect):
            m.d.sync += [
                command.eq(Cat(command.as_value(), self.words.payload[:COMMAND_BITS])[-COMMAND_BITS:]),
                part.eq(Mux(last, 0, part + 1)),
                complete.eq(last),
            ]
        with m.If(self.taken & send):
            m.d.sync += [command.address.eq(command.address + 1), command.count.eq(command.count - 1)]

        # Checks of a complete command. The end of a WRITE's addresses stays the same while it goes on.
        size = Signal(ADDRESS_BITS + 1)
        end = Signal(ADDRESS_BITS + 1)
        named = Signal(clusters)
        with m.Switch(command.unit):
            for unit in range(1 << UNIT_BITS):
                if unit_size(unit, config):
                    with m.Case(unit):
                        m.d.comb += size.eq(unit_size(unit, config))
        m.d.comb += [
            end.eq(command.address + command.count),
            named.eq(command.destinations[:clusters]),
        ]
        foreign = command.destinations[clusters:].any()
        with m.If(complete), m.Switch(command.opcode):
            with m.Case(Command.WRITE):
                with m.If(foreign | ~named.any()):
                    m.d.comb += code.eq(AcceleratorError.DESTINATION)
                with m.Elif(size == 0):
                    m.d.comb += code.eq(AcceleratorError.UNIT)
                with m.Elif((command.count != 0) & (end > size)):
                    m.d.comb += code.eq(AcceleratorError.ADDRESS)
                    m.d.comb += detail.eq(Mux(command.address > size, command.address, size))
            with m.Case(Command.WAIT), m.If(foreign):
                m.d.comb += code.eq(AcceleratorError.BARRIER)
            with m.Case(Command.RUN, Command.END):
                pass
            with m.Default():
                m.d.comb += code.eq(AcceleratorError.OPCODE)
                m.d.comb += detail.eq(command.opcode)

        # Barriers.
        idle = Signal()
        stopped = Signal()
        m.d.comb += idle.eq(self.clusters_idle.all() & self.mesh_empty & self.host_empty)
        m.d.sync += self.go.eq(0)
        with m.If(self.running & complete & fine), m.Switch(command.opcode):
            with m.Case(Command.RUN), m.If(idle):
                m.d.sync += [self.go.eq(~self.halt), complete.eq(0)]
            with m.Case(Command.WAIT), m.If((self.clusters_idle | ~named).all() & self.mesh_empty):
                m.d.sync += complete.eq(0)
            with m.Case(Command.END), m.If(idle):
                m.d.sync += [self.running.eq(0), self.done.eq(~self.halt), complete.eq(0)]
        with m.If(self.go):
            m.d.sync += self.phases.eq(self.phases + 1)

        # A run begins, and ends early for good.
        m.d.comb += self.begins.eq(self.start & ~self.running & ~stopped)
        with m.If(self.begins):
            m.d.sync += [self.running.eq(1), self.done.eq(0), self.phases.eq(0), part.eq(0), complete.eq(0)]
        with m.If(self.running & ~fine):
            m.d.sync += [
                self.error.eq(code),
                self.error_detail.eq(detail),
                self.error_unit.eq(Mux(is_write, command.unit, 0)),
            ]
        with m.If(self.halt | (self.running & ~fine)):
            m.d.sync += [self.running.eq(0), stopped.eq(1)]
        return m
