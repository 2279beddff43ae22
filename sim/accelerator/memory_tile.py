"""Programs of MAPs: take the CAPs' sums and requantise them, add maps where they lie, send blocks.

Stored numbers of a map lie in fields, one for each batch, from column 0 on; work is done in the top columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden.engine import Bits
from golden.graph import Elementwise, Integers, Rescale
from hw.accelerator.config import AcceleratorConfig
from hw.isa import Instruction, LoadKind, Opcode, StoreKind
from sim.accelerator.placement import Batch, Placement
from sim.accelerator.pool_layers import PoolStep, pool_columns
from sim.mapping.bits import PLAIN, to_bits
from sim.mapping.builder import Builder, JobPlan, Sink, Source
from sim.mapping.dot_layer import constant_planes
from sim.mapping.elementwise import elementwise_fields, emit_elementwise
from sim.mapping.requantize import ConstantLoad, Layout, check_operand, emit_requantize, immediates, layout
from sim.mapping.shapes import ElementwiseShape, RequantizeShape

__all__ = ["ElementwiseStep", "MapWork", "SumStep", "send_program"]


@dataclass(frozen=True)
class _BatchStart(Source):
    """The first LOAD of batch ``number``: sums of a CAP."""

    number: int


@dataclass(frozen=True)
class _SumLoad(Source):
    """Sums of a CAP."""


@dataclass(frozen=True)
class _BiasLoad(Source):
    """One bias for each row block."""


@dataclass(frozen=True)
class SumStep:
    """Requantisation of the sums of a layer.

    Parameters
    ----------
    shape, rescale : how; ``rescale`` has the constants.
    entries : of each channel, its entry among the constants.
    bias : of each channel, what is added here; None where the CAPs' sums hold it already.
    columns : first column of the fields of the output.
    """

    shape: RequantizeShape
    rescale: Rescale
    entries: Integers
    bias: Integers | None
    columns: int


@dataclass(frozen=True)
class ElementwiseStep:
    """An element-wise layer in place.

    Parameters
    ----------
    shape, layer : what is done.
    operands, columns : first columns of the fields of the operands and of the output.
    """

    shape: ElementwiseShape
    layer: Elementwise
    operands: tuple[int, ...]
    columns: int


class MapWork:
    """What the MAPs of an accelerator do in a compute phase, batch by batch.

    Parameters
    ----------
    config : the accelerator.
    name : of the layer, for errors.
    windows : how the CAPs' sums are requantised, or the max pool; None where there is neither.
    elementwise : what follows for each batch.
    reserved : columns that hold maps.

    Raises
    ------
    MappingError
        If a MAP has too few columns.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        name: str,
        windows: SumStep | PoolStep | None,
        elementwise: Sequence[ElementwiseStep],
        reserved: int,
    ) -> None:
        self.config, self.elementwise = config, tuple(elementwise)
        self.sums = sums = windows if isinstance(windows, SumStep) else None
        self.pool = windows if isinstance(windows, PoolStep) else None
        self._jobs: dict[tuple[int, tuple[int, ...]], JobPlan] = {}
        self._place: Layout | None = None
        self._bias_column = 0
        if sums is not None:
            self._place, self._bias_column = _sum_columns(
                config, name, sums.shape, reserved, biased=sums.bias is not None
            )
        self._pool_column = 0 if self.pool is None else pool_columns(config, self.pool.layer, reserved)
        for step in self.elementwise:
            _element_columns(config, step.shape, reserved)

    def program(
        self, placement: Placement, cluster: int, number: int, first: int, batches: Sequence[Batch]
    ) -> tuple[tuple[Instruction, ...], Bits]:
        """The program of MAP ``number`` for batches from ``first``, and the planes of its taps memory (planes, G)."""
        blocks = tuple(sum(placement.width(unit.turn) for unit in batch.units) for batch in batches)
        if (first, blocks) not in self._jobs:
            self._jobs[first, blocks] = self._job(first, blocks)
        job = self._jobs[first, blocks]
        planes: list[Bits] = []
        channels: list[int] = []
        for source in job.loads:
            if isinstance(source, _BatchStart):
                rows = placement.rows(cluster, number, batches[source.number - first])
                channels = [-1 if block is None else block[1] for block in rows]
            planes += self._planes(source, np.array(channels, np.int64))
        return job.instructions, np.concatenate([np.zeros((0, self.config.taps), np.uint8), *planes])

    def _job(self, first: int, blocks: Sequence[int]) -> JobPlan:
        """The program for batches of so many row blocks, from batch ``first``."""
        builder = Builder(self.config.map)
        ticket = -1 if self.pool is None else self.pool.load_first(builder, first)
        for index, count in enumerate(blocks, first):
            if self.sums is not None:
                self._emit_sums(builder, self.sums, index, count)
            if self.pool is not None:
                more = index < first + len(blocks) - 1
                ticket = self.pool.emit(builder, self._pool_column, index, ticket, more=more)
            for step in self.elementwise:
                self._emit_elementwise(builder, step, index)
        return builder.finish(None)

    def _emit_sums(self, builder: Builder, sums: SumStep, batch: int, blocks: int) -> None:
        assert self._place is not None
        place, shape = self._place, sums.shape
        width = shape.accumulator_bits
        for block in range(blocks):
            source = _SumLoad() if block else _BatchStart(batch)
            builder.load(LoadKind.BLOCK, place.accumulator, width, source, block)
        if sums.bias is not None:
            builder.load(LoadKind.TAPS, self._bias_column, width, _BiasLoad())
            builder.sync()
            builder.emit(
                Opcode.ADD,
                a=self._bias_column,
                a_width=width,
                b=place.accumulator,
                b_width=width,
                d=place.carry,
                d_width=1,
            )
        constants = immediates(shape, sums.rescale)
        value = emit_requantize(builder, shape, place, blocks, spread=True, constants=constants)
        column = sums.columns + batch * shape.bits
        builder.emit(Opcode.COPY, a=value, a_width=shape.bits, d=column, d_width=shape.bits)

    def _emit_elementwise(self, builder: Builder, step: ElementwiseStep, batch: int) -> None:
        shape, tile = step.shape, self.config.map
        operands = tuple(
            column + batch * bits for column, bits in zip(step.operands, shape.activation_bits, strict=True)
        )
        fields = elementwise_fields(shape, tile, _element_columns(self.config, shape), operands)
        value = emit_elementwise(builder, shape, fields, step.layer)
        bits = shape.output_bits
        builder.emit(Opcode.COPY, a=value, a_width=bits, d=step.columns + batch * bits, d_width=bits)

    def _planes(self, source: Source, channels: Integers) -> list[Bits]:
        sums = self.sums
        if sums is None or isinstance(source, _BatchStart | _SumLoad):
            return []
        known = channels >= 0
        if isinstance(source, _BiasLoad):
            assert sums.bias is not None
            numbers = np.zeros(self.config.taps, np.int64)
            numbers[: len(channels)][known] = sums.bias[channels[known]]
            return [np.ascontiguousarray(to_bits(numbers, sums.shape.accumulator_bits).T)]
        assert isinstance(source, ConstantLoad)
        entries = np.where(known, sums.entries[np.where(known, channels, 0)], -1)
        return [constant_planes(source, sums.rescale, entries, sums.shape.operand_bits, self.config.map, PLAIN)]


