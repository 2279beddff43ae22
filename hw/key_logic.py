"""Key logic: which step table an instruction uses for its present bit."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.wiring import In, Out

from hw.component import Component
from hw.config import TileConfig
from hw.isa import CompareKind, ConstantKind, Opcode
from hw.layouts import INSTRUCTION
from hw.passes import tables

__all__ = ["KeyLogic"]


class KeyLogic(Component):
    """Combinational choice of a step table by instruction, phase and bit.

    Members
    -------
    instruction, phase : what runs, and its which walk over the bits.
    constant_bit : of the running constant at this bit.
    beyond : operand a has no bit here and is extended by zeros. top : this is the last bit of the walk.
    last_round : of the multiplier's bits, this is the last one.
    signed_stage : the second stage of a multiplication.
    number : of the table that is chosen.
    """

    def __init__(self, config: TileConfig) -> None:
        self._numbers = {name: index for index, name in enumerate(tables(config.passes))}
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "phase": In(2),
                "constant_bit": In(1),
                "beyond": In(1),
                "top": In(1),
                "last_round": In(1),
                "signed_stage": In(1),
                "number": Out(range(len(self._numbers))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.Switch(self.instruction.opcode):
            self._additions(m)
            self._multiplications(m)
            self._logic(m)
            self._comparisons(m)
            self._extremes(m)
        return m

    def _choose(self, m: Module, name: str) -> None:
        m.d.comb += self.number.eq(self._numbers[name])

    def _either(self, m: Module, condition: Value, one: str, other: str) -> None:
        with m.If(condition):
            self._choose(m, one)
        with m.Else():
            self._choose(m, other)

    def _additions(self, m: Module) -> None:
        op = self.instruction
        for opcode, table in (
            (Opcode.ADD, "add"),
            (Opcode.SUB, "subtract"),
            (Opcode.SUM, "sum"),
            (Opcode.DIFF, "diff"),
            (Opcode.RDIFF, "rdiff"),
        ):
            with m.Case(opcode):
                self._either(m, self.beyond, f"{table}_0", table)
        with m.Case(Opcode.RSUB):
            # a - b = ~(b - a - 1): there is no safe order for it in place.
            self._either(m, self.beyond, "subtract_0", "subtract")
            with m.If(self.phase != 0):
                self._choose(m, "not")
        with m.Case(Opcode.ADDC):
            self._either(m, self.constant_bit, "add_1", "add_0")
        with m.Case(Opcode.REDUCE):
            self._either(m, op.a_signed & self.top, "add_signs", "add")

    def _multiplications(self, m: Module) -> None:
        op = self.instruction
        subtracts = op.b_signed & self.last_round
        with m.Case(Opcode.MUL):
            self._either(m, subtracts | self.signed_stage, "subtract", "add")
        with m.Case(Opcode.MULC):
            with m.If((op.kind == ConstantKind.SPARSE) & ~self.signed_stage):
                self._choose(m, "add")
            with m.Elif(subtracts | self.signed_stage):
                self._either(m, self.constant_bit, "subtract_1", "subtract_0")
            with m.Else():
                self._either(m, self.constant_bit, "add_1", "add_0")

    def _logic(self, m: Module) -> None:
        op = self.instruction
        in_place = op.b == op.d
        for opcode, condition, one, other in (
            (Opcode.COPY, op.predicated, "copy_if", "copy"),
            (Opcode.NOT, op.predicated, "not_if", "not"),
            (Opcode.AND, in_place, "and_in_place", "and"),
            (Opcode.OR, in_place, "or_in_place", "or"),
            (Opcode.ABS, self.top, "absolute_top", "absolute"),
        ):
            with m.Case(opcode):
                self._either(m, condition, one, other)
        for opcode, table in ((Opcode.XOR, "xor"), (Opcode.NEG, "negate")):
            with m.Case(opcode):
                self._choose(m, table)

    def _against(self, m: Module, swapped: Value, *, larger: bool) -> None:
        """Rows whose number is smaller (larger) than the constant; at a sign the meaning is swapped."""
        names = ("add_if_0", "remove_if_1"), ("remove_if_0", "add_if_1")
        plain, sign = reversed(names) if larger else names
        with m.If(swapped):
            self._either(m, self.constant_bit, *sign)
        with m.Else():
            self._either(m, self.constant_bit, *plain)

    def _comparisons(self, m: Module) -> None:
        op = self.instruction
        equality = (op.kind == CompareKind.EQ) | (op.kind == CompareKind.NE)
        unmarked = Cat(op.kind == kind for kind in (CompareKind.EQ, CompareKind.GE, CompareKind.GT)).any()
        with m.Case(Opcode.CMP):
            with m.If(self.phase != 0):
                self._either(m, unmarked, "flag_unmarked", "flag_marked")
            with m.Elif(self.beyond):
                self._choose(m, "add_if_1")
            with m.Elif(equality):
                self._choose(m, "differ")
            with m.Else():
                self._either(m, op.a_signed & self.top, "greater", "less")
        with m.Case(Opcode.CMPC):
            with m.If(self.phase != 0):
                self._either(m, unmarked, "flag_unmarked", "flag_marked")
            with m.Elif(equality):
                self._either(m, self.constant_bit, "add_if_0", "add_if_1")
            with m.Else():
                self._against(m, op.b_signed & self.top, larger=False)

    def _extremes(self, m: Module) -> None:
        op = self.instruction
        for opcode, plain, sign, beyond in (
            (Opcode.MAX, "greater", "less", "remove_if_1"),
            (Opcode.MIN, "less", "greater", "add_if_1"),
        ):
            with m.Case(opcode):
                with m.If(self.phase == 1):
                    self._choose(m, "flag_taken")
                with m.Elif(self.phase == 2):
                    self._either(m, self.beyond, "clear_if", "copy_if")
                with m.Elif(self.beyond):
                    self._choose(m, beyond)
                with m.Else():
                    self._either(m, op.a_signed & self.top, sign, plain)
        with m.Case(Opcode.MAXC):
            self._against(m, op.b_signed & self.top, larger=False)
        with m.Case(Opcode.MINC):
            self._against(m, op.b_signed & self.top, larger=True)
        with m.Case(Opcode.CLAMP):
            with m.If(self.phase == 0):
                self._against(m, op.b_signed & self.top, larger=False)
            with m.Else():
                self._against(m, op.b_signed & self.top, larger=True)
