"""Things that are kept in the cache, because making them takes longer than reading them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import TypeVar

from sim.cache import cache_folder, touch
from sim.cache_pruning import prune_once
from sim.evaluate.journal import source_hash
from sim.files import write_output

__all__ = ["kept"]

Thing = TypeVar("Thing")


def kept(
    kind: str,
    source: str,
    make: Callable[[], Thing],
    encoded: Callable[[Thing], bytes],
    decoded: Callable[[bytes], Thing],
) -> Thing:
    """Find something in the cache, or have it made and keep it; what is damaged is made anew.

    Parameters
    ----------
    kind : folder of the cache, one of :data:`sim.cache.KINDS`.
    source : everything that decides what is made, but for the sources of this package.
    make : makes it; what it raises is raised here, and nothing is kept.
    encoded, decoded : it as bytes, and back; ``decoded`` raises ValueError, KeyError or TypeError for what is none.

    Raises
    ------
    UserError
        If the cache cannot be written, or its limit is no size.
    """
    key = hashlib.sha256(f"{source_hash()} {source}".encode()).hexdigest()[:20]
    root = cache_folder()
    file = root / kind / key
    if touch(file):
        try:
            return decoded(_checked(file.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # gone meanwhile, or damaged
    made = make()
    file.parent.mkdir(exist_ok=True)
    content = encoded(made)
    write_output(str(file), _check(content) + content, "cache file")
    prune_once(root, grown=True)
    return made


def _check(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def _checked(file: bytes) -> bytes:
    """What a file holds behind its check."""
    content = file[4:]
    if file[:4] != _check(content):
        raise ValueError("the file is damaged")
    return content
