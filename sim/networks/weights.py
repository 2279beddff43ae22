"""Random weights for a network that comes without: what it computes means nothing, how long it takes does.

**Weights.** All numbers of a layer's width are equally likely, but that 15 of 16 of the lowest number become 0 (not at
1 bit), so that the mean is about 0.  Where a sum has more than :data:`PRODUCTS` products, about so many of its weights,
at random places, stay; the others are 0.  Weights depend on the network's layers and on :data:`SEED` alone.

**Biases.** Half of the sums of a convolution are above 0 and half below on the calibration picture: in every channel,
or in all channels together where a channel has few.

**Scales.** A channel's multiplier is such that :data:`SHOWN` of 1,000 of its sums do not saturate, within the limits of
:mod:`sim.networks.constants`; the lowest of a layer is at the lower limit, so that widths are those that the evaluator
assumes.  The two operands of an addition count alike, and its factors, as that of a change of width, are such that as
many outputs do not saturate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from golden import operators
from golden.graph import Conv, Elementwise, FeatureMap, Graph, Integers, Layer
from golden.rescale import reachable
from sim.networks.filling import described_graph
from sim.options import MAXIMUM_BITS
from sim.pictures import stored_pixels

if TYPE_CHECKING:
    from sim.evaluate.widths import Widths
    from sim.networks.description import DescribedNetwork

__all__ = ["NOTE", "PRODUCTS", "SEED", "SHOWN", "weighted_graph"]

SEED = 18
"""Of all weights."""

PRODUCTS = 1024
"""Products of a sum whose weights are not all 0."""

SHOWN = 985
"""Of 1,000 sums, how many are within the range of the output."""

NOTE = "weights are random: cycles and exactness mean something, the class does not"
"""What a report says of such a network."""

_FEW = 49  # pixels of a channel that are too few for statistics of its own
_RARE = 16  # times less often than others comes the lowest number
_CHANCE_BITS = 12
_FINE_BITS = 30


def weighted_graph(network: DescribedNetwork, widths: Widths, picture: NDArray[np.uint8]) -> Graph:
    """A network with random weights at chosen widths.

    Parameters
    ----------
    widths : for all of the network's layers that have weights.
    picture : bytes of the input, (height, width, channels), on which constants are calibrated.

    Raises
    ------
    UserError
        If the widths are not for this network.
    """
    widths.check(network)
    graph = described_graph(network, widths)
    stored = {graph.input: stored_pixels(picture, graph.maps[graph.input].bits)}
    layers: list[Layer] = []
    for number, layer in enumerate(graph.layers):
        target = graph.maps[layer.output]
        operands = [stored[name] for name in layer.inputs]
        if isinstance(layer, Conv):
            source = graph.maps[layer.inputs[0]]
            biased, sums = _with_bias(_with_weights(layer, number), operands[0], source, target)
            calibrated = _with_multipliers(biased, sums, target)
            stored[layer.output] = operators.requantize(sums, calibrated.rescale)
        else:
            calibrated = _with_factors(layer, operands, graph.maps) if isinstance(layer, Elementwise) else layer
            stored[layer.output] = operators.compute(calibrated, operands, target.shape)
        layers.append(calibrated)
    return replace(graph, layers=tuple(layers))


def _with_weights(layer: Conv, number: int) -> Conv:
    """The layer with random weights, without biases."""
    shape, bits = layer.weights.shape, layer.weight_bits
    size = layer.weights.size
    # The raw words of a bit generator stay the same from one version of NumPy to the next; distributions may not.
    words = np.random.PCG64(np.random.SeedSequence([SEED, number])).random_raw(-(-size // 2))
    draws = words.astype("<u8").view("<u4")[:size]
    weights = (draws & ((1 << bits) - 1)).astype(np.int64) - (1 << (bits - 1))
    chance = draws >> MAXIMUM_BITS
    if bits > 1:
        weights[(weights == -(1 << (bits - 1))) & (chance % _RARE > 0)] = 0
    products = size // shape[0]
    if products > PRODUCTS:
        weights[chance // _RARE >= (PRODUCTS << _CHANCE_BITS) // products] = 0
    rescale = replace(layer.rescale, bias=np.zeros(shape[0], np.int64))
    return replace(layer, weights=weights.reshape(shape), rescale=rescale)


def _with_bias(layer: Conv, stored: Integers, source: FeatureMap, target: FeatureMap) -> tuple[Conv, Integers]:
    """The layer with biases, and its sums with them."""
    sums = operators.accumulate(layer, stored, target.shape[:2])
    middle = _least(sums, 500)
    lowest, highest = reachable(layer.weights, np.zeros_like(middle), (1 << source.bits) - 1)
    limit = 1 << (layer.rescale.accumulator_bits - 1)
    bias = np.clip(-middle, -limit - lowest, limit - 1 - highest)
    return replace(layer, rescale=replace(layer.rescale, bias=bias)), sums + bias


def _with_multipliers(layer: Conv, sums: Integers, target: FeatureMap) -> Conv:
    """The layer with a multiplier for each channel, which are not all the same."""
    rescale = layer.rescale
    lowest, highest = int(rescale.multiplier.min()), int(rescale.multiplier.max())
    reach = np.maximum(_least(np.abs(sums) if target.zero else sums, SHOWN), 1)
    multipliers = np.clip((_shown(target) << rescale.shift) // reach, lowest, highest)
    multipliers[np.argmin(multipliers)] = lowest
    if (multipliers == lowest).all():
        multipliers[-1] += 1
    zeros = np.zeros_like(multipliers)
    return replace(layer, rescale=replace(rescale, multiplier=multipliers, positive=zeros, negative=zeros))


def _with_factors(layer: Elementwise, operands: Sequence[Integers], maps: dict[str, FeatureMap]) -> Elementwise:
    """The layer with factors and the addend that belongs to them."""
    target, sources = maps[layer.output], [maps[name] for name in layer.inputs]
    values = [stored - source.zero for stored, source in zip(operands, sources, strict=True)]
    parts = [(1 << _FINE_BITS) // max(1, _reach(np.abs(one))) for one in values]
    total: Integers = sum((part * one for part, one in zip(parts, values, strict=True)), np.zeros_like(values[0]))
    reach = max(1, _reach(np.abs(total) if target.zero else total))
    limit = (1 << layer.factor_bits) - 1
    factors = tuple(min(max(1, (part * _shown(target) << layer.shift) // reach), limit) for part in parts)
    zeros = -sum(factor * source.zero for factor, source in zip(factors, sources, strict=True))
    addend = zeros + ((2 * target.zero + 1) << (layer.shift - 1))
    return replace(layer, factors=factors, sign_addend=zeros, addend_positive=addend, addend_negative=addend)


def _shown(target: FeatureMap) -> int:
    """Steps from 0.0 to the largest number of a map."""
    return (1 << target.bits) - 1 - target.zero


def _reach(values: Integers) -> int:
    """A number that :data:`SHOWN` of 1,000 values do not exceed."""
    return int(_least(values.reshape(-1, 1, 1), SHOWN)[0])


def _least(values: Integers, share: int) -> Integers:
    """For each channel, a number that ``share`` of 1,000 values do not exceed; of all channels where pixels are few."""
    channels = values.shape[2]
    flat = values.reshape(-1, 1 if values.size < _FEW * channels else channels)
    place = (len(flat) - 1) * share // 1000
    return np.broadcast_to(np.partition(flat, place, axis=0)[place], channels)
