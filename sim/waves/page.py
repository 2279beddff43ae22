"""One HTML page with a slider over the passes of a run, in a single file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.models import data_file
from sim.report import version
from sim.waves.passes import Column, Pass, Trace
from sim.waves.rows import column_name, example_rows, fields, runs, touched_columns
from sim.waves.words import about_examples, numbered, sentence

__all__ = ["html_text", "page_data"]

TEMPLATE = "passes.html"
MOST_EXAMPLES = 16


def html_text(trace: Trace) -> str:
    """Return a self-contained page that shows the array after each pass of *trace*.

    The same trace always gives the same text. Columns that no pass touches are left out.
    """
    data = json.dumps(page_data(trace), separators=(",", ":"))
    template = data_file(TEMPLATE).read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(trace.title), subtitle=escape(_subtitle(trace)), policy=_policy(template), data=_in_script(data)
    )


def page_data(trace: Trace) -> dict[str, Any]:
    """Return what the page is told, as JSON.

    Rows are named in sets: strings of hexadecimal digits, of which digit i has rows 4i to 4i+3, the lowest in bit 0.
    ``sets`` has all of them, and other places their numbers there. Columns are named by their place in ``columns``.
    Cells after a pass are those before it with the bits of ``flips`` (if there are none: ``changed``) the other way.
    """
    columns = touched_columns(trace, trace.passes)
    examples, kinds = example_rows(trace, trace.passes, columns, MOST_EXAMPLES)
    sets = _Sets()
    indices = [column.index for column in columns]
    texts = {text: place for place, text in enumerate(dict.fromkeys(one.instruction for one in trace.passes))}
    stretches = runs(trace.passes)
    return {
        "rows": trace.config.rows,
        "columns": list(_columns(columns)),
        "examples": [[example.row, example.alike] for example in examples],
        "about": about_examples(examples, kinds, trace.config.rows),
        "instructions": list(texts),
        "runs": [[texts[trace.passes[run.start].instruction], run.start, run.stop] for run in stretches],
        "first": [sets.number(plane) for plane in trace.first_cells[indices]],
        "before": trace.first_number - 1,
        "passes": list(_passes(trace, columns, sets, texts, stretches)),
        "sets": sets.texts,
    }


class _Sets:
    """Sets of rows; each is kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def texts(self) -> list[str]:
        return list(self._numbers)

    def number(self, plane: NDArray[np.uint8]) -> int:
        """Return the number of the set of rows in which *plane* is 1."""
        nibbles = np.packbits(plane.reshape(-1), bitorder="little")
        text = "".join(f"{byte & 15:x}{byte >> 4:x}" for byte in nibbles.tolist())[: -(-plane.size // 4)]
        return self._numbers.setdefault(text, len(self._numbers))


def _passes(
    trace: Trace, columns: Sequence[Column], sets: _Sets, texts: dict[str, int], stretches: Sequence[range]
) -> Iterator[dict[str, Any]]:
    places = {column.index: place for place, column in enumerate(columns)}
    indices = list(places)
    rows = trace.config.rows
    starts = {stretch.start: number for number, stretch in enumerate(stretches)}
    before, run = trace.first_cells, 0
    for number, one in enumerate(trace.passes):
        run = starts.get(number, run)
        changed = np.zeros((len(columns), rows), np.uint8)
        for column, row in one.changed:
            changed[places[column], row] = 1
        flips = (before[indices] ^ one.cells[indices]).astype(np.uint8)
        told = {
            "cycle": one.cycle,
            "instruction": texts[one.instruction],
            "run": run,
            "kind": one.kind,
            "says": sentence(trace, one),
            "key": [[places[column], bit] for column, bit in sorted(one.key.items())],
            "write": sorted([places[column], bit] for column, bit in _written(one).items()),
            "tag": sets.number(np.array(one.tag, np.uint8)),
            "matched": sets.number(_plane(one.matched, rows)),
            "share": round(len(one.matched) / rows, 3),
            "changed": _sparse(changed, sets),
        }
        if one.partner_key:
            told["partner"] = [[places[column], bit] for column, bit in sorted(one.partner_key.items())]
        if not np.array_equal(flips, changed):
            told["flips"] = _sparse(flips, sets)
        yield told
        before = one.cells


def _written(one: Pass) -> dict[int, int | str]:
    """What a pass writes by column; a plane of the plane port has a bit of its own for each row."""
    if one.kind == "plane":
        return dict.fromkeys((column for column, _ in one.changed), "*")
    return {write.column: write.value for write in one.writes}


def _sparse(planes: NDArray[np.uint8], sets: _Sets) -> list[list[int]]:
    """The planes that are not empty, by their place."""
    return [[place, sets.number(plane)] for place, plane in enumerate(planes) if plane.any()]


def _plane(rows: Iterable[int], size: int) -> NDArray[np.uint8]:
    plane = np.zeros(size, np.uint8)
    plane[list(rows)] = 1
    return plane


def _columns(columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    for place, group in enumerate(fields(columns)):
        for column in group:
            told = {"index": column.index, "name": column_name(column)}
            yield told | {"field": 1} if place and column is group[0] else told


def _subtitle(trace: Trace) -> str:
    config = trace.config
    return (
        f"{config.rows:,} rows x {config.columns:,} columns; {numbered(trace, len(trace.passes))} in "
        f"{trace.cycles:,} cycles. From the waves of the Verilog. bfimna {version()}."
    )


def _in_script(text: str) -> str:
    """JSON that cannot end the element in which it stands."""
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _policy(template: str) -> str:
    """Let the page use what is in it, and nothing else."""
    hashes = {tag: _hash(re.findall(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL)) for tag in ("style", "script")}
    return (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(contents: Sequence[str]) -> str:
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" for content in contents
    )
