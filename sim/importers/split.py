"""Splits a convolution whose channels have scales that lie too far apart to share one shift.

All channels of a layer are requantised with the same shift.  Where the smallest scale needs a large shift to be exact,
the multiplier of the largest one gets too wide for an instruction, so channels of similar scales become layers of their
own, and a movement of stored numbers puts the channels together again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from golden.graph import Conv, FeatureMap, Layer, Reorder, Rescale
from golden.rescale import NoExactRescaleError

__all__ = ["MAXIMUM_MULTIPLIER", "Channels", "Group", "groups_by_scale", "split"]

MAXIMUM_MULTIPLIER = 31
"""Bits of a multiplier that, with the bit that its addend needs, still fit an operand of MUL."""

Channels = NDArray[np.int64]
Group = tuple[Channels, Rescale]
_NO_PADDING = ((0, 0), (0, 0), (0, 0))


def groups_by_scale(slopes: NDArray[np.float64], constants: Callable[[Channels], Rescale]) -> list[Group]:
    """All channels in one group where that is possible, else channels of similar scales.

    Parameters
    ----------
    slopes : scale of every output channel, positive.
    constants : finds the constants for some of the channels.

    Raises
    ------
    NoExactRescaleError
        If a single channel has no exact constants.
    """
    everything = np.arange(slopes.size)
    whole = _fitting(everything, constants)
    if whole is not None:
        return [(everything, whole)]
    waiting = [np.argsort(slopes, kind="stable").astype(np.int64)]
    groups: list[Group] = []
    while waiting:
        group = waiting.pop(0)
        found = _fitting(group, constants)
        if found is not None:
            groups.append((group, found))
            continue
        cut = 1 + int(np.argmax(np.diff(np.log2(slopes[group]))))  # at the widest gap
        waiting[:0] = [group[:cut], group[cut:]]
    return groups


def _fitting(group: Channels, constants: Callable[[Channels], Rescale]) -> Rescale | None:
    """Constants of a group, or None when it must be cut."""
    try:
        found = constants(group)
    except NoExactRescaleError:
        if group.size == 1:
            raise
        return None
    return found if found.multiplier_bits <= MAXIMUM_MULTIPLIER or group.size == 1 else None


def split(
    layer: Conv, source: FeatureMap, target: FeatureMap, groups: Sequence[Group]
) -> tuple[list[FeatureMap], list[Layer]]:  # fmt: skip
    """Layers that together compute a layer's map, one per group, and the maps between them.

    One group is the layer itself.

    Parameters
    ----------
    layer : the layer with the constants of the first group.
    source, target : its input and output.
    groups : that all channels are in.
    """
    if len(groups) == 1:
        return [], [layer]
    maps: list[FeatureMap] = []
    layers: list[Layer] = []
    for number, (channels, found) in enumerate(groups, 1):
        part = replace(target, name=f"{target.name}/{number}", shape=(*target.shape[:2], channels.size))
        read = source
        if layer.op == "depthwise_conv2d":  # channel j of a part reads channel j of what it is given
            read = replace(source, name=f"{part.name}/input", shape=(*source.shape[:2], channels.size))
            wanted = tuple(int(channel) // layer.depth_multiplier for channel in channels)
            name = f"{layer.name}.{number}.select"
            layers.append(Reorder(name, (source.name,), read.name, "select", _NO_PADDING, 0, wanted))
            maps.append(read)
        maps.append(part)
        layers.append(
            replace(
                layer,
                name=f"{layer.name}.{number}",
                inputs=(read.name,),
                output=part.name,
                weights=layer.weights[channels],
                rescale=found,
                depth_multiplier=1,
                model_bias=layer.model_bias[channels],
                weight_scales=tuple(layer.weight_scales[channel] for channel in channels),
            )
        )
    back = np.argsort(np.concatenate([channels for channels, _ in groups]), kind="stable")
    names = tuple(f"{target.name}/{number}" for number in range(1, len(groups) + 1))
    order = tuple(int(channel) for channel in back)
    layers.append(
        Reorder(f"{layer.name}.join", names, target.name, "concatenate", _NO_PADDING, target.zero, order)
    )  # fmt: skip
    return maps, layers