def _sum_columns(
    config: AcceleratorConfig, name: str, shape: RequantizeShape, reserved: int, *, biased: bool
) -> tuple[Layout, int]:
    """Where a MAP requantises, and the first column that it works in; with ``biased`` there is room for biases.

    Raises
    ------
    MappingError
        If a MAP has too few columns, or a constant is too wide for an instruction.
    """
    check_operand(shape, name)
    room = shape.accumulator_bits if biased else 0
    place = layout(shape, config.map, name, reserved + room)
    return place, place.carry - room


def _element_columns(config: AcceleratorConfig, shape: ElementwiseShape, reserved: int = 0) -> int:
    """The first column that a MAP works in for an element-wise layer, above ``reserved`` ones.

    Raises
    ------
    MappingError
        As :func:`~sim.mapping.elementwise.elementwise_fields`.
    """
    operands = (0,) * len(shape.activation_bits)
    return config.map.columns + reserved - elementwise_fields(shape, config.map, reserved, operands).end


def send_program(config: AcceleratorConfig, blocks: Sequence[tuple[int, int]], bits: int) -> tuple[Instruction, ...]:
    """The program of a MAP that stores blocks, given as (first column, row block), in order."""
    builder = Builder(config.map)
    for column, block in blocks:
        builder.store(StoreKind.BLOCK, column, bits, Sink(0, 0), block)
    return builder.finish(None).instructions
