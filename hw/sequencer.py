"""The sequencer and its key logic: expands macro-instructions into one compare or write per cycle.

::

    DECODE -> SETUP -> (FETCH) -> COMPARE <-> WRITE ... -> (SPILL) -> SELECT -> FILL -> DECODE
       |          one round per bit, one compare and one write per pass
       +----> DOT ... -> DOT_END        compares only, counted by the responder counters
       +----> MOVE_COMPARE -> MOVE_SHIFT ... -> MOVE_CLEAR -> MOVE_WRITE

Stages that an operation does not need take no cycle. FETCH and SPILL exist only for the latched columns of ``3r1w``.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component
from hw.config import TileConfig
from hw.decoder import Decoder
from hw.isa import ErrorCode, LoadKind, Opcode, Owner, StoreKind
from hw.layouts import INSTRUCTION, SLOT_MASK, WRITE_MASK, count_control, micro_operation, port_request
from hw.passes import TABLES

__all__ = ["Sequencer"]

NESTED = (Opcode.MUL, Opcode.MULC)
DESCENDING = (Opcode.MAX, Opcode.MIN, Opcode.MAXC, Opcode.MINC)
CARRYING = (Opcode.ADD, Opcode.SUB, Opcode.ADDC)
AGAINST_CONSTANT = (Opcode.MAXC, Opcode.MINC)
PREDICABLE = (Opcode.COPY, Opcode.NOT, *CARRYING)
PORT = (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE)

TABLE_INDEX = {name: index for index, name in enumerate(TABLES)}


def _bits(layout: data.StructLayout, slots: Mapping[str, int]) -> Any:
    """A constant with some slots set; the others are 0."""
    return layout.const({slot: slots.get(slot, 0) for slot, _ in layout})


class PassTable(Elaboratable):
    """The read-only memory of the passes: from a table and a pass to keys and masks, and whether it is the last one."""

    def __init__(self) -> None:
        self.table = Signal(range(len(TABLES)))
        self.index = Signal(2)
        self.mask, self.key = Signal(SLOT_MASK), Signal(SLOT_MASK)
        self.write_mask, self.write_key = Signal(WRITE_MASK), Signal(WRITE_MASK)
        self.last = Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.Switch(Cat(self.index, self.table)):
            for table, passes in enumerate(TABLES.values()):
                for index, step in enumerate(passes):
                    with m.Case(4 * table + index):
                        m.d.comb += [
                            self.mask.eq(_bits(SLOT_MASK, dict.fromkeys(step.compare, 1))),
                            self.key.eq(_bits(SLOT_MASK, step.compare)),
                            self.write_mask.eq(_bits(WRITE_MASK, dict.fromkeys(step.write, 1))),
                            self.write_key.eq(_bits(WRITE_MASK, step.write)),
                            self.last.eq(index == len(passes) - 1),
                        ]
        return m


class Sequencer(Component):
    """Decodes, checks and executes instructions; see ``docs/isa.md`` for what each costs.

    **Latency**: one decode cycle per instruction, then its body. **Throughput**: no cycle between two micro-operations.

    Members
    -------
    start, header_error, instruction, available, ended, overflow, counter, in_loop, loops_full, advance, loop,
    loop_end : the program buffer's side, see :class:`hw.program_buffer.ProgramBuffer`.
    operation : the array's compare or write of this cycle.
    set_tag : the tags become the match of this cycle.
    shift_tag_up, shift_tag_down : the tags move by one row block.
    count : what the responder counters do with the tags of this cycle.
    set_total, total_constant, snapshot, total_overflow : the rest of their side.
    push, request, open, outstanding, snapshot_busy, head_stores : the plane port's side.
    idle : no program runs. done : the last one has ended. starved : the next instruction is still to arrive.
    counted, owner : this cycle belongs to the run, and to whom.
    executed : an instruction was decoded and is not refused.
    error, error_address : sticky.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        self.latched = config.array == "3r1w"
        super().__init__(
            {
                "start": In(1),
                "header_error": In(ErrorCode),
                "instruction": In(INSTRUCTION),
                "available": In(1),
                "ended": In(1),
                "overflow": In(1),
                "counter": In(32),
                "in_loop": In(1),
                "loops_full": In(1),
                "advance": Out(1),
                "loop": Out(1),
                "loop_end": Out(1),
                "operation": Out(micro_operation(config)),
                "set_tag": Out(1),
                "shift_tag_up": Out(1),
                "shift_tag_down": Out(1),
                "count": Out(count_control()),
                "set_total": Out(1),
                "total_constant": Out(config.total_bits),
                "snapshot": Out(1),
                "total_overflow": In(1),
                "push": Out(1),
                "request": Out(port_request(config)),
                "open": Out(1),
                "outstanding": In(bits_for(config.port_queue)),
                "snapshot_busy": In(1),
                "head_stores": In(1),
                "idle": Out(1),
                "done": Out(1),
                "starved": Out(1),
                "counted": Out(1),
                "owner": Out(Owner),
                "executed": Out(1),
                "error": Out(ErrorCode),
                "error_address": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.decoder = self._decoder = Decoder(config)
        m.submodules.passes = self._passes = PassTable()
        m.d.comb += [
            self._decoder.instruction.eq(self.instruction),
            self._decoder.in_loop.eq(self.in_loop),
            self._decoder.loops_full.eq(self.loops_full),
        ]

        # What the running instruction is, and where it stands: slots, outer and inner bit, pass, second stage of MUL.
        self._now = data.View(INSTRUCTION, Signal(INSTRUCTION, name="running"))
        self._columns = {slot: Signal(12, name=f"column_{slot}") for slot in ("x", "y", "c", "f")}
        self._outer, self._inner = Signal(7, name="outer_bit"), Signal(7, name="inner_bit")
        self._diagonal = Signal(7, name="diagonal")
        self._index = Signal(2, name="pass_index")
        self._signed_stage = Signal(name="signed_stage")
        self._distance = Signal(12, name="blocks_left")
        self._bit = Signal(name="constant_bit")
        constant = Signal(64, name="running_constant")
        # One signal per field: bits of a structure that nothing drives would come out as a process that never runs.
        fields = {name: Signal(field.shape, name=f"operation_{name}") for name, field in self.operation.shape()}
        self._micro = SimpleNamespace(**fields)
        m.d.comb += [
            *(self.operation[name].eq(signal) for name, signal in fields.items()),
            constant.eq(self._now.constant.as_signed()),
            self._bit.eq(constant.bit_select(self._inner[:6], 1)),
            self._passes.index.eq(self._index),
            *(fields[slot].eq(column) for slot, column in self._columns.items()),
        ]
        self._select_table(m)

        with m.FSM(name="state") as machine:
            self._idle_and_decode(m)
            self._passes_of_a_bit(m)
            self._latches(m)
            self._select_and_fill(m)
            self._dot(m)
            self._move(m)
            with m.State("ERROR"):
                pass

        # A cycle is open to the plane port when no pass is under way.
        decoding = machine.ongoing("DECODE")
        m.d.comb += [
            self.idle.eq(machine.ongoing("IDLE")),
            self.open.eq((decoding & self._accepted) | machine.ongoing("DOT") | machine.ongoing("DOT_END")),
            self.counted.eq(
                Mux(decoding, self._accepted, ~machine.ongoing("IDLE") & ~machine.ongoing("START"))
                & ~machine.ongoing("ERROR")
            ),
        ]
        with m.If(decoding & self._waiting):
            m.d.comb += self.owner.eq(Mux(self.head_stores, Owner.STORE, Owner.LOAD))
        with m.Elif(decoding):
            m.d.comb += self.owner.eq(self.instruction.owner)
        with m.Else():
            m.d.comb += self.owner.eq(self._now.owner)
        return m

    def _runs(self, *opcodes: Opcode) -> Value:
        """Whether the running instruction is one of these."""
        return Cat(self._now.opcode == opcode for opcode in opcodes).any()

    def _decodes(self, *opcodes: Opcode) -> Value:
        """Whether the instruction in decode is one of these."""
        return Cat(self.instruction.opcode == opcode for opcode in opcodes).any()

    def _fail(self, m: Module, code: ErrorCode | Value, address: Value) -> None:
        m.d.sync += [self.error.eq(code), self.error_address.eq(address)]
        m.next = "ERROR"

    def _idle_and_decode(self, m: Module) -> None:
        config, op = self.config, self.instruction
        self._accepted, self._waiting = Signal(name="accepted"), Signal(name="waiting")

        with m.State("IDLE"), m.If(self.start):
            m.d.sync += self.done.eq(0)
            m.next = "START"
            with m.If(self.header_error != ErrorCode.NONE):
                self._fail(m, self.header_error, Const(0, 32))
        with m.State("START"):
            m.next = "DECODE"

        # Waits are the plane port's: room in its queue, its snapshot, or its end.
        snapshots = self._decodes(Opcode.DRAIN) | (self._decodes(Opcode.STORE) & (op.kind == StoreKind.TOTAL))
        waits = [
            self._decodes(*PORT) & (self.outstanding == config.port_queue),
            snapshots & self.snapshot_busy,
            self._decodes(Opcode.SYNC) & (self.outstanding > op.constant),
            self._decodes(Opcode.HALT) & (self.outstanding != 0),
        ]
        m.d.comb += [
            self._accepted.eq(self.available & (self._decoder.error == ErrorCode.NONE)),
            self._waiting.eq(self._accepted & Cat(waits).any()),
        ]

        with m.State("DECODE"):
            with m.If(self.ended):
                self._fail(m, ErrorCode.END, self.counter)
            with m.Elif(self.overflow):
                self._fail(m, ErrorCode.LOOP_LENGTH, self.counter)
            with m.Elif(~self.available):
                m.d.comb += self.starved.eq(1)
            with m.Elif(~self._accepted):
                self._fail(m, self._decoder.error, self.counter)
            with m.Elif(~self._waiting):
                m.d.comb += [
                    self.executed.eq(1),
                    self.advance.eq(1),
                    self.loop.eq(self._decodes(Opcode.LOOP)),
                    self.loop_end.eq(self._decodes(Opcode.END)),
                    self.set_total.eq(self._decodes(Opcode.INIT)),
                    self.snapshot.eq(snapshots),
                    self.push.eq(self._decodes(*PORT)),
                ]
                self._dispatch(m)

        wide = Signal(48, name="init_constant")
        stores = self._decodes(Opcode.STORE, Opcode.RESTORE)
        m.d.comb += [
            wide.eq(Cat(op.constant, op.p)),
            self.total_constant.eq(wide.as_signed()),
            self.request.to_array.eq(self._decodes(Opcode.LOAD, Opcode.DRAIN)),
            self.request.stream.eq(self._decodes(Opcode.LOAD, Opcode.STORE)),
            self.request.kind.eq(Mux(self._decodes(Opcode.LOAD, Opcode.STORE), op.kind, LoadKind.BLOCK)),
            self.request.column.eq(Mux(stores, op.a, op.d)),
            self.request.planes.eq(Mux(stores, op.a_width, op.d_width)),
            self.request.block.eq(op.constant),
        ]

    def _dispatch(self, m: Module) -> None:
        """Where an instruction's slots begin, and its first stage."""
        op, column = self.instruction, self._columns
        m.d.sync += [
            self._now.eq(op),
            self._index.eq(0),
            self._outer.eq(0),
            self._inner.eq(0),
            self._signed_stage.eq(0),
            column["x"].eq(op.a),
            column["y"].eq(op.d),
            column["c"].eq(op.d),
            column["f"].eq(op.p),
        ]
        first = "FETCH_F" if self.latched else "COMPARE"
        with m.Switch(op.opcode):
            with m.Case(Opcode.HALT):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
            with m.Case(Opcode.DOT):
                m.d.sync += [
                    column["x"].eq(op.a + op.a_width - 1),
                    column["y"].eq(op.b + op.b_width - 1),
                    self._outer.eq(op.a_width - 1),
                    self._inner.eq(op.b_width - 1),
                    self._diagonal.eq(op.a_width + op.b_width - 2),
                ]
                m.next = "DOT"
            with m.Case(Opcode.FILL):
                m.next = "FILL"
                with m.If(op.predicated):
                    m.d.sync += column["y"].eq(op.p)
                    m.next = "SELECT"
            with m.Case(Opcode.COPY, Opcode.NOT):
                m.next = "COMPARE"
                if self.latched:
                    with m.If(op.predicated):
                        m.next = "SETUP"
            with m.Case(Opcode.AND, Opcode.OR):
                m.d.sync += column["y"].eq(op.b)
                m.next = "COMPARE"
            with m.Case(Opcode.XOR):
                m.d.sync += column["c"].eq(op.b)
                m.next = "FETCH_C" if self.latched else "COMPARE"
            with m.Case(*CARRYING):
                m.d.sync += column["y"].eq(op.b)
                m.next = "SETUP"
            with m.Case(*NESTED):
                m.d.sync += [column["c"].eq(op.d + op.a_width), column["f"].eq(op.b)]
                m.next = first
            with m.Case(Opcode.MAX, Opcode.MIN):
                m.d.sync += [
                    column["x"].eq(op.a + op.a_width - 1),
                    column["y"].eq(op.b + op.a_width - 1),
                    column["f"].eq(op.d + 1),
                    self._inner.eq(op.a_width - 1),
                ]
                m.next = "SETUP"
            with m.Case(*AGAINST_CONSTANT):
                m.d.sync += [
                    column["y"].eq(op.b + op.b_width - 1),
                    column["f"].eq(op.d + 1),
                    self._inner.eq(op.b_width - 1),
                ]
                m.next = "SETUP"
            with m.Case(Opcode.RELU):
                m.d.sync += column["y"].eq(op.b + op.b_width - 1)
                m.next = "SELECT"
            with m.Case(Opcode.MOVE):
                m.next = "MOVE_COMPARE"

    def _select_table(self, m: Module) -> None:
        """Key logic: which pass table the running instruction uses for its current bit."""
        now, table = self._now, self._passes.table

        def choose(name: str) -> None:
            m.d.comb += table.eq(TABLE_INDEX[name])

        def by_bit(stem: str) -> None:
            with m.If(self._bit):
                choose(f"{stem}_1")
            with m.Else():
                choose(f"{stem}_0")

        extended = (self._inner >= now.a_width) & ~now.a_signed
        subtracts = now.b_signed & (self._outer == now.b_width - 1)
        with m.Switch(now.opcode):
            for opcode, plain, extension in (
                (Opcode.ADD, "add", "add_0"),
                (Opcode.SUB, "subtract", "subtract_0"),
            ):
                with m.Case(opcode):
                    choose(plain)
                    with m.If(extended):
                        choose(extension)
            with m.Case(Opcode.ADDC):
                by_bit("add")
            with m.Case(Opcode.MUL):
                choose("add")
                with m.If(subtracts | self._signed_stage):
                    choose("subtract")
            with m.Case(Opcode.MULC):
                by_bit("add")
                with m.If(subtracts):
                    by_bit("subtract")
            for opcode, name in (
                (Opcode.COPY, "copy"),
                (Opcode.NOT, "not"),
                (Opcode.AND, "and"),
                (Opcode.OR, "or"),
                (Opcode.XOR, "xor"),
            ):
                with m.Case(opcode):
                    choose(name)
            for opcode, plain, sign in (
                (Opcode.MAX, "maximum", "minimum"),
                (Opcode.MIN, "minimum", "maximum"),
            ):
                with m.Case(opcode):
                    choose(plain)
                    with m.If(now.a_signed & (self._inner == now.a_width - 1)):
                        choose(sign)
            with m.Case(*AGAINST_CONSTANT):
                by_bit("decide")
                with m.If(now.b_signed & (self._inner == now.b_width - 1)):
                    by_bit("decide_sign")

    def _passes_of_a_bit(self, m: Module) -> None:
        now, passes = self._now, self._passes
        conditional = self._runs(*NESTED) | (now.predicated & self._runs(*PREDICABLE))

        with m.State("SETUP"):
            # Carry and flag columns start at 0 in every row; 3r1w fetches the predicate in the same cycle.
            carries = ~self._runs(Opcode.COPY, Opcode.NOT)
            m.d.comb += [
                self._micro.write_mask.c.eq(carries),
                self._micro.write_mask.f.eq(self._runs(*DESCENDING)),
                self._micro.write.eq(carries),
                self._micro.all_rows.eq(1),
            ]
            if self.latched:
                m.d.comb += self._micro.fetch_f.eq(conditional)
            m.next = "COMPARE"

        with m.State("COMPARE"):
            m.d.comb += [
                self._micro.compare.eq(1),
                self._micro.mask.eq(passes.mask),
                self._micro.key.eq(passes.key),
                self.set_tag.eq(1),
            ]
            with m.If(conditional):
                m.d.comb += [self._micro.mask.f.eq(1), self._micro.key.f.eq(1)]
            m.next = "WRITE"

        with m.State("WRITE"):
            m.d.comb += [
                self._micro.write.eq(1),
                self._micro.write_mask.eq(passes.write_mask),
                self._micro.write_key.eq(passes.write_key),
            ]
            m.d.sync += self._index.eq(self._index + 1)
            m.next = "COMPARE"
            with m.If(passes.last):
                m.d.sync += self._index.eq(0)
                self._next_bit(m)

    def _next_bit(self, m: Module) -> None:
        """After the last pass of a bit: on to the next one, or out of the loop over bits."""
        now, column = self._now, self._columns
        descends = self._runs(*DESCENDING)
        by_b = self._runs(*CARRYING, *AGAINST_CONSTANT) | self._signed_stage
        length = Mux(by_b, now.b_width, now.a_width)
        ends = Mux(descends, self._inner == 0, self._inner == length - 1)
        holds = self._runs(*CARRYING) & (self._inner + 1 >= now.a_width)

        with m.If(~ends):
            with m.If(descends):
                m.d.sync += [
                    self._inner.eq(self._inner - 1),
                    column["x"].eq(column["x"] - 1),
                    column["y"].eq(column["y"] - 1),
                ]
            with m.Else():
                m.d.sync += [self._inner.eq(self._inner + 1), column["y"].eq(column["y"] + 1)]
                with m.If(~holds):  # a signed operand goes on with its sign column
                    m.d.sync += column["x"].eq(column["x"] + 1)
            with m.If(self._runs(Opcode.XOR)):
                m.d.sync += column["c"].eq(column["c"] + 1)
                if self.latched:
                    m.next = "FETCH_C"
        with m.Elif(self._runs(*NESTED) & ~self._signed_stage):
            if self.latched:
                m.next = "SPILL_C"
            else:
                self._next_outer_bit(m)
        with m.Elif(self._runs(*AGAINST_CONSTANT)):
            m.next = "SELECT"
        with m.Else():
            m.next = "DECODE"
            if self.latched:
                with m.If(self._runs(*CARRYING, *DESCENDING) | self._signed_stage):
                    m.next = "SPILL_C"

    def _next_outer_bit(self, m: Module) -> None:
        """After one multiplier bit: the next one, the sign of a, or the end."""
        now, column = self._now, self._columns
        m.d.sync += self._inner.eq(0)
        with m.If(self._outer != now.b_width - 1):
            m.d.sync += [
                self._outer.eq(self._outer + 1),
                column["x"].eq(now.a),
                column["y"].eq(now.d + self._outer + 1),
                column["c"].eq(column["c"] + 1),
                column["f"].eq(column["f"] + 1),
            ]
            m.next = "FETCH_F" if self.latched else "COMPARE"
        with m.Elif(self._runs(Opcode.MUL) & now.a_signed):
            m.d.sync += [
                self._signed_stage.eq(1),
                column["x"].eq(now.b),
                column["y"].eq(now.d + now.a_width),
                column["c"].eq(now.p),
                column["f"].eq(now.a + now.a_width - 1),
            ]
            m.next = "SETUP"
        with m.Else():
            m.next = "DECODE"

    def _latches(self, m: Module) -> None:
        """The cycles that 3r1w adds: columns c and f come from and go back to the memory."""
        if not self.latched:
            return
        with m.State("FETCH_C"):
            m.d.comb += self._micro.fetch_c.eq(1)
            m.next = "COMPARE"
        with m.State("FETCH_F"):
            m.d.comb += [self._micro.fetch_f.eq(1), self._micro.clear_c.eq(1)]
            m.next = "COMPARE"
        with m.State("SPILL_C"):
            m.d.comb += self._micro.spill_c.eq(1)
            with m.If(self._runs(*NESTED) & ~self._signed_stage):
                self._next_outer_bit(m)
            with m.Elif(self._runs(*DESCENDING)):
                m.next = "SPILL_F"
            with m.Else():
                m.next = "DECODE"
        with m.State("SPILL_F"):
            m.d.comb += self._micro.spill_f.eq(1)
            m.next = "DECODE"

    def _select_and_fill(self, m: Module) -> None:
        now, column = self._now, self._columns

        with m.State("SELECT"):
            # One compare finds the rows that take a constant: flag c or f, predicate, or sign.
            chosen = {
                "c": self._runs(Opcode.MAXC),
                "f": self._runs(Opcode.MINC),
                "y": self._runs(Opcode.FILL, Opcode.RELU),
            }
            m.d.comb += [self._micro.compare.eq(1), self.set_tag.eq(1)]
            for slot, select in chosen.items():
                m.d.comb += [self._micro.mask[slot].eq(select), self._micro.key[slot].eq(select)]
            m.d.sync += [self._inner.eq(0), column["y"].eq(Mux(self._runs(Opcode.FILL), now.d, now.b))]
            m.next = "FILL"

        with m.State("FILL"):
            m.d.comb += [
                self._micro.write.eq(1),
                self._micro.write_mask.y.eq(1),
                self._micro.write_key.y.eq(self._bit & ~self._runs(Opcode.RELU)),
                self._micro.all_rows.eq(self._runs(Opcode.FILL) & ~now.predicated),
            ]
            m.d.sync += [self._inner.eq(self._inner + 1), column["y"].eq(column["y"] + 1)]
            with m.If(self._inner + 1 == Mux(self._runs(Opcode.FILL), now.d_width, now.b_width)):
                m.next = "DECODE"
                if self.latched:
                    with m.If(self._runs(*AGAINST_CONSTANT)):
                        m.next = "SPILL_C"

    def _dot(self, m: Module) -> None:
        """Bit pairs by anti-diagonals from the most significant; the counters follow one cycle behind."""
        now, column = self._now, self._columns
        first, turn = Signal(name="first_pair"), Signal(name="new_diagonal")
        m.d.sync += self.count.valid.eq(0)

        with m.State("DOT"):
            top_a, top_b = self._outer == now.a_width - 1, self._inner == now.b_width - 1
            ends = (self._outer == 0) | top_b
            below = Signal(7, name="next_diagonal")
            reach = Signal(7, name="reach")
            m.d.comb += [
                self._micro.compare.eq(1),
                self._micro.mask.x.eq(1),
                self._micro.mask.y.eq(1),
                self._micro.key.x.eq(1),
                self._micro.key.y.eq(1),
                self.set_tag.eq(1),
                first.eq(top_a & top_b & (self._diagonal == now.a_width + now.b_width - 2)),
                # A diagonal begins at the greatest bit of a that it has.
                turn.eq(top_a | (self._inner == 0)),
                below.eq(self._diagonal - 1),
                reach.eq(Mux(below >= now.a_width - 1, now.a_width - 1, below)),
            ]
            m.d.sync += [
                self.count.valid.eq(1),
                self.count.first.eq(first),
                self.count.shift.eq(turn),
                self.count.negative.eq((top_a & now.a_signed) ^ (top_b & now.b_signed)),
                self.count.last.eq(self._diagonal == 0),
            ]
            with m.If(self._diagonal == 0):
                m.next = "DOT_END"
            with m.Elif(ends):
                m.d.sync += [
                    self._diagonal.eq(below),
                    self._outer.eq(reach),
                    self._inner.eq(below - reach),
                    column["x"].eq(now.a + reach),
                    column["y"].eq(now.b + (below - reach)[:7]),
                ]
            with m.Else():
                m.d.sync += [
                    self._outer.eq(self._outer - 1),
                    self._inner.eq(self._inner + 1),
                    column["x"].eq(column["x"] - 1),
                    column["y"].eq(column["y"] + 1),
                ]

        with m.State("DOT_END"):
            m.next = "DECODE"
            with m.If(self.total_overflow):
                self._fail(m, ErrorCode.TOTAL, (self.counter - 1)[:32])

    def _move(self, m: Module) -> None:
        """Rows move through the tags: one column at a time, one row block per cycle."""
        now, column = self._now, self._columns
        distance = now.constant.as_signed()
        blocks = abs(distance)[:12]

        with m.State("MOVE_COMPARE"):
            m.d.comb += [
                self._micro.compare.eq(1),
                self._micro.mask.x.eq(1),
                self._micro.key.x.eq(1),
                self.set_tag.eq(1),
            ]
            m.d.sync += self._distance.eq(blocks)
            m.next = "MOVE_SHIFT"
            with m.If(distance == 0):
                m.next = "MOVE_CLEAR"
        with m.State("MOVE_SHIFT"):
            m.d.comb += [self.shift_tag_up.eq(distance > 0), self.shift_tag_down.eq(distance < 0)]
            m.d.sync += self._distance.eq(self._distance - 1)
            with m.If(self._distance == 1):
                m.next = "MOVE_CLEAR"
        with m.State("MOVE_CLEAR"):
            m.d.comb += [self._micro.write.eq(1), self._micro.write_mask.y.eq(1), self._micro.all_rows.eq(1)]
            m.next = "MOVE_WRITE"
        with m.State("MOVE_WRITE"):
            m.d.comb += [self._micro.write.eq(1), self._micro.write_mask.y.eq(1), self._micro.write_key.y.eq(1)]
            m.d.sync += [
                self._inner.eq(self._inner + 1),
                column["x"].eq(column["x"] + 1),
                column["y"].eq(column["y"] + 1),
            ]
            m.next = "MOVE_COMPARE"
            with m.If(self._inner == now.a_width - 1):
                m.next = "DECODE"
