"""A content-addressable memory, and nothing more: cells, tags, compare and write.

The golden tile knows what an instruction means and no passes; this memory knows passes and no instruction. A run that
is given to both, as a program and as the passes of its waves, has to end with the same cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits

__all__ = ["STARTS", "Cam", "Lines", "Rows"]

Rows = NDArray[np.bool_]
"""A choice of rows, shape (rows,)."""

STARTS = ("none", "all", "tagged")
"""What is tagged before a compare adds or takes away its matches: no row, all rows, or those that were tagged."""


@dataclass(frozen=True)
class Lines:
    """What the vertical lines of a 2D tile add to a compare.

    Parameters
    ----------
    key : columns that are read from another row, and the bit that each must have.
    distance : that row lies so many rows further up (1 or more); beyond the last row cells are 0.
    active : rows that may match, shape (rows,).
    present : rows that have a partner, shape (rows,); for others what is read is 0.
    """

    key: Mapping[int, int]
    distance: int
    active: Rows = field(repr=False)
    present: Rows = field(repr=False)


class Cam:
    """Cells and tags, one bit each, that compare and write whole columns.

    Parameters
    ----------
    cells : 0/1, shape (columns, rows); copied.
    registers : how many tag registers there are; all tags begin as 0.

    Attributes
    ----------
    cells : 0/1, shape (columns, rows). Replaced, never changed in place: who holds one keeps what it was.
    tags : shape (registers, rows); likewise.
    """

    def __init__(self, cells: Bits, registers: int = 1) -> None:
        """Begin with these cells and no tags."""
        self.cells: Bits = np.array(cells)
        self.tags: NDArray[np.bool_] = np.zeros((registers, cells.shape[1]), np.bool_)

    def matches(self, key: Mapping[int, int], lines: Lines | None = None) -> Rows:
        """Rows whose cells agree with a key: columns, and the bit that each must have. An empty key matches all."""
        rows = self.cells.shape[1]
        found: Rows = _every(rows) if lines is None else lines.active
        for column, bit in key.items():
            found = np.logical_and(found, self.cells[column] == bit)
        if lines is not None:
            for column, bit in lines.key.items():
                partner = np.zeros(rows, np.uint8)
                partner[: rows - lines.distance] = self.cells[column, lines.distance :]
                found = np.logical_and(found, np.logical_and(partner, lines.present) == bool(bit))
        return found

    def compare(
        self,
        key: Mapping[int, int],
        *,
        start: str = "none",
        remove: bool = False,
        register: int = 0,
        lines: Lines | None = None,
    ) -> Rows:
        """Compare a key with all rows, and let the tags take the matches; return the rows that matched.

        Parameters
        ----------
        key : compared columns and the bit that each must have.
        start : one of :data:`STARTS`.
        remove : matches are taken away from the tags, otherwise added.
        register : which tags.
        lines : what is compared over the vertical lines as well.

        Raises
        ------
        ValueError
            If *start* is unknown.
        """
        if start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}, not {start!r}")
        found = self.matches(key, lines)
        before = self.tags[register] if start == "tagged" else np.full(found.shape, start == "all")
        self._tag(register, before & ~found if remove else before | found)
        return found

    def write(self, values: Mapping[int, int], *, all_rows: bool = False, register: int = 0) -> Rows:
        """Write bits into columns of the tagged rows, or of all; return the rows that were written."""
        written: Rows = _every(self.cells.shape[1]) if all_rows else self.tags[register]
        cells = np.array(self.cells)
        for column, bit in values.items():
            cells[column, written] = bit
        self.cells = cells
        return written

    def shift(self, rows: int) -> None:
        """Move the tags of the first register by so many rows, up to higher ones or (negative) down; 0 comes in."""
        moved = np.zeros_like(self.tags[0])
        if rows >= 0:
            moved[rows:] = self.tags[0, : len(moved) - rows]
        else:
            moved[:rows] = self.tags[0, -rows:]
        self._tag(0, moved)

    def put(self, column: int, plane: Bits, rows: Rows | None = None) -> None:
        """Replace a column, or the chosen rows of it, by a plane, 0/1 of shape (rows,)."""
        cells = np.array(self.cells)
        chosen = slice(None) if rows is None else rows
        cells[column, chosen] = plane[chosen]
        self.cells = cells

    def put_tags(self, plane: Bits) -> None:
        """Replace the tags of the first register by a plane, 0/1 of shape (rows,)."""
        self._tag(0, plane.astype(np.bool_))

    def _tag(self, register: int, rows: Rows) -> None:
        tags = np.array(self.tags)
        tags[register] = rows
        self.tags = tags


def _every(rows: int) -> Rows:
    return np.ones(rows, np.bool_)
