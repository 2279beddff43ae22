"""A bound of the time of a layer in mode ``constant``, found without making its programs, which may be very long."""

from __future__ import annotations

import numpy as np

from golden.graph import Conv
from golden.laws import body_cycles
from hw.config import TileConfig
from hw.isa import Instruction, Opcode
from sim.mapping.digits import signed_digits
from sim.mapping.immediate import Immediate
from sim.mapping.shapes import ConvShape

__all__ = ["least_constant_cycles"]

_SHARED = 3
"""Taps of the largest sum that channels share (:mod:`sim.mapping.sharing`): digits that one addition stands for."""


def least_constant_cycles(shape: ConvShape, config: TileConfig, layer: Conv) -> int:
    """Cycles that a layer takes at least in mode ``constant``: those of its additions.

    Of ``_SHARED`` signed digits of weights, one asks for an addition that is at most a bit narrower than a tap, or than
    what is left of the sum above the digit's place.  In each channel the first addition may be a copy.  Channels whose
    output is constant take none.
    """
    bits = shape.activation_bits[0]
    cost = [
        1 + body_cycles(Instruction(Opcode.ADD, a_width=width, b_width=width, d_width=1), config)
        for width in (1, *range(1, bits))
    ]
    weights = np.reshape(layer.weights, (layer.weights.shape[0], -1))
    total = 0
    for channel, row in enumerate(weights):
        least, greatest = (int(part.sum()) * ((1 << bits) - 1) for part in (np.minimum(row, 0), np.maximum(row, 0)))
        immediate = Immediate.of(layer.rescale, channel, least, greatest, shape.output_bits)
        if immediate.constant is not None:
            continue
        additions = 0
        for weight, count in zip(*(part.tolist() for part in np.unique(row, return_counts=True)), strict=True):
            rooms = (min(bits, immediate.sum_columns - place) for place, _ in signed_digits(weight))
            additions += count * sum(cost[room - 1] for room in rooms if room > 0)
        total += max(0, additions // _SHARED - cost[-1])
    return total * -(-shape.output_size[0] * shape.output_size[1] // config.rows)
