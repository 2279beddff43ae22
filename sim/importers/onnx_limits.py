"""ReLU and Clip: limits of real numbers, and of the integers of a quantiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from sim.importers.onnx_file import Node, OnnxFile
from sim.importers.onnx_tensors import Handler, Tensors, Value

__all__ = ["HANDLERS", "integer_clips"]


def integer_clips(content: OnnxFile) -> dict[str, tuple[int, int]]:
    """By tensor, lowest and highest integer: a Clip right behind QuantizeLinear makes its numbers narrower.

    So Brevitas exports widths below 8 bits (QCDQ).  The tensors are the outputs of both nodes.
    """
    limits: dict[str, tuple[int, int]] = {}
    for node in content.nodes:
        if node.op != "Clip":
            continue
        readers = [other for other in content.nodes if node.input(0) in other.inputs]
        writer = next((other for other in content.nodes if node.input(0) in other.outputs), None)
        ends = [content.constants.get(node.input(position)) for position in (1, 2)]
        if writer is None or writer.op != "QuantizeLinear" or len(readers) > 1:
            continue
        if any(end is None or not end.size or not np.issubdtype(end.dtype, np.integer) for end in ends):
            continue
        low, high = (int(np.asarray(end).reshape(-1)[0]) for end in ends)
        limits[writer.outputs[0]] = limits[node.outputs[0]] = (low, high)
    return limits


def _relu(tensors: Tensors, node: Node) -> Value:
    return tensors.pending(node).limited(Fraction(0), None)


def _clip(tensors: Tensors, node: Node) -> Value:
    limits = [_limit(tensors, node, position, name) for position, name in ((1, "min"), (2, "max"))]
    if node.outputs[0] in tensors.limits:  # the quantiser before it has them
        return tensors.activation(node)
    if limits[0] is not None and limits[1] is not None and limits[0] > limits[1]:
        raise tensors.refuse(f"{node}: min must not be above max")
    return tensors.pending(node).limited(limits[0], limits[1])


def _limit(tensors: Tensors, node: Node, position: int, name: str) -> Fraction | None:
    """A limit of a Clip, an attribute or an input; None where there is none."""
    if name in node.attributes:
        return Fraction(node.attributes[name])
    if not node.input(position):
        return None
    number = float(np.asarray(tensors.file.constants.get(node.input(position), np.nan)).reshape(-1)[0])
    if math.isnan(number):
        raise tensors.refuse(f"{node}: {name} must be a constant of the model")
    return None if math.isinf(number) else Fraction(number)


HANDLERS: Mapping[str, Handler] = {"Relu": _relu, "Clip": _clip}
"""By operator."""
