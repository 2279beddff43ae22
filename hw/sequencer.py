"""The sequencer and its key logic: expands macro-instructions into one compare or write per cycle.

::

    DECODE -> SETUP -> (FETCH) -> STEP ... -> (SPILL) -> SELECT -> FILL -> DECODE
       |          one round per bit, one compare or write per step of its table
       +----> (SEARCH ->) DOT ... -> DOT_END    compares only, counted by the responder counters
       +----> MOVE_COMPARE -> MOVE_SHIFT ... -> MOVE_CLEAR -> MOVE_WRITE, alone or before the steps of a bit

Stages that an operation does not need take no cycle. FETCH and SPILL exist only for the latched columns of ``3r1w``.
Some operations walk over the bits more than once, in *phases*: MAX compares, then copies.
"""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import RUN, Component
from hw.config import TileConfig
from hw.constant_bits import LowestOne
from hw.decoder import Decoder
from hw.isa import (
    CLAMP_BITS,
    CONSTANT_BITS,
    MAXIMUM_OPERAND,
    MAXIMUM_RESULT,
    ConstantKind,
    DotKind,
    ErrorCode,
    LoadKind,
    Opcode,
    Owner,
    ReduceKind,
    StoreKind,
)
from hw.key_logic import KeyLogic
from hw.layouts import INSTRUCTION, count_control, micro_operation, port_request
from hw.reduction import ReductionTree
from hw.step_table import StepTable

__all__ = ["Sequencer"]

NESTED = (Opcode.MUL, Opcode.MULC)
SUMS = (Opcode.SUM, Opcode.DIFF, Opcode.RDIFF)
CARRYING = (Opcode.ADD, Opcode.SUB, Opcode.RSUB, Opcode.ADDC, *SUMS)
SIGNS = (Opcode.NEG, Opcode.ABS)
EXTREMES = (Opcode.MAX, Opcode.MIN)
AGAINST_CONSTANT = (Opcode.MAXC, Opcode.MINC, Opcode.CLAMP)
COMPARISONS = (Opcode.CMP, Opcode.CMPC)
EXTENDED = (Opcode.ADD, Opcode.SUB, Opcode.RSUB, *SUMS, *EXTREMES, Opcode.CMP)
BY_A = (
    Opcode.COPY, Opcode.NOT, Opcode.AND, Opcode.OR, Opcode.XOR, *SIGNS, *NESTED, Opcode.MOVE, Opcode.REDUCE,
)  # fmt: skip
PREDICABLE = (Opcode.COPY, Opcode.NOT, Opcode.ADD, Opcode.SUB, Opcode.ADDC)
PORT = (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE)


