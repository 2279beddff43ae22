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

from sim.cache import STAMP, cache_folder, touch
from sim.cache_holds import hold
from sim.cache_pruning import prune_once

__all__ = ["KeptBuild", "kept_build", "read_stamp"]

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


def kept_build(shape: Mapping[str, Any], make: Callable[[Path], object]) -> KeptBuild:
    """Find the build of a shape, or have it made; it stays at least until this process ends.

    Safe to call from many processes at once: one makes it, the others wait and use it. An interrupted build leaves
    nothing that is taken for a finished one, and one whose stamp is damaged is made anew.

    Parameters
    ----------
    shape : everything that decides what is made, as JSON values.
    make : makes it in an empty folder; what it raises is raised here, and nothing is kept.

    Raises
    ------
    UserError
        If the cache cannot be written, or its limit is no size.
    """
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
    root = cache_folder()
    folder = root / "builds" / key
    stamp = folder / STAMP
    started = time.monotonic()
    seconds = 0.0
    with FileLock(root / "builds" / f"{key}.lock"):
        hold(root, f"builds/{key}")
        if read_stamp(stamp) is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            seconds = max(time.monotonic() - started, 1e-9)
            unfinished = folder / f"{STAMP}.unfinished"
            content = {"made": time.time(), "seconds": seconds, "shape": _noted(shape)}
            unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
            unfinished.replace(stamp)
        touch(stamp)
    prune_once(root, grown=seconds > 0.0)
    return KeptBuild(folder, key, seconds)


def read_stamp(stamp: Path) -> dict[str, Any] | None:
    """Return what the stamp of a build says, None where the build is not finished or its stamp is damaged.

    ``shape`` is what :func:`kept_build` was given, with long texts as their SHA-256; ``made`` is in seconds since 1970,
    and ``seconds`` is how long that took. Stamps of earlier versions have a shape only.
    """
    try:
        content = json.loads(stamp.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not content:
        return None
    return content if isinstance(content.get("shape"), dict) else {"shape": content}


def _noted(value: Any) -> Any:
    """A shape with long texts replaced by their hashes."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else hashlib.sha256(value.encode()).hexdigest()
    if isinstance(value, Mapping):
        return {name: _noted(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_noted(part) for part in value]
    return value
