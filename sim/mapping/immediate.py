"""Requantisation of one output channel by immediate constants: all rows hold sums of the same channel.

A sum that cannot show in the output any more is limited first, to the first number that saturates on either side.  The
lower of the two becomes 0 by the choice of the bias, so that RELU limits there, and the multiplication is one of
unsigned numbers: the multiplier's signed digits, lowest first, each an addition into a product that grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from golden.graph import Rescale
from hw.isa import CompareKind, Opcode
from sim.mapping.builder import Builder
from sim.mapping.digits import signed_digits
from sim.mapping.running_sum import RunningSum, Value, columns_for

__all__ = ["MAXIMUM_SUM", "Immediate", "emit_limit", "emit_product"]

MAXIMUM_SUM = 35
"""Bits of a sum that immediate constants, of 36 bits with their sign, can limit."""

_START_BITS = 33  # of a constant that a product starts from


@dataclass(frozen=True)
class Immediate:
    """The constants of one channel of a :class:`~golden.graph.Rescale`, for sums (without bias) of a range.

    Parameters
    ----------
    multiplier, positive, negative, shift, offset2, low, high : as there, of the channel.
    model_bias : its bias.
    least, greatest : range of the sum without bias.
    bits : width of the output's stored numbers.
    """

    multiplier: int
    positive: int
    negative: int
    shift: int
    offset2: int
    low: int
    high: int
    model_bias: int
    least: int
    greatest: int
    bits: int

    @classmethod
    def of(cls, rescale: Rescale, channel: int, least: int, greatest: int, bits: int) -> Immediate:
        """The constants of a channel."""
        return cls(
            int(rescale.multiplier[channel]),
            int(rescale.positive[channel]),
            int(rescale.negative[channel]),
            rescale.shift,
            rescale.offset2,
            rescale.low,
            rescale.high,
            int(rescale.bias[channel]),
            least,
            greatest,
            bits,
        )

    def _addend(self, x: int) -> int:
        return (self.negative if x < 0 else self.positive) + (self.offset2 << (self.shift - 1))

    def step(self, x: int) -> int:
        """The output for the accumulator x (bias included) before the clamp."""
        return (x * self.multiplier + self._addend(x)) >> self.shift

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Range of the accumulator, bias included."""
        return self.least + self.model_bias, self.greatest + self.model_bias

    @cached_property
    def ends(self) -> tuple[int, int]:
        """Range that the accumulator is limited to: greatest number that gives 0, and least that gives ``high``.

        All numbers beyond an end give the same output as the end; where there are none, it is the end of the reach.
        """
        low, high = self.reach
        # Outputs never decrease on either side of 0; so a side saturates as a whole or beyond one number.
        below, above = (low, min(high, -1)), (max(low, 0), high)
        bottom = low
        for first, last in (below, above):
            if first > last:
                continue
            if self.step(first) > 0:
                break
            bottom = _last(first, last, lambda x: self.step(x) <= 0)
            if bottom < last:
                break
        top = high
        for first, last in (above, below):
            if first > last:
                continue
            if self.step(last) < self.high:
                break
            top = -_last(-last, -first, lambda x: self.step(-x) >= self.high)
            if top > first:
                break
        return bottom, top

    @cached_property
    def outputs(self) -> tuple[int, int]:
        """Least and greatest output before the clamp, of accumulators within :attr:`ends`."""
        low, high = self.ends
        steps = [self.step(x) for x in (low, high, -1, 0) if low <= x <= high]
        return min(steps), max(steps)

    @property
    def constant(self) -> int | None:
        """The stored number where all sums give the same; else None."""
        outputs = self.outputs if self.ends[0] < self.ends[1] else (self.step(self.ends[0]),)
        stored = {self.low + min(max(output, 0), self.high) for output in outputs}
        return stored.pop() if len(stored) == 1 else None

    @property
    def bias(self) -> int:
        """What is added to the sum: the lower one of :attr:`ends` becomes 0."""
        return self.model_bias - self.ends[0]

    @property
    def sum_columns(self) -> int:
        """Columns of the sum, bias included."""
        return columns_for(self.least + self.bias, self.greatest + self.bias)

    @property
    def largest(self) -> int:
        """The greatest factor: the range of the accumulator within :attr:`ends`."""
        return self.ends[1] - self.ends[0]

    @property
    def two_sided(self) -> bool:
        """Whether the addend depends on the accumulator's sign, within :attr:`ends`."""
        return self.ends[0] < 0 <= self.ends[1] and self.positive != self.negative

    @property
    def whole(self) -> bool:
        """Whether the output needs no clamp any more, so that ``low`` can be added before the shift."""
        return self.outputs[0] >= 0 and self.outputs[1] <= self.high

    def addend(self, x: int) -> int:
        """What is added to the product for an accumulator of the sign of x."""
        return self._addend(x) + self.multiplier * self.ends[0] + (self.low << self.shift if self.whole else 0)

    @property
    def product_columns(self) -> int:
        """Columns of the product, with room for the stored number."""
        low, high = self.outputs
        lowest = min(0, low << self.shift)
        highest = ((high + 1) << self.shift) - 1 + (self.low << self.shift if self.whole else 0)
        signed = not self.whole  # RELU looks at the sign
        needed = columns_for(min(lowest, -1), highest) if signed else columns_for(lowest, highest)
        return max(needed, self.shift + self.bits)

    @property
    def columns(self) -> int:
        """Columns of the product, and of the flag of a two-sided addend."""
        return self.product_columns + int(self.two_sided)


