"""Wave files as simulators leave them: made small and readable, read, and written as a whole."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hw.verilog import TOP

_NAMELESS = re.compile(rb"_\d+_")

__all__ = ["Variable", "read_header", "tidy", "tile_scope", "whole"]


@dataclass(frozen=True)
class Variable:
    """A signal of a VCD file: path with dots, name of the identifier in the file, bits."""

    path: str
    code: str
    bits: int


def tidy(waves: Path, keep: Collection[str] | None = None) -> None:
    """Make a simulator's VCD file small and readable: leave out nameless signals, and give every scope a name.

    Yosys writes many wires without a name of their own (``$1``, ``tag$68``, ``_1_``), and the fields of structures
    beside the structures (``running.opcode``). Verilator writes a scope ``$rootio``, which readers of the format
    refuse.

    Parameters
    ----------
    waves : the file, which is replaced.
    keep : paths below the tile of the signals that stay, all others go; None keeps every signal that has a name.
    """
    tidied = waves.with_name(f"{waves.name}.tidied")
    with waves.open("rb") as source, tidied.open("wb") as target:
        kept: set[bytes] = set()
        scopes: list[str] = []
        for line in source:
            words = line.split()
            if words[:1] == [b"$var"]:
                if _nameless(words[4]) or not (keep is None or _below_tile(scopes, words[4]) in keep):
                    continue
                kept.add(words[3])
            elif words[:1] == [b"$scope"]:
                name = words[2].lstrip(b"$") if len(words) == 4 else b"top"
                scopes.append(name.decode())
                target.write(b"$scope " + words[1] + b" " + name + b" $end\n")
                continue
            elif words[:1] == [b"$upscope"]:
                scopes.pop()
            target.write(line)
            if words[:1] == [b"$enddefinitions"]:
                break
        _copy_changes(source, target, kept)
    tidied.replace(waves)


def _nameless(name: bytes) -> bool:
    """Tell whether a name is Yosys's own, or that of a structure's field."""
    return any(letter in name.lstrip(b"\\") for letter in (b"$", b".")) or _NAMELESS.fullmatch(name) is not None


def _below_tile(scopes: Sequence[str], name: bytes) -> str:
    """Return the path of a signal below the tile; its name alone is no path where it is not in one."""
    below = scopes[scopes.index(TOP) + 1 :] if TOP in scopes else [""]
    return ".".join([*below, name.decode()])


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


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a file to write that becomes *target* when the block ends well, and goes away when it does not.

    What the block writes beside it, with other suffixes, goes away as well.
    """
    unfinished = target.with_name(f".{target.stem}.unfinished{target.suffix}")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        for left in target.parent.glob(f"{glob.escape(unfinished.stem)}.*"):
            with suppress(OSError):
                left.unlink()


def tile_scope(variables: Sequence[Variable]) -> str:
    """Return the path of the tile: the module that has a sequencer, else the shallowest of the tile's name."""
    paths = [variable.path.rpartition(".")[0] for variable in variables]
    for path in paths:
        if path.split(".")[-2:] == [TOP, "sequencer"]:
            return path.rpartition(".")[0]
    return next((path for path in paths if path.split(".")[-1] == TOP), TOP)
