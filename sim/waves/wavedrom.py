"""The passes of a run as WaveJSON, for WaveDrom (https://wavedrom.com) and what else draws its format.

A period of the diagram is a pass. Where the array stood still in between, all lanes have a gap.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sim.tools import ToolError
from sim.waves.passes import Column, Pass, Trace
from sim.waves.rows import column_name, example_rows, touched_columns
from sim.waves.words import numbered

__all__ = ["MOST_PASSES", "find_renderer", "wavedrom_json", "wavedrom_svg"]

MOST_PASSES = 64
"""Passes of a diagram that one can still read."""

EXAMPLES = 6
"""Rows whose tags are drawn."""

COLOURS = {"compare": "5", "write": "4", "shift": "7", "plane": "8"}
"""WaveDrom's letters for boxes of a colour, by kind of pass."""

STEADY, OFF, GAP = ".", "z", "|"


def wavedrom_json(trace: Trace, most_passes: int = MOST_PASSES) -> dict[str, Any]:
    """Return the passes of *trace* as WaveJSON: a dictionary that ``json.dumps`` writes.

    The groups are the key of compares (a column that is masked off floats), what is written, the tags of a few rows
    that together show most, and counts of all rows.

    Parameters
    ----------
    trace : of any tile.
    most_passes : how many are drawn, at least 1; the foot says how many there are.
    """
    passes = trace.passes[:most_passes]
    columns = touched_columns(trace, passes)
    examples, _ = example_rows(trace, passes, columns, EXAMPLES)
    compared = [column for column in columns if any(column.index in one.key for one in passes)]
    partners = [column for column in columns if any(column.index in one.partner_key for one in passes)]
    written = [column for column in columns if any(column.index in _written(one) for one in passes)]
    groups: list[list[Any]] = [
        ["key", *_bits(passes, "compare", compared, lambda one: one.key)],
        ["key of partner", *_bits(passes, "compare", partners, lambda one: one.partner_key)],
        ["write", *_bits(passes, "write", written, _written)],
        ["tag", *(_levels(passes, f"row {one.row}", lambda step, row=one.row: str(step.tag[row])) for one in examples)],
        [
            "rows",
            _boxes(passes, "match or written", lambda one: f"{len(one.matched)}"),
            _boxes(passes, "tagged", lambda one: f"{sum(one.tag)}"),
            _boxes(passes, "cells changed", lambda one: f"{len(one.changed)}"),
        ],
    ]
    signal: list[Any] = [
        {"name": "clk", "wave": _with_gaps(passes, ["P" if not place else STEADY for place in range(len(passes))])},
        _runs(passes, "instruction", lambda one: f"{one.address}: {one.instruction}", lambda _: "3"),
        _boxes(passes, "pass", lambda one: one.kind, lambda one: COLOURS[one.kind]),
        _boxes(passes, "cycle", lambda one: str(one.cycle)),
    ]
    for group in groups:
        if len(group) > 1:
            signal += [{}, group]
    shown = numbered(trace, len(passes))
    return {
        "signal": signal,
        "head": {"text": trace.title},
        "foot": {"text": f"{shown}; a column without a box is masked off; tags are those after the pass"},
        "config": {"hscale": 2},
    }


def find_renderer() -> Callable[[dict[str, Any]], str]:
    """Return WaveDrom, which makes SVG of WaveJSON.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    try:
        return importlib.import_module("yowasp_wavedrom").render
    except ImportError:
        raise ToolError(
            "WaveDrom's SVG needs the Python package yowasp-wavedrom (pip install yowasp-wavedrom); without it, write "
            "JSON and paste it into the editor at wavedrom.com/editor.html"
        ) from None


def wavedrom_svg(trace: Trace, most_passes: int = MOST_PASSES) -> str:
    """Return the diagram of :func:`wavedrom_json` as SVG, drawn by WaveDrom itself.

    Raises
    ------
    ToolError
        If WaveDrom is not installed.
    """
    return find_renderer()(wavedrom_json(trace, most_passes))


def _written(one: Pass) -> dict[int, Any]:
    """What a pass writes by column; a plane of the plane port has a bit for each row."""
    if one.kind == "plane":
        return dict.fromkeys((column for column, _ in one.changed), "plane")
    return {write.column: write.value for write in one.writes}


def _bits(
    passes: Sequence[Pass], kind: str, columns: Sequence[Column], values: Callable[[Pass], dict[int, Any]]
) -> Iterator[dict[str, Any]]:
    """A lane for each of *columns* with a box where a pass has a bit for it, floating elsewhere."""
    for column in columns:
        bits = [values(one).get(column.index) for one in passes]
        off = [bit is None for bit in bits]
        letters = [
            COLOURS[kind] if not none else STEADY if place and off[place - 1] else OFF for place, none in enumerate(off)
        ]
        data = [str(bit) for bit in bits if bit is not None]
        yield {"name": column_name(column), "wave": _with_gaps(passes, letters), "data": data}


def _levels(passes: Sequence[Pass], name: str, level: Callable[[Pass], str]) -> dict[str, Any]:
    """A lane of levels; one that stays is drawn on."""
    letters = [level(one) for one in passes]
    drawn = [STEADY if place and letter == letters[place - 1] else letter for place, letter in enumerate(letters)]
    return {"name": name, "wave": _with_gaps(passes, drawn)}


def _boxes(
    passes: Sequence[Pass], name: str, text: Callable[[Pass], str], colour: Callable[[Pass], str] = lambda _: "="
) -> dict[str, Any]:
    """A lane with a box for each pass."""
    return {"name": name, "wave": _with_gaps(passes, [colour(one) for one in passes]), "data": [*map(text, passes)]}


def _runs(
    passes: Sequence[Pass], name: str, text: Callable[[Pass], str], colour: Callable[[Pass], str]
) -> dict[str, Any]:
    """A lane with a box for each stretch of passes with the same text."""
    texts = [text(one) for one in passes]
    first = [not place or texts[place - 1] != told for place, told in enumerate(texts)]
    letters = [colour(one) if begins else STEADY for one, begins in zip(passes, first, strict=True)]
    data = [told for told, begins in zip(texts, first, strict=True) if begins]
    return {"name": name, "wave": _with_gaps(passes, letters), "data": data}


def _with_gaps(passes: Sequence[Pass], letters: Sequence[str]) -> str:
    """The letters of a lane, with a gap where cycles without a pass lie between two."""
    wave: list[str] = []
    for place, (one, letter) in enumerate(zip(passes, letters, strict=True)):
        if place and one.cycle > passes[place - 1].cycle + 1:
            wave.append(GAP)
        wave.append(letter)
    return "".join(wave)