def _last(first: int, last: int, holds: Callable[[int], bool]) -> int:
    """The last number of first..last for which something holds, where it holds for ``first`` and, once not, no more."""
    while first < last:
        middle = (first + last + 1) >> 1
        if holds(middle):
            first = middle
        else:
            last = middle - 1
    return first


def emit_limit(builder: Builder, immediate: Immediate, total: RunningSum) -> None:
    """Limit a sum, with its bias, to 0..largest, unsigned."""
    greatest = immediate.greatest + immediate.bias
    if immediate.least + immediate.bias < 0:
        builder.emit(Opcode.RELU, b=total.column, b_width=total.width)
    if greatest > immediate.largest:
        builder.emit(Opcode.MINC, b=total.column, b_width=greatest.bit_length(), constant=immediate.largest)


def emit_product(builder: Builder, immediate: Immediate, total: RunningSum, column: int) -> int:
    """Turn a limited sum into a stored number; returns its first column.

    ``column`` is the first of :attr:`Immediate.columns` free columns, which no outstanding port operation uses.
    """
    low, high = immediate.ends
    largest = immediate.largest
    digits = signed_digits(immediate.multiplier)
    factor = Value(total.column, largest.bit_length(), ((0, 1),))
    width, scratch = immediate.product_columns, total.scratch
    product = RunningSum(builder, column, width, scratch, largest)
    places = min(_START_BITS, digits[0][0] + factor.width if digits else _START_BITS)
    if immediate.two_sided:
        flag = column + width
        builder.emit(
            Opcode.CMPC,
            kind=CompareKind.GE,
            b=factor.column,
            b_width=factor.width,
            d=flag,
            d_width=1,
            constant=-low,
        )
        rest = min(immediate.addend(-1), immediate.addend(0)) >> places
        product.start_by(flag, *(immediate.addend(x) - (rest << places) for x in (-1, 0)))
    else:
        addend = immediate.addend(high)
        rest = addend >> places
        product.start(addend - (rest << places))
    for place, sign in digits:
        product.add(factor, sign, place)
    product.add_constant(rest << places)
    stored = column + immediate.shift
    if immediate.whole:
        product.widen(immediate.shift + immediate.bits)
    else:
        product.widen(width)
        builder.clamp(stored, width - immediate.shift, immediate.low, immediate.high, immediate.bits, scratch)
    return stored
