"""Quantisers of ONNX and QONNX: which scale, zero and width a tensor has, and the integers of quantised constants."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.graph import Integers
from golden.widths import MAXIMUM_BITS
from sim.importers import ModelError
from sim.importers.onnx_file import Node

__all__ = [
    "Quantiser",
    "Weights",
    "bipolar_weights",
    "dequantised_weights",
    "integer_quantiser",
    "quant_quantiser",
    "quant_weights",
    "signed_bits",
]

Refuse = Callable[[str], ModelError]
Constants = Mapping[str, NDArray[Any]]
_ROUNDINGS = ("ROUND", "HALF_EVEN")


@dataclass(frozen=True)
class Quantiser:
    """How an activation becomes an integer q: ``q = min(max(round(x / scale) + zero, lowest), highest)``.

    Parameters
    ----------
    scale : positive.
    zero : the integer that means 0.0.
    lowest, highest : limits of q.
    bits : of the stored number ``q - base``.
    base : the integer that is stored as 0.
    zero_first : whether zero is added before rounding, so that halves go to even numbers q; QONNX and some kernels of
        onnxruntime do so.
    kernels : whether onnxruntime has int8 kernels for it.
    """

    scale: Fraction
    zero: int
    lowest: int
    highest: int
    bits: int
    base: int
    zero_first: bool
    kernels: bool

    @property
    def stored_zero(self) -> int:
        """The stored number that means 0.0."""
        return self.zero - self.base


@dataclass(frozen=True)
class Weights:
    """A quantised constant: the real values are ``values * scales``.

    Parameters
    ----------
    values : integers, zero points subtracted.
    scales : in the shape of ``values``; every number is one of 32-bit floating point.
    bits : width of a two's complement number that holds what the quantiser allows.
    """

    values: Integers
    scales: NDArray[np.float64]
    bits: int

    def changed(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Weights:
        """The constant after a change of its shape or of the order of its axes."""
        return Weights(change(self.values), change(self.scales), self.bits)


def signed_bits(lowest: int, highest: int) -> int:
    """Width of the two's complement numbers that hold both."""
    return (
        max((~lowest if lowest < 0 else lowest).bit_length(), (~highest if highest < 0 else highest).bit_length()) + 1
    )


# --- fields of quantisers -------------------------------------------------------------------------------------------


def _constant(node: Node, position: int, what: str, constants: Constants, refuse: Refuse) -> NDArray[Any]:
    name = node.input(position)
    if name not in constants:
        raise refuse(f"{node}: {what} must be a constant of the model, {name!r} is not")
    return constants[name]


def _scales(node: Node, position: int, constants: Constants, refuse: Refuse) -> NDArray[np.float64]:
    scales = _constant(node, position, "the scale", constants, refuse).astype(np.float64)
    if scales.size == 0 or not np.all(np.isfinite(scales) & (scales > 0.0)):
        raise refuse(f"{node}: scales must be positive numbers, are {_shown(scales)}")
    return scales


def _shown(values: NDArray[Any]) -> str:
    """A few of the numbers, for error texts."""
    flat = values.reshape(-1)
    return ", ".join(f"{value:g}" for value in flat[:3].tolist()) + (", ..." if flat.size > 3 else "")


def _integer_range(node: Node, dtype: str, refuse: Refuse) -> tuple[int, int]:
    """Lowest and highest number of a data type by its name."""
    found = re.fullmatch(r"(u?)int(\d+)", dtype)
    if found is None or int(found[2]) > MAXIMUM_BITS:
        raise refuse(f"{node}: quantised numbers must be integers of at most {MAXIMUM_BITS} bits, are {dtype}")
    bits = int(found[2])
    return (0, (1 << bits) - 1) if found[1] else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _single(node: Node, values: NDArray[Any], what: str, refuse: Refuse) -> Any:
    """The only number of a field of an activation's quantiser."""
    if values.size == 0 or np.any(values != values.reshape(-1)[0]):
        raise refuse(f"{node}: an activation must have one {what} for all its channels, has {values.size}")
    return values.reshape(-1)[0].item()


