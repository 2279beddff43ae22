"""Turns quantities of an ONNX network into layers of the integer graph, each with constants that are proven exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import rescale
from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Integers, Layer, MaxPool, Reorder, Rescale
from golden.operators import clamp
from golden.rescale import NoExactRescaleError
from golden.widths import MAXIMUM_BITS
from sim.importers import ModelError
from sim.importers.onnx_file import Node
from sim.importers.onnx_quantisers import Quantiser, signed_bits
from sim.importers.onnx_rounding import (
    Clamp,
    exact_rescale,
    half_even,
    kernel_differences,
    kernel_multipliers,
    nearest_even,
)
from sim.importers.onnx_values import Concatenation, Grid, Pending, WeighedMaps, WeightedSum, WindowMean
from sim.importers.split import groups_by_scale, split

__all__ = ["LayerWriter", "inside_lengths"]

_SMALL_FACTOR_BITS = 12
_ALL_PAIRS_BITS = 20
_NAMES = {"conv2d": "conv", "depthwise_conv2d": "depthwise", "fully_connected": "fc"}
_NO_PADDING = ((0, 0), (0, 0), (0, 0))


def inside_lengths(
    shape: tuple[int, int, int],
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> list[list[int]]:
    """For rows and for columns of the output: how much of each window lies inside the map."""
    lengths: list[list[int]] = []
    for axis in (0, 1):
        starts = [place * stride[axis] - padding[axis] for place in range(size[axis])]
        lengths.append([min(start + window[axis], shape[axis]) - max(start, 0) for start in starts])
    return lengths


class LayerWriter:
    """Collects the maps and layers of a network.

    Parameters
    ----------
    refuse : makes the error for a text.
    """

    def __init__(self, refuse: Callable[[str], ModelError]) -> None:
        """Begin without layers."""
        self._refuse = refuse
        self._counts: dict[str, int] = {}
        self._kernels: dict[str, tuple[NDArray[np.float32], tuple[Integers, Integers], Clamp]] = {}
        self.maps: dict[str, FeatureMap] = {}
        self.layers: list[Layer] = []

    def kernel_differences(self) -> dict[str, int]:
        """By layer: for how many reachable accumulators onnxruntime's kernel gives another number.

        Layers for which it has no kernel are left out.
        """
        return {name: kernel_differences(*fields) for name, fields in self._kernels.items()}

    # --- maps and names

    def add_map(
        self, name: str, shape: tuple[int, int, int], quantiser: Quantiser, order: tuple[int, ...] = ()
    ) -> Grid:
        """A new feature map for the numbers of a quantiser."""
        unique, number = name, 1
        while unique in self.maps:
            number += 1
            unique = f"{name}#{number}"
        scale = float(quantiser.scale)
        self.maps[unique] = FeatureMap(unique, shape, quantiser.bits, quantiser.stored_zero, scale)
        return Grid(self.maps[unique], quantiser, order)

    def _name(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}"

    # --- quantising

    def quantise(self, value: Grid | Pending, quantiser: Quantiser, name: str, node: Node | None = None) -> Grid:
        """The map of a quantity on the grid of a quantiser.

        Parameters
        ----------
        value : the quantity.
        quantiser : its grid.
        name : of the map.
        node : the quantiser's, for error texts.
        """
        if isinstance(value, Grid):
            if _same_grid(value.quantiser, quantiser):
                return value
            value = as_sum(value, node)
        if not value.then:
            return self._emit(value, quantiser, name)
        grid = self._emit(replace(value, then=()), quantiser, f"{name}/before")
        for number, movement in enumerate(value.then, 1):
            grid = movement(grid, name if number == len(value.then) else f"{name}/before{number + 1}")
        return grid

    def settle(self, value: Grid | Pending, reader: Node | None, name: str) -> Grid:
        """A quantity as a map without rounding; refused where it needs a quantiser.

        Parameters
        ----------
        value : the quantity.
        reader : the node that needs the map; None for the network's output.
        name : of the tensor.
        """
        if isinstance(value, Grid):
            return value
        quantiser = _own_grid(value)
        if quantiser is None:
            where = "the network's output" if reader is None else f"{reader}"
            raise self._refuse(
                f"{where} needs quantised numbers, {value.node} computes others; put a quantiser between them"
            )
        return self.quantise(value, quantiser, name)

    def _emit(self, value: Pending, quantiser: Quantiser, name: str) -> Grid:
        try:
            if isinstance(value, WeightedSum):
                return self._weighted_sum(value, quantiser, name)
            if isinstance(value, WindowMean):
                return self._window_mean(value, quantiser, name)
            if isinstance(value, WeighedMaps):
                return self._weighed_maps(value, quantiser, name)
            assert isinstance(value, Concatenation)
            parts = [
                self.quantise(_limited(part, value), quantiser, f"{name}/{number}", value.node)
                for number, part in enumerate(value.parts, 1)
            ]
        except NoExactRescaleError as error:
            raise self._refuse(f"{error}; another scale of the output would do") from error
        return self.concatenate(parts, name)

    # --- layers with weights

    def _weighted_sum(self, value: WeightedSum, quantiser: Quantiser, name: str) -> Grid:
        source, weights = value.source, value.weights
        channels = weights.shape[0]
        target, zero = _clamp(value, quantiser), source.map.zero
        sums: Integers = np.sum(np.reshape(weights, (channels, -1)), axis=1)
        kernel = value.kernel if quantiser.kernels else None
        steps = [_steps(bias, quantiser) for bias in value.biases]
        factors = [unit / quantiser.scale for unit in value.units]
        multipliers: NDArray[np.float32] | None = None
        if kernel is not None:
            multipliers = kernel_multipliers(kernel.source, kernel.weights, float(quantiser.scale))
            factors = [Fraction(float(multiplier)) for multiplier in multipliers]
            steps = [Fraction(0)] * channels
        model_bias = np.array([round(bias / unit) for bias, unit in zip(value.biases, value.units, strict=True)])
        bias = -zero * sums if kernel is None else kernel.bias - zero * sums
        span = rescale.reachable(weights, bias, (1 << source.map.bits) - 1)

        def constants(chosen: Integers) -> Rescale:
            limits, label = (span[0][chosen], span[1][chosen]), f"{value.node}"
            pairs = [factors[channel] for channel in chosen], [steps[channel] for channel in chosen]
            return exact_rescale(*pairs, limits, bias[chosen], target, label)

        groups = groups_by_scale(np.array([float(factor) for factor in factors]), constants)
        grid = self.add_map(name, (*value.size, channels), quantiser)
        layer = Conv(
            name=self._name(_NAMES[value.op]),
            inputs=(source.map.name,),
            output=grid.map.name,
            op=value.op,
            weights=weights,
            weight_bits=value.weight_bits,
            stride=value.stride,
            dilation=value.dilation,
            padding=value.padding,
            pad_value=zero,
            depth_multiplier=value.depth_multiplier,
            rescale=groups[0][1],
            model_bias=model_bias.astype(np.int64),
            weight_scales=tuple(float(unit / source.quantiser.scale) for unit in value.units),
        )
        if multipliers is not None:
            self._kernels[layer.name] = multipliers, span, target
        if len(groups) == 1:
            self.layers.append(layer)
            return grid
        maps, layers = split(layer, source.map, grid.map, groups)
        self.maps |= {feature_map.name: feature_map for feature_map in maps}
        self.layers += layers
        return grid

    # --- pools

    def _window_mean(self, value: WindowMean, quantiser: Quantiser, name: str) -> Grid:
        source, target = value.source, _clamp(value, quantiser)
        inside = sorted(value.divisors)
        counts = np.array(inside, dtype=np.int64)
        factor = value.factor / quantiser.scale
        bias = -source.map.zero * counts
        constants = exact_rescale(
            [factor / value.divisors[count] for count in inside],
            [_steps(value.offset, quantiser)] * len(inside),
            (bias, bias + ((1 << source.map.bits) - 1) * counts),
            bias,
            target,
            f"{value.node}",
        )
        grid = self.add_map(name, (*value.size, source.map.shape[2]), quantiser)
        self.layers.append(
            AveragePool(
                name=self._name("avgpool"),
                inputs=(source.map.name,),
                output=grid.map.name,
                window=value.window,
                stride=value.stride,
                padding=value.padding,
                divisors=tuple(inside),
                rescale=constants,
            )
        )
        return grid

    def max_pool(
        self,
        source: Grid,
        size: tuple[int, int],
        window: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        name: str,
    ) -> Grid:
        """A max pool on the grid of its input."""
        grid = self.add_map(name, (*size, source.map.shape[2]), source.quantiser)
        names = (source.map.name,), grid.map.name
        full = (1 << source.map.bits) - 1
        self.layers.append(MaxPool(self._name("maxpool"), *names, window, stride, padding, 0, full))
        return grid

    # --- element by element

    def _weighed_maps(self, value: WeighedMaps, quantiser: Quantiser, name: str) -> Grid:
        target = _clamp(value, quantiser)
        maps = [source.map for source in value.sources]
        factors = [factor / quantiser.scale for factor in value.factors]
        offset = _steps(value.offset, quantiser)
        kind = "add" if len(maps) > 1 else "relu" if value.lowest == 0 and value.highest is None else "quantize"
        form = _small_factors(maps, factors, offset, target, f"{value.node}")
        if form is None:
            form = _large_factors(maps, factors, offset, target, f"{value.node}")
        affine, ties = form
        grid = self.add_map(name, maps[0].shape, quantiser, value.sources[0].order)
        self.layers.append(
            Elementwise(
                name=self._name(kind),
                inputs=tuple(feature_map.name for feature_map in maps),
                output=grid.map.name,
                op=kind,
                factors=affine.factors,
                factor_bits=affine.factor_bits,
                sign_addend=affine.sign_addend,
                addend_positive=affine.addend_positive,
                addend_negative=affine.addend_negative,
                shift=affine.shift,
                low=target.low,
                high=target.high,
                ties=ties,
            )
        )
        return grid

    # --- movements

    def reorder(
        self,
        sources: list[Grid],
        shape: tuple[int, int, int],
        name: str,
        kind: str,
        *,
        padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] = _NO_PADDING,
        channels: tuple[int, ...] = (),
        order: tuple[int, ...] = (),
    ) -> Grid:
        """A movement of stored numbers; padding reads 0.0."""
        quantiser = sources[0].quantiser
        grid = self.add_map(name, shape, quantiser, order)
        inputs = tuple(source.map.name for source in sources)
        zero = quantiser.stored_zero
        self.layers.append(Reorder(self._name(kind), inputs, grid.map.name, kind, padding, zero, channels))
        return grid

    def concatenate(self, parts: list[Grid], name: str) -> Grid:
        """Maps on one grid side by side in the channels."""
        height, width, _ = parts[0].map.shape
        channels = sum(part.map.shape[2] for part in parts)
        return self.reorder(parts, (height, width, channels), name, "concatenate", channels=tuple(range(channels)))


# --- grids ----------------------------------------------------------------------------------------------------------


def as_sum(value: Grid, node: Node | None) -> WeighedMaps:
    """A map as a quantity that can be limited and quantised again."""
    return WeighedMaps(node=node, sources=(value,), factors=(value.quantiser.scale,))


def _same_grid(old: Quantiser, new: Quantiser) -> bool:
    """Whether a quantiser changes no number of a map."""
    kept = (old.scale, old.zero, old.bits, old.base) == (new.scale, new.zero, new.bits, new.base)
    return kept and new.lowest <= old.lowest and old.highest <= new.highest


def _limited(part: Grid | Pending, whole: Concatenation) -> Grid | Pending:
    if whole.lowest is None and whole.highest is None:
        return part
    pending = as_sum(part, whole.node) if isinstance(part, Grid) else part
    return pending.limited(whole.lowest, whole.highest)


def _steps(value: Fraction, quantiser: Quantiser) -> Fraction:
    """A real number in steps of the output, with the zero point where that is added before rounding."""
    return value / quantiser.scale + (quantiser.zero if quantiser.zero_first else 0)


def _clamp(value: Pending, quantiser: Quantiser) -> Clamp:
    """Where rounded numbers go, with the limits of ReLU or Clip."""
    added = 0 if quantiser.zero_first else quantiser.zero

    def stored(limit: Fraction | None, end: int) -> int:
        at = end if limit is None else nearest_even(_steps(limit, quantiser)) + added
        return min(max(at, quantiser.lowest), quantiser.highest) - quantiser.base

    low, top = stored(value.lowest, quantiser.lowest), stored(value.highest, quantiser.highest)
    return Clamp(added - quantiser.base, low, max(low, top) - low)


def _own_grid(value: Pending) -> Quantiser | None:
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


# --- elementwise ----------------------------------------------------------------------------------------------------


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
