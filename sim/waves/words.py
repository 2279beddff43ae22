"""Says in words what a pass does, and what the rows that are shown stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sim.waves.passes import Pass, Trace
from sim.waves.rows import ExampleRow, column_name

__all__ = ["about_examples", "numbered", "sentence"]

_MODES = {
    "set": "{rows} are tagged",
    "add": "{rows} are tagged as well",
    "remove": "{rows} lose their tag",
    "others": "{rows} are not tagged, all others are",
    "all": "all rows are tagged, not only {rows}",
    "none": "no row is tagged, not even {rows}",
}
"""What becomes of the tags, by the mode of a compare."""


def sentence(trace: Trace, one: Pass) -> str:
    """Return what *one* of the passes of *trace* does, as one line."""
    names = {column.index: column_name(column) for column in trace.columns}
    return f"{one.kind}: {_SAY[one.kind](one, names)}"


def about_examples(examples: Sequence[ExampleRow], kinds: int, rows: int) -> str:
    """Return what *examples* stand for.

    Parameters
    ----------
    examples : the rows that are shown.
    kinds : how many kinds of rows there are.
    rows : of the tile.
    """
    if len(examples) == rows:
        return "All rows are shown."
    if kinds == 1:
        return f"The row shown stands for all {rows:,}, which do the same in these passes."
    alike = sum(example.alike for example in examples)
    shown = "row shown stands" if len(examples) == 1 else f"{len(examples)} rows shown stand"
    return f"The {shown} for {alike:,} of {rows:,}; {kinds:,} kinds of rows differ in these passes."


def numbered(trace: Trace, shown: int) -> str:
    """Return which passes the first *shown* ones of *trace* are: ``9 passes``, ``passes 3 to 7 of 3 to 90``."""
    count, first = len(trace.passes), trace.first_number
    if shown == count and first == 1:
        return f"{count:,} passes" if count != 1 else "1 pass"
    last = first + shown - 1
    told = f"passes {first:,} to {last:,}" if last > first else f"pass {first:,}"
    if shown == count:
        return told
    return f"{told} of {count:,}" if first == 1 else f"{told} of {first:,} to {first + count - 1:,}"


def _compare(one: Pass, names: Mapping[int, str]) -> str:
    conditions = _listed(f"{_name(column, names)} = {bit}" for column, bit in sorted(one.key.items()))
    if one.partner_key:
        partner = _listed(f"{_name(column, names)} = {bit}" for column, bit in sorted(one.partner_key.items()))
        further = f"{partner} in the row {_many(one.distance, 'block')} higher"
        conditions = f"{conditions}, and {further}" if conditions else further
    register = " in the second register" if one.second else ""
    tagged = _MODES[one.mode].format(rows=f"rows with {conditions}" if conditions else "rows of any content")
    match = "matches" if len(one.matched) == 1 else "match"
    return f"{tagged}{register}; {len(one.matched):,} of {_many(len(one.tag), 'row')} {match}"


def _write(one: Pass, names: Mapping[int, str]) -> str:
    writes = sorted(one.writes, key=lambda write: write.column)
    written = _listed(f"{_name(write.column, names)} <- {write.value}" for write in writes)
    if one.all_rows:
        where = f"all {_many(len(one.tag), 'row')}"
    elif one.second:
        where = f"{_many(len(one.matched), 'row')} tagged by the second register"
    else:
        where = _many(len(one.matched), "tagged row")
    return f"{written} in {where}; {_changed(one)}"


def _shift(one: Pass) -> str:
    way = "higher" if one.distance >= 0 else "lower"
    return f"tags move by {_many(abs(one.distance), 'block')} to {way} rows; {_many(sum(one.tag), 'row')} tagged"


def _plane(one: Pass, names: Mapping[int, str]) -> str:
    if not one.matched:
        return f"the plane port writes the tags; {_many(sum(one.tag), 'row')} tagged"
    columns = _listed(dict.fromkeys(_name(column, names) for column, _ in one.changed))
    where = f" into {columns}" if columns else ""
    return f"the plane port writes{where} in {_many(len(one.matched), 'row')}; {_changed(one)}"


_SAY: Mapping[str, Callable[[Pass, Mapping[int, str]], str]] = {
    "compare": _compare,
    "write": _write,
    "shift": lambda one, _: _shift(one),
    "plane": _plane,
}


def _name(column: int, names: Mapping[int, str]) -> str:
    return names.get(column, f"column {column}")


def _changed(one: Pass) -> str:
    return f"{_many(len(one.changed), 'cell')} change{'' if len(one.changed) != 1 else 's'}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)
