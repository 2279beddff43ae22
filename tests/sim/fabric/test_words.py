"""Words in digits: dot products of all pairs of digits make up that of the words, with as few pairs as possible."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

from golden.graph import Integers
from sim.fabric.words import Digit, DigitSum, WordSplit, split_words
from sim.mapping.errors import MappingError

COLUMNS = (2, 3, 4, 5, 8, 16)
"""Columns for a pair of digits."""


def value(digit: Digit, word: Integers) -> Integers:
    """What a digit of words stands for."""
    bits = word >> digit.first & ((1 << digit.bits) - 1)
    return np.where(digit.signed & (bits >> digit.bits - 1 == 1), bits - (1 << digit.bits), bits)


def words(bits: int, *, signed: bool) -> Integers:
    """All words of a width."""
    return np.arange(1 << bits) - (signed << bits - 1)


def product(split: WordSplit, activation: Integers, weight: Integers) -> Integers:
    """The products of words by those of their digits."""
    total = np.zeros(np.broadcast_shapes(activation.shape, weight.shape), np.int64)
    for digits in split.sums:
        for a, w in digits.pairs:
            assert a.first + w.first == digits.place
            total += value(a, activation) * value(w, weight) << digits.place
    return total


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("columns", COLUMNS)
def test_digits_reconstruct_every_product(columns: int, signed: bool) -> None:
    for a_bits, w_bits in itertools.product(range(1, 6), repeat=2):
        split = split_words(a_bits, w_bits, columns, 1, "x", weight_signed=signed)
        a, w = words(a_bits, signed=False), words(w_bits, signed=signed)[:, None]
        assert np.array_equal(product(split, a, w), a * w)


@pytest.mark.parametrize("columns", COLUMNS)
def test_digits_reconstruct_products_of_wide_words(columns: int) -> None:
    rng = np.random.default_rng(columns)
    for a_bits, w_bits in itertools.product((7, 8, 9, 13, 16), repeat=2):
        split = split_words(a_bits, w_bits, columns, 1, "x")
        a, w = (
            np.concatenate([every[[0, -1]], rng.choice(every, 50)])
            for every in (words(a_bits, signed=False), words(w_bits, signed=True))
        )
        assert np.array_equal(product(split, a, w), a * w)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("columns", [4, 7, 16, 24])
def test_there_are_as_few_pairs_and_sums_as_can_be(columns: int, copies: int) -> None:
    for a_bits, w_bits in itertools.product(range(1, 17), repeat=2):
        split = split_words(a_bits, w_bits, columns, copies, "x")
        assert sum(digit.bits for digit in split.activation) == a_bits
        assert sum(digit.bits for digit in split.weight) == w_bits
        assert not any(digit.signed for digit in split.activation)
        assert [digit.signed for digit in split.weight] == [False] * (len(split.weight) - 1) + [True]
        assert all(copies * (a.bits + w.bits) <= columns for digits in split.sums for a, w in digits.pairs)
        fewest = min(
            math.ceil(a_bits / a) * math.ceil(w_bits / w)
            for a, w in itertools.product(range(1, a_bits + 1), range(1, w_bits + 1))
            if copies * (a + w) <= columns
        )
        pairs = [pair for digits in split.sums for pair in digits.pairs]
        assert len(pairs) == len(set(pairs)) == fewest == len(split.activation) * len(split.weight)
        assert split.whole == (fewest == 1) == (copies * (a_bits + w_bits) <= columns)
        places = [digits.place for digits in split.sums]
        assert places == sorted(set(places))


def test_sums_fit_their_width_and_no_narrower_one() -> None:
    """The most that any pairs of digits can add up to, and the least, against the width that is promised."""
    for a_bits, w_bits, reduction in itertools.product((1, 3, 8, 16), (1, 2, 8, 16), (1, 2, 75, 4608)):
        for digits in split_words(a_bits, w_bits, 16, 1, "x").sums:
            low = high = 0
            for a, w in digits.pairs:
                top, sign = reduction * ((1 << a.bits) - 1), int(w.signed)
                low -= top * (sign << w.bits - 1)
                high += top * ((1 << w.bits - sign) - 1)
            bits = digits.bits(reduction)
            assert -(1 << bits - 1) <= low <= high < 1 << bits - 1
            assert digits.signed == (low < 0)
            needed = max(low.bit_length() if low >= 0 else (~low).bit_length(), high.bit_length()) + 1
            assert needed <= bits <= needed + 3


def test_words_are_named_where_they_are_cut() -> None:
    names = {
        (8, 8): "",
        (16, 8): "activations in 2 digits of up to 8 bits",
        (9, 16): "weights in 3 digits of up to 6 bits",
    }
    assert {bits: str(split_words(*bits, 16, 1, "x")) for bits in names} == names
    both = "activations in 2 digits of up to 8 bits, weights in 2 digits of up to 8 bits"
    assert str(split_words(16, 16, 16, 1, "x")) == both
    low, high = Digit(0, 8, False), Digit(8, 8, True)
    assert split_words(8, 16, 16, 1, "x").sums == (
        DigitSum(0, ((Digit(0, 8, False), low),)),
        DigitSum(8, ((Digit(0, 8, False), high),)),
    )


def test_single_bits_that_do_not_fit_are_refused() -> None:
    text = "layer 'conv1' needs columns of at least 4, the tile has 3"
    with pytest.raises(MappingError, match=f"^{re.escape(text)}$"):
        split_words(8, 8, 3, 2, "conv1")
