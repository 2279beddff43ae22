"""What ``bfimna info --cache`` tells: size, limit and builds of the cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.builds import read_stamp
from sim.cache import KINDS, STAMP, cache_folder, cache_limit
from sim.cache_entries import Entry, cache_entries
from sim.cache_holds import is_held
from sim.verilog_cache import cached_names

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["collect_cache", "print_cache"]

SHOWN = 20
"""Builds that the table has at most."""


def collect_cache() -> dict[str, Any]:
    """Return everything that is told of the cache, as JSON writes it; the build that was used last comes first.

    Raises
    ------
    UserError
        If the cache cannot be written, or its limit is no size.
    """
    root, limit = cache_folder(), cache_limit()
    entries = cache_entries(root)
    names = cached_names(root)
    builds = sorted((entry for entry in entries if entry.kind == "builds"), key=lambda entry: -entry.used)
    return {
        "path": str(root),
        "bytes": sum(entry.size for entry in entries),
        "limit": limit,
        "kinds": [_kind(kind, entries) for kind in KINDS],
        "builds": [_build(root, entry, names, time.time()) for entry in builds],
    }


def _kind(kind: str, entries: list[Entry]) -> dict[str, Any]:
    of_kind = [entry for entry in entries if entry.kind == kind]
    return {"kind": kind, "entries": len(of_kind), "bytes": sum(entry.size for entry in of_kind)}


def _build(root: Path, entry: Entry, names: dict[str, str], now: float) -> dict[str, Any]:
    """One build; what is not known of it is None."""
    stamp = read_stamp(entry.path / STAMP)
    found = {} if stamp is None else stamp
    shape = found.get("shape", {})
    verilog = shape.get("verilog")
    texts = [verilog] if isinstance(verilog, str) else verilog or []
    made = found.get("made")
    return {
        "key": entry.path.name,
        "complete": stamp is not None,
        "engine": None if stamp is None else shape.get("engine", "rtl"),
        "toplevel": shape.get("toplevel") or _after(shape.get("flags", []), "--top-module"),
        "config": next((names[text] for text in texts if text in names), None),
        "simulator": shape.get("tool"),
        "bytes": entry.size,
        "age_s": None if made is None else max(now - made, 0.0),
        "build_s": found.get("seconds"),
        "unused_s": max(now - entry.used, 0.0),
        "held": is_held(root, entry.name),
    }


def _after(words: list[str], option: str) -> str | None:
    """The word that follows an option."""
    return words[words.index(option) + 1] if option in words[:-1] else None


def print_cache(found: dict[str, Any], console: Console) -> None:
    """Print what :func:`collect_cache` returned as tables, of builds the last used ones only."""
    from rich import box
    from rich.table import Table

    limit = "no limit" if found["limit"] is None else f"limit {_size(found['limit'])}"
    console.print(f"{found['path']}: {_size(found['bytes'])}, {limit}", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("kind", no_wrap=True)
    for heading in ("entries", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind in found["kinds"]:
        table.add_row(kind["kind"], f"{kind['entries']:,}", _size(kind["bytes"]))
    console.print(table)
    builds = found["builds"]
    if not builds:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("build", "config", "toplevel", "engine", "simulator"):
        table.add_column(heading, no_wrap=True)
    for heading in ("size", "age", "unused for"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("in use", no_wrap=True)
    for build in builds[:SHOWN]:
        told = (build["config"], build["toplevel"], build["engine"], build["simulator"])
        if not build["complete"]:
            told = ("not finished", None, None, None)
        times = (_duration(build[name]) for name in ("age_s", "unused_s"))
        held = "yes" if build["held"] else ""
        table.add_row(build["key"], *(word or "" for word in told), _size(build["bytes"]), *times, held)
    console.print(table)
    if len(builds) > SHOWN:
        console.print(f"and {len(builds) - SHOWN:,} more, used before; --json has all")


def _size(size: int) -> str:
    """Bytes in the largest unit that they fill."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size:,} B" if unit == "B" else f"{value:.1f} {unit}"


def _duration(seconds: float | None) -> str:
    """Seconds in the largest unit that they fill, or nothing where they are not known."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
