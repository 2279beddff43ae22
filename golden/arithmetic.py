"""Instructions that rewrite columns, from their meaning: one boolean equation per bit step, all rows at once.

A step changes some rows and some of their cells; passes match exactly those rows and write exactly those cells, so the
equations give the activity as well.  The tags are the rows that the last pass of the last step matched.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golden.cells import Cells
from golden.planes import Words
from hw.isa import CONSTANT_BITS, Instruction, Opcode

__all__ = ["INSTRUCTIONS"]


def _add(cells: Cells, x: Words, y: Words, c: Words, active: Words, subtract: bool) -> None:
    """One bit of y + x or y - x in the active rows, in place: y becomes the sum, c the carry or borrow.

    The sum bit flips where x and the carry differ; of those rows the carry flips where x and y agree (when subtracting:
    where they differ).
    """
    changed = (x ^ c) & active
    carries = changed & (x ^ y) if subtract else changed & ~(x ^ y)
    y ^= changed
    c ^= carries
    cells.change(changed, changed, carries)


def _last_pass(x: Words, y: Words, c: Words, active: Words, subtract: bool) -> Words:
    """Rows that the last pass of an adder step matches, from the state before the step."""
    return x & (y if subtract else ~y) & ~c & active


def _last_known_pass(bit: int, y: Words, c: Words, active: Words, subtract: bool) -> Words:
    """The same where x is known to be ``bit`` in all rows."""
    key = c if bit == 0 else ~c
    return (y if subtract != (bit == 0) else ~y) & key & active


def _add_field(cells: Cells, x: list[Words], first: int, carry: int, active: Words, subtract: bool) -> None:
    """Add the planes x to the columns from ``first`` on, or subtract them."""
    words, c = cells.words, cells.words[carry]
    for j, plane in enumerate(x):
        y = words[first + j]
        if j == len(x) - 1:
            cells.tag = _last_pass(plane, y, c, active, subtract)
        _add(cells, plane, y, c, active, subtract)


def _add_known(cells: Cells, bits: list[int], first: int, carry: int, active: Words, subtract: bool) -> None:
    """Add known bits to the columns from ``first`` on, or subtract them."""
    words, c, zero = cells.words, cells.words[carry], np.zeros_like(cells.ones)
    for j, bit in enumerate(bits):
        y = words[first + j]
        if j == len(bits) - 1:
            cells.tag = _last_known_pass(bit, y, c, active, subtract)
        _add(cells, cells.ones if bit else zero, y, c, active, subtract)


def _active(cells: Cells, op: Instruction) -> Words:
    return cells.words[op.p] if op.predicated else cells.ones


def _bits(constant: int, width: int) -> list[int]:
    """Bits of a constant, sign-extended from the field that it has in an instruction word."""
    return [constant >> min(j, CONSTANT_BITS - 1) & 1 for j in range(width)]


def _fill(cells: Cells, op: Instruction) -> None:
    if op.predicated:
        cells.select(cells.words[op.p].copy())
    for j, bit in enumerate(_bits(op.constant, op.d_width)):
        if op.predicated:
            cells.write_tagged(op.d + j, bit)
        else:
            cells.write(op.d + j, bit)


def _copy(cells: Cells, op: Instruction) -> None:
    words, active, inverted = cells.words, _active(cells, op), op.opcode == Opcode.NOT
    for j in range(op.a_width):
        x, y = words[op.a + j], words[op.d + j]
        changed = (~(x ^ y) if inverted else x ^ y) & active
        cells.tag = changed & x
        y ^= changed
        cells.change(changed, changed)


def _and_or(cells: Cells, op: Instruction) -> None:
    words = cells.words
    for j in range(op.a_width):
        x, y = words[op.a + j], words[op.b + j]
        changed = ~x & y if op.opcode == Opcode.AND else x & ~y
        cells.tag = changed
        y ^= changed
        cells.change(changed, changed)


def _xor(cells: Cells, op: Instruction) -> None:
    words = cells.words
    for j in range(op.a_width):
        a, b, d = words[op.a + j], words[op.b + j], words[op.d + j]
        changed = a ^ b ^ d
        cells.tag = a & b & d
        d ^= changed
        cells.change(changed, changed)


def _add_or_subtract(cells: Cells, op: Instruction) -> None:
    words, subtract = cells.words, op.opcode == Opcode.SUB
    cells.write(op.d, 0)
    x = [words[op.a + j] for j in range(op.a_width)]
    extended = op.b_width - op.a_width
    if op.a_signed:
        x += [x[-1]] * extended
        _add_field(cells, x, op.b, op.d, _active(cells, op), subtract)
    else:
        _add_field(cells, x, op.b, op.d, _active(cells, op), subtract)
        _add_known(cells, [0] * extended, op.b + op.a_width, op.d, _active(cells, op), subtract)


def _add_constant(cells: Cells, op: Instruction) -> None:
    cells.write(op.d, 0)
    _add_known(cells, _bits(op.constant, op.b_width), op.b, op.d, _active(cells, op), subtract=False)


def _multiply(cells: Cells, op: Instruction) -> None:
    words = cells.words
    a = [words[op.a + j] for j in range(op.a_width)]
    for k in range(op.b_width):
        subtract = op.b_signed and k == op.b_width - 1
        _add_field(cells, a, op.d + k, op.d + k + op.a_width, words[op.b + k], subtract)
    if op.a_signed:
        cells.write(op.p, 0)
        b = [words[op.b + j] for j in range(op.b_width)]
        _add_field(cells, b, op.d + op.a_width, op.p, a[-1], subtract=True)


def _multiply_constant(cells: Cells, op: Instruction) -> None:
    bits = _bits(op.constant, op.a_width)
    for k in range(op.b_width):
        subtract = op.b_signed and k == op.b_width - 1
        _add_known(cells, bits, op.d + k, op.d + k + op.a_width, cells.words[op.b + k], subtract)


def _extreme(cells: Cells, op: Instruction) -> None:
    words = cells.words
    cells.write(op.d, 0)
    cells.write(op.d + 1, 0)
    a_taken, b_taken = words[op.d], words[op.d + 1]
    for j in reversed(range(op.a_width)):
        x, y = words[op.a + j], words[op.b + j]
        smaller = (op.opcode == Opcode.MIN) != (op.a_signed and j == op.a_width - 1)
        undecided = ~(a_taken | b_taken)
        difference = x ^ y
        takes = difference & undecided & (y if smaller else x)
        keeps = difference & undecided & (x if smaller else y)
        follows = difference & a_taken
        cells.tag = follows & x
        y ^= takes | follows
        a_taken |= takes
        b_taken |= keeps
        cells.change(takes | keeps | follows, takes | follows, takes, keeps)


def _extreme_constant(cells: Cells, op: Instruction) -> None:
    words = cells.words
    cells.write(op.d, 0)
    cells.write(op.d + 1, 0)
    bits = _bits(op.constant, op.b_width)
    for j in reversed(range(op.b_width)):
        y = words[op.b + j]
        undecided = ~(words[op.d] | words[op.d + 1])
        decided = (~y if bits[j] else y) & undecided & cells.ones
        larger = (bits[j] == 0) != (op.b_signed and j == op.b_width - 1)
        words[op.d + larger] |= decided
        cells.change(decided, decided)
    cells.select(words[op.d + (op.opcode == Opcode.MINC)].copy())
    for j, bit in enumerate(bits):
        cells.write_tagged(op.b + j, bit)


def _relu(cells: Cells, op: Instruction) -> None:
    cells.select(cells.words[op.b + op.b_width - 1].copy())
    for j in range(op.b_width):
        cells.write_tagged(op.b + j, 0)


INSTRUCTIONS: dict[int, Callable[[Cells, Instruction], None]] = {
    Opcode.FILL: _fill,
    Opcode.COPY: _copy,
    Opcode.NOT: _copy,
    Opcode.AND: _and_or,
    Opcode.OR: _and_or,
    Opcode.XOR: _xor,
    Opcode.ADD: _add_or_subtract,
    Opcode.SUB: _add_or_subtract,
    Opcode.ADDC: _add_constant,
    Opcode.MUL: _multiply,
    Opcode.MULC: _multiply_constant,
    Opcode.MAX: _extreme,
    Opcode.MIN: _extreme,
    Opcode.MAXC: _extreme_constant,
    Opcode.MINC: _extreme_constant,
    Opcode.RELU: _relu,
}
"""How each opcode rewrites the cells; the instruction is legal and its operands obey the contract."""
