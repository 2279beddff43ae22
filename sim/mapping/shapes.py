"""What a layer's programs depend on: sizes and widths, no weights and no data.

A shape is made from a graph's layer once (:func:`layer_shape`) and can be written as JSON and read back, so that the
cycle laws of a network can be evaluated by somebody who never sees its weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Graph, Layer, MaxPool, Reorder, Rescale, RoundedSum

__all__ = [
    "AveragePoolShape", "ConvShape", "ElementwiseShape", "LayerShape", "MaxPoolShape", "ReorderShape",
    "RequantizeShape", "RoundedSumShape", "layer_shape", "shape_from_dict",
]  # fmt: skip

Size = tuple[int, int, int]


@dataclass(frozen=True)
class RequantizeShape:
    """Widths and common constants of a :class:`~golden.graph.Rescale`.

    An accumulator far outside the range that the output can show may be clamped before it is multiplied: this is exact,
    and each bit that the multiplication is spared is worth more cycles than the clamp.

    Parameters
    ----------
    accumulator_bits : width of x, two's complement.
    operand_bits : A, width that holds multiplier and addends, 1..32.
    rectified : negative x give the same output as 0, so x is rectified and then unsigned.
    factor_bits : B, width of x when it is multiplied: unsigned when rectified, else two's complement.
    clamped : x is limited to the range of B bits first (when it could be outside).
    two_sided : the addend depends on the sign of x.
    uniform : all channels have the same multiplier and addends.
    shift, offset2, low, high, ties : as in :class:`~golden.graph.Rescale`.
    bits : width of the output's stored numbers.
    """

    accumulator_bits: int
    operand_bits: int
    rectified: bool
    factor_bits: int
    clamped: bool
    two_sided: bool
    uniform: bool
    shift: int
    offset2: int
    low: int
    high: int
    bits: int
    ties: int | None = None


@dataclass(frozen=True)
class LayerShape:
    """What the shapes of all layers have.

    Parameters
    ----------
    name, op : of the layer, for reports.
    inputs, output : names of feature maps.
    input_size, output_size : (height, width, channels); all inputs of a layer have the same size.
    activation_bits : width of each input's stored numbers.
    output_bits : width of the output's stored numbers.
    """

    kind: ClassVar[str] = ""

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    input_size: Size
    output_size: Size
    activation_bits: tuple[int, ...]
    output_bits: int

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of the layer; 0 for layers that have none."""
        return 0

    @property
    def weight_bits(self) -> int | None:
        """Width of a weight; None for a layer without weights."""
        return None

    def as_dict(self) -> dict[str, Any]:
        """The shape as plain JSON values, with its ``kind``."""
        return {"kind": self.kind} | dataclasses.asdict(self)