class Sequencer(Component):
    """Decodes, checks and executes instructions; see ``docs/isa.md`` for what each costs.

    **Latency**: one decode cycle per instruction, then its body. **Throughput**: no cycle between two micro-operations.

    Members
    -------
    run : the sequencer moves in this cycle.
    start, header_error, instruction, running, available, ended, overflow, counter, in_loop, loops_full, advance, loop,
    loop_end : the program buffer's side, see :class:`hw.program_buffer.ProgramBuffer`.
    operation : the array's compare or write of this cycle, and how the tags take the match.
    set_tag : the tags take the match of this cycle. any_match : there is one.
    shift_tag_up, shift_tag_down : the tags move by one row block.
    count : what the responder counters do with the tags of this cycle.
    set_total, total_constant, snapshot, total_overflow : the rest of their side.
    push, request, open, outstanding, snapshot_busy, head_stores : the plane port's side.
    idle : no program runs. done : the last one has ended. starved : the next instruction is still to arrive.
    starting : the header was taken. failed : an error has ended the program.
    waiting : the instruction in decode waits for the plane port.
    counted, owner : this cycle belongs to the run, and to whom.
    executed : an instruction was decoded and is not refused. skipped : a search found a zero plane.
    error, error_address : sticky.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        self.latched = config.array == "3r1w"
        super().__init__(
            {
                "run": RUN,
                "start": In(1),
                "header_error": In(ErrorCode),
                "instruction": In(INSTRUCTION),
                "running": In(INSTRUCTION),
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
                "any_match": In(1),
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
                "starting": Out(1),
                "failed": Out(1),
                "waiting": Out(1),
                "counted": Out(1),
                "owner": Out(Owner),
                "executed": Out(1),
                "skipped": Out(1),
                "error": Out(ErrorCode),
                "error_address": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        self._state(m)
        self._operands(m)

        with m.FSM(name="state") as machine:
            self._idle_and_decode(m)
            self._steps_of_a_bit(m)
            self._latches(m)
            self._select_and_fill(m)
            self._search(m)
            self._dot(m)
            self._move(m)
            with m.State("ERROR"):
                pass

        # A cycle is open to the plane port when no pass is under way.
        decoding = machine.ongoing("DECODE")
        counting = machine.ongoing("DOT") | machine.ongoing("DOT_END")
        if self.config.zero_skip:
            counting |= machine.ongoing("SEARCH")
        m.d.comb += [
            self.idle.eq(machine.ongoing("IDLE")),
            self.starting.eq(machine.ongoing("START")),
            self.failed.eq(machine.ongoing("ERROR")),
            # The counter stands still after an error; that of a DOT is found after the step to the next instruction.
            self.error_address.eq(Mux(self.failed, self.counter - (self.error == ErrorCode.TOTAL), 0)),
            self.waiting.eq(decoding & self._waiting),
            self.open.eq((decoding & self._accepted) | counting),
            self.counted.eq(
                Mux(decoding, self._accepted, ~machine.ongoing("IDLE") & ~machine.ongoing("START"))
                & ~machine.ongoing("ERROR")
            ),
        ]
        with m.If(self.waiting):
            m.d.comb += self.owner.eq(Mux(self.head_stores, Owner.STORE, Owner.LOAD))
        with m.Elif(decoding):
            m.d.comb += self.owner.eq(self.instruction.owner)
        with m.Else():
            m.d.comb += self.owner.eq(self._now.owner)
        return EnableInserter(self.run)(m)

    def _state(self, m: Module) -> None:
        """What the running instruction is, and where it stands."""
        config = self.config
        m.submodules.decoder = self._decoder = Decoder(config)
        m.submodules.steps = self._steps = StepTable(config)
        m.submodules.key_logic = self._keys = KeyLogic(config)
        m.submodules.tree = self._tree = ReductionTree(config)
        m.submodules.lowest = self._lowest = LowestOne(CONSTANT_BITS)
        m.d.comb += [
            self._decoder.instruction.eq(self.instruction),
            self._decoder.in_loop.eq(self.in_loop),
            self._decoder.loops_full.eq(self.loops_full),
            self._tree.run.eq(self.run),
        ]

        self._now = self.running
        # Columns of the slots; r is where a step's result goes, the same as y for an operation in place.
        column = range(config.columns)
        self._columns = {slot: Signal(column, name=f"column_{slot}") for slot in ("x", "y", "r", "c", "f")}
        self._outer, self._inner = Signal(7, name="outer_bit"), Signal(7, name="inner_bit")
        self._length = Signal(7, name="bits_to_walk")
        self._diagonal, self._top = Signal(7, name="diagonal"), Signal(7, name="top_plane")
        # The next bits, which tell a last one as well: what follows it is a width.
        self._next_outer, self._next_inner = Signal(7, name="next_outer_bit"), Signal(7, name="next_inner_bit")
        m.d.comb += [self._next_outer.eq(self._outer + 1), self._next_inner.eq(self._inner + 1)]
        self._first = Signal(name="first_pair")
        self._index = Signal(len(self._steps.index), name="step_index")
        self._phase, self._signed_stage = Signal(2, name="phase"), Signal(name="signed_stage")
        self._remaining = Signal(MAXIMUM_OPERAND, name="remaining_ones")
        self._distance = Signal(range(config.taps + 1), name="blocks_left")
        # One signal per field: bits of a structure that nothing drives would come out as a process that never runs.
        fields = {name: Signal(field.shape, name=f"operation_{name}") for name, field in self.operation.shape()}
        self._micro = SimpleNamespace(**fields)
        m.d.comb += [self.operation[name].eq(signal) for name, signal in fields.items()]

    def _operands(self, m: Module) -> None:
        """What the present bit and step are, for key logic and array."""
        now, keys, columns, micro = self._now, self._keys, self._columns, self._micro
        constant, bounds = Signal(MAXIMUM_RESULT, name="running_constant"), Cat(now.constant, now.p)
        bound = Mux(self._phase == 0, bounds[:CLAMP_BITS], bounds[CLAMP_BITS : 2 * CLAMP_BITS])
        self._bit = keys.constant_bit
        self._compares_bits = self._runs(*COMPARISONS, *EXTREMES, *AGAINST_CONSTANT)
        self._result, self._to_x = Signal(name="slot_y_is_result"), Signal(name="slot_y_is_x")
        m.d.comb += [
            constant.eq(Mux(now.opcode == Opcode.CLAMP, bound.as_signed(), now.constant.as_signed())),
            keys.instruction.eq(now),
            keys.phase.eq(self._phase),
            keys.signed_stage.eq(self._signed_stage),
            keys.constant_bit.eq(constant.bit_select(self._inner[:6], 1)),
            keys.beyond.eq(self._runs(*EXTENDED) & ~now.a_signed & (self._inner >= now.a_width)),
            keys.top.eq(self._next_inner == self._length),
            keys.last_round.eq(self._next_outer == now.b_width),
            self._steps.number.eq(keys.number),
            self._steps.index.eq(self._index),
            micro.x.eq(columns["x"]),
            micro.y.eq(Mux(self._to_x, columns["x"], Mux(self._result, columns["r"], columns["y"]))),
            micro.c.eq(columns["c"]),
            micro.f.eq(columns["f"]),
        ]
        if self.config.vertical:
            tree, control = self._tree, micro.vertical
            m.d.comb += [
                control.distance.eq(tree.distance),
                control.segment.eq(tree.segment | tree.pairwise.replicate(len(tree.segment))),
                control.first.eq(tree.first),
                control.limit.eq(tree.limit),
                control.partners.eq(tree.partners),
            ]
        m.d.comb += self._tree.pairwise.eq(now.kind == ReduceKind.PAIRS)

    def _runs(self, *opcodes: Opcode) -> Value:
        """Whether the running instruction is one of these."""
        return Cat(self._now.opcode == opcode for opcode in opcodes).any()

    def _decodes(self, *opcodes: Opcode) -> Value:
        """Whether the instruction in decode is one of these."""
        return Cat(self.instruction.opcode == opcode for opcode in opcodes).any()

    @property
    def _sparse(self) -> Value:
        """Whether a MULC goes by the ones of its constant."""
        return self._runs(Opcode.MULC) & (self._now.kind == ConstantKind.SPARSE)

    @property
    def _shifts(self) -> Value:
        """Whether a REDUCE brings words down through the tags."""
        return self._runs(Opcode.REDUCE) & (self._now.kind == ReduceKind.SHIFT)

    def _fail(self, m: Module, code: ErrorCode | Value) -> None:
        m.d.sync += self.error.eq(code)
        m.next = "ERROR"

    def _idle_and_decode(self, m: Module) -> None:
        config, op = self.config, self.instruction
        self._accepted, self._waiting = Signal(name="accepted"), Signal(name="waiting")

        with m.State("IDLE"), m.If(self.start):
            m.d.sync += self.done.eq(0)
            m.next = "START"
            with m.If(self.header_error != ErrorCode.NONE):
                self._fail(m, self.header_error)
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
                self._fail(m, ErrorCode.END)
            with m.Elif(self.overflow):
                self._fail(m, ErrorCode.LOOP_LENGTH)
            with m.Elif(~self.available):
                m.d.comb += self.starved.eq(1)
            with m.Elif(~self._accepted):
                self._fail(m, self._decoder.error)
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
        op, column, lowest = self.instruction, self._columns, self._lowest
        m.d.comb += lowest.value.eq(op.constant)
        last_of_a, last_of_b = Signal(7, name="last_bit_of_a"), Signal(7, name="last_bit_of_b")
        m.d.comb += [
            self._tree.start.eq(1),
            self._tree.words.eq(op.constant),
            last_of_a.eq(op.a_width - 1),
            last_of_b.eq(op.b_width - 1),
        ]
        m.d.sync += [
            self._index.eq(0),
            self._outer.eq(0),
            self._inner.eq(0),
            self._phase.eq(0),
            self._signed_stage.eq(0),
            self._remaining.eq(lowest.rest),
            self._top.eq(last_of_a),
            self._first.eq(1),
            self._length.eq(Mux(self._decodes(*BY_A), op.a_width, op.b_width)),
            column["x"].eq(op.a),
            column["y"].eq(op.b),
            column["r"].eq(op.d),
            column["c"].eq(op.d),
            column["f"].eq(op.p),
        ]
        first = "FETCH" if self.latched else "STEP"
        with m.Switch(op.opcode):
            with m.Case(Opcode.HALT):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
            with m.Case(Opcode.DOT):
                m.d.sync += [
                    column["x"].eq(op.a + last_of_a),
                    column["y"].eq(op.b + last_of_b),
                    self._outer.eq(last_of_a),
                    self._inner.eq(last_of_b),
                    self._diagonal.eq(last_of_a + last_of_b),
                ]
                m.next = "DOT"
                if self.config.zero_skip:
                    with m.If(op.kind == DotKind.SKIP):
                        m.next = "SEARCH"
            with m.Case(Opcode.FILL):
                m.d.sync += [self._length.eq(op.d_width), column["y"].eq(op.p)]
                m.next = "FILL"
                with m.If(op.predicated):
                    m.next = "SELECT"
            with m.Case(Opcode.RELU):
                m.d.sync += [column["y"].eq(op.b + last_of_b), column["r"].eq(op.b)]
                m.next = "SELECT"
            with m.Case(Opcode.COPY, Opcode.NOT):
                m.d.sync += column["y"].eq(op.d)
                m.next = "STEP"
                if self.latched:
                    with m.If(op.predicated):
                        m.next = "SETUP"
            with m.Case(Opcode.AND, Opcode.OR, Opcode.XOR, *COMPARISONS):
                m.next = "STEP"
            with m.Case(Opcode.ADD, Opcode.SUB, Opcode.RSUB):
                m.d.sync += column["r"].eq(op.b)
                m.next = "SETUP"
            with m.Case(*SUMS):
                m.d.sync += column["c"].eq(op.d + op.b_width)
                m.next = "SETUP"
            with m.Case(Opcode.ADDC):
                m.d.sync += column["r"].eq(op.b)
                with m.If(op.kind == ConstantKind.SPARSE):
                    # Below the lowest one nothing can change.
                    m.d.sync += [
                        self._inner.eq(Mux(lowest.any, lowest.place, MAXIMUM_RESULT)),
                        column["y"].eq(op.b + lowest.place),
                        column["r"].eq(op.b + lowest.place),
                    ]
                m.next = "SETUP"
            with m.Case(Opcode.MUL):
                self._begin_product(m)
                m.next = first
            with m.Case(Opcode.MULC):
                self._begin_product(m)
                m.next = first
                with m.If(op.kind == ConstantKind.SPARSE):
                    self._begin_round(m, op, lowest.place)
                    with m.If(self._no_more(op)):
                        self._after_ones(m, op)
            with m.Case(*EXTREMES):
                m.d.sync += [column["r"].eq(op.b), column["f"].eq(op.d)]
                m.next = "STEP"
            with m.Case(*AGAINST_CONSTANT):
                m.d.sync += column["r"].eq(op.b)
                m.next = "STEP"
            with m.Case(*SIGNS):
                m.d.sync += [column["c"].eq(op.p), column["f"].eq(op.a + last_of_a)]
                m.next = "SETUP"
            with m.Case(Opcode.MOVE):
                m.next = "MOVE_COMPARE"
            with m.Case(Opcode.REDUCE):
                m.d.sync += [
                    column["x"].eq(Mux(op.kind == ReduceKind.SHIFT, op.p, op.d)),
                    column["y"].eq(op.d),
                    column["c"].eq(op.d + op.a_width),
                ]
                with m.If(op.constant != 1):
                    m.next = "SETUP"

    def _begin_product(self, m: Module) -> None:
        """The first bit of the multiplier adds the other operand to the lowest columns of the product."""
        op, column = self.instruction, self._columns
        m.d.sync += [column["y"].eq(op.d), column["c"].eq(op.d + op.a_width), column["f"].eq(op.b)]

    def _begin_round(self, m: Module, op: Any, place: Value) -> None:
        """MULC by the ones of its constant: add all of b to the product's columns from this one on."""
        column = self._columns
        m.d.sync += [
            self._length.eq(op.b_width),
            column["x"].eq(op.b),
            column["y"].eq(op.d + place),
            column["r"].eq(op.d + place),
            column["c"].eq(op.d + place + op.b_width),
        ]

    def _no_more(self, op: Any) -> Value:
        """Whether a MULC's constant has no further one."""
        return ~self._lowest.any | (self._lowest.place >= op.a_width)

    def _after_ones(self, m: Module, op: Any) -> None:
        """MULC after the last one of its constant: where b is negative, 2^B times the constant is too much."""
        column = self._columns
        m.next = "DECODE"
        with m.If(op.b_signed):
            m.d.sync += [
                self._signed_stage.eq(1),
                self._length.eq(op.a_width),
                column["y"].eq(op.d + op.b_width),
                column["r"].eq(op.d + op.b_width),
                column["c"].eq(op.p),
                column["f"].eq(op.b + op.b_width - 1),
            ]
            m.next = "SETUP"

    def _steps_of_a_bit(self, m: Module) -> None:
        now, steps, micro = self._now, self._steps, self._micro
        copies = self._runs(*EXTREMES) & (self._phase == 2)
        dense = self._runs(*NESTED) & (~self._sparse | self._signed_stage)
        conditional = dense | copies | (now.predicated & self._runs(*PREDICABLE))

        with m.State("SETUP"):
            # Carry columns start with one value in every row; 3r1w fetches the predicate in the same cycle.
            carries = ~self._runs(Opcode.COPY, Opcode.NOT)
            m.d.comb += [
                micro.write_mask.c.eq(carries),
                micro.write_key.c.eq(self._runs(Opcode.RSUB)),
                micro.write.eq(carries),
                micro.all_rows.eq(1),
            ]
            if self.latched:
                m.d.comb += micro.fetch_f.eq(conditional | self._runs(Opcode.ABS))
            m.next = "STEP"
            with m.If(self._shifts):
                m.next = "MOVE_COMPARE"
            with m.Elif(self._runs(Opcode.ADDC) & (self._inner >= now.b_width)):
                self._finish(m)  # no bit of the constant is a one

        with m.State("STEP"):
            first = self._compares_bits & (self._inner == 0) & (self._index == 0)
            all_tagged = self._runs(*COMPARISONS) & now.kind[2]
            m.d.comb += [
                micro.compare.eq(steps.compare),
                micro.mask.eq(steps.mask),
                micro.key.eq(steps.key),
                micro.keep.eq((steps.add | steps.remove) & ~first),
                micro.ones.eq(first & all_tagged),
                micro.remove.eq(steps.remove),
                micro.second.eq(steps.second),
                micro.write.eq(steps.write),
                micro.write_mask.eq(steps.write_mask),
                micro.write_key.eq(steps.write_key),
                micro.all_rows.eq(steps.all_rows),
                self._result.eq(steps.result),
                self.set_tag.eq(steps.compare),
            ]
            with m.If(conditional & steps.compare):
                m.d.comb += [micro.mask.f.eq(1), micro.key.f.eq(1)]
            if self.config.vertical:
                m.d.comb += micro.vertical.on.eq(self._runs(Opcode.REDUCE) & ~self._shifts)
            m.d.sync += self._index.eq(self._index + 1)
            with m.If(steps.last):
                m.d.sync += self._index.eq(0)
                self._next_bit(m)

    def _next_bit(self, m: Module) -> None:
        """After the last step of a bit: on to the next one, or out of the walk over bits."""
        now, column = self._now, self._columns
        holds = self._runs(*EXTENDED) & (self._phase != 1) & (self._next_inner >= now.a_width)

        with m.If(~self._keys.top):
            m.d.sync += [
                self._inner.eq(self._next_inner),
                column["y"].eq(column["y"] + 1),
                column["r"].eq(column["r"] + 1),
            ]
            with m.If(~holds & ~self._shifts):  # a signed operand goes on with its sign column
                m.d.sync += column["x"].eq(column["x"] + 1)
            with m.If(self._shifts):
                m.next = "MOVE_COMPARE"
        with m.Else():
            m.d.sync += self._inner.eq(0)
            self._next_walk(m)

    def _next_walk(self, m: Module) -> None:
        """After a walk over the bits: the next phase, the next round, or the end."""
        now, column = self._now, self._columns

        def again(**slots: Value) -> None:
            m.d.sync += [self._phase.eq(self._phase + 1), *(column[slot].eq(value) for slot, value in slots.items())]

        with m.If(self._runs(*NESTED) & ~self._signed_stage):
            if self.latched:
                m.next = "SPILL_C"
            else:
                self._next_round(m)
        with m.Elif(self._runs(Opcode.REDUCE)):
            self._next_pair(m)
        with m.Elif(self._runs(Opcode.RSUB) & (self._phase == 0)):
            again(x=now.b, y=now.b, r=now.b)
        with m.Elif(self._runs(*COMPARISONS) & (self._phase == 0)):
            again(r=now.d)
            m.d.sync += self._length.eq(1)
        with m.Elif(self._runs(*EXTREMES) & (self._phase == 0)):
            again()
            m.d.sync += self._length.eq(1)
        with m.Elif(self._runs(*EXTREMES) & (self._phase == 1)):
            again(x=now.a, y=now.b, r=now.b)
            m.d.sync += self._length.eq(now.b_width)
        with m.Elif(self._runs(*AGAINST_CONSTANT)):
            m.d.sync += column["r"].eq(now.b)
            m.next = "FILL"
        with m.Else():
            self._finish(m)

    def _finish(self, m: Module) -> None:
        """The next instruction, after the latched columns have gone back to the memory."""
        m.next = "DECODE"
        if self.latched:
            with m.If(self._runs(*CARRYING, *SIGNS) | self._signed_stage):
                m.next = "SPILL_C"
            with m.Elif(self._runs(*EXTREMES)):
                m.next = "SPILL_F"

    def _next_round(self, m: Module) -> None:
        """After one bit of a multiplier: the next one, the sign of the other operand, or the end."""
        now, column, lowest = self._now, self._columns, self._lowest
        begins = "FETCH" if self.latched else "STEP"
        with m.If(self._sparse):
            m.d.comb += lowest.value.eq(self._remaining)
            m.d.sync += self._remaining.eq(lowest.rest)
            self._begin_round(m, now, lowest.place)
            m.next = begins
            with m.If(self._no_more(now)):
                self._after_ones(m, now)
        with m.Elif(~self._keys.last_round):
            m.d.sync += [
                self._outer.eq(self._next_outer),
                column["x"].eq(now.a),
                column["y"].eq(now.d + self._next_outer),
                column["r"].eq(now.d + self._next_outer),
                column["c"].eq(column["c"] + 1),
                column["f"].eq(column["f"] + 1),
            ]
            m.next = begins
        with m.Elif(self._runs(Opcode.MUL) & now.a_signed):
            m.d.sync += [
                self._signed_stage.eq(1),
                self._length.eq(now.b_width),
                column["x"].eq(now.b),
                column["y"].eq(now.d + now.a_width),
                column["r"].eq(now.d + now.a_width),
                column["c"].eq(now.p),
                column["f"].eq(now.a + now.a_width - 1),
            ]
            m.next = "SETUP"
        with m.Else():
            m.next = "DECODE"

    def _next_pair(self, m: Module) -> None:
        """After an addition of a REDUCE: the next pair of row blocks, the next level, or the end."""
        column, now = self._columns, self._now
        m.d.sync += [
            column["x"].eq(Mux(self._shifts, now.p, now.d)),
            column["y"].eq(now.d),
            column["r"].eq(now.d),
        ]
        with m.If(~self._tree.last_pair):
            m.d.comb += self._tree.next_pair.eq(1)
        with m.Else():
            if self.latched:
                m.next = "SPILL_C"
            else:
                self._next_level(m)

    def _next_level(self, m: Module) -> None:
        """After the last pair of a level: words have grown by a bit, which the carry column holds."""
        m.d.comb += self._tree.next_level.eq(1)
        m.d.sync += [self._length.eq(self._length + 1), self._columns["c"].eq(self._columns["c"] + 1)]
        m.next = "SETUP"
        with m.If(self._tree.last_level):
            m.next = "DECODE"

    def _latches(self, m: Module) -> None:
        """The cycles that 3r1w adds: columns c and f come from and go back to the memory."""
        if not self.latched:
            return
        with m.State("FETCH"):
            m.d.comb += [self._micro.fetch_f.eq(1), self._micro.clear_c.eq(1)]
            m.next = "STEP"
        with m.State("SPILL_C"):
            m.d.comb += self._micro.spill_c.eq(1)
            m.next = "DECODE"
            with m.If(self._runs(*NESTED) & ~self._signed_stage):
                self._next_round(m)
            with m.Elif(self._runs(Opcode.REDUCE)):
                self._next_level(m)
        with m.State("SPILL_F"):
            m.d.comb += self._micro.spill_f.eq(1)
            m.next = "DECODE"

    def _select_and_fill(self, m: Module) -> None:
        now, column, micro = self._now, self._columns, self._micro

        with m.State("SELECT"):
            # One compare finds the rows that take the constant: by the predicate, or by the sign.
            m.d.comb += [micro.compare.eq(1), micro.mask.y.eq(1), micro.key.y.eq(1), self.set_tag.eq(1)]
            m.next = "FILL"

        with m.State("FILL"):
            m.d.comb += [
                micro.write.eq(1),
                micro.write_mask.y.eq(1),
                micro.write_key.y.eq(self._bit & ~self._runs(Opcode.RELU)),
                micro.all_rows.eq(self._runs(Opcode.FILL) & ~now.predicated),
                self._result.eq(1),
            ]
            m.d.sync += [self._inner.eq(self._next_inner), column["r"].eq(column["r"] + 1)]
            with m.If(self._keys.top):
                m.next = "DECODE"
                with m.If(self._runs(Opcode.CLAMP) & (self._phase == 0)):
                    m.d.sync += [
                        self._phase.eq(1),
                        self._inner.eq(0),
                        column["y"].eq(now.b),
                        column["r"].eq(now.b),
                    ]
                    m.next = "STEP"

    def _search(self, m: Module) -> None:
        """Planes of a from the top down, until one has a 1 in some row."""
        if not self.config.zero_skip:
            return
        micro, column = self._micro, self._columns
        with m.State("SEARCH"):
            m.d.comb += [
                micro.compare.eq(1),
                micro.mask.x.eq(1),
                micro.key.x.eq(1),
                self.set_tag.eq(1),
                self.skipped.eq(~self.any_match),
            ]
            with m.If(self.any_match):
                m.next = "DOT"
            with m.Else():
                m.d.sync += [
                    self._top.eq(self._top - 1),
                    self._outer.eq(self._outer - 1),
                    self._diagonal.eq(self._diagonal - 1),
                    column["x"].eq(column["x"] - 1),
                ]
                with m.If(self._top == 0):
                    m.next = "DOT_END"

    def _dot(self, m: Module) -> None:
        """Bit pairs by anti-diagonals from the most significant; the counters follow one cycle behind."""
        now, column = self._now, self._columns
        turn = Signal(name="new_diagonal")
        m.d.sync += self.count.valid.eq(0)

        with m.State("DOT"):
            top_a, top_b = self._outer == self._top, self._next_inner == now.b_width
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
                # A diagonal begins at the greatest bit of a that it has.
                turn.eq(top_a | (self._inner == 0)),
                below.eq(self._diagonal - 1),
                reach.eq(Mux(below >= self._top, self._top, below)),
            ]
            m.d.sync += [
                self.count.valid.eq(1),
                self.count.first.eq(self._first),
                self._first.eq(0),
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
                    self._inner.eq(self._next_inner),
                    column["x"].eq(column["x"] - 1),
                    column["y"].eq(column["y"] + 1),
                ]

        with m.State("DOT_END"):
            m.next = "DECODE"
            with m.If(self.total_overflow):
                self._fail(m, ErrorCode.TOTAL)

    def _move(self, m: Module) -> None:
        """Rows move through the tags: one column at a time, one row block per cycle."""
        now, column, micro = self._now, self._columns, self._micro
        # No more bits than a legal distance has.
        moved = now.constant[: len(self._distance) + 1].as_signed()
        reduces = self._runs(Opcode.REDUCE)
        up = ~reduces & ~moved[-1]

        with m.State("MOVE_COMPARE"):
            m.d.comb += [
                micro.compare.eq(1),
                micro.mask.x.eq(~reduces),
                micro.key.x.eq(~reduces),
                micro.mask.y.eq(reduces),
                micro.key.y.eq(reduces),
                self.set_tag.eq(1),
            ]
            m.d.sync += self._distance.eq(Mux(reduces, self._tree.distance, abs(moved)))
            m.next = "MOVE_SHIFT"
            with m.If(~reduces & (moved == 0)):
                m.next = "MOVE_CLEAR"
        with m.State("MOVE_SHIFT"):
            m.d.comb += [self.shift_tag_up.eq(up), self.shift_tag_down.eq(~up)]
            m.d.sync += self._distance.eq(self._distance - 1)
            with m.If(self._distance == 1):
                m.next = "MOVE_CLEAR"
        with m.State("MOVE_CLEAR"):
            m.d.comb += [
                micro.write.eq(1),
                micro.write_mask.y.eq(1),
                micro.all_rows.eq(1),
                self._result.eq(1),
                self._to_x.eq(reduces),
            ]
            m.next = "MOVE_WRITE"
        with m.State("MOVE_WRITE"):
            m.d.comb += [
                micro.write.eq(1),
                micro.write_mask.y.eq(1),
                micro.write_key.y.eq(1),
                self._result.eq(1),
                self._to_x.eq(reduces),
            ]
            m.next = "STEP"
            with m.If(~reduces):
                m.d.sync += [
                    self._inner.eq(self._next_inner),
                    column["x"].eq(column["x"] + 1),
                    column["r"].eq(column["r"] + 1),
                ]
                m.next = "MOVE_COMPARE"
                with m.If(self._keys.top):
                    m.next = "DECODE"
