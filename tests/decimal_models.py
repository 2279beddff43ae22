"""Random int8 models whose scales are decimals or powers of two, as people choose them, and a small MobileNet.

Such scales make real multipliers that are simple ratios, so that many accumulators lie exactly between two outputs.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tests.tflite_models import LAYER_KINDS, Int8, ModelBuilder, RandomLayers, Tensor

ROUND = ("decimal", "tenths", "power", "same")


def round_scale(scale: float, kind: str) -> float:
    """A scale near the given one: three decimals, one significant digit, a power of two, or 0.5 whatever it was."""
    if kind == "same":
        return 0.5
    if kind == "power":
        return float(2.0 ** np.round(np.log2(scale)))
    digits = 3 if kind == "decimal" else max(1, -int(np.floor(np.log10(scale))))
    return max(round(scale, digits), 10.0**-digits)


class RoundLayers(RandomLayers):
    """Random layers of which every scale is a round number of one kind."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.kind = ROUND[seed % len(ROUND)]

    def _scale(self) -> float:
        return round_scale(super()._scale(), self.kind)

    def channel_scales(self, count: int) -> NDArray[np.float64]:
        return self.random.choice((0.5, 1.0, 2.0), count)

    def activation_tensor(
        self, shape: tuple[int, ...], scale: float | None = None, zero_point: int | None = None
    ) -> Tensor:
        """A new activation tensor; a given scale is rounded unless a tensor has it already."""
        return super().activation_tensor(shape, None if scale is None else round_scale(scale, self.kind), zero_point)


def vector_model(seed: int) -> tuple[bytes, Int8]:
    """Two fully connected layers, per tensor or per channel, on a batch of one of rank 2 or 3; float ends in some."""
    layers = RoundLayers(seed)
    random = layers.random
    shape = (1, 24) if seed % 2 else (1, 4, 6)
    source = layers.activation_tensor(shape)
    first, current = source, source
    if seed % 3 == 0:
        first = layers.model.tensor(shape, np.float32)
        code, kind = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOptions.QuantizeOptions
        layers.model.operator(code, [first.index], [source.index], schema.QuantizeOptionsT(), kind)
    if len(shape) == 3:
        current = layers.reshape(current, (1, 24))
    current = layers.fully_connected(layers.fully_connected(current))
    last = current
    if seed % 3 == 0:
        last = layers.model.tensor(current.shape, np.float32)
        code, kind = schema.BuiltinOperator.DEQUANTIZE, schema.BuiltinOptions.DequantizeOptions
        layers.model.operator(code, [current.index], [last.index], schema.DequantizeOptionsT(), kind)
    return layers.model.finish([first], [last]), random.integers(-128, 128, shape, dtype=np.int8)


