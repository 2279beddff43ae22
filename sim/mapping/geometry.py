"""Which elements of a feature map a window looks at: index arithmetic from shapes, no data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from golden.graph import Integers

__all__ = ["window_elements", "window_positions"]


def window_positions(
    input_size: Sequence[int],
    output_size: Sequence[int],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
) -> Integers:
    """For every output pixel (row-major) the pixels of its window: (output pixels, window elements), int64.

    An input pixel is named ``y * width + x``; -1 stands for a position outside the map.
    """
    axes: list[Integers] = []
    for axis in (0, 1):
        start = np.arange(output_size[axis], dtype=np.int64) * stride[axis] - padding[axis]
        position = start[:, None] + np.arange(window[axis], dtype=np.int64) * dilation[axis]
        position[(position < 0) | (position >= input_size[axis])] = -1
        axes.append(position)
    y, x = axes[0][:, None, :, None], axes[1][None, :, None, :]
    pixels = np.where((y < 0) | (x < 0), -1, y * input_size[1] + x)
    return pixels.reshape(output_size[0] * output_size[1], window[0] * window[1])


def window_elements(positions: Integers, channels: Integers, size: Sequence[int]) -> Integers:
    """The elements of a map of ``size`` (height, width, channels) that windows see in some of its channels.

    ``positions`` is (pixels, window elements) of :func:`window_positions`.  Returns flat indices (pixels, window
    elements, channels); those outside the map are the element behind its last.
    """
    position = positions[:, :, None]
    return np.where(position < 0, size[0] * size[1] * size[2], position * size[2] + channels)
