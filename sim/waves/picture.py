"""Draws the passes of an operation as a table: a line for each pass with key and mask, matching rows and writes.

Beside the lines stand the cells of a few rows after each pass. Time runs down the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.waves import drawing
from sim.waves.drawing import Arrow, Box, Drawing, Letters, Shape, Style, Text
from sim.waves.rows import ExampleRow, column_name, example_rows, fields, runs, touched_columns
from sim.waves.words import about_examples, numbered

if TYPE_CHECKING:
    from pathlib import Path

    from sim.waves.passes import Column, Pass, Trace

__all__ = ["MOST_PASSES", "picture", "svg_text", "write_png"]

MOST_PASSES = 48
"""Passes that fit on a page."""

MOST_EXAMPLES = 16
ROOM = 640
"""Width for the cells of example rows; there is always one of them."""

MARGIN = 20
LINE = 18
KEY_CELL = 20
CELL = 12
TAG = 12
"""Width for the tag of a row."""
GAP = 5
"""Between fields."""
BASE = 13
"""Where letters stand in a line."""
PASS, CYCLE, KIND = MARGIN + 32, MARGIN + 76, MARGIN + 90
"""Right edges of the first two columns of the table, left edge of the third."""

# Dark and light alternate where two meanings can meet, so that a grey print tells them apart.
STYLES = {
    "title": Style("#111", size=17, bold=True),
    "note": Style("#444", size=11),
    "head": Style("#111", size=11, bold=True),
    "headright": Style("#111", size=11, bold=True, anchor="end"),
    "name": Style("#111", size=11, fixed=True),
    "smallname": Style("#444", size=9, fixed=True),
    "row": Style("#111", size=10, bold=True),
    "value": Style("#444", size=10),
    "number": Style("#111", size=11, fixed=True, anchor="end"),
    "nothing": Style("#999", size=11, fixed=True, anchor="end"),
    "kind": Style("#111", size=11),
    "band": Style("#e9e9ec"),
    "instruction": Style("#111", size=11, bold=True, fixed=True),
    "rule": Style("#c8c8cc"),
    "masked": Style("#fff", stroke="#ddd"),
    "compare": Style("#0b5a94", stroke="#0b5a94"),
    "keybit": Style("#fff", size=12, bold=True, anchor="middle"),
    "partner": Style("#bcd7ec", stroke="#0b5a94"),
    "partnerbit": Style("#111", size=12, bold=True, anchor="middle"),
    "write": Style("#f6b94a", stroke="#9a6200"),
    "writebit": Style("#111", size=12, bold=True, anchor="middle"),
    "cells": Style("#f4f4f6"),
    "tag": Style("#0b5a94"),
    "matched": Style("#c9e2f5"),
    "marker": Style("#0b5a94"),
    "bit": Style("#444", size=11, anchor="middle"),
    "changed": Style("#f6b94a", stroke="#5c3a00"),
    "newbit": Style("#111", size=11, bold=True, anchor="middle"),
}
"""Blue and orange, which all kinds of colour vision tell apart; marks and letters say the same without colour."""


MODES = {
    "set": ("", ""),
    "add": (" +", "compare +: rows that match are tagged as well."),
    "remove": (" -", "compare -: rows that match lose their tag."),
    "others": (" not", "compare not: rows that do not match are tagged."),
    "all": (" all", "compare all: all rows are tagged, whatever matches."),
    "none": (" none", "compare none: no row is tagged, whatever matches."),
}
"""Marks of compares by their mode, and what they mean."""


@dataclass(frozen=True)
class _Strip:
    """Where columns of cells stand: left edges by column."""

    lefts: dict[int, int]
    cell: int
    left: int
    right: int


@dataclass(frozen=True)
class _Page:
    """What is shown and where."""

    trace: Trace
    passes: Sequence[Pass]
    columns: Sequence[Column]
    examples: Sequence[ExampleRow]
    kinds: int
    key: _Strip
    numbers: tuple[int, ...]
    strips: Sequence[_Strip]
    top: int
    width: int


def svg_text(trace: Trace, most_passes: int = MOST_PASSES) -> str:
    """Return the picture of *trace* as SVG, as in :func:`picture`."""
    return drawing.svg_text(picture(trace, most_passes))


def write_png(trace: Trace, path: str | Path, most_passes: int = MOST_PASSES) -> None:
    """Write the picture of *trace* to the file *path* as PNG, as in :func:`picture`.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    from sim.files import write_output

    write_output(str(path), drawing.png_bytes(picture(trace, most_passes)), "picture")


