"""Convolutions, depthwise convolutions and fully connected layers in mode ``constant``.

Weights are not stored: they are the instruction stream.  A row is an output pixel, and holds the sums of several output
channels.  The taps of a window are loaded one after the other, and each is added to or subtracted from these sums, once
for every signed digit of its weight in the channel; zeros cost nothing.  Then every sum is requantised by immediate
constants.  What several channels, or several places of a channel, add or subtract together is summed once
(:mod:`~sim.mapping.sharing`); with weights -1, 0 and 1 that saves most.

Columns: one for carries, slots for taps, then the sums.  Products of the requantisation lie below the sum that is
requantised, where taps and earlier sums have been used up.

The order of the additions is free.  A sweep over the taps may be cut into several, low places first: a sum is narrow
then when its low places are added, but every sweep loads the taps again.  What takes the fewest cycles by the laws for
the first channels is done for all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden.graph import Conv, Integers
from golden.laws import run_law
from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import LoadKind, Owner
from sim.mapping.bits import Alphabet, Symbols, flat_map
from sim.mapping.builder import Builder, JobPlan, Source, equal_parts, row_pieces
from sim.mapping.digits import signed_digits
from sim.mapping.elementwise import OperandLoad, operand_planes
from sim.mapping.errors import MappingError
from sim.mapping.feeder import Feeder
from sim.mapping.geometry import window_elements, window_positions
from sim.mapping.immediate import MAXIMUM_SUM, Immediate, emit_limit, emit_product
from sim.mapping.running_sum import RunningSum
from sim.mapping.shapes import ConvShape
from sim.mapping.sharing import share
from sim.mapping.tap_schedule import Slots, Step, emit_steps, plain_steps, shared_steps

__all__ = ["ConstantFeeder", "ConstantWork", "additions", "check_constant", "constant_plan"]

MAXIMUM_FIELD = 64
_CARRY = 0  # column
_FIRST = 1  # column of the slots
_TAP_SLOTS = 4  # more bring nothing: the port is busy all the time
_SHARED_TAPS = 3
_SHARED_SUMS = 2
_SHARED_CHUNK = 300  # taps among which shared sums are searched: more are better, and take longer to search
_SWEEPS = (1, 2, 3, 4)


@dataclass(frozen=True)
class ConstantWork:
    """What a job computes: some output channels of a run of output pixels.

    Parameters
    ----------
    first, count, blocks : pixels (row-major), and the row blocks that they take.
    channels : output channels.
    additions : additions and subtractions of taps and of sums of taps.
    additions_unshared : those that it would be without shared sums: signed digits of the weights that are not 0.
    """

    first: int
    count: int
    blocks: int
    channels: tuple[int, ...]
    additions: int
    additions_unshared: int


@dataclass(frozen=True)
class _Order:
    """How the additions are ordered.

    Parameters
    ----------
    sweeps : over the taps, each for a run of places.
    shared : whether sums of taps are shared.
    """

    sweeps: int
    shared: bool


@dataclass(frozen=True)
class _Group:
    """Channels whose sums are in the tile at the same time, and first columns of the sums."""

    channels: tuple[int, ...]
    columns: tuple[int, ...]
    slots: Slots


def constant_plan(shape: ConvShape, config: TileConfig, layer: Conv) -> tuple[JobPlan, ...]:
    """The jobs of a layer in mode ``constant``; their ``work`` is :class:`ConstantWork`.

    Raises
    ------
    MappingError
        If the tile has too few columns, or a sum or product is wider than an instruction can name.
    """
    return _Layer(shape, config, layer).jobs()


def check_constant(shape: ConvShape, config: TileConfig, layer: Conv) -> None:
    """Refuse a layer that does not fit a tile, without making jobs.

    Raises
    ------
    MappingError
        As :func:`constant_plan`.
    """
    _Layer(shape, config, layer).check()


def additions(jobs: Sequence[JobPlan]) -> tuple[int, int]:
    """Additions of all jobs of a plan, and those that it would be without shared sums."""
    works: list[ConstantWork] = [job.work for job in jobs]
    return sum(work.additions for work in works), sum(work.additions_unshared for work in works)


class _Layer:
    """A layer on a tile."""

    def __init__(self, shape: ConvShape, config: TileConfig, layer: Conv) -> None:
        self.shape, self.config, self.layer = shape, config, layer
        self.bits = shape.activation_bits[0]
        self.largest = (1 << self.bits) - 1
        self.weights = np.reshape(layer.weights, (layer.weights.shape[0], -1))
        self.taps = [self._channel_taps(channel) for channel in range(len(self.weights))]
        least = np.minimum(self.weights, 0).sum(axis=1) * self.largest
        greatest = np.maximum(self.weights, 0).sum(axis=1) * self.largest
        self.immediates = [
            Immediate.of(layer.rescale, channel, int(least[channel]), int(greatest[channel]), shape.output_bits)
            for channel in range(len(self.weights))
        ]

    def _channel_taps(self, channel: int) -> Integers:
        """Tap of every weight of a channel: window element * input channels + input channel."""
        inputs = self.shape.input_size[2]
        taps = np.arange(self.weights.shape[1], dtype=np.int64)
        return taps * inputs + channel // self.shape.depth_multiplier if self.shape.depthwise else taps

    # --- columns ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse what does not fit."""
        name, config = self.shape.name, self.config
        if self.layer.rescale.ties is not None:
            raise MappingError(
                f"layer {name!r} rounds halves to even numbers, which mode constant cannot; another mode would do"
            )
        live = [immediate for immediate in self.immediates if immediate.constant is None]
        widest = max((immediate.sum_columns for immediate in live), default=0)
        if widest > MAXIMUM_SUM:
            raise MappingError(
                f"layer {name!r} needs sums of {widest} bits, immediate constants can limit at most {MAXIMUM_SUM}"
            )
        product = max((immediate.product_columns for immediate in live), default=0)
        if product > MAXIMUM_FIELD:
            raise MappingError(
                f"layer {name!r} needs products of {product} bits, an instruction can name at most {MAXIMUM_FIELD}"
            )
        slots = self._slots(1, 0)
        needed = max(self._end((channel,), slots) for channel in range(len(self.immediates)))
        if needed > config.columns:
            raise MappingError(
                f"layer {name!r} needs columns of at least {needed} in mode constant, config {config.name} has "
                f"{config.columns}"
            )

    def _slots(self, taps: int, sums: int) -> Slots:
        """So many slots, from the first column on."""
        wide = self.bits + 2  # a sum of three taps
        first = _FIRST + sums * wide
        return Slots(
            tuple(range(first, first + taps * self.bits, self.bits)), tuple(range(_FIRST, first, wide)), self.bits
        )

    def _end(self, channels: Sequence[int], slots: Slots) -> int:
        """The column behind the last of a group."""
        return self._first_sum(channels, slots) + sum(self._sum_columns[channel] for channel in channels)

    def _first_sum(self, channels: Sequence[int], slots: Slots) -> int:
        """The first column of the sums: above the slots and above the first products."""
        first = max(column + width for column, width in ((0, 1), *self._ends(slots)))
        below = 0
        for channel in channels:
            first = max(first, _FIRST + self._product_columns[channel] - below)
            below += self._sum_columns[channel]
        return first

    def _ends(self, slots: Slots) -> Iterator[tuple[int, int]]:
        yield from ((column, slots.bits) for column in slots.taps)
        yield from ((column, slots.bits + 2) for column in slots.sums)

    @cached_property
    def _sum_columns(self) -> list[int]:
        """Columns of every channel's sum."""
        return [immediate.sum_columns if immediate.constant is None else 0 for immediate in self.immediates]

    @cached_property
    def _product_columns(self) -> list[int]:
        """Columns that every channel's requantisation needs below its sum."""
        bits = self.shape.output_bits
        return [immediate.columns if immediate.constant is None else bits for immediate in self.immediates]

    @cached_property
    def _groups(self) -> dict[bool, list[_Group]]:
        """By whether sums of taps are shared, all channels in as few groups as columns allow, of nearly equal size.

        Empty where a channel does not fit.
        """
        return {shared: self._grouped(shared) for shared in (False, True)}

    def _grouped(self, shared: bool) -> list[_Group]:
        slots = self._slots(_SHARED_TAPS, _SHARED_SUMS) if shared else self._slots(1, 0)
        channels = len(self.immediates)
        for count in range(max(1, -(-sum(self._sum_columns) // self.config.columns)), channels + 1):
            parts = [tuple(part) for part in equal_parts(channels, count)]
            if all(self._end(part, slots) <= self.config.columns for part in parts):
                return [self._group(part, slots) for part in parts]
        return []

    def _group(self, channels: tuple[int, ...], slots: Slots) -> _Group:
        widths = [self._sum_columns[channel] for channel in channels]
        first = self.config.columns - sum(widths)
        columns = tuple(first + sum(widths[:index]) for index in range(len(widths)))
        if not slots.sums:
            slots = self._slots(max(1, min(_TAP_SLOTS, (first - _FIRST) // self.bits)), 0)
        return _Group(channels, columns, slots)

    # --- order of the additions -------------------------------------------------------------------------------------

    @cached_property
    def order(self) -> _Order:
        """The order that takes the fewest cycles for the first group, by the laws."""

        def cycles(order: _Order) -> float:
            """Of the first group, for each of its channels."""
            group = self._groups[order.shared][0]
            builder = Builder(self.config)
            self._emit(builder, group, order, self.blocks[0])
            return total_cycles(run_law(builder.finish(None).instructions, self.config)) / len(group.channels)

        orders = [
            _Order(sweeps, shared)
            for shared in (False, True)
            if self._groups[shared]
            for sweeps in _SWEEPS
            if sweeps <= self.places
        ]
        return min(orders, key=cycles)

    @cached_property
    def places(self) -> int:
        """Places of the weights' digits."""
        digits = [signed_digits(int(weight)) for weight in np.unique(self.weights)]
        return 1 + max((number[-1][0] for number in digits if number), default=0)

    def _digits(self, group: _Group) -> dict[int, list[tuple[int, int, int]]]:
        """What uses every tap: (index of the sum, sign, place); taps in ascending order."""
        uses: dict[int, list[tuple[int, int, int]]] = {}
        for index, channel in enumerate(group.channels):
            if self.immediates[channel].constant is None:
                for tap, weight in zip(self.taps[channel].tolist(), self.weights[channel].tolist(), strict=True):
                    if weight:
                        known = uses.setdefault(tap, [])
                        known.extend((index, sign, place) for place, sign in signed_digits(weight))
        return dict(sorted(uses.items()))

    def _plain(self, group: _Group, order: _Order) -> list[Step]:
        uses = self._digits(group)
        schedule: list[tuple[int, list[tuple[int, int, int]]]] = []
        for places in equal_parts(self.places, order.sweeps):
            for tap, digits in uses.items():
                wanted = [digit for digit in digits if digit[2] in places]
                if wanted:
                    schedule.append((tap, wanted))
        return list(plain_steps(schedule, group.slots))

    def _shared(self, group: _Group, order: _Order) -> list[Step]:
        uses = self._digits(group)
        taps = list(uses)
        signs = np.zeros((len(group.channels), self.places, len(taps)), np.int64)
        for number, digits in enumerate(uses.values()):
            for index, sign, place in digits:
                signs[index, place, number] = sign
        steps: list[Step] = []
        for places in equal_parts(self.places, order.sweeps):
            for part in equal_parts(len(taps), max(1, -(-len(taps) // _SHARED_CHUNK))):
                wanted = signs[:, places.start : places.stop, part.start : part.stop]
                filters = [(index, place) for index in range(len(group.channels)) for place in places]
                found = share(wanted.reshape(len(filters), -1))
                steps += shared_steps(found, taps[part.start : part.stop], filters, group.slots)
        return steps

    # --- jobs -------------------------------------------------------------------------------------------------------

    @cached_property
    def blocks(self) -> list[int]:
        """Row blocks of every pass over the pixels."""
        blocks = -(-self.shape.output_size[0] * self.shape.output_size[1] // self.config.outputs)
        return [len(part) for part in equal_parts(blocks, -(-blocks // self.config.taps))]

    def jobs(self) -> tuple[JobPlan, ...]:
        """All jobs: for every group of channels all passes over the pixels."""
        self.check()
        pixels = self.shape.output_size[0] * self.shape.output_size[1]
        jobs: list[JobPlan] = []
        for group in self._groups[self.order.shared]:
            known: dict[int, JobPlan] = {}
            first = 0
            for blocks in self.blocks:
                if blocks not in known:
                    builder = Builder(self.config)
                    done = self._emit(builder, group, self.order, blocks)
                    known[blocks] = builder.finish(ConstantWork(0, 0, blocks, group.channels, *done))
                count = min(blocks * self.config.outputs, pixels - first)
                work = dataclasses.replace(known[blocks].work, first=first, count=count)
                jobs.append(dataclasses.replace(known[blocks], work=work))
                first += count
        return tuple(jobs)

    def _emit(self, builder: Builder, group: _Group, order: _Order, blocks: int) -> tuple[int, int]:
        """Write a job up to its HALT; returns its additions, and those without shared sums."""
        sums = [
            RunningSum(builder, column, self.immediates[channel].sum_columns, _CARRY, self.largest)
            for channel, column in zip(group.channels, group.columns, strict=True)
        ]
        pieces = list(row_pieces(self.bits, blocks, self.config))

        def load(tap: int, column: int) -> int:
            ticket = -1
            for _, planes, kind, block in pieces:
                source = OperandLoad(tap, block if kind == LoadKind.BLOCK else None)
                ticket = builder.load(kind, column, planes, source, block)
            return ticket

        steps = self._shared(group, order) if order.shared else self._plain(group, order)
        made = emit_steps(builder, steps, sums, load, max(1, self.config.port_queue // len(pieces)))
        unshared = sum(
            len(signed_digits(weight))
            for channel in group.channels
            if self.immediates[channel].constant is None
            for weight in self.weights[channel].tolist()
        )
        builder.owner = Owner.REQUANTIZE
        self._requantize(builder, group, sums, blocks)
        return made + sum(total.additions for total in sums), unshared

    def _requantize(self, builder: Builder, group: _Group, sums: Sequence[RunningSum], blocks: int) -> None:
        """Turn all sums into stored numbers, lowest columns first, and store each."""
        bits = self.shape.output_bits
        stores: list[tuple[int, int]] = []  # column and ticket of what is being stored
        for index, channel in enumerate(group.channels):
            immediate, total = self.immediates[channel], sums[index]
            width = self._product_columns[channel]
            if immediate.constant is None:
                total.add_constant(immediate.bias - total.constant)
                emit_limit(builder, immediate, total)
            # The highest or the lowest free columns, so that the product need not wait for what is being stored.
            places = (group.columns[index] - width, _FIRST)

            def busy(column: int, width: int = width) -> int:
                return max((ticket for at, ticket in stores if at < column + width and column < at + bits), default=-1)

            column = min(places, key=busy)
            builder.sync(busy(column))
            if immediate.constant is None:
                stored = emit_product(builder, immediate, total, column)
            else:
                stored = column
                builder.fill(stored, bits, immediate.constant)
            stores.append((stored, builder.store_rows(stored, bits, blocks, index * self.config.rows)))


class ConstantFeeder(Feeder):
    """Planes of a layer in mode ``constant``: the taps of its windows.

    Parameters
    ----------
    shape, config : the layer and the tile.
    layer : the layer.
    alphabet : how constant bits are written.
    """

    def __init__(self, shape: ConvShape, config: TileConfig, layer: Conv, alphabet: Alphabet) -> None:
        """Find the element of every tap of every pixel."""
        self.shape, self.config, self.layer, self.alphabet = shape, config, layer, alphabet
        positions = window_positions(
            shape.input_size, shape.output_size, shape.kernel, shape.stride, shape.dilation, shape.padding
        )
        channels = np.arange(shape.input_size[2], dtype=np.int64)
        elements = window_elements(positions, channels, shape.input_size)
        self._elements = np.ascontiguousarray(elements.reshape(len(positions), -1).T)  # (taps, pixels)
        self._map = alphabet.zeros(0)

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input map."""
        self._map = flat_map(stored[0], self.layer.pad_value, self.alphabet)

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        assert isinstance(source, OperandLoad)
        work: ConstantWork = job.work
        elements = self._elements[source.operand, work.first : work.first + work.count]
        return operand_planes(self._map[elements], source, self.config, self.alphabet)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row, channel after channel: R rows for each."""
        work: ConstantWork = job.work
        rows = np.full((len(work.channels), self.config.rows), -1, np.int64)
        pixels = np.arange(work.first, work.first + work.count, dtype=np.int64)
        rows[:, : work.count] = pixels * self.shape.output_size[2] + np.array(work.channels, np.int64)[:, None]
        return rows.reshape(-1)
