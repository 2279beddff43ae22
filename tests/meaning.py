"""What instructions do to the cells, in Python's integers: a row is a number whose bit c is the cell of column c.

Nothing here knows of passes, tags or planes, so it is a second opinion on golden tile and Verilog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hw.config import TileConfig
from hw.isa import (
    CompareKind,
    ConstantKind,
    Instruction,
    Opcode,
    ReduceKind,
    clamp_bounds,
    reduce_levels,
    scratches,
)

Rows = list[int]


def bits_of(row: int, first: int, width: int) -> int:
    """The number in some columns of a row, unsigned."""
    return row >> first & ((1 << width) - 1)


def with_bits(row: int, first: int, width: int, number: int) -> int:
    """The row with a number, taken modulo, in some of its columns."""
    mask = (1 << width) - 1
    return row & ~(mask << first) | (number & mask) << first


def as_signed(number: int, width: int) -> int:
    """The same bits as two's complement."""
    return (number & ((1 << width) - 1) ^ 1 << (width - 1)) - (1 << (width - 1))


@dataclass(frozen=True)
class Row:
    """What a row holds in the fields of an instruction, unsigned."""

    op: Instruction
    a: int
    b: int
    d: int
    p: int

    @property
    def modulus(self) -> int:
        """Of the numbers that fit b."""
        return 1 << self.op.b_width

    @property
    def extended_a(self) -> int:
        """Operand a with as many bits as b, unsigned."""
        return (as_signed(self.a, self.op.a_width) if self.op.a_signed else self.a) % self.modulus

    @property
    def constant(self) -> int:
        """The constant with as many bits as b, unsigned."""
        return self.op.constant % self.modulus

    def ordered(self, number: int, signed: bool) -> int:
        """A number as wide as b as comparisons take it."""
        return as_signed(number, self.op.b_width) if signed else number


Meaning = Callable[[Row], dict[str, int]]
"""From what the fields of a row hold to what is new in them."""


