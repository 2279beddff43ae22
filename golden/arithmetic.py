"""Instructions that add and multiply, from their meaning: one boolean equation per bit step, all rows at once.

A step changes some rows and some of their cells; classical passes match exactly those rows and write exactly those
cells, so the equations give the activity as well.  The tags are the rows that the last pass of the last step matched.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golden.cells import Cells
from golden.logic import invert
from golden.planes import Words
from golden.schedules import lowest_one
from hw.isa import ConstantKind, Instruction, Opcode

__all__ = ["ARITHMETIC", "add_bit", "last_add_pass"]


def add_bit(cells: Cells, x: Words, y: Words, c: Words, active: Words, *, subtract: bool = False) -> None:
    """One bit of y + x or y - x in the active rows, in place: y becomes the sum, c the carry or borrow.

    The sum bit flips where x and the carry differ; of those rows the carry flips where x and y agree (when subtracting:
    where they differ).
    """
    changed = (x ^ c) & active
    carries = changed & (x ^ y) if subtract else changed & ~(x ^ y)
    y ^= changed
    c ^= carries
    cells.change(changed, changed, carries)


def last_add_pass(x: Words, y: Words, c: Words, active: Words, *, subtract: bool = False) -> Words:
    """Rows that the last pass of :func:`add_bit` matches, from the state before the step."""
    return x & (y if subtract else ~y) & ~c & active


def _last_known_pass(bit: int, y: Words, c: Words, active: Words, subtract: bool) -> Words:
    """The same where x is known to be ``bit`` in all rows."""
    key = c if bit == 0 else ~c
    return (y if subtract != (bit == 0) else ~y) & key & active


def _add_field(cells: Cells, x: list[Words], first: int, carry: int, active: Words, *, subtract: bool = False) -> None:
    """Add the planes x to the columns from ``first`` on, or subtract them."""
    words, c = cells.words, cells.words[carry]
    for j, plane in enumerate(x):
        y = words[first + j]
        if j == len(x) - 1:
            cells.tag = last_add_pass(plane, y, c, active, subtract=subtract)
        add_bit(cells, plane, y, c, active, subtract=subtract)


def _add_known(cells: Cells, bits: list[int], first: int, carry: int, active: Words, *, subtract: bool = False) -> None:
    """Add known bits to the columns from ``first`` on, or subtract them."""
    words, c, zero = cells.words, cells.words[carry], np.zeros_like(cells.ones)
    for j, bit in enumerate(bits):
        y = words[first + j]
        if j == len(bits) - 1:
            cells.tag = _last_known_pass(bit, y, c, active, subtract)
        add_bit(cells, cells.ones if bit else zero, y, c, active, subtract=subtract)


def _bits(number: int, width: int) -> list[int]:
    """The low bits of a number, lowest first."""
    return [number >> j & 1 for j in range(width)]


def _planes(cells: Cells, first: int, width: int) -> list[Words]:
    return [cells.words[first + j] for j in range(width)]


def _add_extended(cells: Cells, op: Instruction, active: Words, *, subtract: bool) -> None:
    """Add a to b, or subtract it, with the carry in column d as it is."""
    x, extended = _planes(cells, op.a, op.a_width), op.b_width - op.a_width
    if op.a_signed:
        _add_field(cells, x + [x[-1]] * extended, op.b, op.d, active, subtract=subtract)
    else:
        _add_field(cells, x, op.b, op.d, active, subtract=subtract)
        _add_known(cells, [0] * extended, op.b + op.a_width, op.d, active, subtract=subtract)


def _active(cells: Cells, op: Instruction) -> Words:
    return cells.words[op.p] if op.predicated else cells.ones


def _add_or_subtract(cells: Cells, op: Instruction) -> None:
    cells.write(op.d, 0)
    _add_extended(cells, op, _active(cells, op), subtract=op.opcode == Opcode.SUB)


def _reverse_subtract(cells: Cells, op: Instruction) -> None:
    """The inverse of b - a - 1 is a - b."""
    cells.write(op.d, 1)
    _add_extended(cells, op, cells.ones, subtract=True)
    invert(cells, op.b, op.b, op.b_width)


def _add_constant(cells: Cells, op: Instruction) -> None:
    skipped = lowest_one(op) if op.kind == ConstantKind.SPARSE else 0
    cells.write(op.d, 0)
    _add_known(cells, _bits(op.constant, op.b_width)[skipped:], op.b + skipped, op.d, _active(cells, op))


def _sum_apart(cells: Cells, op: Instruction) -> None:
    """The sum or difference, or-ed into d; its top column is the carry or borrow.

    A borrow is the carry of a sum with the minuend inverted.
    """
    words, zero = cells.words, np.zeros_like(cells.ones)
    cells.write(op.d + op.b_width, 0)
    c = words[op.d + op.b_width]
    for j in range(op.b_width):
        known = j >= op.a_width and not op.a_signed
        x, y = zero if known else words[op.a + min(j, op.a_width - 1)], words[op.b + j]
        left, right = ~x if op.opcode == Opcode.RDIFF else x, ~y if op.opcode == Opcode.DIFF else y
        result, flips = x ^ y ^ c, c ^ (left & right | (left | right) & c)
        # The last pass is that of the greatest state that is matched.
        cells.tag = y & (c if op.opcode == Opcode.DIFF or (op.opcode == Opcode.RDIFF and not known) else ~c)
        if not known:
            cells.tag &= x
        words[op.d + j] |= result
        c ^= flips
        cells.change(result | flips, result, flips)


def _multiply(cells: Cells, op: Instruction) -> None:
    words, a = cells.words, _planes(cells, op.a, op.a_width)
    for k in range(op.b_width):
        subtract = op.b_signed and k == op.b_width - 1
        _add_field(cells, a, op.d + k, op.d + k + op.a_width, words[op.b + k], subtract=subtract)
    if op.a_signed:
        cells.write(op.p, 0)
        _add_field(cells, _planes(cells, op.b, op.b_width), op.d + op.a_width, op.p, a[-1], subtract=True)


def _multiply_constant(cells: Cells, op: Instruction) -> None:
    bits = _bits(op.constant, op.a_width)
    if op.kind == ConstantKind.SPARSE:
        _multiply_sparse(cells, op, bits)
        return
    for k in range(op.b_width):
        subtract = op.b_signed and k == op.b_width - 1
        _add_known(cells, bits, op.d + k, op.d + k + op.a_width, cells.words[op.b + k], subtract=subtract)


def _multiply_sparse(cells: Cells, op: Instruction, bits: list[int]) -> None:
    """Add b for every one of the constant; where b's sign is 1, it counted 2**B too much."""
    b = _planes(cells, op.b, op.b_width)
    for k, bit in enumerate(bits):
        if bit:
            _add_field(cells, b, op.d + k, op.d + k + op.b_width, cells.ones)
    if op.b_signed:
        cells.write(op.p, 0)
        _add_known(cells, bits, op.d + op.b_width, op.p, b[-1], subtract=True)


ARITHMETIC: dict[int, Callable[[Cells, Instruction], None]] = {
    Opcode.ADD: _add_or_subtract,
    Opcode.SUB: _add_or_subtract,
    Opcode.RSUB: _reverse_subtract,
    Opcode.SUM: _sum_apart,
    Opcode.DIFF: _sum_apart,
    Opcode.RDIFF: _sum_apart,
    Opcode.ADDC: _add_constant,
    Opcode.MUL: _multiply,
    Opcode.MULC: _multiply_constant,
}
"""How each opcode rewrites the cells; the instruction is legal and its operands obey the contract."""
