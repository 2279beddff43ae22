"""The same network at other widths: weights and activations of an 8-bit graph requantised by an integer rule.

All quantities are integers or exact fractions (a float scale *is* a fraction); ``round`` is floor(x + 1/2).

**Widths.** A layer's width N is the width of its weights and of its input activations.  A map is as wide as the widest
of its readers asks; a layer that no width is given for asks for 8 bits, a max pool or a reorder for what its output
has, as they do not change the width.  The network's output (the logits) keeps 8 bits.

**Maps.** A map of N bits spans a part C of the real range of the map of 8 bits on either side of 0.0: C = 3/8 up to 4
bits, 1/2 at 5 and 6, 3/4 at 7, else 1, because the few large numbers matter less than fine steps where steps are few.
The network's input, its output and what is only moved or max-pooled from the input have C = 1.  With r = (2**N - 1) /
(255 C) new steps in an old one, zero' = round(zero * (2**N - 1) / 255), and a stored number v of the model (the ends of
a clamp, the value of a padding, the host's picture: :func:`resample`) becomes zero' + round((v - zero) * r), limited to
0..2**N - 1.

**Weights.** Above 8 bits they stay what they are, in a wider field.  Below, with L = max(1, 2**(N-1) - 1), the weights
of each output channel become w' = w * L / D, rounded half away from zero and limited to -2**(N-1)..2**(N-1) - 1 (1 bit:
-1 or 0), with the integer D of 1..127 that minimises the sum of e**2, e = w * L - w' * D, over the channel, the largest
where several do; the step is D / L of the old one.  Then the sum of every kernel is restored, as feature maps are
smooth: input channel after input channel, with E the sum of its e and of what the channel before left over, the n =
round(E / D) weights (n < 0: -n) with the largest (smallest) e, the first where equal, that do not stand at the limit,
go up (down) by 1, and E - n * D, n counting the moved ones, is left over.  In 1x1 kernels all input channels count as
one kernel.

**Requantisation.** With M the exact real multiplier of a channel (input step * weight step / output step), t the
largest shift of at most 62 with every m = round(M * 2**t) below 2**(output bits + 6) (and at least 1), and B the
model's bias in the new input and weight steps, a fraction:

    K = round(m * (B - zero_in * sum of w'))
    u = low + clamp(floor((m * sum of u * w' + K + offset) / 2**t), 0, high)

with offset = (2 * (zero_out - low) + 1) * 2**(t-1): one rounding, half up.  Average pools (M = step_in / step_out /
divisor) and elementwise layers (one M per operand, t at most 40) are requantised in the same way.

A layer whose widths all stay 8 keeps its constants, so a uniform width of 8 gives back the very graph.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Graph, Integers, Layer, MaxPool, Reorder, Rescale
from golden.operators import clamp
from golden.rescale import MAXIMUM_ELEMENTWISE_SHIFT, MAXIMUM_SHIFT, accumulator_bits, reachable

MODEL_BITS = 8
MAXIMUM_BITS = 16
EXTRA_MULTIPLIER_BITS = 6
"""A multiplier is this much wider than the output, so that its own rounding moves an output by 1/64 step at most."""

LayerBits = int | Mapping[str, int]
Bits = int | Mapping[str, LayerBits]

_FIELDS = ("activation", "weight")


class WidthError(ValueError):
    """A request for widths that cannot be met; the text is one line with the layer, the rule and what was given."""


# --- the rule -------------------------------------------------------------------------------------------------------


def _round(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


@dataclass(frozen=True)
class _Requantized:
    """A map at its new width: ``steps`` new steps make an old one."""

    old: FeatureMap
    new: FeatureMap
    steps: Fraction

    @property
    def step(self) -> Fraction:
        """The real value of a new step."""
        return Fraction(self.old.scale) / self.steps

    def number(self, stored: int) -> int:
        """The new stored number for one of the old map."""
        moved = self.new.zero + _round((stored - self.old.zero) * self.steps)
        return min(max(moved, 0), (1 << self.new.bits) - 1)

    def clamp(self, low: int, high: int) -> tuple[int, int]:
        """The new (low, high) of a clamp ``low <= u <= low + high``."""
        new_low = self.number(low)
        return new_low, self.number(low + high) - new_low


def _part(bits: int) -> Fraction:
    """The part of the real range that a map of ``bits`` bits spans."""
    if bits <= 4:
        return Fraction(3, 8)
    return {5: Fraction(1, 2), 6: Fraction(1, 2), 7: Fraction(3, 4)}.get(bits, Fraction(1))


def _requantized(old: FeatureMap, bits: int, whole: bool) -> _Requantized:
    if bits == old.bits:
        return _Requantized(old, old, Fraction(1))
    finer = Fraction((1 << bits) - 1, (1 << MODEL_BITS) - 1)
    steps = finer / (Fraction(1) if whole else _part(bits))
    new = replace(old, bits=bits, zero=_round(old.zero * finer), scale=float(Fraction(old.scale) / steps))
    return _Requantized(old, new, steps)


def resample(stored: NDArray[np.integer[Any]], source: FeatureMap, bits: int) -> Integers:
    """Stored numbers of the network's 8-bit input map ``source`` at another width; host work."""
    requantized = _requantized(source, bits, whole=True)
    table = np.array([requantized.number(number) for number in range(1 << MODEL_BITS)], dtype=np.int64)
    return table[stored]


