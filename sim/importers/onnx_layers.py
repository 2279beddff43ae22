"""Turns quantities of an ONNX network into layers of the integer graph, each with constants that are proven exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from golden import rescale
from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Integers, Layer, MaxPool, Reorder, Rescale
from golden.rescale import NoExactRescaleError
from sim.importers import ModelError
from sim.importers.onnx_elementwise import exact_sum
from sim.importers.onnx_file import Node
from sim.importers.onnx_grids import as_sum, clamp_of, in_steps, limited_part, own_grid, same_grid
from sim.importers.onnx_quantisers import Quantiser
from sim.importers.onnx_rounding import Clamp, exact_rescale, kernel_differences, kernel_multipliers
from sim.importers.onnx_values import Concatenation, Grid, Pending, WeighedMaps, WeightedSum, WindowMean
from sim.importers.split import groups_by_scale, split

__all__ = ["LayerWriter"]

_NAMES = {"conv2d": "conv", "depthwise_conv2d": "depthwise", "fully_connected": "fc"}
_NO_PADDING = ((0, 0), (0, 0), (0, 0))


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
            if same_grid(value.quantiser, quantiser):
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
        quantiser = own_grid(value)
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
                self.quantise(limited_part(part, value), quantiser, f"{name}/{number}", value.node)
                for number, part in enumerate(value.parts, 1)
            ]
        except NoExactRescaleError as error:
            raise self._refuse(f"{error}; another scale of the output would do") from error
        return self.concatenate(parts, name)

    # --- layers with weights

    def _weighted_sum(self, value: WeightedSum, quantiser: Quantiser, name: str) -> Grid:
        source, weights = value.source, value.weights
        channels = weights.shape[0]
        target, zero = clamp_of(value, quantiser), source.map.zero
        sums: Integers = np.sum(np.reshape(weights, (channels, -1)), axis=1)
        kernel = value.kernel if quantiser.kernels else None
        steps = [in_steps(bias, quantiser) for bias in value.biases]
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
        maps, layers = split(layer, source.map, grid.map, groups)
        self.maps |= {feature_map.name: feature_map for feature_map in maps}
        self.layers += layers
        return grid

    # --- pools

    def _window_mean(self, value: WindowMean, quantiser: Quantiser, name: str) -> Grid:
        source, target = value.source, clamp_of(value, quantiser)
        inside = sorted(value.divisors)
        counts = np.array(inside, dtype=np.int64)
        factor = value.factor / quantiser.scale
        bias = -source.map.zero * counts
        constants = exact_rescale(
            [factor / value.divisors[count] for count in inside],
            [in_steps(value.offset, quantiser)] * len(inside),
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
        target = clamp_of(value, quantiser)
        maps = [source.map for source in value.sources]
        factors = [factor / quantiser.scale for factor in value.factors]
        offset = in_steps(value.offset, quantiser)
        kind = "add" if len(maps) > 1 else "relu" if value.lowest == 0 and value.highest is None else "quantize"
        affine, ties = exact_sum(maps, factors, offset, target, f"{value.node}")
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
