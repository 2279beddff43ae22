"""Builds that are kept: made once under a lock, then found by a hash of everything that shaped them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from sim.cache import STAMP, cache_folder, prune_once, touch

__all__ = ["KeptBuild", "kept_build"]

_LONGEST = 1000
"""Texts beyond so many characters go into the notes of a build by their hash."""


@dataclass(frozen=True)
class KeptBuild:
    """A finished build in the cache.

    Parameters
    ----------
    folder : where it lies.
    key : hash of everything that shaped it.
    seconds : wall time of making it now, 0.0 when it was found.
    """

    folder: Path
    key: str
    seconds: float


def kept_build(shape: Mapping[str, Any], make: Callable[[Path], None]) -> KeptBuild:
    """Find the build of a shape, or have it made.

    Safe to call from many processes at once: one makes it, the others wait and use it. An interrupted build leaves
    nothing that is taken for a finished one.

    Parameters
    ----------
    shape : everything that decides what is made, as JSON values.
    make : makes it in an empty folder; what it raises is raised here, and nothing is kept.
    """
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
    root = cache_folder()
    prune_once(root)
    folder = root / "builds" / key
    stamp = folder / STAMP
    started = time.monotonic()
    if touch(stamp):
        return KeptBuild(folder, key, 0.0)
    with FileLock(root / "builds" / f"{key}.lock"):
        if touch(stamp):
            return KeptBuild(folder, key, 0.0)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        make(folder)
        unfinished = folder / f"{STAMP}.unfinished"
        unfinished.write_text(json.dumps(_noted(shape), indent=1), encoding="utf-8")
        unfinished.replace(stamp)
    return KeptBuild(folder, key, max(time.monotonic() - started, 1e-9))


def _noted(value: Any) -> Any:
    """A shape with long texts replaced by their hashes."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else hashlib.sha256(value.encode()).hexdigest()
    if isinstance(value, Mapping):
        return {name: _noted(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_noted(part) for part in value]
    return value
