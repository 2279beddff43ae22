"""The roundings of ONNX and QONNX as integer functions, and the constants that are proven equal to them.

**Exact rule.** A quantiser's quotient is taken as the exact fraction that the file's scales, weights and biases mean,
and rounded to the nearest integer, halves to the even one.  It is what QONNX and QuantizeLinear define, but for the
rounding of their 32-bit floats.

**Kernel rule.** What onnxruntime's int8 kernels compute (QLinearConv, QLinearMatMul, QGemm, and what it makes of QDQ
models): the integer accumulator and ``input scale * weight scale / output scale``, each rounded to 32-bit floats, are
multiplied, and the product, rounded again, goes to the nearest integer, halves to the even one.
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

__all__ = ["Clamp", "exact_rescale", "half_even", "kernel_multipliers", "kernel_rescale", "nearest_even"]


_FAR = 2.0**40
"""Beyond every clamp, and exact in every format."""


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


def exact_rescale(
    factors: Sequence[Fraction],
    offsets: Sequence[Fraction],
    span: tuple[Integers, Integers],
    bias: Integers,
    target: Clamp,
    name: str,
) -> Rescale:
    """Constants for the exact rule: ``rounded = half_even(factor * x + offset)``.

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
        If no constants equal the rule on every reachable accumulator.
    """
    pairs = [_common(factor, offset) for factor, offset in zip(factors, offsets, strict=True)]
    slope, constant, whole = (np.array(column, dtype=object)[:, None] for column in zip(*pairs, strict=True))
    minimum, maximum = (end.astype(object)[:, None] for end in span)
    wanted = np.arange(1, target.high + 1, dtype=np.int64).astype(object)[None, :] + (target.low - target.zero)
    # The first x whose quotient is at least wanted - 1/2, or above it where that half goes to the even number below.
    needed = (2 * wanted - 1) * whole - 2 * constant
    first = np.where(wanted % 2 == 0, -((-needed) // (2 * slope)), needed // (2 * slope) + 1)
    inside = np.minimum(np.maximum(np.concatenate([first - 1, first], axis=1), minimum), maximum)
    points: NDArray[Any] = np.concatenate([minimum, maximum, inside], axis=1)
    rounded = half_even(points * slope + constant, whole)
    outputs = np.minimum(np.maximum(rounded + (target.zero - target.low), 0), target.high).astype(np.int64)
    slopes = np.array([float(factor) for factor in factors])
    return rescale.find_rescale_at(
        points.astype(np.int64), outputs, slopes, bias, target.zero, target.low, target.high, name, ties=target.ties
    )


def kernel_multipliers(source: float, weights: NDArray[np.float32], target: float) -> NDArray[np.float32]:
    """Multipliers of the kernel rule from the scales, per channel."""
    return (np.float32(source) * weights.astype(np.float32)) / np.float32(target)


def kernel_rescale(
    multipliers: NDArray[np.float32], span: tuple[Integers, Integers], bias: Integers, target: Clamp, name: str
) -> Rescale:
    """Constants for the kernel rule; parameters and errors as in :func:`exact_rescale`."""
    column = multipliers.astype(np.float32)[:, None]

    def reference(accumulators: Integers) -> Integers:
        return np.clip(np.rint(accumulators.astype(np.float32) * column), -_FAR, _FAR).astype(np.int64)

    slopes = multipliers.astype(np.float64)
    return rescale.find_rescale(
        reference, *span, slopes, bias, target.zero, target.low, target.high, name, ties=target.ties
    )
