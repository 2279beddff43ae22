"""What of a window lies inside the map that it moves over."""

from __future__ import annotations

__all__ = ["inside_lengths"]


def inside_lengths(
    shape: tuple[int, int, int],
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> list[list[int]]:
    """For rows and for columns of the output: how much of each window lies inside the map."""
    lengths: list[list[int]] = []
    for axis in (0, 1):
        starts = [place * stride[axis] - padding[axis] for place in range(size[axis])]
        lengths.append([min(start + window[axis], shape[axis]) - max(start, 0) for start in starts])
    return lengths
