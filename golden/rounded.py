"""Finds, and proves, the exact form of an ADD whose operands no affine form covers.

TFLite's ADD scales each operand to a common step and rounds it there, adds, and scales and rounds the sum.  With scales
in a simple ratio many pairs of operands lie exactly between two outputs, and the operands' rounding decides.  The form
of :class:`~golden.graph.RoundedSum` keeps that rounding: one operand is a shift (its scale is the larger one, which is
the common step), the other has as many values as it has stored numbers, and the sum goes through the formula of
:class:`~golden.graph.Rescale`.  Both parts are found by :func:`~golden.rescale.find_rescale_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golden.graph import Integers, Rescale, RoundedSum
from golden.operators import clamp
from golden.rescale import NoExactRescaleError, find_rescale_at


@dataclass(frozen=True)
class RoundedForm:
    """Constants of :class:`~golden.graph.Elementwise`, as named there."""

    rounded: RoundedSum
    sign_addend: int
    addend_positive: int
    addend_negative: int
    shift: int


def _power(steps: Integers) -> int | None:
    """j where neighbouring numbers differ by 2**j everywhere; None where they do not."""
    step = int(steps[1] - steps[0])
    return step.bit_length() - 1 if step > 0 and step & (step - 1) == 0 and np.all(np.diff(steps) == step) else None


def _offset(found: Rescale) -> int:
    return found.offset2 << (found.shift - 1)


def find_rounded(
    steps: tuple[Integers, Integers],
    reference: Callable[[Integers], Integers],
    slope: float,
    zeros: tuple[int, int],
    zero: int,
    low: int,
    high: int,
    name: str = "layer",
) -> RoundedForm:
    """Constants with which an ADD equals ``reference(steps[0][u0] + steps[1][u1])`` for every pair of operands.

    Parameters
    ----------
    steps : per operand, the rounded number that each of its stored numbers becomes; must not decrease, and the ones of
        one operand must grow by a power of two.
    reference : takes sums to outputs, before the clamp, relative to ``zero``; must not decrease.
    slope : about how much the output grows with the sum.
    zeros : per operand, the stored number that means 0.
    zero, low, high : as in :func:`~golden.rescale.find_rescale`.

    Raises :class:`~golden.rescale.NoExactRescaleError` when no operand is a shift or no constants are found.
    """
    powers = [_power(numbers) for numbers in steps]
    exact = next((index for index, power in enumerate(powers) if power is not None), None)
    raised = None if exact is None else powers[exact]
    if exact is None or raised is None:
        raise NoExactRescaleError(f"{name}: neither operand's scale is the step in which the operands are added")
    operand = 1 - exact
    scaled = steps[operand]
    lowest = int(scaled[0])
    points = np.arange(scaled.size, dtype=np.int64) - zeros[operand]
    span = int(scaled[-1]) - lowest
    none = np.zeros(1, dtype=np.int64)
    slopes = np.array([max(1, span) / (scaled.size - 1)])
    inner = find_rescale_at(points[None], scaled[None] - lowest, slopes, none, -lowest, 0, span, name)
    sums = np.unique(steps[0][:, None] + steps[1][None, :])
    outputs = clamp(reference(sums) + (zero - low), 0, high)
    (before,) = np.nonzero(np.diff(outputs))
    sign = int(np.searchsorted(sums, 1))
    ends = np.concatenate(([0, sums.size - 1, max(0, sign - 1), min(sign, sums.size - 1)], before, before + 1))
    outer = find_rescale_at(sums[ends][None], outputs[ends][None], np.array([slope]), none, zero, low, high, name)
    # The numbers above are signed, relative to the zeros; the tile's are the stored ones.
    factor, multiplier = int(inner.multiplier[0]), int(outer.multiplier[0])
    threshold = zeros[operand] - int(inner.bias[0])
    moved = _offset(inner) - factor * threshold
    above, below = moved + int(inner.positive[0]), moved + int(inner.negative[0])
    if threshold <= 0:
        below = above
    if threshold >= scaled.size:
        above = below
    rounded = RoundedSum(
        operand=operand,
        factor=factor,
        factor_bits=factor.bit_length(),
        addend=above,
        addend_below=below,
        threshold=min(max(threshold, 0), scaled.size),
        shift=inner.shift,
        raised=raised,
        multiplier=multiplier,
        multiplier_bits=multiplier.bit_length(),
    )
    sign = multiplier * (int(outer.bias[0]) + lowest + int(steps[exact][0]))
    base = sign + _offset(outer)
    positive, negative = base + int(outer.positive[0]), base + int(outer.negative[0])
    form = RoundedForm(rounded, sign, positive, negative, outer.shift)
    if not _within_limits(form):
        raise NoExactRescaleError(f"{name}: the constants that were found are wider than 32 bits")
    return form


def _within_limits(form: RoundedForm) -> bool:
    rounded = form.rounded
    largest = max(abs(form.sign_addend), abs(form.addend_positive), abs(form.addend_negative))
    return max(rounded.factor_bits, rounded.multiplier_bits) <= 32 and largest.bit_length() < 63
