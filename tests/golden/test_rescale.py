from __future__ import annotations

import numpy as np
import pytest

from golden import rescale
from golden.graph import Integers, Rescale
from golden.operators import requantize


def _multiply_high(value: int, mantissa: int) -> int:
    """SaturatingRoundingDoublingHighMul as written: C division truncates, the nudge depends on the sign."""
    product = value * mantissa
    nudged = product + (1 << 30 if product >= 0 else 1 - (1 << 30))
    return abs(nudged) // (1 << 31) * (1 if nudged >= 0 else -1)


def _divide_by_power(value: int, exponent: int) -> int:
    """RoundingDivideByPOT as written: mask, remainder, threshold."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    return (value >> exponent) + (1 if (value & mask) > threshold else 0)


def _literal(value: int, mantissa: int, exponent: int) -> int:
    return _divide_by_power(_multiply_high(value << max(exponent, 0), mantissa), max(-exponent, 0))


@pytest.mark.parametrize("real", [1e-4, 0.0123, 0.25, 0.5, 0.75, 0.99999999999, 1.0, 1.5, 7.3])
def test_twice_rounded_is_the_literal_kernel(real: float) -> None:
    mantissa, exponent = rescale.quantize_multiplier(real)
    assert mantissa * 2.0 ** (exponent - 31) == pytest.approx(real, rel=2**-31)
    random = np.random.default_rng(1)
    values = np.concatenate([np.arange(-600, 600), random.integers(-(1 << 24), 1 << 24, 3000)])
    found = rescale.twice_rounded(values, np.array(mantissa, dtype=np.int64), np.array(exponent, dtype=np.int64))
    assert found.tolist() == [_literal(int(value), mantissa, exponent) for value in values]


def test_half_away_rounds_away_from_zero() -> None:
    values = np.arange(-10, 11, dtype=np.int64)
    # 10/4 = 2.5 rounds to 3, 6/4 = 1.5 to 2, 2/4 = 0.5 to 1, and the same for the negative ones
    expected = [-3, -2, -2, -2, -2, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert rescale.half_away(values, np.full_like(values, 4)).tolist() == expected


@pytest.mark.parametrize(
    ("low", "high", "width"), [(-1, 0, 1), (0, 1, 2), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (5, 5, 4)]
)
def test_accumulator_bits(low: int, high: int, width: int) -> None:
    assert rescale.accumulator_bits(low, high) == width


def _check_everywhere(
    found: Rescale, bias: Integers, minimum: Integers, maximum: Integers, expected: rescale.Reference
) -> None:
    """Compare the formula with the reference on every accumulator, not only on the critical points."""
    accumulators = np.arange(int(minimum.min()), int(maximum.max()) + 1, dtype=np.int64)
    table = expected(np.broadcast_to(accumulators, (minimum.size, accumulators.size)))
    for channel in range(minimum.size):
        inside = (accumulators >= minimum[channel]) & (accumulators <= maximum[channel])
        moved = accumulators[inside] + found.bias[channel] - bias[channel]
        entry = np.full(moved.shape, channel, dtype=np.int64)
        assert np.array_equal(requantize(moved, found, entry), table[channel, inside])
        for number in (moved[0], moved[-1]):
            assert -(1 << (found.accumulator_bits - 1)) <= number < 1 << (found.accumulator_bits - 1)
    assert found.multiplier.max() < 1 << found.multiplier_bits
    for addend in (found.positive, found.negative):
        assert addend.min() >= 0
        assert addend.max() < 1 << (found.multiplier_bits + 1)


@pytest.mark.parametrize("seed", range(12))
def test_constants_are_exact_on_every_reachable_accumulator(seed: int) -> None:
    random = np.random.default_rng(seed)
    channels = int(random.integers(1, 6))
    weights = random.integers(-40, 41, (channels, 6))
    bias = random.integers(-3000, 3000, channels)
    minimum, maximum = rescale.reachable(weights, bias, 255)
    slopes = np.exp(random.uniform(np.log(0.001), np.log(2.5), channels))
    pairs = np.array([rescale.quantize_multiplier(slope) for slope in slopes], dtype=np.int64)
    zero, ends = int(random.integers(0, 256)), np.sort(random.integers(0, 256, 2))
    low, high = int(ends[0]), int(ends[1] - ends[0])

    def rounding(values: Integers) -> Integers:
        return rescale.twice_rounded(values, pairs[:, :1], pairs[:, 1:])

    found = rescale.find_rescale(rounding, minimum, maximum, slopes, bias, zero, low, high)

    def expected(values: Integers) -> Integers:
        return np.clip(rounding(values) + zero, low, low + high)

    _check_everywhere(found, bias, minimum, maximum, expected)


@pytest.mark.parametrize("divisors", [[1], [2, 3, 4, 6, 9], [64]])
def test_average_pool_constants(divisors: list[int]) -> None:
    counts = np.array(divisors, dtype=np.int64)
    bias = -128 * counts

    def rounding(values: Integers) -> Integers:
        return rescale.half_away(values, counts[:, None])

    found = rescale.find_rescale(rounding, bias, bias + 255 * counts, 1.0 / counts, bias, 128, 0, 255)
    _check_everywhere(found, bias, bias, bias + 255 * counts, lambda values: rounding(values) + 128)


def test_shift_is_the_smallest() -> None:
    """Exhaustive search over all one-sided constants of a small problem finds none at a smaller shift."""
    slope = 0.0371
    mantissa, exponent = rescale.quantize_multiplier(slope)
    bias, limit = np.zeros(1, dtype=np.int64), np.array([400], dtype=np.int64)

    def rounding(values: Integers) -> Integers:
        return rescale.once_rounded(values, np.array(mantissa, dtype=np.int64), np.array(exponent, dtype=np.int64))

    found = rescale.find_rescale(rounding, bias, limit, np.array([slope]), bias, 0, 0, 15)
    assert not found.two_sided
    accumulators = np.arange(401, dtype=np.int64)
    expected = np.clip(rounding(accumulators), 0, 15)
    shift = found.shift - 1
    for multiplier in range(1 << (shift + 1)):
        for addend in range(-(1 << shift), 1 << shift):
            total = accumulators * multiplier + addend + (1 << shift >> 1)
            assert not np.array_equal(np.clip(total >> shift, 0, 15), expected)


def test_one_side_clamped_needs_one_constant() -> None:
    """Twice rounded, but every negative accumulator is clamped: the constant does not depend on the sign."""
    mantissa, exponent = rescale.quantize_multiplier(0.00473)
    minimum, maximum = np.array([-60000], dtype=np.int64), np.array([60000], dtype=np.int64)

    def rounding(values: Integers) -> Integers:
        return rescale.twice_rounded(values, np.array(mantissa, dtype=np.int64), np.array(exponent, dtype=np.int64))

    zeros, slopes = np.zeros(1, dtype=np.int64), np.array([0.00473])
    assert not rescale.find_rescale(rounding, minimum, maximum, slopes, zeros, 0, 0, 255).two_sided
    assert rescale.find_rescale(rounding, minimum, maximum, slopes, zeros, 128, 0, 255).two_sided


def test_no_constants_is_an_error() -> None:
    ends = np.array([-100], dtype=np.int64), np.array([100], dtype=np.int64)
    bias = np.zeros(1, dtype=np.int64)
    text = (
        r"^conv1: no requantisation constants with a shift of at most 62 equal the reference rounding "
        r"on accumulators -100\.\.100$"
    )
    with pytest.raises(rescale.NoExactRescaleError, match=text):
        rescale.find_rescale(lambda values: values**3 // 500, *ends, np.ones(1), bias, 128, 0, 255, "conv1")


def test_no_affine_form_is_an_error() -> None:
    text = r"^add1: no affine form with a shift of at most 40 equals the reference rounding for factors 1$"
    with pytest.raises(rescale.NoExactRescaleError, match=text):
        rescale.find_affine(lambda operands: operands[0] ** 2, (1.0,), (0,), 8, 0, 0, 255, "add1")


@pytest.mark.parametrize("hundredths", [(50, 50), (100, 100), (31, 77), (190, 5)])
def test_affine_form_is_exact_on_every_pair(hundredths: tuple[int, int]) -> None:
    zeros, zero = (3, 200), 90
    ratios = (hundredths[0] / 100, hundredths[1] / 100)

    def reference(operands: list[Integers]) -> Integers:
        total = np.zeros_like(operands[0])
        for factor, operand, at in zip(hundredths, operands, zeros, strict=True):
            total = total + factor * (operand - at)
        return rescale.half_away(total, np.full_like(total, 100))

    found = rescale.find_affine(reference, ratios, zeros, 8, zero, 10, 200)
    first, second = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    total = found.factors[0] * first + found.factors[1] * second
    addend = np.where(total + found.sign_addend < 0, found.addend_negative, found.addend_positive)
    stored = 10 + np.clip((total + addend) >> found.shift, 0, 200)
    assert np.array_equal(stored, np.clip(reference([first, second]) + zero, 10, 210))
    assert max(found.factors) < 1 << found.factor_bits
