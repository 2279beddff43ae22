"""The frozen configuration of a macro: one object feeds hardware, golden model, laws, host and tests.

Plain Python, so that the golden side can use it without a hardware description language.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.config import ConfigError, identity, read_fields

__all__ = ["MACROS", "MAXIMUM_OPERAND_ROWS", "MacroConfig", "load_macro", "macro_from_fields"]

ARCHITECTURE = 1
"""Version of what the macro does with a program; part of every config hash."""

MAXIMUM_OPERAND_ROWS = 64
"""Rows that one operand may have: those of 64 bits below each other."""


@dataclass(frozen=True, kw_only=True)
class MacroConfig:
    """Sizes of one macro.

    Parameters
    ----------
    name : label in reports and folders; not part of the hash.
    rows, columns : of the array, 8..4096 and 8..1024. A beat of rows is ``columns`` bits.
    operand_columns : columns that one operand may have, a power of two, at most ``columns``.
    event_bits : width of a word of events, 32..256.
    saturation : sums may be clipped to their range; without it they always wrap, and what clips is not there.
    program_depth : instructions that the buffer holds, a power of two; a loop body must fit.
    loop_depth : loops that may be nested.
    counter_bits : width of the counters, 16..64. With fewer than 64 a counter may wrap; from then on until the next
        program every counter is read with bit 63 set.

    Raises
    ------
    ConfigError
        If a size is out of its range or sizes do not fit together.
    """

    name: str
    rows: int = 512
    columns: int = 256
    operand_columns: int = 64
    event_bits: int = 64
    saturation: bool = True
    program_depth: int = 256
    loop_depth: int = 2
    counter_bits: int = 64

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise ConfigError(f"name must be letters, digits, '-', '_' and '.', not {self.name!r}")
        limits = {
            "rows": (8, 4096),
            "columns": (8, 1024),
            "operand_columns": (2, 64),
            "event_bits": (32, 256),
            "program_depth": (2, 65536),
            "loop_depth": (1, 8),
            "counter_bits": (16, 64),
        }
        for field, (low, high) in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"{field} must be an integer from {low} to {high}, not {value!r}")
        for field in ("operand_columns", "program_depth"):
            value = getattr(self, field)
            if value & (value - 1):
                raise ConfigError(f"{field} must be a power of two, not {value}")
        if self.operand_columns > self.columns:
            raise ConfigError(f"operand_columns must be at most columns ({self.columns}), not {self.operand_columns}")
        if not isinstance(self.saturation, bool):
            raise ConfigError(f"saturation must be true or false, not {self.saturation!r}")

    @property
    def cells(self) -> int:
        """Bits of the array."""
        return self.rows * self.columns

    def parallel(self, columns: int) -> int:
        """Operands of so many columns that fit side by side."""
        return self.columns // columns

    @property
    def hash(self) -> int:
        """64-bit identity of the hardware: everything but the name."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key != "name"}
        return identity(fields | {"macro": ARCHITECTURE})

    @property
    def hash_text(self) -> str:
        """The hash as 16 hexadecimal digits."""
        return f"{self.hash:016x}"

    def replace(self, **changes: object) -> MacroConfig:
        """The same macro with some fields changed, validated anew."""
        fields: dict[str, Any] = dataclasses.asdict(self) | changes
        return MacroConfig(**fields)

    def as_dict(self) -> dict[str, object]:
        """Every field and ``cells``, for JSON."""
        return {**dataclasses.asdict(self), "cells": self.cells}


MACROS: dict[str, MacroConfig] = {
    config.name: config
    for config in (
        MacroConfig(name="flexspim"),
        MacroConfig(
            name="flexspim-tiny", rows=64, columns=16, operand_columns=16, event_bits=32, program_depth=32,
            counter_bits=32,
        ),
    )
}  # fmt: skip
"""The named configurations: ``flexspim`` has the array of arXiv:2410.23082, ``flexspim-tiny`` is for tests."""


def load_macro(name_or_file: str) -> MacroConfig:
    """A named config, or one read from a JSON file (an object with the fields of :class:`MacroConfig`).

    Raises
    ------
    ConfigError
        If there is neither such a name nor such a file, or the file's content is not a valid config.
    """
    if name_or_file in MACROS:
        return MACROS[name_or_file]
    path = Path(name_or_file)
    return macro_from_fields(read_fields(path, MACROS), path.stem, f"config file {path}")


def macro_from_fields(fields: dict[str, Any], name: str, origin: str) -> MacroConfig:
    """A macro from the fields of a JSON object, which error texts call ``origin``; ``name`` where it has none.

    Raises
    ------
    ConfigError
        If a field is unknown or out of its range.
    """
    known = {field.name for field in dataclasses.fields(MacroConfig)}
    given: dict[str, Any] = {"name": name, **fields}
    given.pop("cells", None)
    for field in given:
        if field not in known:
            raise ConfigError(f"{origin} must name fields of a macro, not {field!r}")
    return MacroConfig(**given)
