"""Grids of ONNX quantities: steps and limits of a quantiser, and the grid on which a quantity needs no rounding."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from golden import rescale
from golden.widths import MAXIMUM_BITS
from sim.importers.onnx_file import Node
from sim.importers.onnx_quantisers import Quantiser, signed_bits
from sim.importers.onnx_rounding import Clamp, nearest_even
from sim.importers.onnx_values import Concatenation, Grid, Pending, WeighedMaps, WeightedSum, WindowMean

__all__ = ["as_sum", "clamp_of", "in_steps", "limited_part", "own_grid", "same_grid"]


def as_sum(value: Grid, node: Node | None) -> WeighedMaps:
    """A map as a quantity that can be limited and quantised again."""
    return WeighedMaps(node=node, sources=(value,), factors=(value.quantiser.scale,))


def same_grid(old: Quantiser, new: Quantiser) -> bool:
    """Whether a quantiser changes no number of a map."""
    kept = (old.scale, old.zero, old.bits, old.base) == (new.scale, new.zero, new.bits, new.base)
    return kept and new.lowest <= old.lowest and old.highest <= new.highest


def limited_part(part: Grid | Pending, whole: Concatenation) -> Grid | Pending:
    """A part of a concatenation with the limits of the whole."""
    if whole.lowest is None and whole.highest is None:
        return part
    pending = as_sum(part, whole.node) if isinstance(part, Grid) else part
    return pending.limited(whole.lowest, whole.highest)


def in_steps(value: Fraction, quantiser: Quantiser) -> Fraction:
    """A real number in steps of the output, with the zero point where that is added before rounding."""
    return value / quantiser.scale + (quantiser.zero if quantiser.zero_first else 0)


def clamp_of(value: Pending, quantiser: Quantiser) -> Clamp:
    """Where rounded numbers go, with the limits of ReLU or Clip."""
    added = 0 if quantiser.zero_first else quantiser.zero

    def stored(limit: Fraction | None, end: int) -> int:
        at = end if limit is None else nearest_even(in_steps(limit, quantiser)) + added
        return min(max(at, quantiser.lowest), quantiser.highest) - quantiser.base

    low, top = stored(value.lowest, quantiser.lowest), stored(value.highest, quantiser.highest)
    return Clamp(added - quantiser.base, low, max(low, top) - low)


def own_grid(value: Pending) -> Quantiser | None:
    """The grid on which a quantity is exact; None where there is none of at most 16 bits."""
    if isinstance(value, WeighedMaps) and len(value.sources) == 1 and value.offset == 0:
        old = value.sources[0].quantiser
        return replace(old, scale=value.factors[0])
    if isinstance(value, WeightedSum):
        zero, bits = value.source.map.zero, value.source.map.bits
        unit, biases = value.units[0], [bias / value.units[0] for bias in value.biases]
        if any(other != unit for other in value.units) or any(bias.denominator != 1 for bias in biases):
            return None
        sums = np.sum(np.reshape(value.weights, (value.weights.shape[0], -1)), axis=1)
        bias = np.array([int(bias) for bias in biases]) - zero * sums
        lowest, highest = rescale.reachable(value.weights, bias, (1 << bits) - 1)
        return _grid_of(unit, int(lowest.min()), int(highest.max()))
    if isinstance(value, WindowMean) and value.offset == 0 and len(set(value.divisors.values())) == 1:
        zero, largest = value.source.map.zero, (1 << value.source.map.bits) - 1
        count, divisor = max(value.divisors), next(iter(value.divisors.values()))
        return _grid_of(value.factor / divisor, -zero * count, (largest - zero) * count)
    return None


def _grid_of(unit: Fraction, lowest: int, highest: int) -> Quantiser | None:
    bits = max(2, signed_bits(min(lowest, 0), max(highest, 0)))
    if bits > MAXIMUM_BITS:
        return None
    base = -(1 << (bits - 1))
    return Quantiser(unit, 0, base, -base - 1, bits, base, zero_first=False, kernels=False)
