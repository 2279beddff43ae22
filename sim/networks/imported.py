"""Networks with weights: an imported graph, whose widths follow :mod:`golden.widths`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from golden.graph import Conv, Graph
from sim.errors import UserError, one_line
from sim.networks.network import Network, WeightLayer

if TYPE_CHECKING:
    from sim.evaluate.widths import Widths
    from sim.mapping.shapes import LayerShape

__all__ = ["ImportedNetwork"]


@dataclass(frozen=True)
class ImportedNetwork(Network):
    """A network as a graph.

    Parameters
    ----------
    name : of the network, or of its file.
    graph : as imported, at its own widths.
    """

    name: str
    graph: Graph

    def _weight_layers(self) -> Iterable[WeightLayer]:
        """The convolutions and fully connected layers; batch normalisations are folded into them."""
        return (self._weight_layer(layer) for layer in self.graph.layers if isinstance(layer, Conv))

    @property
    def other_layers(self) -> tuple[str, ...]:
        """Names of the layers without weights; where no width is given, they ask for 8 bits."""
        return tuple(layer.name for layer in self.graph.layers if not isinstance(layer, Conv))

    @property
    def has_own_widths(self) -> bool:
        """An imported network is quantised."""
        return True

    @property
    def has_fixed_widths(self) -> bool:
        """Other widths are made of 8 bits only."""
        from golden.widths import fixed_widths

        return bool(fixed_widths(self.graph))

    def shapes(self, widths: Widths) -> tuple[LayerShape, ...]:
        """The shapes of all layers at the given widths, or at the network's own where none are given.

        Raises
        ------
        UserError
            If the widths are not for this network, or a rule of :mod:`golden.widths` is broken.
        """
        from sim.mapping.shapes import layer_shape

        graph = self.at(widths)
        return tuple(layer_shape(layer, graph) for layer in graph.layers)

    def at(self, widths: Widths) -> Graph:
        """The graph at the given widths; raises as :meth:`shapes`."""
        from golden.widths import WidthError, apply

        widths.check(self)
        if widths.own:
            return self.graph
        key = (widths.uniform, tuple(sorted(widths.layers.items())))
        if key not in self._graphs:
            try:
                self._graphs[key] = apply(self.graph, self._table(widths))
            except WidthError as error:
                raise UserError(f"network {self.name}: {one_line(error)}") from error
        return self._graphs[key]

    @cached_property
    def _graphs(self) -> dict[tuple[int | None, tuple[tuple[str, tuple[int, int]], ...]], Graph]:
        """What has been asked for, by widths."""
        return {}

    def _table(self, widths: Widths) -> int | dict[str, int | dict[str, int]]:
        """The widths as :func:`golden.widths.apply` takes them."""
        if widths.uniform is not None and not widths.layers:
            return widths.uniform
        table: dict[str, int | dict[str, int]] = {}
        for layer in self.weight_layers:
            activation, weight = widths.of(layer.name)
            table[layer.name] = {"activation": activation, "weight": weight}
        for name in self.other_layers:
            if name in widths.layers or widths.uniform is not None:
                table[name] = widths.of(name)[0]
        return table

    def _weight_layer(self, layer: Conv) -> WeightLayer:
        channels, height, width, products = layer.weights.shape
        rows, columns, _ = self.graph.maps[layer.output].shape
        gemm = (channels, height * width * products, rows * columns)
        weights = int(layer.weights.size)
        return WeightLayer(layer.name, layer.op, gemm, weights, weights + int(layer.model_bias.size))
