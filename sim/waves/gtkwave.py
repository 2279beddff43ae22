"""What GTKWave reads beside the waves: a save file that chooses and orders signals, and texts in place of numbers."""

from __future__ import annotations

import io
import itertools
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from hw.config import TileConfig
from hw.isa import INSTRUCTION_BITS, ErrorCode, LoadKind, Owner, Program, TileState
from sim.waves.recording import Variable, tile_scope
from sim.waves.signals import ALIASES, DERIVED, FORMATS, GROUPS, TRANSLATED

__all__ = ["MARKERS", "Marker", "instruction_texts", "save_file", "translations"]

MARKERS = 26
"""Named markers of GTKWave, A to Z."""

FRAME = 200
"""Pixels in which GTKWave shows 2**-zoom units of time."""

CYCLE_WIDTH = 140
"""Pixels of a clock cycle in which a key can be read."""


@dataclass(frozen=True)
class Marker:
    """A boundary that a person looks for: an instruction begins, or its passes for another state of the rows do.

    Parameters
    ----------
    time : of the rising edge at which it begins.
    text : what begins.
    of_pass : passes begin, not an instruction.
    """

    time: int
    text: str
    of_pass: bool


def instruction_texts(program: Program) -> tuple[str, ...]:
    """Return the assembler text of each instruction, by address."""
    from sim.assembler import disassemble

    lines = [line.split("#")[0].strip() for line in disassemble(program).splitlines()]
    texts = tuple(line for line in lines if line and not line.startswith("."))
    assert len(texts) == len(program.instructions), "the disassembler writes one line for each instruction"
    return texts


def translations(config: TileConfig, program: Program) -> dict[str, str]:
    """Return the translation files of GTKWave by the last part of their names: text with a line for each value.

    The words of *program* become assembler text; states, owners, kinds of planes and error codes become their names.
    """
    from vcd.gtkw import make_translation_filter

    words = dict(zip(program.words[1:], instruction_texts(program), strict=True))
    states = _states(config)
    tables: dict[str, tuple[list[tuple[int, str]], int]] = {
        "instructions": (sorted(words.items()), INSTRUCTION_BITS),
        "states": (states, (len(states) - 1).bit_length()),
        "owners": _names(Owner),
        "kinds": _names(LoadKind),
        "tile_states": _names(TileState),
        "errors": _names(ErrorCode),
    }
    return {name: make_translation_filter(rows, "hex", bits) + "\n" for name, (rows, bits) in tables.items()}


def save_file(
    waves: Path, variables: Sequence[Variable], files: Mapping[str, str], markers: Sequence[Marker] = ()
) -> str:
    """Return the text of a GTKWave save file that shows :data:`sim.waves.signals.GROUPS`.

    Parameters
    ----------
    waves : the wave file, which is named relative to the save file beside it.
    variables : what it holds.
    files : names of the translation files, beside the save file as well, by the keys of :func:`translations`.
    markers : boundaries in the order of time, of which the first :data:`MARKERS` are shown.
    """
    from vcd.gtkw import GTKWSave

    scope = tile_scope(variables)
    known = {variable.path: variable for variable in variables}
    buffer = io.StringIO()
    save = GTKWSave(buffer)
    save.dumpfile(waves.name, abspath=False)
    save.treeopen(f"{scope}.")
    save.sst_expanded(True)
    buffer.write(_markers(markers))
    for title, names in GROUPS.items():
        paths = {name: name if name.startswith(f"{DERIVED}.") else f"{scope}.{name}" for name in names}
        present = [(name, known[path]) for name, path in paths.items() if path in known]
        if not present:
            continue
        with save.group(title):
            for name, variable in present:
                bits = f"[{variable.bits - 1}:0]" if variable.bits > 1 else ""
                save.trace(
                    f"{variable.path}{bits}",
                    alias=ALIASES.get(name, name.rpartition(".")[2]),
                    datafmt=FORMATS.get(name, "hex"),
                    translate_filter_file=files.get(TRANSLATED.get(name, "")),
                )
    return buffer.getvalue()


def _markers(markers: Sequence[Marker]) -> str:
    """Return the lines of named markers, and of a view that begins with the first pass and is wide enough for texts."""
    if not markers:
        return ""
    shown = markers[:MARKERS]
    times = [marker.time for marker in shown]
    cycle = min((later - earlier for earlier, later in itertools.pairwise(times)), default=1)
    start = next((marker.time for marker in markers if marker.of_pass), times[0])
    zoom = math.log2(cycle * FRAME / CYCLE_WIDTH)
    lines = [
        f"[timestart] {max(start - cycle, 0)}",
        f"*{-zoom:.6f} -1 {' '.join(map(str, times + [-1] * (MARKERS - len(times))))}",
        *(f"[markername] {letter}{marker.text}" for letter, marker in zip(string.ascii_uppercase, shown, strict=False)),
    ]
    return "\n".join(lines) + "\n"


def _names(kind: type[IntEnum]) -> tuple[list[tuple[int, str]], int]:
    return [(int(member), member.name) for member in kind], max(kind).bit_length()


def _states(config: TileConfig) -> list[tuple[int, str]]:
    """Return numbers and names of the sequencer's states."""
    from amaranth.hdl import Fragment, Module

    from hw.sequencer import Sequencer

    modules: list[Module] = []

    class Watched(Sequencer):
        def elaborate(self, platform: object) -> Module:
            module = super().elaborate(platform)
            # What only makes a module stand still, around it, does not know its machine.
            modules.append(getattr(module, "_elaboratable_", module))
            return module

    Fragment.get(Watched(config), None)
    machine = Fragment.get(modules[0], None).generated["state"]
    return sorted((int(number), str(name)) for name, number in machine.encoding.items())
