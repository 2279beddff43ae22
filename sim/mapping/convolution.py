"""Convolutions, depthwise convolutions and fully connected layers in mode ``count``.

Two ways to lay them out.  With *pixels on the outputs*, resident are the windows of S output pixels and broadcast are
the weights of one output channel.  With *channels on the outputs*, resident are the weights of S output channels and
broadcast is the window of one pixel, which suits layers of few pixels.  Where taps are left over, an activation may be
cut into *digits* on taps of their own, each against a copy of the weight that is moved up by the digit's place:
narrower times a little wider takes fewer cycles.  The cheapest layout by the laws is taken; it depends on shapes only.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden.engine import PackedPlanes
from golden.graph import Conv, Integers
from hw.config import TileConfig
from sim.mapping.bits import PLAIN, Alphabet, Symbols, flat_map, pack_bits, pack_taps, shifted, to_bits
from sim.mapping.builder import JobPlan, Routine, Source
from sim.mapping.dot import BiasLoad, BroadcastLoad, DotShape, ResidentLoad, Segment
from sim.mapping.dot_layer import check_columns, constant_planes, dot_jobs, estimate
from sim.mapping.feeder import Feeder
from sim.mapping.geometry import window_elements, window_positions
from sim.mapping.requantize import ConstantLoad
from sim.mapping.shapes import ConvShape

_SCALE = 8
_PART = 64  # pixels or channels whose bits are unpacked at a time
_DIGITS = (8, 4, 3, 2, 1)  # bits of a digit of 8 bits, for 1, 2, 3, 4 and 8 digits

__all__ = ["ConvFeeder", "ConvLayout", "conv_jobs", "conv_layout"]


@dataclass(frozen=True)
class ConvLayout:
    """How a convolution is laid out on a tile.

    Parameters
    ----------
    shape, config : the layer and the tile.
    on_pixels : pixels are on the outputs and weights are broadcast; else channels are and activations are broadcast.
    digit_bits : bits of an activation that share a tap.
    """

    shape: ConvShape
    config: TileConfig
    on_pixels: bool
    digit_bits: int

    @property
    def digits(self) -> int:
        """Taps that one activation takes."""
        return -(-self.shape.activation_bits[0] // self.digit_bits)

    @property
    def group(self) -> int:
        """Input channels whose taps a resident set holds: all, or as many as fit a tile of a depthwise convolution."""
        if not self.shape.depthwise:
            return self.shape.input_size[2]
        return max(1, min(self.shape.input_size[2], self.config.taps // (self.shape.reduction * self.digits)))

    @property
    def groups(self) -> int:
        """Resident sets that share pixels."""
        return -(-self.shape.input_size[2] // self.group)

    @property
    def set_taps(self) -> int:
        """Taps of a resident set."""
        return self.shape.kernel[0] * self.shape.kernel[1] * self.group * self.digits

    @property
    def pixels(self) -> int:
        """Pixels of the output map."""
        return self.shape.output_size[0] * self.shape.output_size[1]

    @property
    def residents(self) -> int:
        """Resident sets of the layer."""
        spread = self.pixels if self.on_pixels else self.shape.output_size[2]
        return -(-spread // self.config.outputs) * (self.groups if self.on_pixels else 1)

    @cached_property
    def dot(self) -> DotShape:
        """Sizes of the dot products."""
        taps = self.config.taps
        tiles = -(-self.set_taps // taps)
        weights = self.shape.kernel_bits + (self.digits - 1) * self.digit_bits
        return DotShape(
            used_taps=tuple(min(taps, self.set_taps - tile * taps) for tile in range(tiles)),
            resident_bits=self.digit_bits if self.on_pixels else weights,
            resident_signed=not self.on_pixels,
            broadcast_bits=weights if self.on_pixels else self.digit_bits,
            broadcast_signed=self.on_pixels,
            accumulator_bits=self.shape.requantize.accumulator_bits,
            bias_planes=not self.on_pixels,
        )

    def segments(self) -> list[Segment]:
        """All blocks, by resident set."""
        if not self.on_pixels:
            items = tuple(range(self.pixels))
            return [Segment(resident, items) for resident in range(self.residents)]
        outputs = self.shape.output_size[2]
        step = self.group * self.shape.depth_multiplier if self.shape.depthwise else outputs
        ranges = [tuple(range(first, min(first + step, outputs))) for first in range(0, outputs, step)]
        return [Segment(resident, ranges[resident % self.groups]) for resident in range(self.residents)]

    @property
    def cycles(self) -> int:
        """About how many cycles the layer takes."""
        outputs = self.shape.output_size[2]
        blocks = self.residents // self.groups * outputs if self.on_pixels else self.residents * self.pixels
        return estimate(
            self.shape.requantize, self.dot, self.residents, blocks, spread=self.on_pixels, config=self.config
        )


def conv_layout(shape: ConvShape, config: TileConfig) -> ConvLayout:
    """The layout that would take the fewest cycles with activations of 8 bits and weights in proportion.

    So a layer has the same layout at all uniform widths, and its DOTs take cycles in proportion to the product of the
    widths.

    Raises
    ------
    MappingError
        If the layer does not fit the tile.
    """
    bits, wide = shape.activation_bits[0], _scaled(shape)
    candidates: list[tuple[ConvLayout, ConvLayout]] = []
    for on_pixels in (True,) if shape.depthwise else (True, False):
        for width in _DIGITS:
            scaled = ConvLayout(wide, config, on_pixels, width)
            candidates.append((ConvLayout(shape, config, on_pixels, -(-bits // scaled.digits)), scaled))
    fitting = check_columns(shape.requantize, [layout.dot for layout, _ in candidates], config, shape.name)
    return min((pair for pair in candidates if pair[0].dot in fitting), key=lambda pair: pair[1].cycles)[0]


def _scaled(shape: ConvShape) -> ConvShape:
    """The same layer with activations of 8 bits and weights in proportion."""
    bits, weights = shape.activation_bits[0], shape.kernel_bits
    kernel = max(1, (2 * weights * _SCALE + bits) // (2 * bits))
    accumulator = max(1, shape.requantize.accumulator_bits + _SCALE - bits + kernel - weights)
    requantize = dataclasses.replace(shape.requantize, accumulator_bits=accumulator)
    return dataclasses.replace(shape, activation_bits=(_SCALE,), kernel_bits=kernel, requantize=requantize)


def conv_jobs(layout: ConvLayout, layer: Conv | None) -> tuple[JobPlan, ...]:
    """The jobs of a layer; without ``layer`` all immediate constants are 0."""
    return dot_jobs(
        layout.shape.requantize,
        layout.dot,
        layout.segments(),
        layout.config,
        layout.shape.name,
        spread=layout.on_pixels,
        bias=None if layer is None else lambda _, item: int(layer.rescale.bias[item]),
        rescale=None if layer is None else layer.rescale,
    )


@dataclass(frozen=True)
class _Order:
    """The LOADs of a routine: broadcast operands of all of them, and what comes between.

    Parameters
    ----------
    sums, tiles : of every broadcast operand, in the order of execution.
    parts : in that order, a run of broadcast operands, or another source.
    """

    sums: Integers
    tiles: Integers
    parts: tuple[slice | Source, ...]


def _order(sources: Sequence[Source]) -> _Order:
    operands: list[tuple[int, int]] = []
    parts: list[slice | Source] = []
    for broadcasts, group in itertools.groupby(sources, lambda source: isinstance(source, BroadcastLoad)):
        if not broadcasts:
            parts += group
            continue
        first = len(operands)
        for source in group:
            assert isinstance(source, BroadcastLoad)
            operands += source.operands
        parts.append(slice(first, len(operands)))
    pairs = np.array(operands, np.int64).reshape(-1, 2)
    return _Order(pairs[:, 0], pairs[:, 1], tuple(parts))


class ConvFeeder(Feeder):
    """Planes of a convolution.

    Parameters
    ----------
    layout : of the layer's jobs.
    layer : the layer with its weights.
    alphabet : how constant bits are written.
    """

    def __init__(self, layout: ConvLayout, layer: Conv, alphabet: Alphabet) -> None:
        """Prepare the planes of the weights."""
        self.layout, self.layer, self.alphabet = layout, layer, alphabet
        shape = self.shape = layout.shape
        self.config = layout.config
        # Planes are kept as bytes where a row block has whole ones; the methods that begin with _rows give them so.
        self._packed = alphabet == PLAIN and self.config.outputs % 8 == 0
        self._block = self.config.outputs // 8 if self._packed else self.config.outputs
        self._orders: dict[int, tuple[Routine, _Order]] = {}
        self._constant_sets: dict[int, Symbols] = {}
        self._biases: dict[int, Symbols] = {}
        self._constants: tuple[JobPlan, ConstantLoad, Symbols] | None = None
        self._latest: tuple[int, Symbols] | None = None
        self._items: Symbols | None = self._broadcast_weights() if layout.on_pixels else None
        self._positions = window_positions(
            shape.input_size, shape.output_size, shape.kernel, shape.stride, shape.dilation, shape.padding
        )
        self._map = alphabet.zeros(0)

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input map."""
        self._map = flat_map(stored[0], self.layer.pad_value, self.alphabet)
        self._latest = None
        if not self.layout.on_pixels:
            pixels = np.arange(self.layout.pixels, dtype=np.int64)
            parts = [self._windows(pixels[first : first + _PART], 0) for first in range(0, len(pixels), _PART)]
            self._items = np.concatenate([self._item_rows(part) for part in parts])

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        rows = self._rows_of(job, source)
        if not self._packed:
            return rows
        if isinstance(source, BroadcastLoad) or (isinstance(source, ConstantLoad) and source.spread):
            bits = self.config.taps
        else:
            whole = isinstance(source, ResidentLoad | ConstantLoad) and source.block is None
            bits = self.config.rows if whole else self.config.outputs
        return np.unpackbits(rows, axis=1, count=bits, bitorder="little")

    def job_planes(self, job: JobPlan) -> Sequence[Symbols]:
        """The planes of every LOAD; packed where bits are plain and row blocks have whole bytes."""
        if not self._packed:
            return super().job_planes(job)
        routine = job.routine
        if id(routine) not in self._orders:
            self._orders[id(routine)] = (routine, _order(routine.loads))
        order = self._orders[id(routine)][1]
        assert self._items is not None
        operands = self._items[_items(job)[order.sums], order.tiles]
        parts = [operands[part] if isinstance(part, slice) else self._rows_of(job, part) for part in order.parts]
        return PackedPlanes(np.concatenate([part.reshape(-1) for part in parts]), routine.load_shapes)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row."""
        channels = self.shape.output_size[2]
        rows = np.full(self.config.rows, -1, np.int64)
        members = self._members(job)
        items = _items(job)[:, None]
        elements = members * channels + items if self.layout.on_pixels else items * channels + members
        rows[: members.size] = np.where(members < 0, -1, elements).reshape(-1)
        return rows

    def _members(self, job: JobPlan) -> Integers:
        """The pixel, or the output channel, of every row of the used row blocks: (row blocks, S), -1 for none."""
        residents = np.array([resident for resident, _ in job.work], np.int64)
        if self.layout.on_pixels:
            residents //= self.layout.groups
        members = residents[:, None] * self.config.outputs + np.arange(self.config.outputs, dtype=np.int64)
        return np.where(members < self._spread, members, -1)

    @property
    def _spread(self) -> int:
        """Pixels or channels that are spread over the outputs."""
        return self.layout.pixels if self.layout.on_pixels else self.shape.output_size[2]

    def _range(self, group: int) -> Integers:
        """The pixels or output channels of a group of S."""
        first = group * self.config.outputs
        return np.arange(first, min(first + self.config.outputs, self._spread), dtype=np.int64)

    def _rows_of(self, job: JobPlan, source: Source) -> Symbols:
        if isinstance(source, BroadcastLoad):
            assert self._items is not None
            return np.concatenate([self._items[job.work[sum_][1], tile] for sum_, tile in source.operands])
        if isinstance(source, ResidentLoad):
            rows = self._resident(job.work[source.sum][0])[source.tile, source.first : source.first + source.planes]
            return self._only(rows, source.block)
        if isinstance(source, BiasLoad):
            return self._bias(job.work[source.sum][0])
        assert isinstance(source, ConstantLoad)
        whole = dataclasses.replace(source, block=None)
        if self._constants is None or self._constants[0] is not job or self._constants[1] != whole:
            entries = _items(job) if self.layout.on_pixels else self._members(job).reshape(-1)
            bits = self.shape.requantize.operand_bits
            planes = constant_planes(whole, self.layer.rescale, entries, bits, self.config, self.alphabet)
            self._constants = (job, whole, self._row(planes))
        return self._only(self._constants[2], source.block)

    def _only(self, rows: Symbols, block: int | None) -> Symbols:
        """Of planes of all rows those of a row block."""
        return rows if block is None else rows[:, block * self._block : (block + 1) * self._block]

    def _row(self, planes: Symbols) -> Symbols:
        return pack_bits(planes) if self._packed else planes

    def _bias(self, resident: int) -> Symbols:
        if resident not in self._biases:
            channels = self._range(resident)
            bias = np.zeros(self.config.outputs, np.int64)
            bias[: len(channels)] = self.layer.rescale.bias[channels]
            bits = to_bits(bias, self.shape.requantize.accumulator_bits)
            self._biases[resident] = self._row(self.alphabet.encode(np.ascontiguousarray(bits.T)))
        return self._biases[resident]

    def _resident(self, resident: int) -> Symbols:
        """The planes of a resident set: (tap tiles, bits, rows)."""
        if not self.layout.on_pixels:
            if resident not in self._constant_sets:
                self._constant_sets[resident] = self._resident_rows(self._weights(self._range(resident)))
            return self._constant_sets[resident]
        if self._latest is None or self._latest[0] != resident:
            group, part = divmod(resident, self.layout.groups)
            self._latest = (resident, self._resident_rows(self._windows(self._range(group), part)))
        return self._latest[1]

    def _windows(self, pixels: Integers, group: int) -> Symbols:
        """The windows of output pixels: (pixels, elements of a resident set, digits * digit_bits)."""
        shape, layout = self.shape, self.layout
        channels = shape.input_size[2]
        if shape.depthwise:
            wanted = np.arange(group * layout.group, min((group + 1) * layout.group, channels), dtype=np.int64)
            elements = window_elements(self._positions[pixels], wanted, shape.input_size).transpose(0, 2, 1)
        else:
            wanted = np.arange(channels, dtype=np.int64)
            elements = window_elements(self._positions[pixels], wanted, shape.input_size)
        windows = self._map[elements.reshape(len(pixels), -1)]
        missing = layout.digits * layout.digit_bits - windows.shape[-1]
        if missing:
            windows = np.concatenate([windows, self.alphabet.zeros(*windows.shape[:2], missing)], axis=2)
        return windows

    def _weights(self, channels: Integers) -> Symbols:
        """The weights of output channels: (channels, elements of the window, digits * width)."""
        layer, layout = self.layer, self.layout
        bits = to_bits(layer.weights[channels].reshape(len(channels), -1), layer.weight_bits)
        return shifted(bits, layout.digit_bits, layout.digits, signed=True, alphabet=self.alphabet)

    def _pack(self, elements: Symbols) -> Symbols:
        """Planes (tap tiles, bits, taps, outputs) of (outputs, elements, digits * width)."""
        planes = pack_taps(elements, self.layout.digits, self.layout.dot.tiles, self.config.taps, self.alphabet)
        return planes.reshape(*planes.shape[:2], self.config.taps, -1)

    def _resident_rows(self, elements: Symbols) -> Symbols:
        """Planes (tap tiles, bits, rows) of at most S outputs; the others get constant zeros."""
        missing = self.config.outputs - len(elements)
        if missing:
            elements = np.concatenate([elements, self.alphabet.zeros(missing, *elements.shape[1:])])
        planes = self._pack(elements)
        return self._row(planes.reshape(*planes.shape[:2], -1))

    def _item_rows(self, elements: Symbols) -> Symbols:
        """Planes (items, tap tiles, bits, taps) of (items, elements, digits * width)."""
        return self._row(np.ascontiguousarray(self._pack(elements).transpose(3, 0, 1, 2)))

    def _broadcast_weights(self) -> Symbols:
        """Weights of every output channel on its taps: (output channels, tap tiles, bits, taps)."""
        layout, shape = self.layout, self.shape
        parts: list[Symbols] = []
        for first in range(0, shape.output_size[2], _PART):
            channels = np.arange(first, min(first + _PART, shape.output_size[2]), dtype=np.int64)
            weights = self._weights(channels)
            if shape.depthwise:
                slots = channels // shape.depth_multiplier % layout.group
                spread = self.alphabet.zeros(len(channels), layout.group, *weights.shape[1:])
                spread[np.arange(len(channels)), slots] = weights
                weights = spread.reshape(len(channels), -1, weights.shape[2])
            parts.append(self._item_rows(weights))
        return np.concatenate(parts)


def _items(job: JobPlan) -> Integers:
    """The broadcast item of every sum of a job."""
    return np.array([item for _, item in job.work], np.int64)
