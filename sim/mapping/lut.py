"""Mode ``lut``: one product in every row, and a REDUCE over the taps of a window.

MUL multiplies the activations and the weights of one tap tile in all rows at once.  Where a window has several tap
tiles, the products of a row are added first, so that each pass has one REDUCE.  The sum of a segment ends in its first
row block; RESTORE and DRAIN bring it to the row block of its unit in the batch's accumulators, where all sums get their
bias and are requantised together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from golden.graph import Conv, Integers
from golden.laws import run_law
from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import LoadKind, Opcode, Owner
from sim.mapping.bits import Alphabet, Symbols, flat_map, pack_taps, to_bits
from sim.mapping.builder import Builder, JobPlan, Source, row_pieces
from sim.mapping.dot_layer import constant_planes
from sim.mapping.feeder import Feeder
from sim.mapping.geometry import window_elements, window_positions
from sim.mapping.lut_layout import LutLayout, candidates
from sim.mapping.lut_tiling import Pass, Tiling, Unit
from sim.mapping.requantize import ConstantLoad, emit_requantize, immediates, layout
from sim.mapping.shapes import ConvShape

__all__ = ["BroadcastTile", "LutFeeder", "ResidentTile", "lut_jobs", "lut_layout"]

_BIAS = ("bias",)
_FEW_PASSES = 64  # of a layer; their programs are made in a moment
_JUDGED = 24  # layouts, the best by the estimate


@dataclass(frozen=True)
class ResidentTile(Source):
    """A tap tile of the resident operand of each segment: all row blocks, or one."""

    residents: tuple[int, ...]
    tile: int
    block: int | None


@dataclass(frozen=True)
class BroadcastTile(Source):
    """A tap tile of the broadcast operand of each segment."""

    units: Pass
    tile: int


@lru_cache(maxsize=256)
def lut_layout(shape: ConvShape, config: TileConfig) -> LutLayout:
    """The layout that takes the fewest cycles, from shapes only.

    Where passes are few, what is not in their sum matters, so the laws decide among the best by the estimate.

    Raises
    ------
    MappingError
        If the layer does not fit the tile.
    """
    layouts = candidates(shape, config)
    _, passes, _ = layouts[0].counts
    if passes > _FEW_PASSES:
        return layouts[0]

    def cycles(layout: LutLayout) -> int:
        return sum(total_cycles(run_law(job.program, config)) for job in lut_jobs(layout, None))

    return min(layouts[:_JUDGED], key=cycles)


def lut_jobs(plan: LutLayout, layer: Conv | None) -> tuple[JobPlan, ...]:
    """The jobs of a layer, ``work`` of each its units by row block; without ``layer`` all immediate constants are 0."""
    tiling = plan.tiling
    shape, config = tiling.shape, tiling.config
    place = layout(shape.requantize, config, shape.name)
    constants = immediates(shape.requantize, None if layer is None else layer.rescale)
    jobs: list[JobPlan] = []
    for passes in plan.jobs():
        units = tuple(unit for some in passes for unit in some)
        builder = Builder(config)
        _Batch(builder, tiling).emit(passes)
        _emit_bias(builder, tiling, len(units))
        value = emit_requantize(
            builder, shape.requantize, place, len(units), spread=tiling.on_pixels, constants=constants
        )
        builder.store_rows(value, shape.requantize.bits, len(units))
        jobs.append(builder.finish(units))
    return tuple(jobs)


class _Batch:
    """The passes of a job; resident tap tiles stay in their slots as long as the residents stay the same."""

    def __init__(self, builder: Builder, tiling: Tiling) -> None:
        self.builder, self.tiling = builder, tiling
        self.residents: tuple[int, ...] = ()
        self.slots: dict[int, int] = {}  # of tap tiles, the least recently used first
        self.order = range(0)

    def emit(self, passes: Sequence[Pass]) -> None:
        """Write all passes; the sums end in the accumulators, not yet joined."""
        block = 0
        for units in passes:
            self._sum(units)
            self._move(len(units), block)
            block += len(units)

    def _sum(self, units: Pass) -> None:
        """Multiply all tap tiles, add the products of each row and reduce them."""
        builder, tiling = self.builder, self.tiling
        residents = tuple(resident for resident, _ in units)
        if residents != self.residents:
            self.residents, self.slots = residents, {}
            self.order = range(tiling.tiles)
        else:
            self.order = self.order[::-1]  # begin with the tap tiles that are still there
        for count, tile in enumerate(self.order):
            slot = self._slot(tile)
            builder.load(LoadKind.TAPS, tiling.broadcast, tiling.broadcast_bits, BroadcastTile(units, tile))
            self._multiply(slot, tiling.product if count else tiling.sums)
            if count:
                self._add(tiling.widths[count - 1], tiling.widths[count])
        if tiling.levels:
            builder.emit(
                Opcode.REDUCE, kind=tiling.kind, d=tiling.sums, d_width=tiling.reduced_bits, a_width=tiling.widths[-1],
                a_signed=True, constant=tiling.words, p=tiling.carry, owner=Owner.REDUCE,
            )  # fmt: skip

    def _slot(self, tile: int) -> int:
        """The columns of a resident tap tile, which is loaded where it is not there."""
        tiling = self.tiling
        if tile in self.slots:
            slot = self.slots.pop(tile)
        else:
            slot = len(self.slots)
            if slot == tiling.slots:
                slot = self.slots.pop(next(iter(self.slots)))
            self._load(tile, slot)
        self.slots[tile] = slot
        return tiling.first_slot + slot * tiling.resident_bits

    def _load(self, tile: int, slot: int) -> None:
        tiling = self.tiling
        column = tiling.first_slot + slot * tiling.resident_bits
        used = (len(self.residents) - 1) * tiling.stride + tiling.words
        for _, planes, kind, block in row_pieces(tiling.resident_bits, used, tiling.config):
            source = ResidentTile(self.residents, tile, block if kind == LoadKind.BLOCK else None)
            self.builder.load(kind, column, planes, source, block)

    def _multiply(self, resident: int, product: int) -> None:
        builder, tiling = self.builder, self.tiling
        activation, weight = (resident, tiling.broadcast) if tiling.on_pixels else (tiling.broadcast, resident)
        builder.fill(product, tiling.product_bits)
        builder.sync()
        builder.emit(
            Opcode.MUL,
            a=activation,
            a_width=tiling.shape.activation_bits[0],
            b=weight,
            b_width=tiling.shape.kernel_bits,
            b_signed=True,
            d=product,
            d_width=tiling.product_bits,
        )

    def _add(self, before: int, width: int) -> None:
        """Add a product to the sum, which grows from ``before`` to ``width`` bits."""
        builder, tiling = self.builder, self.tiling
        for column in range(tiling.sums + before, tiling.sums + width):
            builder.emit(Opcode.COPY, a=tiling.sums + before - 1, a_width=1, d=column, d_width=1)
        builder.emit(
            Opcode.ADD,
            a=tiling.product,
            a_width=tiling.product_bits,
            a_signed=True,
            b=tiling.sums,
            b_width=width,
            d=tiling.carry,
            d_width=1,
        )

    def _move(self, units: int, block: int) -> None:
        """Bring the sums of the segments to row blocks ``block`` .. of the accumulators."""
        builder, tiling = self.builder, self.tiling
        for segment in range(units):
            builder.sync(builder.restore(tiling.sums, tiling.moved_bits, segment * tiling.stride))
            builder.drain(tiling.accumulator, tiling.shape.requantize.accumulator_bits, block + segment)


def _emit_bias(builder: Builder, tiling: Tiling, blocks: int) -> None:
    """Add the biases to the accumulators of the first ``blocks`` row blocks, at least."""
    bits = tiling.shape.requantize.accumulator_bits
    if tiling.on_pixels:
        builder.load(LoadKind.TAPS, tiling.broadcast, bits, ConstantLoad(_BIAS, True, None))
    else:
        for _, planes, kind, block in row_pieces(bits, blocks, tiling.config):
            only = block if kind == LoadKind.BLOCK else None
            builder.load(kind, tiling.broadcast, planes, ConstantLoad(_BIAS, False, only), block)
    builder.sync()
    builder.emit(
        Opcode.ADD, a=tiling.broadcast, a_width=bits, b=tiling.accumulator, b_width=bits, d=tiling.carry, d_width=1
    )


class LutFeeder(Feeder):
    """Planes of a convolution in mode ``lut``.

    Parameters
    ----------
    plan : of the layer's jobs.
    layer : the layer with its weights.
    alphabet : how constant bits are written.
    """

    def __init__(self, plan: LutLayout, layer: Conv, alphabet: Alphabet) -> None:
        """Prepare the planes of the weights."""
        self.tiling, self.layer, self.alphabet = plan.tiling, layer, alphabet
        shape = self.shape = self.tiling.shape
        self.config = self.tiling.config
        bits = to_bits(layer.weights.reshape(layer.weights.shape[0], -1), layer.weight_bits)
        self._weights = self._pack(alphabet.encode(bits))
        self._windows: dict[int, Symbols] = {}
        self._positions = window_positions(
            shape.input_size, shape.output_size, shape.kernel, shape.stride, shape.dilation, shape.padding
        )
        self._map = alphabet.zeros(0)

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input map."""
        self._map = flat_map(stored[0], self.layer.pad_value, self.alphabet)
        self._windows = {}

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        if isinstance(source, ResidentTile):
            planes = self._on_segments(
                [self._resident(resident)[source.tile] for resident in source.residents], self.config.outputs
            )
            if source.block is not None:
                return planes[:, source.block]
            return planes.reshape(len(planes), -1)
        if isinstance(source, BroadcastTile):
            return self._on_segments([self._broadcast(unit)[source.tile] for unit in source.units], 1)[:, :, 0]
        assert isinstance(source, ConstantLoad)
        channels = self.shape.output_size[2]
        rows = self.rows(job).reshape(self.config.taps, -1)[: len(job.work)]
        entries = np.where(rows >= 0, rows % channels, -1)
        entries = entries[:, 0] if source.spread else entries.reshape(-1)
        requantize = self.shape.requantize
        bits = requantize.accumulator_bits if source.names == _BIAS else requantize.operand_bits
        return constant_planes(source, self.layer.rescale, entries, bits, self.config, self.alphabet)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row."""
        rows = np.full((self.config.taps, self.config.outputs), -1, np.int64)
        for block, unit in enumerate(job.work):
            outputs = self._outputs(unit)
            rows[block, : len(outputs)] = outputs
        return rows.reshape(-1)

    def _outputs(self, unit: Unit) -> Integers:
        """Output elements of a unit."""
        resident, item = unit
        channels = self.shape.output_size[2]
        if not self.tiling.on_pixels:
            return item * channels + self._members(resident, channels)
        group, channel = self._split(resident)
        return self._members(group, len(self._positions)) * channels + channel * self.tiling.items + item

    def _split(self, resident: int) -> tuple[int, int]:
        """Run of pixels of a resident, and its input channel in a depthwise convolution (else 0)."""
        return divmod(resident, self.shape.input_size[2]) if self.shape.depthwise else (resident, 0)

    def _members(self, group: int, count: int) -> Integers:
        """The pixels or channels of a run, out of ``count``."""
        first = group * self.config.outputs
        return np.arange(first, min(first + self.config.outputs, count), dtype=np.int64)

    def _resident(self, resident: int) -> Symbols:
        """A resident operand: (tap tiles, bits, words, its outputs)."""
        if not self.tiling.on_pixels:
            return self._weights[..., self._members(resident, self.shape.output_size[2])]
        if resident not in self._windows:
            group, channel = self._split(resident)
            self._windows[resident] = self._window(self._members(group, len(self._positions)), channel)
        return self._windows[resident]

    def _broadcast(self, unit: Unit) -> Symbols:
        """A broadcast operand: (tap tiles, bits, words, 1)."""
        resident, item = unit
        if self.tiling.on_pixels:
            _, channel = self._split(resident)
            return self._weights[..., [channel * self.tiling.items + item]]
        if item not in self._windows:
            self._windows[item] = self._window(np.array([item]), 0)
        return self._windows[item]

    def _window(self, pixels: Integers, channel: int) -> Symbols:
        """The windows of output pixels: (tap tiles, bits, words, pixels); ``channel`` is that of a depthwise one."""
        shape = self.shape
        channels = np.array([channel]) if shape.depthwise else np.arange(shape.input_size[2])
        elements = window_elements(self._positions[pixels], channels, shape.input_size)
        return self._pack(self._map[elements.reshape(len(pixels), -1)])

    def _pack(self, elements: Symbols) -> Symbols:
        """Planes (tap tiles, bits, words, outputs) of (outputs, elements, bits); missing taps are constant 0."""
        tiling = self.tiling
        planes = pack_taps(elements, 1, tiling.tiles, tiling.words, self.alphabet)
        return planes.reshape(*planes.shape[:2], tiling.words, -1)

    def _on_segments(self, parts: Sequence[Symbols], outputs: int) -> Symbols:
        """Planes (bits, taps, outputs) with one part (bits, words, at most outputs) in each segment, elsewhere 0."""
        tiling = self.tiling
        planes = self.alphabet.zeros(len(parts[0]), self.config.taps, outputs)
        for segment, part in enumerate(parts):
            first = segment * tiling.stride
            planes[:, first : first + tiling.words, : part.shape[-1]] = part
        return planes