def _quantiser(
    node: Node, scale: float, zero: int, limits: tuple[int, int], refuse: Refuse, *, zero_first: bool, kernels: bool
) -> Quantiser:
    """Check that the numbers can be stored, and choose how."""
    lowest, highest = limits
    bits = signed_bits(lowest, highest) if lowest < 0 else max(1, highest.bit_length())
    if bits > MAXIMUM_BITS:
        raise refuse(f"{node}: quantised numbers must be of 1..{MAXIMUM_BITS} bits, are of {bits}")
    base = -(1 << (bits - 1)) if lowest < 0 else 0
    if not base <= zero < base + (1 << bits):
        raise refuse(f"{node}: the zero point must be {base}..{base + (1 << bits) - 1}, is {zero}")
    return Quantiser(Fraction(scale), zero, lowest, highest, bits, base, zero_first, kernels)


# --- QuantizeLinear, DequantizeLinear -------------------------------------------------------------------------------


def integer_quantiser(
    node: Node,
    positions: tuple[int, int],
    constants: Constants,
    refuse: Refuse,
    limits: tuple[int, int] | None = None,
) -> Quantiser:
    """The quantiser whose scale and zero point are inputs of a node.

    Parameters
    ----------
    positions : of the scale and of the zero point among the inputs.
    limits : of a Clip behind it, which may make it narrower.

    Raises
    ------
    ModelError
        If it is not one of integers, per tensor.
    """
    scale = _single(node, _scales(node, positions[0], constants, refuse), "scale", refuse)
    if node.input(positions[1]):
        zeros = _constant(node, positions[1], "the zero point", constants, refuse)
        dtype = zeros.dtype.name
    else:
        zeros, dtype = np.zeros(1, dtype=np.int64), "uint8"
    lowest, highest = _integer_range(node, dtype, refuse)
    if limits is not None:
        lowest, highest = max(lowest, limits[0]), min(highest, limits[1])
    zero = _single(node, zeros.astype(np.int64), "zero point", refuse)
    return _quantiser(node, scale, zero, (lowest, highest), refuse, zero_first=False, kernels=True)


def _along(values: NDArray[Any], shape: tuple[int, ...], axis: int) -> NDArray[Any] | None:
    """A scale or zero point of a constant in the constant's shape; None where it does not fit."""
    if values.size == 1:
        return np.broadcast_to(values.reshape(-1)[0], shape)
    if values.ndim == 1 and -len(shape) <= axis < len(shape) and values.size == shape[axis]:
        spread = [1] * len(shape)
        spread[axis] = values.size
        return np.broadcast_to(values.reshape(spread), shape)
    return None


def dequantised_weights(
    node: Node, positions: tuple[int, int, int], constants: Constants, refuse: Refuse, axis: int | None = None
) -> Weights:
    """The constant that a DequantizeLinear, or an operator on integers, reads.

    Parameters
    ----------
    positions : of the integers, their scale and their zero point among the inputs.
    axis : along which there are several scales; what the node says where None.
    """
    raw = _constant(node, positions[0], "the quantised constant", constants, refuse)
    zeros = np.zeros(1, dtype=np.int64)
    if node.input(positions[2]):
        zeros = _constant(node, positions[2], "the zero point", constants, refuse).astype(np.int64)
    scales = np.ones(1) if positions[1] < 0 else _scales(node, positions[1], constants, refuse)
    axis = int(node.attributes.get("axis", 1)) if axis is None else axis
    spread = _along(scales, raw.shape, axis), _along(zeros, raw.shape, axis)
    if spread[0] is None or spread[1] is None:
        raise refuse(
            f"{node}: scales must be one for all or one for each channel, are {scales.shape} for a constant of "
            f"{raw.shape}"
        )
    values = raw.astype(np.int64) - spread[1]
    if raw.dtype.name == "int32":  # a bias, whose own width does not matter
        return Weights(values, spread[0].astype(np.float64), 32)
    lowest, highest = _integer_range(node, raw.dtype.name, refuse)
    bits = signed_bits(lowest - int(zeros.max()), highest - int(zeros.min()))
    return Weights(values, spread[0].astype(np.float64), bits)


