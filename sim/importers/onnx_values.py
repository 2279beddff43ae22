"""What a tensor of an ONNX network is while its nodes are read: a feature map, or a sum that waits for its quantiser.

Float operators between two quantisers become one layer: its sum is described exactly, with fractions, until a quantiser
says how it is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from golden.graph import FeatureMap, Integers
from sim.importers.onnx_file import Node
from sim.importers.onnx_quantisers import Quantiser

__all__ = ["Concatenation", "Grid", "KernelRule", "Movement", "Pending", "WeighedMaps", "WeightedSum", "WindowMean"]


@dataclass(frozen=True)
class Grid:
    """An activation whose real values are ``scale * (u - zero)`` of a feature map's stored numbers u.

    Parameters
    ----------
    map : the feature map.
    quantiser : scale, zero and width of the values.
    order : of a vector, the place in the ONNX tensor of each stored number; empty where it is the same.
    """

    map: FeatureMap
    quantiser: Quantiser
    order: tuple[int, ...] = ()


Movement = Callable[[Grid, str], Grid]
"""Takes a map and the name of the result; commutes with rounding and limits: a max pool or a reorder."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A real quantity that is not quantised yet.

    Parameters
    ----------
    node : the operator that computes it; None for a change of the grid of the network's output.
    lowest, highest : limits by ReLU or Clip, None where there is none.
    then : what is done after the limits.
    """

    node: Node | None
    lowest: Fraction | None = None
    highest: Fraction | None = None
    then: tuple[Movement, ...] = ()

    @property
    def bare(self) -> bool:
        """Whether nothing follows the sum yet."""
        return self.lowest is None and self.highest is None and not self.then

    def limited(self, lowest: Fraction | None, highest: Fraction | None) -> Pending:
        """The quantity after further limits."""

        def inside(limit: Fraction | None, missing: Fraction | None) -> Fraction | None:
            if limit is None:
                return missing
            raised = limit if lowest is None else max(limit, lowest)
            return raised if highest is None else min(raised, highest)

        return replace(self, lowest=inside(self.lowest, lowest), highest=inside(self.highest, highest))


@dataclass(frozen=True)
class KernelRule:
    """What onnxruntime's kernels on integers compute with: scales as the file has them, integer biases."""

    source: float
    weights: NDArray[np.float32]
    bias: Integers


@dataclass(frozen=True, kw_only=True)
class WeightedSum(Pending):
    """A convolution or fully connected layer: ``unit * (sum of w * (u - zero)) + bias``, per output channel.

    Parameters
    ----------
    source : the input.
    op, weights, weight_bits, stride, dilation, padding, depth_multiplier : as in :class:`golden.graph.Conv`.
    size : height and width of the output.
    units, biases : real numbers, per output channel; units are positive.
    kernel : None where onnxruntime has no kernel on integers.
    """

    source: Grid
    op: str
    weights: Integers
    weight_bits: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    depth_multiplier: int
    size: tuple[int, int]
    units: tuple[Fraction, ...]
    biases: tuple[Fraction, ...]
    kernel: KernelRule | None = None


@dataclass(frozen=True, kw_only=True)
class WindowMean(Pending):
    """An average pool: ``factor * (sum of u - zero over the window inside the map) / divisor + offset``.

    Parameters
    ----------
    source : the input.
    window, stride, padding : as in :class:`golden.graph.AveragePool`.
    size : height and width of the output.
    divisors : number of elements inside the map to what their sum is divided by.
    factor, offset : real numbers; the factor is positive.
    """

    source: Grid
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    size: tuple[int, int]
    divisors: dict[int, int]
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, kw_only=True)
class WeighedMaps(Pending):
    """One or two maps of the same shape: ``sum of factor * (u - zero) + offset``; factors are positive."""

    sources: tuple[Grid, ...]
    factors: tuple[Fraction, ...]
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, kw_only=True)
class Concatenation(Pending):
    """Several quantities side by side in the channels."""

    parts: tuple[Grid | Pending, ...]