def round_model(seed: int) -> tuple[bytes, Int8]:
    """One to four random layers with round scales, then a fully connected layer in some; no SOFTMAX."""
    layers = RoundLayers(seed)
    random = layers.random
    shape = (1, int(random.integers(3, 9)), int(random.integers(3, 9)), int(random.integers(1, 6)))
    source = layers.activation_tensor(shape)
    current = layers.layer(LAYER_KINDS[seed // len(ROUND) % len(LAYER_KINDS)], source)
    for kind in random.choice(LAYER_KINDS, int(random.integers(0, 4))):
        current = layers.layer(str(kind), current)
    if random.random() < 0.5:
        current = layers.fully_connected(layers.reshape(current, (1, int(np.prod(current.shape)))))
    return layers.model.finish([source], [current]), random.integers(-128, 128, shape, dtype=np.int8)


def decimal_add(seed: int) -> tuple[bytes, Int8]:
    """:func:`add_model` with random scales of three decimals and random zero points."""
    random = np.random.default_rng(seed)
    first, second = (round(float(scale), 3) for scale in np.exp(random.uniform(np.log(0.01), np.log(0.1), 2)))
    output = round(max(first, second) * float(random.uniform(0.5, 2.0)), 3)
    zero_points = [int(number) for number in random.integers(-128, 128, 3)]
    return add_model((first, second, output), (zero_points[0], zero_points[1], zero_points[2]), seed)


def add_model(
    scales: tuple[float, float, float], zero_points: tuple[int, int, int], seed: int = 0, size: int = 8
) -> tuple[bytes, Int8]:
    """ADD of the input and of its 2x2 maximum quantised anew, with (first, second, output) scales and zero points."""
    model, random = ModelBuilder(), np.random.default_rng(seed)
    shape = (1, size, size, 4)
    first = model.tensor(shape, scale=scales[0], zero_point=zero_points[0])
    moved = model.tensor(shape, scale=scales[0], zero_point=zero_points[0])
    second = model.tensor(shape, scale=scales[1], zero_point=zero_points[1])
    target = model.tensor(shape, scale=scales[2], zero_point=zero_points[2])
    options = schema.Pool2DOptionsT()
    options.padding, options.filterHeight, options.filterWidth = schema.Padding.SAME, 2, 2
    options.strideH = options.strideW = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.NONE
    kind = schema.BuiltinOptions.Pool2DOptions
    model.operator(schema.BuiltinOperator.MAX_POOL_2D, [first.index], [moved.index], options, kind)
    kind = schema.BuiltinOptions.QuantizeOptions
    model.operator(schema.BuiltinOperator.QUANTIZE, [moved.index], [second.index], schema.QuantizeOptionsT(), kind)
    sum_options = schema.AddOptionsT()
    sum_options.fusedActivationFunction = int(random.choice((0, 0, 1, 3)))
    kind = schema.BuiltinOptions.AddOptions
    model.operator(schema.BuiltinOperator.ADD, [first.index, second.index], [target.index], sum_options, kind)
    return model.finish([first], [target]), random.integers(-128, 128, shape, dtype=np.int8)


class _Blocks(RoundLayers):
    """The layers of a MobileNet: RELU6 is fused, sizes are given."""

    def block(
        self, source: Tensor, channels: int, kernel: int, stride: int, *, depthwise: bool, activation: int
    ) -> Tensor:
        """A convolution with SAME padding."""
        _, height, width, depth = source.shape
        size = (-(-height // stride), -(-width // stride))
        if depthwise:
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
            shape, axis, taps = (1, kernel, kernel, depth), 3, kernel * kernel
        else:
            options = schema.Conv2DOptionsT()
            shape, axis, taps = (channels, kernel, kernel, depth), 0, kernel * kernel * depth
        weights, bias, scale = self._weights(source, shape, taps, channels, axis, True)
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = activation
        target = self.activation_tensor((1, *size, channels), scale=scale)
        self.model.operator(
            schema.BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else schema.BuiltinOperator.CONV_2D,
            [source.index, weights.index, bias],
            [target.index],
            options,
            schema.BuiltinOptions.DepthwiseConv2DOptions if depthwise else schema.BuiltinOptions.Conv2DOptions,
        )
        return target


def mobilenet_model(seed: int) -> tuple[bytes, Int8]:
    """Convolution and depthwise convolution of stride 2, a residual block, average pool, fully connected, SOFTMAX."""
    layers = _Blocks(seed)
    none, relu6 = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU6
    shape = (1, 12, 12, 3)
    source = layers.activation_tensor(shape)
    current = layers.block(source, 6, 3, 2, depthwise=False, activation=relu6)
    current = layers.block(current, 6, 3, 2, depthwise=True, activation=relu6)
    entry = layers.block(current, 4, 1, 1, depthwise=False, activation=none)
    wide = layers.block(entry, 8, 1, 1, depthwise=False, activation=relu6)
    wide = layers.block(wide, 8, 3, 1, depthwise=True, activation=relu6)
    narrow = layers.block(wide, 4, 1, 1, depthwise=False, activation=none)
    current = layers.activation_tensor(entry.shape, scale=max(entry.scale, narrow.scale) * 1.3)
    options = schema.AddOptionsT()
    options.fusedActivationFunction = none
    kind = schema.BuiltinOptions.AddOptions
    layers.model.operator(schema.BuiltinOperator.ADD, [entry.index, narrow.index], [current.index], options, kind)
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.filterHeight, pool.filterWidth = schema.Padding.VALID, 3, 3
    pool.strideH = pool.strideW = 1
    pool.fusedActivationFunction = none
    mean = layers.model.tensor((1, 1, 1, 4), scale=current.scale, zero_point=current.zero_point)
    code, kind = schema.BuiltinOperator.AVERAGE_POOL_2D, schema.BuiltinOptions.Pool2DOptions
    layers.model.operator(code, [current.index], [mean.index], pool, kind)
    flat = layers.model.tensor((1, 4), scale=mean.scale, zero_point=mean.zero_point)
    table = layers.model.tensor((2,), np.int32, data=np.array((1, 4), dtype=np.int32))
    reshape = schema.ReshapeOptionsT()
    reshape.newShape = [1, 4]
    code, kind = schema.BuiltinOperator.RESHAPE, schema.BuiltinOptions.ReshapeOptions
    layers.model.operator(code, [mean.index, table.index], [flat.index], reshape, kind)
    last = layers.softmax(layers.fully_connected(flat))
    return layers.model.finish([source], [last]), layers.random.integers(-128, 128, shape, dtype=np.int8)
