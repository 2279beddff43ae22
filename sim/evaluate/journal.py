"""The journal of a sweep: finished points in a file beside the output, so that nothing is done twice.

Each line is a JSON object with the point's key and its result. A key is a hash of all that the result depends on, so
that a line is found only where it is still true. Lines that cannot be read, as an interruption may leave, are passed
over.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sim.errors import UserError

__all__ = ["Journal", "content_key", "source_hash"]

PACKAGES = ("golden", "hw", "sim")


def content_key(**content: Any) -> str:
    """Return a hash of *content*: of names and plain values, of dataclasses and mappings, whatever their order is."""
    text = json.dumps(_plain(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@functools.cache
def source_hash() -> str:
    """Return a hash of all source files of the package: laws, mapper and networks."""
    import sim

    root = Path(sim.__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


class Journal:
    """Results by key, those of earlier runs included; new ones are in the file when :meth:`add` returns.

    Parameters
    ----------
    path : of the file, which is made when the first result is added; None keeps results in memory only.
    fresh : whether to start without what an earlier run left.

    Raises
    ------
    UserError
        If the file cannot be read or written.
    """

    def __init__(self, path: Path | None, *, fresh: bool = False) -> None:
        self.path = path
        self.results: dict[str, dict[str, Any]] = {}
        self._fresh = fresh
        self._file: BinaryIO | None = None
        if path is not None and path.exists() and not fresh:
            try:
                lines = path.read_bytes().splitlines()
            except OSError as error:
                raise self._unusable(error) from error
            self.results = dict(filter(None, map(_read, lines)))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the result under *key*, None when there is none."""
        return self.results.get(key)

    def add(self, key: str, result: dict[str, Any]) -> None:
        """Keep a *result* of plain JSON values."""
        self.results[key] = result
        if self.path is None:
            return
        try:
            if self._file is None:
                self._file = self._open(self.path)
            self._file.write(json.dumps({"key": key, "result": result}).encode() + b"\n")
        except OSError as error:
            raise self._unusable(error) from error

    def _open(self, path: Path) -> BinaryIO:
        """Open the file for lines, so that each one is written at once and the first begins on a line of its own."""
        file = path.open("wb" if self._fresh else "a+b", buffering=0)
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return file

    def _unusable(self, error: OSError) -> UserError:
        return UserError(f"journal {self.path} cannot be used: {(error.strerror or str(error)).lower()}")


def _read(line: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("result"), dict):
        return None
    return str(content.get("key")), content["result"]


def _plain(value: Any) -> Any:
    """The same content as lists, mappings and JSON values."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
