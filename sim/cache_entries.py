"""Lists what is in the cache: entries with their size and last use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sim.cache import KINDS, STAMP

__all__ = ["Entry", "cache_entries", "entry_at"]

Kind = Literal["builds", "runtime", "verilog", "networks", "laws", "runs", "journals"]

_KEY = re.compile(r"[0-9a-f]{20}")
_LOCK_SUFFIX = ".lock"
_NOTE_SUFFIX = ".json"


@dataclass(frozen=True)
class Entry:
    """One thing that is kept or removed as a whole.

    Parameters
    ----------
    kind : the folder that it is in.
    path : a folder or a file.
    size : bytes of its files.
    used : when it was last used, in seconds since 1970.
    finished : whether it can be used; what an interruption left cannot.
    """

    kind: Kind
    path: Path
    size: int
    used: float
    finished: bool

    @property
    def name(self) -> str:
        """Path below the folder of the cache."""
        return f"{self.kind}/{self.path.name}"


def cache_entries(root: Path) -> list[Entry]:
    """Return all entries of the cache in *root*, in no order."""
    entries: list[Entry] = []
    for kind in KINDS:
        for path in _listed(root / kind):
            if path.suffix != _LOCK_SUFFIX and not (kind == "verilog" and path.suffix == _NOTE_SUFFIX):
                entry = entry_at(kind, path)
                if entry is not None:
                    entries.append(entry)
    return entries


def entry_at(kind: Kind, path: Path) -> Entry | None:
    """Return the entry at *path*, None when it is gone."""
    try:
        used = path.stat().st_mtime
        sizes, newest = _contents(path)
    except OSError:
        return None
    if kind == "builds":
        stamp = path / STAMP
        finished = stamp.is_file()
        used = stamp.stat().st_mtime if finished else max(used, newest)
    elif kind == "verilog":
        finished = path.suffix == ".v"
        note = path.with_suffix(_NOTE_SUFFIX)
        sizes += note.stat().st_size if note.is_file() else 0
    elif kind == "runtime":
        finished = _KEY.fullmatch(path.name) is not None
    else:
        finished, used = True, max(used, newest)
    return Entry(kind, path, sizes, used, finished)


def _contents(path: Path) -> tuple[int, float]:
    """Bytes below a path, and when the newest file there was changed."""
    if not path.is_dir():
        status = path.stat()
        return status.st_size, status.st_mtime
    size, newest = 0, 0.0
    for status in _statuses(path):
        size += status.st_size
        newest = max(newest, status.st_mtime)
    return size, newest


def _statuses(folder: Path) -> Iterator[os.stat_result]:
    """Those of all files below a folder that are not gone meanwhile."""
    with os.scandir(folder) as found:
        for file in found:
            try:
                if file.is_dir(follow_symlinks=False):
                    yield from _statuses(Path(file.path))
                else:
                    yield file.stat(follow_symlinks=False)
            except OSError:
                continue


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
