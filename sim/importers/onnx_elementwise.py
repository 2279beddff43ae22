"""Requantisation of one map, or of the sum of two, on different grids."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from golden import rescale
from golden.graph import FeatureMap, Integers
from golden.operators import clamp
from golden.rescale import NoExactRescaleError
from sim.importers.onnx_rounding import Clamp, exact_rescale, half_even

__all__ = ["exact_sum"]

_SMALL_FACTOR_BITS = 12
_ALL_PAIRS_BITS = 20


def exact_sum(
    maps: list[FeatureMap], factors: list[Fraction], offset: Fraction, target: Clamp, name: str
) -> tuple[rescale.Affine, int | None]:
    """Constants for ``rounded = half_even(sum of factor * (u - zero) + offset)``, and their parity ``ties``.

    Parameters
    ----------
    maps : one or two, of stored numbers u.
    factors, offset : in steps of the output; factors are positive.
    target : where the rounded number goes.
    name : of the layer, for error texts.

    Raises
    ------
    NoExactRescaleError
        If no constants equal that on all operands.
    """
    found = _small_factors(maps, factors, offset, target, name)
    return _large_factors(maps, factors, offset, target, name) if found is None else found


def _common_factors(factors: list[Fraction]) -> tuple[Fraction, list[int]]:
    """The largest fraction of which all factors are multiples, and the multiples."""
    numerators = [factor.numerator for factor in factors]
    denominators = [factor.denominator for factor in factors]
    unit = Fraction(int(np.gcd.reduce(np.array(numerators, dtype=object))), 1)
    unit /= int(np.lcm.reduce(np.array(denominators, dtype=object)))
    return unit, [int(factor / unit) for factor in factors]


def _small_factors(
    maps: list[FeatureMap], factors: list[Fraction], offset: Fraction, target: Clamp, name: str
) -> tuple[rescale.Affine, int | None] | None:
    """Constants where the operands are small multiples of a common step: their integer sum is requantised."""
    unit, whole = _common_factors(factors)
    if max(whole).bit_length() > _SMALL_FACTOR_BITS:
        return None
    bias = -sum(number * feature_map.zero for number, feature_map in zip(whole, maps, strict=True))
    largest = sum(number * ((1 << feature_map.bits) - 1) for number, feature_map in zip(whole, maps, strict=True))
    one = np.array([bias], dtype=np.int64)
    found = exact_rescale([unit], [offset], (one, one + largest), one, target, name)
    multiplier = int(found.multiplier[0])
    sign = multiplier * int(found.bias[0])
    added = sign + (found.offset2 << (found.shift - 1))
    products = tuple(multiplier * number for number in whole)
    affine = rescale.Affine(
        products,
        max(products).bit_length(),
        sign,
        added + int(found.positive[0]),
        added + int(found.negative[0]),
        found.shift,
    )
    widest = max(abs(affine.sign_addend), abs(affine.addend_positive), abs(affine.addend_negative)).bit_length()
    fits = affine.factor_bits <= 32 and affine.shift <= rescale.MAXIMUM_ELEMENTWISE_SHIFT and widest <= 40
    if not fits:
        raise NoExactRescaleError(f"{name}: the requantisation constants that were found are wider than 32 bits")
    return affine, found.ties


def _large_factors(
    maps: list[FeatureMap], factors: list[Fraction], offset: Fraction, target: Clamp, name: str
) -> tuple[rescale.Affine, int | None]:
    """Constants by trying all pairs of operands."""
    bits = max(feature_map.bits for feature_map in maps)
    if bits * len(maps) > _ALL_PAIRS_BITS:
        widths = " and ".join(str(feature_map.bits) for feature_map in maps)
        raise NoExactRescaleError(
            f"{name}: operands of {widths} bits whose scales are no simple multiples of each other are not supported; "
            f"together they must have at most {_ALL_PAIRS_BITS} bits"
        )
    unit, whole = _common_factors(factors)
    total, denominator = unit.numerator, unit.denominator * offset.denominator
    zeros = tuple(feature_map.zero for feature_map in maps)

    def reference(operands: list[Integers]) -> Integers:
        sums: Any = (
            total
            * offset.denominator
            * sum(
                number * (operand.astype(object) - zero)
                for number, operand, zero in zip(whole, operands, zeros, strict=True)
            )
        )
        rounded = half_even(sums + offset.numerator * unit.denominator, np.array(denominator, dtype=object))
        return clamp(rounded, -(1 << 40), 1 << 40).astype(np.int64)

    ratios = tuple(float(factor) for factor in factors)
    affine = rescale.find_affine(reference, ratios, zeros, bits, target.zero, target.low, target.high, name)
    return affine, None
