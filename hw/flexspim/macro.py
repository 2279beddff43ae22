"""One macro::

    program ---> buffer ---> sequencer ---> bank: rows of cells <--- rows_in
    events ----> scanner ------^              | two bit lines    ---> rows_out
                                           columns: adders       ---> spikes
                                              |
                                           counters

The macro is a lockstep machine: in a cycle in which it needs a word that a stream does not have, or has a word that a
stream does not take, nothing in it moves.  So the cycles of a run are its law plus its stalls, exactly.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component, all_ones
from hw.counter_map import COUNTER_BITS
from hw.flexspim.bank import RowBank
from hw.flexspim.columns import Columns
from hw.flexspim.config import MacroConfig
from hw.flexspim.counter_map import MACRO_COUNTERS
from hw.flexspim.counters import MacroCounters
from hw.flexspim.isa import MacroError, MacroOpcode
from hw.flexspim.layouts import instruction_layout
from hw.flexspim.scanner import EventScanner
from hw.flexspim.sequencer import MacroSequencer
from hw.isa import INSTRUCTION_BITS
from hw.program_buffer import ProgramBuffer

__all__ = ["Macro"]

_PLANES = ("start", "full", "last", "weight")


class Macro(Component):
    """A compute-in-memory macro for spiking networks; ``docs/flexspim.md`` is its contract.

    **Latency**: the first instruction is decoded two cycles after the header was taken; ``done`` rises one cycle after
    HALT was decoded. **Throughput**: one row operation per cycle.

    Members
    -------
    program : stream of 128-bit words, a header and its instructions.
    rows_in, rows_out : streams of rows; ``rows_in`` takes control planes as well.
    events : stream of words with input events.
    spikes : stream of words with a bit at the start column of each operand that spikes.
    done : a program has ended and none has begun since.
    error, error_address : sticky code (:class:`hw.flexspim.isa.MacroError`) and address of the instruction that raised
        it; only a reset clears them.
    counter_index, counter_value : the counter port, see :mod:`hw.flexspim.counter_map`.
    """

    def __init__(self, config: MacroConfig):
        self.config = config
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "rows_in": In(stream.Signature(config.columns)),
                "events": In(stream.Signature(config.event_bits)),
                "rows_out": Out(stream.Signature(config.columns)),
                "spikes": Out(stream.Signature(config.columns)),
                "done": Out(1),
                "error": Out(MacroError),
                "error_address": Out(32),
                "counter_index": In(bits_for(len(MACRO_COUNTERS) - 1)),
                "counter_value": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config: Any = self.config
        run = Signal()
        m.submodules.program_buffer = buffer = ProgramBuffer(config)
        m.submodules.sequencer = sequencer = MacroSequencer(config)
        m.submodules.scanner = scanner = EventScanner(config)
        m.submodules.columns = columns = Columns(config)
        m.submodules.bank = bank = RowBank(config.rows, config.columns)
        m.submodules.counters = counters = MacroCounters(config)
        planes = {name: Signal(config.columns, name=f"{name}_plane", reset_less=True) for name in _PLANES}

        # Lockstep: every stream that this cycle needs must move, or nothing does.
        has_row, has_event = Signal(name="has_row"), Signal(name="has_event")
        has_room = Signal(name="has_room")
        m.d.comb += [
            has_row.eq(~sequencer.needs_rows | self.rows_in.valid),
            has_event.eq(~scanner.needs | self.events.valid),
            has_room.eq(
                (~sequencer.needs_out | self.rows_out.ready) & (~sequencer.needs_spikes | self.spikes.ready)
            ),
            run.eq(~sequencer.starved & has_row & has_event & has_room),
            *(part.run.eq(run) for part in (buffer, sequencer, scanner, columns)),
            self.rows_in.ready.eq(sequencer.needs_rows & has_event),
            self.events.ready.eq(scanner.needs & has_row),
            scanner.words.payload.eq(self.events.payload),
            scanner.words.valid.eq(self.events.valid),
            self.rows_out.payload.eq(bank.data_b),
            self.rows_out.valid.eq(sequencer.needs_out),
            self.spikes.payload.eq(columns.spikes),
            self.spikes.valid.eq(sequencer.needs_spikes),
        ]  # fmt: skip

        # Program to sequencer.
        wiring.connect(m, wiring.flipped(self.program), buffer.program)
        for name in ("start", "header_error", "available", "ended", "overflow", "counter", "in_loop", "loops_full"):
            m.d.comb += getattr(sequencer, name).eq(getattr(buffer, name))
        for name in ("idle", "advance", "loop", "loop_end"):
            m.d.comb += getattr(buffer, name).eq(getattr(sequencer, name))
        m.d.comb += [
            sequencer.word.eq(buffer.instruction.as_value()),
            sequencer.running.eq(buffer.running.as_value()),
        ]

        # Events to sequencer.
        kind = Signal(instruction_layout(MacroOpcode.EVENTS), name="events_word")
        m.d.comb += [
            kind.as_value().eq(sequencer.word),
            scanner.start.eq(sequencer.scan),
            scanner.kind.eq(kind.kind),
            scanner.lines.eq(sequencer.layer.height),
            scanner.line_words.eq(sequencer.layer.line_words),
            scanner.take.eq(sequencer.take),
            sequencer.shown.eq(scanner.shown),
            sequencer.event.eq(scanner.event),
            sequencer.scanner_busy.eq(scanner.busy),
        ]

        # Rows to columns, and back.
        for number, name in enumerate(_PLANES):
            with m.If(run & sequencer.load_plane[number]):
                m.d.sync += planes[name].eq(self.rows_in.payload)
            m.d.comb += getattr(columns, name).eq(planes[name])
        m.d.comb += [
            bank.row_a.eq(sequencer.row_a),
            bank.row_b.eq(sequencer.row_b),
            columns.data_a.eq(bank.data_a),
            columns.data_b.eq(bank.data_b),
            columns.operation.eq(sequencer.operation),
            bank.write.eq(
                Mux(run, Mux(sequencer.load_row, all_ones(config.columns), columns.write), 0)
            ),
            bank.value.eq(Mux(sequencer.load_row, self.rows_in.payload, columns.value)),
            sequencer.any_spike.eq(columns.any_spike),
            sequencer.any_overflow.eq(columns.any_overflow),
            sequencer.malformed.eq(columns.malformed),
        ]  # fmt: skip

        # What a host sees.
        m.d.comb += [
            counters.clear.eq(buffer.start),
            counters.counted.eq(sequencer.counted),
            counters.stalled.eq(~run),
            counters.decoding.eq(sequencer.decoding),
            counters.moving.eq(sequencer.moving),
            counters.operates.eq(sequencer.operation.valid),
            counters.last_row.eq(sequencer.operation.last_row),
            counters.plane.eq(self.rows_in.payload),
            counters.load_plane.eq(sequencer.load_plane),
            counters.spikes.eq(columns.spikes),
            counters.spiked.eq(sequencer.needs_spikes),
            counters.instruction.eq(sequencer.executed),
            counters.taken.eq(sequencer.taken),
            counters.resets.eq(sequencer.resets),
            counters.clips.eq(sequencer.clips),
            counters.synaptic.eq(sequencer.synaptic),
            counters.row_in.eq(sequencer.needs_rows),
            counters.row_out.eq(sequencer.needs_out),
            counters.event_word.eq(scanner.needs),
            counters.spike_word.eq(sequencer.needs_spikes),
            counters.index.eq(self.counter_index),
            self.counter_value.eq(counters.value),
            self.done.eq(sequencer.done),
            self.error.eq(sequencer.error),
            self.error_address.eq(sequencer.error_address),
        ]
        return m
