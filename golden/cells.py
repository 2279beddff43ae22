"""The cells and tags of a tile as packed planes, and how many rows and cells its instructions touch."""

from __future__ import annotations

import numpy as np

from golden.planes import Words, count_ones, pack

__all__ = ["Cells"]


class Cells:
    """Cells, tags and activity of one array.

    Parameters
    ----------
    taps, outputs, columns : size of the array: row blocks, rows of a block, columns.
    generator : source of the initial cells and tags.
    activity : whether rows matched and cells written are counted.

    Attributes
    ----------
    words : the columns, shape (columns, words of a plane); ``words[c]`` is a view that may be changed in place.
    tag : tag bits, shape (words of a plane,).
    ones : the plane that is 1 in every row.
    rows_matched, cells_written : activity since :meth:`restart`.
    """

    def __init__(self, taps: int, outputs: int, columns: int, generator: np.random.Generator, activity: bool) -> None:
        """Fill cells and tags with random bits."""
        rows = taps * outputs
        self.taps = taps
        self.outputs = outputs
        self.rows = rows
        self.activity = activity
        self.words: Words = pack(generator.integers(0, 2, (columns, rows), np.uint8))
        self.tag: Words = pack(generator.integers(0, 2, rows, np.uint8))
        self.ones: Words = pack(np.ones(rows, np.uint8))
        self.rows_matched = 0
        self.cells_written = 0
        self._matched: list[Words] = []
        self._written: list[Words] = []

    def restart(self) -> None:
        """Set the activity to zero."""
        self.rows_matched = self.cells_written = 0

    def change(self, matched: Words, *written: Words) -> None:
        """Note the rows that the passes of a step match, and for each column the cells that they change."""
        if self.activity:
            self._matched.append(matched)
            self._written.extend(written)

    def write(self, column: int, bit: int) -> None:
        """Write a bit to a column in all rows."""
        self.words[column] = self.ones if bit else 0
        self.cells_written += self.rows

    def select(self, rows: Words) -> None:
        """Tag rows by a compare of its own."""
        self.tag = rows
        self.change(rows)

    def add(self, rows: Words) -> None:
        """Tag further rows by a compare."""
        self.select(self.tag | rows)

    def remove(self, rows: Words) -> None:
        """Take tags away by a compare."""
        self.select(self.tag & ~rows)

    def write_marked(self, column: int, bit: int) -> None:
        """Write a bit to the tagged rows of a column, and before it the other bit to all rows."""
        self.write(column, 1 - bit)
        self.write_tagged(column, bit)

    def write_tagged(self, column: int, bit: int) -> None:
        """Write a bit to a column in the tagged rows."""
        if bit:
            self.words[column] |= self.tag
        else:
            self.words[column] &= ~self.tag
        if self.activity:
            self._written.append(self.tag)

    def spill(self, count: int) -> None:
        """Note writes of one column in all rows that change nothing here (flip-flop columns of ``3r1w``)."""
        self.cells_written += count * self.rows

    def settle(self) -> None:
        """Count what was noted; to be called after every instruction."""
        if self._matched:
            self.rows_matched += count_ones(np.concatenate(self._matched))
            self._matched.clear()
        if self._written:
            self.cells_written += count_ones(np.concatenate(self._written))
            self._written.clear()
