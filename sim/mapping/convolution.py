"""Convolutions, depthwise convolutions and fully connected layers in mode ``count``.

Two ways to lay them out.  With *pixels on the outputs*, resident are the windows of S output pixels and broadcast are
the weights of one output channel.  With *channels on the outputs*, resident are the weights of S output channels and
broadcast is the window of one pixel, which suits layers of few pixels.  Where taps are left over, an activation may be
cut into *digits* on taps of their own, each against a copy of the weight that is moved up by the digit's place:
narrower times a little wider takes fewer cycles.  The cheapest layout by the laws is taken; it depends on shapes only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden.graph import Conv, Integers
from hw.config import TileConfig
from sim.mapping.bits import Alphabet, Symbols, flat_map, pack_taps, shifted, to_bits
from sim.mapping.builder import JobPlan, Source
from sim.mapping.dot import BiasLoad, BroadcastLoad, DotShape, ResidentLoad, Segment
from sim.mapping.dot_layer import check_columns, constant_planes, dot_jobs, estimate
from sim.mapping.geometry import window_elements, window_positions
from sim.mapping.requantize import ConstantLoad
from sim.mapping.shapes import ConvShape

_SCALE = 8
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


class ConvFeeder:
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
        weights = to_bits(layer.weights.reshape(layer.weights.shape[0], -1), layer.weight_bits)
        # (output channels, elements of the window, digits * width)
        self._weights = shifted(weights, layout.digit_bits, layout.digits, signed=True, alphabet=alphabet)
        self._constant_sets: dict[int, Symbols] = {}
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
            self._items = self._pack(self._windows(np.arange(self.layout.pixels), 0)).transpose(3, 0, 1, 2)

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD."""
        config = self.config
        if isinstance(source, BroadcastLoad):
            assert self._items is not None
            return np.concatenate([self._items[job.work[sum_][1], tile] for sum_, tile in source.operands])
        if isinstance(source, ResidentLoad):
            planes = self._resident(job.work[source.sum][0])[source.tile, source.first : source.first + source.planes]
            if source.block is None:
                return planes
            return planes[:, source.block * config.outputs : (source.block + 1) * config.outputs]
        bias_bits = self.shape.requantize.accumulator_bits
        if isinstance(source, BiasLoad):
            channels = self._channels(job.work[source.sum][0])
            bias = np.zeros(config.outputs, np.int64)
            bias[: len(channels)] = self.layer.rescale.bias[channels]
            return self.alphabet.encode(to_bits(bias, bias_bits).T)
        assert isinstance(source, ConstantLoad)
        if self.layout.on_pixels:
            entries = np.array([item for _, item in job.work], np.int64)
        else:
            entries = self._row_channels(job)
        bits = self.shape.requantize.operand_bits
        return constant_planes(source, self.layer.rescale, entries, bits, config, self.alphabet)

    def rows(self, job: JobPlan) -> Integers:
        """Output element of every row."""
        size, channels = self.config.outputs, self.shape.output_size[2]
        rows = np.full(self.config.rows, -1, np.int64)
        if self.layout.on_pixels:
            for block, (resident, item) in enumerate(job.work):
                pixels = self._pixels(resident)
                rows[block * size : block * size + len(pixels)] = pixels * channels + item
            return rows
        known = self._row_channels(job)
        pixel = np.repeat(np.array([item for _, item in job.work], np.int64), size)
        rows[: len(known)] = np.where(known >= 0, pixel * channels + known, -1)
        return rows

    def _pixels(self, resident: int) -> Integers:
        first = resident // self.layout.groups * self.config.outputs
        return np.arange(first, min(first + self.config.outputs, self.layout.pixels), dtype=np.int64)

    def _channels(self, resident: int) -> Integers:
        first = resident * self.config.outputs
        return np.arange(first, min(first + self.config.outputs, self.shape.output_size[2]), dtype=np.int64)

    def _row_channels(self, job: JobPlan) -> Integers:
        """Output channel of every row of the used row blocks, -1 for none."""
        rows = np.full((len(job.work), self.config.outputs), -1, np.int64)
        for block, (resident, _) in enumerate(job.work):
            channels = self._channels(resident)
            rows[block, : len(channels)] = channels
        return rows.reshape(-1)

    def _resident(self, resident: int) -> Symbols:
        """The planes of a resident set: (tap tiles, bits, rows)."""
        if not self.layout.on_pixels:
            if resident not in self._constant_sets:
                weights = self._weights[self._channels(resident)]
                self._constant_sets[resident] = self._pack_rows(weights)
            return self._constant_sets[resident]
        if self._latest is None or self._latest[0] != resident:
            windows = self._windows(self._pixels(resident), resident % self.layout.groups)
            self._latest = (resident, self._pack_rows(windows))
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

    def _pack(self, elements: Symbols) -> Symbols:
        """Planes (tap tiles, bits, taps, outputs) of (outputs, elements, digits * width)."""
        planes = pack_taps(elements, self.layout.digits, self.layout.dot.tiles, self.config.taps, self.alphabet)
        return planes.reshape(*planes.shape[:2], self.config.taps, -1)

    def _pack_rows(self, elements: Symbols) -> Symbols:
        """Planes (tap tiles, bits, rows) of at most S outputs; the others get constant zeros."""
        missing = self.config.outputs - len(elements)
        if missing:
            elements = np.concatenate([elements, self.alphabet.zeros(missing, *elements.shape[1:])])
        planes = self._pack(elements)
        return planes.reshape(*planes.shape[:2], -1)

    def _broadcast_weights(self) -> Symbols:
        """Weights of every output channel on its taps: (output channels, tap tiles, bits, taps)."""
        layout, shape = self.layout, self.shape
        if not shape.depthwise:
            return np.ascontiguousarray(self._pack(self._weights).transpose(3, 0, 1, 2))
        channels, size, bits = self._weights.shape
        slots = np.arange(channels) // shape.depth_multiplier % layout.group
        spread = self.alphabet.zeros(channels, layout.group, size, bits)
        spread[np.arange(channels), slots] = self._weights
        return np.ascontiguousarray(self._pack(spread.reshape(channels, -1, bits)).transpose(3, 0, 1, 2))
