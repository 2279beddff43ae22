"""Finds, and proves, the integer constants of requantisation.

A reference function (a TFLite kernel's rounding) takes an accumulator to a stored number and never decreases.  The
formula of :class:`~golden.graph.Rescale` is a floor of an affine function on either side of zero, so it never decreases
there.  Two functions that never decrease are equal on a range when they agree at its ends and on both sides of every
step of the reference.  The formula may decrease where it changes sides, between the accumulators 0 and 1, so these two
are ends as well.  Such *critical points* are about twice the number of output values, found by bisection, and each
turns into one linear condition on the multiplier m and the addend a:

    y * 2**t  <=  x * m + a + offset  <  (y + 1) * 2**t

without the left half where y is clamped at 0 and without the right half where it is clamped at its highest.

For a given shift t the room that is left for a, highest lower bound to lowest upper bound, is a concave function of m,
so bisection finds an m that leaves room whenever there is one.  The smallest shift with room in every channel is taken.

A reference that rounds halves to even numbers may have steps that no such floor has.  With ``ties``, a parity, a
quotient that is a whole number gives the number below it where its own parity is another one (:class:`Rescale`), so

    y * 2**t  <=  S  <=  (y + 1) * 2**t        where y has that parity, and
    y * 2**t  <   S  <   (y + 1) * 2**t        where it has not.

All numbers here are integers; nothing is accepted without the conditions above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.graph import Integers, Rescale
from golden.operators import clamp, floor_shift

MAXIMUM_SHIFT = 62
MAXIMUM_ELEMENTWISE_SHIFT = 40
# A constant that depends on the sign costs about as many cycles as one more bit of the multiplier.
_TWO_SIDED_BITS = 1
_EXACT_INTEGER_BITS = 61

Reference = Callable[[Integers], Integers]
_Numbers = NDArray[Any]
_Solver = Callable[[int, int], "_Candidate | None"]


class NoExactRescaleError(ValueError):
    """No constants make the requantisation formula equal to its reference function."""


# --- the roundings of the TFLite reference kernels ------------------------------------------------------------------


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A real multiplier as TFLite holds it: (mantissa below 2**31, exponent), real ~ mantissa * 2**(exponent - 31)."""
    if real == 0.0:
        return 0, 0
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(fraction * 2.0**31 + 0.5)
    if mantissa == 1 << 31:
        mantissa, exponent = mantissa >> 1, exponent + 1
    return (0, 0) if exponent < -31 else (mantissa, exponent)


def twice_rounded(values: Integers, mantissa: Integers, exponent: Integers) -> Integers:
    """TFLite's ``MultiplyByQuantizedMultiplier`` on 32-bit accumulators; the arrays broadcast.

    Rounds x * mantissa * 2**(left shift - 31) half up, then the division by 2**(right shift) half away from zero.
    """
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    high = (((values << left) * mantissa) + (1 << 30)) >> 31
    half = (np.array(1, dtype=np.int64) << right) >> 1
    negative = ((high < 0) & (right > 0)).astype(np.int64)
    return (high + half - negative) >> right


def once_rounded(values: Integers, mantissa: Integers, exponent: Integers) -> Integers:
    """x * mantissa * 2**(exponent - 31), rounded once, half away from zero; the arrays broadcast."""
    shift = 31 - exponent
    products = values * mantissa
    return (products + (np.array(1, dtype=np.int64) << (shift - 1)) - (products < 0)) >> shift


