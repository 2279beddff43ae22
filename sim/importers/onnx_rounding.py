"""The roundings of ONNX and QONNX as integer functions, and the constants that are proven equal to them.

A quantiser's quotient is rounded to the nearest integer, halves to the even one.  Here the quotient is an exact
fraction of the integer accumulator:

- **QONNX**, and ONNX operators between QuantizeLinear nodes: what scales, weights and biases of the file mean.
- **Kernels**: operators on integers, and convolutions and fully connected layers of QDQ models, which onnxruntime turns
  into such operators.  Its kernels compute ``input scale * weight scale / output scale`` in 32-bit floats; that number
  is the factor here as well.

Both runtimes round the quotient itself to a 32-bit float before they round it to an integer.  This changes nothing
where scales are powers of two, and else for the few accumulators (:func:`kernel_differences`) whose quotient lies
within 2**-24 of its size from a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import rescale
from golden.graph import Integers, Rescale
from golden.operators import clamp

__all__ = ["Clamp", "exact_rescale", "half_even", "kernel_differences", "kernel_multipliers", "nearest_even"]


_EXACT_INTEGER_BITS = 62


@dataclass(frozen=True)
class Clamp:
    """Where rounded numbers go: ``u = min(max(rounded + zero, low), low + high)``."""

    zero: int
    low: int
    high: int

    @property
    def ties(self) -> int:
        """Parity of ``u - low`` where the rounded number is even."""
        return (self.zero - self.low) & 1


def nearest_even(value: Fraction) -> int:
    """The nearest integer, halves to the even one."""
    return round(value)


def half_even(numerators: NDArray[Any], denominators: NDArray[Any]) -> NDArray[Any]:
    """Quotients of integers rounded to the nearest, halves to the even one; denominators are positive."""
    doubled = 2 * denominators
    shifted = 2 * numerators + denominators
    quotients: NDArray[Any] = shifted // doubled
    return quotients - ((shifted - quotients * doubled == 0) & (quotients % 2 == 1))


def _common(value: Fraction, offset: Fraction) -> tuple[int, int, int]:
    """(n, b, d) with value * x + offset = (n * x + b) / d."""
    denominator = value.denominator * offset.denominator
    return value.numerator * offset.denominator, offset.numerator * value.denominator, denominator


def _kind(fractions: list[tuple[int, int, int]], span: tuple[Integers, Integers], steps: Integers) -> Any:
    """The data type that holds every number of the search: 64-bit integers where they do."""
    slope, constant, whole = (max(abs(number) for number in column) for column in zip(*fractions, strict=True))
    reach = max(int(np.abs(end).max()) for end in span) + 1
    largest = 2 * (reach * slope + constant + whole * (int(np.abs(steps).max(initial=0)) + 1))
    return np.int64 if largest.bit_length() < _EXACT_INTEGER_BITS else object


def exact_rescale(
    factors: Sequence[Fraction],
    offsets: Sequence[Fraction],
    span: tuple[Integers, Integers],
    bias: Integers,
    target: Clamp,
    name: str,
) -> Rescale:
    """Constants for ``rounded = half_even(factor * x + offset)``.

    Parameters
    ----------
    factors, offsets : per channel, in steps of the output; factors are positive.
    span : smallest and largest accumulator x per channel.
    bias : per channel, what is added to the layer's sum to give x.
    target : where the rounded number goes.
    name : of the layer, for error texts.

    Raises
    ------
    NoExactRescaleError
        If no constants equal that on every reachable accumulator.
    """
    fractions = [_common(factor, offset) for factor, offset in zip(factors, offsets, strict=True)]
    steps = np.arange(1, target.high + 1, dtype=np.int64)[None, :] + (target.low - target.zero)
    kind = _kind(fractions, span, steps)
    slope, constant, whole = (np.array(column, dtype=kind)[:, None] for column in zip(*fractions, strict=True))
    minimum, maximum = (end.astype(kind)[:, None] for end in span)
    wanted = steps.astype(kind)
    # The first x whose quotient is at least wanted - 1/2, or above it where that half goes to the even number below.
    needed = (2 * wanted - 1) * whole - 2 * constant
    first = np.where(wanted % 2 == 0, -((-needed) // (2 * slope)), needed // (2 * slope) + 1)
    sign = np.array([[0, 1]], dtype=kind) + 0 * minimum  # between them the formula may change sides
    inside = np.minimum(np.maximum(np.concatenate([first - 1, first, sign], axis=1), minimum), maximum)
    points: NDArray[Any] = np.concatenate([minimum, maximum, inside], axis=1)
    rounded = half_even(points * slope + constant, whole)
    outputs = np.minimum(np.maximum(rounded + (target.zero - target.low), 0), target.high).astype(np.int64)
    slopes = np.array([float(factor) for factor in factors])
    return rescale.find_rescale_at(
        points.astype(np.int64), outputs, slopes, bias, target.zero, target.low, target.high, name, ties=target.ties
    )


def kernel_multipliers(source: float, weights: NDArray[np.float32], target: float) -> NDArray[np.float32]:
    """What onnxruntime's kernels multiply accumulators by, per channel."""
    return (np.float32(source) * weights.astype(np.float32)) / np.float32(target)


def kernel_differences(multipliers: NDArray[np.float32], span: tuple[Integers, Integers], target: Clamp) -> int:
    """For how many reachable accumulators of all channels onnxruntime's kernels give another number.

    Parameters
    ----------
    multipliers : of the kernels, per channel.
    span, target : as in :func:`exact_rescale`.
    """
    different = 0
    for multiplier, minimum, maximum in zip(multipliers, *span, strict=True):
        real = Fraction(float(multiplier))
        near = int(Fraction(abs(target.low - target.zero) + target.high + 1, 1 << 23) / real) + 2
        wanted = np.arange(1, target.high + 1).astype(object) + (target.low - target.zero)
        halves = (2 * wanted - 1) * real.denominator // (2 * real.numerator)
        points = np.unique(halves[:, None] + np.arange(-near, near + 1).astype(object)[None, :]).astype(np.int64)
        points = points[(points >= minimum) & (points <= maximum)]
        exact = half_even(points.astype(object) * real.numerator, np.array(real.denominator, dtype=object))
        floats = np.rint(points.astype(np.float32) * multiplier).astype(np.int64)
        stored = [
            clamp(rounded.astype(np.int64) + (target.zero - target.low), 0, target.high) for rounded in (exact, floats)
        ]
        different += int(np.count_nonzero(stored[0] != stored[1]))
    return different
