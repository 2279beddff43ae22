"""Tables that studies make: values in columns, as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cell", "Column", "Table"]

Cell = str | int | float | None
"""A value; None where there is none."""


@dataclass(frozen=True)
class Column:
    """A quantity.

    Parameters
    ----------
    name : of the field in JSON.
    heading : for people, with the unit.
    digits : significant digits of numbers that are not whole.
    """

    name: str
    heading: str
    digits: int = 4


@dataclass(frozen=True)
class Table:
    """What a study has found.

    Parameters
    ----------
    columns : in order.
    rows : a cell for each column.
    notes : sentences on what the figures rest on and what they are not.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row must have {len(self.columns)} cells, not {len(row)}: {row}")

    def records(self) -> list[dict[str, Cell]]:
        """The rows as objects."""
        return [dict(zip((column.name for column in self.columns), row, strict=True)) for row in self.rows]

    def column(self, name: str) -> list[Cell]:
        """The cells of a column."""
        return [record[name] for record in self.records()]

    def markdown(self, names: Sequence[str] = ()) -> str:
        """The rows as Markdown; ``names`` are the columns to show, all by default."""
        chosen = [index for index, column in enumerate(self.columns) if not names or column.name in names]
        words = [any(isinstance(row[index], str) for row in self.rows) for index in chosen]
        lines = [
            [self.columns[index].heading for index in chosen],
            ["---" if text else "---:" for text in words],
            *([_text(row[index], self.columns[index].digits) for index in chosen] for row in self.rows),
        ]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(value: Cell, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - len(str(int(abs(value))))) if abs(value) >= 1 else digits
    return f"{value:,.{decimals}f}"
