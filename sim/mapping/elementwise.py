"""Element-wise layers: every row holds one element, all rows work at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from golden.graph import Elementwise, Integers
from hw.config import TileConfig
from hw.isa import LoadKind, Opcode, Owner
from sim.mapping.bits import Alphabet, Symbols
from sim.mapping.builder import Builder, JobPlan, Routine, Source, equal_parts, row_pieces
from sim.mapping.errors import MappingError
from sim.mapping.feeder import Feeder
from sim.mapping.rounded_sum import RoundedFields, emit_rounded_sum, rounded_fields
from sim.mapping.shapes import ElementwiseShape, LayerShape

__all__ = [
    "ElementBatch",
    "ElementFields",
    "ElementwiseFeeder",
    "OperandLoad",
    "element_batches",
    "element_jobs",
    "elementwise_fields",
    "elementwise_jobs",
    "emit_elementwise",
    "load_operand",
    "operand_planes",
    "result_rows",
]

MAXIMUM_OPERAND = 32
MAXIMUM_FIELD = 64


@dataclass(frozen=True)
class ElementBatch:
    """The work of a job: ``count`` elements of the flattened output map from ``first``, on ``blocks`` row blocks."""

    first: int
    count: int
    blocks: int


@dataclass(frozen=True)
class OperandLoad(Source):
    """The bits of one operand of every row, or of the rows of one block."""

    operand: int
    block: int | None


def element_batches(shape: LayerShape, config: TileConfig) -> list[ElementBatch]:
    """The elements of an output map, at most R at a time, in parts of nearly equal size."""
    height, width, channels = shape.output_size
    blocks = -(-height * width * channels // config.outputs)
    result: list[ElementBatch] = []
    for part in equal_parts(blocks, -(-blocks // config.taps)):
        first = part.start * config.outputs
        last = min(part.stop * config.outputs, height * width * channels)
        result.append(ElementBatch(first, last - first, len(part)))
    return result


def element_jobs(
    shape: LayerShape, config: TileConfig, routine: Callable[[ElementBatch], Routine]
) -> tuple[JobPlan, ...]:
    """A job for each batch; ``routine`` gives what those of as many row blocks share."""
    known: dict[int, Routine] = {}
    jobs: list[JobPlan] = []
    for batch in element_batches(shape, config):
        if batch.blocks not in known:
            known[batch.blocks] = routine(batch)
        jobs.append(JobPlan(known[batch.blocks], batch))
    return tuple(jobs)


def load_operand(builder: Builder, column: int, bits: int, operand: int, batch: ElementBatch) -> None:
    """Issue the LOADs of one operand."""
    for first, count, kind, block in row_pieces(bits, batch.blocks, builder.config):
        assert (first, count) == (0, bits)
        only = block if kind == LoadKind.BLOCK else None
        builder.load(kind, column, bits, OperandLoad(operand, only), block)


def operand_planes(elements: Symbols, source: OperandLoad, config: TileConfig, alphabet: Alphabet) -> Symbols:
    """Planes (bits, R or S) of the elements (count, bits) of a batch; rows without an element get constant zeros."""
    if source.block is None:
        size = config.rows
    else:
        size = config.outputs
        elements = elements[source.block * size : (source.block + 1) * size]
    missing = size - len(elements)
    if missing:
        elements = np.concatenate([elements, alphabet.zeros(missing, elements.shape[1])])
    return np.ascontiguousarray(elements.T)


def result_rows(job: JobPlan, config: TileConfig) -> Integers:
    """Output element of every row of an element-wise job."""
    rows = np.full(config.rows, -1, np.int64)
    batch = job.work
    rows[: batch.count] = np.arange(batch.first, batch.first + batch.count, dtype=np.int64)
    return rows


@dataclass(frozen=True)
class ElementFields:
    """First columns: operands, the second product, the sum, carries with the flag of the sign or of ties behind it.

    ``end`` is the column behind the last one that is written.
    """

    operands: tuple[int, ...]
    product: int
    sum: int
    scratch: int
    end: int


def elementwise_fields(
    shape: ElementwiseShape, config: TileConfig, base: int = 0, operands: tuple[int, ...] | None = None
) -> ElementFields | RoundedFields:
    """Where the fields of an element-wise layer lie: from column ``base``, or with operands that lie elsewhere.

    Raises
    ------
    MappingError
        If the tile has too few columns or a field would be wider than an instruction can name.
    """
    if shape.rounded is None:
        fields = _fields(shape, base, operands)
    else:
        fields = rounded_fields(shape, shape.rounded, base, operands)
    if fields.end > config.columns:
        raise MappingError(
            f"layer {shape.name!r} needs columns of at least {fields.end}, config {config.name} has {config.columns}"
        )
    if shape.sum_bits > MAXIMUM_FIELD or shape.factor_bits > MAXIMUM_OPERAND:
        raise MappingError(
            f"layer {shape.name!r} needs factors of {shape.factor_bits} and sums of {shape.sum_bits} bits, an "
            f"instruction can name at most {MAXIMUM_OPERAND} and {MAXIMUM_FIELD}"
        )
    return fields


def _fields(shape: ElementwiseShape, base: int, given: tuple[int, ...] | None) -> ElementFields:
    column = base
    operands: list[int] = []
    if given is None:
        for bits in shape.activation_bits:
            operands.append(column)
            column += bits
    else:
        operands += given
    product = column
    if len(operands) > 1:
        column += shape.factor_bits + max(shape.activation_bits[1:])
    scratch = column
    total = column + (2 if shape.two_sided or shape.ties is not None else 1)
    end = total + max(shape.sum_bits, shape.shift + shape.output_bits)
    return ElementFields(tuple(operands), product, total, scratch, end)


def elementwise_jobs(shape: ElementwiseShape, config: TileConfig, layer: Elementwise | None) -> tuple[JobPlan, ...]:
    """The jobs of an element-wise layer; without ``layer`` all immediate constants but the clamp are 0.

    Raises
    ------
    MappingError
        If the tile has too few columns or a field would be wider than an instruction can name.
    """
    fields = elementwise_fields(shape, config)
    return element_jobs(shape, config, lambda batch: _routine(shape, fields, batch, config, layer))


def _emit_products(builder: Builder, shape: ElementwiseShape, fields: ElementFields, layer: Elementwise | None) -> None:
    """Write the sum of the products of the loaded operands to the total; joins all port operations."""
    width, total, scratch = shape.sum_bits, fields.sum, fields.scratch
    for index, (column, bits) in enumerate(zip(fields.operands, shape.activation_bits, strict=True)):
        product_bits = shape.factor_bits + bits
        product = fields.product if index else total
        builder.fill(product, product_bits if index else width)
        builder.sync()
        builder.emit(
            Opcode.MULC,
            a_width=shape.factor_bits,
            b=column,
            b_width=bits,
            d=product,
            d_width=product_bits,
            constant=0 if layer is None else layer.factors[index],
        )
        if index:
            builder.emit(Opcode.ADD, a=product, a_width=product_bits, b=total, b_width=width, d=scratch, d_width=1)


def _routine(
    shape: ElementwiseShape,
    fields: ElementFields | RoundedFields,
    batch: ElementBatch,
    config: TileConfig,
    layer: Elementwise | None,
) -> Routine:
    builder = Builder(config)
    for index, (column, bits) in enumerate(zip(fields.operands, shape.activation_bits, strict=True)):
        load_operand(builder, column, bits, index, batch)
    value = emit_elementwise(builder, shape, fields, layer)
    builder.store_rows(value, shape.output_bits, batch.blocks)
    return builder.routine()


def emit_elementwise(
    builder: Builder, shape: ElementwiseShape, fields: ElementFields | RoundedFields, layer: Elementwise | None
) -> int:
    """Write what turns the operands into the result in all rows; returns the first column of the stored numbers.

    Joins all port operations.
    """
    if isinstance(fields, RoundedFields):
        emit_rounded_sum(builder, shape, fields, None if layer is None else layer.rounded_sum)
    else:
        _emit_products(builder, shape, fields, layer)
    width, total, scratch = shape.sum_bits, fields.sum, fields.scratch
    builder.owner = Owner.REQUANTIZE
    positive, negative, sign = (
        (0, 0, 0) if layer is None else (layer.addend_positive, layer.addend_negative, layer.sign_addend)
    )
    if shape.two_sided:
        builder.add_constant(total, width, sign, shape.constant_bits, scratch)
        builder.emit(Opcode.COPY, a=total + width - 1, a_width=1, d=scratch + 1, d_width=1)
        builder.add_constant(total, width, negative - positive, shape.constant_bits, scratch, predicate=scratch + 1)
        builder.add_constant(total, width, positive - sign, shape.constant_bits, scratch)
    else:
        builder.add_constant(total, width, positive, shape.constant_bits, scratch)
    if shape.ties is not None:
        builder.lower_ties(total, width, shape.shift, shape.ties, scratch)
    value = total + shape.shift
    builder.clamp(value, width - shape.shift, shape.low, shape.high, shape.output_bits, scratch)
    return value


class ElementwiseFeeder(Feeder):
    """Planes of an element-wise layer.

    Parameters
    ----------
    config : the tile.
    alphabet : how constant bits are written.
    """

    def __init__(self, config: TileConfig, alphabet: Alphabet) -> None:
        """Nothing to prepare: all constants are immediate."""
        self.config, self.alphabet = config, alphabet
        self._maps: list[Symbols] = []

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input maps."""
        self._maps = [operand.reshape(-1, operand.shape[-1]) for operand in stored]

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        assert isinstance(source, OperandLoad)
        batch = job.work
        elements = self._maps[source.operand][batch.first : batch.first + batch.count]
        return operand_planes(elements, source, self.config, self.alphabet)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row."""
        return result_rows(job, self.config)
