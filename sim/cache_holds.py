"""Says which entries of the cache some process uses, with locks that end with that process, however it ends."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from sim.file_locks import byte_is_locked, share_byte

__all__ = ["hold", "is_held"]

_FILE = "in-use"


@dataclass
class _Holds:
    """What one process holds below one folder.

    A lock covers one byte of an empty file, at a place that is a hash of the entry's name. The file is opened once: to
    close any descriptor of it would end all locks of the process.
    """

    file: int
    names: set[str] = field(default_factory=set[str])


_LOCK = threading.Lock()
_HOLDS: dict[tuple[int, Path], _Holds] = {}


def hold(root: Path, name: str) -> None:
    """Hold an entry until this process ends; any number of processes may.

    Parameters
    ----------
    root : folder of the cache.
    name : of the entry, its path below *root*, ``builds/<key>``.
    """
    with _LOCK:
        holds = _holds(root)
        if name not in holds.names:
            share_byte(holds.file, _place(name))
            holds.names.add(name)


def is_held(root: Path, name: str) -> bool:
    """Return whether some process, this one included, holds an entry; parameters as :func:`hold`."""
    with _LOCK:
        holds = _holds(root)
        return name in holds.names or byte_is_locked(holds.file, _place(name))


def _holds(root: Path) -> _Holds:
    """Those of this process: one that was forked has none."""
    key = (os.getpid(), root)
    if key not in _HOLDS:
        _HOLDS[key] = _Holds(os.open(root / _FILE, os.O_RDWR | os.O_CREAT, 0o666))
    return _HOLDS[key]


def _place(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)
