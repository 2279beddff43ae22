"""The frozen configuration of a tile: one object feeds hardware, golden model, laws, host, tests and reports.

Plain Python, so that the golden side can use it without a hardware description language.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

__all__ = ["ARRAYS", "CONFIGS", "PASSES", "ConfigError", "TileConfig", "load_config", "read_fields", "tile_from_fields"]

ARRAYS = ("cells", "4r2w", "3r1w")
"""Array back-ends: a CAM of cells, and two memories addressed by column with their read and write ports."""

PASSES = ("classical", "merged", "two_tags")
"""How the passes of additions are made: one write for each compare, compares OR-ed into one write where their order
allows it, or two tag registers that hold the rows of two writes, so that no order is needed."""

ARCHITECTURE = 2
"""Version of what the tile does with a program; part of every config hash."""

MAXIMUM_COLUMNS = 4096  # what a 12-bit column field of an instruction can name


class ConfigError(ValueError):
    """A configuration that cannot be built; the text names the quantity, the rule and the value received."""


@dataclass(frozen=True, kw_only=True)
class TileConfig:
    """Sizes of one associative-processor tile.

    Parameters
    ----------
    name : label in reports and folders; not part of the hash.
    taps : G, row blocks of a tile; the responders of one output are counted over its taps.
    outputs : S, rows of a block, which is also the width of a result plane.
    columns : C, addressable bit columns.
    plane_bits : P, bits that the plane port moves in a cycle, 1..rows.
    array : back-end of the cells, one of :data:`ARRAYS`.
    fill_bits, total_bits : widths of the responder counters of one output: of one DOT, and of the running sum.
    program_depth : instructions that the buffer holds, a power of two; a loop body must fit.
    port_queue : LOADs and STOREs that may be under way at once.
    loop_depth : loops that may be nested.
    activity : whether rows matched and cells written are counted (results and cycles never depend on it).
    counter_bits : width of the counters, 16..64. With fewer than 64 a counter may wrap; from then on until the next
        program every counter is read with bit 63 set (see :mod:`hw.counter_map`).
    vertical : the 2D tile, whose rows can be compared with rows of other blocks; without it the unit is not there.
    passes : how additions are made, one of :data:`PASSES`.
    zero_skip : a DOT may search for leading zero planes and skip them; without it the search is not there.

    Raises
    ------
    ConfigError
        If a size is out of its range or sizes do not fit together.
    """

    name: str
    taps: int
    outputs: int
    columns: int
    plane_bits: int
    array: str = "4r2w"
    fill_bits: int = 40
    total_bits: int = 48
    program_depth: int = 256
    port_queue: int = 4
    loop_depth: int = 2
    activity: bool = True
    counter_bits: int = 64
    vertical: bool = False
    passes: str = "classical"
    zero_skip: bool = False

    def __post_init__(self) -> None:
        sizes = {
            "taps": 4096,
            "outputs": 4096,
            "columns": MAXIMUM_COLUMNS,
            "plane_bits": self.taps * self.outputs if _is_size(self.taps) and _is_size(self.outputs) else 1,
            "fill_bits": 72,
            "total_bits": 64,
            "program_depth": 65536,
            "port_queue": 16,
            "loop_depth": 8,
            "counter_bits": 64,
        }
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise ConfigError(f"name must be letters, digits, '-', '_' and '.', not {self.name!r}")
        for field, limit in sizes.items():
            value = getattr(self, field)
            if not _is_size(value) or value > limit:
                raise ConfigError(f"{field} must be an integer from 1 to {limit}, not {value!r}")
        if self.counter_bits < 16:
            raise ConfigError(f"counter_bits must be at least 16, not {self.counter_bits}")
        if self.array not in ARRAYS:
            raise ConfigError(f"array must be one of {', '.join(ARRAYS)}, not {self.array!r}")
        if self.columns < 8:
            raise ConfigError(f"columns must be at least 8, not {self.columns}")
        if self.program_depth & (self.program_depth - 1) or self.program_depth < 2:
            raise ConfigError(f"program_depth must be a power of two and at least 2, not {self.program_depth}")
        if self.fill_bits < self.count_bits + 2:
            raise ConfigError(
                f"fill_bits must be at least {self.count_bits + 2} for {self.taps} taps, not {self.fill_bits}"
            )
        if self.total_bits < self.fill_bits:
            raise ConfigError(f"total_bits must be at least fill_bits ({self.fill_bits}), not {self.total_bits}")
        if self.passes not in PASSES:
            raise ConfigError(f"passes must be one of {', '.join(PASSES)}, not {self.passes!r}")
        for field in ("activity", "vertical", "zero_skip"):
            if not isinstance(getattr(self, field), bool):
                raise ConfigError(f"{field} must be true or false, not {getattr(self, field)!r}")

    @property
    def rows(self) -> int:
        """R = taps * outputs; row ``i * outputs + s`` is tap i of output s."""
        return self.taps * self.outputs

    @property
    def count_bits(self) -> int:
        """Bits of a responder count of one output, 0..taps."""
        return self.taps.bit_length()

    def beats(self, bits: int) -> int:
        """Cycles in which the plane port moves one plane of ``bits`` bits."""
        return -(-bits // self.plane_bits)

    @property
    def hash(self) -> int:
        """64-bit identity of the hardware: everything but the name."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key != "name"}
        return identity(fields | {"architecture": ARCHITECTURE})

    @property
    def hash_text(self) -> str:
        """The hash as 16 hexadecimal digits."""
        return f"{self.hash:016x}"

    def replace(self, **changes: object) -> TileConfig:
        """The same tile with some fields changed, validated anew."""
        fields: dict[str, Any] = dataclasses.asdict(self) | changes
        return TileConfig(**fields)

    def as_dict(self) -> dict[str, object]:
        """Every field and ``rows``, for JSON."""
        return {**dataclasses.asdict(self), "rows": self.rows}


