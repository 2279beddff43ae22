"""The same network with ternary weights: every weight becomes -1, 0 or 1 times a step of its output channel.

The rule, with w the 8-bit weights of an output channel and n their number:

**Weights.** w' = sign(w) where 10 * n * |w| > 7 * sum of |w|, else 0: the threshold is 0.7 times the mean magnitude, as
ternary weight networks have it (arXiv:1605.04711).  A channel whose weights are all 0 keeps them.

**Step.** The step that minimises the sum of (w - step * w')**2: the mean magnitude of the weights that are not 0 now,
an exact fraction of the old step (1 where all are 0).

**Requantisation.** By the rule of :mod:`golden.widths`: integer multipliers of 6 bits more than the output has, one
rounding, half up.  Maps keep their widths, scales and zeros; layers without weights stay what they are.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from golden.graph import Conv, Graph, Integers
from golden.widths import with_weights

__all__ = ["TERNARY_BITS", "ternarise", "ternary_weights"]

TERNARY_BITS = 2
"""Width of a two's complement weight of -1, 0 or 1."""


def ternary_weights(weights: Integers) -> tuple[Integers, tuple[Fraction, ...]]:
    """Weights (output channels, height, width, input channels) as -1, 0 and 1, and each channel's step in old ones."""
    magnitudes = np.abs(np.reshape(weights, (weights.shape[0], -1)))
    kept = 10 * magnitudes.shape[1] * magnitudes > 7 * magnitudes.sum(axis=1, keepdims=True)
    counts, sums = kept.sum(axis=1), np.where(kept, magnitudes, 0).sum(axis=1)
    steps = tuple(
        Fraction(total, count) if count else Fraction(1)
        for total, count in zip(sums.tolist(), counts.tolist(), strict=True)
    )
    return np.sign(weights) * np.reshape(kept, weights.shape), steps


def ternarise(graph: Graph) -> Graph:
    """The network with ternary weights, by the rule of this module.

    ``graph`` is an imported network (of any activation widths); raises :class:`golden.widths.WidthError` where a layer
    has no weight scales or no bias.
    """
    return replace(
        graph,
        layers=tuple(_ternary(layer, graph) if isinstance(layer, Conv) else layer for layer in graph.layers),
    )


def _ternary(layer: Conv, graph: Graph) -> Conv:
    weights, steps = ternary_weights(layer.weights)
    source, target = graph.maps[layer.inputs[0]], graph.maps[layer.output]
    return with_weights(layer, weights, steps, TERNARY_BITS, source, target)
