"""What the tensors of an ONNX network are, as far as its nodes have been read, and how a node's handler asks for them.

A handler takes a node and gives what its first output is.  Each group of operators has a module with handlers and a
table of them by operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.importers import ModelError
from sim.importers.onnx_file import Node, OnnxFile
from sim.importers.onnx_geometry import picture_shape
from sim.importers.onnx_grids import as_sum
from sim.importers.onnx_layers import LayerWriter
from sim.importers.onnx_quantisers import Weights
from sim.importers.onnx_values import Grid, Movement, Pending

__all__ = ["Handler", "Tensors", "Value"]

Value = Grid | Pending | Weights
"""An activation that is a map, one that waits for its quantiser, or a quantised constant."""


class Tensors:
    """The tensors of one file.

    Parameters
    ----------
    content : the file.
    name : of the model, for error texts.
    limits : by tensor, the integers that a Clip leaves of it (:func:`sim.importers.onnx_limits.integer_clips`).
    """

    def __init__(self, content: OnnxFile, name: str, limits: Mapping[str, tuple[int, int]]) -> None:
        """Begin with the constants that are not quantised."""
        self._name = name
        self.file = content
        self.limits = limits
        self.values: dict[str, Value] = {}
        self.input: Grid | None = None
        self.writer = LayerWriter(self.refuse)

    def refuse(self, what: str) -> ModelError:
        """The error for a text."""
        return ModelError(f"model {self._name}: {what}")

    # --- shapes

    def shape(self, node: Node, name: str) -> tuple[int, ...]:
        """The static shape of a tensor, as the file has it; refused where there is none."""
        if name not in self.file.shapes:
            raise self.refuse(f"{node}: tensor {name!r} has a dynamic or unknown shape; export it with fixed sizes")
        return self.file.shapes[name]

    def picture(self, node: Node, name: str) -> tuple[int, int, int]:
        """(height, width, channels) of a tensor."""
        return picture_shape(node, name, self.shape(node, name), self.refuse)

    # --- activations

    def activation(self, node: Node, position: int = 0) -> Grid | Pending:
        """What an input is, computed by the network."""
        name = node.input(position)
        self.check_quantised(node, name)
        value = self.values.get(name)
        if value is None or isinstance(value, Weights):
            raise self.refuse(f"{node}: operand {name!r} must be computed by the network, is a constant")
        return value

    def check_quantised(self, node: Node, name: str) -> None:
        """Refuse the network's input where it is not quantised yet."""
        if name == self.file.input:
            raise self.refuse(f"{node} works on the input {name!r} before it is quantised; quantise it first")

    def grid(self, node: Node, position: int = 0) -> Grid:
        """An input as a map."""
        name = node.input(position)
        grid = self.writer.settle(self.activation(node, position), node, name)
        self.values[name] = grid
        return grid

    def pending(self, node: Node, position: int = 0) -> Pending:
        """An input as a quantity that can be scaled and limited."""
        value = self.activation(node, position)
        return as_sum(value, node) if isinstance(value, Grid) else value

    def moved(self, node: Node, movement: Movement) -> Value:
        """The first input after a movement; that of a sum is done once the sum is quantised."""
        value = self.activation(node)
        if isinstance(value, Grid):
            return movement(value, node.outputs[0])
        return replace(value, then=(*value.then, movement))

    # --- constants

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is a constant, quantised or not."""
        return name in self.file.constants or isinstance(self.values.get(name), Weights)

    def weights(self, node: Node, position: int) -> Weights:
        """An input as a quantised constant."""
        name = node.input(position)
        value = self.values.get(name)
        if isinstance(value, Weights):
            return value
        if name in self.file.constants:
            raise self.refuse(f"{node}: the weights {name!r} are not quantised; quantise them too")
        raise self.refuse(f"{node}: the weights must be a constant of the model, {name!r} is not")

    def real(self, node: Node, position: int, what: str) -> NDArray[Any]:
        """A constant as real numbers: fractions in an array."""
        name = node.input(position)
        value = self.values.get(name)
        if isinstance(value, Weights):
            pairs = zip(value.values.reshape(-1).tolist(), value.scales.reshape(-1).tolist(), strict=True)
            real = np.array([number * Fraction(scale) for number, scale in pairs], dtype=object)
            return real.reshape(value.values.shape)
        if name not in self.file.constants:
            raise self.refuse(f"{node}: {what} must be a constant of the model, {name!r} is not")
        numbers = self.file.constants[name].astype(np.float64)
        if not np.all(np.isfinite(numbers)):
            raise self.refuse(f"{node}: {what} must be finite numbers")
        flat = [Fraction(number) for number in numbers.reshape(-1).tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(numbers.shape)

    def per_channel(self, node: Node, position: int, channels: int, what: str) -> list[Fraction]:
        """A constant with one number for all or one for each channel (axis 1, or the last of a vector)."""
        real = self.real(node, position, what)
        longer = [size for size in real.shape if size != 1]
        if longer not in ([], [channels]):
            raise self.refuse(
                f"{node}: {what} must be one number, or one for each of {channels} channels, are {real.shape}"
            )
        return [real.reshape(-1)[0]] * channels if not longer else list(real.reshape(-1))


Handler = Callable[[Tensors, Node], Value]
"""Takes a node and gives what its first output is."""