def identity(fields: Mapping[str, object]) -> int:
    """64 bits that stand for the fields of a config."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


CONFIGS: dict[str, TileConfig] = {
    config.name: config
    for config in (
        TileConfig(
            name="tiny", taps=4, outputs=4, columns=32, plane_bits=8, array="cells", fill_bits=24, total_bits=32,
            program_depth=32, counter_bits=32,
        ),
        TileConfig(name="small", taps=16, outputs=16, columns=128, plane_bits=64),
        TileConfig(name="cap", taps=75, outputs=64, columns=128, plane_bits=4800, activity=False),
        TileConfig(name="cap64", taps=75, outputs=64, columns=128, plane_bits=64, activity=False),
        TileConfig(name="cap2d", taps=75, outputs=64, columns=128, plane_bits=4800, activity=False, vertical=True),
        TileConfig(name="cap256", taps=75, outputs=64, columns=256, plane_bits=4800, activity=False),
        TileConfig(name="cap16", taps=75, outputs=64, columns=16, plane_bits=4800, array="cells", activity=False),
    )
}  # fmt: skip
"""The named configurations: ``tiny`` for Icarus and small FPGAs, ``small`` for tests, ``cap`` = 4,800 rows with a port
as wide as a plane, ``cap64`` the same with a 64-bit port, ``cap2d`` the same as a 2D tile, ``cap256`` the same with
columns for the temporaries of mode ``constant``, ``cap16`` = 4,800 rows x 16 columns for DOT only."""


def load_config(name_or_file: str) -> TileConfig:
    """A named config, or one read from a JSON file (an object with the fields of :class:`TileConfig`).

    Raises
    ------
    ConfigError
        If there is neither such a name nor such a file, or the file's content is not a valid config.
    """
    if name_or_file in CONFIGS:
        return CONFIGS[name_or_file]
    path = Path(name_or_file)
    return tile_from_fields(read_fields(path, CONFIGS), path.stem, f"config file {path}")


def read_fields(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """The object in a config file; ``names`` are what could have been given in its place.

    Raises
    ------
    ConfigError
        If there is no such file, or it does not hold a JSON object.
    """
    if not path.is_file():
        raise ConfigError(f"config must be one of {', '.join(names)} or a JSON file, not {str(path)!r}")
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"config file {path} must hold JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"config file {path} must hold a JSON object, not {type(content).__name__}")
    return cast("dict[str, Any]", content)


def tile_from_fields(fields: dict[str, Any], name: str, origin: str) -> TileConfig:
    """A tile from the fields of a JSON object, which error texts call ``origin``; ``name`` where it has none.

    Raises
    ------
    ConfigError
        If a field is unknown, missing or out of its range.
    """
    known = {field.name for field in dataclasses.fields(TileConfig)}
    given: dict[str, Any] = {"name": name, **fields}
    given.pop("rows", None)
    for field in given:
        if field not in known:
            raise ConfigError(f"{origin} must name fields of a tile, not {field!r}")
    try:
        return TileConfig(**given)
    except TypeError as error:
        raise ConfigError(f"{origin} is incomplete: {error}") from error
