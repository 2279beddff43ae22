"""Layers that are dot products of windows, as the gather unit and the CAPs see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.accelerator.windows import GatherJob
from golden.engine import Bits
from golden.graph import AveragePool, Conv, Integers, Rescale
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import LARGEST_KERNEL, LARGEST_STRIDE
from sim.accelerator.dots import Dots, check_dots
from sim.accelerator.layout import MapGeometry
from sim.mapping.bits import to_bits
from sim.mapping.errors import MappingError
from sim.mapping.shapes import AveragePoolShape, ConvShape, RequantizeShape

__all__ = ["DotLayer", "average_layer", "conv_layer"]


@dataclass(frozen=True)
class DotLayer:
    """A convolution, depthwise convolution, fully connected layer or average pool.

    Parameters
    ----------
    name : of the layer.
    source, target : input and output map.
    kernel, stride, padding, pad_value : of the window.
    multiplier : output channels of each input channel of a depthwise layer; 0 where windows go over all channels.
    dots : the dot products.
    requantize, rescale : of the sums.
    entries, bias : of each output channel, its entry of ``rescale`` and what its sum starts from.
    weights : bits of shape (output channels, tap tiles, bits, G).
    """

    name: str
    source: MapGeometry
    target: MapGeometry
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    pad_value: int
    multiplier: int
    dots: Dots
    requantize: RequantizeShape
    rescale: Rescale
    entries: Integers
    bias: Integers
    weights: Bits

    @property
    def granule(self) -> int:
        """Output channels whose windows come together in a depthwise layer; 0 where all windows are the same."""
        return self.source.lanes * self.multiplier

    def input_sets(self, sets: range) -> range:
        """The sets of the input that output sets need."""
        if not sets:
            return range(0)
        first = sets.start * self.target.rows
        last = min(sets.stop * self.target.rows, self.target.height) - 1
        top = max(0, first * self.stride[0] - self.padding[0])
        bottom = min(self.source.height - 1, last * self.stride[0] - self.padding[0] + self.kernel[0] - 1)
        if bottom < top:
            return range(0)
        return range(top // self.source.rows, bottom // self.source.rows + 1)

    def gather_job(self, base: int, sets: range, rounds: int, first_group: int, receivers: int) -> GatherJob:
        """What the gather unit does for output sets; ``first_group`` is of a depthwise layer's first round."""
        source, target = self.source, self.target
        return GatherJob(
            base=base,
            width=source.width,
            height=source.height,
            rows_log2=source.rows_log2,
            planes=source.bits,
            channel_groups=source.channel_groups,
            kernel_height=self.kernel[0],
            kernel_width=self.kernel[1],
            stride_y=self.stride[0],
            stride_x=self.stride[1],
            pad_top=self.padding[0],
            pad_left=self.padding[1],
            pad_value=self.pad_value,
            out_width=target.width,
            out_rows=target.set_rows,
            first_row=sets.start * target.rows,
            sets=len(sets),
            rounds=rounds,
            first_group=first_group,
            group_step=1 if self.multiplier else 0,
            groups=1 if self.multiplier else source.channel_groups,
            tiles=self.dots.tiles,
            receivers=receivers,
        )


