"""Requantisation of a batch in place: all rows of the tile turn their accumulator into a stored number at once.

Columns, from the top down: accumulator ACC (where the DOTs left it), product P, multiplier M, a column for carries.  P
starts just ``gap`` columns below ACC and grows into it: the multiplication goes over ACC in parts, lowest bits first,
and P needs the columns of a part only when that part has been used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from golden.graph import Rescale
from hw.config import TileConfig
from hw.isa import LoadKind, Opcode, Owner
from sim.mapping.builder import Builder, Source, row_pieces
from sim.mapping.errors import MappingError
from sim.mapping.shapes import RequantizeShape, signed_bits

__all__ = [
    "ConstantLoad", "Immediates", "Layout", "check_operand", "check_totals", "emit_requantize", "immediates", "layout",
]  # fmt: skip

MAXIMUM_PART = 32  # bits of an operand of MUL
MAXIMUM_FIELD = 64


@dataclass(frozen=True)
class ConstantLoad(Source):
    """``operand_bits`` planes of each of the named constants of a :class:`~golden.graph.Rescale`, one after the other.

    Parameters
    ----------
    names : of the constants.
    spread : whether one number per row block is meant (planes of G bits), else one per row.
    block : the only row block that is meant (planes of S bits); None for all rows.
    """

    names: tuple[str, ...]
    spread: bool
    block: int | None


class Immediates(NamedTuple):
    """Constants of a uniform shape, which are in the instructions."""

    multiplier: int = 0
    positive: int = 0
    negative: int = 0


@dataclass(frozen=True)
class Layout:
    """First columns of the fields, and widths that follow from a shape.

    Parameters
    ----------
    carry, multiplier, product, accumulator : first columns; the flag of ties is behind that of carries.
    gap : columns between the product's first ``operand_bits`` and the accumulator.
    part : bits of the accumulator that are multiplied at a time, at most ``gap``.
    product_bits : columns of the product that hold it sign-extended, as wide as the additions after it need.
    """

    carry: int
    multiplier: int
    product: int
    accumulator: int
    gap: int
    part: int
    product_bits: int


def immediates(shape: RequantizeShape, rescale: Rescale | None) -> Immediates:
    """The constants that are in the instructions; 0 without ``rescale``, and where the shape is not uniform."""
    if rescale is None or not shape.uniform:
        return Immediates()
    return Immediates(int(rescale.multiplier[0]), int(rescale.positive[0]), int(rescale.negative[0]))


def check_operand(shape: RequantizeShape, name: str) -> None:
    """Refuse constants that an instruction cannot name.

    Raises
    ------
    MappingError
        If multipliers or addends of layer ``name`` are too wide.
    """
    if shape.operand_bits > MAXIMUM_PART:
        raise MappingError(
            f"layer {name!r} needs multipliers of {shape.operand_bits} bits, an instruction can name at most "
            f"{MAXIMUM_PART}"
        )


def check_totals(accumulator_bits: int, config: TileConfig, name: str) -> None:
    """Refuse sums that the totals of a tile do not hold.

    Raises
    ------
    MappingError
        If those of layer ``name`` are too wide.
    """
    if accumulator_bits > config.total_bits:
        raise MappingError(
            f"layer {name!r} needs total_bits of at least {accumulator_bits}, config {config.name} has "
            f"{config.total_bits}"
        )


def minimum_columns(shape: RequantizeShape) -> int:
    """Columns without which a batch cannot be requantised."""
    return _fixed_columns(shape) + _minimum_gap(shape)


def layout(shape: RequantizeShape, config: TileConfig, name: str, reserved: int = 0) -> Layout:
    """Where the fields lie on a tile, above ``reserved`` columns.

    Raises
    ------
    MappingError
        If the tile has too few columns, or a field would be wider than an instruction can name.
    """
    fixed, least = _fixed_columns(shape) + reserved, _minimum_gap(shape)
    if fixed + least > config.columns:
        raise MappingError(
            f"layer {name!r} needs columns of at least {fixed + least} to requantise, config {config.name} has "
            f"{config.columns}"
        )
    gap = max(least, min(MAXIMUM_PART, shape.factor_bits, config.columns - fixed))
    accumulator = config.columns - shape.accumulator_bits
    product = accumulator - gap - shape.operand_bits
    multiplier = product - (0 if shape.uniform else shape.operand_bits)
    bits = _product_bits(shape)
    field = bits - shape.shift + 1 if shape.ties is None else bits
    if field > MAXIMUM_FIELD:
        raise MappingError(
            f"layer {name!r} needs a sum of {field} bits to requantise, an instruction can name at "
            f"most {MAXIMUM_FIELD}; narrower activations or weights would do"
        )
    part = min(MAXIMUM_PART, gap)
    return Layout(multiplier - _scratch(shape), multiplier, product, accumulator, gap, part, bits)


def emit_requantize(
    builder: Builder, shape: RequantizeShape, place: Layout, blocks: int, *, spread: bool, constants: Immediates
) -> int:
    """Write the requantisation of the first ``blocks`` row blocks; returns the first column of the stored numbers.

    Joins all port operations first.  ``spread``: constants are one number per row block, else one per row.
    ``constants`` are of account where the shape is uniform.
    """
    builder.owner = Owner.REQUANTIZE
    step = _Step(builder, shape, place, blocks, spread, constants)
    step.addend()
    step.narrow()
    step.multiply()
    step.extend()
    value, width = place.product + shape.shift, place.product_bits - shape.shift
    first = shape.shift - 1
    builder.add_constant(
        place.product + first, place.product_bits - first, shape.offset2, signed_bits(shape.offset2), place.carry
    )
    if shape.ties is not None:
        builder.lower_ties(place.product, place.product_bits, shape.shift, shape.ties, place.carry)
    builder.clamp(value, width, shape.low, shape.high, shape.bits, place.carry)
    return value


@dataclass
class _Step:
    """The parts of a requantisation, in the order of their definition."""

    builder: Builder
    shape: RequantizeShape
    place: Layout
    blocks: int
    spread: bool
    constants: Immediates

    def addend(self) -> None:
        """Bring the addend into the lowest columns of the product, and the multiplier beside it."""
        builder, shape, place = self.builder, self.shape, self.place
        bits = shape.operand_bits
        sign = place.accumulator + shape.accumulator_bits - 1
        if shape.uniform:
            builder.sync()
            builder.fill(place.product, bits, self.constants.positive)
            if shape.two_sided:
                constant = self.constants.negative
                builder.emit(Opcode.FILL, d=place.product, d_width=bits, constant=constant, predicated=True, p=sign)
            return
        if shape.two_sided:
            self._load(place.multiplier, "negative", "positive")
            builder.sync()
            builder.emit(
                Opcode.COPY,
                a=place.multiplier,
                a_width=bits,
                d=place.product,
                d_width=bits,
                predicated=True,
                p=sign,
            )
            self._load(place.multiplier, "multiplier")
        else:
            self._load(place.multiplier, "multiplier", "positive")
        builder.sync()

    def narrow(self) -> None:
        """Rectify and clamp the accumulator where the output saturates anyway."""
        builder, shape, place = self.builder, self.shape, self.place
        width = shape.accumulator_bits
        if shape.rectified:
            builder.emit(Opcode.RELU, b=place.accumulator, b_width=width)
            width -= 1
        if shape.clamped:
            if shape.rectified:
                largest = (1 << shape.factor_bits) - 1
                builder.emit(Opcode.MINC, b=place.accumulator, b_width=width, constant=largest)
            else:
                limit = 1 << (shape.factor_bits - 1)
                builder.limit(place.accumulator, width, -limit, limit - 1, signed=True)

    def multiply(self) -> None:
        """Product = multiplier * accumulator + addend, part by part of the accumulator."""
        builder, shape, place = self.builder, self.shape, self.place
        bits = shape.operand_bits
        for first in range(0, shape.factor_bits, place.part):
            width = min(place.part, shape.factor_bits - first)
            builder.fill(place.product + first + bits, width)
            fields = {
                "a_width": bits,
                "b": place.accumulator + first,
                "b_width": width,
                "b_signed": first + width == shape.factor_bits and not shape.rectified,
                "d": place.product + first,
                "d_width": bits + width,
            }
            if shape.uniform:
                builder.emit(Opcode.MULC, **fields, constant=self.constants.multiplier)
            else:
                builder.emit(Opcode.MUL, **fields, a=place.multiplier)

    def extend(self) -> None:
        """Extend the product by its sign to the width that the additions need."""
        builder, shape, place = self.builder, self.shape, self.place
        top = place.product + shape.operand_bits + shape.factor_bits
        missing = place.product + place.product_bits - top
        if shape.rectified:
            builder.fill(top, missing)
        else:
            for column in range(top, top + missing):
                builder.emit(Opcode.COPY, a=top - 1, a_width=1, d=column, d_width=1)

    def _load(self, column: int, *names: str) -> None:
        builder, planes = self.builder, len(names) * self.shape.operand_bits
        if self.spread:
            builder.load(LoadKind.TAPS, column, planes, ConstantLoad(names, True, None))
            return
        for first, count, kind, block in row_pieces(planes, self.blocks, builder.config):
            assert (first, count) == (0, planes)
            only = block if kind == LoadKind.BLOCK else None
            builder.load(kind, column, planes, ConstantLoad(names, False, only), block)


def _product_bits(shape: RequantizeShape) -> int:
    """Width of the product with room for offset2 and for the sign, at least one bit above the shift."""
    whole = shape.operand_bits + shape.factor_bits
    low, high = (0, (1 << whole) - 1) if shape.rectified else (-(1 << (whole - 1)), (1 << (whole - 1)) - 1)
    first = shape.shift - 1
    ends = [low >> first, high >> first]
    return max(whole, shape.shift + 1, first + signed_bits(*ends, *(end + shape.offset2 for end in ends)))


def _scratch(shape: RequantizeShape) -> int:
    """Columns of carries, and of the flag of ties behind it."""
    return 1 if shape.ties is None else 2


def _fixed_columns(shape: RequantizeShape) -> int:
    """Columns of everything but the gap."""
    return _scratch(shape) + shape.operand_bits * (1 if shape.uniform else 2) + shape.accumulator_bits


def _minimum_gap(shape: RequantizeShape) -> int:
    """The product and the stored number end at the last column at the latest."""
    top = max(_product_bits(shape), shape.shift + shape.bits)
    return max(1, top - shape.operand_bits - shape.accumulator_bits)
