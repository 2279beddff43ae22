"""Small random networks of several layers, for tests of the accelerator's mapper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Graph, Layer, MaxPool, Reorder
from golden.rescale import reachable
from tests.sim.mapping_graphs import (
    Random,
    feature_map,
    random_elementwise,
    random_rescale,
    random_rounded,
)


class Chain:
    """A network that grows layer by layer; the latest map is the input of the next one.

    Parameters
    ----------
    rng : source of all numbers.
    size, bits : of the network's input.
    """

    def __init__(self, rng: Random, size: tuple[int, int, int], bits: int) -> None:
        self.rng = rng
        self.maps = {"in": feature_map("in", size, bits, rng)}
        self.layers: list[Layer] = []
        self.latest = "in"

    def conv(
        self,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
        *,
        depthwise: bool = False,
        bits: int | None = None,
        weight_bits: int = 4,
        source: str = "",
    ) -> str:
        """A convolution of a square kernel; a depthwise one has ``outputs`` for each input channel."""
        rng, given = self.rng, self.maps[source or self.latest]
        height, width, channels = given.shape
        total = outputs * channels if depthwise else outputs
        shape = (total, kernel, kernel, 1 if depthwise else channels)
        weights = rng.integers(-(1 << (weight_bits - 1)), 1 << (weight_bits - 1), size=shape, dtype=np.int64)
        bias = rng.integers(-500, 500, size=total, dtype=np.int64)
        lowest, highest = reachable(weights.reshape(total, -1), bias, (1 << given.bits) - 1)
        bits = given.bits if bits is None else bits
        name = f"layer{len(self.layers)}"
        layer = Conv(
            name=name,
            inputs=(given.name,),
            output=f"{name}.out",
            op="depthwise_conv2d" if depthwise else "conv2d",
            weights=weights,
            weight_bits=weight_bits,
            stride=(stride, stride),
            dilation=(1, 1),
            padding=(padding, padding),
            pad_value=given.zero,
            depth_multiplier=outputs if depthwise else 1,
            rescale=random_rescale(rng, lowest, highest, bias, bits),
        )
        size = [(length + 2 * padding - kernel) // stride + 1 for length in (height, width)]
        return self._add(layer, (size[0], size[1], total), bits)

    def add(self, other: str, *, rounded: bool = False) -> str:
        """The sum of the latest map and another one."""
        given = self.maps[self.latest]
        make = random_rounded if rounded else random_elementwise
        layer = make(self.rng, given, given.bits)
        while len(layer.inputs) < 2:
            layer = make(self.rng, given, given.bits)
        name = f"layer{len(self.layers)}"
        return self._add(
            replace(layer, name=name, inputs=(self.latest, other), output=f"{name}.out"), given.shape, given.bits
        )

    def relu(self) -> str:
        """A layer of one operand."""
        given = self.maps[self.latest]
        layer: Elementwise = random_elementwise(self.rng, given, given.bits)
        while len(layer.inputs) > 1:
            layer = random_elementwise(self.rng, given, given.bits)
        name = f"layer{len(self.layers)}"
        return self._add(
            replace(layer, name=name, inputs=(self.latest,), output=f"{name}.out"), given.shape, given.bits
        )

    def average(self) -> str:
        """An average over the whole map."""
        given = self.maps[self.latest]
        elements = given.shape[0] * given.shape[1]
        bias = self.rng.integers(-100, 100, size=1, dtype=np.int64)
        rescale = random_rescale(self.rng, bias, bias + elements * ((1 << given.bits) - 1), bias, given.bits)
        name = f"layer{len(self.layers)}"
        window = given.shape[:2]
        layer = AveragePool(name, (self.latest,), f"{name}.out", window, window, (0, 0), (elements,), rescale)
        return self._add(layer, (1, 1, given.shape[2]), given.bits)

    def maximum(
        self, window: int, stride: int = 1, padding: int = 0, *, limits: tuple[int, int] | None = None, source: str = ""
    ) -> str:
        """A max pool of a square window, limited to ``limits``; without them to all numbers."""
        given = self.maps[source or self.latest]
        low, high = limits or (0, (1 << given.bits) - 1)
        name = f"layer{len(self.layers)}"
        size = [(length + 2 * padding - window) // stride + 1 for length in given.shape[:2]]
        layer = MaxPool(
            name, (given.name,), f"{name}.out", (window, window), (stride, stride), (padding, padding), low, high - low
        )
        return self._add(layer, (size[0], size[1], given.shape[2]), given.bits)

    def reshape(self, size: tuple[int, int, int] | None = None) -> str:
        """A reshape, which changes nothing unless there is a ``size``."""
        given = self.maps[self.latest]
        name = f"layer{len(self.layers)}"
        layer = Reorder(name, (self.latest,), f"{name}.out", "reshape", ((0, 0), (0, 0), (0, 0)), 0)
        return self._add(layer, size or given.shape, given.bits)

    @property
    def graph(self) -> Graph:
        """The network so far."""
        return Graph("chain", "in", self.latest, self.maps, tuple(self.layers))

    def _add(self, layer: Layer, size: tuple[int, int, int], bits: int) -> str:
        self.layers.append(layer)
        found: FeatureMap = feature_map(layer.output, size, bits, self.rng)
        self.maps[layer.output] = found
        self.latest = layer.output
        return layer.output
