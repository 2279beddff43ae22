"""Programs of CAPs on a fabric: the dot products of some blocks, one after the other.

A *block* is one output channel of a set of S outputs.  Its sum goes over tap tiles; for each of them the windows come
from the gather unit, as planes of R bits, and the weights from the CAP's taps memory, as planes of G bits.  Nothing is
drained to columns: sums stay in the totals until they are stored.  So a tile needs columns for one tap tile only, and
where there is room for two, the next one is loaded while the present one is worked on.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import TileConfig
from hw.isa import MAXIMUM_OPERAND, LoadKind, Opcode, Owner, ReduceKind, StoreKind, reduce_levels
from sim.fabric.words import Digit, DigitSum, WordSplit, split_words
from sim.mapping.builder import Builder, JobPlan, Sink, Source
from sim.mapping.requantize import check_totals

__all__ = ["OnesLoad", "Sums", "WeightLoad", "WindowLoad", "block_program", "plan_sums"]


@dataclass(frozen=True)
class WindowLoad(Source):
    """A digit of the windows of tap tile ``tile``."""

    block: int
    tile: int
    digit: Digit


@dataclass(frozen=True)
class WeightLoad(Source):
    """A digit of the weights of tap tile ``tile``."""

    block: int
    tile: int
    digit: Digit


@dataclass(frozen=True)
class OnesLoad(Source):
    """One plane of weights: 1 in tap 0, else 0."""


@dataclass(frozen=True)
class Sums:
    """How the dot products of a layer are formed in one tile.

    Parameters
    ----------
    config : the tile.
    mode : ``count`` or ``lut``.
    split : how words are cut.
    reduction : products that are added up for one output.
    accumulator_bits : two's complement width that holds every sum.
    """

    config: TileConfig
    mode: str
    split: WordSplit
    reduction: int
    accumulator_bits: int

    @property
    def tiles(self) -> int:
        """Tap tiles of a sum."""
        return -(-self.reduction // self.config.taps)

    @property
    def stored(self) -> tuple[tuple[DigitSum, int], ...]:
        """What is stored of each block, one after the other: a sum of digits, and its width in planes.

        Sums whose place is beyond the accumulator are left out: weights may be small for their width.
        """
        return tuple(
            (digits, min(digits.bits(self.reduction), self.accumulator_bits - digits.place))
            for digits in self.split.sums
            if digits.place < self.accumulator_bits
        )

    @property
    def pairs(self) -> int:
        """Pairs of digits that are multiplied in each tap tile."""
        return sum(len(digits.pairs) for digits, _ in self.stored)

    @property
    def estimate(self) -> int:
        """About how many cycles a block takes."""
        pairs = [pair for digits, _ in self.stored for pair in digits.pairs]
        work = sum(a.bits * w.bits + a.bits + w.bits + 3 for a, w in pairs)
        return self.tiles * work + sum(planes for _, planes in self.stored)

    @property
    def window_planes(self) -> int:
        """Planes of R bits that a block takes from the gather unit."""
        return self.tiles * sum(activation.bits for digits in self.split.sums for activation, _ in digits.pairs)

    @property
    def weight_planes(self) -> int:
        """Planes of G bits that a block takes from the taps memory."""
        planes = sum(weight.bits for digits, _ in self.stored for _, weight in digits.pairs)
        return self.tiles * (planes + (self.pairs if self.mode == "lut" else 0))


def plan_sums(
    name: str,
    activation_bits: int,
    weight_bits: int,
    reduction: int,
    accumulator_bits: int,
    config: TileConfig,
    mode: str,
    *,
    weight_signed: bool = True,
    most_sums: int | None = None,
) -> Sums:
    """How dot products of such words are formed in a tile; ``most_sums`` limits the sums of digits.

    Raises
    ------
    MappingError
        If not even single bits fit its columns, all that fit make more sums, or sums do not fit its totals.
    """
    check_totals(accumulator_bits, config, name)
    counted = config.fill_bits - config.count_bits - 1  # bits of a product that a DOT can add up
    if mode == "count":
        columns, copies = min(config.columns, counted), 1
    else:
        # A DOT adds up sums of products, which an instruction must be able to name.
        widest = min(counted - 1, MAXIMUM_OPERAND) - reduce_levels(config.taps)
        columns, copies = min(_lut_columns(config), 2 * widest), 2
    split = split_words(
        activation_bits, weight_bits, columns, copies, name, weight_signed=weight_signed, most_sums=most_sums
    )
    return Sums(config, mode, split, reduction, accumulator_bits)


def _lut_columns(config: TileConfig) -> int:
    """Columns for two operands and their product: the sum of the product and a plane of ones must fit as well."""
    levels = reduce_levels(config.taps)
    scratch = 0 if config.vertical else 1
    return min(config.columns - scratch, 2 * (config.columns - 1 - scratch - levels))


def block_program(sums: Sums, blocks: int) -> JobPlan:
    """The program of a CAP for so many blocks; ``work`` is their number.

    Loads are :class:`WindowLoad`, :class:`WeightLoad` and :class:`OnesLoad`.  Stores are, block after block, the sums
    of digits that :attr:`Sums.stored` names, each as planes of S bits.
    """
    builder = Builder(sums.config)
    emit = _emit_counted if sums.mode == "count" else _emit_multiplied
    for block in range(blocks):
        for digits, width in sums.stored:
            builder.emit(Opcode.INIT, constant=0)
            emit(builder, sums, digits, block)
            builder.store(StoreKind.TOTAL, 0, width, Sink(block * sums.config.outputs, sums.config.outputs))
    return builder.finish(blocks)


def _emit_counted(builder: Builder, sums: Sums, digits: DigitSum, block: int) -> None:
    """DOTs of all tap tiles and pairs, the operands of the next one loaded meanwhile where columns are left."""
    steps = [(tile, activation, weight) for tile in range(sums.tiles) for activation, weight in digits.pairs]
    size = max(activation.bits + weight.bits for activation, weight in digits.pairs)
    buffers = min(2, sums.config.columns // size)
    tickets: list[int] = []

    def load(index: int) -> None:
        tile, activation, weight = steps[index]
        base = index % buffers * size
        builder.load(LoadKind.PLANES, base, activation.bits, WindowLoad(block, tile, activation))
        ticket = builder.load(LoadKind.TAPS, base + activation.bits, weight.bits, WeightLoad(block, tile, weight))
        tickets.append(ticket)

    load(0)
    for index, (_, activation, weight) in enumerate(steps):
        if buffers > 1 and index + 1 < len(steps):
            load(index + 1)
        builder.sync(tickets[index])
        base = index % buffers * size
        builder.emit(
            Opcode.DOT,
            a=base,
            a_width=activation.bits,
            b=base + activation.bits,
            b_width=weight.bits,
            b_signed=weight.signed,
        )
        if buffers == 1 and index + 1 < len(steps):
            load(index + 1)


def _emit_multiplied(builder: Builder, sums: Sums, digits: DigitSum, block: int) -> None:
    """A product in every row, its sum over the taps by REDUCE, which a DOT against a single one adds to the totals."""
    config = sums.config
    levels = reduce_levels(config.taps)
    kind = ReduceKind.SEGMENTS if config.vertical else ReduceKind.SHIFT
    for tile in range(sums.tiles):
        for activation, weight in digits.pairs:
            product = activation.bits + weight.bits
            first = product
            builder.load(LoadKind.PLANES, first, activation.bits, WindowLoad(block, tile, activation))
            builder.load(LoadKind.TAPS, first + activation.bits, weight.bits, WeightLoad(block, tile, weight))
            builder.fill(0, product)
            builder.sync()
            builder.emit(
                Opcode.MUL,
                a=first,
                a_width=activation.bits,
                b=first + activation.bits,
                b_width=weight.bits,
                b_signed=weight.signed,
                d=0,
                d_width=product,
            )
            ones = config.columns - 1
            if levels:
                scratch = {} if config.vertical else {"p": ones - 1}
                builder.emit(
                    Opcode.REDUCE,
                    kind=kind,
                    d=0,
                    d_width=product + levels,
                    a_width=product,
                    a_signed=weight.signed,
                    constant=config.taps,
                    owner=Owner.REDUCE,
                    **scratch,
                )
            builder.load(LoadKind.TAPS, ones, 1, OnesLoad())
            builder.sync()
            builder.emit(
                Opcode.DOT,
                a=0,
                a_width=product + levels,
                a_signed=weight.signed,
                b=ones,
                b_width=1,
                owner=Owner.REDUCE,
            )