def conv_layer(
    shape: ConvShape, layer: Conv, source: MapGeometry, target: MapGeometry, config: AcceleratorConfig
) -> DotLayer:
    """A convolution, depthwise convolution or fully connected layer.

    Raises
    ------
    MappingError
        If an accelerator as ``config`` cannot form its windows or its dot products.
    """
    if any(step > 1 and size > 1 for step, size in zip(shape.dilation, shape.kernel, strict=True)):
        raise MappingError(f"layer {shape.name!r} must have dilation 1 on an accelerator, not {shape.dilation}")
    stride = _check_window(shape, shape.kernel, shape.stride, shape.padding)
    multiplier = shape.depth_multiplier if shape.depthwise else 0
    lanes, (height, width) = config.lanes, shape.kernel
    outputs = shape.output_size[2]
    bits = to_bits(layer.weights, layer.weight_bits)  # (outputs, height, width, channels, bits)
    if multiplier:
        spread = np.zeros((outputs, height, width, lanes, shape.kernel_bits), np.uint8)
        numbers = np.arange(outputs)
        spread[numbers, :, :, numbers // multiplier % lanes] = bits[:, :, :, 0]
    else:
        missing = source.channel_groups * lanes - bits.shape[3]
        spread = np.pad(bits, [(0, 0), (0, 0), (0, 0), (0, missing), (0, 0)])
    dots = _dots(shape.kernel, source, target, multiplier, shape.kernel_bits, shape.requantize, config, signed=True)
    check_dots(dots, config, shape.name)
    return DotLayer(
        name=shape.name,
        source=source,
        target=target,
        kernel=shape.kernel,
        stride=stride,
        padding=shape.padding,
        pad_value=layer.pad_value,
        multiplier=multiplier,
        dots=dots,
        requantize=shape.requantize,
        rescale=layer.rescale,
        entries=np.arange(outputs),
        bias=layer.rescale.bias,
        weights=_on_tiles(spread, dots, config),
    )


def average_layer(
    shape: AveragePoolShape, layer: AveragePool, source: MapGeometry, target: MapGeometry, config: AcceleratorConfig
) -> DotLayer:
    """An average pool: a depthwise convolution with weights of 1.

    Raises
    ------
    MappingError
        As :func:`conv_layer`, or if windows of the pool have different numbers of elements.
    """
    if len(shape.divisors) > 1:
        raise MappingError(
            f"layer {shape.name!r} must have windows of one size on an accelerator, not of "
            f"{', '.join(map(str, shape.divisors))} elements"
        )
    stride = _check_window(shape, shape.window, shape.stride, shape.padding)
    channels = shape.output_size[2]
    ones = np.zeros((channels, *shape.window, config.lanes, 1), np.uint8)
    ones[np.arange(channels), :, :, np.arange(channels) % config.lanes] = 1
    dots = _dots(shape.window, source, target, 1, 1, shape.requantize, config, signed=False)
    check_dots(dots, config, shape.name)
    return DotLayer(
        name=shape.name,
        source=source,
        target=target,
        kernel=shape.window,
        stride=stride,
        padding=shape.padding,
        pad_value=0,
        multiplier=1,
        dots=dots,
        requantize=shape.requantize,
        rescale=layer.rescale,
        entries=np.zeros(channels, np.int64),
        bias=np.repeat(layer.rescale.bias, channels),
        weights=_on_tiles(ones, dots, config),
    )


def _check_window(
    shape: ConvShape | AveragePoolShape, kernel: tuple[int, int], steps: tuple[int, int], padding: tuple[int, int]
) -> tuple[int, int]:
    """Refuse windows that a gather unit cannot form; returns the stride, 1 where there is a single position."""
    height, width = (1 if size == 1 else step for size, step in zip(shape.output_size[:2], steps, strict=True))
    stride = (height, width)
    limits = (
        ("a kernel", kernel, LARGEST_KERNEL),
        ("a stride", stride, LARGEST_STRIDE),
        ("a padding", padding, LARGEST_KERNEL),
    )
    for quantity, sides, most in limits:
        if max(sides) > most:
            raise MappingError(
                f"layer {shape.name!r} must have {quantity} of at most {most} on an accelerator, not {sides[0]} x "
                f"{sides[1]}"
            )
    return stride


def _dots(
    kernel: tuple[int, int],
    source: MapGeometry,
    target: MapGeometry,
    multiplier: int,
    weight_bits: int,
    requantize: RequantizeShape,
    config: AcceleratorConfig,
    *,
    signed: bool,
) -> Dots:
    groups = kernel[0] * kernel[1] * (1 if multiplier else source.channel_groups)
    return Dots(
        tiles=-(-groups // config.beats),
        window_bits=source.bits,
        weight_bits=weight_bits,
        weights_signed=signed,
        accumulator_bits=requantize.accumulator_bits,
        out_rows=target.set_rows,
    )


def _on_tiles(weights: Bits, dots: Dots, config: AcceleratorConfig) -> Bits:
    """Weights (outputs, height, width, channels of whole groups, bits) on taps: (outputs, tap tiles, bits, G)."""
    outputs, bits = weights.shape[0], weights.shape[-1]
    taps = weights.reshape(outputs, -1, bits)
    missing = dots.tiles * config.taps - taps.shape[1]
    taps = np.pad(taps, [(0, 0), (0, missing), (0, 0)])
    return np.ascontiguousarray(taps.reshape(outputs, dots.tiles, config.taps, bits).transpose(0, 1, 3, 2))