@dataclass(frozen=True)
class ConvShape(LayerShape):
    """Convolution, depthwise convolution and fully connected layer; fields as in :class:`~golden.graph.Conv`."""

    kind: ClassVar[str] = "conv"

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    kernel_bits: int
    depthwise: bool
    depth_multiplier: int
    requantize: RequantizeShape

    @property
    def reduction(self) -> int:
        """Products that are added up for one output."""
        return self.kernel[0] * self.kernel[1] * (1 if self.depthwise else self.input_size[2])

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations, those with padding included."""
        return self.output_size[0] * self.output_size[1] * self.output_size[2] * self.reduction

    @property
    def weight_bits(self) -> int | None:
        """Width of a weight."""
        return self.kernel_bits


@dataclass(frozen=True)
class AveragePoolShape(LayerShape):
    """Average pool; fields as in :class:`~golden.graph.AveragePool`."""

    kind: ClassVar[str] = "average_pool"

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    divisors: tuple[int, ...]
    requantize: RequantizeShape


@dataclass(frozen=True)
class MaxPoolShape(LayerShape):
    """Max pool; fields as in :class:`~golden.graph.MaxPool`."""

    kind: ClassVar[str] = "max_pool"

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    low: int
    high: int


@dataclass(frozen=True)
class RoundedSumShape:
    """Widths and common constants of a :class:`~golden.graph.RoundedSum`.

    Parameters
    ----------
    operand, factor_bits, shift, raised : as there.
    product_bits : width of the unsigned product with either addend.
    constant_bits : two's complement width of the constants that are added to it.
    sum_bits : width of the unsigned sum before it is multiplied.
    two_sided : the addend depends on the operand.
    """

    operand: int
    factor_bits: int
    shift: int
    raised: int
    product_bits: int
    constant_bits: int
    sum_bits: int
    two_sided: bool


@dataclass(frozen=True)
class ElementwiseShape(LayerShape):
    """One or two operands, element by element; fields as in :class:`~golden.graph.Elementwise`.

    Parameters
    ----------
    factor_bits : width of the factors; of the sum's multiplier with ``rounded``.
    sum_bits : two's complement width of every sum that counts: with ``sign_addend`` and with either addend.
    constant_bits : two's complement width of the constants that are added.
    rounded : how the operands are added when one of them is rounded first.
    ties : as in :class:`~golden.graph.Rescale`.
    """

    kind: ClassVar[str] = "elementwise"

    factor_bits: int
    sum_bits: int
    constant_bits: int
    two_sided: bool
    shift: int
    low: int
    high: int
    rounded: RoundedSumShape | None = None
    ties: int | None = None


@dataclass(frozen=True)
class ReorderShape(LayerShape):
    """A movement of stored numbers by the host: no program, no cycles."""

    kind: ClassVar[str] = "reorder"


_KINDS: dict[str, type[LayerShape]] = {
    shape.kind: shape for shape in (ConvShape, AveragePoolShape, MaxPoolShape, ElementwiseShape, ReorderShape)
}


def layer_shape(layer: Layer, graph: Graph) -> LayerShape:
    """The shape of a layer of a graph.

    Raises ``TypeError`` for an unknown class of layer.
    """
    sources = [graph.maps[name] for name in layer.inputs]
    target = graph.maps[layer.output]
    op = layer.op if isinstance(layer, Conv | Elementwise | Reorder) else _POOLS.get(type(layer), "")
    common: dict[str, Any] = {
        "name": layer.name,
        "op": op,
        "inputs": layer.inputs,
        "output": layer.output,
        "input_size": sources[0].shape,
        "output_size": target.shape,
        "activation_bits": tuple(source.bits for source in sources),
        "output_bits": target.bits,
    }
    if isinstance(layer, Conv):
        depthwise = layer.op == "depthwise_conv2d"
        return ConvShape(
            **common,
            kernel=(layer.weights.shape[1], layer.weights.shape[2]),
            stride=layer.stride,
            dilation=layer.dilation,
            padding=layer.padding,
            kernel_bits=layer.weight_bits,
            depthwise=depthwise,
            depth_multiplier=layer.depth_multiplier if depthwise else 1,
            requantize=_requantize_shape(layer.rescale, target),
        )
    if isinstance(layer, AveragePool):
        return AveragePoolShape(
            **common,
            window=layer.window,
            stride=layer.stride,
            padding=layer.padding,
            divisors=layer.divisors,
            requantize=_requantize_shape(layer.rescale, target),
        )
    if isinstance(layer, MaxPool):
        return MaxPoolShape(
            **common, window=layer.window, stride=layer.stride, padding=layer.padding, low=layer.low, high=layer.high
        )
    if isinstance(layer, Elementwise):
        return _elementwise_shape(layer, common)
    if isinstance(layer, Reorder):
        return ReorderShape(**common)
    raise TypeError(f"layer {layer.name!r} must be of a class of golden.graph, not {type(layer).__name__}")


_POOLS: dict[type[Layer], str] = {AveragePool: "average_pool_2d", MaxPool: "max_pool_2d"}


def shape_from_dict(fields: Mapping[str, Any]) -> LayerShape:
    """The shape that :meth:`LayerShape.as_dict` wrote, after a way through JSON.

    Raises
    ------
    ValueError
        If the kind is unknown or the fields are not those of the kind.
    """
    values: dict[str, Any] = {key: _frozen(value) for key, value in fields.items()}
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"kind of a layer must be one of {', '.join(_KINDS)}, not {kind!r}")
    try:
        if "requantize" in values:
            values["requantize"] = RequantizeShape(**values["requantize"])
        if values.get("rounded") is not None:
            values["rounded"] = RoundedSumShape(**values["rounded"])
        return _KINDS[kind](**values)
    except TypeError as error:
        raise ValueError(f"fields of a layer of kind {kind} do not fit: {error}") from error


def _frozen(value: Any) -> Any:
    """A list, as JSON has them, as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def signed_bits(*numbers: int) -> int:
    """Width of the two's complement number that holds each of the given integers."""
    return max(number.bit_length() if number >= 0 else (-number - 1).bit_length() for number in numbers) + 1


