"""Pooling.  Average: dot products of window elements with ones.  Maximum: element by element, all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from golden.graph import AveragePool, Integers, MaxPool
from hw.config import TileConfig
from hw.isa import Opcode, Owner
from sim.mapping.bits import Alphabet, Symbols, flat_map, pack_taps
from sim.mapping.builder import Builder, JobPlan, Routine, Source
from sim.mapping.dot import BroadcastLoad, DotShape, ResidentLoad, Segment
from sim.mapping.dot_layer import check_columns, constant_planes, dot_jobs
from sim.mapping.elementwise import ElementBatch, OperandLoad, element_jobs, load_operand, operand_planes, result_rows
from sim.mapping.errors import MappingError
from sim.mapping.feeder import Feeder
from sim.mapping.geometry import window_positions
from sim.mapping.requantize import ConstantLoad
from sim.mapping.shapes import AveragePoolShape, MaxPoolShape

__all__ = ["AverageFeeder", "AverageLayout", "MaxFeeder", "average_jobs", "max_jobs"]


class AverageLayout:
    """How an average pool is laid out: outputs of one divisor at a time, S of them share a resident set.

    Parameters
    ----------
    shape, config : the layer and the tile.
    """

    def __init__(self, shape: AveragePoolShape, config: TileConfig) -> None:
        """Sort the outputs by divisor."""
        self.shape, self.config = shape, config
        self.positions = window_positions(
            shape.input_size, shape.output_size, shape.window, shape.stride, (1, 1), shape.padding
        )
        inside = np.sum(self.positions >= 0, axis=1, dtype=np.int64)
        channels = shape.output_size[2]
        self.sets: list[Integers] = []
        self.classes: list[int] = []
        for index, divisor in enumerate(shape.divisors):
            pixels = np.flatnonzero(inside == divisor).astype(np.int64)
            outputs = (pixels[:, None] * channels + np.arange(channels, dtype=np.int64)).reshape(-1)
            for first in range(0, len(outputs), config.outputs):
                self.sets.append(outputs[first : first + config.outputs])
                self.classes.append(index)

    @cached_property
    def dot(self) -> DotShape:
        """Sizes of the dot products: stored numbers times a 1-bit one."""
        elements, taps = self.shape.window[0] * self.shape.window[1], self.config.taps
        tiles = -(-elements // taps)
        dot = DotShape(
            used_taps=tuple(min(taps, elements - tile * taps) for tile in range(tiles)),
            resident_bits=self.shape.activation_bits[0],
            resident_signed=False,
            broadcast_bits=1,
            broadcast_signed=False,
            accumulator_bits=self.shape.requantize.accumulator_bits,
            bias_planes=False,
        )
        check_columns(self.shape.requantize, [dot], self.config, self.shape.name)
        return dot

    def segments(self) -> list[Segment]:
        """One block for each set of outputs; its broadcast item is the class of the divisor."""
        return [Segment(resident, (item,)) for resident, item in enumerate(self.classes)]


def average_jobs(layout: AverageLayout, layer: AveragePool | None) -> tuple[JobPlan, ...]:
    """The jobs of an average pool; without ``layer`` all immediate constants are 0.

    Raises
    ------
    MappingError
        If the layer does not fit the tile.
    """
    return dot_jobs(
        layout.shape.requantize,
        layout.dot,
        layout.segments(),
        layout.config,
        layout.shape.name,
        spread=True,
        bias=None if layer is None else lambda _, item: int(layer.rescale.bias[item]),
        rescale=None if layer is None else layer.rescale,
    )


class AverageFeeder(Feeder):
    """Planes of an average pool.

    Parameters
    ----------
    layout : of the layer's jobs.
    layer : the layer with its constants.
    alphabet : how constant bits are written.
    """

    def __init__(self, layout: AverageLayout, layer: AveragePool, alphabet: Alphabet) -> None:
        """Prepare the planes of ones."""
        self.layout, self.layer, self.alphabet, self.config = layout, layer, alphabet, layout.config
        ones = np.zeros((layout.dot.tiles, 1, self.config.taps), np.uint8)
        for plane, used in zip(ones, layout.dot.used_taps, strict=True):
            plane[:, :used] = 1
        self._ones = alphabet.encode(ones)
        self._map = alphabet.zeros(0)
        self._latest: tuple[int, Symbols] | None = None

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input map."""
        self._map = flat_map(stored[0], 0, self.alphabet)
        self._latest = None

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        if isinstance(source, BroadcastLoad):
            return np.concatenate([self._ones[tile] for _, tile in source.operands])
        if isinstance(source, ResidentLoad):
            planes = self._resident(job.work[source.sum][0])[source.tile, source.first : source.first + source.planes]
            if source.block is None:
                return planes
            return planes[:, source.block * self.config.outputs : (source.block + 1) * self.config.outputs]
        assert isinstance(source, ConstantLoad)
        entries = np.array([item for _, item in job.work], np.int64)
        bits = self.layout.shape.requantize.operand_bits
        return constant_planes(source, self.layer.rescale, entries, bits, self.config, self.alphabet)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row."""
        rows = np.full((self.config.taps, self.config.outputs), -1, np.int64)
        for block, (resident, _) in enumerate(job.work):
            outputs = self.layout.sets[resident]
            rows[block, : len(outputs)] = outputs
        return rows.reshape(-1)

    def _resident(self, resident: int) -> Symbols:
        if self._latest is None or self._latest[0] != resident:
            channels = self.layout.shape.output_size[2]
            outputs = self.layout.sets[resident]
            position = self.layout.positions[outputs // channels]
            nothing = len(self._map) - 1
            elements = np.where(position < 0, nothing, position * channels + (outputs % channels)[:, None])
            missing = self.config.outputs - len(outputs)
            elements = np.concatenate([elements, np.full((missing, elements.shape[1]), nothing, np.int64)])
            windows = self._map[elements]
            planes = pack_taps(windows, 1, self.layout.dot.tiles, self.config.taps, self.alphabet)
            self._latest = (resident, planes)
        return self._latest[1]


def max_jobs(shape: MaxPoolShape, config: TileConfig) -> tuple[JobPlan, ...]:
    """The jobs of a max pool: two operand fields and a flag column; the first field collects the maximum.

    Raises
    ------
    MappingError
        If the tile has too few columns.
    """
    bits = shape.output_bits
    flag = 2 * bits
    if flag >= config.columns:
        raise MappingError(
            f"layer {shape.name!r} needs columns of at least {flag + 1}, config {config.name} has {config.columns}"
        )

    def routine(batch: ElementBatch) -> Routine:
        builder = Builder(config)
        load_operand(builder, 0, bits, 0, batch)
        for element in range(1, shape.window[0] * shape.window[1]):
            load_operand(builder, bits, bits, element, batch)
            builder.sync()
            builder.emit(Opcode.MAX, a=bits, a_width=bits, b=0, b_width=bits, d=flag, d_width=1)
        builder.sync()
        builder.owner = Owner.REQUANTIZE
        low, high = shape.low, shape.low + shape.high
        if low and high < (1 << bits) - 1:
            builder.limit(0, bits, low, high, signed=False)
        elif low:
            builder.emit(Opcode.MAXC, b=0, b_width=bits, constant=low)
        elif high < (1 << bits) - 1:
            builder.emit(Opcode.MINC, b=0, b_width=bits, constant=high)
        builder.store_rows(0, bits, batch.blocks)
        return builder.routine()

    return element_jobs(shape, config, routine)


class MaxFeeder(Feeder):
    """Planes of a max pool; elements outside the map are read as 0, which never wins.

    Parameters
    ----------
    shape, config : the layer and the tile.
    layer : the layer.
    alphabet : how constant bits are written.
    """

    def __init__(self, shape: MaxPoolShape, config: TileConfig, layer: MaxPool, alphabet: Alphabet) -> None:
        """Find the elements of every window."""
        self.shape, self.config, self.alphabet = shape, config, alphabet
        positions = window_positions(
            shape.input_size, shape.output_size, layer.window, layer.stride, (1, 1), layer.padding
        )
        channels = shape.output_size[2]
        outside = shape.input_size[0] * shape.input_size[1] * channels + 1
        elements = np.where(positions < 0, -1, positions * channels)[:, None, :]
        elements = np.where(elements < 0, outside, elements + np.arange(channels, dtype=np.int64)[:, None])
        self._elements = elements.reshape(-1, positions.shape[1]).T
        self._map = alphabet.zeros(0)

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input map."""
        self._map = flat_map(stored[0], 0, self.alphabet)

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        assert isinstance(source, OperandLoad)
        wanted = self._elements[source.operand][job.work.first : job.work.first + job.work.count]
        return operand_planes(self._map[wanted], source, self.config, self.alphabet)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row."""
        return result_rows(job, self.config)
