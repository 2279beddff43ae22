"""Parts of layers: all jobs once, in order, and of about equal cycles."""

from __future__ import annotations

import numpy as np
import pytest

from sim.work.parts import parts


@pytest.mark.parametrize(
    ("cycles", "count", "expected"),
    [
        ([], 4, [(0, 0)]),
        ([7], 4, [(0, 1)]),
        ([5, 5, 5, 5], 1, [(0, 4)]),
        ([5, 5, 5, 5], 2, [(0, 2), (2, 4)]),
        ([9, 1, 1, 1], 2, [(0, 1), (1, 4)]),
        ([1, 1, 1, 9], 2, [(0, 3), (3, 4)]),
        ([1, 98, 1], 3, [(0, 1), (1, 2), (2, 3)]),
        ([1, 1], 8, [(0, 1), (1, 2)]),
    ],
)
def test_parts(cycles: list[int], count: int, expected: list[tuple[int, int]]) -> None:
    assert [(part.start, part.stop) for part in parts(cycles, count)] == expected


@pytest.mark.parametrize("seed", range(20))
def test_parts_differ_by_a_job_at_most(seed: int) -> None:
    random = np.random.default_rng(seed)
    cycles = random.integers(1, 100, random.integers(1, 60)).tolist()
    count = int(random.integers(1, 9))
    found = parts(cycles, count)
    assert [job for part in found for job in part] == list(range(len(cycles)))
    assert all(found)
    assert len(found) <= count
    # An end is as near as any to where it should be.
    assert max(sum(cycles[job] for job in part) for part in found) <= sum(cycles) / count + max(cycles)
