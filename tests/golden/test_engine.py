"""The engine protocol: planes of many LOADs in one array of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from golden.engine import PackedPlanes

SHAPES = np.array([(3, 8), (1, 13), (2, 64), (4, 1)], np.int64)


def test_packed_planes_are_the_planes() -> None:
    random = np.random.default_rng(4)
    planes = [random.integers(0, 2, shape).astype(np.uint8) for shape in SHAPES]
    packed = np.concatenate([np.packbits(one, axis=1, bitorder="little").reshape(-1) for one in planes])
    found = PackedPlanes(packed, SHAPES)
    assert len(found) == 4
    for one, wanted in zip(found, planes, strict=True):
        assert np.array_equal(one, wanted)
    assert np.array_equal(found[-2], planes[-2])
    assert [one.shape for one in found[1:3]] == [(1, 13), (2, 64)]
    with pytest.raises(IndexError):
        found[4]


def test_no_planes() -> None:
    assert list(PackedPlanes(np.zeros(0, np.uint8), np.zeros((0, 2), np.int64))) == []


@pytest.mark.parametrize("size", [24, 26])
def test_bytes_that_are_missing_or_too_many(size: int) -> None:
    with pytest.raises(ValueError, match=f"planes must have 25 bytes in all, not {size}"):
        PackedPlanes(np.zeros(size, np.uint8), SHAPES)
