"""Layers that are dot products of windows, as the gather unit and the CAPs see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.engine import Bits
from golden.graph import AveragePool, Conv, Integers, Rescale
from hw.accelerator.config import AcceleratorConfig
from sim.accelerator.dots import Dots, check_dots
from sim.accelerator.layout import MapGeometry
from sim.accelerator.window_layers import WindowLayer, WindowLoop, check_window
from sim.mapping.bits import to_bits
from sim.mapping.errors import MappingError
from sim.mapping.shapes import AveragePoolShape, ConvShape, RequantizeShape

__all__ = ["DotLayer", "average_layer", "conv_layer"]


@dataclass(frozen=True)
class DotLayer(WindowLayer):
    """A convolution, depthwise convolution, fully connected layer or average pool; beside a layer of windows:

    Parameters
    ----------
    multiplier : output channels of each input channel of a depthwise layer; 0 where windows go over all channels.
    dots : the dot products.
    requantize, rescale : of the sums.
    entries, bias : of each output channel, its entry of ``rescale`` and what its sum starts from.
    weights : bits of shape (output channels, tap tiles, bits, G).
    """

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

    def loop(self, channel: int) -> WindowLoop:
        """Windows over all channels are the same in all rounds; those of a depthwise layer have a group each."""
        if self.multiplier:
            return WindowLoop(first_group=channel // self.granule, group_step=1, groups=1, tiles=self.dots.tiles)
        return WindowLoop(first_group=0, group_step=0, groups=self.source.channel_groups, tiles=self.dots.tiles)


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
    stride = check_window(shape.name, shape.kernel, shape.stride, shape.padding, shape.output_size[:2])
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
    stride = check_window(shape.name, shape.window, shape.stride, shape.padding, shape.output_size[:2])
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
