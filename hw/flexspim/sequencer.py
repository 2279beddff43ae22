"""The sequencer: expands instructions and events into one row operation per cycle.

::

    DECODE --> OPERATE ...                       rows of a slice, slice by slice; further passes where they are needed
       |-----> EVENTS ...                        the same for each place that an event reaches
       |-----> SHAPE, CHECK | LOAD | STORE       rows and planes between streams and array
       +-----> SETTLE                            numbers of rows of a layer
"""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import RUN, Component
from hw.flexspim.config import MacroConfig
from hw.flexspim.decoder import MacroDecoder
from hw.flexspim.isa import MacroError, MacroOpcode, ResetKind
from hw.flexspim.layer import LayerRegisters
from hw.flexspim.layouts import EVENT, instruction_layout, layer_layout, row_operation
from hw.flexspim.walk import EventWalk
from hw.isa import INSTRUCTION_BITS

__all__ = ["MacroSequencer"]

PLANES = 4
"""Control planes of a shape: start, full, last, weight."""


class MacroSequencer(Component):
    """Decodes, checks and executes instructions; ``golden/flexspim/laws.py`` says what each costs.

    **Latency**: one decode cycle per instruction, then its body. **Throughput**: no cycle between two row operations.

    Members
    -------
    run : the sequencer moves in this cycle.
    start, header_error, word, running, available, ended, overflow, counter, in_loop, loops_full, advance, loop,
    loop_end : the program buffer's side, see :class:`hw.program_buffer.ProgramBuffer`.
    shown, event, take, scanner_busy, scan, line_words, lines : the event scanner's side; ``scan`` starts it.
    layer : sizes and rows of the layer.
    operation : what columns do in this cycle. any_spike, any_overflow, malformed : what they say.
    row_a, row_b : rows that are read.
    load_row : row b is written with the row that comes in. store_row : row b goes out.
    load_plane : the plane of this number is what comes in.
    needs_rows, needs_out, needs_spikes : this cycle moves a beat of that stream.
    saturate : sums are clipped.
    idle : no program runs. done : the last one has ended. starved : the next instruction is still to arrive.
    counted : this cycle belongs to the run. decoding, moving : what it is spent on.
    executed, taken, resets, clips, synaptic : an instruction was decoded, an event was taken, a slice is reset, is
        clipped, has its last row of weights added.
    error, error_address : sticky.
    """

    block = "sequencer"

    def __init__(self, config: MacroConfig):
        self.config = config
        row = bits_for(config.rows - 1)
        super().__init__(
            {
                "run": RUN,
                "start": In(1),
                "header_error": In(4),
                "word": In(INSTRUCTION_BITS),
                "running": In(INSTRUCTION_BITS),
                "available": In(1),
                "ended": In(1),
                "overflow": In(1),
                "counter": In(32),
                "in_loop": In(1),
                "loops_full": In(1),
                "advance": Out(1),
                "loop": Out(1),
                "loop_end": Out(1),
                "shown": In(1),
                "event": In(EVENT),
                "take": Out(1),
                "scanner_busy": In(1),
                "scan": Out(1),
                "layer": Out(layer_layout(config)),
                "operation": Out(row_operation()),
                "any_spike": In(1),
                "any_overflow": In(1),
                "malformed": In(1),
                "row_a": Out(row),
                "row_b": Out(row),
                "load_row": Out(1),
                "store_row": Out(1),
                "load_plane": Out(PLANES),
                "needs_rows": Out(1),
                "needs_out": Out(1),
                "needs_spikes": Out(1),
                "idle": Out(1),
                "done": Out(1),
                "starved": Out(1),
                "counted": Out(1),
                "decoding": Out(1),
                "moving": Out(1),
                "executed": Out(1),
                "taken": Out(1),
                "resets": Out(1),
                "clips": Out(1),
                "synaptic": Out(1),
                "error": Out(MacroError),
                "error_address": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.decoder = self._decoder = MacroDecoder(self.config)
        m.submodules.layer = self._registers = LayerRegisters(self.config)
        m.submodules.walk = self._walk = EventWalk(self.config)
        self._state(m)
        self._operate(m)
        with m.FSM(name="state") as machine:
            self._idle_and_decode(m)
            self._move(m)
            with m.State("OPERATE"):
                m.d.comb += self._operation.valid.eq(1)
                with m.If(self._slice_ends & (self._left == 1)):
                    m.next = "DECODE"
            self._events(m)
            with m.State("ERROR"):
                pass
        settling, decoding = machine.ongoing("SETTLE"), machine.ongoing("DECODE")
        m.d.comb += [
            self.idle.eq(machine.ongoing("IDLE")),
            self.decoding.eq(decoding | settling | machine.ongoing("CHECK")),
            self.counted.eq(
                ~Cat(machine.ongoing(state) for state in ("IDLE", "START", "ERROR")).any()
                & (~decoding | self._accepted | self.starved)
            ),
            self.moving.eq(self.needs_rows | self.needs_out),
            self.error_address.eq(Mux(machine.ongoing("ERROR"), self.counter - self._late, 0)),
        ]
        return EnableInserter(self.run)(m)

    def _state(self, m: Module) -> None:
        """Shape, layer, and where the running instruction stands."""
        row = len(self.row_a)
        self._weight_rows, self._potential_rows = Signal(8, name="weight_rows"), Signal(8, name="potential_rows")
        self._saturate = Signal(name="saturate")
        self._known = {name: Signal(name=f"{name}_known") for name in ("shape", "input", "layer", "channel")}
        self._a, self._b = Signal(row, name="first_row_a"), Signal(row, name="first_row_b")
        self._place_a, self._place_b = Signal(row, name="place_a"), Signal(row, name="place_b")
        self._line_a, self._line_b = Signal(row, name="line_a"), Signal(row, name="line_b")
        self._row = Signal(7, name="row_of_slice")
        self._left = Signal(16, name="slices_left")
        self._places_left, self._places = Signal(13, name="places_left"), Signal(13, name="places_in_line")
        self._lines_left = Signal(13, name="lines_left")
        self._working, self._fetching = Signal(name="working"), Signal(name="fetching")
        self._resetting, self._clipping = Signal(name="resetting"), Signal(name="clipping")
        self._channel = Signal(16, name="channel_in_array")
        self._late = Signal(name="error_in_body")
        self._now = {
            opcode: Signal(instruction_layout(opcode), name=f"running_{opcode.name.lower()}")
            for opcode in (MacroOpcode.SHAPE, MacroOpcode.LOAD, MacroOpcode.FIRE)
        }
        self._next = {
            opcode: Signal(instruction_layout(opcode), name=f"next_{opcode.name.lower()}")
            for opcode in (MacroOpcode.SHAPE, MacroOpcode.LOAD, MacroOpcode.FIRE)
        }
        # One signal per field: bits of a structure that nothing drives would come out as a process that never runs.
        fields = {name: Signal(field.shape, name=f"operation_{name}") for name, field in self.operation.shape()}
        self._operation = SimpleNamespace(**fields)
        m.d.comb += [
            *(self.operation[name].eq(signal) for name, signal in fields.items()),
            *(fields.as_value().eq(self.running) for fields in self._now.values()),
            *(fields.as_value().eq(self.word) for fields in self._next.values()),
            self._registers.run.eq(self.run),
            self._registers.word.eq(self.word),
            self._registers.weight_rows.eq(self._weight_rows),
            self._registers.potential_rows.eq(self._potential_rows),
            self.layer.eq(self._registers.layer),
            self._walk.layer.eq(self._registers.layer),
            self._walk.event.eq(self.event),
            self._decoder.word.eq(self.word),
            self._decoder.weight_rows.eq(self._weight_rows),
            self._decoder.potential_rows.eq(self._potential_rows),
            *(getattr(self._decoder, f"{name}_known").eq(self._known[name]) for name in ("shape", "input", "layer")),
            self._decoder.outside.eq(self._registers.outside),
            self._decoder.overlap.eq(self._registers.overlap),
            self._decoder.in_loop.eq(self.in_loop),
            self._decoder.loops_full.eq(self.loops_full),
        ]

    def _runs(self, *opcodes: MacroOpcode) -> Value:
        """Whether the running instruction is one of these."""
        return Cat(self.running[:8] == opcode for opcode in opcodes).any()

    def _decodes(self, *opcodes: MacroOpcode) -> Value:
        """Whether the instruction in decode is one of these."""
        return Cat(self.word[:8] == opcode for opcode in opcodes).any()

    def _fail(self, m: Module, code: MacroError | Value, *, late: bool = False) -> None:
        m.d.sync += [self.error.eq(code), self._late.eq(late)]
        m.next = "ERROR"

    def _idle_and_decode(self, m: Module) -> None:
        self._accepted = Signal(name="accepted")
        m.d.comb += self._accepted.eq(self.available & (self._decoder.error == MacroError.NONE))
        with m.State("IDLE"), m.If(self.start):
            m.d.sync += self.done.eq(0)
            m.next = "START"
            with m.If(self.header_error != 0):
                self._fail(m, self.header_error)
        with m.State("START"):
            m.next = "DECODE"
        with m.State("DECODE"):
            with m.If(self.ended):
                self._fail(m, MacroError.END)
            with m.Elif(self.overflow):
                self._fail(m, MacroError.LOOP_LENGTH)
            with m.Elif(~self.available):
                m.d.comb += self.starved.eq(1)
            with m.Elif(~self._accepted):
                self._fail(m, self._decoder.error)
            with m.Else():
                m.d.comb += [
                    self.executed.eq(1),
                    self.advance.eq(1),
                    self.loop.eq(self._decodes(MacroOpcode.LOOP)),
                    self.loop_end.eq(self._decodes(MacroOpcode.END)),
                    self.scan.eq(self._decodes(MacroOpcode.EVENTS)),
                    self._registers.load_input.eq(self._decodes(MacroOpcode.INPUT)),
                    self._registers.load_output.eq(self._decodes(MacroOpcode.OUTPUT)),
                ]
                self._dispatch(m)

    def _dispatch(self, m: Module) -> None:
        """Where an instruction begins."""
        op, move, shape = (self._next[one] for one in (MacroOpcode.FIRE, MacroOpcode.LOAD, MacroOpcode.SHAPE))
        moves = self._decodes(MacroOpcode.LOAD, MacroOpcode.STORE)
        m.d.sync += [
            self._a.eq(op.operand),
            self._b.eq(Mux(moves, move.first, op.potentials)),
            self._left.eq(Mux(moves, move.rows, op.slices)),
            self._row.eq(0),
            self._resetting.eq(self._decodes(MacroOpcode.RESET)),
            self._clipping.eq(0),
            self._working.eq(0),
            self._fetching.eq(0),
            self._known["channel"].eq(0),
        ]
        with m.Switch(self.word[:8]):
            with m.Case(MacroOpcode.HALT):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
            with m.Case(MacroOpcode.SHAPE):
                m.d.sync += [
                    self._weight_rows.eq(shape.weight_rows),
                    self._potential_rows.eq(shape.potential_rows),
                    self._saturate.eq(shape.saturate if self.config.saturation else 0),
                    *(self._known[name].eq(0) for name in ("shape", "input", "layer")),
                    self._left.eq(PLANES),
                ]
                m.next = "SHAPE"
            with m.Case(MacroOpcode.LOAD):
                m.next = "LOAD"
            with m.Case(MacroOpcode.STORE):
                m.next = "STORE"
            with m.Case(MacroOpcode.INPUT):
                m.d.sync += [self._known["input"].eq(self._known["shape"]), self._known["layer"].eq(0)]
            with m.Case(MacroOpcode.OUTPUT):
                m.next = "SETTLE"
            with m.Case(MacroOpcode.EVENTS):
                m.next = "EVENTS"
            with m.Case(MacroOpcode.LOOP, MacroOpcode.END):
                pass
            with m.Default():
                m.next = "OPERATE"

    def _move(self, m: Module) -> None:
        """Rows and planes between streams and array."""
        with m.State("SHAPE"):
            m.d.comb += [
                self.needs_rows.eq(1),
                *(self.load_plane[number].eq(self._left == PLANES - number) for number in range(PLANES)),
            ]
            m.d.sync += self._left.eq(self._left - 1)
            with m.If(self._left == 1):
                m.next = "CHECK"
        with m.State("CHECK"):
            m.next = "DECODE"
            m.d.sync += self._known["shape"].eq(1)
            with m.If(self.malformed):
                self._fail(m, MacroError.SHAPE, late=True)
        for state, needs, moves in (
            ("LOAD", self.needs_rows, self.load_row),
            ("STORE", self.needs_out, self.store_row),
        ):
            with m.State(state):
                m.d.comb += [needs.eq(1), moves.eq(1)]
                m.d.sync += [self._b.eq(self._b + 1), self._left.eq(self._left - 1)]
                with m.If(self._left == 1):
                    m.next = "DECODE"
        with m.State("SETTLE"), m.If(self._registers.settled):
            m.d.sync += self._known["layer"].eq(1)
            m.next = "DECODE"

    def _operate(self, m: Module) -> None:
        """One row operation, and what follows it."""
        op, kind = self._operation, self._now[MacroOpcode.FIRE].kind
        weighted = self._runs(MacroOpcode.ACCUMULATE, MacroOpcode.EVENTS) & ~self._clipping
        compares = self._runs(MacroOpcode.COMPARE, MacroOpcode.FIRE) & ~self._resetting & ~self._clipping
        last, again = Signal(name="last_row"), Signal(name="another_pass")
        self._slice_ends = Signal(name="slice_ends")
        following, clips, resets = Signal(7, name="next_row"), Signal(name="begins_to_clip"), Signal(name="resets")
        adds = ~self._clipping & ~op.compare & ~op.zero
        m.d.comb += [
            following.eq(self._row + 1),
            last.eq(following == self._potential_rows),
            op.first_row.eq(self._row == 0),
            op.last_row.eq(last),
            op.weight_row.eq(weighted & (following == self._weight_rows)),
            op.beyond.eq(weighted & (self._row >= self._weight_rows)),
            op.compare.eq(compares),
            op.masked.eq(self._resetting & ~self._clipping),
            op.clip.eq(self._clipping),
            op.zero.eq(op.masked & (kind == ResetKind.HARD)),
            op.subtract.eq(op.compare | op.masked),
            clips.eq(last & adds & self._saturate & self.any_overflow),
            resets.eq(
                last & op.compare & self.any_spike & self._runs(MacroOpcode.FIRE) & (kind != ResetKind.NONE)
            ),
            again.eq(clips | resets),
            self._slice_ends.eq(op.valid & last & ~again),
            self.needs_spikes.eq(op.valid & op.compare & last),
            self.clips.eq(op.valid & clips),
            self.resets.eq(op.valid & resets),
            self.synaptic.eq(op.valid & last & weighted),
            self.row_a.eq(self._a + self._row),
            self.row_b.eq(self._b + self._row),
        ]  # fmt: skip
        with m.If(op.valid):
            m.d.sync += self._row.eq(Mux(last, 0, following))
            with m.If(last):
                m.d.sync += [self._clipping.eq(clips), self._resetting.eq(resets)]
        with m.If(self._slice_ends):
            m.d.sync += [self._b.eq(self._b + self._potential_rows), self._left.eq(self._left - 1)]
            with m.If(self._runs(MacroOpcode.ACCUMULATE, MacroOpcode.EVENTS)):
                m.d.sync += self._a.eq(self._a + self._weight_rows)

    def _events(self, m: Module) -> None:
        """The places that each event reaches, one after the other."""
        layer, walk = self._registers.layer, self._walk.walk
        place_ends, line_ends, finishes = Signal(name="place_ends"), Signal(name="line_ends"), Signal(name="finishes")
        m.d.comb += [
            place_ends.eq(self._slice_ends & (self._left == 1)),
            line_ends.eq(place_ends & (self._places_left == 1)),
            finishes.eq(line_ends & (self._lines_left == 1)),
        ]
        with m.State("EVENTS"):
            m.d.comb += [
                self._operation.valid.eq(self._working & ~self._fetching),
                self.take.eq(self.shown & (~self._working | finishes)),
                self.taken.eq(self.take & ~self._walk.outside),
            ]
            with m.If(self._working & self._fetching):
                m.d.comb += [self.needs_rows.eq(1), self.load_row.eq(1), self.row_b.eq(self._place_b)]
                m.d.sync += [self._place_b.eq(self._place_b + 1), self._left.eq(self._left - 1)]
                with m.If(self._left == 1):
                    m.d.sync += [
                        self._fetching.eq(0),
                        self._place_b.eq(self._line_b),
                        self._left.eq(layer.output_slices),
                    ]
            with m.If(place_ends):
                place_a, place_b = Signal.like(self._a, name="next_place_a"), Signal.like(self._b, name="next_place_b")
                m.d.comb += [
                    place_a.eq(self._place_a + (layer.tap_rows << layer.stride_x)),
                    place_b.eq(self._place_b - layer.place_rows),
                ]
                m.d.sync += [
                    self._left.eq(layer.output_slices),
                    self._places_left.eq(self._places_left - 1),
                    *(signal.eq(place_a) for signal in (self._a, self._place_a)),
                    *(signal.eq(place_b) for signal in (self._b, self._place_b)),
                ]
            with m.If(line_ends):
                line_a, line_b = Signal.like(self._a, name="next_line_a"), Signal.like(self._b, name="next_line_b")
                m.d.comb += [
                    line_a.eq(self._line_a + (layer.tap_line_rows << layer.stride_y)),
                    line_b.eq(self._line_b - layer.line_rows),
                ]
                m.d.sync += [
                    self._places_left.eq(self._places),
                    self._lines_left.eq(self._lines_left - 1),
                    *(signal.eq(line_a) for signal in (self._a, self._place_a, self._line_a)),
                    *(signal.eq(line_b) for signal in (self._b, self._place_b, self._line_b)),
                ]
            with m.If(finishes):
                m.d.sync += self._working.eq(0)
            with m.If(self.take):
                self._take(m, walk)
            with m.Elif(~self.scanner_busy & ~self._working):
                m.next = "DECODE"

    def _take(self, m: Module, walk: Any) -> None:
        """Begin with an event."""
        layer, fetches = self._registers.layer, Signal(name="fetches")
        m.d.comb += fetches.eq(
            layer.output_fetch & ~(self._known["channel"] & (self._channel == self._walk.channel))
        )  # fmt: skip
        with m.If(self._walk.outside):
            self._fail(m, MacroError.EVENT, late=True)
        with m.Elif(walk.reached):
            m.d.sync += [
                self._working.eq(1),
                self._fetching.eq(fetches),
                self._left.eq(Mux(fetches, layer.channel_rows, layer.output_slices)),
                self._places_left.eq(walk.places),
                self._places.eq(walk.places),
                self._lines_left.eq(walk.lines),
                self._channel.eq(self._walk.channel),
                self._known["channel"].eq(1),
                self._row.eq(0),
                *(signal.eq(walk.weight) for signal in (self._a, self._place_a, self._line_a)),
                *(signal.eq(walk.potential) for signal in (self._b, self._place_b, self._line_b)),
            ]
            with m.If(fetches):
                m.d.sync += self._place_b.eq(layer.output_weights)
