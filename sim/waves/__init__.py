"""Waves of a tile for people: which signals to show in which order, and texts in place of numbers.

GTKWave reads three kinds of files beside each other: the waves (VCD), a save file that chooses and orders signals, and
translation files that the save file names, with a text for each value of a signal.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import INSTRUCTION_BITS, ErrorCode, Owner, Program
from hw.verilog import TOP

__all__ = ["GROUPS", "TRANSLATED", "Variable", "read_header", "save_file", "tidy", "translations", "whole"]

_PORTS = ("payload", "valid", "ready")

GROUPS: Mapping[str, Sequence[str]] = {
    "clock": ("clk", "rst", "run"),
    "program": tuple(f"program__{port}" for port in _PORTS),
    "plane_in": tuple(f"plane_in__{port}" for port in _PORTS),
    "plane_out": tuple(f"plane_out__{port}" for port in _PORTS),
    "status": ("done", "error", "error_address"),
    "sequencer": (
        "sequencer.counter",
        "sequencer.instruction",
        "sequencer.running",
        "sequencer.state_state",
        "sequencer.owner",
        "sequencer.outer_bit",
        "sequencer.inner_bit",
        "sequencer.phase",
        "sequencer.step_index",
        "sequencer.waiting",
        "sequencer.starved",
    ),
    "key and mask": (
        "sequencer.operation_compare",
        "sequencer.operation_x",
        "sequencer.operation_y",
        "sequencer.operation_c",
        "sequencer.operation_f",
        "sequencer.operation_mask",
        "sequencer.operation_key",
        "sequencer.operation_write",
        "sequencer.operation_write_mask",
        "sequencer.operation_write_key",
        "sequencer.operation_all_rows",
    ),
    "tags": ("sequencer.set_tag", "array.bus__match", "tags.tag"),
    "plane port": (
        "plane_port.outstanding",
        "plane_port.step",
        "plane_port.column",
        "plane_port.read",
        "plane_port.write",
        "plane_port.planes",
    ),
    "counters": tuple(
        f"counters.{counter.name.replace('.', '_')}" for counter in COUNTERS if not counter.name.startswith("identity.")
    ),
}
"""Signals of the tile by group, as paths below it; one that a simulator or a config does not have is left out."""

TRANSLATED: Mapping[str, str] = {
    "sequencer.instruction": "instructions",
    "sequencer.running": "instructions",
    "sequencer.state_state": "states",
    "sequencer.owner": "owners",
    "error": "errors",
}
"""Signals whose values have texts, and which (:func:`translations`)."""

_BINARY = ("sequencer.operation_mask", "sequencer.operation_key", "sequencer.operation_write_mask",
           "sequencer.operation_write_key")  # fmt: skip
_DECIMAL_GROUPS = ("counters",)
_DECIMAL = ("sequencer.counter", "sequencer.operation_x", "sequencer.operation_y", "sequencer.operation_c",
            "sequencer.operation_f", "sequencer.outer_bit", "sequencer.inner_bit", "sequencer.step_index",
            "plane_port.column", "plane_port.outstanding", "error_address")  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """A signal of a VCD file: path with dots, name of the identifier in the file, bits."""

    path: str
    code: str
    bits: int


def tidy(waves: Path) -> None:
    """Make a simulator's VCD file small and readable: leave out nameless signals, and give every scope a name.

    Yosys writes many wires without a name of their own (``$1``, ``tag$68``), and the fields of structures beside the
    structures (``running.opcode``). Verilator writes a scope ``$rootio``, which readers of the format refuse.
    """
    tidied = waves.with_name(f"{waves.name}.tidied")
    with waves.open("rb") as source, tidied.open("wb") as target:
        kept: set[bytes] = set()
        for line in source:
            words = line.split()
            if words[:1] == [b"$var"]:
                if any(letter in words[4].lstrip(b"\\") for letter in (b"$", b".")):
                    continue
                kept.add(words[3])
            elif words[:1] == [b"$scope"] and (len(words) == 3 or words[2].startswith(b"$")):
                name = words[2].lstrip(b"$") if len(words) == 4 else b"top"
                target.write(b"$scope " + words[1] + b" " + name + b" $end\n")
                continue
            target.write(line)
            if words[:1] == [b"$enddefinitions"]:
                break
        _copy_changes(source, target, kept)
    tidied.replace(waves)


def _copy_changes(source: BinaryIO, target: BinaryIO, kept: set[bytes]) -> None:
    """Copy the value changes of the signals whose codes are *kept*, and the times at which there are any."""
    time = b""
    for line in source:
        kind = line[:1]
        if kind == b"#":
            time = line
        elif kind in b"bBrR":
            if line.split(None, 1)[1].rstrip() in kept:
                target.write(time + line)
                time = b""
        elif kind not in b"01xXzZ" or line[1:].rstrip() in kept:
            target.write(time + line)
            time = b""
    target.write(time)


def read_header(waves: Path) -> list[Variable]:
    """Return the signals of a VCD file that is tidy (:func:`tidy`).

    Raises
    ------
    vcd.reader.VCDParseError
        If the file is damaged.
    """
    from vcd.reader import TokenKind, tokenize

    path: list[str] = []
    variables: list[Variable] = []
    with waves.open("rb") as file:
        for token in tokenize(file):
            if token.kind is TokenKind.SCOPE:
                path.append(token.scope.ident)
            elif token.kind is TokenKind.UPSCOPE:
                path.pop()
            elif token.kind is TokenKind.VAR:
                name = token.var.reference
                variables.append(Variable(".".join([*path, name]), token.var.id_code, token.var.size))
            elif token.kind is TokenKind.ENDDEFINITIONS:
                break
    return variables


def translations(config: TileConfig, program: Program) -> dict[str, str]:
    """Return the translation files of GTKWave by the last part of their names: text with a line for each value.

    The words of *program* become assembler text; states, owners and error codes become their names.
    """
    from vcd.gtkw import make_translation_filter

    from sim.assembler import disassemble

    lines = [line.split("#")[0].strip() for line in disassemble(program).splitlines()]
    texts = [line for line in lines if line and not line.startswith(".")]
    words = program.words[1:]
    assert len(texts) == len(words), "the disassembler writes one line for each instruction"
    states = _states(config)
    tables: dict[str, tuple[list[tuple[int, str]], int]] = {
        "instructions": (sorted(dict(zip(words, texts, strict=True)).items()), INSTRUCTION_BITS),
        "states": (states, (len(states) - 1).bit_length()),
        "owners": ([(int(owner), owner.name) for owner in Owner], 3),
        "errors": ([(int(code), code.name) for code in ErrorCode], 4),
    }
    return {name: make_translation_filter(rows, "hex", bits) + "\n" for name, (rows, bits) in tables.items()}


def save_file(waves: Path, variables: Sequence[Variable], files: Mapping[str, str]) -> str:
    """Return the text of a GTKWave save file that shows :data:`GROUPS`.

    Parameters
    ----------
    waves : the wave file, which is named relative to the save file beside it.
    variables : what it holds.
    files : names of the translation files, beside the save file as well, by the keys of :func:`translations`.
    """
    from vcd.gtkw import GTKWSave

    scope = _tile_scope(variables)
    known = {variable.path: variable for variable in variables}
    buffer = io.StringIO()
    save = GTKWSave(buffer)
    save.dumpfile(waves.name, abspath=False)
    save.treeopen(f"{scope}.")
    save.sst_expanded(True)
    for title, names in GROUPS.items():
        present = [(name, known[f"{scope}.{name}"]) for name in names if f"{scope}.{name}" in known]
        if not present:
            continue
        with save.group(title):
            for name, variable in present:
                bits = f"[{variable.bits - 1}:0]" if variable.bits > 1 else ""
                save.trace(
                    f"{variable.path}{bits}",
                    alias=name.rpartition(".")[2].replace("state_state", "state"),
                    datafmt=_format(title, name),
                    translate_filter_file=files.get(TRANSLATED.get(name, "")),
                )
    return buffer.getvalue()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a file to write that becomes *target* when the block ends well, and goes away when it does not."""
    unfinished = target.with_name(f".{target.stem}.unfinished{target.suffix}")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        for left in (unfinished, unfinished.with_name(f"{unfinished.name}.tidied")):
            with suppress(OSError):
                left.unlink()


def _tile_scope(variables: Sequence[Variable]) -> str:
    """Return the path of the tile: the module that has a sequencer, else the shallowest of the tile's name."""
    paths = [variable.path.rpartition(".")[0] for variable in variables]
    for path in paths:
        if path.split(".")[-2:] == [TOP, "sequencer"]:
            return path.rpartition(".")[0]
    return next((path for path in paths if path.split(".")[-1] == TOP), TOP)


def _format(title: str, name: str) -> str:
    if name in TRANSLATED:
        return "hex"
    if name in _BINARY:
        return "bin"
    return "dec" if title in _DECIMAL_GROUPS or name in _DECIMAL else "hex"


def _states(config: TileConfig) -> list[tuple[int, str]]:
    """Return numbers and names of the sequencer's states."""
    from amaranth.hdl import Fragment

    from hw.sequencer import Sequencer

    machine = Fragment.get(Sequencer(config), None).generated["state"]
    return sorted((int(number), str(name)) for name, number in machine.encoding.items())
