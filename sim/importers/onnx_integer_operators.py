"""Operators on integers, of ONNX and of onnxruntime, whose inputs are scales and zero points as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from sim.importers.onnx_affine import added
from sim.importers.onnx_file import Node
from sim.importers.onnx_movements import check_concatenation
from sim.importers.onnx_pools import mean
from sim.importers.onnx_quantiser_nodes import integers
from sim.importers.onnx_quantisers import Quantiser, Weights, dequantised_weights, integer_quantiser
from sim.importers.onnx_tensors import Handler, Tensors, Value
from sim.importers.onnx_values import Concatenation, Grid, Pending
from sim.importers.onnx_weighted import Bias, BiasRule, connected, convolved, no_bias

__all__ = ["HANDLERS"]


# --- operands and results: positions are those among a node's inputs -----------------------------------------------


def _operand(tensors: Tensors, node: Node, first: int) -> Grid:
    """An input that is followed by its scale and zero point."""
    return integers(tensors, node, first, _quantiser(tensors, node, first + 1))


def _quantiser(tensors: Tensors, node: Node, scale: int) -> Quantiser:
    """The quantiser of a scale and of the zero point behind it."""
    return integer_quantiser(node, (scale, scale + 1), tensors.file.constants, tensors.refuse)


def _result(tensors: Tensors, node: Node, value: Grid | Pending, quantiser: Quantiser) -> Value:
    return tensors.writer.quantise(value, quantiser, node.outputs[0], node)


def _weights(tensors: Tensors, node: Node, positions: tuple[int, int, int], axis: int) -> Weights:
    return dequantised_weights(node, positions, tensors.file.constants, tensors.refuse, axis)


def _bias(tensors: Tensors, node: Node, position: int, source: Grid) -> BiasRule:
    """A bias of int32 in steps of input scale times weight scale."""

    def rule(scales: list[float]) -> Bias:
        channels, name = len(scales), node.input(position)
        if not name:
            return no_bias(scales)
        values = tensors.file.constants.get(name)
        if values is None or values.dtype != np.int32 or values.size not in (1, channels):
            raise tensors.refuse(f"{node}: the bias must be a constant of {channels} numbers of int32")
        whole = np.broadcast_to(values.reshape(-1), (channels,)).astype(np.int64)
        unit = source.quantiser.scale
        return [int(number) * unit * Fraction(scale) for number, scale in zip(whole, scales, strict=True)], whole

    return rule


# --- layers with weights --------------------------------------------------------------------------------------------


def _qlinear_convolution(tensors: Tensors, node: Node) -> Value:
    source = _operand(tensors, node, 0)
    weights = _weights(tensors, node, (3, 4, 5), 0)
    value = convolved(tensors, node, source, weights, _bias(tensors, node, 8, source))
    return _result(tensors, node, value, _quantiser(tensors, node, 6))


def _qlinear_matmul(tensors: Tensors, node: Node) -> Value:
    source = _operand(tensors, node, 0)
    weights = _weights(tensors, node, (3, 4, 5), 1).changed(np.transpose)
    value = connected(tensors, node, source, weights, no_bias)
    return _result(tensors, node, value, _quantiser(tensors, node, 6))


def _qgemm(tensors: Tensors, node: Node) -> Value:
    attributes = node.attributes
    if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0:
        raise tensors.refuse(f"{node}: transA must be 0 and alpha 1")
    source = _operand(tensors, node, 0)
    transposed = bool(attributes.get("transB", 0))
    weights = _weights(tensors, node, (3, 4, 5), 0 if transposed else 1)
    weights = weights if transposed else weights.changed(np.transpose)
    value = connected(tensors, node, source, weights, _bias(tensors, node, 6, source))
    return _result(tensors, node, value, _quantiser(tensors, node, 7)) if node.input(7) else value


def _unscaled(tensors: Tensors, node: Node) -> Grid:
    """The first input, of integers without a scale; its zero point is the third one."""
    name = node.input(0)
    if name == tensors.file.input:
        raise tensors.refuse(f"{node} works on the input {name!r} without a scale; quantise it with QuantizeLinear")
    grid = tensors.grid(node)
    zeros = tensors.file.constants.get(node.input(2), np.zeros(1, dtype=np.int64))
    if np.any(zeros.astype(np.int64) != grid.quantiser.zero):
        raise tensors.refuse(f"{node}: the zero point of {name!r} must be {grid.quantiser.zero}, as it was quantised")
    return replace(grid, quantiser=replace(grid.quantiser, scale=Fraction(1)))


def _convolution_integer(tensors: Tensors, node: Node) -> Value:
    source = _unscaled(tensors, node)
    weights = _weights(tensors, node, (1, -1, 3), 0)
    return replace(convolved(tensors, node, source, weights, no_bias), kernel=None)


def _matmul_integer(tensors: Tensors, node: Node) -> Value:
    source = _unscaled(tensors, node)
    weights = _weights(tensors, node, (1, -1, 3), 1).changed(np.transpose)
    return replace(connected(tensors, node, source, weights, no_bias), kernel=None)


# --- maps -----------------------------------------------------------------------------------------------------------


def _qlinear_add(tensors: Tensors, node: Node) -> Value:
    left, right = (_operand(tensors, node, first) for first in (0, 3))
    value = added(tensors, node, left, right)
    return _result(tensors, node, value, replace(_quantiser(tensors, node, 6), zero_first=True))


def _qlinear_pool(tensors: Tensors, node: Node) -> Value:
    if node.attributes.get("channels_last", 0):
        raise tensors.refuse(f"{node}: channels_last must be 0, is 1")
    value = mean(tensors, node, _operand(tensors, node, 0))
    quantiser = replace(_quantiser(tensors, node, 3), zero_first=node.op == "QLinearAveragePool")
    return _result(tensors, node, value, quantiser)


def _qlinear_concat(tensors: Tensors, node: Node) -> Value:
    check_concatenation(tensors, node, node.input(2))
    parts = tuple(_operand(tensors, node, first) for first in range(2, len(node.inputs), 3))
    return _result(tensors, node, Concatenation(node=node, parts=parts), _quantiser(tensors, node, 0))


HANDLERS: Mapping[str, Handler] = {
    "ConvInteger": _convolution_integer,
    "QLinearConv": _qlinear_convolution,
    "MatMulInteger": _matmul_integer,
    "QLinearMatMul": _qlinear_matmul,
    "QGemm": _qgemm,
    "QLinearAdd": _qlinear_add,
    "QLinearAveragePool": _qlinear_pool,
    "QLinearGlobalAveragePool": _qlinear_pool,
    "QLinearConcat": _qlinear_concat,
}
"""By operator."""
