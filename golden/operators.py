"""The integer operators: what every layer of a :class:`~golden.graph.Graph` computes, in plain integer NumPy.

Feature maps are (height, width, channels) arrays of stored unsigned numbers ``u`` (see :mod:`golden.graph`), dtype
int64. This is the ``integer`` engine and the arithmetic truth that every other engine is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from golden.graph import (
    AveragePool,
    Conv,
    Elementwise,
    Graph,
    Integers,
    Layer,
    MaxPool,
    Reorder,
    Rescale,
    RoundedSum,
)

_FLOAT32_BITS = 24
_FLOAT64_BITS = 53
_EXACT_INTEGER_BITS = 62


def _bits(value: int) -> int:
    return int(value).bit_length()


def _largest(values: Integers) -> int:
    """The largest magnitude in an array; 0 for an empty one."""
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def clamp(values: Integers, low: int, high: int) -> Integers:
    """Every value limited to ``low``..``high``."""
    return np.minimum(np.maximum(values, low), high)


def _windows(
    stored: NDArray[Any],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
    pad_value: int,
) -> NDArray[Any]:
    """All windows of a map as a view of shape (out height, out width, channels, window height, window width).

    ``size`` is the height and width of the output; positions outside the map read ``pad_value``.
    """
    reach = [(size[axis] - 1) * stride[axis] + dilation[axis] * (window[axis] - 1) + 1 for axis in (0, 1)]
    after = [max(0, reach[axis] - padding[axis] - stored.shape[axis]) for axis in (0, 1)]
    padded = np.pad(
        stored, ((padding[0], after[0]), (padding[1], after[1]), (0, 0)), mode="constant", constant_values=pad_value
    )[: reach[0], : reach[1]]
    span = (dilation[0] * (window[0] - 1) + 1, dilation[1] * (window[1] - 1) + 1)
    views = sliding_window_view(padded, span, axis=(0, 1))
    return views[:: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def accumulate(layer: Conv, stored: Integers, size: tuple[int, int]) -> Integers:
    """The accumulators x of a convolution or fully connected layer, bias included.

    ``stored`` is (height, width, input channels), ``size`` the output's (height, width); returns
    (height, width, output channels), int64 and exact.
    """
    channels, height, width, _ = layer.weights.shape
    matrix = np.reshape(np.transpose(layer.weights, (0, 3, 1, 2)), (channels, -1))
    kind = _exact_type(matrix, max(_largest(stored), layer.pad_value))
    views = _windows(
        stored.astype(kind), (height, width), layer.stride, layer.dilation, layer.padding, size, layer.pad_value
    )
    if layer.op == "depthwise_conv2d":
        views = views[:, :, np.arange(channels) // layer.depth_multiplier]
        sums = np.einsum("yxoij,oij->yxo", views, layer.weights[:, :, :, 0].astype(kind))
    else:
        patches = np.reshape(views, (size[0] * size[1], -1))
        sums = np.reshape(patches @ np.transpose(matrix.astype(kind)), (size[0], size[1], channels))
    return sums.astype(np.int64) + layer.rescale.bias


def _exact_type(matrix: Integers, largest: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    """The fastest type in which dot products of rows with numbers 0..``largest`` are exact.

    The magnitudes of a row, times the largest number, bound every partial sum in any order; whole numbers up to 2 to
    the number of a float's significant bits are exact.
    """
    bound = int(np.abs(matrix).sum(axis=1).max(initial=0)) * largest
    if bound <= 1 << _FLOAT32_BITS:
        return np.float32
    return np.float64 if bound <= 1 << _FLOAT64_BITS else np.int64


def floor_shift(total: NDArray[Any], shift: int, ties: int | None) -> NDArray[Any]:
    """``total / 2**shift`` rounded down; a whole number whose parity is not ``ties`` becomes one less."""
    if ties is None:
        return total >> shift
    return (total - ((total >> shift) + ties & 1)) >> shift


def requantize(accumulators: Integers, rescale: Rescale, entry: Integers | None = None) -> Integers:
    """Apply a :class:`~golden.graph.Rescale` to accumulators whose last axis is the output channel.

    ``entry``, where given, has the accumulators' shape and names the constants' entry of each of them instead.
    Returns stored numbers of the same shape.
    """
    multiplier, positive, negative = rescale.multiplier, rescale.positive, rescale.negative
    if entry is not None:
        multiplier, positive, negative = multiplier[entry], positive[entry], negative[entry]
    addend = np.where(accumulators < 0, negative, positive)
    product_bits = _bits(_largest(accumulators)) + rescale.multiplier_bits
    offset_bits = _bits(rescale.offset2) + rescale.shift
    if max(product_bits, offset_bits, rescale.multiplier_bits + 1) < _EXACT_INTEGER_BITS - 1:
        total = accumulators * multiplier + addend + (rescale.offset2 << (rescale.shift - 1))
        steps: Integers = floor_shift(total, rescale.shift, rescale.ties)
    else:
        wide: NDArray[Any] = accumulators.astype(object) * multiplier.astype(object) + addend.astype(object)
        wide = floor_shift(wide + (rescale.offset2 << (rescale.shift - 1)), rescale.shift, rescale.ties)
        steps = np.minimum(np.maximum(wide, 0), rescale.high).astype(np.int64)
    return rescale.low + clamp(steps, 0, rescale.high)


def convolve(layer: Conv, stored: Integers, size: tuple[int, int]) -> Integers:
    """A convolution, depthwise convolution or fully connected layer: (H, W, C) to (``size``, output channels)."""
    return requantize(accumulate(layer, stored, size), layer.rescale)


def average_pool(layer: AveragePool, stored: Integers, size: tuple[int, int]) -> Integers:
    """Average pooling over the part of each window that lies inside the map: (H, W, C) to (``size``, C)."""
    ones = np.ones((*stored.shape[:2], 1), dtype=np.int64)
    sums = _windows(stored, layer.window, layer.stride, (1, 1), layer.padding, size, pad_value=0).sum(axis=(3, 4))
    counts = _windows(ones, layer.window, layer.stride, (1, 1), layer.padding, size, pad_value=0).sum(axis=(3, 4))
    ordered = np.array(layer.divisors, dtype=np.int64)
    places: Integers = np.array(np.searchsorted(ordered, counts), dtype=np.int64)
    entry = places + np.zeros_like(sums)
    return requantize(sums + layer.rescale.bias[entry], layer.rescale, entry)


def max_pool(layer: MaxPool, stored: Integers, size: tuple[int, int]) -> Integers:
    """Maximum over the part of each window that lies inside the map, clamped: (H, W, C) to (``size``, C)."""
    views = _windows(stored, layer.window, layer.stride, (1, 1), layer.padding, size, pad_value=-1)
    return clamp(views.max(axis=(3, 4)), layer.low, layer.low + layer.high)


def _rounded_sum(rounded: RoundedSum, operands: Sequence[Integers]) -> Integers:
    """f of an element-wise layer with a rounded operand."""
    scaled, exact = operands[rounded.operand], operands[1 - rounded.operand]
    addend = np.where(scaled < rounded.threshold, rounded.addend_below, rounded.addend)
    value: Integers = (rounded.factor * scaled + addend) >> rounded.shift
    return rounded.multiplier * (value + (exact << rounded.raised))


def elementwise(layer: Elementwise, operands: Sequence[Integers]) -> Integers:
    """One or two maps of the same shape, element by element."""
    if layer.rounded_sum is not None:
        total = _rounded_sum(layer.rounded_sum, operands)
    else:
        total = np.zeros_like(operands[0])
        for factor, operand in zip(layer.factors, operands, strict=True):
            total = total + factor * operand
    addend = np.where(total + layer.sign_addend < 0, layer.addend_negative, layer.addend_positive)
    return layer.low + clamp(floor_shift(total + addend, layer.shift, layer.ties), 0, layer.high)


def reorder(layer: Reorder, stored: Sequence[Integers], shape: tuple[int, int, int]) -> Integers:
    """Choice of channels, padding with a constant, then a row-major reshape to ``shape``; no arithmetic."""
    chosen = stored[0]
    if layer.channels:
        chosen = np.concatenate(stored, axis=2)[:, :, list(layer.channels)]
    padded = np.pad(chosen, layer.padding, mode="constant", constant_values=layer.pad_value)
    return np.reshape(padded, shape)


def compute(layer: Layer, operands: Sequence[Integers], shape: tuple[int, int, int]) -> Integers:
    """The output map of one layer, of the given (height, width, channels), from its input maps."""
    size = (shape[0], shape[1])
    if isinstance(layer, Conv):
        return convolve(layer, operands[0], size)
    if isinstance(layer, AveragePool):
        return average_pool(layer, operands[0], size)
    if isinstance(layer, MaxPool):
        return max_pool(layer, operands[0], size)
    if isinstance(layer, Elementwise):
        return elementwise(layer, operands)
    if isinstance(layer, Reorder):
        return reorder(layer, operands, shape)
    raise TypeError(f"layer {layer.name!r}: no integer operator for the layer class {type(layer).__name__}")


def run(graph: Graph, stored: NDArray[np.integer[Any]]) -> dict[str, Integers]:
    """Every feature map of a network, by name, for one input of stored numbers.

    ``stored`` has the (height, width, channels) of ``graph.maps[graph.input]`` and values in 0..2**bits-1.
    Raises ``ValueError`` when shape or range do not fit.
    """
    source = graph.maps[graph.input]
    if stored.shape != source.shape:
        raise ValueError(f"input {source.name!r}: shape must be {source.shape}, got {stored.shape}")
    values = stored.astype(np.int64)
    if values.min() < 0 or values.max() >= 1 << source.bits:
        raise ValueError(
            f"input {source.name!r}: stored numbers must be 0..{(1 << source.bits) - 1}, "
            f"got {values.min()}..{values.max()}"
        )
    maps: dict[str, Integers] = {graph.input: values}
    for layer in graph.layers:
        operands = [maps[name] for name in layer.inputs]
        maps[layer.output] = compute(layer, operands, graph.maps[layer.output].shape)
    return maps
