"""Networks without weights: layers by kind and size, from which shapes are made once widths are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sim.networks.network import Network, WeightLayer

if TYPE_CHECKING:
    from sim.evaluate.widths import Widths
    from sim.mapping.shapes import LayerShape

__all__ = [
    "INPUT", "Addition", "AveragePooling", "Convolution", "DescribedNetwork", "Flattening", "LayerDescription",
    "MaxPooling", "Quantisation",
]  # fmt: skip

INPUT = "input"
"""The map that the network is given."""

Size = tuple[int, int, int]


@dataclass(frozen=True)
class LayerDescription:
    """What all layers have.

    Parameters
    ----------
    name : of the layer, and of the map that it makes.
    inputs : names of the maps that it reads, which have the same size.
    """

    name: str
    inputs: tuple[str, ...]

    def output_size(self, size: Size) -> Size:
        """(height, width, channels) of the output for those of an input."""
        return size


@dataclass(frozen=True)
class _Window(LayerDescription):
    """A layer that slides a window over its input.

    Parameters
    ----------
    kernel, stride, padding : (vertical, horizontal); padding lies on both sides.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def output_size(self, size: Size) -> Size:
        """(height, width, channels) of the output: windows that lie in the padded map; channels stay."""
        sides = zip(size, self.kernel, self.stride, self.padding, strict=False)
        height, width = ((length + 2 * pad - kernel) // stride + 1 for length, kernel, stride, pad in sides)
        return height, width, size[2]


@dataclass(frozen=True)
class Convolution(_Window):
    """A convolution, or a fully connected layer, which is one of 1x1 pixel.

    Parameters
    ----------
    channels : of the output, at least 1.
    relu : negative outputs become 0.
    learnt_per_channel : learnt numbers beside the kernel: 1 with a bias, 2 with a batch normalisation.
    op : "conv2d" or "fully_connected".
    """

    channels: int = 1
    relu: bool = True
    learnt_per_channel: int = 1
    op: str = "conv2d"

    def output_size(self, size: Size) -> Size:
        """(height, width, channels) of the output."""
        height, width, _ = super().output_size(size)
        return height, width, self.channels

    def weight_layer(self, size: Size) -> WeightLayer:
        """The layer's counts for an input of a size."""
        height, width, channels = self.output_size(size)
        products = self.kernel[0] * self.kernel[1] * size[2]
        weights = channels * products
        learnt = weights + self.learnt_per_channel * channels
        return WeightLayer(self.name, self.op, (channels, products, height * width), weights, learnt)


@dataclass(frozen=True)
class MaxPooling(_Window):
    """The largest number of each window."""


@dataclass(frozen=True)
class AveragePooling(LayerDescription):
    """The mean of each channel's whole map."""

    def output_size(self, size: Size) -> Size:
        """One pixel of as many channels."""
        return 1, 1, size[2]


@dataclass(frozen=True)
class Addition(LayerDescription):
    """The sum of two maps, then ReLU."""


@dataclass(frozen=True)
class Quantisation(LayerDescription):
    """A map of the residual stream at the width of the convolutions that read it.

    It is there only where the residual stream has a width of its own.
    """


@dataclass(frozen=True)
class Flattening(LayerDescription):
    """A map as one pixel of many channels."""

    def output_size(self, size: Size) -> Size:
        """One pixel."""
        return 1, 1, size[0] * size[1] * size[2]


@dataclass(frozen=True)
class DescribedNetwork(Network):
    """A network as a sequence of descriptions.

    Parameters
    ----------
    name : of the network.
    input_size : (height, width, channels).
    layers : in an order in which they can be computed; the last one gives the network's output.
    """

    name: str
    input_size: Size
    layers: tuple[LayerDescription, ...]

    @cached_property
    def sizes(self) -> Mapping[str, Size]:
        """(height, width, channels) of all maps, by name."""
        sizes: dict[str, Size] = {INPUT: self.input_size}
        for layer in self.layers:
            sizes[layer.name] = layer.output_size(sizes[layer.inputs[0]])
        return sizes

    def _weight_layers(self) -> Iterable[WeightLayer]:
        """The convolutions and fully connected layers."""
        layers = (layer for layer in self.layers if isinstance(layer, Convolution))
        return (layer.weight_layer(self.sizes[layer.inputs[0]]) for layer in layers)

    @property
    def has_residual_stream(self) -> bool:
        """Whether maps are added."""
        return any(isinstance(layer, Addition) for layer in self.layers)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is assumed about the missing weights."""
        from sim.networks.constants import ASSUMPTIONS

        return ASSUMPTIONS

    def shapes(self, widths: Widths) -> tuple[LayerShape, ...]:
        """The shapes of all layers at the given widths, by the rules of :mod:`sim.networks.filling`.

        Raises
        ------
        UserError
            If the widths are not for this network.
        """
        from sim.networks.filling import described_shapes

        widths.check(self)
        return described_shapes(self, widths)
