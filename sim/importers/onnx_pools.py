"""Max pools, average pools, and means of whole channels."""

from __future__ import annotations

from collections.abc import Mapping

from sim.importers.onnx_file import Node
from sim.importers.onnx_geometry import Window, window
from sim.importers.onnx_tensors import Handler, Tensors, Value
from sim.importers.onnx_values import Grid, WindowMean
from sim.importers.windows import inside_lengths

__all__ = ["HANDLERS", "mean"]


def _pool_window(
    tensors: Tensors, node: Node, shape: tuple[int, int, int], size: tuple[int, int]
) -> tuple[Window, list[list[int]]]:
    """The window of a pool, and how much of it lies inside the map (:func:`inside_lengths`)."""
    kernel = [int(length) for length in node.attributes.get("kernel_shape", [])]
    if len(kernel) != 2 or min(kernel) < 1:
        raise tensors.refuse(f"{node}: kernel_shape must be two numbers of at least 1, is {kernel}")
    found = window(node, (kernel[0], kernel[1]), shape, size, tensors.refuse)
    if found.dilation != (1, 1):
        raise tensors.refuse(f"{node}: dilations must be 1 in a pool, are {found.dilation}")
    lengths = inside_lengths(shape, size, found.kernel, found.stride, found.padding)
    if min(min(axis) for axis in lengths) < 1:
        raise tensors.refuse(f"{node}: every window must touch the map, some lie in the padding")
    return found, lengths


def _max_pool(tensors: Tensors, node: Node) -> Value:
    if any(node.outputs[1:]):
        raise tensors.refuse(f"{node}: must have one output, has {len(node.outputs)}")
    size = tensors.picture(node, node.outputs[0])[:2]
    found, _ = _pool_window(tensors, node, tensors.picture(node, node.input(0)), size)

    def movement(grid: Grid, name: str) -> Grid:
        return tensors.writer.max_pool(grid, size, found.kernel, found.stride, found.padding, name)

    return tensors.moved(node, movement)


def mean(tensors: Tensors, node: Node, source: Grid) -> WindowMean:
    """The mean of a map's windows, or of its whole channels."""
    shape, size = source.map.shape, tensors.picture(node, node.outputs[0])[:2]
    if "Global" in node.op or node.op == "ReduceMean":
        return _channel_mean(node, source)
    found, lengths = _pool_window(tensors, node, shape, size)
    counts = sorted({rows * columns for rows in lengths[0] for columns in lengths[1]})
    padded = bool(node.attributes.get("count_include_pad", 0))
    if padded and node.attributes.get("ceil_mode", 0):
        raise tensors.refuse(f"{node}: ceil_mode with count_include_pad is not supported")
    area = found.kernel[0] * found.kernel[1]
    return WindowMean(
        node=node,
        source=source,
        window=found.kernel,
        stride=found.stride,
        padding=found.padding,
        size=size,
        divisors={count: area if padded else count for count in counts},
        factor=source.quantiser.scale,
    )


def _channel_mean(node: Node, source: Grid) -> WindowMean:
    height, width, _ = source.map.shape
    return WindowMean(
        node=node,
        source=source,
        window=(height, width),
        stride=(1, 1),
        padding=(0, 0),
        size=(1, 1),
        divisors={height * width: height * width},
        factor=source.quantiser.scale,
    )


def _average_pool(tensors: Tensors, node: Node) -> Value:
    return mean(tensors, node, tensors.grid(node))


def _reduce_mean(tensors: Tensors, node: Node) -> Value:
    axes = node.attributes.get("axes")
    if axes is None and node.input(1) in tensors.file.constants:
        axes = tensors.file.constants[node.input(1)].tolist()
    rank = len(tensors.shape(node, node.input(0)))
    if axes is None or rank != 4 or {int(axis) % rank for axis in axes} != {2, 3}:
        raise tensors.refuse(f"{node}: must be a mean over height and width (axes 2 and 3), is over {axes}")
    return mean(tensors, node, tensors.grid(node))


HANDLERS: Mapping[str, Handler] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _average_pool,
    "ReduceMean": _reduce_mean,
}
"""By operator."""
