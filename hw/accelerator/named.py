"""Configs by name or from a file: tiles, and accelerators made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.config import CONFIGS, ConfigError, TileConfig, read_fields, tile_from_fields

__all__ = ["load_accelerator", "load_system"]


def load_system(name_or_file: str) -> TileConfig | AcceleratorConfig:
    """A named tile or accelerator, or one read from a JSON file.

    The object in a file has the fields of :class:`~hw.config.TileConfig`, or those of :class:`AcceleratorConfig`, whose
    ``cap`` and ``map`` are objects with the fields of a tile, or names of tiles.

    Raises
    ------
    ConfigError
        If there is neither such a name nor such a file, or the file's content is not a valid config.
    """
    if name_or_file in CONFIGS:
        return CONFIGS[name_or_file]
    if name_or_file in ACCELERATORS:
        return ACCELERATORS[name_or_file]
    path = Path(name_or_file)
    fields = read_fields(path, (*CONFIGS, *ACCELERATORS))
    origin = f"config file {path}"
    if "cap" not in fields:
        return tile_from_fields(fields, path.stem, origin)
    return _accelerator(fields, path.stem, origin)


def load_accelerator(name_or_file: str) -> AcceleratorConfig:
    """As :func:`load_system`, for what needs an accelerator.

    Raises
    ------
    ConfigError
        As there, or if it is a tile.
    """
    config = load_system(name_or_file)
    if isinstance(config, TileConfig):
        raise ConfigError(f"config must be an accelerator ({', '.join(ACCELERATORS)}), not the tile {config.name!r}")
    return config


def _accelerator(fields: dict[str, Any], name: str, origin: str) -> AcceleratorConfig:
    known = {field.name for field in dataclasses.fields(AcceleratorConfig)}
    for field in fields:
        if field not in known:
            raise ConfigError(f"{origin} must name fields of an accelerator, not {field!r}")
    tiles: dict[str, TileConfig] = {}
    for kind in ("cap", "map"):
        given = fields.get(kind, fields["cap"])
        if isinstance(given, str) and given in CONFIGS:
            tiles[kind] = CONFIGS[given]
        elif isinstance(given, dict):
            given_fields = cast("dict[str, Any]", given)
            tiles[kind] = tile_from_fields(given_fields, f"{name}-{kind}", f"{origin}, {kind},")
        else:
            raise ConfigError(f"{origin} must have a name or an object for {kind}, not {given!r}")
    try:
        given: dict[str, Any] = {"name": name, **fields, **tiles}
        return AcceleratorConfig(**given)
    except TypeError as error:
        raise ConfigError(f"{origin} is incomplete: {error}") from error
