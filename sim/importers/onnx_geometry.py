"""Sizes of windows: strides, dilations and paddings of ONNX nodes, checked against the shapes of the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.importers import ModelError
from sim.importers.onnx_file import Node

__all__ = ["Window", "picture_shape", "window"]

Refuse = Callable[[str], ModelError]


@dataclass(frozen=True)
class Window:
    """A window that moves over a map; all pairs are (vertical, horizontal).

    Parameters
    ----------
    kernel, stride, dilation : of the window.
    padding, after : rows above and below, columns left and right of the map.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    after: tuple[int, int]


def picture_shape(node: Node, name: str, shape: tuple[int, ...], refuse: Refuse) -> tuple[int, int, int]:
    """(height, width, channels) of a tensor of one picture, in the order NCHW, or of one vector."""
    if len(shape) not in (2, 4):
        raise refuse(f"{node}: tensor {name!r} must have 2 or 4 dimensions, has {len(shape)}")
    if shape[0] != 1:
        raise refuse(f"{node}: the batch of {name!r} must be 1, is {shape[0]}")
    return (1, 1, shape[1]) if len(shape) == 2 else (shape[2], shape[3], shape[1])


def _pair(node: Node, attribute: str, default: int, refuse: Refuse) -> tuple[int, int]:
    values: list[Any] = list(node.attributes.get(attribute, [default, default]))
    if len(values) != 2 or min(values) < 1:
        raise refuse(f"{node}: {attribute} must be two numbers of at least 1, are {values}")
    return int(values[0]), int(values[1])


def window(
    node: Node, kernel: tuple[int, int], shape: tuple[int, int, int], size: tuple[int, int], refuse: Refuse
) -> Window:
    """The window of a convolution or pool.

    Parameters
    ----------
    kernel : height and width.
    shape : (height, width, channels) of the input.
    size : (height, width) of the output, as the file has it.
    """
    stride, dilation = _pair(node, "strides", 1, refuse), _pair(node, "dilations", 1, refuse)
    auto = node.attributes.get("auto_pad", b"NOTSET")
    mode = auto.decode() if isinstance(auto, bytes) else str(auto)
    pads = [int(pad) for pad in node.attributes.get("pads", [0, 0, 0, 0])]
    if len(pads) != 4 or min(pads) < 0:
        raise refuse(f"{node}: pads must be four numbers of at least 0, are {pads}")
    before, after = (pads[0], pads[1]), (pads[2], pads[3])
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        spans = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
        whole = [max(0, (size[axis] - 1) * stride[axis] + spans[axis] - shape[axis]) for axis in (0, 1)]
        smaller, larger = tuple(pad // 2 for pad in whole), tuple(pad - pad // 2 for pad in whole)
        pairs = (smaller, larger) if mode == "SAME_UPPER" else (larger, smaller)
        before, after = ((pair[0], pair[1]) for pair in pairs)
    elif mode == "VALID":
        before, after = (0, 0), (0, 0)
    elif mode != "NOTSET":
        raise refuse(f"{node}: auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID, is {mode}")
    return Window(kernel, stride, dilation, before, after)
