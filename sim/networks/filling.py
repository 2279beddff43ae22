"""A described network as an integer graph: widths of its maps, then its layers; shapes follow from it.

A map is as wide as the widest of its readers asks, as in :mod:`golden.widths`.  Convolutions and fully connected layers
ask for the activation bits that they are given; all others do not change the width and ask for what their output has.
The network's output keeps 8 bits.

With a residual width, additions have operands and outputs of that width, and a change of width (op "quantize") makes
the input of each unit's convolutions; without one, it is left out and they read the residual stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from golden.graph import AveragePool, Conv, FeatureMap, Graph, Layer, MaxPool, Reorder
from golden.widths import MODEL_BITS
from sim.mapping.shapes import LayerShape, layer_shape
from sim.networks.constants import conv_rescale, elementwise, mean_rescale
from sim.networks.description import (
    INPUT,
    Addition,
    AveragePooling,
    Convolution,
    DescribedNetwork,
    Flattening,
    LayerDescription,
    MaxPooling,
    Quantisation,
)

if TYPE_CHECKING:
    from sim.evaluate.widths import Widths

__all__ = ["described_graph", "described_shapes"]


def described_shapes(network: DescribedNetwork, widths: Widths) -> tuple[LayerShape, ...]:
    """The shapes of all layers of a network without weights.

    Parameters
    ----------
    widths : for all of the network's layers that have weights.
    """
    graph = described_graph(network, widths)
    return tuple(layer_shape(layer, graph) for layer in graph.layers)


def described_graph(network: DescribedNetwork, widths: Widths) -> Graph:
    """A network whose weights are zeros that take no memory; constants of requantisation stand for those of real ones.

    Parameters
    ----------
    widths : for all of the network's layers that have weights.
    """
    layers = network.layers if widths.residual_bits is not None else _without_quantisations(network.layers)
    bits = _map_bits(layers, widths)
    maps = {INPUT: _feature_map(network, INPUT, bits, signed=True)}
    for layer in layers:
        maps[layer.name] = _feature_map(network, layer.name, bits, signed=_signed(layer, maps[layer.inputs[0]]))
    filled = tuple(_graph_layer(layer, maps, widths) for layer in layers)
    return Graph(network.name, INPUT, layers[-1].name, maps, filled)


def _without_quantisations(layers: Sequence[LayerDescription]) -> tuple[LayerDescription, ...]:
    """The layers without changes of width, whose readers read what these would."""
    source = {layer.name: layer.inputs[0] for layer in layers if isinstance(layer, Quantisation)}
    return tuple(
        replace(layer, inputs=tuple(source.get(name, name) for name in layer.inputs))
        for layer in layers
        if not isinstance(layer, Quantisation)
    )


def _map_bits(layers: Sequence[LayerDescription], widths: Widths) -> dict[str, int]:
    """The width of every map, from what its readers ask for."""
    residual = widths.residual_bits
    asked = {layers[-1].name: MODEL_BITS}
    for layer in reversed(layers):
        if isinstance(layer, Addition) and residual is not None:
            asked[layer.name] = residual
        if isinstance(layer, Convolution):
            request = widths.of(layer.name)[0]
        elif isinstance(layer, Quantisation) and residual is not None:
            request = residual
        else:
            request = asked[layer.name]
        for name in layer.inputs:
            asked[name] = max(asked.get(name, 0), request)
    return asked


def _signed(layer: LayerDescription, source: FeatureMap) -> bool:
    """Whether a layer's output has numbers below 0.0."""
    if isinstance(layer, Convolution):
        return not layer.relu
    return not isinstance(layer, Addition) and source.zero > 0


def _feature_map(network: DescribedNetwork, name: str, bits: dict[str, int], *, signed: bool) -> FeatureMap:
    zero = 1 << (bits[name] - 1) if signed else 0
    return FeatureMap(name, network.sizes[name], bits[name], zero, scale=1.0)


def _graph_layer(layer: LayerDescription, maps: dict[str, FeatureMap], widths: Widths) -> Layer:
    """The layer as one of an integer graph; its weights are zeros that take no memory."""
    sources, target = tuple(maps[name] for name in layer.inputs), maps[layer.name]
    source = sources[0]
    if isinstance(layer, Convolution):
        weight_bits = widths.of(layer.name)[1]
        size = (layer.channels, *layer.kernel, source.shape[2])
        products = size[1] * size[2] * size[3]
        return Conv(
            layer.name,
            layer.inputs,
            layer.name,
            op=layer.op,
            weights=np.broadcast_to(np.int64(0), size),
            weight_bits=weight_bits,
            stride=layer.stride,
            dilation=(1, 1),
            padding=layer.padding,
            pad_value=source.zero,
            depth_multiplier=1,
            rescale=conv_rescale(products, source.bits, weight_bits, target, rectified=layer.relu),
        )
    if isinstance(layer, MaxPooling):
        high = (1 << target.bits) - 1
        return MaxPool(layer.name, layer.inputs, layer.name, layer.kernel, layer.stride, layer.padding, 0, high)
    if isinstance(layer, AveragePooling):
        height, width, _ = source.shape
        rescale = mean_rescale(height * width, source.bits, target)
        return AveragePool(
            layer.name, layer.inputs, layer.name, (height, width), (height, width), (0, 0), (height * width,), rescale
        )
    if isinstance(layer, Addition | Quantisation):
        return elementwise(layer.name, "add" if isinstance(layer, Addition) else "quantize", sources, target)
    if isinstance(layer, Flattening):
        return Reorder(layer.name, layer.inputs, layer.name, "reshape", ((0, 0), (0, 0), (0, 0)), source.zero)
    raise TypeError(f"layer {layer.name!r} must be of a class of sim.networks.description, not {type(layer).__name__}")