def _adds(row: Row, addend: int) -> dict[str, int]:
    if row.op.predicated and not row.p:
        return {"d": 0}
    total = row.b + addend
    return {"b": total % row.modulus, "d": total // row.modulus}


def _subtracts(row: Row) -> dict[str, int]:
    if row.op.predicated and not row.p:
        return {"d": 0}
    return {"b": (row.b - row.extended_a) % row.modulus, "d": int(row.b < row.extended_a)}


def _subtracts_from_a(row: Row) -> dict[str, int]:
    return {"b": (row.extended_a - row.b) % row.modulus, "d": int(row.extended_a >= row.b)}


def _beside(row: Row, number: int) -> dict[str, int]:
    """A sum or difference joins the lower columns of d; the top one is the carry or borrow."""
    lower = row.d % row.modulus | number % row.modulus
    return {"d": lower | (0 if 0 <= number < row.modulus else row.modulus)}


def _copies(row: Row, number: int) -> dict[str, int]:
    return {} if row.op.predicated and not row.p else {"d": number}


def _product(row: Row) -> dict[str, int]:
    op = row.op
    a = as_signed(row.a, op.a_width) if op.a_signed else row.a
    b = as_signed(row.b, op.b_width) if op.b_signed else row.b
    new = {"d": a * b + row.d}
    if op.a_signed:
        upper = (row.a * b + row.d >> op.a_width) % row.modulus
        new["p"] = int(a < 0 and upper < row.b)
    return new


def _product_with_constant(row: Row) -> dict[str, int]:
    op = row.op
    constant = op.constant % (1 << op.a_width)
    new = {"d": constant * (as_signed(row.b, op.b_width) if op.b_signed else row.b) + row.d}
    if op.kind == ConstantKind.SPARSE and op.b_signed:
        new["p"] = int(row.b >= row.modulus // 2 and constant * row.b >> op.b_width < constant)
    return new


def _extreme(row: Row, *, greater: bool) -> dict[str, int]:
    a, b = (row.ordered(number, row.op.a_signed) for number in (row.extended_a, row.b))
    taken = a > b if greater else a < b
    return {"b": row.extended_a if taken else row.b, "d": int(taken)}


def _bounded(row: Row, low: int | None, high: int | None) -> dict[str, int]:
    b = row.ordered(row.b, row.op.b_signed)
    if low is not None:
        b = max(b, row.ordered(low % row.modulus, row.op.b_signed))
    if high is not None:
        b = min(b, row.ordered(high % row.modulus, row.op.b_signed))
    return {"b": b}


def _clamped(row: Row) -> dict[str, int]:
    return _bounded(row, *clamp_bounds(row.op.constant))


def _absolute(row: Row) -> dict[str, int]:
    number = as_signed(row.a, row.op.a_width)
    return {"d": abs(number), "p": int(number < 0 and bool(bits_of(row.a, 0, row.op.a_width - 1)))}


HOLDS: dict[int, Callable[[int, int], bool]] = {
    CompareKind.EQ: lambda a, b: a == b,
    CompareKind.NE: lambda a, b: a != b,
    CompareKind.LT: lambda a, b: a < b,
    CompareKind.GE: lambda a, b: a >= b,
    CompareKind.LE: lambda a, b: a <= b,
    CompareKind.GT: lambda a, b: a > b,
}


def _compared(row: Row) -> dict[str, int]:
    a, b = (row.ordered(number, row.op.a_signed) for number in (row.extended_a, row.b))
    return {"d": int(HOLDS[row.op.kind](a, b))}


def _compared_with_constant(row: Row) -> dict[str, int]:
    b, constant = (row.ordered(number, row.op.b_signed) for number in (row.b, row.constant))
    return {"d": int(HOLDS[row.op.kind](b, constant))}


ROW_BY_ROW: Mapping[int, Meaning] = {
    Opcode.FILL: lambda row: _copies(row, row.op.constant),
    Opcode.COPY: lambda row: _copies(row, row.a),
    Opcode.NOT: lambda row: _copies(row, ~row.a),
    Opcode.AND: lambda row: {"d": row.a & row.b},
    Opcode.OR: lambda row: {"d": row.a | row.b},
    Opcode.XOR: lambda row: {"d": row.a ^ row.b},
    Opcode.ADD: lambda row: _adds(row, row.extended_a),
    Opcode.SUB: _subtracts,
    Opcode.RSUB: _subtracts_from_a,
    Opcode.SUM: lambda row: _beside(row, row.b + row.extended_a),
    Opcode.DIFF: lambda row: _beside(row, row.b - row.extended_a),
    Opcode.RDIFF: lambda row: _beside(row, row.extended_a - row.b),
    Opcode.ADDC: lambda row: _adds(row, row.constant),
    Opcode.MUL: _product,
    Opcode.MULC: _product_with_constant,
    Opcode.MAX: lambda row: _extreme(row, greater=True),
    Opcode.MIN: lambda row: _extreme(row, greater=False),
    Opcode.MAXC: lambda row: _bounded(row, row.op.constant, None),
    Opcode.MINC: lambda row: _bounded(row, None, row.op.constant),
    Opcode.CLAMP: _clamped,
    Opcode.RELU: lambda row: {"b": 0 if row.b >= row.modulus // 2 else row.b},
    Opcode.NEG: lambda row: {"d": -row.a, "p": int(row.a != 0)},
    Opcode.ABS: _absolute,
    Opcode.CMP: _compared,
    Opcode.CMPC: _compared_with_constant,
}
"""Instructions in which no row looks at another one."""


def _after_row(op: Instruction, row: int) -> int:
    a, b, d = (
        bits_of(row, first, width) for first, width in ((op.a, op.a_width), (op.b, op.b_width), (op.d, op.d_width))
    )
    places = {"b": (op.b, op.b_width), "d": (op.d, op.d_width), "p": (op.p, 1)}
    for field, number in ROW_BY_ROW[op.opcode](Row(op, a, b, d, row >> op.p & 1)).items():
        row = with_bits(row, *places[field], number)
    return row


def _moved(op: Instruction, rows: Rows, size: int) -> Rows:
    distance = op.constant * size
    sources = (index - distance for index in range(len(rows)))
    words = [bits_of(rows[source], op.a, op.a_width) if 0 <= source < len(rows) else 0 for source in sources]
    return [with_bits(row, op.d, op.d_width, word) for row, word in zip(rows, words, strict=True)]


def sum_of_words(op: Instruction, rows: Rows, size: int, first_row: int, words: int) -> int:
    """The sum of the words of so many row blocks from a row on; those beyond the last are 0."""
    numbers = (bits_of(row, op.d, op.a_width) for row in rows[first_row : first_row + words * size : size])
    return sum(as_signed(number, op.a_width) if op.a_signed else number for number in numbers)


def reduced(op: Instruction, rows: Rows, size: int) -> dict[int, int]:
    """What a REDUCE promises: sums by the number of the row that holds them."""
    spread = 1 << reduce_levels(op.constant)
    if op.kind == ReduceKind.SHIFT:
        return {index: sum_of_words(op, rows, size, index, spread) for index in range(len(rows))}
    blocks = range(0, len(rows) // size, spread) if op.kind == ReduceKind.SEGMENTS else (0,)
    return {
        block * size + output: sum_of_words(op, rows, size, block * size + output, op.constant)
        for block in blocks
        for output in range(size)
    }


def after(op: Instruction, rows: Rows, config: TileConfig) -> Rows:
    """The rows after an instruction; of a REDUCE only what it promises, with all else as it was."""
    size = config.outputs
    if op.opcode == Opcode.MOVE:
        return _moved(op, rows, size)
    if op.opcode == Opcode.REDUCE:
        sums = reduced(op, rows, size)
        return [with_bits(row, op.d, op.d_width, sums[i]) if i in sums else row for i, row in enumerate(rows)]
    return [_after_row(op, row) for row in rows]


def promised(op: Instruction, rows: Rows, config: TileConfig) -> list[int]:
    """Of each row, a mask of the columns that :func:`after` tells; all, but for a REDUCE."""
    everything = (1 << config.columns) - 1
    if op.opcode != Opcode.REDUCE or op.constant == 1:
        return [everything] * len(rows)
    hidden = with_bits(0, op.d, op.d_width, -1) | (1 << op.p if scratches(op) else 0)
    sums = reduced(op, rows, config.outputs)
    shown = with_bits(0, op.d, op.d_width, -1)
    return [everything & ~hidden | (shown if index in sums else 0) for index in range(len(rows))]


def dot_products(op: Instruction, rows: Rows, config: TileConfig) -> list[int]:
    """What a DOT adds to the total of each output."""
    sums = [0] * config.outputs
    for index, row in enumerate(rows):
        a, b = bits_of(row, op.a, op.a_width), bits_of(row, op.b, op.b_width)
        a = as_signed(a, op.a_width) if op.a_signed else a
        b = as_signed(b, op.b_width) if op.b_signed else b
        sums[index % config.outputs] += a * b
    return sums


def leading_zero_planes(op: Instruction, rows: Rows) -> int:
    """Planes of a, from the top one down, in which no row has a 1."""
    used = 0
    for row in rows:
        used |= bits_of(row, op.a, op.a_width)
    return op.a_width - used.bit_length()
