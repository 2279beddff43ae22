"""Layers as a fabric runs them: what reads a flattened map reads the map itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sim.mapping.shapes import ConvShape, LayerShape, ReorderShape

__all__ = ["flattened"]


def flattened(shapes: Sequence[LayerShape]) -> tuple[LayerShape, ...]:
    """The same layers, with fully connected ones that read a flattened map as convolutions with a kernel of its size.

    A reshape moves nothing then, and is left out.
    """
    result: list[LayerShape] = []
    reshaped: dict[str, LayerShape] = {}
    readers = {name for shape in shapes if not _is_dense(shape) for name in shape.inputs}
    for shape in shapes:
        if isinstance(shape, ReorderShape) and shape.op == "reshape" and shape.output not in readers:
            reshaped[shape.output] = shape
            continue
        if isinstance(shape, ConvShape) and shape.inputs[0] in reshaped:
            before = reshaped[shape.inputs[0]]
            size = before.input_size
            result.append(dataclasses.replace(shape, inputs=before.inputs, input_size=size, kernel=size[:2]))
        else:
            result.append(shape)
    return tuple(result)


def _is_dense(shape: LayerShape) -> bool:
    return isinstance(shape, ConvShape) and shape.input_size[:2] == (1, 1) and shape.kernel == (1, 1)
