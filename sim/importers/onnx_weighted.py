"""Convolutions and fully connected layers of ONNX as exact sums with weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from golden.graph import Integers
from golden.widths import MAXIMUM_BITS
from sim.importers.onnx_affine import scaled
from sim.importers.onnx_file import Node
from sim.importers.onnx_geometry import Window, window
from sim.importers.onnx_quantisers import Weights
from sim.importers.onnx_tensors import Handler, Tensors, Value
from sim.importers.onnx_values import Grid, KernelRule, WeightedSum

__all__ = ["HANDLERS", "Bias", "BiasRule", "connected", "convolved", "no_bias"]

Bias = tuple[list[Fraction], Integers | None]
"""Real numbers, and the integers of onnxruntime's kernels; None where these have no such bias."""

BiasRule = Callable[[list[float]], Bias]
"""Takes the scale of the weights of each output channel."""


def no_bias(scales: list[float]) -> Bias:
    """0 for each output channel."""
    return [Fraction(0)] * len(scales), np.zeros(len(scales), dtype=np.int64)


def _float_bias(tensors: Tensors, node: Node, source: Grid) -> BiasRule:
    """The bias of an operator on real numbers: integers where it has the scales that onnxruntime's kernels want."""

    def rule(scales: list[float]) -> Bias:
        name, channels = node.input(2), len(scales)
        if not name:
            return no_bias(scales)
        real = tensors.per_channel(node, 2, channels, "the bias")
        value = tensors.values.get(name)
        if not isinstance(value, Weights) or value.values.size != channels:
            return real, None
        wanted = np.float32(source.quantiser.scale) * np.array(scales, dtype=np.float32)
        same = bool(np.all(value.scales.reshape(-1).astype(np.float32) == wanted))
        return real, value.values.reshape(-1) if same else None

    return rule


def _channel_scales(tensors: Tensors, node: Node, weights: Weights) -> list[float]:
    """One scale for each output channel; checks that the weights are as narrow as supported."""
    scales = weights.scales.reshape(weights.values.shape[0], -1)
    if np.any(scales != scales[:, :1]):
        raise tensors.refuse(f"{node}: weights must have one scale for each output channel, have more")
    if weights.bits > MAXIMUM_BITS:
        raise tensors.refuse(
            f"{node}: weights less their zero points must have at most {MAXIMUM_BITS} bits, have {weights.bits}"
        )
    found: list[float] = scales[:, 0].tolist()
    return found


def _weighted_sum(
    tensors: Tensors,
    node: Node,
    source: Grid,
    weights: Weights,
    bias: BiasRule,
    geometry: Window,
    op: str,
    size: tuple[int, int],
) -> WeightedSum:
    """The sum of a layer; ``weights`` are (output channels, height, width, inputs)."""
    scales = _channel_scales(tensors, node, weights)
    real, whole = bias(scales)
    units = [source.quantiser.scale * Fraction(scale) for scale in scales]
    multiplier = len(scales) // source.map.shape[2] if op == "depthwise_conv2d" else 1
    kernel: KernelRule | None = None
    if whole is not None:
        kernel = KernelRule(float(source.quantiser.scale), np.array(scales, dtype=np.float32), whole)
        real = [int(number) * unit for number, unit in zip(whole, units, strict=True)]
    return WeightedSum(
        node=node,
        source=source,
        op=op,
        weights=np.ascontiguousarray(weights.values),
        weight_bits=weights.bits,
        stride=geometry.stride,
        dilation=geometry.dilation,
        padding=geometry.padding,
        depth_multiplier=multiplier,
        size=size,
        units=tuple(units),
        biases=tuple(real),
        kernel=kernel,
    )


def convolved(tensors: Tensors, node: Node, source: Grid, weights: Weights, bias: BiasRule) -> WeightedSum:
    """A convolution of the first input with weights in the order (outputs, inputs, height, width)."""
    if weights.values.ndim != 4 or len(tensors.shape(node, node.input(0))) != 4:
        raise tensors.refuse(f"{node}: must be a convolution in two dimensions")
    channels, inputs, height, width = weights.values.shape
    groups, depth = int(node.attributes.get("group", 1)), source.map.shape[2]
    if groups == 1 and inputs == depth:
        op = "conv2d"
    elif groups == depth and inputs == 1 and channels % depth == 0:
        op = "depthwise_conv2d"
    else:
        raise tensors.refuse(
            f"{node}: group must be 1 or, for a depthwise convolution, the number of input channels ({depth}), "
            f"is {groups}"
        )
    size = tensors.picture(node, node.outputs[0])[:2]
    geometry = window(node, (height, width), source.map.shape, size, tensors.refuse)
    ordered = weights.changed(lambda array: array.transpose(0, 2, 3, 1))
    return _weighted_sum(tensors, node, source, ordered, bias, geometry, op, size)


def connected(tensors: Tensors, node: Node, source: Grid, weights: Weights, bias: BiasRule) -> WeightedSum:
    """A fully connected layer of the first input; ``weights`` are (outputs, inputs) in the order of the ONNX tensor."""
    shape = tensors.shape(node, node.input(0))
    elements = math.prod(source.map.shape)
    if weights.values.ndim != 2 or math.prod(shape[:-1]) != 1 or weights.values.shape[1] != elements:
        raise tensors.refuse(
            f"{node}: must multiply one vector by a matrix: operands are {shape} and {weights.values.T.shape}"
        )
    if source.order:
        places = list(source.order)
        weights = weights.changed(lambda array: array[:, places])
    ordered = weights.changed(lambda array: array.reshape(array.shape[0], 1, 1, elements))
    one = Window((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))
    return _weighted_sum(tensors, node, source, ordered, bias, one, "fully_connected", (1, 1))


def _convolution(tensors: Tensors, node: Node) -> Value:
    source = tensors.grid(node)
    return convolved(tensors, node, source, tensors.weights(node, 1), _float_bias(tensors, node, source))


def _gemm(tensors: Tensors, node: Node) -> Value:
    if node.attributes.get("transA", 0):
        raise tensors.refuse(f"{node}: transA must be 0, is {node.attributes['transA']}")
    weights = tensors.weights(node, 1)
    if not node.attributes.get("transB", 0):
        weights = weights.changed(np.transpose)
    alpha, beta = (Fraction(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    source = tensors.grid(node)
    if alpha == beta == 1:
        return connected(tensors, node, source, weights, _float_bias(tensors, node, source))
    found = connected(tensors, node, source, weights, no_bias)
    biases = [Fraction(0)] * len(found.units)
    if node.input(2):
        biases = [beta * one for one in tensors.per_channel(node, 2, len(biases), "the bias")]
    return scaled(tensors, node, found, [alpha] * len(biases), biases)


def _matmul(tensors: Tensors, node: Node) -> Value:
    if tensors.is_constant(node.input(0)):
        raise tensors.refuse(f"{node}: the constant must be the second operand")
    weights = tensors.weights(node, 1)
    return connected(tensors, node, tensors.grid(node), weights.changed(np.transpose), no_bias)


HANDLERS: Mapping[str, Handler] = {"Conv": _convolution, "Gemm": _gemm, "MatMul": _matmul}
"""By operator."""
