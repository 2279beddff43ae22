"""Keeps the cache within its limit: what was used least recently goes first, and nothing that is in use goes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sim.cache import cache_limit
from sim.cache_entries import Entry, cache_entries, entry_at
from sim.cache_holds import is_held
from sim.file_locks import lock_file

__all__ = ["prune", "prune_once"]

RECENT_SECONDS = 600.0
"""What was used within so many seconds stays."""

REST_SECONDS = 3600.0
"""Where nothing was added, nobody looks again for so long."""

DAYS = {"builds": 30.0, "runtime": 30.0, "verilog": 30.0, "networks": 30.0, "laws": 30.0, "runs": 1.0, "journals": 30.0}
"""How long entries of each kind stay unused, whatever the limit."""

_REMOVED = ".removed-"
_MARK = "pruned"

_pruned: set[Path] = set()


def prune_once(root: Path, *, grown: bool) -> None:
    """Prune *root*, at most once in this process, and only when it is worth a look.

    Parameters
    ----------
    root : folder of the cache.
    grown : whether something was added; else an hour must have passed since anybody pruned.

    Raises
    ------
    UserError
        If ``$BFIMNA_CACHE_LIMIT`` is no size.
    """
    limit = cache_limit()
    if root in _pruned or not (grown or _rested(root)):
        return
    _pruned.add(root)
    prune(root, limit)


def prune(root: Path, limit: int | None) -> int:
    """Remove what was not used for long, what interruptions left, and then what was used least recently.

    Safe beside others that use the cache: what some process holds or builds, or used within the last ten minutes, stays
    even above the limit. Does nothing while another process prunes.

    Parameters
    ----------
    root : folder of the cache.
    limit : bytes that may be left, None for any number.

    Returns the bytes that were removed.
    """
    try:
        with FileLock(root / f"{_MARK}.lock", timeout=0):
            (root / _MARK).touch()
            return _prune(root, limit)
    except Timeout:
        return 0


def _prune(root: Path, limit: int | None) -> int:
    for folder in root.glob(f"{_REMOVED}*"):  # an interruption left it
        shutil.rmtree(folder, ignore_errors=True)
    entries = sorted(cache_entries(root), key=lambda entry: (entry.used, entry.name))
    total = sum(entry.size for entry in entries)
    removed = 0
    for entry in entries:
        excess = limit is not None and total - removed > limit
        if (excess or _useless(entry)) and _remove(root, entry):
            removed += entry.size
    return removed


def _useless(entry: Entry) -> bool:
    return not entry.finished or time.time() - entry.used > DAYS[entry.kind] * 86400


def _remove(root: Path, entry: Entry) -> bool:
    """Remove an entry unless it is in use; return whether it is gone."""
    if _recent(entry):
        return False
    with _locked(entry) as locked:
        now = entry_at(entry.kind, entry.path)
        if not locked or now is None or _recent(now) or is_held(root, entry.name):
            return False
        # As a whole: half of an entry must never be found.
        removed = Path(tempfile.mkdtemp(prefix=_REMOVED, dir=root))
        try:
            entry.path.replace(removed / entry.path.name)
            if entry.kind == "verilog":
                entry.path.with_suffix(".json").unlink(missing_ok=True)
        except OSError:
            return False
        finally:
            shutil.rmtree(removed, ignore_errors=True)
    return True


def _recent(entry: Entry) -> bool:
    return time.time() - entry.used <= RECENT_SECONDS


@contextmanager
def _locked(entry: Entry) -> Iterator[bool]:
    """The lock of a build or a journal, if nobody has it; other entries have none."""
    if entry.kind == "journals":
        with ExitStack() as stack:
            try:
                # A journal is its own lock, held by the run that writes it.
                lock_file(stack.enter_context(entry.path.open("rb")).fileno())
                locked = True
            except IsADirectoryError:
                locked = True
            except OSError:
                locked = False
            yield locked
    elif entry.kind == "builds":
        try:
            with FileLock(entry.path.with_name(f"{entry.path.name}.lock"), timeout=0):
                yield True
        except Timeout:
            yield False
    else:
        yield True


def _rested(root: Path) -> bool:
    try:
        return time.time() - (root / _MARK).stat().st_mtime > REST_SECONDS
    except OSError:
        return True
