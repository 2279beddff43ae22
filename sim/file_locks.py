"""Locks on files that end with their process; where the system has none, as on Windows, nothing is ever locked."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["byte_is_locked", "lock_file", "share_byte"]


def lock_file(file: int) -> None:
    """Lock a whole open file for this process alone.

    Raises
    ------
    BlockingIOError
        If somebody else has locked it.
    """
    locks = _locks()
    if locks is not None:
        locks.flock(file, locks.LOCK_EX | locks.LOCK_NB)


def share_byte(file: int, place: int) -> None:
    """Lock one byte of an open file, which any number of processes may."""
    locks = _locks()
    if locks is not None:
        locks.lockf(file, locks.LOCK_SH, 1, place)


def byte_is_locked(file: int, place: int) -> bool:
    """Return whether another process has locked a byte of an open file."""
    locks = _locks()
    if locks is None:
        return False
    try:
        locks.lockf(file, locks.LOCK_EX | locks.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return True
    locks.lockf(file, locks.LOCK_UN, 1, place)
    return False


@functools.cache
def _locks() -> Any:
    try:
        import fcntl
    except ModuleNotFoundError:
        return None
    return fcntl
