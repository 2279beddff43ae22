"""Reads and writes a user's files: one clear line when that fails, and never half a file."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from sim.errors import UserError

__all__ = ["STANDARD_OUTPUT", "check_output", "read_input", "write_output"]

STANDARD_OUTPUT = "-"
"""The name that stands for standard output."""


def read_input(path: str | Path, what: str) -> bytes:
    """Return the content of a file; *what* says in errors what it should have been.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    path = Path(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist") from None
    except IsADirectoryError:
        raise UserError(f"{what} {path} must be a file, it is a folder") from None
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {_reason(error)}") from error


def check_output(target: str, what: str = "output") -> None:
    """Raise when *target* cannot be written; to be called before any long work starts.

    Nothing is left behind, and an existing file is not changed.

    Raises
    ------
    UserError
        If the file or its folder refuses.
    """
    if target == STANDARD_OUTPUT:
        return
    path = _real(target)
    if path.is_dir():
        raise UserError(f"{what} {target} must be a file, it is a folder")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise UserError(f"{what} {target} cannot be written: permission denied")
        if not path.is_file():
            return
    elif not path.parent.is_dir():
        raise UserError(f"{what} {target} cannot be written: folder {path.parent} does not exist")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"{what} {target} cannot be written: {_reason(error)}") from error


def write_output(target: str, content: str | bytes, what: str = "output") -> None:
    """Write *content* as a whole: a file has either its old content or all of the new one.

    ``-`` is standard output. A symbolic link stays one, and devices and pipes are written directly.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if target == STANDARD_OUTPUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    check_output(target, what)
    path = _real(target)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path, data)
    except OSError as error:
        raise UserError(f"{what} {target} cannot be written: {_reason(error)}") from error


def _replace(path: Path, data: bytes) -> None:
    """Write a temporary file beside *path* and let it take the name."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _real(target: str) -> Path:
    """Return the file that *target* leads to, so that a link is not replaced by a file."""
    return Path(target).resolve()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
