"""The ONNX importer: a quantised network (QDQ, operators on integers, or QONNX) to the integer graph.

Reading goes through three steps: nodes and constants as plain objects (:mod:`sim.importers.onnx_file`); what every
tensor is, a map or a sum that waits for its quantiser (this module); layers with constants that are proven exact
(:mod:`sim.importers.onnx_layers`).  NCHW becomes (height, width, channels).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.graph import Graph, Integers
from golden.widths import MAXIMUM_BITS
from sim.importers import ModelError
from sim.importers.onnx_file import Node, OnnxFile, read_file
from sim.importers.onnx_geometry import Window, picture_shape, window
from sim.importers.onnx_layers import LayerWriter, as_sum, inside_lengths
from sim.importers.onnx_quantisers import (
    Quantiser,
    Weights,
    bipolar_weights,
    dequantised_weights,
    integer_quantiser,
    quant_quantiser,
    quant_weights,
    signed_bits,
)
from sim.importers.onnx_values import (
    Concatenation,
    Grid,
    KernelRule,
    Movement,
    Pending,
    WeighedMaps,
    WeightedSum,
    WindowMean,
)

__all__ = ["kernel_differences", "load"]

_ADVICE = {
    "Trunc": "use a Quant node instead of Trunc",
    "FloatQuant": "quantise to integers",
    "DynamicQuantizeLinear": "quantise statically, with calibrated scales",
    "Transpose": "export the network in the order NCHW",
}
_HOST = ("Softmax", "LogSoftmax", "DequantizeLinear")
"""What the host does behind the network's last map."""

Value = Grid | Pending | Weights


