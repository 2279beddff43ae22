"""Common sub-expressions of filters with weights -1, 0 and 1: sums of two or three taps that several filters use.

After arXiv:2401.12630: the pair of taps, added or subtracted, that most filters have (up to the sign of the whole) is
computed once and takes the place of the two in these filters; then the next one, until no pair serves two filters.  A
pair may take a third tap, but not another pair, so that few sums exist at a time.  The signed digits of other weights
at one place are such a filter as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.graph import Integers

__all__ = ["Pair", "Shared", "Triple", "share"]

Uses = tuple[tuple[int, int], ...]
"""Filters that use a sum, each with the sign with which it does."""

_Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Triple:
    """A pair plus ``sign`` times a further tap."""

    tap: int
    sign: int
    uses: Uses


@dataclass(frozen=True)
class Pair:
    """Tap ``first`` plus ``sign`` times tap ``second``, and what is made of it."""

    first: int
    second: int
    sign: int
    uses: Uses
    triples: tuple[Triple, ...]

    def swapped(self) -> Pair:
        """The same with the taps the other way round: signs of what uses it change where the taps are subtracted."""
        if self.sign > 0:
            return Pair(self.second, self.first, 1, self.uses, self.triples)
        triples = tuple(Triple(triple.tap, -triple.sign, _negated(triple.uses)) for triple in self.triples)
        return Pair(self.second, self.first, -1, _negated(self.uses), triples)


@dataclass(frozen=True)
class Shared:
    """The filters over a set of taps: every filter is the sum of what it uses.

    Parameters
    ----------
    singles : taps that filters use as they are.
    pairs : sums of two taps.
    """

    singles: dict[int, Uses] = field(default_factory=dict[int, Uses])
    pairs: tuple[Pair, ...] = ()

    @property
    def additions(self) -> int:
        """Additions: one for each use, and one for each sum."""
        uses = sum(map(len, self.singles.values())) + sum(len(pair.uses) + 1 for pair in self.pairs)
        return uses + sum(len(triple.uses) + 1 for pair in self.pairs for triple in pair.triples)


def share(signs: Integers) -> Shared:
    """Find sums that filters share; ``signs`` of -1, 0, 1 is (filters, taps)."""
    return _Search(signs).run()


def _negated(uses: Uses) -> Uses:
    return tuple((filter_, -sign) for filter_, sign in uses)


class _Search:
    """The greedy search: terms are the taps, then the sums that were found."""

    def __init__(self, signs: Integers) -> None:
        filters, taps = signs.shape
        self.taps, self.count = taps, taps
        capacity = taps + int(np.count_nonzero(signs)) // 2 + 1
        self.signs: _Numbers = np.zeros((filters, capacity), np.float32)
        self.signs[:, :taps] = signs
        self.found: list[tuple[int, int, int]] = []
        # How many filters have a term (first axis) and a tap with equal signs, and with opposite ones; -1: no pair.
        self.counts: _Numbers = np.full((2, capacity, taps), -1, np.float32)
        for term in range(taps):
            self._recount(term)

    def run(self) -> Shared:
        """Search, and sort what was found."""
        while self.taps and self._step():
            pass
        uses: list[Uses] = [
            tuple((int(filter_), int(self.signs[filter_, term])) for filter_ in np.flatnonzero(self.signs[:, term]))
            for term in range(self.count)
        ]
        triples: dict[int, list[Triple]] = {}
        for number, (first, second, sign) in enumerate(self.found):
            if first >= self.taps:
                triples.setdefault(first, []).append(Triple(second, sign, uses[self.taps + number]))
        pairs = tuple(
            Pair(first, second, sign, uses[self.taps + number], tuple(triples.get(self.taps + number, ())))
            for number, (first, second, sign) in enumerate(self.found)
            if first < self.taps
        )
        return Shared({tap: uses[tap] for tap in range(self.taps) if uses[tap]}, pairs)

    def _step(self) -> bool:
        """Add the sum that most filters use; tell whether there was one for two filters."""
        count = self.count
        best = [int(np.argmax(counts[:count])) for counts in self.counts]
        most = [float(counts.flat[place]) for counts, place in zip(self.counts, best, strict=True)]
        if max(most) < 2:
            return False
        sign = 1 if most[0] >= most[1] else -1
        first, second = divmod(best[0] if sign > 0 else best[1], self.taps)
        users = self.signs[:, first] * self.signs[:, second] == sign
        self.signs[users, count] = self.signs[users, first]
        self.signs[users, first] = 0
        self.signs[users, second] = 0
        self.found.append((first, second, sign))
        self.count += 1
        for term in (first, second, count):
            self._recount(term)
        return True

    def _recount(self, term: int) -> None:
        """Count the filters that have a term together with taps; a tap also together with pairs, a triple with none."""
        if term >= self.taps and self.found[term - self.taps][0] >= self.taps:
            return
        mine, taps, count = self.signs[:, term], self.taps, self.count
        sums = mine @ self.signs[:, :count]
        together = np.abs(mine) @ np.abs(self.signs[:, :count])
        for counts, both in zip(self.counts, ((together + sums) / 2, (together - sums) / 2), strict=True):
            counts[term] = both[:taps]
            if term < taps:
                known = counts[:count, term]
                known[:] = np.where(known < 0, -1, both)
                known[:taps] = both[:taps]
                counts[term, term] = -1