def _requantize_shape(rescale: Rescale, target: FeatureMap) -> RequantizeShape:
    entries = [
        tuple(int(value) for value in entry)
        for entry in zip(rescale.multiplier, rescale.positive, rescale.negative, strict=True)
    ]

    def steps(x: int) -> list[int]:
        """The output, before the clamp, of every channel for an accumulator x."""
        offset = rescale.offset2 << (rescale.shift - 1)
        return [(x * m + (n if x < 0 else p) + offset) >> rescale.shift for m, p, n in entries]

    def saturates(bits: int) -> bool:
        lowered = 0 if rescale.ties is None else 1
        return all(y - lowered >= rescale.high for y in steps((1 << bits) - 1))

    def vanishes(bits: int) -> bool:
        return all(y <= 0 for y in steps(-(1 << bits)))

    magnitude = rescale.accumulator_bits - 1
    used = [number for entry in entries for number in entry]
    operand = max(1, rescale.multiplier_bits, *(number.bit_length() for number in used))
    uniform = len(set(entries)) == 1
    gain = (4 if uniform else 8) * operand  # cycles that a narrower factor saves per bit
    clamp = 4 + 3 * rescale.accumulator_bits
    upper = next((bits for bits in range(1, magnitude) if saturates(bits)), magnitude)
    rectified = magnitude >= 1 and gain > rescale.accumulator_bits + 2
    rectified = rectified and all(y <= 0 for y in steps(-1)) and all(y <= 0 for y in steps(0))
    if rectified:
        factor, clamped = magnitude, (magnitude - upper) * gain > clamp
        factor = upper if clamped else factor
    else:
        lower = next((bits for bits in range(1, magnitude) if vanishes(bits)), magnitude)
        bits = max(lower, upper)
        clamped = (magnitude - bits) * gain > 2 * clamp
        factor = (bits if clamped else magnitude) + 1
    return RequantizeShape(
        accumulator_bits=rescale.accumulator_bits,
        operand_bits=operand,
        rectified=rectified,
        factor_bits=factor,
        clamped=clamped,
        two_sided=rescale.two_sided and not rectified,
        uniform=uniform,
        shift=rescale.shift,
        offset2=rescale.offset2,
        low=rescale.low,
        high=rescale.high,
        bits=target.bits,
        ties=rescale.ties,
    )


def _elementwise_shape(layer: Elementwise, common: dict[str, Any]) -> ElementwiseShape:
    bits: tuple[int, ...] = common["activation_bits"]
    if layer.rounded_sum is None:
        rounded, factor_bits = None, layer.factor_bits
        largest = sum(factor * ((1 << width) - 1) for factor, width in zip(layer.factors, bits, strict=True))
        products = factor_bits + max(bits)
    else:
        rounded, factor_bits = _rounded_shape(layer.rounded_sum, bits), layer.rounded_sum.multiplier_bits
        largest = layer.rounded_sum.multiplier * ((1 << rounded.sum_bits) - 1)
        products = factor_bits + rounded.sum_bits
    addends = [layer.addend_positive, layer.addend_negative]
    constants = [layer.addend_positive]
    if layer.two_sided:
        addends.append(layer.sign_addend)
        constants = [
            layer.sign_addend, layer.addend_negative - layer.addend_positive, layer.addend_positive - layer.sign_addend
        ]  # fmt: skip
    lowered = 0 if layer.ties is None else 1
    sums = signed_bits(*(addend - lowered for addend in addends), *(largest + addend for addend in addends))
    return ElementwiseShape(
        **common,
        factor_bits=factor_bits,
        sum_bits=max(sums, products, layer.shift + 1),
        constant_bits=signed_bits(*constants),
        two_sided=layer.two_sided,
        shift=layer.shift,
        low=layer.low,
        high=layer.high,
        rounded=rounded,
        ties=layer.ties,
    )


def _rounded_shape(rounded: RoundedSum, bits: tuple[int, ...]) -> RoundedSumShape:
    scaled, exact = bits[rounded.operand], bits[1 - rounded.operand]
    largest = rounded.factor * ((1 << scaled) - 1) + max(rounded.addend, rounded.addend_below)
    constants = [rounded.addend_below, rounded.addend - rounded.addend_below]
    return RoundedSumShape(
        operand=rounded.operand,
        factor_bits=rounded.factor_bits,
        shift=rounded.shift,
        raised=rounded.raised,
        product_bits=max(largest.bit_length(), rounded.factor_bits + scaled, rounded.shift + 1),
        constant_bits=signed_bits(*constants),
        sum_bits=((largest >> rounded.shift) + (((1 << exact) - 1) << rounded.raised)).bit_length(),
        two_sided=rounded.two_sided,
    )
