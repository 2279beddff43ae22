"""Instructions that bring words of different row blocks together: MOVE and REDUCE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golden.arithmetic import add_bit, last_add_pass
from golden.cells import Cells
from golden.planes import Words, pack, unpack
from hw.isa import Instruction, Opcode, ReduceKind, reduce_levels

__all__ = ["BLOCKS"]


def _moved(cells: Cells, first: int, width: int, distance: int) -> Words:
    """Columns with every row block ``distance`` (below taps in magnitude) blocks further; those shifted in are 0."""
    taps = cells.taps
    bits = np.reshape(unpack(cells.words[first : first + width], cells.rows), (width, taps, cells.outputs))
    moved = np.zeros_like(bits)
    moved[:, max(distance, 0) : taps + min(distance, 0)] = bits[:, max(-distance, 0) : taps - max(distance, 0)]
    return pack(np.reshape(moved, (width, -1)))


def _move_through_tags(cells: Cells, column: int, moved: Words, target: int) -> None:
    """Tag a column, let the tags become ``moved``, and write them to the target."""
    cells.select(cells.words[column].copy())
    cells.tag = moved
    cells.write_marked(target, 1)


def _move(cells: Cells, op: Instruction) -> None:
    moved = _moved(cells, op.a, op.a_width, op.constant)
    for j in range(op.a_width):
        _move_through_tags(cells, op.a + j, moved[j], op.d + j)


def _add_signs(cells: Cells, x: Words, y: Words, c: Words, active: Words) -> None:
    """The top bits of two's complement numbers, which count negatively: the carry is the sign of c - x - y."""
    negative = x & y | (x | y) & ~c
    flips, carries = (x ^ c) & active, (c ^ negative) & active
    cells.tag = x & y & ~c & active
    y ^= flips
    c ^= carries
    cells.change(flips | carries, flips, carries)


def _first_blocks(cells: Cells, op: Instruction, count: int) -> Words:
    """Rows of the first blocks of every segment; by PAIRS there is one segment."""
    block = np.arange(cells.taps)
    if op.kind == ReduceKind.SEGMENTS:
        block = block % (1 << reduce_levels(op.constant))
    return pack(np.repeat((block < count).astype(np.uint8), cells.outputs))


def _partners(cells: Cells, op: Instruction, level: int, distance: int) -> tuple[Words, Words]:
    """For every row the word that it meets in a level, shape (width, words of a plane), and the rows that add it.

    On a 2D tile, words beyond the last one are 0.
    """
    moved = _moved(cells, op.d, op.a_width + level, -distance)
    if op.kind == ReduceKind.SHIFT:
        return moved, cells.ones
    if level == 0:
        moved &= _first_blocks(cells, op, op.constant - distance)
    return moved, _first_blocks(cells, op, distance)


def _reduce(cells: Cells, op: Instruction) -> None:
    """Level by level, add to every word the one that is a power of two row blocks further."""
    words, levels = cells.words, reduce_levels(op.constant)
    for level in range(levels):
        width, distance = op.a_width + level, 1 << levels - 1 - level
        moved, active = _partners(cells, op, level, distance)
        cells.write(op.d + width, 0)
        carry = words[op.d + width]
        for j, x in enumerate(moved):
            if op.kind == ReduceKind.SHIFT:
                _move_through_tags(cells, op.d + j, x, op.p)
            y = words[op.d + j]
            if op.a_signed and j == width - 1:
                _add_signs(cells, x, y, carry, active)
            else:
                cells.tag = last_add_pass(x, y, carry, active)
                add_bit(cells, x, y, carry, active)


BLOCKS: dict[int, Callable[[Cells, Instruction], None]] = {Opcode.MOVE: _move, Opcode.REDUCE: _reduce}
"""How each opcode rewrites the cells; the instruction is legal and its operands obey the contract."""
