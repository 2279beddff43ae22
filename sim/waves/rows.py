"""What of a tile and its run is shown: columns that passes touch, rows that stand for all, runs of instructions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.waves.passes import Column, Pass, Trace

__all__ = ["ExampleRow", "column_name", "example_rows", "fields", "runs", "touched_columns"]


@dataclass(frozen=True)
class ExampleRow:
    """A row of the array that stands for all that are like it.

    Parameters
    ----------
    row : its number.
    alike : how many rows have the same cells, tags and matches in all passes, itself included.
    """

    row: int
    alike: int


def touched_columns(trace: Trace, passes: Sequence[Pass]) -> tuple[Column, ...]:
    """Return the columns that *passes* compare, write or change, ascending."""
    touched: set[int] = set()
    for one in passes:
        touched.update(one.key, one.partner_key, (write.column for write in one.writes))
        touched.update(column for column, _ in one.changed)
    names = {column.index: column.name for column in trace.columns}
    return tuple(Column(index, names.get(index, "")) for index in sorted(touched))


def column_name(column: Column) -> str:
    """Return what a person calls a column: its name, or its number where it has none."""
    return column.name or f"column {column.index}"


def fields(columns: Sequence[Column]) -> tuple[tuple[Column, ...], ...]:
    """Return *columns* in groups: neighbours are a field when their names differ in the bit alone, as they should."""
    return tuple(tuple(group) for _, group in itertools.groupby(columns, _field))


def _field(column: Column) -> tuple[str, int]:
    """Return the name of a field and its first column; -1 for a column without a bit."""
    name, _, bit = column.name.partition("[")
    return name, column.index - int(bit[:-1]) if bit[:-1].isdecimal() else -1


def runs(passes: Sequence[Pass]) -> tuple[range, ...]:
    """Return the stretches of *passes* that belong to one instruction, in order and without gaps.

    Planes that the plane port writes while an instruction goes on belong to the stretch of that instruction.
    """
    found: list[range] = []
    for place, one in enumerate(passes):
        if found:
            begin = found[-1].start
            rest = passes[place:] if one.kind == "plane" else [one]
            goes_on = next((later for later in rest if later.kind != "plane"), one)
            if passes[begin].address in (one.address, goes_on.address):
                found[-1] = range(begin, place + 1)
                continue
        found.append(range(place, place + 1))
    return tuple(found)


def example_rows(
    trace: Trace, passes: Sequence[Pass], columns: Sequence[Column], most: int
) -> tuple[tuple[ExampleRow, ...], int]:
    """Return rows that together show as much as possible of what happens in *passes*, and how many kinds there are.

    Rows are of a kind when nothing in *passes* and *columns* tells them apart. Kinds that match in a pass in which no
    other example does come first, then those with many rows; of a kind, the lowest row is taken.

    Parameters
    ----------
    trace : what *passes* are from.
    passes : in their order.
    columns : whose cells count.
    most : examples, at least 1; ascending by row.
    """
    _, first, kinds, counts = np.unique(
        _histories(trace, passes, columns), axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    matches = np.zeros((len(passes), len(first)), bool)
    for place, one in enumerate(passes):
        matches[place, kinds.reshape(-1)[list(one.matched)]] = True
    chosen = _covering(matches, counts, min(most, len(first)))
    examples = (ExampleRow(int(first[kind]), int(counts[kind])) for kind in chosen)
    return tuple(sorted(examples, key=lambda example: example.row)), len(first)


def _covering(matches: NDArray[np.bool_], counts: NDArray[np.int64], size: int) -> list[int]:
    """Choose *size* kinds, always the one that shows most of the passes that no other does."""
    chosen: list[int] = []
    for _ in range(size):
        gains = matches[~matches[:, chosen].any(axis=1)].sum(axis=0)
        worth = gains * (int(counts.max()) + 1) + counts
        worth[chosen] = -1
        chosen.append(int(np.argmax(worth)))
    return chosen


def _histories(trace: Trace, passes: Sequence[Pass], columns: Sequence[Column]) -> NDArray[np.uint8]:
    """Return all that happens to a row, packed bits of shape (bytes, rows)."""
    rows = trace.first_cells.shape[1]
    indices = [column.index for column in columns]
    planes = [trace.first_cells[indices]]
    for one in passes:
        matched = np.zeros((1, rows), np.uint8)
        matched[0, list(one.matched)] = 1
        planes += [matched, np.array([one.tag], np.uint8), one.cells[indices]]
    return np.packbits(np.concatenate(planes), axis=0)