# --- Quant ----------------------------------------------------------------------------------------------------------


def _quant_fields(node: Node, constants: Constants, refuse: Refuse) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Scale, zero point and width of a Quant node."""
    scales = _scales(node, 1, constants, refuse)
    zeros = _constant(node, 2, "the zero point", constants, refuse)
    width = _constant(node, 3, "the width", constants, refuse).astype(np.float64)
    bits = _single(node, width, "width", refuse)
    if bits != int(bits) or not 1 <= bits <= MAXIMUM_BITS:
        raise refuse(f"{node}: the width must be a whole number of 1..{MAXIMUM_BITS} bits, is {bits:g}")
    if np.any(zeros != np.rint(zeros)):
        raise refuse(f"{node}: zero points must be whole numbers, are {_shown(zeros)}")
    return scales, zeros, int(bits)


def _flags(node: Node) -> tuple[bool, bool, str]:
    mode = node.attributes.get("rounding_mode", b"ROUND")
    text = mode.decode() if isinstance(mode, bytes) else str(mode)
    return bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 1)), text.upper()


def quant_quantiser(node: Node, constants: Constants, refuse: Refuse) -> Quantiser:
    """The quantiser of an activation that a Quant node of QONNX describes.

    Raises
    ------
    ModelError
        If it is not per tensor, or rounds in another way than to the nearest.
    """
    from qonnx.custom_op.general.intquant import max_int, min_int

    scales, zeros, bits = _quant_fields(node, constants, refuse)
    signed, narrow, mode = _flags(node)
    if mode not in _ROUNDINGS:
        raise refuse(f"{node}: rounding_mode must be {' or '.join(_ROUNDINGS)} for an activation, is {mode}")
    if signed and bits == 1:
        raise refuse(f"{node}: an activation of 1 bit must be unsigned, as -1 and 1 have no zero between them")
    limits = (int(min_int(signed, narrow, bits)), int(max_int(signed, narrow, bits)))
    scale, zero = _single(node, scales, "scale", refuse), int(_single(node, zeros, "zero point", refuse))
    return _quantiser(node, scale, zero, limits, refuse, zero_first=True, kernels=False)


def quant_weights(node: Node, constants: Constants, refuse: Refuse) -> Weights:
    """The integers of a constant that a Quant node quantises, computed by QONNX itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies
        from qonnx.custom_op.general.intquant import int_quant, max_int, min_int

    scales, zeros, bits = _quant_fields(node, constants, refuse)
    signed, narrow, mode = _flags(node)
    raw = _constant(node, 0, "the quantised constant", constants, refuse)
    scale, zero, width = (constants[node.inputs[position]] for position in (1, 2, 3))
    try:
        spread = np.broadcast_to(scales, raw.shape), np.broadcast_to(zeros, raw.shape)
        with np.errstate(all="ignore"):
            real = int_quant(raw, scale, zero, width.reshape(-1)[0], signed, narrow, mode)
    except ValueError as error:
        raise refuse(f"{node}: {' '.join(str(error).split())}") from error
    if not np.all(np.isfinite(real)):
        raise refuse(f"{node}: quantised constants must be finite numbers")
    values = np.rint(real.astype(np.float64) / spread[0]).astype(np.int64)
    lowest, highest = int(min_int(signed, narrow, bits)), int(max_int(signed, narrow, bits))
    if signed and bits == 1:
        lowest, highest = -1, 1  # QONNX: -1 and 1
    own = signed_bits(lowest - int(zeros.max()), highest - int(zeros.min()))
    return Weights(values, spread[0].astype(np.float64), own)


def bipolar_weights(node: Node, constants: Constants, refuse: Refuse) -> Weights:
    """The integers -1 and 1 of a constant that a BipolarQuant node of QONNX quantises."""
    scales = _scales(node, 1, constants, refuse)
    raw = _constant(node, 0, "the quantised constant", constants, refuse)
    return Weights(np.where(raw >= 0.0, 1, -1).astype(np.int64), np.broadcast_to(scales, raw.shape), 2)