def picture(trace: Trace, most_passes: int = MOST_PASSES) -> Drawing:
    """Return the passes of *trace* as a table.

    Columns that no shown pass touches are left out. The same trace always gives the same drawing.

    Parameters
    ----------
    trace : of any tile.
    most_passes : how many are drawn, at least 1; the picture says how many there are.
    """
    page = _page(trace, trace.passes[:most_passes])
    shapes: list[Shape] = [*_title(page), *_heads(page)]
    y = page.top
    shapes += _cells(page, y, trace.first_cells)
    shapes.append(Text("kind", KIND, y + BASE, "at first"))
    y += LINE
    starts = {run.start for run in runs(page.passes)}
    for number, one in enumerate(page.passes):
        if number in starts:
            shapes += _band(page, y, one)
            y += LINE + 2
        elif one.kind == "compare" and page.passes[number - 1].kind not in ("compare", "plane"):
            shapes.append(Box("rule", MARGIN, y - 1, page.width - 2 * MARGIN, 1))
        shapes += _line(page, y, number)
        y += LINE
    shapes += _values(page, y + 12, page.passes[-1].cells if page.passes else trace.first_cells)
    notes = list(_notes(page))
    shapes += _legend(y + 28)
    shapes += [Text("note", MARGIN, y + 66 + 16 * place, note) for place, note in enumerate(notes)]
    description = f"A table of passes. {_subtitle(page)}. {' '.join(notes)}"
    return Drawing(trace.title, description, page.width, y + 66 + 16 * len(notes), STYLES, shapes)


