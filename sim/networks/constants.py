"""Constants of requantisation that stand for those of weights which nobody has.

The rule is that of ``--bits`` (:mod:`golden.widths`): multipliers and factors are 6 bits wider than the output, one
rounding, half up.  What the rule takes from a trained network's scales is assumed, see :data:`ASSUMPTIONS`.
"""

from __future__ import annotations

import numpy as np

from golden.graph import Elementwise, FeatureMap, Rescale
from golden.widths import EXTRA_MULTIPLIER_BITS
from sim.mapping.shapes import signed_bits

__all__ = ["ASSUMPTIONS", "SATURATION_BITS", "conv_rescale", "elementwise", "mean_rescale"]

SATURATION_BITS = 3
"""A sum beyond 2**(activation bits + weight bits + this) is beyond what any output channel can show.

No layer of the trained ResNet-8 has more by the rule of :mod:`golden.widths` at 2 to 8 bits; most have 2.
"""

_HEADROOM_BITS = 2
"""An operand of an addition spans up to two to the power of this times the output's range.

By the same rule the largest operands of ResNet-8's three additions have 2, 2 and 1.
"""

ASSUMPTIONS = (
    f"no weights: a sum saturates its output beyond 2^(activation bits + weight bits + {SATURATION_BITS}), and is "
    "clamped there first where that saves cycles",
    "no weights: sums are as wide as the largest weights and activations make them, without bias",
    f"no weights: operands of additions and of changes of width span up to {1 << _HEADROOM_BITS} times their output's "
    "range",
)
"""What the shapes of a network without weights rest on."""


def conv_rescale(
    products: int, activation_bits: int, weight_bits: int, target: FeatureMap, *, rectified: bool
) -> Rescale:
    """Constants for the sums of a convolution.

    They are those of two output channels: the one with the largest multiplier, whose output saturates at sums of about
    2**(activation bits + weight bits), and the one with the smallest, where it does at the assumed limit.

    Parameters
    ----------
    products : in each sum.
    activation_bits, weight_bits : of the unsigned and of the signed factor of each product, 1..16.
    target : the output's map; its zero is 0 when rectified.
    rectified : negative sums give 0.
    """
    largest_sum = products * ((1 << activation_bits) - 1)
    lowest, highest = -(largest_sum << (weight_bits - 1)), largest_sum * ((1 << (weight_bits - 1)) - 1)
    shift = activation_bits + weight_bits + EXTRA_MULTIPLIER_BITS
    limit = (1 << (activation_bits + weight_bits + SATURATION_BITS)) - 1
    top = (1 << target.bits) - 1
    shown = top if rectified else max(target.zero, top - target.zero)
    return _rescale(
        multipliers=[(1 << (target.bits + EXTRA_MULTIPLIER_BITS)) - 1, -(-((2 * shown - 1) << (shift - 1)) // limit)],
        shift=shift,
        target=target,
        accumulator_bits=signed_bits(lowest, highest),
    )


def mean_rescale(divisor: int, activation_bits: int, target: FeatureMap) -> Rescale:
    """Constants for the mean of ``divisor`` numbers whose map has the range of the output's, zeros at 0."""
    shift = ((divisor << (activation_bits + EXTRA_MULTIPLIER_BITS)) - 1).bit_length() - 1
    numerator, denominator = 1 << (shift + target.bits), divisor << activation_bits
    return _rescale(
        multipliers=[(2 * numerator + denominator) // (2 * denominator)],
        shift=shift,
        target=target,
        accumulator_bits=signed_bits(divisor * ((1 << activation_bits) - 1)),
    )


def _rescale(multipliers: list[int], shift: int, target: FeatureMap, accumulator_bits: int) -> Rescale:
    zeros = np.zeros(len(multipliers), dtype=np.int64)
    return Rescale(
        multiplier=np.array(multipliers, dtype=np.int64),
        positive=zeros,
        negative=zeros,
        shift=shift,
        offset2=2 * target.zero + 1,
        low=0,
        high=(1 << target.bits) - 1,
        bias=zeros,
        accumulator_bits=accumulator_bits,
        multiplier_bits=target.bits + EXTRA_MULTIPLIER_BITS,
    )


def elementwise(name: str, op: str, sources: tuple[FeatureMap, ...], target: FeatureMap) -> Elementwise:
    """An addition or a change of width whose factors are as large as the rule allows.

    Parameters
    ----------
    op : "add" or "quantize".
    sources : the operands' maps, one or two.
    target : the output's map.
    """
    factor_bits = target.bits + EXTRA_MULTIPLIER_BITS
    narrowest = min(source.bits for source in sources)
    shift = narrowest + EXTRA_MULTIPLIER_BITS - _HEADROOM_BITS
    factors = tuple(max(1, ((1 << factor_bits) - 1) >> (source.bits - narrowest)) for source in sources)
    zeros = -sum(factor * source.zero for factor, source in zip(factors, sources, strict=True))
    addend = zeros + ((2 * target.zero + 1) << (shift - 1))
    return Elementwise(
        name=name,
        inputs=tuple(source.name for source in sources),
        output=target.name,
        op=op,
        factors=factors,
        factor_bits=factor_bits,
        sign_addend=zeros,
        addend_positive=addend,
        addend_negative=addend,
        shift=shift,
        low=0,
        high=(1 << target.bits) - 1,
    )
