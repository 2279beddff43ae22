"""Instructions that compare numbers: the tags carry the answer from bit to bit, so a compare adds rows or takes away.

From the lowest bit up, a row's answer is that of the highest bit where its numbers differ so far; at the sign of two's
complement numbers it is the other way round.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golden.cells import Cells
from golden.logic import copy_where
from golden.planes import Words
from hw.isa import CompareKind, Instruction, Opcode, clamp_bounds

__all__ = ["COMPARISONS"]

_EQUALITY = (CompareKind.EQ, CompareKind.NE)
_OR_EQUAL = (CompareKind.LE, CompareKind.GT)
_TRUE_UNMARKED = (CompareKind.EQ, CompareKind.GE, CompareKind.GT)


def _start(cells: Cells, *, marked: bool = False) -> None:
    """The answer before the first bit."""
    cells.tag = cells.ones if marked else np.zeros_like(cells.ones)


def _mark_less(cells: Cells, x: Words, y: Words) -> None:
    """One bit of x < y."""
    cells.add(~x & y)
    cells.remove(x & ~y)


def _mark_against(cells: Cells, y: Words, bit: int, *, greater: bool) -> None:
    """One bit of y < constant, or of y > constant: only rows with the other bit are concerned."""
    differs = ~y & cells.ones if bit else y
    if bit != greater:
        cells.add(differs)
    else:
        cells.remove(differs)


def _mark_order(cells: Cells, op: Instruction, *, greater: bool) -> None:
    """Mark the rows with a < b, or with a > b; rows where they are equal stay as they were."""
    words, top = cells.words, op.b_width - 1
    for j in range(op.b_width):
        y = words[op.b + j]
        if j >= op.a_width and not op.a_signed:
            _mark_against(cells, y, 0, greater=not greater)
            continue
        x = words[op.a + min(j, op.a_width - 1)]
        if greater != (op.a_signed and j == top):
            _mark_less(cells, y, x)
        else:
            _mark_less(cells, x, y)


def _mark_order_of_constant(cells: Cells, op: Instruction, constant: int, *, greater: bool) -> None:
    """Mark the rows with b < constant, or with b > constant."""
    for j in range(op.b_width):
        sign = op.b_signed and j == op.b_width - 1
        _mark_against(cells, cells.words[op.b + j], constant >> j & 1, greater=greater != sign)


def _mark_different(cells: Cells, op: Instruction) -> None:
    for j in range(op.b_width):
        y = cells.words[op.b + j]
        if j >= op.a_width and not op.a_signed:
            cells.add(y)
            continue
        x = cells.words[op.a + min(j, op.a_width - 1)]
        cells.add(~x & y)
        cells.add(x & ~y)


def _mark_different_from_constant(cells: Cells, op: Instruction) -> None:
    for j in range(op.b_width):
        y = cells.words[op.b + j]
        cells.add(~y & cells.ones if op.constant >> j & 1 else y)


def _compare(cells: Cells, op: Instruction) -> None:
    _start(cells, marked=op.kind in _OR_EQUAL)
    if op.kind in _EQUALITY:
        _mark_different(cells, op)
    else:
        _mark_order(cells, op, greater=False)
    cells.write_marked(op.d, int(op.kind not in _TRUE_UNMARKED))


def _compare_constant(cells: Cells, op: Instruction) -> None:
    _start(cells, marked=op.kind in _OR_EQUAL)
    if op.kind in _EQUALITY:
        _mark_different_from_constant(cells, op)
    else:
        _mark_order_of_constant(cells, op, op.constant, greater=False)
    cells.write_marked(op.d, int(op.kind not in _TRUE_UNMARKED))


def _extreme(cells: Cells, op: Instruction) -> None:
    words = cells.words
    _start(cells)
    _mark_order(cells, op, greater=op.opcode == Opcode.MAX)
    cells.write_marked(op.d, 1)
    for j in range(op.b_width):
        if j >= op.a_width and not op.a_signed:
            cells.select(words[op.b + j] & words[op.d])
            cells.write_tagged(op.b + j, 0)
        else:
            copy_where(cells, words[op.a + min(j, op.a_width - 1)], op.b + j, words[op.d])


def _bound(cells: Cells, op: Instruction, bound: int, *, upper: bool) -> None:
    """Bring b to a bound where it is beyond it."""
    _start(cells)
    _mark_order_of_constant(cells, op, bound, greater=upper)
    for j in range(op.b_width):
        cells.write_tagged(op.b + j, bound >> j & 1)


def _extreme_constant(cells: Cells, op: Instruction) -> None:
    _bound(cells, op, op.constant, upper=op.opcode == Opcode.MINC)


def _clamp(cells: Cells, op: Instruction) -> None:
    low, high = clamp_bounds(op.constant)
    _bound(cells, op, low, upper=False)
    _bound(cells, op, high, upper=True)


def _relu(cells: Cells, op: Instruction) -> None:
    cells.select(cells.words[op.b + op.b_width - 1].copy())
    for j in range(op.b_width):
        cells.write_tagged(op.b + j, 0)


COMPARISONS: dict[int, Callable[[Cells, Instruction], None]] = {
    Opcode.MAX: _extreme,
    Opcode.MIN: _extreme,
    Opcode.MAXC: _extreme_constant,
    Opcode.MINC: _extreme_constant,
    Opcode.CLAMP: _clamp,
    Opcode.RELU: _relu,
    Opcode.CMP: _compare,
    Opcode.CMPC: _compare_constant,
}
"""How each opcode rewrites the cells; the instruction is legal and its operands obey the contract."""
