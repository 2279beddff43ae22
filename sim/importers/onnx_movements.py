"""What moves numbers and computes none: concatenations, paddings, changes of shape and of the order of axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sim.importers.onnx_file import Node
from sim.importers.onnx_layers import LayerWriter
from sim.importers.onnx_quantisers import Weights
from sim.importers.onnx_tensors import Handler, Tensors, Value
from sim.importers.onnx_values import Concatenation, Grid

__all__ = ["HANDLERS", "check_concatenation", "in_onnx_order"]

Shape = tuple[int, int, int]


def _same(tensors: Tensors, node: Node) -> Value:
    if tensors.is_constant(node.input(0)):
        return tensors.values[node.input(0)]
    return tensors.activation(node)


# --- concatenations and paddings ------------------------------------------------------------------------------------


def check_concatenation(tensors: Tensors, node: Node, first: str) -> None:
    """Refuse all axes but the channels; ``first`` is the first part's name."""
    rank, axis = len(tensors.shape(node, first)), int(node.attributes.get("axis", 1))
    if axis % rank != 1:
        raise tensors.refuse(f"{node}: axis must be 1, the channels, is {axis}")


def _concat(tensors: Tensors, node: Node) -> Value:
    check_concatenation(tensors, node, node.input(0))
    parts = [tensors.activation(node, position) for position in range(len(node.inputs))]
    if any(isinstance(part, Grid) and part.order for part in parts):
        raise tensors.refuse(f"{node}: flattened maps cannot be concatenated")
    grids = [part for part in parts if isinstance(part, Grid)]
    if len(grids) == len(parts) and all(part.quantiser == grids[0].quantiser for part in grids):
        return tensors.writer.concatenate(grids, node.outputs[0])
    return Concatenation(node=node, parts=tuple(parts))


def _pad(tensors: Tensors, node: Node) -> Value:
    mode = node.attributes.get("mode", b"constant")
    pads = node.attributes.get("pads")
    if pads is None:
        pads = tensors.real(node, 1, "the table of paddings").reshape(-1)
    amounts = [int(pad) for pad in pads]
    axes = range(len(amounts) // 2)
    if node.input(3):
        axes = [int(axis) % 4 for axis in tensors.file.constants.get(node.input(3), np.zeros(0)).tolist()]
    value = Fraction(node.attributes.get("value", 0.0))
    if node.input(2):
        value = tensors.real(node, 2, "the value of the padding").reshape(-1)[0]
    if (mode.decode() if isinstance(mode, bytes) else mode) != "constant" or value != 0 or min(amounts) < 0:
        raise tensors.refuse(f"{node}: must pad with the constant 0 and by amounts of at least 0")
    table = dict(zip(axes, zip(amounts[: len(axes)], amounts[len(axes) :], strict=True), strict=True))
    shape, before = tensors.picture(node, node.outputs[0]), tensors.shape(node, node.input(0))
    if len(before) != 4 or table.get(0, (0, 0)) != (0, 0):
        raise tensors.refuse(f"{node}: must pad a map, and not along the batch")
    padding = (table.get(2, (0, 0)), table.get(3, (0, 0)), table.get(1, (0, 0)))

    def movement(grid: Grid, name: str) -> Grid:
        return tensors.writer.reorder([grid], shape, name, "pad", padding=padding)

    return tensors.moved(node, movement)


# --- order of axes and shapes ---------------------------------------------------------------------------------------


def _transpose(tensors: Tensors, node: Node) -> Value:
    """A change of axes of a constant."""
    value = tensors.values.get(node.input(0))
    if not isinstance(value, Weights):
        raise tensors.refuse(f"{node} of an activation is not supported; export the network in the order NCHW")
    axes = node.attributes.get("perm")
    return value.changed(lambda array: np.transpose(array, axes))


def _reshape(tensors: Tensors, node: Node) -> Value:
    value = tensors.values.get(node.input(0))
    if isinstance(value, Weights):
        shape = tensors.shape(node, node.outputs[0])
        return value.changed(lambda array: np.reshape(array, shape))
    before, after = tensors.picture(node, node.input(0)), tensors.picture(node, node.outputs[0])
    return tensors.moved(node, lambda grid, name: _reshaped(tensors.writer, grid, before, after, name))


def _reshaped(writer: LayerWriter, grid: Grid, before: Shape, after: Shape, name: str) -> Grid:
    """The same ONNX tensor in another shape; stored numbers keep their order as long as they can."""
    if before == after:
        return grid
    order = grid.order
    if before[:2] != (1, 1):
        order = tuple(int(place) for place in _places(before))
        flat = name if after[:2] == (1, 1) else f"{name}/flat"
        grid = writer.reorder([grid], (1, 1, len(order)), flat, "reshape", order=order)
    if after[:2] == (1, 1):
        return grid
    return writer.reorder([grid], after, name, "select", channels=_found(order, _places(after)))


def in_onnx_order(writer: LayerWriter, grid: Grid, name: str) -> Grid:
    """A vector whose numbers are stored in the order of the ONNX tensor."""
    if not grid.order or grid.order == tuple(range(len(grid.order))):
        return grid
    wanted = np.arange(len(grid.order))
    return writer.reorder([grid], grid.map.shape, name, "select", channels=_found(grid.order, wanted))


def _places(shape: Shape) -> NDArray[np.int64]:
    """Of a map of (height, width, channels), the place in the ONNX tensor of each stored number."""
    height, width, channels = shape
    return np.arange(math.prod(shape)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)


def _found(order: tuple[int, ...], wanted: NDArray[np.int64]) -> tuple[int, ...]:
    """Where the wanted places of an ONNX tensor are stored."""
    stored = np.argsort(np.array(order)) if order else np.arange(wanted.size)
    return tuple(int(stored[place]) for place in wanted)


HANDLERS: Mapping[str, Handler] = {
    "Concat": _concat,
    "Pad": _pad,
    "Cast": _same,
    "Identity": _same,
    "Dropout": _same,
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Transpose": _transpose,
}
"""By operator."""