def _page(trace: Trace, passes: Sequence[Pass]) -> _Page:
    columns = touched_columns(trace, passes)
    kind = max([len(_kind(one)) for one in passes] + [9])
    key = _strip(columns, KIND + 13 + 7 * kind, KEY_CELL)
    numbers = tuple(key.right + 46 + 62 * place for place in range(3))
    left = numbers[-1] + 26
    one = _strip(columns, 0, CELL).right + TAG + 18
    examples, kinds = example_rows(trace, passes, columns, max(1, min(MOST_EXAMPLES, ROOM // max(one, 1))))
    strips = [_strip(columns, left + place * one, CELL) for place in range(len(examples))]
    longest = max((len(column_name(column)) for column in columns), default=0)
    width = max([strip.right + TAG for strip in strips] + [key.right, 640]) + MARGIN
    return _Page(trace, passes, columns, examples, kinds, key, numbers, strips, 112 + 7 * longest, width)


def _strip(columns: Sequence[Column], left: int, cell: int) -> _Strip:
    lefts: dict[int, int] = {}
    x = left
    for group in fields(columns):
        for column in group:
            lefts[column.index] = x
            x += cell
        x += GAP
    return _Strip(lefts, cell, left, max(left, x - GAP))


def _title(page: _Page) -> Iterator[Shape]:
    yield Text("title", MARGIN, 34, page.trace.title)
    yield Text("note", MARGIN, 54, _subtitle(page))


def _subtitle(page: _Page) -> str:
    trace, columns = page.trace, page.trace.config.columns
    return (
        f"{trace.config.rows:,} rows; {len(page.columns)} of {columns:,} columns are touched; "
        f"{numbered(trace, len(page.passes))}; the run takes {trace.cycles:,} cycles"
    )


def _heads(page: _Page) -> Iterator[Shape]:
    y = page.top - 6
    yield Text("headright", PASS, y, "pass")
    yield Text("headright", CYCLE, y, "cycle")
    for place, head in zip(page.numbers, ("rows", "tagged", "changed"), strict=True):
        yield Text("headright", place, y, head)
    for column in page.columns:
        yield Text("name", page.key.lefts[column.index] + 14, y, column_name(column), turned=True)
    if page.columns:
        yield Text("head", page.key.left, 84, "key, or what is written")
        yield Text("head", page.strips[0].left, 70, "cells after the pass, in")
    for example, strip in zip(page.examples, page.strips, strict=True):
        alike = f" (x {example.alike})" if example.alike > 1 else ""
        yield Text("row", strip.left, 84, f"row {example.row}{alike}")
        for column in page.columns:
            yield Text("smallname", strip.lefts[column.index] + 9, y, column_name(column), turned=True)
        yield Text("smallname", strip.right + 11, y, "tag", turned=True)
    yield from _values(page, 96, page.trace.first_cells)


def _values(page: _Page, y: int, cells: NDArray[np.uint8]) -> Iterator[Shape]:
    """The fields as unsigned numbers in each example row, where there is room."""
    shown = {column.index for column in page.columns}
    whole = [group for group in fields(page.trace.columns) if {column.index for column in group} <= shown]
    numbers = [group for group in whole if [column.name for column in group] == _bit_names(group)]
    for example, strip in zip(page.examples, page.strips, strict=True):
        told = ", ".join(
            f"{_stem(group)} = {_number(cells[column.index, example.row] for column in group)}" for group in numbers
        )
        if 6 * len(told) < strip.right - strip.left + 12:
            yield Text("value", strip.left, y, told)


def _bit_names(group: Sequence[Column]) -> list[str]:
    return [f"{_stem(group)}[{bit}]" for bit in range(len(group))]


def _stem(group: Sequence[Column]) -> str:
    return group[0].name.partition("[")[0]


def _number(bits: Iterable[np.uint8]) -> int:
    return sum(int(bit) << place for place, bit in enumerate(bits))


def _band(page: _Page, y: int, one: Pass) -> Iterator[Shape]:
    yield Box("band", MARGIN, y, page.width - 2 * MARGIN, LINE)
    yield Text("instruction", MARGIN + 6, y + BASE, one.instruction)


def _line(page: _Page, y: int, number: int) -> Iterator[Shape]:
    """One pass."""
    one, base = page.passes[number], y + BASE
    yield Text("number", PASS, base, str(page.trace.first_number + number))
    yield Text("number", CYCLE, base, str(one.cycle))
    yield Text("kind", KIND, base, _kind(one))
    yield from _key(page.key, one, y)
    for place, count in zip(page.numbers, (len(one.matched), sum(one.tag), len(one.changed)), strict=True):
        yield Text("number" if count else "nothing", place, base, f"{count:,}")
    yield from _cells(page, y, one.cells, one)


def _kind(one: Pass) -> str:
    """The kind of a pass with the marks that :func:`_notes` explains."""
    mark = MODES[one.mode][0] if one.kind == "compare" else ""
    mark += " all" if one.all_rows else f" {one.distance:+}" if one.kind == "shift" else ""
    return f"{one.kind}{mark}{' (2)' if one.second else ''}"


def _key(strip: _Strip, one: Pass, y: int) -> Iterator[Shape]:
    """The columns that are compared or written, and the bits."""
    written = {write.column: str(write.value) for write in one.writes}
    if one.kind == "plane":
        written |= {column: "*" for column, _ in one.changed}
    for column, x in strip.lefts.items():
        halves = [
            (box, style, bit)
            for box, style, bit in (
                ("compare", "keybit", one.key.get(column)),
                ("partner", "partnerbit", one.partner_key.get(column)),
                ("write", "writebit", written.get(column)),
            )
            if bit is not None
        ]
        if not halves:
            yield Box("masked", x + 1, y + 1, KEY_CELL - 2, LINE - 3)
        for place, (box, style, bit) in enumerate(halves):
            width = (KEY_CELL - 2) // len(halves)
            yield Box(box, x + 1 + place * width, y + 1, width, LINE - 3)
            yield Letters(style, (x + 1 + place * width + width // 2,), y + BASE, str(bit))


def _cells(page: _Page, y: int, cells: NDArray[np.uint8], one: Pass | None = None) -> Iterator[Shape]:
    """The cells of the example rows, after the pass *one* if there is any."""
    matched = set(one.matched) if one else set[int]()
    for example, strip in zip(page.examples, page.strips, strict=True):
        hit = example.row in matched
        yield Box("matched" if hit else "cells", strip.left - 1, y, strip.right - strip.left + 2, LINE - 1)
        if hit:
            yield Arrow("marker", strip.left - 2, y + LINE // 2 - 1, 8)
        if one and one.tag[example.row]:
            yield Box("tag", strip.right + 4, y + 5, 7, 7)
        changed = {column for column, row in one.changed if row == example.row} if one else set[int]()
        bits = {column: int(cells[column, example.row]) for column in strip.lefts}
        for column in sorted(changed):
            yield Box("changed", strip.lefts[column], y + 1, CELL, LINE - 3)
        for style, columns in (("bit", bits.keys() - changed), ("newbit", changed)):
            yield from _letters(style, strip, {column: bits[column] for column in columns}, y + BASE)


def _letters(style: str, strip: _Strip, bits: dict[int, int], base: int) -> Iterator[Letters]:
    if bits:
        columns = sorted(bits)
        places = tuple(strip.lefts[column] + strip.cell // 2 for column in columns)
        yield Letters(style, places, base, "".join(str(bits[column]) for column in columns))


def _legend(y: int) -> Iterator[Shape]:
    """What colours and marks mean."""
    x, base = MARGIN, y + 13
    for kind, letter, style, meaning in (
        ("compare", "1", "keybit", "compared with this bit"),
        ("write", "0", "writebit", "this bit is written"),
        ("masked", "", "", "masked off"),
        ("changed", "1", "newbit", "cell that changed"),
    ):
        yield Box(kind, x + 1, y, KEY_CELL - 2, LINE - 3)
        if letter:
            yield Letters(style, (x + KEY_CELL // 2,), base - 1, letter)
        yield Text("note", x + KEY_CELL + 6, base - 1, meaning)
        x += KEY_CELL + 24 + 7 * len(meaning)
    yield Box("matched", x + 10, y, KEY_CELL, LINE - 3)
    yield Arrow("marker", x + 9, y + LINE // 2 - 1, 8)
    yield Text("note", x + 38, base - 1, "row that matches or is written")
    yield Box("tag", x + 236, y + 4, 7, 7)
    yield Text("note", x + 248, base - 1, "tagged")


def _notes(page: _Page) -> Iterator[str]:
    """What the heads, marks and examples mean, as far as they are there."""
    yield "rows: that match or are written; tagged: rows with a tag after the pass; changed: cells of all rows."
    yield about_examples(page.examples, page.kinds, page.trace.config.rows)
    for there, note in (
        (any(one.alike > 1 for one in page.examples), "(x): how many rows do the same in these passes."),
        *((any(one.mode == mode for one in page.passes), note) for mode, (_, note) in MODES.items() if note),
        (any(one.all_rows for one in page.passes), "write all: into all rows, tagged or not."),
        (any(one.second for one in page.passes), "(2): with the second tag register."),
        (
            any(one.partner_key for one in page.passes),
            "light blue, at the right: compared in the partner row, some row blocks higher.",
        ),
        (any(one.kind == "shift" for one in page.passes), "shift: tags move by so many row blocks."),
        (
            any(one.kind == "plane" for one in page.passes),
            "plane (*): the plane port writes a bit of its own into each row.",
        ),
    ):
        if there:
            yield note
