"""Locks where the system has none: nothing is locked, and nothing fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sim import file_locks


def test_systems_without_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file_locks._locks.cache_clear()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with (tmp_path / "file").open("a+b") as one, (tmp_path / "file").open("a+b") as other:
        file_locks.lock_file(one.fileno())
        file_locks.lock_file(other.fileno())
        file_locks.share_byte(one.fileno(), 7)
        assert not file_locks.byte_is_locked(other.fileno(), 7)
    file_locks._locks.cache_clear()


def test_a_file_is_locked_once(tmp_path: Path) -> None:
    with (tmp_path / "file").open("a+b") as one, (tmp_path / "file").open("a+b") as other:
        file_locks.lock_file(one.fileno())
        with pytest.raises(BlockingIOError):
            file_locks.lock_file(other.fileno())
