"""The integer graph: a quantised network as exact integer operations on unsigned feature maps.

Every feature map is stored as ``u = q - qmin`` with ``qmin = -2**(bits-1)``: an unsigned number of ``bits`` bits, so
that one bit column of the tile is one bit of the stored number.  The real value is ``scale * (u - zero)``.

Requantisation, the only rounding in a network, is one integer formula (:class:`Rescale`), found and proven exact by the
importer, so the hardware, the golden tile and the integer operators share the *numbers* but not the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class FeatureMap:
    """One activation tensor of the graph.

    Parameters
    ----------
    name : the tensor's name in the imported model.
    shape : (height, width, channels); a vector is (1, 1, n).
    bits : width of the stored unsigned number, 1..16.
    zero : the stored number that means 0.0 (``zero_point - qmin``), 0..2**bits-1.
    scale : real value of one step; for reports and for quantising a float input only.
    """

    name: str
    shape: tuple[int, int, int]
    bits: int
    zero: int
    scale: float

    @property
    def minimum(self) -> int:
        """The signed number that is stored as 0."""
        return -(1 << (self.bits - 1))


@dataclass(frozen=True)
class Rescale:
    """From an accumulator to a stored number: ``u = low + min(max(y, 0), high)`` with

    ``y = floor((x * m + a + offset2 * 2**(shift-1)) / 2**shift)``, ``a = negative if x < 0 else positive``.

    ``x`` is the integer that the layer accumulated, bias included.  The arrays have one entry per output channel (per
    divisor in an average pool).  With ``ties``, a quotient that is a whole number is a tie, as half a step was added
    before the floor: y is one less where its parity is not ``ties``.

    Parameters
    ----------
    multiplier : m, unsigned, each below ``2**multiplier_bits``.
    positive, negative : a for x >= 0 and for x < 0; each in ``0 .. 2**(multiplier_bits+1) - 1``.
    shift : the right shift, common to all channels, 1..62.
    offset2 : twice the constant that is added after the shift (rounding half, zero point and ``-low``); any sign.
    low, high : the clamp; ``0 <= low``, ``0 <= high``, ``low + high <= 2**bits - 1`` of the output map.
    bias : per channel, added to the layer's sum to give x; bias of the model, zero-point correction and whatever keeps
        ``positive`` and ``negative`` unsigned are folded into it.
    accumulator_bits : width of the two's complement number that holds every reachable x of every channel.
    multiplier_bits : width of m, at least 1.
    ties : parity 0 or 1 of the y that halves are rounded to; None: halves go up.
    """

    multiplier: Integers
    positive: Integers
    negative: Integers
    shift: int
    offset2: int
    low: int
    high: int
    bias: Integers
    accumulator_bits: int
    multiplier_bits: int
    ties: int | None = None

    @property
    def two_sided(self) -> bool:
        """Whether the constant depends on the accumulator's sign."""
        return bool(np.any(self.positive != self.negative))


@dataclass(frozen=True)
class Layer:
    """What all layers have: a unique name, feature maps by name."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution, depthwise convolution and fully connected layer (a 1x1 convolution of a (1, 1, n) map).

    x[oy, ox, o] = bias[o] + sum over taps of u[...] * weights[o, ky, kx, c], where positions outside
    the map read ``pad_value``.

    Parameters
    ----------
    op : "conv2d", "depthwise_conv2d" or "fully_connected".
    weights : signed, (output channels, kernel height, kernel width, input channels); for depthwise the last axis is 1
        and output channel o reads input channel ``o // depth_multiplier``.
    weight_bits : width of a two's complement weight, 1..16 (1 bit: {-1, 0}).
    stride, dilation : (vertical, horizontal).
    padding : (top, left) rows and columns added before the map; what is read past the other edges is padding too.
    pad_value : stored number that padding reads (the input's ``zero``).
    model_bias : the model's own bias per output channel, in steps of input scale * weight scale; for other widths only.
    weight_scales : real value of one step of a weight, per output channel; for other widths only.
    """

    op: str
    weights: Integers
    weight_bits: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    pad_value: int
    depth_multiplier: int
    rescale: Rescale
    model_bias: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    weight_scales: tuple[float, ...] = ()


