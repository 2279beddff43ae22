"""Cuts the jobs of a layer into parts that take about as long as each other."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

__all__ = ["parts"]


def parts(cycles: Sequence[int], count: int) -> list[range]:
    """Cut jobs into at most *count* parts of neighbours, none of them empty, whose cycles differ little.

    Parameters
    ----------
    cycles : of each job, positive.
    count : at least 1.

    Returns the numbers of the jobs of each part; one empty part where there are no jobs.
    """
    if not cycles:
        return [range(0)]
    ends = list(itertools.accumulate(cycles, initial=0))
    cuts = {0, len(cycles)}
    for number in range(1, count):
        wanted = ends[-1] * number / count
        place = bisect.bisect_left(ends, wanted)
        cuts.add(min(place - 1, place, key=lambda cut: abs(ends[cut] - wanted)))
    return [range(first, end) for first, end in itertools.pairwise(sorted(cuts))]
