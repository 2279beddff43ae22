"""The decoder: refuses an illegal instruction by the rules of :data:`hw.isa.OPERATIONS`, before any of it is done."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component
from hw.config import TileConfig
from hw.constant_bits import counted, smeared
from hw.isa import (
    OPERATIONS,
    TOTAL_KINDS,
    ConstantKind,
    DotKind,
    ErrorCode,
    LoadKind,
    Opcode,
    Operation,
    Owner,
    ReduceKind,
    Role,
    Scratch,
    legal_kinds,
)  # fmt: skip
from hw.layouts import INSTRUCTION

__all__ = ["Decoder"]


class Decoder(Component):
    """Combinational check of one instruction.

    Members
    -------
    instruction : ``In(INSTRUCTION)``
    in_loop, loops_full : the state of the loop stack.
    error : the lowest :class:`~hw.isa.ErrorCode` that applies, or NONE.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {"instruction": In(INSTRUCTION), "in_loop": In(1), "loops_full": In(1), "error": Out(ErrorCode)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        faults = {
            ErrorCode.OPCODE: ~self._is(*OPERATIONS),
            ErrorCode.RESERVED: self._reserved(),
            ErrorCode.WIDTH: self._widths(),
            ErrorCode.COLUMN: self._columns(),
            ErrorCode.OVERLAP: self._overlaps(),
            ErrorCode.ROWS: self._rows(),
            ErrorCode.FILL: self._fill(),
            ErrorCode.LOOP: self._loops(),
        }
        # Highest code first, so that the lowest one has the last word.
        for code, fault in reversed(faults.items()):
            with m.If(fault):
                m.d.comb += self.error.eq(code)
        return m

    def _is(self, *opcodes: Opcode) -> Value:
        return Cat(self.instruction.opcode == opcode for opcode in opcodes).any()

    def _any(self, chosen: Callable[[Operation], bool]) -> Value:
        """Whether the opcode is one whose rule is chosen."""
        return self._is(*(opcode for opcode, rule in OPERATIONS.items() if chosen(rule)))

    def _reserved(self) -> Value:
        op = self.instruction
        kinds = [
            (op.opcode == opcode) & ~Cat(op.kind == kind for kind in legal_kinds(opcode, self.config)).any()
            for opcode, rule in OPERATIONS.items()
            if rule.kinds is not None
        ]
        if self.config.zero_skip:
            kinds.append(self._is(Opcode.DOT) & (op.kind == DotKind.SKIP) & op.a_signed)
        return (op.reserved != 0) | (op.owner > max(Owner)) | Cat(kinds).any()

    @property
    def _off_column(self) -> Value:
        kinds = Cat(self.instruction.kind == kind for kind in TOTAL_KINDS).any()
        return self._is(Opcode.LOAD, Opcode.STORE) & kinds

    def _widths(self) -> Value:
        op, config = self.instruction, self.config
        widths = {"a": op.a_width, "b": op.b_width, "d": op.d_width}
        terms = widths | {"1": Const(1), "levels": self._levels()}
        faults: list[Value] = []
        for opcode, rule in OPERATIONS.items():
            this = op.opcode == opcode
            used = {
                "a": rule.a_limit if rule.a is not Role.UNUSED or rule.free_a else 0,
                "b": rule.b_limit if rule.b is not Role.UNUSED else 0,
                "d": rule.d_limit if rule.d is not Role.UNUSED else 0,
            }
            for field, limit in used.items():
                if limit:
                    bound: Value | int = limit
                    if opcode in (Opcode.DRAIN, Opcode.RESTORE):
                        bound = min(limit, config.total_bits)
                    elif opcode in (Opcode.LOAD, Opcode.STORE):
                        narrow = Mux(op.kind == LoadKind.TOTAL, min(limit, config.total_bits), limit)
                        bound = Mux(op.kind == LoadKind.TAG, 1, narrow)
                    faults.append(this & ((widths[field] == 0) | (widths[field] > bound)))
            for field, wanted in rule.widths:
                total = sum((terms[term] for term in wanted.split("+")), Const(0))
                faults.append(this & (widths[field] != total))
            if rule.narrow_a:
                faults.append(this & (op.a_width > op.b_width))
        return Cat(faults).any()

    def _levels(self) -> Value:
        """Levels of a tree of as many words as the constant says: its logarithm, rounded up; 0 if it is negative."""
        words = self.instruction.constant
        number = Mux(words[-1], 0, words[:-1])
        # Places that have a one at them or above: but for place 0, as many as the logarithm, rounded down.
        ones = smeared(number, up=False)
        return Cat(counted(ones[1:])) + (number & ones[1:]).any()

    def _ranges(self) -> list[tuple[Value, Value, Value]]:
        """Column ranges that the instruction names: (used, first, end); the end may be wrong if the first is."""
        op, on_column = self.instruction, ~self._off_column
        used = {
            "a": self._any(lambda rule: rule.a is not Role.UNUSED) & on_column,
            "b": self._any(lambda rule: rule.b is not Role.UNUSED),
            "d": self._any(lambda rule: rule.d is not Role.UNUSED) & on_column,
        }
        predicate = self._any(lambda rule: rule.predicate) & op.predicated
        bits = bits_for(self.config.columns)
        ranges = [(used[field], op[field], op[field][:bits] + op[f"{field}_width"]) for field in ("a", "b", "d")]
        return [*ranges, (predicate | self._scratch(), op.p, op.p[:bits] + 1)]

    def _scratch(self) -> Value:
        """Whether column p is written."""
        op = self.instruction
        conditions: dict[Scratch, Value] = {
            Scratch.NEVER: Const(0),
            Scratch.ALWAYS: Const(1),
            Scratch.SIGNED_A: op.a_signed,
            Scratch.SPARSE_SIGNED_B: (op.kind == ConstantKind.SPARSE) & op.b_signed,
            Scratch.SHIFT: op.kind == ReduceKind.SHIFT,
        }
        return self._either(*(self._is(opcode) & conditions[rule.scratch] for opcode, rule in OPERATIONS.items()))

    def _columns(self) -> Value:
        columns = self.config.columns
        return Cat(
            used & (first[bits_for(columns) :].any() | (end > columns)) for used, first, end in self._ranges()
        ).any()

    def _overlaps(self) -> Value:
        # No more bits than columns have numbers: a range beyond them is refused by a lower code.
        bits, op = bits_for(self.config.columns), self.instruction
        ranges = [(used, first[:bits], end[:bits]) for used, first, end in self._ranges()]
        # Where d may coincide with an operand, their widths are equal: the first columns tell.
        coincides = {
            field: self._any(lambda rule, field=field: rule.in_place == field)
            & ~(self._any(lambda rule: rule.predicate) & op.predicated)
            & (op[field] == op.d)
            for field in ("a", "b")
        }
        fields = ("a", "b", "d", "p")
        meets = [
            used & other & (first < other_end) & (other_first < end)
            & ~(coincides.get(fields[index], Const(0)) if fields[later] == "d" else Const(0))
            for index, (used, first, end) in enumerate(ranges)
            for later, (other, other_first, other_end) in enumerate(ranges)
            if later > index
        ]  # fmt: skip
        return Cat(meets).any() & ~self._is(Opcode.DOT)

    def _rows(self) -> Value:
        op, taps = self.instruction, self.config.taps
        block = self._is(Opcode.DRAIN, Opcode.RESTORE)
        block |= self._is(Opcode.LOAD, Opcode.STORE) & (op.kind == LoadKind.BLOCK)
        distance = op.constant.as_signed()
        return self._either(
            block & (op.constant >= taps),
            self._is(Opcode.MOVE) & ((distance >= taps) | (distance <= -taps)),
            self._is(Opcode.REDUCE) & ((distance < 1) | (distance > taps)),
        )

    def _fill(self) -> Value:
        op, config = self.instruction, self.config
        return self._is(Opcode.DOT) & (op.a_width + op.b_width + config.count_bits + 1 > config.fill_bits)

    def _loops(self) -> Value:
        op = self.instruction
        count = op.constant.as_signed()
        return self._either(
            self._is(Opcode.LOOP) & ((count < 1) | (count >= 1 << 32) | self.loops_full),
            self._is(Opcode.END) & ~self.in_loop,
            self._is(Opcode.HALT) & self.in_loop,
        )

    def _either(self, *faults: Value) -> Value:
        return Cat(faults).any()