@dataclass(frozen=True)
class AveragePool(Layer):
    """x = sum of the window's elements inside the map (stored numbers) + bias[class].

    ``rescale`` arrays have one entry per value of ``divisors`` (number of elements of a window that lie inside the
    map).
    """

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    divisors: tuple[int, ...]
    rescale: Rescale


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over the window's elements inside the map, then the clamp ``low <= u <= low + high``."""

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    low: int
    high: int


@dataclass(frozen=True)
class RoundedSum:
    """The sum of two operands of which one is scaled and rounded first, as the reference ADD does it:

    ``v = floor((factor * u[operand] + a) / 2**shift)``, ``a = addend_below if u[operand] < threshold else addend``,
    ``f = multiplier * (v + u[1 - operand] * 2**raised)``.

    Parameters
    ----------
    operand : which operand is rounded, 0 or 1.
    factor : unsigned, below ``2**factor_bits``, at most 32 bits.
    addend, addend_below : below ``2**40`` in magnitude; v is never negative.
    threshold : 0..2**bits of the operand.
    shift, raised : 0..31.
    multiplier : unsigned, below ``2**multiplier_bits``, at most 32 bits.
    """

    operand: int
    factor: int
    factor_bits: int
    addend: int
    addend_below: int
    threshold: int
    shift: int
    raised: int
    multiplier: int
    multiplier_bits: int

    @property
    def two_sided(self) -> bool:
        """Whether the addend depends on the operand."""
        return self.addend != self.addend_below


@dataclass(frozen=True)
class Elementwise(Layer):
    """One or two operands, the same shape: ADD, RELU and RELU6 with a change of scale, QUANTIZE from int8 to int8.

    ``f = factors[0] * u0 + factors[1] * u1`` (or what ``rounded`` says),
    ``a = addend_negative if f + sign_addend < 0 else addend_positive``, ``y = floor((f + a) / 2**shift)``,
    ``u = low + min(max(y, 0), high)``.

    Parameters
    ----------
    op : the operator's name in the report: "add", "relu", "relu6", "quantize".
    factors : unsigned, below ``2**factor_bits``; as many as inputs, or none, and then ``rounded`` gives f.
    sign_addend, addend_positive, addend_negative : integers of any sign, below ``2**40`` in magnitude (``2**63`` with
        ``rounded``).
    shift : 0..40 (..62 with ``rounded``).
    low, high : the clamp, as in :class:`Rescale`.
    rounded : gives f where there are no ``factors``; without meaning where there are.
    ties : as in :class:`Rescale`; needs a shift of at least 1.
    """

    op: str
    factors: tuple[int, ...]
    factor_bits: int
    sign_addend: int
    addend_positive: int
    addend_negative: int
    shift: int
    low: int
    high: int
    rounded: RoundedSum | None = None
    ties: int | None = None

    @property
    def rounded_sum(self) -> RoundedSum | None:
        """How f is computed when it is no sum of products."""
        return None if self.factors else self.rounded

    @property
    def two_sided(self) -> bool:
        """Whether the addend depends on the sign."""
        return self.addend_positive != self.addend_negative


@dataclass(frozen=True)
class Reorder(Layer):
    """A pure movement of stored numbers: choice and concatenation of channels, padding with a constant, reshape.

    Parameters
    ----------
    op : the movement's name in the report: "reshape", "pad", "select", "concatenate".
    padding : ((top, bottom), (left, right), (front, back) of the channels).
    pad_value : the stored number that padding holds.
    channels : first of all, channel j is channel ``channels[j]`` of the inputs side by side; empty: as they are.
    """

    op: str
    padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    pad_value: int
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A network: feature maps by name and layers in the order in which they are computed.

    Parameters
    ----------
    name : of the network.
    input, output : names of its maps.
    maps : by name.
    layers : in the order in which they are computed.
    classes : names of the outputs; may be empty.
    half_even_input : whether the host rounds halves of a float input to even numbers, else away from zero.
    """

    name: str
    input: str
    output: str
    maps: dict[str, FeatureMap]
    layers: tuple[Layer, ...]
    classes: tuple[str, ...] = field(default=())
    half_even_input: bool = False
