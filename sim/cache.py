"""The folder that keeps simulation builds and, for a while, what runs left behind.

::

    builds/<key>/          a compiled design; complete.json is written last and touched when it is used
    builds/<key>.lock      held while it is built
    runs/<name>/           results and log of one run
    runtime/<key>/         the compiled runtime of Verilator, see sim.runtime_objects
"""

from __future__ import annotations

import functools
import os
import shutil
import time
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from sim.errors import UserError

__all__ = ["STAMP", "cache_folder", "prune", "prune_once", "touch"]

STAMP = "complete.json"
"""The file that is written last into the folder of a build."""

BUILD_DAYS = 30
RUN_DAYS = 1


def cache_folder() -> Path:
    """Return the folder of builds and runs: ``$BFIMNA_CACHE``, else a folder in the user's cache.

    Raises
    ------
    UserError
        If it cannot be made or written.
    """
    chosen = os.environ.get("BFIMNA_CACHE")
    folder = Path(chosen).expanduser().absolute() if chosen else user_cache_path("bfimna")
    try:
        for part in ("builds", "runs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        writable = os.access(folder / "builds", os.W_OK) and os.access(folder / "runs", os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"cache folder {folder} cannot be written; set BFIMNA_CACHE to a folder that can")
    return folder


def prune(root: Path, *, builds: float = BUILD_DAYS, runs: float = RUN_DAYS) -> None:
    """Remove builds and run folders below *root* that were not used for so many days."""
    now = time.time()
    for folder in (root / "runs").iterdir():
        if now - _last_use(folder) > runs * 86400:
            shutil.rmtree(folder, ignore_errors=True)
    for lock in (root / "builds").glob("*.lock"):
        folder = lock.with_suffix("")
        stamp = folder / STAMP
        if now - _last_use(stamp if stamp.exists() else lock) > builds * 86400:
            with FileLock(lock):
                shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def prune_once(root: Path) -> None:
    """Prune *root* the first time that this process asks for it."""
    prune(root)


def touch(stamp: Path) -> bool:
    """Mark a build as used now; return whether it is complete."""
    try:
        os.utime(stamp)
    except OSError:
        return False
    return True


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
