"""Sums of known multiples of unknown numbers, each addition as wide as the range of the sum so far makes it.

What is known of a sum: its constant part, the factor of every unknown number, and so its exact range.  A sum that
cannot be negative is held unsigned, with nothing in the columns above; the carry of an addition then goes to the next
column, and the borrow of a subtraction is the sign.  Else it is two's complement, and its sign is copied upwards when
it grows.  Sums are exact modulo 2**columns: ranges on the way may be greater than that of the final sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hw.isa import ConstantKind, Opcode
from sim.mapping.builder import Builder
from sim.mapping.shapes import signed_bits

__all__ = ["RunningSum", "Value", "columns_for"]


@dataclass(frozen=True)
class Value:
    """An unsigned number in columns that is added to sums.

    Parameters
    ----------
    column, width : where it lies.
    terms : (unknown number, factor) of what it holds.
    offset : constant part of what it holds.
    """

    column: int
    width: int
    terms: tuple[tuple[int, int], ...]
    offset: int = 0

    def range(self, largest: int) -> tuple[int, int]:
        """Least and greatest number that it can hold when the unknown ones are 0..``largest``."""
        low = sum(min(factor, 0) for _, factor in self.terms)
        high = sum(max(factor, 0) for _, factor in self.terms)
        return self.offset + low * largest, self.offset + high * largest


def columns_for(low: int, high: int) -> int:
    """Columns that a number of the range takes: two's complement when it can be negative, else unsigned (0 for 0)."""
    return high.bit_length() if low >= 0 else signed_bits(low, high)


class RunningSum:
    """A sum in columns; begins as 0 without a column in use.

    Parameters
    ----------
    builder : of the job.
    column, columns : the first column, and how many of them the sum may use; it is exact modulo 2**columns.
    scratch : a column for carries.
    largest : the unknown numbers are 0..largest.

    Attributes
    ----------
    constant : the constant part.
    low, high : the range.
    width : columns from the first that hold the sum, unsigned or two's complement (as :func:`columns_for` of the range,
        but at most ``columns``).
    additions : ADDs and SUBs, and what stands for the first one.
    """

    def __init__(self, builder: Builder, column: int, columns: int, scratch: int, largest: int) -> None:
        """Begin with 0."""
        self.builder, self.column, self.columns = builder, column, columns
        self.scratch, self.largest = scratch, largest
        self.constant = self.low = self.high = self.width = self.additions = 0
        self._factors: dict[int, int] = {}

    def start(self, constant: int) -> None:
        """Set the sum, still 0, to a constant."""
        self.constant = self.low = self.high = constant
        self.width = min(self.columns, columns_for(constant, constant))
        self.builder.fill(self.column, self.width, constant)

    def start_by(self, flag: int, clear: int, is_set: int) -> None:
        """Set the sum, still 0, to ``is_set`` where column ``flag`` is 1, else to ``clear``; neither is negative."""
        self.low, self.high = min(clear, is_set), max(clear, is_set)
        self.width = min(self.columns, self.high.bit_length())
        self.builder.fill(self.column, self.width, clear)
        if self.width:
            fields: dict[str, Any] = {"d": self.column, "d_width": self.width, "constant": is_set}
            self.builder.emit(Opcode.FILL, **fields, predicated=True, p=flag)

    def add(self, value: Value, sign: int, place: int) -> None:
        """Add ``sign * 2**place`` times a value; ``sign`` is 1 or -1."""
        self.additions += 1
        unsigned, empty = self.low >= 0, self.low == self.high == 0
        self._count(value, sign, place)
        if place >= self.columns:
            self._count_only(unsigned)
            return
        top = place + value.width
        if empty and top <= self.columns:
            self._begin(value, sign, place)
            return
        bits = max(place + 1, min(self.columns, columns_for(self.low, self.high)))
        # An unsigned sum that gets a bit above all others gets it as carry or borrow.
        grows = unsigned and bits > max(self.width, top) and (sign > 0) == (self.low >= 0)
        end = bits - 1 if grows else bits
        self._extend(end, unsigned)
        self.builder.emit(
            Opcode.ADD if sign > 0 else Opcode.SUB,
            a=value.column,
            a_width=min(value.width, end - place),
            b=self.column + place,
            b_width=end - place,
            d=self.column + end if grows else self.scratch,
            d_width=1,
        )
        self.width = bits

    def add_constant(self, constant: int) -> None:
        """Add a constant; its lowest zero bits take no time."""
        if not constant:
            return
        unsigned = self.low >= 0
        self.constant += constant
        self.low += constant
        self.high += constant
        place = (constant & -constant).bit_length() - 1
        if place >= self.columns:
            self._count_only(unsigned)
            return
        bits = max(place + 1, min(self.columns, columns_for(self.low, self.high)))
        self._extend(bits, unsigned)
        known = constant >> place
        self.builder.add_constant(
            self.column + place, bits - place, known, signed_bits(known), self.scratch, kind=ConstantKind.SPARSE
        )
        self.width = bits

    def widen(self, width: int) -> None:
        """Hold the sum in at least ``width`` columns."""
        self._extend(width, self.low >= 0)
        self.width = max(self.width, width)

    def _count(self, value: Value, sign: int, place: int) -> None:
        """Follow the range."""
        factors, largest = self._factors, self.largest
        for number, factor in value.terms:
            before = factors.get(number, 0)
            after = before + (sign * factor << place)
            factors[number] = after
            self.low += (min(after, 0) - min(before, 0)) * largest
            self.high += (max(after, 0) - max(before, 0)) * largest
        offset = sign * value.offset << place
        self.constant += offset
        self.low += offset
        self.high += offset

    def _count_only(self, unsigned: bool) -> None:
        """After a multiple of 2**columns only the range is another one; ``unsigned``: the sum was held so."""
        width = min(self.columns, columns_for(self.low, self.high))
        self._extend(width, unsigned)
        self.width = width

    def _begin(self, value: Value, sign: int, place: int) -> None:
        """The first value: a copy, or a negated copy whose sign is that it is not 0."""
        self.builder.fill(self.column, place)
        top = place + value.width
        fields = {"a": value.column, "a_width": value.width, "d": self.column + place, "d_width": value.width}
        if sign > 0:
            self.builder.emit(Opcode.COPY, **fields)
        else:
            self.builder.emit(Opcode.NEG, **fields, p=self.column + top if top < self.columns else self.scratch)
        self.width = min(self.columns, columns_for(self.low, self.high))

    def _extend(self, width: int, unsigned: bool) -> None:
        """Continue the sum upwards to ``width`` columns: by zeros, or by its sign."""
        if unsigned:
            self.builder.fill(self.column + self.width, width - self.width)
            return
        top = self.column + self.width
        for column in range(top, self.column + width):
            self.builder.emit(Opcode.COPY, a=top - 1, a_width=1, d=column, d_width=1)
