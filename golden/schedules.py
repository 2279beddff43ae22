"""What the body of every instruction does with its cycles: compares, writes, and the columns that they concern.

A *step* works on one bit.  How many compares and writes it needs follows from its truth function: every state of the
columns that changes is compared once.  Classical passes write what changes after each compare; the other ways share
writes among states that end alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hw.config import TileConfig
from hw.isa import ConstantKind, DotKind, Instruction, Opcode, ReduceKind, reduce_levels

__all__ = [
    "SCHEDULES", "STEPS", "Machine", "Schedule", "Steps", "constant_bits", "dot", "lowest_one",
]  # fmt: skip


class Schedule(NamedTuple):
    """What a body does: cycles with a compare, with a write and with neither, and the columns that they concern."""

    compares: int = 0
    compared_columns: int = 0
    writes: int = 0
    written_columns: int = 0
    idle: int = 0

    @property
    def cycles(self) -> int:
        """All cycles of the body; each has at most one compare or write."""
        return self.compares + self.writes + self.idle


class Steps(NamedTuple):
    """What the steps of additions cost that depend on ``config.passes``.

    Parameters
    ----------
    unknown : an unknown bit, added or subtracted in place: four of the eight states of x, y and carry change.
    signs : the top bits of two's complement numbers, whose carry is the sign: six states change.
    apart : an unknown bit, the result beside the operands: in five states it is 1 or the carry changes.
    apart_zero : a known 0 added, or the minuend: in two of the four states of y and carry.
    apart_zero_difference : a known 0 subtracted: in three states.
    """

    unknown: Schedule
    signs: Schedule
    apart: Schedule
    apart_zero: Schedule
    apart_zero_difference: Schedule


STEPS: dict[str, Steps] = {
    "classical": Steps(
        Schedule(4, 12, 4, 6), Schedule(6, 18, 6, 10), Schedule(5, 15, 5, 6), Schedule(2, 4, 2, 3), Schedule(3, 6, 3, 3)
    ),
    "merged": Steps(
        Schedule(4, 12, 3, 5), Schedule(6, 18, 5, 9), Schedule(5, 15, 3, 4), Schedule(2, 4, 1, 2), Schedule(3, 6, 2, 2)
    ),
    "two_tags": Steps(
        Schedule(4, 12, 2, 4), Schedule(6, 18, 4, 8), Schedule(5, 15, 3, 4), Schedule(2, 4, 1, 2), Schedule(3, 6, 2, 2)
    ),
}
"""Costs of steps by ``config.passes``."""

_KNOWN = Schedule(2, 4, 2, 3)  # a known bit added or subtracted in place: two states change, in whatever passes
_WRITE = Schedule(writes=1, written_columns=1)  # one column, in all rows or in tagged ones
_FETCH = Schedule(idle=1)
_SELECT = Schedule(compares=1, compared_columns=1)  # of one column
_MARKED_BY_ONE = Schedule(1, 1, 2, 2)  # one column marks the rows; the result is written to all and to the marked
_MARKED_BY_TWO = Schedule(1, 2, 2, 2)  # one pattern of two columns does
_MARKED_BY_BOTH = Schedule(2, 4, 2, 2)  # two patterns of two columns do
_IN_PLACE = Schedule(1, 2, 1, 1)  # one pattern of two columns changes one of them
_REPLACE = Schedule(2, 4, 2, 2)  # two patterns do: one for each new value
_CLEAR = Schedule(1, 1, 1, 1)  # one pattern of one column changes it
_NEGATE = Schedule(2, 4, 2, 3)  # marked by both; "a one was seen" is written along
_ABSOLUTE = Schedule(3, 7, 3, 3)  # marked by both; then "a one was seen" has a pass of its own
_ORDER = Schedule(2, 4)  # two patterns of two columns tell which number is greater


class Machine(NamedTuple):
    """What of a config schedules depend on.

    Parameters
    ----------
    narrow : 1 for the array ``3r1w``, whose fetches and spills take cycles; else 0.
    steps : costs of additions.
    """

    narrow: int
    steps: Steps

    @classmethod
    def of(cls, config: TileConfig) -> Machine:
        """The machine of a tile."""
        return cls(int(config.array == "3r1w"), STEPS[config.passes])


def constant_bits(instruction: Instruction, width: int) -> int:
    """The low bits of the constant as an unsigned number."""
    return instruction.constant & ((1 << width) - 1)


def lowest_one(instruction: Instruction) -> int:
    """Zero bits below the lowest one of a B-bit constant; B where all its bits are 0."""
    number = constant_bits(instruction, instruction.b_width)
    return (number & -number).bit_length() - 1 if number else instruction.b_width


def _all(*parts: Schedule) -> Schedule:
    """One after the other."""
    return Schedule(*map(sum, zip(*parts, strict=True)))


def _times(count: int, step: Schedule, conditional: int = 0) -> Schedule:
    """A step again and again, each of its compares looking at ``conditional`` more columns."""
    compares, columns, writes, written, idle = step
    return Schedule(
        count * compares, count * (columns + conditional * compares), count * writes, count * written, count * idle
    )


def _nothing(_op: Instruction, _machine: Machine) -> Schedule:
    return Schedule()


def dot(op: Instruction, _machine: Machine, skipped: int = 0) -> Schedule:
    """A DOT; of kind SKIP it finds ``skipped`` (0..A) zero planes at the top of a."""
    searches = min(skipped + 1, op.a_width) if op.kind == DotKind.SKIP else 0
    pairs = (op.a_width - skipped) * op.b_width
    return Schedule(compares=searches + pairs, compared_columns=searches + 2 * pairs, idle=1)


def _fill(op: Instruction, _machine: Machine) -> Schedule:
    selects = int(op.predicated)
    return Schedule(selects, selects, op.d_width, op.d_width)


def _copy(op: Instruction, machine: Machine) -> Schedule:
    if op.predicated:
        return _all(_times(machine.narrow, _FETCH), _times(op.a_width, _REPLACE, conditional=1))
    return _times(op.a_width, _MARKED_BY_ONE)


def _and(op: Instruction, _machine: Machine) -> Schedule:
    return _times(op.a_width, _IN_PLACE if op.d == op.b else _MARKED_BY_TWO)


def _xor(op: Instruction, _machine: Machine) -> Schedule:
    return _times(op.a_width, _MARKED_BY_BOTH)


def _extended(op: Instruction, unknown: Schedule, zero: Schedule, conditional: int = 0) -> Schedule:
    """Steps for every bit of b: where a is extended by its sign its bits are unknown, where by zeros they are 0."""
    width = op.b_width if op.a_signed else op.a_width
    return _all(_times(width, unknown, conditional), _times(op.b_width - width, zero, conditional))


def _add(op: Instruction, machine: Machine) -> Schedule:
    return _all(_times(1 + machine.narrow, _WRITE), _extended(op, machine.steps.unknown, _KNOWN, int(op.predicated)))


def _reverse_subtract(op: Instruction, machine: Machine) -> Schedule:
    return _all(
        _times(1 + machine.narrow, _WRITE),
        _extended(op, machine.steps.unknown, _KNOWN),
        _times(op.b_width, _MARKED_BY_ONE),
    )


def _apart(op: Instruction, machine: Machine) -> Schedule:
    steps = machine.steps
    zero = steps.apart_zero_difference if op.opcode == Opcode.DIFF else steps.apart_zero
    return _all(_times(1 + machine.narrow, _WRITE), _extended(op, steps.apart, zero))


def _add_constant(op: Instruction, machine: Machine) -> Schedule:
    skipped = lowest_one(op) if op.kind == ConstantKind.SPARSE else 0
    return _all(_times(1 + machine.narrow, _WRITE), _times(op.b_width - skipped, _KNOWN, int(op.predicated)))


def _multiply(op: Instruction, machine: Machine) -> Schedule:
    width, signed = op.b_width, int(op.a_signed)
    return _all(
        _times(op.a_width * width + signed * width, machine.steps.unknown, conditional=1),
        _times(signed, _WRITE),
        _times(machine.narrow * width, _FETCH),
        _times(machine.narrow * (width + signed), _WRITE),
    )


def _multiply_constant(op: Instruction, machine: Machine) -> Schedule:
    if op.kind == ConstantKind.SPARSE:
        return _multiply_sparse(op, machine)
    return _all(
        _times(op.a_width * op.b_width, _KNOWN, conditional=1),
        _times(machine.narrow * op.b_width, _FETCH),
        _times(machine.narrow * op.b_width, _WRITE),
    )


def _multiply_sparse(op: Instruction, machine: Machine) -> Schedule:
    ones, signed = constant_bits(op, op.a_width).bit_count(), int(op.b_signed)
    return _all(
        _times(ones * op.b_width, machine.steps.unknown),
        _times(signed, _WRITE),
        _times(signed * op.a_width, _KNOWN, conditional=1),
        _times(machine.narrow * ones, _FETCH),
        _times(machine.narrow * (ones + signed), _WRITE),
    )


def _compare(op: Instruction, _machine: Machine) -> Schedule:
    return _all(_extended(op, _ORDER, _SELECT), _times(2, _WRITE))


def _compare_constant(op: Instruction, _machine: Machine) -> Schedule:
    return _all(_times(op.b_width, _SELECT), _times(2, _WRITE))


def _extreme(op: Instruction, machine: Machine) -> Schedule:
    return _all(
        _compare(op, machine),
        _extended(op, _REPLACE, _CLEAR, conditional=1),
        _times(machine.narrow, _WRITE),
    )


def _extreme_constant(op: Instruction, _machine: Machine) -> Schedule:
    return _all(_times(op.b_width, _SELECT), _times(op.b_width, _WRITE))


def _clamp(op: Instruction, machine: Machine) -> Schedule:
    return _times(2, _extreme_constant(op, machine))


def _relu(op: Instruction, _machine: Machine) -> Schedule:
    return _all(_SELECT, _times(op.b_width, _WRITE))


def _negate(op: Instruction, machine: Machine) -> Schedule:
    return _all(_times(1 + machine.narrow, _WRITE), _times(op.a_width, _NEGATE))


def _absolute(op: Instruction, machine: Machine) -> Schedule:
    return _all(_times(1 + machine.narrow, _WRITE), _times(op.a_width - 1, _ABSOLUTE), _MARKED_BY_BOTH)


def _moves(width: int, distance: int) -> Schedule:
    """Columns through the tags and ``distance`` row blocks further."""
    return _all(_times(width, _SELECT), _times(2 * width, _WRITE), Schedule(idle=width * distance))


def _move(op: Instruction, _machine: Machine) -> Schedule:
    return _moves(op.a_width, abs(op.constant))


def _reduce(op: Instruction, machine: Machine) -> Schedule:
    levels, signed = reduce_levels(op.constant), int(op.a_signed)
    parts = [_times(levels * (1 + machine.narrow), _WRITE)]
    for level in range(levels):
        width, distance = op.a_width + level, 1 << levels - 1 - level
        additions = distance if op.kind == ReduceKind.PAIRS else 1
        parts.append(_times(additions * (width - signed), machine.steps.unknown))
        parts.append(_times(additions * signed, machine.steps.signs))
        if op.kind == ReduceKind.SHIFT:
            parts.append(_moves(width, distance))
    return _all(*parts)


SCHEDULES: dict[Opcode, Callable[[Instruction, Machine], Schedule]] = {
    Opcode.HALT: _nothing,
    Opcode.SYNC: _nothing,
    Opcode.LOOP: _nothing,
    Opcode.END: _nothing,
    Opcode.LOAD: _nothing,
    Opcode.STORE: _nothing,
    Opcode.DRAIN: _nothing,
    Opcode.RESTORE: _nothing,
    Opcode.INIT: _nothing,
    Opcode.DOT: dot,
    Opcode.FILL: _fill,
    Opcode.COPY: _copy,
    Opcode.NOT: _copy,
    Opcode.AND: _and,
    Opcode.OR: _and,
    Opcode.XOR: _xor,
    Opcode.ADD: _add,
    Opcode.SUB: _add,
    Opcode.RSUB: _reverse_subtract,
    Opcode.SUM: _apart,
    Opcode.DIFF: _apart,
    Opcode.RDIFF: _apart,
    Opcode.ADDC: _add_constant,
    Opcode.MUL: _multiply,
    Opcode.MULC: _multiply_constant,
    Opcode.MAX: _extreme,
    Opcode.MIN: _extreme,
    Opcode.MAXC: _extreme_constant,
    Opcode.MINC: _extreme_constant,
    Opcode.CLAMP: _clamp,
    Opcode.RELU: _relu,
    Opcode.NEG: _negate,
    Opcode.ABS: _absolute,
    Opcode.CMP: _compare,
    Opcode.CMPC: _compare_constant,
    Opcode.MOVE: _move,
    Opcode.REDUCE: _reduce,
}
"""The schedule of every opcode as a function of a legal instruction and the machine; of a DOT that skips no plane."""
