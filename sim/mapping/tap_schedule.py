"""Schedules of loaded taps: which tap is where when, what is made of it, and which sums it is added to.

A schedule is a list of steps over *slots* of columns.  A slot is loaded as early as the steps that use it before allow,
so the port works while earlier taps are added.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hw.isa import Opcode
from sim.mapping.builder import Builder
from sim.mapping.running_sum import RunningSum, Value
from sim.mapping.sharing import Pair, Shared, Uses

__all__ = ["Duplicate", "Load", "Make", "Slots", "Step", "Use", "emit_steps", "plain_steps", "shared_steps"]


@dataclass(frozen=True)
class Load:
    """Bring a tap to a slot."""

    column: int
    tap: int


@dataclass(frozen=True)
class Use:
    """Add ``sign * 2**place`` times a value to a sum."""

    value: Value
    sum: int
    sign: int
    place: int


@dataclass(frozen=True)
class Make:
    """Turn ``before`` into ``after`` in its slot, by adding ``sign`` times ``operand``."""

    before: Value
    operand: Value
    sign: int
    after: Value


@dataclass(frozen=True)
class Duplicate:
    """Copy a value to another slot."""

    value: Value
    column: int


Step = Load | Use | Make | Duplicate
Digits = Sequence[tuple[int, int, int]]
"""What uses a tap: (sum, sign, place)."""


@dataclass(frozen=True)
class Slots:
    """Columns for taps, and wider ones for what is made of them.

    Parameters
    ----------
    taps : first columns of slots for a tap.
    sums : first columns of slots for a sum of taps.
    bits : width of a tap.
    """

    taps: tuple[int, ...]
    sums: tuple[int, ...]
    bits: int


def plain_steps(uses: Sequence[tuple[int, Digits]], slots: Slots) -> Iterator[Step]:
    """Every tap in turn, with all that uses it."""
    for number, (tap, digits) in enumerate(uses):
        value = Value(slots.taps[number % len(slots.taps)], slots.bits, ((tap, 1),))
        yield Load(value.column, tap)
        for total, sign, place in digits:
            yield Use(value, total, sign, place)


def shared_steps(
    shared: Shared, taps: Sequence[int], filters: Sequence[tuple[int, int]], slots: Slots
) -> Iterator[Step]:
    """What filters share, each sum from its taps, and what they do not.

    ``taps`` names the taps of ``shared``, ``filters`` the (sum, place) that its filters are added to.  Needs two slots
    for sums and three for taps.
    """
    return _SharedSchedule(shared, taps, filters, slots).steps()


def combined(before: Value, operand: Value, sign: int, largest: int) -> Value:
    """What adding (``sign`` 1) or subtracting a tap makes of a value in its slot.

    A difference that could be negative is raised by the next power of two, so it takes one more column.
    """
    terms = (*before.terms, *((tap, sign * factor) for tap, factor in operand.terms))
    (low, high), (_, greatest) = before.range(largest), operand.range(largest)
    if sign > 0:
        width = max(before.width, (high + greatest).bit_length())
        return Value(before.column, width, terms, before.offset + operand.offset)
    negative = low < greatest
    offset = before.offset - operand.offset + (negative << before.width)
    return Value(before.column, before.width + negative, terms, offset)


class _SharedSchedule:
    """Taps with many pairs first: such a *hub* stays while others are loaded and become pairs with it."""

    def __init__(self, shared: Shared, taps: Sequence[int], filters: Sequence[tuple[int, int]], slots: Slots) -> None:
        self.shared, self.names, self.filters, self.slots = shared, taps, filters, slots
        self.singles = dict(shared.singles)
        self.free_taps, self.free_sums = deque(slots.taps), deque(slots.sums)
        self.largest = (1 << slots.bits) - 1

    def steps(self) -> Iterator[Step]:
        """All steps."""
        for hub, pairs in _hubs(self.shared.pairs):
            value = self._tap(hub, self.free_taps)
            yield from self._arrive(hub, value)
            for pair in pairs:
                yield from self._pair(pair, value)
            self.free_taps.append(value.column)
        for tap in sorted(self.singles):
            value = self._tap(tap, self.free_taps)
            yield from self._arrive(tap, value)
            self.free_taps.append(value.column)

    def _tap(self, tap: int, free: deque[int]) -> Value:
        return Value(free.popleft(), self.slots.bits, ((self.names[tap], 1),))

    def _arrive(self, tap: int, value: Value) -> Iterator[Step]:
        """Load a tap, and add it where it is used as it is."""
        yield Load(value.column, self.names[tap])
        yield from self._uses(value, self.singles.pop(tap, ()))

    def _uses(self, value: Value, uses: Uses) -> Iterator[Use]:
        return (Use(value, self.filters[filter_][0], sign, self.filters[filter_][1]) for filter_, sign in uses)

    def _pair(self, pair: Pair, hub: Value) -> Iterator[Step]:
        first = self._tap(pair.first, self.free_sums)
        yield from self._arrive(pair.first, first)
        made = combined(first, hub, pair.sign, self.largest)
        yield Make(first, hub, pair.sign, made)
        yield from self._uses(made, pair.uses)
        for number, triple in enumerate(pair.triples):
            base = made
            if number < len(pair.triples) - 1:
                base = Value(self.free_sums.popleft(), made.width, made.terms, made.offset)
                yield Duplicate(made, base.column)
            operand = self._tap(triple.tap, self.free_taps)
            yield from self._arrive(triple.tap, operand)
            after = combined(base, operand, triple.sign, self.largest)
            yield Make(base, operand, triple.sign, after)
            self.free_taps.append(operand.column)
            yield from self._uses(after, triple.uses)
            if base is not made:
                self.free_sums.append(base.column)
        self.free_sums.append(made.column)


def _hubs(pairs: Sequence[Pair]) -> Iterator[tuple[int, list[Pair]]]:
    """Pairs by the tap that most of those that are left have; it is the second tap of each."""
    left = list(pairs)
    while left:
        degrees: dict[int, int] = {}
        for pair in left:
            for tap in (pair.first, pair.second):
                degrees[tap] = degrees.get(tap, 0) + 1
        hub = max(degrees, key=lambda tap: (degrees[tap], -tap))
        yield hub, [pair if pair.second == hub else pair.swapped() for pair in left if hub in (pair.first, pair.second)]
        left = [pair for pair in left if hub not in (pair.first, pair.second)]


def emit_steps(
    builder: Builder, steps: Sequence[Step], sums: Sequence[RunningSum], load: Callable[[int, int], int], ahead: int
) -> int:
    """Write a schedule; returns how many sums of taps it makes.

    ``load`` issues the LOADs of a (tap, column) and returns their last ticket; at most ``ahead`` taps are loaded that
    no step has needed yet.
    """
    loads = [(index, step) for index, step in enumerate(steps) if isinstance(step, Load)]
    free: list[int] = []
    touched: dict[int, int] = {}
    for index, step in enumerate(steps):
        if isinstance(step, Load):
            free.append(touched.get(step.column, -1) + 1)
        for column in _columns(step):
            touched[column] = index
    tickets: dict[int, int] = {}
    issued = arrived = made = 0
    for index, step in enumerate(steps):
        while issued < len(loads) and free[issued] <= index and (loads[issued][0] <= index or issued - arrived < ahead):
            wanted = loads[issued][1]
            tickets[wanted.column] = load(wanted.tap, wanted.column)
            issued += 1
        if isinstance(step, Load):
            arrived += 1
            continue
        for column in _columns(step):
            if column in tickets:
                builder.sync(tickets.pop(column))
        if isinstance(step, Use):
            sums[step.sum].add(step.value, step.sign, step.place)
        elif isinstance(step, Make):
            made += 1
            _emit_make(builder, step, sums[0].scratch)
        else:
            source = step.value
            builder.emit(Opcode.COPY, a=source.column, a_width=source.width, d=step.column, d_width=source.width)
    return made


def _columns(step: Step) -> tuple[int, ...]:
    """The slots that a step touches."""
    if isinstance(step, Load):
        return (step.column,)
    if isinstance(step, Use):
        return (step.value.column,)
    if isinstance(step, Make):
        return (step.before.column, step.operand.column)
    return (step.value.column, step.column)


def _emit_make(builder: Builder, step: Make, scratch: int) -> None:
    before = step.before
    grows = step.after.width > before.width
    carry = before.column + before.width if grows else scratch
    builder.emit(
        Opcode.ADD if step.sign > 0 else Opcode.SUB,
        a=step.operand.column,
        a_width=step.operand.width,
        b=before.column,
        b_width=before.width,
        d=carry,
        d_width=1,
    )
    if grows and step.sign < 0:  # 2**width - borrow * 2**width is the column without borrow
        builder.emit(Opcode.NOT, a=carry, a_width=1, d=carry, d_width=1)
