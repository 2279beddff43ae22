"""What a person follows in the waves of a tile: its passes, one after the other, and the cells after each.

A *pass* is one cycle in which the array or its tags change by an instruction: a compare, a write, or a shift of the
tags. A plane that the plane port writes between them is a step of its own, because it changes cells as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hw.config import TileConfig

__all__ = ["KINDS", "MODES", "Column", "Pass", "Trace", "Write"]

KINDS = ("compare", "write", "shift", "plane")
"""What a pass does: compare a key, write into rows, move the tags by a row block, take a plane of the plane port."""

MODES = ("set", "add", "remove", "others", "all", "none")
"""What a compare makes of the tags: rows that match, and no other, are tagged (set); rows that match are tagged as well
(add) or lose their tag (remove); rows that do not match, and no other, are tagged (others); all rows are tagged, or
none, whatever matches."""


@dataclass(frozen=True)
class Column:
    """A column of the array.

    Parameters
    ----------
    index : its number, from 0.
    name : role and bit as a person says it: ``"a[0]"``, ``"b[3]"``, ``"carry"``; empty if none is known.
    """

    index: int
    name: str


@dataclass(frozen=True)
class Write:
    """The bit that a pass writes into a column."""

    column: int
    value: int


@dataclass(frozen=True)
class Pass:
    """One cycle of the array, in the order of the run.

    Parameters
    ----------
    cycle : clock cycle of the run, from 0, which is its first decode cycle.
    instruction : assembler text of what runs, ``"ADD a=0:4 b=4:4 d=8"``.
    address : of the instruction.
    kind : one of :data:`KINDS`.
    key : compared columns and the bit that each must have; the mask is its columns. Empty where nothing is compared.
    writes : written columns and bits; empty where no key is written.
    tag : the tag of every row after this cycle, 0 or 1; of the second register where *second*.
    matched : rows that matched (compare) or were written (write, plane), ascending; empty for a shift.
    changed : cells that this cycle changed, as (column, row), ascending.
    cells : all cells after this cycle, shape (columns, rows). Two passes are equal whatever their cells.
    mode : of a compare: one of :data:`MODES`.
    all_rows : of a write: it goes to all rows, tagged or not.
    second : the cycle takes or uses the second tag register.
    partner_key : of a compare over the lines of a 2D tile: what is compared in the row *distance* row blocks up, where
        cells beyond the last row, and those that take no part, are 0; else empty.
    distance : in row blocks; of a shift, how far the tags move to higher rows (negative: to lower ones).
    """

    cycle: int
    instruction: str
    address: int
    kind: str
    key: dict[int, int]
    writes: tuple[Write, ...]
    tag: tuple[int, ...]
    matched: tuple[int, ...]
    changed: tuple[tuple[int, int], ...]
    cells: NDArray[np.uint8] = field(compare=False, repr=False)
    mode: str = "set"
    all_rows: bool = False
    second: bool = False
    partner_key: dict[int, int] = field(default_factory=dict[int, int])
    distance: int = 0


@dataclass(frozen=True)
class Trace:
    """The passes of a run.

    Parameters
    ----------
    config : the tile.
    title : one line that says what ran.
    instructions : assembler texts of the program, by address.
    columns : the columns that a pass touches, or that an instruction names which computes, ascending.
    first_cells : all cells before the first pass, shape (columns, rows).
    passes : in order. Planes that came before the first compare, write or shift are in *first_cells* instead.
    cycles : of the run.
    first_number : of the first of *passes* among all of the run, from 1.
    """

    config: TileConfig
    title: str
    instructions: tuple[str, ...]
    columns: tuple[Column, ...]
    first_cells: NDArray[np.uint8] = field(compare=False, repr=False)
    passes: tuple[Pass, ...]
    cycles: int
    first_number: int = 1
