"""Networks that are kept: finding the constants of a network takes longer than reading them.

A file is a line of JSON, which says how the network is made of dataclasses and arrays, and the numbers of all arrays,
in as few bytes as each needs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import graph as graph_module
from golden.graph import Graph
from sim.kept import kept

__all__ = ["kept_graph"]

_CLASSES = {
    name: found
    for name, found in vars(graph_module).items()
    if isinstance(found, type) and dataclasses.is_dataclass(found)
}
_STORED = tuple(np.dtype(kind) for kind in ("<i1", "<i2", "<i4", "<i8"))


def kept_graph(source: str, make: Callable[[], Graph]) -> Graph:
    """Find a network in the cache, or have it made and keep it; one that is damaged is made anew.

    Parameters
    ----------
    source : everything that decides what is made, but for the sources of this package.
    make : makes it; what it raises is raised here, and nothing is kept.

    Raises
    ------
    UserError
        If the cache cannot be written, or its limit is no size.
    """
    return kept("networks", source, make, encoded, decoded)


def encoded(graph: Graph) -> bytes:
    """Return a network as bytes."""
    arrays: list[bytes] = []
    tree = json.dumps(_tree(graph, arrays)).encode()
    return b"".join([tree, b"\n", *arrays])


def decoded(content: bytes) -> Graph:
    """Return the network that :func:`encoded` was given.

    Raises
    ------
    ValueError, KeyError, TypeError
        If there is none.
    """
    line, _, numbers = content.partition(b"\n")
    graph = _Reader(numbers).value(json.loads(line))
    if not isinstance(graph, Graph):
        raise TypeError("content must be a network")
    return graph


def _tree(value: Any, arrays: list[bytes]) -> Any:
    """A value as JSON, with its arrays apart."""
    if isinstance(value, np.ndarray):
        return _array(value, arrays)
    if dataclasses.is_dataclass(value):
        fields = {field.name: _tree(getattr(value, field.name), arrays) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, "fields": fields}
    if isinstance(value, tuple):
        return {"tuple": [_tree(entry, arrays) for entry in value]}
    if isinstance(value, Mapping):
        return {"map": [[key, _tree(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a network must be made of dataclasses, arrays, tuples and mappings, not {type(value).__name__}")


def _array(value: NDArray[Any], arrays: list[bytes]) -> Any:
    """Where the numbers of an array of integers are."""
    low, high = (int(value.min()), int(value.max())) if value.size else (0, 0)
    stored = next(kind for kind in _STORED if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    arrays.append(value.astype(stored).tobytes())
    return {"array": [value.dtype.str, stored.str, list(value.shape)]}


class _Reader:
    """Makes values of a tree, whose arrays follow one after the other."""

    def __init__(self, numbers: bytes) -> None:
        self.numbers = numbers
        self.position = 0

    def value(self, tree: Any) -> Any:
        """The value of a tree."""
        if not isinstance(tree, dict):
            return tree
        if "class" in tree:
            return _CLASSES[tree["class"]](**{name: self.value(entry) for name, entry in tree["fields"].items()})
        if "tuple" in tree:
            return tuple(self.value(entry) for entry in tree["tuple"])
        if "map" in tree:
            return {key: self.value(entry) for key, entry in tree["map"]}
        kind, stored, shape = tree["array"]
        count = int(np.prod(shape, dtype=np.int64))
        found = np.frombuffer(self.numbers, np.dtype(stored), count, self.position)
        self.position += found.nbytes
        return found.reshape(shape).astype(np.dtype(kind))
