"""Lists on the command line: ``lr,ir``, ``1-8,16``, ``0.6,0.8``; each entry counts once, in the order given."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from sim.options import MAXIMUM_BITS, one_of

__all__ = ["choices", "names", "positive_number", "positive_numbers", "setting", "whole_numbers", "widths"]

RANGE = re.compile(r"(\d+)-(\d+)")

Entry = TypeVar("Entry")


def names(text: str) -> tuple[str, ...]:
    """Take names, parted by commas."""
    entries = [entry.strip() for entry in text.split(",")]
    if "" in entries:
        raise argparse.ArgumentTypeError(f"must be a list parted by commas without empty entries, not {text!r}")
    return _unique(entries)


def choices(*known: str) -> Callable[[str], tuple[str, ...]]:
    """Return a type for argparse that takes a list of *known* names."""
    take_one = one_of(*known)
    return lambda text: tuple(map(take_one, names(text)))


def widths(text: str) -> tuple[str, ...]:
    """Take widths: numbers, ranges of them, names of tables and files. A range becomes its numbers."""
    return _unique(
        part
        for entry in names(text)
        for part in (_numbers(entry, 1, MAXIMUM_BITS) if RANGE.fullmatch(entry) else [entry])
    )


def whole_numbers(minimum: int, maximum: int) -> Callable[[str], tuple[int, ...]]:
    """Return a type for argparse that takes integers from *minimum* to *maximum*, and ranges of them."""
    return lambda text: _unique(int(part) for entry in names(text) for part in _numbers(entry, minimum, maximum))


def positive_number(text: str) -> float:
    """Take a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def positive_numbers(text: str) -> tuple[float, ...]:
    """Take numbers above 0."""
    return _unique(map(positive_number, names(text)))


def setting(text: str) -> tuple[str, tuple[float, ...]]:
    """Take a name and the values that it is to have: ``NAME=V,V``, numbers from 0 on."""
    name, equals, values = text.partition("=")
    try:
        found = tuple(map(float, names(values)))
    except (ValueError, argparse.ArgumentTypeError):
        found = ()
    if not (name and equals and found):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE with one or more numbers, not {text!r}")
    return name, _unique(found)


def _numbers(entry: str, minimum: int, maximum: int) -> list[str]:
    """The numbers of ``7`` or ``1-8``, which must be rising and within the limits."""
    found = RANGE.fullmatch(entry)
    ends = found.groups() if found else (entry, entry)
    if not all(end.isdecimal() for end in ends) or not minimum <= int(ends[0]) <= int(ends[1]) <= maximum:
        raise argparse.ArgumentTypeError(
            f"must be numbers and rising ranges from {minimum} to {maximum}, such as 2,4-8; not {entry!r}"
        )
    return [str(number) for number in range(int(ends[0]), int(ends[1]) + 1)]


def _unique(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(dict.fromkeys(entries))
