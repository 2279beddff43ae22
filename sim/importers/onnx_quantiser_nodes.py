"""Nodes that quantise: what a quantiser makes of an activation, of the network's input or of a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sim.importers.onnx_file import Node
from sim.importers.onnx_quantisers import (
    Quantiser,
    bipolar_weights,
    dequantised_weights,
    integer_quantiser,
    quant_quantiser,
    quant_weights,
)
from sim.importers.onnx_tensors import Handler, Tensors, Value
from sim.importers.onnx_values import Grid

__all__ = ["HANDLERS", "integers"]


def integers(tensors: Tensors, node: Node, position: int, quantiser: Quantiser) -> Grid:
    """An input of integers, with the scale and zero point that its reader gives it."""
    name = node.input(position)
    if name == tensors.file.input:
        return _source(tensors, node, quantiser, name)
    grid = tensors.grid(node, position)
    old = grid.quantiser
    if old.base != quantiser.base and old.bits == quantiser.bits:
        raise tensors.refuse(f"{node}: {name!r} must be of the type that it was quantised to")
    zero = quantiser.zero
    if not old.base <= zero < old.base + (1 << old.bits):
        raise tensors.refuse(f"{node}: the zero point of {name!r} must be one of its numbers, is {zero}")
    if zero != old.zero:
        raise tensors.refuse(f"{node}: the zero point of {name!r} must be {old.zero} as it was quantised, is {zero}")
    return replace(grid, quantiser=replace(old, scale=quantiser.scale))


def _source(tensors: Tensors, node: Node, quantiser: Quantiser, name: str) -> Grid:
    """The network's first map: the host quantises."""
    if tensors.input is None:
        tensors.input = tensors.writer.add_map(name, tensors.picture(node, tensors.file.input), quantiser)
    elif tensors.input.quantiser != quantiser:
        raise tensors.refuse(f"{node}: the input must be quantised in one way, is quantised in two")
    return tensors.input


def _quantised(tensors: Tensors, node: Node, quantiser: Quantiser) -> Grid:
    """What a quantiser makes of its input; of the network's input, the network's first map."""
    if node.input(0) == tensors.file.input:
        return _source(tensors, node, quantiser, node.outputs[0])
    return tensors.writer.quantise(tensors.activation(node), quantiser, node.outputs[0], node)


def _quant(tensors: Tensors, node: Node) -> Value:
    constants = tensors.file.constants
    if node.input(0) in constants:
        return quant_weights(node, constants, tensors.refuse)
    return _quantised(tensors, node, quant_quantiser(node, constants, tensors.refuse))


def _bipolar(tensors: Tensors, node: Node) -> Value:
    if node.input(0) in tensors.file.constants:
        return bipolar_weights(node, tensors.file.constants, tensors.refuse)
    raise tensors.refuse(f"{node} of an activation is not supported, as -1 and 1 have no zero between them")


def _quantise_linear(tensors: Tensors, node: Node) -> Value:
    limits = tensors.limits.get(node.outputs[0])
    quantiser = integer_quantiser(node, (1, 2), tensors.file.constants, tensors.refuse, limits)
    if node.input(0) in tensors.file.constants:
        raise tensors.refuse(f"{node}: a constant must be stored as integers behind a DequantizeLinear")
    return _quantised(tensors, node, quantiser)


def _dequantise_linear(tensors: Tensors, node: Node) -> Value:
    constants = tensors.file.constants
    if node.input(0) in constants:
        return dequantised_weights(node, (0, 1, 2), constants, tensors.refuse)
    return integers(tensors, node, 0, integer_quantiser(node, (1, 2), constants, tensors.refuse))


HANDLERS: Mapping[str, Handler] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "QuantizeLinear": _quantise_linear,
    "DequantizeLinear": _dequantise_linear,
}
"""By operator."""
