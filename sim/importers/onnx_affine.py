"""Factors and sums: Mul, Div, Add and Sub with a constant, BatchNormalization, and the sum of two maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from golden.widths import MAXIMUM_BITS
from sim.importers.onnx_file import Node
from sim.importers.onnx_quantisers import signed_bits
from sim.importers.onnx_tensors import Handler, Tensors, Value
from sim.importers.onnx_values import Grid, Pending, WeighedMaps, WeightedSum, WindowMean

__all__ = ["HANDLERS", "added", "scaled"]


def scaled(tensors: Tensors, node: Node, value: Pending, factors: list[Fraction], offsets: list[Fraction]) -> Pending:
    """``factor * value + offset`` per channel."""
    if not value.bare:
        raise tensors.refuse(f"{node}: factors and sums behind ReLU, Clip or a pool need a quantiser before them")
    if isinstance(value, WeightedSum):
        return _scaled_sum(tensors, node, value, factors, offsets)
    if any(factor != factors[0] for factor in factors) or any(offset != offsets[0] for offset in offsets):
        raise tensors.refuse(f"{node}: what {value.node} computes can be scaled only by one number for all channels")
    factor, offset = factors[0], offsets[0]
    if factor <= 0:
        raise tensors.refuse(f"{node}: the factor must be positive, is {float(factor):g}")
    if isinstance(value, WindowMean):
        return replace(value, node=node, factor=value.factor * factor, offset=value.offset * factor + offset)
    if isinstance(value, WeighedMaps):
        products = tuple(one * factor for one in value.factors)
        return replace(value, node=node, factors=products, offset=value.offset * factor + offset)
    raise tensors.refuse(f"{node}: what {value.node} computes must be quantised before it is scaled")


def _scaled_sum(
    tensors: Tensors, node: Node, value: WeightedSum, factors: list[Fraction], offsets: list[Fraction]
) -> WeightedSum:
    """Factors of a sum: a negative one turns the weights round, 0 makes them 0."""
    signs = np.array([(factor > 0) - (factor < 0) for factor in factors], dtype=np.int64)
    weights = value.weights * signs[:, None, None, None]
    bits = max(value.weight_bits, signed_bits(int(weights.min()), int(weights.max())))
    units = [unit * abs(factor) or unit for unit, factor in zip(value.units, factors, strict=True)]
    biases = [bias * factor + offset for bias, factor, offset in zip(value.biases, factors, offsets, strict=True)]
    if bits > MAXIMUM_BITS:
        raise tensors.refuse(f"{node}: weights with their signs turned must have at most {MAXIMUM_BITS} bits")
    return replace(
        value,
        node=node,
        weights=weights,
        weight_bits=bits,
        units=tuple(units),
        biases=tuple(biases),
        kernel=None,
    )


def _affine(tensors: Tensors, node: Node) -> Value:
    """Mul, Div, Add and Sub with a constant."""
    constant = 1 if tensors.is_constant(node.input(1)) else 0
    if not tensors.is_constant(node.input(constant)):
        raise tensors.refuse(f"{node}: one operand must be a constant of the model")
    if constant == 0 and node.op in ("Div", "Sub"):
        raise tensors.refuse(f"{node}: the constant must be the second operand")
    name = node.input(1 - constant)
    tensors.check_quantised(node, name)
    channels = tensors.picture(node, name)[2]
    numbers = tensors.per_channel(node, constant, channels, "the constant")
    value, ones, zeros = tensors.activation(node, 1 - constant), [Fraction(1)] * channels, [Fraction(0)] * channels
    if node.op in ("Mul", "Div"):
        if node.op == "Div" and not all(numbers):
            raise tensors.refuse(f"{node}: the divisor must not be 0")
        factors = numbers if node.op == "Mul" else [1 / number for number in numbers]
        if isinstance(value, Grid) and all(factor == factors[0] > 0 for factor in factors):
            return replace(value, quantiser=replace(value.quantiser, scale=value.quantiser.scale * factors[0]))
        return scaled(tensors, node, tensors.pending(node, 1 - constant), factors, zeros)
    signed = numbers if node.op == "Add" else [-number for number in numbers]
    return scaled(tensors, node, tensors.pending(node, 1 - constant), ones, signed)


def _batch_normalisation(tensors: Tensors, node: Node) -> Value:
    """A factor and a sum per channel; the factor's square root is taken in double precision."""
    channels = tensors.picture(node, node.input(0))[2]
    names = ("scale", "bias", "mean", "variance")
    columns = [tensors.per_channel(node, place, channels, f"the {what}") for place, what in enumerate(names, 1)]
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    factors = [
        Fraction(float(scale) / math.sqrt(float(variance) + epsilon))
        for scale, variance in zip(columns[0], columns[3], strict=True)
    ]
    offsets = [bias - mean * factor for bias, mean, factor in zip(columns[1], columns[2], factors, strict=True)]
    return scaled(tensors, node, tensors.pending(node), factors, offsets)


def added(tensors: Tensors, node: Node, left: Grid, right: Grid) -> WeighedMaps:
    """The sum of two maps of one shape."""
    if left.map.shape != right.map.shape or left.order != right.order:
        raise tensors.refuse(
            f"{node}: broadcasting is not supported; operands must have the same shape, have "
            f"{left.map.shape} and {right.map.shape}"
        )
    factors = (left.quantiser.scale, right.quantiser.scale)
    return WeighedMaps(node=node, sources=(left, right), factors=factors)


def _add(tensors: Tensors, node: Node) -> Value:
    if tensors.is_constant(node.input(0)) or tensors.is_constant(node.input(1)):
        return _affine(tensors, node)
    return added(tensors, node, tensors.grid(node, 0), tensors.grid(node, 1))


HANDLERS: Mapping[str, Handler] = {
    "Add": _add,
    "Sub": _affine,
    "Mul": _affine,
    "Div": _affine,
    "BatchNormalization": _batch_normalisation,
}
"""By operator."""