def half_away(values: Integers, divisor: Integers) -> Integers:
    """Division by a positive integer, rounded half away from zero; the arrays broadcast."""
    magnitude = (np.abs(values) + divisor // 2) // divisor
    return np.sign(values) * magnitude


# --- critical points ------------------------------------------------------------------------------------------------


def _critical_points(reference: Reference, minimum: Integers, maximum: Integers, high: int) -> Integers:
    """Ends of every channel's range, 0 and 1, both sides of every step of the reference, (channels, points), inside.

    ``reference`` takes (channels, n) accumulators to outputs in 0..high.
    """
    steps = np.broadcast_to(np.arange(1, high + 1, dtype=np.int64), (minimum.size, high))
    below: Integers = minimum[:, None] - 1 + np.zeros_like(steps)
    reached: Integers = maximum[:, None] + 1 + np.zeros_like(steps)
    while bool(np.any(reached - below > 1)):
        middle = (below + reached) >> 1
        inside = np.minimum(np.maximum(middle, minimum[:, None]), maximum[:, None])
        at_least = np.where(
            middle > maximum[:, None], True, (middle >= minimum[:, None]) & (reference(inside) >= steps)
        )
        open_interval = reached - below > 1
        reached = np.where(open_interval & at_least, middle, reached)
        below = np.where(open_interval & ~at_least, middle, below)
    zero = np.zeros_like(minimum)[:, None]
    columns = (minimum[:, None], maximum[:, None], zero, zero + 1, below, reached)
    inside = [np.minimum(np.maximum(column, minimum[:, None]), maximum[:, None]) for column in columns]
    return np.concatenate(inside, axis=1)


@dataclass(frozen=True)
class _Conditions:
    """The conditions of all channels: accumulators (channels, points), outputs there, and what is common."""

    points: Integers
    outputs: Integers
    high: int
    offset2: int
    ties: int | None = None

    def moved(self, outputs: Integers) -> NDArray[np.bool_]:
        """Whether a bound at ``output * 2**t`` moves up by 1, as the output there is the number below."""
        wrong: Integers = np.zeros_like(outputs) if self.ties is None else (outputs + self.ties) & 1
        return wrong == 1


@dataclass(frozen=True)
class _Candidate:
    """Constants of every channel at one shift; ``delta`` is added to the accumulator."""

    multiplier: Integers
    positive: Integers
    negative: Integers
    delta: Integers
    shift: int

    @property
    def multiplier_bits(self) -> int:
        """Bits of the multiplier such that the addends have at most one more."""
        addend = max(int(self.positive.max()), int(self.negative.max()))
        return max(1, int(self.multiplier.max()).bit_length(), addend.bit_length() - 1)


@dataclass(frozen=True)
class _Bounds:
    """Lower (or upper) bounds of the addend, ``y * 2**t - x * m``: per channel the few points that can be the tightest.

    ``points`` and ``outputs`` are (channels, count), a channel's last point repeated; ``present`` tells which channels
    have a bound at all.
    """

    points: Integers
    outputs: Integers
    present: NDArray[np.bool_]


def _tightest(points: Integers, outputs: Integers, member: NDArray[np.bool_], lower: bool) -> _Bounds:
    """Keep the vertices of the convex hull of the ``member`` points: above them for lower bounds, below for upper ones.

    A point under the chord of its neighbours is no vertex, whatever else is removed; so all of them go at once,
    repeatedly.
    """
    channel, column = np.nonzero(member)
    across, up = points[channel, column], outputs[channel, column] * (1 if lower else -1)
    order = np.lexsort((-up, across, channel))
    channel, across, up = channel[order], across[order], up[order]
    first = np.ones(channel.size, dtype=np.bool_)
    first[1:] = (channel[1:] != channel[:-1]) | (across[1:] != across[:-1])
    channel, across, up = channel[first], across[first], up[first]
    removed = True
    while removed:
        under = np.zeros(channel.size, dtype=np.bool_)
        rise = (up[1:-1] - up[:-2]) * (across[2:] - across[1:-1]) <= (up[2:] - up[1:-1]) * (across[1:-1] - across[:-2])
        under[1:-1] = rise & (channel[:-2] == channel[1:-1]) & (channel[1:-1] == channel[2:])
        removed = bool(under.any())
        channel, across, up = channel[~under], across[~under], up[~under]
    counts = np.bincount(channel, minlength=points.shape[0])
    starts = np.cumsum(counts) - counts
    table = starts[:, None] + np.minimum(
        np.arange(max(1, int(counts.max(initial=0)))), np.maximum(counts - 1, 0)[:, None]
    )
    table = np.minimum(table, max(0, channel.size - 1))
    if channel.size == 0:
        across, up = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    return _Bounds(across[table], up[table] * (1 if lower else -1), counts > 0)


class _Room:
    """The addends that one side of an accumulator's sign allows, as a function of multiplier and shift."""

    def __init__(self, conditions: _Conditions, points: Integers, member: NDArray[np.bool_], unsigned: bool) -> None:
        outputs = conditions.outputs

        def bounds(values: Integers, chosen: NDArray[np.bool_], lower: bool) -> list[tuple[int, _Bounds]]:
            moved = conditions.moved(values)
            sides = [(0, chosen & ~moved)] + ([] if conditions.ties is None else [(1, chosen & moved)])
            return [(move, _tightest(points, values, side, lower)) for move, side in sides]

        self._lower = bounds(outputs, member & (outputs > 0), True)
        self._upper = bounds(outputs + 1, member & (outputs < conditions.high), False)
        self._offset2 = conditions.offset2
        self._unsigned = unsigned
        self._point_bits = int(np.abs(points).max()).bit_length()
        self._fixed_bits = max(conditions.high.bit_length() + 1, conditions.offset2.bit_length())

    def __call__(self, multiplier: Integers, shift: int) -> tuple[_Numbers, _Numbers]:
        """Lowest and highest addend per channel; none when the lowest is above the highest."""
        product_bits = self._point_bits + int(multiplier.max()).bit_length()
        exact = max(self._fixed_bits + shift, product_bits) + 2 < _EXACT_INTEGER_BITS
        kind: Any = np.int64 if exact else object
        infinity: Any = 1 << (_EXACT_INTEGER_BITS if exact else 3 * _EXACT_INTEGER_BITS)
        column: _Numbers = multiplier.astype(kind)[:, None]
        offset: Any = self._offset2 << (shift - 1)

        def ends(sides: list[tuple[int, _Bounds]], none: int) -> list[_Numbers]:
            found: list[_Numbers] = []
            for move, bounds in sides:
                products: _Numbers = bounds.points.astype(kind) * column
                starts: _Numbers = bounds.outputs.astype(kind) * (1 << shift) - products - (offset - move)
                starts[~bounds.present] = none
                found.append(starts)
            return found

        lowest: _Numbers = np.array(np.concatenate(ends(self._lower, -infinity), axis=1).max(axis=1), dtype=kind)
        highest: _Numbers = (
            np.array(np.concatenate(ends(self._upper, infinity + 1), axis=1).min(axis=1), dtype=kind) - 1
        )
        if self._unsigned:
            lowest[lowest < 0] = 0
        return lowest, highest


def _smallest_multiplier(slack: Callable[[Integers], _Numbers], limit: int, channels: int) -> Integers | None:
    """The smallest multiplier >= 1 with slack >= 0 of every channel; None when a channel has none.

    ``slack`` is concave in the multiplier.
    """
    low = np.ones(channels, dtype=np.int64)
    top = np.full(channels, limit, dtype=np.int64)
    while bool(np.any(low < top)):
        middle = (low + top) >> 1
        rising = np.asarray(slack(middle + 1) > slack(middle), dtype=np.bool_) & (low < top)
        low = np.where(rising, middle + 1, low)
        top = np.where(rising, top, middle)
    best = low
    if not bool(np.all(np.asarray(slack(best) >= 0, dtype=np.bool_))):
        return None
    low = np.ones(channels, dtype=np.int64)
    top = best
    while bool(np.any(low < top)):
        middle = (low + top) >> 1
        fits = np.asarray(slack(middle) >= 0, dtype=np.bool_)
        top = np.where(fits, middle, top)
        low = np.where(fits, low, np.minimum(middle + 1, top))
    return top


def _nearest_zero(lowest: _Numbers, highest: _Numbers) -> _Numbers:
    return np.maximum(lowest, np.minimum(highest, 0))


def _one_sided(conditions: _Conditions) -> _Solver:
    everywhere = np.ones(conditions.points.shape, dtype=np.bool_)
    room = _Room(conditions, conditions.points, everywhere, unsigned=False)

    def solve(limit: int, shift: int) -> _Candidate | None:
        def slack(multiplier: Integers) -> _Numbers:
            lowest, highest = room(multiplier, shift)
            return highest - lowest

        multiplier = _smallest_multiplier(slack, limit, conditions.points.shape[0])
        if multiplier is None:
            return None
        total = _nearest_zero(*room(multiplier, shift))
        delta = (total // multiplier).astype(np.int64)
        addend = (total - delta * multiplier).astype(np.int64)
        return _Candidate(multiplier, addend, addend, delta, shift)

    return solve


def _two_sided(conditions: _Conditions) -> _Solver:
    delta = -1  # lifts both addends by one multiplier, which makes the one of the negative side unsigned
    points = conditions.points + delta
    rooms = [_Room(conditions, points, side, unsigned=True) for side in (points >= 0, points < 0)]

    def solve(limit: int, shift: int) -> _Candidate | None:
        def slack(multiplier: Integers) -> _Numbers:
            bounds = [room(multiplier, shift) for room in rooms]
            return np.minimum(bounds[0][1] - bounds[0][0], bounds[1][1] - bounds[1][0])

        multiplier = _smallest_multiplier(slack, limit, points.shape[0])
        if multiplier is None:
            return None
        positive, negative = (_nearest_zero(*room(multiplier, shift)).astype(np.int64) for room in rooms)
        return _Candidate(multiplier, positive, negative, np.full_like(multiplier, delta), shift)

    return solve


def _smallest_shift(solve: _Solver, steepest: float) -> _Candidate | None:
    """Bisection over the shift: constants at shift t, doubled, serve at t + 1, so what fits once fits ever after."""

    def at(shift: int) -> _Candidate | None:
        return solve(min(int(2.0 * steepest * 2.0**shift) + 2, 1 << 62), shift)

    low, top, best = 1, MAXIMUM_SHIFT, None
    for shift in (8, 16, 24, 32, 40, 48, MAXIMUM_SHIFT):
        best = at(shift)
        if best is not None:
            top = shift
            break
        low = shift + 1
    while best is not None and low < top:
        middle = (low + top) // 2
        found = at(middle)
        if found is None:
            low = middle + 1
        else:
            top, best = middle, found
    return best


def _smallest(conditions: _Conditions, steepest: float) -> _Candidate | None:
    """The cheaper one of the candidates with one addend and with two; None where there is neither."""
    one, two = (_smallest_shift(prepare(conditions), steepest) for prepare in (_one_sided, _two_sided))
    if one is None or two is None:
        return one or two
    return one if one.multiplier_bits <= two.multiplier_bits + _TWO_SIDED_BITS else two


# --- the finder -----------------------------------------------------------------------------------------------------


def accumulator_bits(minimum: int, maximum: int) -> int:
    """The smallest two's complement width that holds both numbers."""
    return (
        max((~minimum if minimum < 0 else minimum).bit_length(), (~maximum if maximum < 0 else maximum).bit_length())
        + 1
    )


def find_rescale(
    reference: Reference,
    minimum: Integers,
    maximum: Integers,
    slopes: NDArray[np.float64],
    bias: Integers,
    zero: int,
    low: int,
    high: int,
    name: str = "layer",
    ties: int | None = None,
) -> Rescale:
    """The smallest constants with which the formula equals ``reference`` on every reachable accumulator.

    Parameters
    ----------
    reference : takes (channels, n) accumulators to outputs, before the clamp, relative to stored number ``zero``; must
    not
        decrease.
    minimum, maximum : reachable accumulators per channel, with ``bias`` included.
    slopes : per channel, about how much the output grows with the accumulator; bounds the search only.
    bias : per channel, what is added to the layer's sum of u * weight to give the reference's accumulator.
    zero : stored number that the reference's 0 becomes.
    low, high : the clamp ``low <= u <= low + high``.
    name : the layer's name for the error text.
    ties : parity of the output, less ``low``, that halves are rounded to, for constants that need it.

    Raises :class:`NoExactRescaleError` when no constants are found up to a shift of 62.
    """

    def clamped(accumulators: Integers) -> Integers:
        return clamp(reference(accumulators) + (zero - low), 0, high)

    points = _critical_points(clamped, minimum, maximum, high)
    return find_rescale_at(points, clamped(points), slopes, bias, zero, low, high, name, ties)


def find_rescale_at(
    points: Integers,
    outputs: Integers,
    slopes: NDArray[np.float64],
    bias: Integers,
    zero: int,
    low: int,
    high: int,
    name: str = "layer",
    ties: int | None = None,
) -> Rescale:
    """The smallest constants with which the formula equals given outputs at given accumulators.

    Parameters
    ----------
    points : accumulators, (channels, points); each channel's ends, both sides of every step, and the last of at most 0
        with the first of at least 1, prove all between.
    outputs : outputs there, 0..``high``.
    slopes, bias, zero, low, high, name, ties : as in :func:`find_rescale`.

    Raises :class:`NoExactRescaleError` when no constants are found up to a shift of 62.
    """
    minimum, maximum = points.min(axis=1), points.max(axis=1)
    steepest = max(float(np.max(slopes)), 2.0**-MAXIMUM_SHIFT)
    conditions = _Conditions(points, outputs, high, 2 * (zero - low) + 1)
    best = _smallest(conditions, steepest)
    if best is None and ties is not None:
        conditions = replace(conditions, ties=ties)
        best = _smallest(conditions, steepest)
    if best is None:
        raise NoExactRescaleError(
            f"{name}: no requantisation constants with a shift of at most {MAXIMUM_SHIFT} equal the reference rounding "
            f"on accumulators {int(minimum.min())}..{int(maximum.max())}"
        )
    found = Rescale(
        multiplier=best.multiplier,
        positive=best.positive,
        negative=best.negative,
        shift=best.shift,
        offset2=conditions.offset2,
        low=low,
        high=high,
        bias=bias + best.delta,
        accumulator_bits=accumulator_bits(int((minimum + best.delta).min()), int((maximum + best.delta).max())),
        multiplier_bits=best.multiplier_bits,
        ties=conditions.ties,
    )
    _prove(found, conditions, best.delta, name)
    return found


def _prove(rescale: Rescale, conditions: _Conditions, delta: Integers, name: str) -> None:
    """Evaluate the formula at every critical point and compare, with Python's own integers."""
    points: _Numbers = (conditions.points + delta[:, None]).astype(object)
    addend: _Numbers = np.where(points < 0, rescale.negative[:, None], rescale.positive[:, None]).astype(object)
    total = points * rescale.multiplier.astype(object)[:, None] + addend + (rescale.offset2 << (rescale.shift - 1))
    outputs: _Numbers = np.minimum(np.maximum(floor_shift(total, rescale.shift, rescale.ties), 0), rescale.high)
    if bool(np.any(outputs != conditions.outputs)):
        raise NoExactRescaleError(f"{name}: the requantisation constants that were found fail their proof")


def reachable(weights: Integers, bias: Integers, largest: int) -> tuple[Integers, Integers]:
    """Smallest and largest accumulator per output channel for inputs 0..``largest``; weights are (channels, ...)."""
    flat = np.reshape(weights, (weights.shape[0], -1))
    return bias + largest * np.minimum(flat, 0).sum(axis=1), bias + largest * np.maximum(flat, 0).sum(axis=1)


# --- elementwise ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """Constants of :class:`~golden.graph.Elementwise`, as named there."""

    factors: tuple[int, ...]
    factor_bits: int
    sign_addend: int
    addend_positive: int
    addend_negative: int
    shift: int


def _addend_bounds(total: Integers, outputs: Integers, high: int, shift: int) -> tuple[int, int]:
    """Lowest and highest addend that takes every total to its output; (1, 0) or the like when there is none."""
    infinity = 1 << 62
    starts = (outputs << shift) - total
    lowest = int(np.where(outputs > 0, starts, -infinity).max(initial=-infinity))
    highest = int(np.where(outputs < high, starts + ((1 << shift) - 1), infinity).min(initial=infinity))
    return lowest, highest


def _affine_at(
    operands: list[Integers],
    outputs: Integers,
    zeros: list[int],
    factors: tuple[int, ...],
    high: int,
    shift: int,
    two: bool,
) -> Affine | None:
    total = np.zeros_like(outputs)
    for factor, operand in zip(factors, operands, strict=True):
        total = total + factor * operand
    sign_addend = -sum(factor * zero for factor, zero in zip(factors, zeros, strict=True))
    negative = total + sign_addend < 0
    sides = (~negative, negative) if two else (np.ones_like(negative),) * 2
    addends: list[int] = []
    for side in sides:
        lowest, highest = _addend_bounds(total[side], outputs[side], high, shift)
        if lowest > highest:
            return None
        addends.append(max(lowest, min(highest, (1 << shift) // 2)))
    return Affine(factors, max(1, max(factors).bit_length()), sign_addend, addends[0], addends[1], shift)


def find_affine(
    reference: Callable[[list[Integers]], Integers],
    ratios: tuple[float, ...],
    zeros: tuple[int, ...],
    bits: int,
    zero: int,
    low: int,
    high: int,
    name: str = "layer",
) -> Affine:
    """The smallest constants with which an elementwise layer equals ``reference`` on every combination of operands.

    Parameters
    ----------
    reference : takes the operands (stored numbers, equal shapes) to outputs, before the clamp, relative to ``zero``.
    ratios : per operand, its scale over the output's.
    zeros : per operand, the stored number that means 0.
    bits : width of the operands; all 2**(bits * operands) combinations are compared.
    zero, low, high : as in :func:`find_rescale`.

    Raises :class:`NoExactRescaleError` when no constants are found up to a shift of 40.
    """
    axis = np.arange(1 << bits, dtype=np.int64)
    operands = [np.reshape(grid, -1) for grid in np.meshgrid(*([axis] * len(ratios)), indexing="ij")]
    outputs = clamp(reference(operands) + (zero - low), 0, high)
    probe = np.random.default_rng(1).permutation(outputs.size)[: 1 << 11]
    few = [operand[probe] for operand in operands]
    nudges = sorted(product(range(-2, 3), repeat=len(ratios)), key=lambda steps: sum(abs(step) for step in steps))

    def at(shift: int, two: bool) -> Affine | None:
        for nudge in nudges:
            factors = tuple(max(0, round(ratio * 2.0**shift) + step) for ratio, step in zip(ratios, nudge, strict=True))
            if _affine_at(few, outputs[probe], list(zeros), factors, high, shift, two) is None:
                continue
            found = _affine_at(operands, outputs, list(zeros), factors, high, shift, two)
            if found is not None:
                return found
        return None

    one: Affine | None = None
    two: Affine | None = None
    for shift in range(MAXIMUM_ELEMENTWISE_SHIFT + 1):
        one = at(shift, False)
        if one is not None:
            return one
        two = two or at(shift, True)
        if two is not None and shift >= two.shift + _TWO_SIDED_BITS:
            return two
    raise NoExactRescaleError(
        f"{name}: no affine form with a shift of at most {MAXIMUM_ELEMENTWISE_SHIFT} equals the reference rounding "
        f"for factors {', '.join(f'{ratio:.6g}' for ratio in ratios)}"
    )
