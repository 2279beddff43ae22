"""A hash of everything that decides the results of a run."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["content_hash"]


def content_hash(*content: Any) -> str:
    """Return a hash of *content*: plain values, arrays, and dataclasses, mappings and sequences of them.

    Raises
    ------
    TypeError
        If there is anything else in it.
    """
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, content)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """Add a value with its kind and its size, so that no two contents look alike."""
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        digest.update(f"{type(value).__qualname__} {len(fields)} ".encode())
        for field in fields:
            _add(digest, field.name)
            _add(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        digest.update(f"mapping {len(value)} ".encode())
        for key in sorted(value):
            _add(digest, key)
            _add(digest, value[key])
    elif isinstance(value, (list, tuple)):
        digest.update(f"sequence {len(value)} ".encode())
        for entry in value:
            _add(digest, entry)
    elif value is None or isinstance(value, (bool, int, float, str, np.generic)):
        text = repr(value.item() if isinstance(value, np.generic) else value)
        digest.update(f"{type(value).__name__} {len(text)} {text} ".encode())
    else:
        raise TypeError(f"content must be plain values, arrays and what is made of them, not {type(value).__name__}")
