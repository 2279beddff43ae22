"""The clock cycles of a wave file, and what chosen signals were in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sim.waves.recording import read_header, tile_scope

__all__ = ["Cycle", "clock_cycles"]


@dataclass(frozen=True)
class Cycle:
    """One clock cycle.

    Parameters
    ----------
    start : time of the rising edge at which it begins.
    values : of the chosen signals, settled, just before the next rising edge; bits that are not known are 0.
    """

    start: int
    values: Mapping[str, int]


def clock_cycles(waves: Path, signals: Iterable[str]) -> Iterator[Cycle]:
    """Yield the cycles between the rising edges of ``clk``, in order.

    Parameters
    ----------
    waves : a VCD file that is tidy (:func:`sim.waves.recording.tidy`).
    signals : paths below the tile; those that the file does not have are 0.

    Raises
    ------
    vcd.reader.VCDParseError
        If the file is damaged.
    """
    from vcd.reader import TokenKind, tokenize

    variables = read_header(waves)
    scope = tile_scope(variables)
    names: dict[str, list[str]] = {}
    wanted = {f"{scope}.{name}": name for name in (*signals, "clk")}
    for variable in variables:
        if variable.path in wanted:
            names.setdefault(variable.code, []).append(wanted[variable.path])
    values = dict.fromkeys(wanted.values(), 0)
    changes: dict[str, int] = {}
    start, time = -1, 0
    with waves.open("rb") as file:
        for token in tokenize(file):
            if token.kind is TokenKind.CHANGE_VECTOR:
                code, value = token.vector_change
            elif token.kind is TokenKind.CHANGE_SCALAR:
                code, value = token.scalar_change
            elif token.kind is TokenKind.CHANGE_TIME:
                if changes.get("clk") and not values["clk"]:
                    if start >= 0:
                        yield Cycle(start, dict(values))
                    start = time
                values |= changes
                changes.clear()
                time = token.time_change
                continue
            else:
                continue
            for name in names.get(code, ()):
                changes[name] = value if isinstance(value, int) else _known(value)
    # What comes after the last rising edge is no whole cycle.


def _known(text: str) -> int:
    """Return the number of a text of bits, with 0 for those that are not known."""
    return int("".join(bit if bit in "01" else "0" for bit in text), 2)
