"""The scope ``passes`` of a wave file: what the array does in each cycle, in words that any viewer shows.

It is worked out from the signals of the tile (:mod:`sim.waves.replay`) and stands beside the tile as a scope of its
own, since no hardware makes it.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from vcd.common import VarType
from vcd.writer import StringVariable

from golden.engine import Bits
from hw.isa import Program
from sim.waves.columns import column_names
from sim.waves.gtkwave import Marker
from sim.waves.passes import Pass
from sim.waves.recording import read_header
from sim.waves.replay import Step
from sim.waves.signals import DERIVED, SLOTS

__all__ = ["add_passes"]

NUMBER_BITS = 32
"""Bits of a number in the scope."""

_SLOTS = tuple(f"slot_{slot}" for slot in SLOTS)
_NUMBERS = ("number", "rows", "changed", *_SLOTS)
_TEXTS = ("kind", "instruction", "key", "written")
_COLUMNS = tuple(f"column_{slot}" for slot in SLOTS)


def add_passes(waves: Path, steps: Iterable[Step], program: Program, rows: int) -> list[Marker]:
    """Add the scope ``passes`` to a VCD file that is tidy, and return the boundaries in the order of time.

    Signals of the scope, in each clock cycle of the run:

    - number : of the pass, from 1, as in :class:`sim.waves.passes.Trace`; 0 before the first.
    - kind : ``compare``, ``write``, ``shift`` or ``plane``; ``decode`` where an instruction begins, else empty.
    - instruction : assembler text of what runs.
    - key, written : ``a[0]=1 b[0]=1``, what is compared and what is written; ``d[0]@2=1`` is two row blocks up.
    - rows, changed : how many rows matched or were written, and how many cells changed.
    - slot_x, slot_y, slot_c, slot_f : the columns that the slots of the operation name.
    - column_x, column_y, column_c, column_f : the touched columns as they were, by the slot of the operation.

    Parameters
    ----------
    waves : the file, which is replaced as a whole.
    steps : the cycles of one run.
    program : what ran.
    rows : of the tile.
    """
    taken = {variable.code for variable in read_header(waves)}
    free = (code for code in (f"p{index}" for index in itertools.count()) if code not in taken)
    codes = {name: next(free) for name in (*_NUMBERS, *_TEXTS, *_COLUMNS)}
    changes: dict[int, list[str]] = {}
    markers: list[Marker] = []
    shown: dict[str, str] = {}
    for time, values, marker in _cycles(steps, program):
        changes[time] = [
            _change(name, value, codes[name]) for name, value in values.items() if shown.get(name) != value
        ]
        shown = values
        markers += [marker] if marker else []
    added = waves.with_name(f"{waves.name}.tidied")
    with waves.open("rb") as source, added.open("wb") as target:
        _merge(source, target, _declarations(codes, rows), changes)
    added.replace(waves)
    return markers


def _declarations(codes: Mapping[str, str], rows: int) -> str:
    bits = dict.fromkeys(_NUMBERS, NUMBER_BITS) | dict.fromkeys(_COLUMNS, rows)
    spans = {name: f" [{width - 1}:0]" if width > 1 else "" for name, width in bits.items()}
    lines = [
        f"$var wire {bits[name]} {code} {name}{spans[name]} $end"
        if name in bits
        else f"$var string 1 {code} {name} $end"
        for name, code in codes.items()
    ]
    return "\n".join([f"$scope module {DERIVED} $end", *lines, "$upscope $end", ""])


def _cycles(steps: Iterable[Step], program: Program) -> Iterator[tuple[int, dict[str, str], Marker | None]]:
    """Yield what the scope shows from which time on, as text or digits, and the boundary that is there."""
    idle = {**dict.fromkeys(_NUMBERS, "0"), **dict.fromkeys(_TEXTS, ""), **dict.fromkeys(_COLUMNS, "z")}
    yield 0, idle, None
    count = time = period = 0
    started, previous = False, ""
    for step in steps:
        period, time = step.start - time, step.start
        one = step.passes[0] if step.passes else None
        numbered = bool(one and (count or one.kind != "plane"))
        values = {**idle, "instruction": step.instruction, "number": str(count + numbered)}
        values["kind"] = one.kind if one else "decode" if step.decodes else ""
        values |= {f"slot_{slot}": str(column) for slot, column in step.slots.items()} | _touched(step.touched)
        if one:
            names = column_names(program.instructions[one.address])
            values |= _pass(one, names)
        marker = None
        if step.decodes:
            started, marker = False, Marker(time, step.instruction.split()[0], of_pass=False)
        elif one and one.kind != "plane" and (not started or one.kind == "compare" != previous):
            started, marker = True, Marker(time, f"{step.instruction.split()[0]} pass {count + 1}", of_pass=True)
        count += len(step.passes) if numbered else 0
        previous = values["kind"]
        yield time, values, marker
    yield time + period, {**idle, "number": str(count)}, None


def _pass(one: Pass, names: Mapping[int, str]) -> dict[str, str]:
    key = [f"{_name(column, names)}={bit}" for column, bit in one.key.items()]
    key += [f"{_name(column, names)}@{one.distance}={bit}" for column, bit in one.partner_key.items()]
    return {
        "key": " ".join(key),
        "written": " ".join(f"{_name(write.column, names)}={write.value}" for write in one.writes),
        "rows": str(len(one.matched)),
        "changed": str(len(one.changed)),
    }


def _name(column: int, names: Mapping[int, str]) -> str:
    return names.get(column) or f"column_{column}"


def _touched(columns: Mapping[str, Bits]) -> dict[str, str]:
    """Return columns as binary digits, the highest row first."""
    return {f"column_{slot}": "".join(map(str, cells[::-1].tolist())) for slot, cells in columns.items()}


def _change(name: str, value: str, code: str) -> str:
    """Return the line of a value change."""
    if name in _NUMBERS:
        return f"b{int(value):b} {code}\n"
    if name in _COLUMNS:
        return f"b{value} {code}\n"
    return StringVariable(code, VarType.string, 1, "").format_value(value) + "\n"


def _merge(source: BinaryIO, target: BinaryIO, declarations: str, changes: Mapping[int, list[str]]) -> None:
    """Copy a file with more declarations and more changes, both in the order of time."""
    waiting = deque(sorted(changes.items()))

    def catch_up(time: float) -> None:
        while waiting and waiting[0][0] < time:
            other, lines = waiting.popleft()
            target.write("".join([f"#{other}\n", *lines]).encode())

    for line in source:
        if line.startswith(b"$enddefinitions"):
            target.write(declarations.encode())
        if line.startswith(b"#"):
            time = int(line[1:])
            catch_up(time)
            target.write(line)
            if waiting and waiting[0][0] == time:
                target.write("".join(waiting.popleft()[1]).encode())
        else:
            target.write(line)
    catch_up(math.inf)