class _Importer:
    """Takes the nodes of one file in their order."""

    def __init__(self, content: OnnxFile, name: str) -> None:
        self._file, self._name = content, name
        self._values: dict[str, Value] = {}
        self._writer = LayerWriter(self._refuse)
        self._input: Grid | None = None
        self._limits: dict[str, tuple[int, int]] = {}
        self._handlers: dict[str, Callable[[Node], Value]] = {
            "Quant": self._quant,
            "IntQuant": self._quant,
            "BipolarQuant": self._bipolar,
            "QuantizeLinear": self._quantise_linear,
            "DequantizeLinear": self._dequantise_linear,
            "Conv": self._convolution,
            "ConvInteger": self._convolution_integer,
            "QLinearConv": self._qlinear_convolution,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
            "MatMulInteger": self._matmul_integer,
            "QLinearMatMul": self._qlinear_matmul,
            "QGemm": self._qgemm,
            "QLinearAdd": self._qlinear_add,
            "QLinearAveragePool": self._qlinear_pool,
            "QLinearGlobalAveragePool": self._qlinear_pool,
            "QLinearConcat": self._qlinear_concat,
            "Add": self._add,
            "Sub": self._affine,
            "Mul": self._affine,
            "Div": self._affine,
            "BatchNormalization": self._batch_normalisation,
            "Relu": self._relu,
            "Clip": self._clip,
            "MaxPool": self._max_pool,
            "AveragePool": self._average_pool,
            "GlobalAveragePool": self._average_pool,
            "ReduceMean": self._reduce_mean,
            "Concat": self._concat,
            "Pad": self._pad,
            "Cast": self._same,
            "Identity": self._same,
            "Dropout": self._same,
            "Flatten": self._reshape,
            "Reshape": self._reshape,
            "Squeeze": self._reshape,
            "Unsqueeze": self._reshape,
            "Transpose": self._transpose,
        }
        self.graph = self._graph()

    # --- refusals and look-ups

    def _refuse(self, what: str) -> ModelError:
        return ModelError(f"model {self._name}: {what}")

    def _check_operators(self) -> None:
        """Name the first operator that is not supported, and notice a network without quantisers."""
        for node in self._file.nodes:
            if node.op not in self._handlers or node.op in ("Trunc", "FloatQuant"):
                advice = _ADVICE.get(node.op)
                known = f"supported are {', '.join(sorted(self._handlers))}" if advice is None else advice
                raise self._refuse(f"{node} is not supported; {known}")
        if not any("Quant" in node.op or "Integer" in node.op or node.op[0] == "Q" for node in self._file.nodes):
            raise self._refuse(
                f"{self._file.nodes[0]} works on float numbers and no node quantises: this is a float model; quantise "
                "it first"
            )

    def _shape(self, node: Node, name: str) -> tuple[int, ...]:
        if name not in self._file.shapes:
            raise self._refuse(f"{node}: tensor {name!r} has a dynamic or unknown shape; export it with fixed sizes")
        return self._file.shapes[name]

    def _picture(self, node: Node, name: str) -> tuple[int, int, int]:
        return picture_shape(node, name, self._shape(node, name), self._refuse)

    def _activation(self, node: Node, position: int = 0) -> Grid | Pending:
        """What an input is, computed by the network."""
        name = node.input(position)
        if name == self._file.input:
            raise self._refuse(f"{node} works on the input {name!r} before it is quantised; quantise it first")
        value = self._values.get(name)
        if value is None or isinstance(value, Weights):
            raise self._refuse(f"{node}: operand {name!r} must be computed by the network, is a constant")
        return value

    def _grid(self, node: Node, position: int = 0) -> Grid:
        """An input as a map."""
        name = node.input(position)
        grid = self._writer.settle(self._activation(node, position), node, name)
        self._values[name] = grid
        return grid

    def _is_constant(self, name: str) -> bool:
        return name in self._file.constants or isinstance(self._values.get(name), Weights)

    def _real(self, node: Node, position: int, what: str) -> NDArray[Any]:
        """A constant as real numbers: fractions in an array."""
        name = node.input(position)
        value = self._values.get(name)
        if isinstance(value, Weights):
            pairs = zip(value.values.reshape(-1).tolist(), value.scales.reshape(-1).tolist(), strict=True)
            real = np.array([number * Fraction(scale) for number, scale in pairs], dtype=object)
            return real.reshape(value.values.shape)
        if name not in self._file.constants:
            raise self._refuse(f"{node}: {what} must be a constant of the model, {name!r} is not")
        numbers = self._file.constants[name].astype(np.float64)
        if not np.all(np.isfinite(numbers)):
            raise self._refuse(f"{node}: {what} must be finite numbers")
        flat = [Fraction(number) for number in numbers.reshape(-1).tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(numbers.shape)

    def _weights(self, node: Node, position: int) -> Weights:
        name = node.input(position)
        value = self._values.get(name)
        if isinstance(value, Weights):
            return value
        if name in self._file.constants:
            raise self._refuse(f"{node}: the weights {name!r} are not quantised; quantise them too")
        raise self._refuse(f"{node}: the weights must be a constant of the model, {name!r} is not")

    def _per_channel(self, node: Node, position: int, channels: int, what: str) -> list[Fraction]:
        """A constant with one number for all or one for each channel (axis 1, or the last of a vector)."""
        real = self._real(node, position, what)
        longer = [size for size in real.shape if size != 1]
        if longer not in ([], [channels]):
            raise self._refuse(
                f"{node}: {what} must be one number, or one for each of {channels} channels, are {real.shape}"
            )
        return [real.reshape(-1)[0]] * channels if not longer else list(real.reshape(-1))

    # --- quantisers

    def _quant(self, node: Node) -> Value:
        if node.input(0) in self._file.constants:
            return quant_weights(node, self._file.constants, self._refuse)
        return self._quantised(node, 0, quant_quantiser(node, self._file.constants, self._refuse))

    def _bipolar(self, node: Node) -> Value:
        if node.input(0) in self._file.constants:
            return bipolar_weights(node, self._file.constants, self._refuse)
        raise self._refuse(f"{node} of an activation is not supported, as -1 and 1 have no zero between them")

    def _quantise_linear(self, node: Node) -> Value:
        limits = self._limits.get(node.outputs[0])
        quantiser = integer_quantiser(node, (1, 2), self._file.constants, self._refuse, limits)
        if node.input(0) in self._file.constants:
            raise self._refuse(f"{node}: a constant must be stored as integers behind a DequantizeLinear")
        return self._quantised(node, 0, quantiser)

    def _quantised(self, node: Node, position: int, quantiser: Quantiser) -> Grid:
        """What a quantiser makes of an input; of the network's input, the network's first map."""
        name = node.input(position)
        if name != self._file.input:
            return self._writer.quantise(self._activation(node, position), quantiser, node.outputs[0], node)
        return self._source(node, quantiser, node.outputs[0])

    def _source(self, node: Node, quantiser: Quantiser, name: str) -> Grid:
        """The network's first map: the host quantises."""
        if self._input is None:
            self._input = self._writer.add_map(name, self._picture(node, self._file.input), quantiser)
        elif self._input.quantiser != quantiser:
            raise self._refuse(f"{node}: the input must be quantised in one way, is quantised in two")
        return self._input

    def _integers(self, node: Node, position: int, quantiser: Quantiser) -> Grid:
        """An input of integers, with the scale and zero point that its reader gives it."""
        name = node.input(position)
        if name == self._file.input:
            return self._source(node, quantiser, name)
        grid = self._grid(node, position)
        old = grid.quantiser
        if old.base != quantiser.base and old.bits == quantiser.bits:
            raise self._refuse(f"{node}: {name!r} must be of the type that it was quantised to")
        zero = quantiser.zero
        if not old.base <= zero < old.base + (1 << old.bits):
            raise self._refuse(f"{node}: the zero point of {name!r} must be one of its numbers, is {zero}")
        if zero != old.zero:
            raise self._refuse(f"{node}: the zero point of {name!r} must be {old.zero} as it was quantised, is {zero}")
        return replace(grid, quantiser=replace(old, scale=quantiser.scale))

    def _dequantise_linear(self, node: Node) -> Value:
        constants = self._file.constants
        if node.input(0) in constants:
            return dequantised_weights(node, (0, 1, 2), constants, self._refuse)
        return self._integers(node, 0, integer_quantiser(node, (1, 2), constants, self._refuse))

    # --- layers with weights

    def _filter(self, node: Node, weights: Weights) -> tuple[Integers, list[float], int]:
        """Weights with the output channel first, one scale for each channel, and their width."""
        channels = weights.values.shape[0]
        scales = weights.scales.reshape(channels, -1)
        if np.any(scales != scales[:, :1]):
            raise self._refuse(f"{node}: weights must have one scale for each output channel, have more")
        if weights.bits > MAXIMUM_BITS:
            raise self._refuse(
                f"{node}: weights less their zero points must have at most {MAXIMUM_BITS} bits, have {weights.bits}"
            )
        return weights.values, scales[:, 0].tolist(), weights.bits

    def _bias(
        self, node: Node, position: int, source: Grid, scales: list[float]
    ) -> tuple[list[Fraction], Integers | None]:
        """The bias as real numbers, and as integers where it has the scales that onnxruntime's kernels want."""
        channels = len(scales)
        name = node.input(position)
        if not name:
            return [Fraction(0)] * channels, np.zeros(channels, dtype=np.int64)
        real = self._per_channel(node, position, channels, "the bias")
        value = self._values.get(name)
        if not isinstance(value, Weights) or value.values.size != channels:
            return real, None
        wanted = np.float32(source.quantiser.scale) * np.array(scales, dtype=np.float32)
        same = bool(np.all(value.scales.reshape(-1).astype(np.float32) == wanted))
        return real, value.values.reshape(-1) if same else None

    def _sum(
        self,
        node: Node,
        source: Grid,
        weights: Weights,
        bias: tuple[list[Fraction], Integers | None],
        geometry: Window,
        op: str,
        size: tuple[int, int],
    ) -> WeightedSum:
        """The sum of a convolution; ``weights`` are (output channels, height, width, inputs)."""
        values, scales, bits = self._filter(node, weights)
        real, whole = bias
        units = [source.quantiser.scale * Fraction(scale) for scale in scales]
        multiplier = values.shape[0] // source.map.shape[2] if op == "depthwise_conv2d" else 1
        kernel: KernelRule | None = None
        if whole is not None:
            kernel = KernelRule(float(source.quantiser.scale), np.array(scales, dtype=np.float32), whole)
            real = [int(number) * unit for number, unit in zip(whole, units, strict=True)]
        return WeightedSum(
            node=node,
            source=source,
            op=op,
            weights=np.ascontiguousarray(values),
            weight_bits=bits,
            stride=geometry.stride,
            dilation=geometry.dilation,
            padding=geometry.padding,
            depth_multiplier=multiplier,
            size=size,
            units=tuple(units),
            biases=tuple(real),
            kernel=kernel,
        )

    def _convolved(self, node: Node, source: Grid, weights: Weights, bias_position: int) -> WeightedSum:
        """A convolution of a map with weights in the order (outputs, inputs, height, width)."""
        if weights.values.ndim != 4 or len(self._shape(node, node.input(0))) != 4:
            raise self._refuse(f"{node}: must be a convolution in two dimensions")
        channels, inputs, height, width = weights.values.shape
        groups, depth = int(node.attributes.get("group", 1)), source.map.shape[2]
        if groups == 1 and inputs == depth:
            op = "conv2d"
        elif groups == depth and inputs == 1 and channels % depth == 0:
            op = "depthwise_conv2d"
        else:
            raise self._refuse(
                f"{node}: group must be 1 or, for a depthwise convolution, the number of input channels ({depth}), "
                f"is {groups}"
            )
        size = self._picture(node, node.outputs[0])[:2]
        geometry = window(node, (height, width), source.map.shape, size, self._refuse)
        ordered = weights.changed(lambda array: array.transpose(0, 2, 3, 1))
        scales = self._filter(node, ordered)[1]
        return self._sum(node, source, ordered, self._bias(node, bias_position, source, scales), geometry, op, size)

    def _connected(
        self, node: Node, source: Grid, weights: Weights, bias: Callable[[list[float]], Any], position: int = 0
    ) -> WeightedSum:
        """A fully connected layer; ``weights`` are (outputs, inputs) in the order of the ONNX tensor."""
        shape = self._shape(node, node.input(position))
        elements = math.prod(source.map.shape)
        if weights.values.ndim != 2 or math.prod(shape[:-1]) != 1 or weights.values.shape[1] != elements:
            raise self._refuse(
                f"{node}: must multiply one vector by a matrix: operands are {shape} and {weights.values.T.shape}"
            )
        if source.order:
            places = list(source.order)
            weights = weights.changed(lambda array: array[:, places])
        ordered = weights.changed(lambda array: array.reshape(array.shape[0], 1, 1, elements))
        one = Window((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))
        scales = self._filter(node, ordered)[1]
        return self._sum(node, source, ordered, bias(scales), one, "fully_connected", (1, 1))

    def _convolution(self, node: Node) -> Value:
        return self._convolved(node, self._grid(node), self._weights(node, 1), 2)

    def _no_bias(self, scales: list[float]) -> tuple[list[Fraction], Integers | None]:
        return [Fraction(0)] * len(scales), np.zeros(len(scales), dtype=np.int64)

    def _gemm(self, node: Node) -> Value:
        if node.attributes.get("transA", 0):
            raise self._refuse(f"{node}: transA must be 0, is {node.attributes['transA']}")
        weights = self._weights(node, 1)
        if not node.attributes.get("transB", 0):
            weights = weights.changed(np.transpose)
        alpha, beta = (Fraction(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
        source = self._grid(node)
        if alpha == beta == 1:
            return self._connected(node, source, weights, lambda scales: self._bias(node, 2, source, scales))
        found = self._connected(node, source, weights, self._no_bias)
        biases = [Fraction(0)] * len(found.units)
        if node.input(2):
            biases = [beta * one for one in self._per_channel(node, 2, len(biases), "the bias")]
        return self._scaled(node, found, [alpha] * len(biases), biases)

    def _matmul(self, node: Node) -> Value:
        if self._is_constant(node.input(0)):
            raise self._refuse(f"{node}: the constant must be the second operand")
        weights = self._weights(node, 1)
        return self._connected(node, self._grid(node), weights.changed(np.transpose), self._no_bias)

    # --- operators on integers

    def _quantised_weights(self, node: Node, positions: tuple[int, int, int], axis: int) -> Weights:
        return dequantised_weights(node, positions, self._file.constants, self._refuse, axis)

    def _quantiser(self, node: Node, scale: int, zero: int) -> Quantiser:
        return integer_quantiser(node, (scale, zero), self._file.constants, self._refuse)

    def _integer_bias(self, node: Node, position: int, source: Grid, scales: list[float]) -> Any:
        """A bias of int32 in steps of input scale times weight scale."""
        channels, name = len(scales), node.input(position)
        if not name:
            return self._no_bias(scales)
        values = self._file.constants.get(name)
        if values is None or values.dtype != np.int32 or values.size not in (1, channels):
            raise self._refuse(f"{node}: the bias must be a constant of {channels} numbers of int32")
        whole = np.broadcast_to(values.reshape(-1), (channels,)).astype(np.int64)
        unit = source.quantiser.scale
        real = [int(number) * unit * Fraction(scale) for number, scale in zip(whole, scales, strict=True)]
        return real, whole

    def _qlinear_convolution(self, node: Node) -> Value:
        source = self._integers(node, 0, self._quantiser(node, 1, 2))
        weights = self._quantised_weights(node, (3, 4, 5), 0)
        found = self._convolved(node, source, weights, len(node.inputs))
        real, whole = self._integer_bias(node, 8, source, self._filter(node, weights)[1])
        kernel = None if found.kernel is None else replace(found.kernel, bias=whole)
        value = replace(found, node=node, biases=tuple(real), kernel=kernel)
        return self._writer.quantise(value, self._quantiser(node, 6, 7), node.outputs[0], node)

    def _qlinear_matmul(self, node: Node) -> Value:
        source = self._integers(node, 0, self._quantiser(node, 1, 2))
        weights = self._quantised_weights(node, (3, 4, 5), 1).changed(np.transpose)
        value = self._connected(node, source, weights, self._no_bias)
        return self._writer.quantise(value, self._quantiser(node, 6, 7), node.outputs[0], node)

    def _qgemm(self, node: Node) -> Value:
        attributes = node.attributes
        if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0:
            raise self._refuse(f"{node}: transA must be 0 and alpha 1")
        source = self._integers(node, 0, self._quantiser(node, 1, 2))
        transposed = bool(attributes.get("transB", 0))
        weights = self._quantised_weights(node, (3, 4, 5), 0 if transposed else 1)
        weights = weights if transposed else weights.changed(np.transpose)
        value = self._connected(node, source, weights, lambda scales: self._integer_bias(node, 6, source, scales))
        if not node.input(7):
            return value
        return self._writer.quantise(value, self._quantiser(node, 7, 8), node.outputs[0], node)

    def _whole(self, node: Node, zero: int) -> Grid:
        """An input of integers without a scale; ``zero`` is the position of its zero point."""
        name = node.input(0)
        if name == self._file.input:
            raise self._refuse(f"{node} works on the input {name!r} without a scale; quantise it with QuantizeLinear")
        grid = self._grid(node)
        zeros = self._file.constants.get(node.input(zero), np.zeros(1, dtype=np.int64))
        if np.any(zeros.astype(np.int64) != grid.quantiser.zero):
            raise self._refuse(f"{node}: the zero point of {name!r} must be {grid.quantiser.zero}, as it was quantised")
        return replace(grid, quantiser=replace(grid.quantiser, scale=Fraction(1)))

    def _convolution_integer(self, node: Node) -> Value:
        source = self._whole(node, 2)
        weights = self._quantised_weights(node, (1, -1, 3), 0)
        return replace(self._convolved(node, source, weights, len(node.inputs)), kernel=None)

    def _matmul_integer(self, node: Node) -> Value:
        source = self._whole(node, 2)
        weights = self._quantised_weights(node, (1, -1, 3), 1).changed(np.transpose)
        return replace(self._connected(node, source, weights, self._no_bias), kernel=None)

    def _qlinear_add(self, node: Node) -> Value:
        grids = [self._integers(node, first, self._quantiser(node, first + 1, first + 2)) for first in (0, 3)]
        value = self._added(node, grids[0], grids[1])
        quantiser = replace(self._quantiser(node, 6, 7), zero_first=True)
        return self._writer.quantise(value, quantiser, node.outputs[0], node)

    def _qlinear_pool(self, node: Node) -> Value:
        if node.attributes.get("channels_last", 0):
            raise self._refuse(f"{node}: channels_last must be 0, is 1")
        source = self._integers(node, 0, self._quantiser(node, 1, 2))
        value = self._mean(node, source)
        quantiser = replace(self._quantiser(node, 3, 4), zero_first=node.op == "QLinearAveragePool")
        return self._writer.quantise(value, quantiser, node.outputs[0], node)

    def _qlinear_concat(self, node: Node) -> Value:
        self._check_concatenation(node, node.input(2))
        parts = tuple(
            self._integers(node, first, self._quantiser(node, first + 1, first + 2))
            for first in range(2, len(node.inputs), 3)
        )
        value = Concatenation(node=node, parts=parts)
        return self._writer.quantise(value, self._quantiser(node, 0, 1), node.outputs[0], node)

    # --- sums and factors

    def _scaled(self, node: Node, value: Pending, factors: list[Fraction], offsets: list[Fraction]) -> Pending:
        """``factor * value + offset`` per channel."""
        if not value.bare:
            raise self._refuse(f"{node}: factors and sums behind ReLU, Clip or a pool need a quantiser before them")
        if isinstance(value, WeightedSum):
            return self._scaled_sum(node, value, factors, offsets)
        if any(factor != factors[0] for factor in factors) or any(offset != offsets[0] for offset in offsets):
            raise self._refuse(f"{node}: what {value.node} computes can be scaled only by one number for all channels")
        factor, offset = factors[0], offsets[0]
        if factor <= 0:
            raise self._refuse(f"{node}: the factor must be positive, is {float(factor):g}")
        if isinstance(value, WindowMean):
            return replace(value, node=node, factor=value.factor * factor, offset=value.offset * factor + offset)
        if isinstance(value, WeighedMaps):
            scaled = tuple(one * factor for one in value.factors)
            return replace(value, node=node, factors=scaled, offset=value.offset * factor + offset)
        raise self._refuse(f"{node}: what {value.node} computes must be quantised before it is scaled")

    def _scaled_sum(
        self, node: Node, value: WeightedSum, factors: list[Fraction], offsets: list[Fraction]
    ) -> WeightedSum:
        """Factors of a sum: a negative one turns the weights round, 0 makes them 0."""
        signs = np.array([(factor > 0) - (factor < 0) for factor in factors], dtype=np.int64)
        weights = value.weights * signs[:, None, None, None]
        bits = max(value.weight_bits, signed_bits(int(weights.min()), int(weights.max())))
        units = [unit * abs(factor) or unit for unit, factor in zip(value.units, factors, strict=True)]
        biases = [bias * factor + offset for bias, factor, offset in zip(value.biases, factors, offsets, strict=True)]
        if bits > MAXIMUM_BITS:
            raise self._refuse(f"{node}: weights with their signs turned must have at most {MAXIMUM_BITS} bits")
        return replace(
            value,
            node=node,
            weights=weights,
            weight_bits=bits,
            units=tuple(units),
            biases=tuple(biases),
            kernel=None,
        )

    def _pending(self, node: Node, position: int) -> Pending:
        value = self._activation(node, position)
        return as_sum(value, node) if isinstance(value, Grid) else value

    def _channels(self, node: Node, name: str) -> int:
        return self._picture(node, name)[2]

    def _affine(self, node: Node) -> Value:
        """Mul, Div, Add and Sub with a constant."""
        constant = 1 if self._is_constant(node.input(1)) else 0
        if not self._is_constant(node.input(constant)):
            raise self._refuse(f"{node}: one operand must be a constant of the model")
        if constant == 0 and node.op in ("Div", "Sub"):
            raise self._refuse(f"{node}: the constant must be the second operand")
        name = node.input(1 - constant)
        if name == self._file.input:
            raise self._refuse(f"{node} works on the input {name!r} before it is quantised; quantise it first")
        channels = self._channels(node, name)
        numbers = self._per_channel(node, constant, channels, "the constant")
        value, ones, zeros = self._activation(node, 1 - constant), [Fraction(1)] * channels, [Fraction(0)] * channels
        if node.op in ("Mul", "Div"):
            if node.op == "Div" and not all(numbers):
                raise self._refuse(f"{node}: the divisor must not be 0")
            factors = numbers if node.op == "Mul" else [1 / number for number in numbers]
            if isinstance(value, Grid) and all(factor == factors[0] > 0 for factor in factors):
                return replace(value, quantiser=replace(value.quantiser, scale=value.quantiser.scale * factors[0]))
            return self._scaled(node, self._pending(node, 1 - constant), factors, zeros)
        signed = numbers if node.op == "Add" else [-number for number in numbers]
        return self._scaled(node, self._pending(node, 1 - constant), ones, signed)

    def _batch_normalisation(self, node: Node) -> Value:
        """A factor and a sum per channel; the factor's square root is taken in double precision."""
        channels = self._channels(node, node.input(0))
        names = ("scale", "bias", "mean", "variance")
        columns = [self._per_channel(node, place, channels, f"the {what}") for place, what in enumerate(names, 1)]
        epsilon = float(node.attributes.get("epsilon", 1e-5))
        factors = [
            Fraction(float(scale) / math.sqrt(float(variance) + epsilon))
            for scale, variance in zip(columns[0], columns[3], strict=True)
        ]
        offsets = [bias - mean * factor for bias, mean, factor in zip(columns[1], columns[2], factors, strict=True)]
        return self._scaled(node, self._pending(node, 0), factors, offsets)

    def _added(self, node: Node, left: Grid, right: Grid) -> WeighedMaps:
        if left.map.shape != right.map.shape or left.order != right.order:
            raise self._refuse(
                f"{node}: broadcasting is not supported; operands must have the same shape, have "
                f"{left.map.shape} and {right.map.shape}"
            )
        factors = (left.quantiser.scale, right.quantiser.scale)
        return WeighedMaps(node=node, sources=(left, right), factors=factors)

    def _add(self, node: Node) -> Value:
        if self._is_constant(node.input(0)) or self._is_constant(node.input(1)):
            return self._affine(node)
        return self._added(node, self._grid(node, 0), self._grid(node, 1))

    # --- limits

    def _relu(self, node: Node) -> Value:
        return self._pending(node, 0).limited(Fraction(0), None)

    def _clip(self, node: Node) -> Value:
        limits: list[Fraction | None] = []
        for position, name in ((1, "min"), (2, "max")):
            if name in node.attributes:
                limits.append(Fraction(node.attributes[name]))
            elif node.input(position):
                number = float(np.asarray(self._file.constants.get(node.input(position), np.nan)).reshape(-1)[0])
                if math.isnan(number):
                    raise self._refuse(f"{node}: {name} must be a constant of the model")
                limits.append(None if math.isinf(number) else Fraction(number))
            else:
                limits.append(None)
        if node.outputs[0] in self._limits:  # of integers: the quantiser before it has the limits
            return self._activation(node)
        if limits[0] is not None and limits[1] is not None and limits[0] > limits[1]:
            raise self._refuse(f"{node}: min must not be above max")
        return self._pending(node, 0).limited(limits[0], limits[1])

    def _find_integer_clips(self) -> None:
        """A Clip right behind QuantizeLinear makes its numbers narrower (QCDQ, as Brevitas exports it)."""
        for node in self._file.nodes:
            if node.op != "Clip":
                continue
            readers = [other for other in self._file.nodes if node.input(0) in other.inputs]
            writer = next((other for other in self._file.nodes if node.input(0) in other.outputs), None)
            ends = [self._file.constants.get(node.input(position)) for position in (1, 2)]
            if writer is None or writer.op != "QuantizeLinear" or len(readers) > 1:
                continue
            if any(end is None or not np.issubdtype(end.dtype, np.integer) for end in ends):
                continue
            low, high = (int(np.asarray(end).reshape(-1)[0]) for end in ends)
            self._limits[writer.outputs[0]] = self._limits[node.outputs[0]] = (low, high)

    # --- pools

    def _moved(self, node: Node, movement: Movement) -> Value:
        """A movement of a map, or of a sum once it is quantised."""
        value = self._activation(node)
        if isinstance(value, Grid):
            return movement(value, node.outputs[0])
        return replace(value, then=(*value.then, movement))

    def _pool_window(self, node: Node, shape: tuple[int, int, int], size: tuple[int, int]) -> Window:
        kernel = [int(length) for length in node.attributes.get("kernel_shape", [])]
        if len(kernel) != 2 or min(kernel) < 1:
            raise self._refuse(f"{node}: kernel_shape must be two numbers of at least 1, is {kernel}")
        found = window(node, (kernel[0], kernel[1]), shape, size, self._refuse)
        if found.dilation != (1, 1):
            raise self._refuse(f"{node}: dilations must be 1 in a pool, are {found.dilation}")
        lengths = inside_lengths(shape, size, found.kernel, found.stride, found.padding)
        if min(min(axis) for axis in lengths) < 1:
            raise self._refuse(f"{node}: every window must touch the map, some lie in the padding")
        return found

    def _max_pool(self, node: Node) -> Value:
        if any(node.outputs[1:]):
            raise self._refuse(f"{node}: must have one output, has {len(node.outputs)}")
        shape, size = self._picture(node, node.input(0)), self._picture(node, node.outputs[0])[:2]
        found = self._pool_window(node, shape, size)

        def movement(grid: Grid, name: str) -> Grid:
            return self._writer.max_pool(grid, size, found.kernel, found.stride, found.padding, name)

        return self._moved(node, movement)

    def _mean(self, node: Node, source: Grid) -> WindowMean:
        """The mean of windows, or of whole channels."""
        shape, size = source.map.shape, self._picture(node, node.outputs[0])[:2]
        factor = source.quantiser.scale
        if "Global" in node.op or node.op == "ReduceMean":
            whole, count = (shape[0], shape[1]), shape[0] * shape[1]
            fields: dict[str, Any] = {"window": whole, "stride": (1, 1), "padding": (0, 0), "size": (1, 1)}
            return WindowMean(node=node, source=source, divisors={count: count}, factor=factor, **fields)
        found = self._pool_window(node, shape, size)
        lengths = inside_lengths(shape, size, found.kernel, found.stride, found.padding)
        counts = sorted({rows * columns for rows in lengths[0] for columns in lengths[1]})
        padded = bool(node.attributes.get("count_include_pad", 0))
        if padded and node.attributes.get("ceil_mode", 0):
            raise self._refuse(f"{node}: ceil_mode with count_include_pad is not supported")
        area = found.kernel[0] * found.kernel[1]
        return WindowMean(
            node=node,
            source=source,
            window=found.kernel,
            stride=found.stride,
            padding=found.padding,
            size=size,
            divisors={count: area if padded else count for count in counts},
            factor=factor,
        )

    def _average_pool(self, node: Node) -> Value:
        return self._mean(node, self._grid(node))

    def _reduce_mean(self, node: Node) -> Value:
        axes = node.attributes.get("axes")
        if axes is None and node.input(1) in self._file.constants:
            axes = self._file.constants[node.input(1)].tolist()
        rank = len(self._shape(node, node.input(0)))
        if axes is None or rank != 4 or {int(axis) % rank for axis in axes} != {2, 3}:
            raise self._refuse(f"{node}: must be a mean over height and width (axes 2 and 3), is over {axes}")
        return self._mean(node, self._grid(node))

    # --- movements

    def _same(self, node: Node) -> Value:
        if self._is_constant(node.input(0)):
            return self._values[node.input(0)]
        return self._activation(node)

    def _check_concatenation(self, node: Node, first: str) -> None:
        rank, axis = len(self._shape(node, first)), int(node.attributes.get("axis", 1))
        if axis % rank != 1:
            raise self._refuse(f"{node}: axis must be 1, the channels, is {axis}")

    def _concat(self, node: Node) -> Value:
        self._check_concatenation(node, node.input(0))
        parts = [self._activation(node, position) for position in range(len(node.inputs))]
        if any(isinstance(part, Grid) and part.order for part in parts):
            raise self._refuse(f"{node}: flattened maps cannot be concatenated")
        grids = [part for part in parts if isinstance(part, Grid)]
        if len(grids) == len(parts) and all(part.quantiser == grids[0].quantiser for part in grids):
            return self._writer.concatenate(grids, node.outputs[0])
        return Concatenation(node=node, parts=tuple(parts))

    def _pad(self, node: Node) -> Value:
        mode = node.attributes.get("mode", b"constant")
        pads = node.attributes.get("pads")
        if pads is None:
            pads = self._real(node, 1, "the table of paddings").reshape(-1)
        amounts = [int(pad) for pad in pads]
        axes = range(len(amounts) // 2)
        if node.input(3):
            axes = [int(axis) % 4 for axis in self._file.constants.get(node.input(3), np.zeros(0)).tolist()]
        value = Fraction(node.attributes.get("value", 0.0))
        if node.input(2):
            value = self._real(node, 2, "the value of the padding").reshape(-1)[0]
        if (mode.decode() if isinstance(mode, bytes) else mode) != "constant" or value != 0 or min(amounts) < 0:
            raise self._refuse(f"{node}: must pad with the constant 0 and by amounts of at least 0")
        table = dict(zip(axes, zip(amounts[: len(axes)], amounts[len(axes) :], strict=True), strict=True))
        shape, before = self._picture(node, node.outputs[0]), self._shape(node, node.input(0))
        if len(before) != 4 or table.get(0, (0, 0)) != (0, 0):
            raise self._refuse(f"{node}: must pad a map, and not along the batch")
        padding = (table.get(2, (0, 0)), table.get(3, (0, 0)), table.get(1, (0, 0)))

        def movement(grid: Grid, name: str) -> Grid:
            return self._writer.reorder([grid], shape, name, "pad", padding=padding)

        return self._moved(node, movement)

    def _transpose(self, node: Node) -> Value:
        """A change of axes of a constant."""
        value = self._values.get(node.input(0))
        if not isinstance(value, Weights):
            raise self._refuse(f"{node} of an activation is not supported; {_ADVICE['Transpose']}")
        axes = node.attributes.get("perm")
        return value.changed(lambda array: np.transpose(array, axes))

    def _reshape(self, node: Node) -> Value:
        value = self._values.get(node.input(0))
        if isinstance(value, Weights):
            shape = self._shape(node, node.outputs[0])
            return value.changed(lambda array: np.reshape(array, shape))
        before, after = self._picture(node, node.input(0)), self._picture(node, node.outputs[0])
        return self._moved(node, lambda grid, name: self._reshaped(grid, before, after, name))

    def _reshaped(self, grid: Grid, before: tuple[int, int, int], after: tuple[int, int, int], name: str) -> Grid:
        """The same ONNX tensor in another shape; stored numbers keep their order as long as they can."""
        if before == after:
            return grid
        order = grid.order
        if before[:2] != (1, 1):
            height, width, channels = before
            places = np.arange(math.prod(before)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
            order = tuple(int(place) for place in places)
            flat = name if after[:2] == (1, 1) else f"{name}/flat"
            grid = self._writer.reorder([grid], (1, 1, len(order)), flat, "reshape", order=order)
        if after[:2] == (1, 1):
            return grid
        height, width, channels = after
        wanted = np.arange(math.prod(after)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        return self._writer.reorder([grid], after, name, "select", channels=_found(order, wanted))

    # --- the whole

    def _result(self) -> Grid:
        """The network's output; what the host does behind it is left out."""
        name = self._file.output
        value = self._values[name]
        if isinstance(value, Weights):
            raise self._refuse(f"the output {name!r} does not depend on the input")
        grid = self._writer.settle(value, None, name)
        if grid.order and grid.order != tuple(range(len(grid.order))):
            wanted = np.arange(len(grid.order))
            grid = self._writer.reorder([grid], grid.map.shape, name, "select", channels=_found(grid.order, wanted))
        return grid

    def differences(self) -> dict[str, int]:
        """See :func:`kernel_differences`."""
        return self._writer.kernel_differences()

    def _graph(self) -> Graph:
        """The integer graph of the file."""
        nodes = list(self._file.nodes)
        while len(nodes) > 1 and nodes[-1].op in _HOST:
            nodes.pop()
        (output, *_) = nodes[-1].outputs
        self._file = replace(self._file, nodes=tuple(nodes), output=output)
        self._check_operators()
        self._find_integer_clips()
        for node in self._file.nodes:
            try:
                self._values[node.outputs[0]] = self._handlers[node.op](node)
            except ModelError:
                raise
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise self._refuse(f"{node} is damaged: a field is missing, of a wrong kind or out of range") from error
        result = self._result()
        if self._input is None:
            raise self._refuse(f"the input {self._file.input!r} is not quantised")
        return Graph(
            name=self._name,
            input=self._input.map.name,
            output=result.map.name,
            maps=self._writer.maps,
            layers=tuple(self._writer.layers),
            half_even_input=True,
        )


def _found(order: tuple[int, ...], wanted: NDArray[Any]) -> tuple[int, ...]:
    """Where the wanted places of an ONNX tensor are stored."""
    stored = np.argsort(np.array(order)) if order else np.arange(wanted.size)
    return tuple(int(stored[place]) for place in wanted.reshape(-1))


def kernel_differences(path: str | Path) -> dict[str, int]:
    """By layer of an ONNX file: for how many reachable accumulators onnxruntime's kernel gives another number.

    0 proves that a layer's numbers are onnxruntime's.  Layers for which it has no kernel on integers are left out.

    Raises
    ------
    ModelError
        As :func:`load`.
    """
    return _import(path, None).differences()


def load(path: str | Path, name: str | None = None) -> Graph:
    """The integer graph of an ONNX or QONNX file; ``name`` is the file's name without its ending unless given.

    Raises
    ------
    ModelError
        If it is no such file, or something in it is not supported; the text names the node.
    """
    return _import(path, name).graph


def _import(path: str | Path, name: str | None) -> _Importer:
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"model {file}: no such file")
    label = file.stem if name is None else name
    return _Importer(read_file(file, label), label)
