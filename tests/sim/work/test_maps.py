"""Packed maps: the same numbers and bits, in as few bytes as they need."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from sim.mapping.bits import to_bits
from sim.work.maps import pack_bits, pack_numbers


@pytest.mark.parametrize(("bits", "size"), [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 4), (33, 8)])
def test_packed_maps(bits: int, size: int) -> None:
    numbers = np.random.default_rng(bits).integers(0, 1 << bits, (5, 3, 7))
    one = pack_numbers(numbers, bits)
    other = pack_bits(to_bits(numbers, bits))
    assert one.numbers.dtype == other.numbers.dtype == np.dtype(f"<u{size}")
    assert np.array_equal(one.numbers, numbers)
    assert np.array_equal(other.numbers, numbers)
    assert np.array_equal(one.symbols, to_bits(numbers, bits))
    assert len(pickle.dumps(one)) < numbers.size * size + 500


def test_maps_without_elements() -> None:
    assert pack_numbers(np.zeros((0, 4, 4), np.int64), 5).symbols.shape == (0, 4, 4, 5)
    assert pack_bits(np.zeros((0, 4, 4, 5), np.uint8)).numbers.shape == (0, 4, 4)
