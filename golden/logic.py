"""Instructions that move and combine bits of a row: fills, copies, logic, and numbers with their sign changed."""

from __future__ import annotations

from collections.abc import Callable

from golden.cells import Cells
from golden.planes import Words
from hw.isa import Instruction, Opcode

__all__ = ["LOGIC", "copy_where", "invert"]


def copy_where(cells: Cells, x: Words, column: int, active: Words, *, inverted: bool = False) -> None:
    """Copy plane x, or its inverse, to a column in the active rows only: a pass for each of the two values."""
    y = cells.words[column]
    changed = (~(x ^ y) if inverted else x ^ y) & active
    cells.tag = changed & x
    y ^= changed
    cells.change(changed, changed)


def invert(cells: Cells, first: int, to: int, width: int) -> None:
    """Write the inverse of the columns from ``first`` on to those from ``to`` on."""
    for j in range(width):
        cells.select(~cells.words[first + j] & cells.ones)
        cells.write_marked(to + j, 1)


def _fill(cells: Cells, op: Instruction) -> None:
    if op.predicated:
        cells.select(cells.words[op.p].copy())
    for j in range(op.d_width):
        bit = op.constant >> j & 1
        if op.predicated:
            cells.write_tagged(op.d + j, bit)
        else:
            cells.write(op.d + j, bit)


def _copy(cells: Cells, op: Instruction) -> None:
    words, inverted = cells.words, op.opcode == Opcode.NOT
    if op.predicated:
        for j in range(op.a_width):
            copy_where(cells, words[op.a + j], op.d + j, words[op.p], inverted=inverted)
    elif inverted:
        invert(cells, op.a, op.d, op.a_width)
    else:
        for j in range(op.a_width):
            cells.select(words[op.a + j].copy())
            cells.write_marked(op.d + j, 1)


def _and(cells: Cells, op: Instruction) -> None:
    words = cells.words
    for j in range(op.a_width):
        x, y = words[op.a + j], words[op.b + j]
        if op.d == op.b:
            cells.select(~x & y)
            cells.write_tagged(op.d + j, 0)
        else:
            cells.select(x & y)
            cells.write_marked(op.d + j, 1)


def _or(cells: Cells, op: Instruction) -> None:
    words = cells.words
    for j in range(op.a_width):
        x, y = words[op.a + j], words[op.b + j]
        if op.d == op.b:
            cells.select(x & ~y)
            cells.write_tagged(op.d + j, 1)
        else:
            cells.select(~(x | y) & cells.ones)
            cells.write_marked(op.d + j, 0)


def _mark_different(cells: Cells, x: Words, y: Words) -> None:
    """Tag the rows where two planes differ, by two compares."""
    cells.select(~x & y)
    cells.add(x & ~y)


def _xor(cells: Cells, op: Instruction) -> None:
    words = cells.words
    for j in range(op.a_width):
        _mark_different(cells, words[op.a + j], words[op.b + j])
        cells.write_marked(op.d + j, 1)


def _negate(cells: Cells, op: Instruction) -> None:
    """Invert the bits above the lowest 1; column p tells that it was seen."""
    words = cells.words
    cells.write(op.p, 0)
    for j in range(op.a_width):
        _mark_different(cells, words[op.a + j], words[op.p])
        cells.write_marked(op.d + j, 1)
        cells.write_tagged(op.p, 1)


def _absolute(cells: Cells, op: Instruction) -> None:
    """Negate the rows whose top bit is 1; in the others column p stays 0."""
    words, top = cells.words, op.a_width - 1
    seen, negative = words[op.p], words[op.a + top]
    cells.write(op.p, 0)
    for j in range(op.a_width):
        x = words[op.a + j]
        first_one = x & ~seen & negative
        _mark_different(cells, x, seen)
        cells.write_marked(op.d + j, 1)
        if j < top:
            cells.select(first_one)
            cells.write_tagged(op.p, 1)


LOGIC: dict[int, Callable[[Cells, Instruction], None]] = {
    Opcode.FILL: _fill,
    Opcode.COPY: _copy,
    Opcode.NOT: _copy,
    Opcode.AND: _and,
    Opcode.OR: _or,
    Opcode.XOR: _xor,
    Opcode.NEG: _negate,
    Opcode.ABS: _absolute,
}
"""How each opcode rewrites the cells; the instruction is legal and its operands obey the contract."""
