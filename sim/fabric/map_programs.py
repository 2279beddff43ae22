"""Programs of MAPs on a fabric: take the CAPs' sums and requantise them, add maps, find maxima, send blocks.

Stored numbers lie in columns from 0 on, work is done in the top ones.  Without constants the programs have zeros in
their place, which take the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

from golden.graph import Elementwise, Rescale
from hw.config import TileConfig
from hw.isa import LoadKind, Opcode, Owner
from sim.fabric.cap_programs import Sums
from sim.mapping.builder import Builder, JobPlan, Source
from sim.mapping.elementwise import elementwise_fields, emit_elementwise
from sim.mapping.errors import MappingError
from sim.mapping.requantize import Layout, check_operand, emit_requantize, immediates, layout
from sim.mapping.shapes import ElementwiseShape, MaxPoolShape, RequantizeShape

__all__ = [
    "BiasLoad", "PositionLoad", "SumLoad", "SumProgram", "elementwise_program", "load_program", "pool_program",
    "sum_layout", "sum_program",
]  # fmt: skip


@dataclass(frozen=True)
class SumLoad(Source):
    """A sum of digits of a block of a CAP: planes of S bits.

    Parameters
    ----------
    cap, block : which of the MAP's CAPs, and which of its blocks.
    digits : which of :attr:`~sim.fabric.cap_programs.Sums.stored`.
    """

    cap: int
    block: int
    digits: int


@dataclass(frozen=True)
class BiasLoad(Source):
    """One bias for each row block: planes of G bits."""


@dataclass(frozen=True)
class PositionLoad(Source):
    """One window position of G channels, from the gather unit."""

    position: int


@dataclass(frozen=True)
class SumProgram:
    """The requantisation of a batch of sums.

    Parameters
    ----------
    job : the program; ``work`` is the number of row blocks.
    last_sum : index of the last LOAD of a sum among the LOADs.
    joined : index of the instruction that joins all LOADs of sums.
    value : first column of the stored numbers before they are put into their field.
    """

    job: JobPlan
    last_sum: int
    joined: int
    value: int


def sum_layout(name: str, shape: RequantizeShape, sums: Sums, config: TileConfig, reserved: int = 0) -> Layout:
    """Where a MAP requantises sums, above ``reserved`` columns with maps, biases and sums of further digits.

    Raises
    ------
    MappingError
        If the tile has too few columns, or a constant is too wide for an instruction.
    """
    check_operand(shape, name)
    extra = sum(bits for _, bits in sums.stored[1:])
    return layout(shape, config, name, max(reserved, shape.bits) + shape.accumulator_bits + extra)


def sum_program(
    name: str,
    shape: RequantizeShape,
    sums: Sums,
    caps: int,
    blocks: int,
    config: TileConfig,
    *,
    reserved: int = 0,
    rescale: Rescale | None = None,
) -> SumProgram:
    """What a MAP does with the sums of ``caps`` CAPs that each store ``blocks`` blocks.

    Parameters
    ----------
    reserved : columns from 0 on that hold maps; the result goes to the first ones.
    rescale : gives the immediate constants of a uniform shape.

    Raises
    ------
    MappingError
        If the tile has too few columns, or a constant is too wide for an instruction.
    """
    width = shape.accumulator_bits
    extra = sum(bits for _, bits in sums.stored[1:])
    place = sum_layout(name, shape, sums, config, reserved)
    bias = place.carry - width
    fields = [place.accumulator]
    column = bias - extra
    for _, bits in sums.stored[1:]:
        fields.append(column)
        column += bits

    builder = Builder(config)
    first = sums.stored[0][1]
    builder.fill(place.accumulator + first, width - first)
    for block in range(blocks):
        for digits, (_, bits) in enumerate(sums.stored):
            for cap in range(caps):
                source = SumLoad(cap, block, digits)
                builder.load(LoadKind.BLOCK, fields[digits], bits, source, block * caps + cap)
    last_sum = len(sums.stored) * blocks * caps - 1
    builder.load(LoadKind.TAPS, bias, width, BiasLoad())
    builder.owner = Owner.REDUCE
    builder.sync()
    joined = builder.count - 1
    if sums.stored[0][0].signed and first < width:
        top = place.accumulator + first - 1
        for target in range(top + 1, place.accumulator + width):
            builder.emit(Opcode.COPY, a=top, a_width=1, d=target, d_width=1)
    for (digits, bits), source in zip(sums.stored[1:], fields[1:], strict=True):
        _add(builder, place, source, bits, place.accumulator + digits.place, width - digits.place, signed=digits.signed)
    builder.owner = Owner.REQUANTIZE
    _add(builder, place, bias, width, place.accumulator, width, signed=True)
    constants = immediates(shape, rescale)
    value = emit_requantize(builder, shape, place, blocks * caps, spread=True, constants=constants)
    builder.emit(Opcode.COPY, a=value, a_width=shape.bits, d=0, d_width=shape.bits)
    return SumProgram(builder.finish(blocks * caps), last_sum, joined, value)


def _add(builder: Builder, place: Layout, source: int, bits: int, target: int, width: int, *, signed: bool) -> None:
    bits = min(bits, width)
    builder.emit(
        Opcode.ADD, a=source, a_width=bits, a_signed=signed and bits < width, b=target, b_width=width, d=place.carry,
        d_width=1,
    )  # fmt: skip


def elementwise_program(
    shape: ElementwiseShape, config: TileConfig, *, reserved: int = 0, layer: Elementwise | None = None
) -> JobPlan:
    """What a MAP does with operands that lie side by side from column 0 on; the result goes over the first of them.

    Raises
    ------
    MappingError
        If the tile has too few columns or a field would be wider than an instruction can name.
    """
    columns, column = [], 0
    for bits in shape.activation_bits:
        columns.append(column)
        column += bits
    base = max(reserved, column, shape.output_bits)
    fields = elementwise_fields(shape, config, base, tuple(columns))
    builder = Builder(config)
    value = emit_elementwise(builder, shape, fields, layer)
    builder.emit(Opcode.COPY, a=value, a_width=shape.output_bits, d=0, d_width=shape.output_bits)
    return builder.finish(1)


def load_program(bits: int, config: TileConfig) -> JobPlan:
    """What a MAP does with G channels of a set that come as windows of one element: they are put into a field."""
    builder = Builder(config)
    builder.load(LoadKind.PLANES, 0, bits, PositionLoad(0))
    return builder.finish(1)


def pool_program(shape: MaxPoolShape, config: TileConfig) -> JobPlan:
    """What a MAP does with the windows of G channels of a set of outputs: the largest number of each window.

    Loads are :class:`PositionLoad`; the next position comes while the present one is compared.

    Raises
    ------
    MappingError
        If the tile has too few columns.
    """
    bits = shape.activation_bits[0]
    if 3 * bits + 1 > config.columns:
        raise MappingError(
            f"layer {shape.name!r} needs columns of at least {3 * bits + 1}, config {config.name} has {config.columns}"
        )
    builder = Builder(config)
    positions = shape.window[0] * shape.window[1]
    fields = [bits * (1 + index % 2) for index in range(positions)]
    tickets = [builder.load(LoadKind.PLANES, 0, bits, PositionLoad(0))]
    if positions > 1:
        tickets.append(builder.load(LoadKind.PLANES, fields[0], bits, PositionLoad(1)))
    for position in range(1, positions):
        if position + 1 < positions:
            tickets.append(builder.load(LoadKind.PLANES, fields[position], bits, PositionLoad(position + 1)))
        builder.sync(tickets[position])
        builder.emit(
            Opcode.MAX, a=fields[position - 1], a_width=bits, b=0, b_width=bits, d=config.columns - 1, d_width=1
        )
    builder.sync()
    builder.owner = Owner.REQUANTIZE
    if shape.low:
        builder.emit(Opcode.MAXC, b=0, b_width=bits, constant=shape.low)
    if shape.low + shape.high < (1 << bits) - 1:
        builder.emit(Opcode.MINC, b=0, b_width=bits, constant=shape.low + shape.high)
    return builder.finish(1)