def _restore_sums(scaled: Integers, weights: Integers, divisors: Integers, limits: tuple[int, int]) -> Integers:
    """Move single weights by 1 so that every kernel keeps its sum; the arrays are (channels, kernels, taps)."""
    restored: Integers = np.array(weights)
    left_over = np.zeros(weights.shape[0], dtype=np.int64)
    for kernel in range(weights.shape[1]):
        current = restored[:, kernel]
        errors = scaled[:, kernel] - current * divisors[:, None]
        total = errors.sum(axis=1) + left_over
        wanted = (2 * total + divisors) // (2 * divisors)
        direction = np.where(wanted < 0, -1, 1)[:, None]
        stuck = np.where(direction > 0, current >= limits[1], current <= limits[0])
        order = np.lexsort((-errors * direction, stuck), axis=1)
        rank = np.argsort(order, axis=1, kind="stable")
        moved = (rank < np.abs(wanted)[:, None]) & ~stuck
        restored[:, kernel] = current + moved * direction
        left_over = total - (moved * direction).sum(axis=1) * divisors
    return restored


def requantize_weights(weights: Integers, bits: int) -> tuple[Integers, tuple[Fraction, ...]]:
    """Weights of 8 bits, (output channels, height, width, input channels), at another width.

    Also returns, per output channel, the new step in units of the old.
    """
    channels, height, width, inputs = weights.shape
    if bits >= MODEL_BITS:
        return weights, (Fraction(1),) * channels
    levels = max(1, (1 << (bits - 1)) - 1)
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    flat = np.reshape(weights, (channels, -1)) * levels
    best = np.zeros_like(flat)
    best_error = np.full(channels, np.iinfo(np.int64).max, dtype=np.int64)
    divisors = np.ones(channels, dtype=np.int64)
    for divisor in range(127, 0, -1):
        rounded = np.sign(flat) * ((2 * np.abs(flat) + divisor) // (2 * divisor))
        candidate = clamp(rounded, lowest, highest)
        error = ((flat - candidate * divisor) ** 2).sum(axis=1)
        better = error < best_error
        best = np.where(better[:, None], candidate, best)
        best_error = np.where(better, error, best_error)
        divisors = np.where(better, divisor, divisors)
    kernels = (channels, 1, inputs) if height * width == 1 else (channels, height * width, inputs)
    axes = (0, 1, 2) if height * width == 1 else (0, 2, 1)
    scaled, rounded = (np.transpose(np.reshape(numbers, kernels), axes) for numbers in (flat, best))
    restored = np.transpose(_restore_sums(scaled, rounded, divisors, (lowest, highest)), axes)
    return np.reshape(restored, weights.shape), tuple(Fraction(int(divisor), levels) for divisor in divisors)


def _multipliers(reals: Sequence[Fraction], bits: int, largest_shift: int) -> tuple[list[int], int]:
    """Integer multipliers, 1 to 2**bits - 1 where a shift of at least 1 permits, as fine as a common shift allows."""
    for shift in range(largest_shift, 0, -1):
        numbers = [_round(real * (1 << shift)) for real in reals]
        if max(numbers) < 1 << bits or shift == 1:
            return [max(1, number) for number in numbers], shift
    raise ValueError(f"the largest shift must be at least 1, got {largest_shift}")


def _rescale(
    reals: Sequence[Fraction],
    biases: Sequence[Fraction],
    span: tuple[Integers, Integers],
    target: FeatureMap,
    limits: tuple[int, int],
) -> Rescale:
    """Constants for real multipliers and biases; ``span`` is the reach of each entry's sum without bias."""
    multipliers, shift = _multipliers(reals, target.bits + EXTRA_MULTIPLIER_BITS, MAXIMUM_SHIFT)
    constants = [_round(multiplier * bias) for multiplier, bias in zip(multipliers, biases, strict=True)]
    pairs = [divmod(constant, multiplier) for constant, multiplier in zip(constants, multipliers, strict=True)]
    bias = np.array([pair[0] for pair in pairs], dtype=np.int64)
    addend = np.array([pair[1] for pair in pairs], dtype=np.int64)
    return Rescale(
        multiplier=np.array(multipliers, dtype=np.int64),
        positive=addend,
        negative=addend,
        shift=shift,
        offset2=2 * (target.zero - limits[0]) + 1,
        low=limits[0],
        high=limits[1],
        bias=bias,
        accumulator_bits=accumulator_bits(int((span[0] + bias).min()), int((span[1] + bias).max())),
        multiplier_bits=max(multipliers).bit_length(),
    )


def _with_weights(
    layer: Conv, quantized: tuple[Integers, Sequence[Fraction]], bits: int, source: _Requantized, target: _Requantized
) -> Conv:
    """The layer with other weights, and their steps in units of the old, between requantised maps."""
    weights, steps = quantized
    channels = weights.shape[0]
    if len(layer.weight_scales) != channels or layer.model_bias.size != channels:
        raise WidthError(f"layer {layer.name!r}: other widths need its weight scales and its bias, the graph has none")
    sums: Integers = np.sum(np.reshape(weights, (channels, -1)), axis=1)
    reals = [
        source.step * Fraction(scale) * step / target.step
        for scale, step in zip(layer.weight_scales, steps, strict=True)
    ]
    biases = [
        int(bias) * source.steps / step - source.new.zero * int(total)
        for bias, step, total in zip(layer.model_bias, steps, sums, strict=True)
    ]
    span = reachable(weights, np.zeros_like(layer.model_bias), (1 << source.new.bits) - 1)
    limits = target.clamp(layer.rescale.low, layer.rescale.high)
    return replace(
        layer,
        weights=weights,
        weight_bits=bits,
        pad_value=source.new.zero,
        rescale=_rescale(reals, biases, span, target.new, limits),
    )


def with_weights(
    layer: Conv, weights: Integers, steps: Sequence[Fraction], bits: int, source: FeatureMap, target: FeatureMap
) -> Conv:
    """A layer of an imported network with other weights, requantised by the rule of this module; its maps stay.

    Parameters
    ----------
    weights : of ``bits`` bits, in the shape of the layer's.
    steps : per output channel, the step of the new weights in units of the old.
    source, target : the layer's maps.

    Raises :class:`WidthError` where the layer has no weight scales or no bias.
    """
    maps = [_requantized(old, old.bits, whole=True) for old in (source, target)]
    return _with_weights(layer, (weights, steps), bits, maps[0], maps[1])


# --- layers ---------------------------------------------------------------------------------------------------------


class _Rewriter:
    """Rewrites layers to the new maps."""

    def __init__(self, maps: dict[str, _Requantized], weight_bits: dict[str, int]) -> None:
        self._maps = maps
        self._weight_bits = weight_bits

    def layer(self, layer: Layer) -> Layer:
        """The layer at the new widths; the same object when no width changes."""
        changed = any(self._maps[name].new is not self._maps[name].old for name in (*layer.inputs, layer.output))
        if isinstance(layer, Conv):
            if not changed and self._weight_bits[layer.name] == layer.weight_bits:
                return layer
            return self._convolution(layer)
        if not changed:
            return layer
        target = self._maps[layer.output]
        if isinstance(layer, AveragePool):
            return self._average_pool(layer)
        if isinstance(layer, Elementwise):
            return self._elementwise(layer)
        if isinstance(layer, MaxPool):
            low, high = target.clamp(layer.low, layer.high)
            return replace(layer, low=low, high=high)
        if isinstance(layer, Reorder):
            return replace(layer, pad_value=target.number(layer.pad_value))
        raise TypeError(f"layer {layer.name!r}: no width rule for the layer class {type(layer).__name__}")

    def _convolution(self, layer: Conv) -> Conv:
        source, target = self._maps[layer.inputs[0]], self._maps[layer.output]
        bits = self._weight_bits[layer.name]
        return _with_weights(layer, requantize_weights(layer.weights, bits), bits, source, target)

    def _average_pool(self, layer: AveragePool) -> AveragePool:
        source, target = self._maps[layer.inputs[0]], self._maps[layer.output]
        ratio = source.step / target.step
        divisors = np.array(layer.divisors, dtype=np.int64)
        constants = _rescale(
            [ratio / divisor for divisor in layer.divisors],
            [Fraction(-source.new.zero * divisor) for divisor in layer.divisors],
            (np.zeros_like(divisors), divisors * ((1 << source.new.bits) - 1)),
            target.new,
            target.clamp(layer.rescale.low, layer.rescale.high),
        )
        return replace(layer, rescale=constants)

    def _elementwise(self, layer: Elementwise) -> Elementwise:
        target = self._maps[layer.output]
        reals = [self._maps[name].step / target.step for name in layer.inputs]
        factors, shift = _multipliers(reals, target.new.bits + EXTRA_MULTIPLIER_BITS, MAXIMUM_ELEMENTWISE_SHIFT)
        low, high = target.clamp(layer.low, layer.high)
        zeros = -sum(factor * self._maps[name].new.zero for factor, name in zip(factors, layer.inputs, strict=True))
        addend = zeros + ((2 * (target.new.zero - low) + 1) << (shift - 1))
        return replace(
            layer,
            factors=tuple(factors),
            factor_bits=max(factors).bit_length(),
            sign_addend=zeros,
            addend_positive=addend,
            addend_negative=addend,
            shift=shift,
            low=low,
            high=high,
            ties=None,
        )


# --- which widths ---------------------------------------------------------------------------------------------------


def _checked(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise WidthError(f"{where} must be a whole number of 1..{MAXIMUM_BITS} bits, got {value!r}")
    if not 1 <= value <= MAXIMUM_BITS:
        raise WidthError(f"{where} must be 1..{MAXIMUM_BITS} bits, got {value}")
    return value


def _requests(graph: Graph, bits: Bits) -> tuple[dict[str, int], dict[str, int]]:
    """Checked widths by layer name: of the input activations and of the weights."""
    layers = {layer.name: layer for layer in graph.layers}
    weighted = {name for name, layer in layers.items() if isinstance(layer, Conv)}
    if not isinstance(bits, Mapping):
        width = _checked("the width", bits)
        return dict.fromkeys(layers, width), dict.fromkeys(weighted, width)
    activations: dict[str, int] = {}
    weights = dict.fromkeys(weighted, MODEL_BITS)
    for name, value in bits.items():
        if name not in layers:
            near = difflib.get_close_matches(str(name), list(layers), n=3, cutoff=0.0)
            raise WidthError(f"the network has no layer {name!r}; the nearest names are {', '.join(near)}")
        entry: Mapping[str, Any] = value if isinstance(value, Mapping) else {"activation": value}
        for key, width in entry.items():
            if key not in _FIELDS:
                raise WidthError(f"layer {name!r}: a width is of 'activation' or 'weight', got {key!r}")
            if key == "weight" and name not in weighted:
                raise WidthError(f"layer {name!r} has no weights; only an 'activation' width can be given")
            checked = _checked(f"layer {name!r}: the {key} width", width)
            if key == "activation":
                activations[name] = checked
            if name in weighted and (key == "weight" or not isinstance(value, Mapping)):
                weights[name] = checked
    return activations, weights


def _map_bits(graph: Graph, activations: dict[str, int]) -> dict[str, int]:
    """The width of every map, from what its readers ask for."""
    asked: dict[str, int] = {graph.output: MODEL_BITS}
    for layer in reversed(graph.layers):
        moves = isinstance(layer, MaxPool | Reorder)
        default = asked.get(layer.output, MODEL_BITS) if moves else MODEL_BITS
        for name in layer.inputs:
            asked[name] = max(asked.get(name, 0), activations.get(layer.name, default))
    for layer in graph.layers:
        if isinstance(layer, MaxPool | Reorder):
            asked[layer.output] = asked[layer.inputs[0]]
    return {name: asked.get(name, MODEL_BITS) for name in graph.maps}


def _new_maps(graph: Graph, widths: dict[str, int]) -> dict[str, _Requantized]:
    """Every map at its new width; input, output and what is only moved from the input keep their whole range."""
    whole = {graph.input, graph.output}
    for layer in graph.layers:
        if isinstance(layer, MaxPool | Reorder) and layer.inputs[0] in whole:
            whole.add(layer.output)
    for layer in reversed(graph.layers):
        if isinstance(layer, MaxPool | Reorder) and layer.output in whole:
            whole.update(layer.inputs)
    return {name: _requantized(old, widths[name], name in whole) for name, old in graph.maps.items()}


def fixed_widths(graph: Graph) -> str:
    """Why the widths of a graph cannot be changed; empty where they can."""
    for feature_map in graph.maps.values():
        if feature_map.bits != MODEL_BITS:
            return f"map {feature_map.name!r} must have {MODEL_BITS} bits before widths change, has {feature_map.bits}"
    for layer in graph.layers:
        if isinstance(layer, Conv) and layer.weight_bits > MODEL_BITS:
            return (
                f"layer {layer.name!r} must have weights of at most {MODEL_BITS} bits before widths change, has "
                f"{layer.weight_bits}"
            )
    return ""


def apply(graph: Graph, bits: Bits) -> Graph:
    """The network at other widths, by the rule of this module.

    Parameters
    ----------
    graph : an imported network; its maps have 8 bits, its weights at most 8.
    bits : one width of 1..16 for all layers, or a mapping from layer names to a width or to
        ``{"activation": a, "weight": w}``; layers and fields that are left out keep 8 bits.

    Raises :class:`WidthError` for an unknown layer, a width outside 1..16 and a graph that is not the model's own.
    """
    activations, weights = _requests(graph, bits)
    reason = fixed_widths(graph)
    if reason:
        raise WidthError(reason)
    maps = _new_maps(graph, _map_bits(graph, activations))
    rewriter = _Rewriter(maps, weights)
    layers = tuple(rewriter.layer(layer) for layer in graph.layers)
    if all(new is old for new, old in zip(layers, graph.layers, strict=True)):
        return graph
    return replace(graph, maps={name: requantized.new for name, requantized in maps.items()}, layers=layers)


def read_table(path: str | Path) -> dict[str, LayerBits]:
    """A JSON file of widths per layer, as :func:`apply` takes it; raises :class:`WidthError` when it is none."""
    file = Path(path)
    try:
        table: object = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WidthError(f"widths file {file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise WidthError(f"widths file {file}: not JSON ({error})") from error
    if not isinstance(table, dict):
        raise WidthError(f"widths file {file}: must be an object of layer names, is {type(table).__name__}")
    return cast("dict[str, LayerBits]", table)
