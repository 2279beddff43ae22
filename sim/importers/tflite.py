"""The TFLite importer: an int8 model file to the integer graph, with requantisation constants that are proven exact.

Reading has two steps.  ``_read`` copies what matters out of the flatbuffer, every buffer included, so that a damaged
file fails there and nowhere else; ``_Importer`` turns operators into layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import rescale
from golden.graph import (
    AveragePool,
    Conv,
    Elementwise,
    FeatureMap,
    Graph,
    Integers,
    Layer,
    MaxPool,
    Reorder,
    Rescale,
    RoundedSum,
)
from golden.rounded import RoundedForm, find_rounded
from sim.importers import ModelError
from sim.importers.split import groups_by_scale, split
from sim.importers.windows import inside_lengths

_IDENTIFIER = b"TFL3"
_BITS = 8
_OFFSET = 1 << (_BITS - 1)
_LARGEST = (1 << _BITS) - 1
_ADD_LEFT_SHIFT = 20  # the reference ADD raises its operands by this many bits before it scales them
_SAME = 0

_DTYPES: dict[int, tuple[str, Any]] = {
    0: ("float32", np.float32),
    1: ("float16", np.float16),
    2: ("int32", np.int32),
    3: ("uint8", np.uint8),
    4: ("int64", np.int64),
    6: ("bool", np.bool_),
    7: ("int16", np.int16),
    9: ("int8", np.int8),
    10: ("float64", np.float64),
    17: ("int4", None),
}
_ACTIVATIONS: dict[int, tuple[float, float]] = {
    0: (-np.inf, np.inf),
    1: (0.0, np.inf),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}
_RECTIFIERS = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}


# --- what a model file holds ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    kind: str
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: NDArray[Any] | None

    @property
    def scale(self) -> float:
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        return int(self.zero_points[0])


@dataclass(frozen=True)
class _Operator:
    index: int
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int]

    def __str__(self) -> str:
        return f"operator {self.index} ({self.code})"


@dataclass(frozen=True)
class _File:
    tensors: tuple[_Tensor, ...]
    operators: tuple[_Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int


# Option tables of the operators that have options we read: class in the schema, then the fields.
_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": (
        "Conv2DOptions",
        ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction"),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (
            "Padding",
            "StrideH",
            "StrideW",
            "DilationHFactor",
            "DilationWFactor",
            "FusedActivationFunction",
            "DepthMultiplier",
        ),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat")),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "AVERAGE_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
}


def _schema() -> Any:
    try:
        import tflite
    except ImportError as error:
        raise ModelError("reading a .tflite file needs the Python package 'tflite': pip install tflite") from error
    return tflite


def _read(content: bytes) -> _File:
    """Copy a flatbuffer into plain objects; any exception but :class:`ModelError` means that it is damaged."""
    schema = _schema()
    codes = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = schema.Model.GetRootAs(content, 0)
    if model.Version() != 3:
        raise IndexError("schema version")
    buffers = [_bytes(model.Buffers(index)) for index in range(model.BuffersLength())]
    for index in range(model.MetadataLength()):
        model.Metadata(index).Name()
    graph = model.Subgraphs(0)
    tensors = [_tensor(graph.Tensors(index), buffers) for index in range(graph.TensorsLength())]
    operators: list[_Operator] = []
    for index in range(graph.OperatorsLength()):
        item = graph.Operators(index)
        entry = model.OperatorCodes(item.OpcodeIndex())
        number = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        code = codes.get(number, f"builtin {number}")
        if code == "CUSTOM":
            code = f"custom {entry.CustomCode().decode()}"
        operators.append(
            _Operator(index, code, _indices(item, "Inputs"), _indices(item, "Outputs"), _options(schema, code, item))
        )
    count = len(tensors)
    for operator in operators:
        if not all(-1 <= index < count for index in (*operator.inputs, *operator.outputs)):
            raise IndexError("tensor index")
    return _File(
        tuple(tensors), tuple(operators), _indices(graph, "Inputs"), _indices(graph, "Outputs"), model.SubgraphsLength()
    )


def _bytes(buffer: Any) -> NDArray[np.uint8] | None:
    return None if buffer.DataLength() == 0 else np.array(buffer.DataAsNumpy(), dtype=np.uint8)


def _indices(item: Any, field: str) -> tuple[int, ...]:
    read = getattr(item, field)
    return tuple(int(read(index)) for index in range(getattr(item, field + "Length")()))


def _options(schema: Any, code: str, item: Any) -> dict[str, int]:
    if code not in _OPTIONS:
        return {}
    name, fields = _OPTIONS[code]
    options = getattr(schema, name)()
    table = item.BuiltinOptions()
    if table is None:
        raise IndexError("operator options")
    options.Init(table.Bytes, table.Pos)
    return {field: int(getattr(options, field)()) for field in fields}


def _tensor(item: Any, buffers: Sequence[NDArray[np.uint8] | None]) -> _Tensor:
    shape = _indices(item, "Shape")
    kind, dtype = _DTYPES.get(item.Type(), (f"type {item.Type()}", None))
    raw = buffers[item.Buffer()]
    data: NDArray[Any] | None = None
    if raw is not None and dtype is not None:
        data = raw.view(np.dtype(dtype)).reshape(shape)
    quantization = item.Quantization()
    scales, zeros, axis = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64), 0
    if quantization is not None and quantization.ScaleLength() > 0:
        scales = np.array(quantization.ScaleAsNumpy(), dtype=np.float32)
        zeros = np.array([quantization.ZeroPoint(i) for i in range(quantization.ZeroPointLength())], dtype=np.int64)
        axis = quantization.QuantizedDimension()
        if zeros.size != scales.size:
            raise IndexError("zero points")
    return _Tensor(item.Name().decode(), shape, _indices(item, "ShapeSignature"), kind, scales, zeros, axis, data)


# --- from operators to layers ---------------------------------------------------------------------------------------


def _round(value: float) -> int:
    """Half away from zero, as the reference kernels round a quotient of float32."""
    return int(np.copysign(np.floor(np.abs(value) + 0.5), value))


def _output_size(size: int, span: int, stride: int, padding: int) -> tuple[int, int]:
    """Length of the output along one axis and what SAME padding puts before the map."""
    if padding == _SAME:
        length = -(-size // stride)
        return length, max(0, (length - 1) * stride + span - size) // 2
    return (size - span) // stride + 1, 0


class _Importer:
    """Turns the operators of one file into layers, in their order."""

    def __init__(self, content: _File, name: str) -> None:
        self._file = content
        self._name = name
        self._maps: dict[str, FeatureMap] = {}
        self._map_names: dict[int, str] = {}
        self._layers: list[Layer] = []
        self._counts: dict[str, int] = {}
        self._convert: dict[str, Callable[[_Operator], None]] = {
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._convolution,
            "FULLY_CONNECTED": self._fully_connected,
            "ADD": self._add,
            "AVERAGE_POOL_2D": self._average_pool,
            "MAX_POOL_2D": self._max_pool,
            "RESHAPE": self._reshape,
            "PAD": self._pad,
            "PADV2": self._pad,
            "RELU": self._rectify,
            "RELU6": self._rectify,
            "RELU_N1_TO_1": self._rectify,
            "QUANTIZE": self._quantize,
        }

    # --- refusals

    def _refuse(self, what: str) -> ModelError:
        return ModelError(f"model {self._name}: {what}")

    def _check_operator(self, operator: _Operator) -> None:
        if operator.code in self._convert:
            return
        known = ", ".join(sorted((*self._convert, "DEQUANTIZE", "SOFTMAX")))
        raise self._refuse(f"{operator} is not supported; supported are {known}")

    def _activation(self, operator: _Operator, index: int) -> _Tensor:
        """An activation tensor of an operator, checked: int8, quantised per tensor, static shape, one picture."""
        tensor = self._file.tensors[index]
        if tensor.kind == "float32":
            raise self._refuse(
                f"{operator} works on the float32 tensor {tensor.name!r}: this is a float model; "
                "quantise it to int8 first"
            )
        if tensor.kind != "int8":
            raise self._refuse(f"{operator}: tensor {tensor.name!r} must be int8, is {tensor.kind}")
        if tensor.scales.size != 1 or not tensor.scale > 0.0:
            raise self._refuse(
                f"{operator}: tensor {tensor.name!r} must have one positive scale, has {tensor.scales.size}"
                + (f" ({tensor.scale:g})" if tensor.scales.size == 1 else "")
            )
        if not -_OFFSET <= tensor.zero_point < _OFFSET:
            raise self._refuse(f"{operator}: zero point of {tensor.name!r} must be -128..127, is {tensor.zero_point}")
        signature = tensor.signature or tensor.shape
        if any(size < 1 for size in tensor.shape) or any(size < 0 for size in signature[1:]):
            raise self._refuse(
                f"{operator}: tensor {tensor.name!r} has a dynamic shape {list(signature)}; fix its sizes"
            )
        return tensor

    def _picture_shape(self, operator: _Operator, tensor: _Tensor) -> tuple[int, int, int]:
        """(height, width, channels) of an activation tensor."""
        shape = tensor.shape
        if not 1 <= len(shape) <= 4:
            raise self._refuse(f"{operator}: tensor {tensor.name!r} must have 1 to 4 dimensions, has {len(shape)}")
        if len(shape) > 1 and shape[0] != 1:
            raise self._refuse(f"{operator}: batch of {tensor.name!r} must be 1, is {shape[0]}")
        sizes = shape[1:] if len(shape) > 1 else shape
        padded = (1,) * (3 - len(sizes)) + sizes
        return (padded[0], padded[1], padded[2])

    def _constant(self, operator: _Operator, position: int, what: str) -> _Tensor:
        index = operator.inputs[position] if position < len(operator.inputs) else -1
        if index < 0 or self._file.tensors[index].data is None:
            raise self._refuse(f"{operator}: {what} must be a constant of the model")
        return self._file.tensors[index]

    def _operands(self, operator: _Operator, count: int) -> tuple[list[_Tensor], _Tensor]:
        """Checked activation inputs and output of an operator."""
        if len(operator.inputs) < count or len(operator.outputs) != 1:
            raise self._refuse(
                f"{operator} must have {count} inputs and 1 output, "
                f"has {len(operator.inputs)} and {len(operator.outputs)}"
            )
        sources: list[_Tensor] = []
        for index in operator.inputs[:count]:
            source = self._activation(operator, index)
            if index not in self._map_names:
                raise self._refuse(
                    f"{operator}: operand {source.name!r} must be computed by the network, is a constant"
                )
            sources.append(source)
        return sources, self._activation(operator, operator.outputs[0])

    # --- bookkeeping

    def _add_map(self, operator: _Operator, index: int) -> FeatureMap:
        tensor = self._file.tensors[index]
        name = tensor.name if tensor.name and tensor.name not in self._maps else f"{tensor.name}#{index}"
        shape = self._picture_shape(operator, tensor)
        self._maps[name] = FeatureMap(name, shape, _BITS, tensor.zero_point + _OFFSET, tensor.scale)
        self._map_names[index] = name
        return self._maps[name]

    def _layer_name(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{'_' if kind[-1].isdigit() else ''}{self._counts[kind]}"

    def _map(self, index: int) -> FeatureMap:
        return self._maps[self._map_names[index]]

    def _clamp(self, operator: _Operator, function: int, tensor: _Tensor) -> tuple[int, int]:
        """(low, high) of a fused activation function, as stored numbers of the output tensor."""
        if function not in _ACTIVATIONS:
            names = "NONE, RELU, RELU_N1_TO_1, RELU6"
            raise self._refuse(f"{operator}: fused activation {function} is not supported; supported are {names}")
        limits: list[int] = []
        for bound, default in zip(_ACTIVATIONS[function], (0, _LARGEST), strict=True):
            if np.isinf(bound):
                limits.append(default)
                continue
            steps = _round(float(np.float32(bound) / np.float32(tensor.scale)))
            limits.append(min(max(tensor.zero_point + _OFFSET + steps, 0), _LARGEST))
        return limits[0], limits[1] - limits[0]

    # --- layers with weights

    def _filter(self, operator: _Operator, channels_axis: int) -> tuple[Integers, NDArray[np.float32]]:
        """Weights as int64 in the file's order and the scale of every output channel."""
        tensor = self._constant(operator, 1, "the weights")
        if tensor.kind != "int8" or tensor.data is None:
            raise self._refuse(f"{operator}: weights must be int8, are {tensor.kind}")
        channels = tensor.shape[channels_axis]
        if tensor.scales.size not in (1, channels):
            raise self._refuse(
                f"{operator}: weights must have 1 scale or one for each of {channels} output channels, "
                f"have {tensor.scales.size}"
            )
        if tensor.scales.size > 1 and tensor.axis != channels_axis:
            raise self._refuse(f"{operator}: weight scales must be along axis {channels_axis}, are along {tensor.axis}")
        if np.any(tensor.zero_points != 0):
            raise self._refuse(f"{operator}: zero point of the weights must be 0, is {tensor.zero_points.tolist()}")
        return tensor.data.astype(np.int64), np.broadcast_to(tensor.scales, (channels,))

    def _bias(self, operator: _Operator, channels: int) -> Integers:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(channels, dtype=np.int64)
        tensor = self._constant(operator, 2, "the bias")
        if tensor.kind != "int32" or tensor.data is None or tensor.data.size != channels:
            raise self._refuse(f"{operator}: bias must be {channels} numbers of int32, is {tensor.kind} {tensor.shape}")
        return tensor.data.astype(np.int64).reshape(channels)

    def _weighted(
        self,
        operator: _Operator,
        layer_name: str,
        weights: Integers,
        scales: NDArray[np.float32],
        multipliers: Sequence[float],
        rounding: Callable[[Integers, Integers, Integers], Integers],
        **geometry: Any,
    ) -> None:
        """Append a convolution-like layer; ``weights`` are in the graph's order."""
        tensors = self._file.tensors
        source = self._map(operator.inputs[0]) if "source" not in geometry else geometry.pop("source")
        target_tensor = tensors[operator.outputs[0]]
        target = self._add_map(operator, operator.outputs[0])
        low, high = self._clamp(operator, operator.options["FusedActivationFunction"], target_tensor)
        model_bias = self._bias(operator, weights.shape[0])
        correction = model_bias - source.zero * weights.reshape(weights.shape[0], -1).sum(axis=1)
        pairs = np.array([rescale.quantize_multiplier(value) for value in multipliers], dtype=np.int64)
        slopes = np.array(multipliers, dtype=np.float64)
        minimum, maximum = rescale.reachable(weights, correction, _LARGEST)

        def constants(channels: NDArray[np.int64]) -> Rescale:
            mantissa, exponent = pairs[channels, :1], pairs[channels, 1:]
            return rescale.find_rescale(
                lambda accumulators: rounding(accumulators, mantissa, exponent),
                minimum[channels],
                maximum[channels],
                slopes[channels],
                correction[channels],
                target.zero,
                low,
                high,
                f"{operator}",
            )

        groups = groups_by_scale(slopes, constants)
        layer = Conv(
            name=layer_name,
            inputs=(source.name,),
            output=target.name,
            weights=weights,
            weight_bits=_BITS,
            pad_value=source.zero,
            rescale=groups[0][1],
            model_bias=model_bias,
            weight_scales=tuple(float(scale) for scale in scales),
            **geometry,
        )
        maps, layers = split(layer, source, target, groups)
        self._maps |= {feature_map.name: feature_map for feature_map in maps}
        self._layers += layers

    def _convolution(self, operator: _Operator) -> None:
        (source_tensor,), target_tensor = self._operands(operator, 1)
        depthwise = operator.code == "DEPTHWISE_CONV_2D"
        raw, scales = self._filter(operator, 3 if depthwise else 0)
        shape = self._picture_shape(operator, source_tensor)
        multiplier = 1
        if depthwise:
            weights = raw.transpose(3, 1, 2, 0)
            multiplier = weights.shape[0] // shape[2]
            if weights.shape[0] != multiplier * shape[2]:
                raise self._refuse(f"{operator}: {weights.shape[0]} output channels do not divide by {shape[2]} inputs")
        else:
            weights = raw
            if weights.shape[3] != shape[2]:
                raise self._refuse(
                    f"{operator}: grouped convolution ({weights.shape[3]} of {shape[2]} input channels per output) "
                    "is not supported"
                )
        options = operator.options
        stride = (options["StrideH"], options["StrideW"])
        dilation = (options["DilationHFactor"], options["DilationWFactor"])
        span = [dilation[axis] * (weights.shape[1 + axis] - 1) + 1 for axis in (0, 1)]
        geometry = self._geometry(operator, shape, (span[0], span[1]), stride, (weights.shape[0],))
        self._weighted(
            operator,
            self._layer_name("depthwise" if depthwise else "conv"),
            np.ascontiguousarray(weights),
            scales,
            [float(source_tensor.scale) * float(scale) / float(target_tensor.scale) for scale in scales],
            rescale.twice_rounded,
            op="depthwise_conv2d" if depthwise else "conv2d",
            stride=stride,
            dilation=dilation,
            padding=geometry,
            depth_multiplier=multiplier,
        )

    def _geometry(
        self,
        operator: _Operator,
        shape: tuple[int, int, int],
        span: tuple[int, int],
        stride: tuple[int, int],
        channels: tuple[int, ...],
    ) -> tuple[int, int]:
        """(top, left) padding; checks the shape that the file gives to the output."""
        if min(stride) < 1:
            raise self._refuse(f"{operator}: stride must be at least 1, is {stride}")
        axes = [_output_size(shape[axis], span[axis], stride[axis], operator.options["Padding"]) for axis in (0, 1)]
        expected = (axes[0][0], axes[1][0], *channels)
        actual = self._picture_shape(operator, self._file.tensors[operator.outputs[0]])
        if actual != expected:
            raise self._refuse(f"{operator}: output shape must be {expected}, is {actual}")
        return axes[0][1], axes[1][1]

    def _fully_connected(self, operator: _Operator) -> None:
        (source_tensor,), target_tensor = self._operands(operator, 1)
        if operator.options["WeightsFormat"] != 0:
            raise self._refuse(f"{operator}: shuffled weights are not supported")
        raw, scales = self._filter(operator, 0)
        source = self._map(operator.inputs[0])
        elements = int(np.prod(source.shape))
        if raw.shape[1] != elements or int(np.prod(target_tensor.shape)) != raw.shape[0]:
            raise self._refuse(
                f"{operator}: batch must be 1: {elements} inputs and {int(np.prod(target_tensor.shape))} outputs "
                f"do not fit weights of shape {raw.shape}"
            )
        if source.shape != (1, 1, elements):
            flat = FeatureMap(f"{source.name}/flat", (1, 1, elements), source.bits, source.zero, source.scale)
            self._maps[flat.name] = flat
            self._reorder("reshape", source, flat)
            source = flat
        self._weighted(
            operator,
            self._layer_name("fc"),
            raw.reshape(raw.shape[0], 1, 1, elements),
            scales,
            [float(source_tensor.scale) * float(scale) / float(target_tensor.scale) for scale in scales],
            rescale.once_rounded,
            op="fully_connected",
            stride=(1, 1),
            dilation=(1, 1),
            padding=(0, 0),
            depth_multiplier=1,
            source=source,
        )

    # --- pools

    def _window(self, operator: _Operator) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Window, stride, padding; scale and zero point must not change."""
        (source,), target = self._operands(operator, 1)
        if (source.scale, source.zero_point) != (target.scale, target.zero_point):
            raise self._refuse(
                f"{operator}: input and output must have the same scale and zero point, have "
                f"{source.scale:g}, {source.zero_point} and {target.scale:g}, {target.zero_point}"
            )
        options = operator.options
        window = (options["FilterHeight"], options["FilterWidth"])
        stride = (options["StrideH"], options["StrideW"])
        shape = self._picture_shape(operator, source)
        if min(window) < 1:
            raise self._refuse(f"{operator}: window must be at least 1x1, is {window}")
        return window, stride, self._geometry(operator, shape, window, stride, (shape[2],))

    def _average_pool(self, operator: _Operator) -> None:
        window, stride, padding = self._window(operator)
        source = self._map(operator.inputs[0])
        target = self._add_map(operator, operator.outputs[0])
        low, high = self._clamp(
            operator, operator.options["FusedActivationFunction"], self._file.tensors[operator.outputs[0]]
        )
        lengths = inside_lengths(source.shape, target.shape[:2], window, stride, padding)
        divisors = np.array(sorted({rows * columns for rows in lengths[0] for columns in lengths[1]}), dtype=np.int64)
        # The kernel averages the signed numbers, whatever the zero point is.
        bias = -_OFFSET * divisors
        constants = rescale.find_rescale(
            lambda sums: rescale.half_away(sums, divisors[:, None]),
            bias,
            bias + _LARGEST * divisors,
            1.0 / divisors,
            bias,
            _OFFSET,
            low,
            high,
            f"{operator}",
        )
        self._layers.append(
            AveragePool(
                name=self._layer_name("avgpool"),
                inputs=(source.name,),
                output=target.name,
                window=window,
                stride=stride,
                padding=padding,
                divisors=tuple(int(divisor) for divisor in divisors),
                rescale=constants,
            )
        )

    def _max_pool(self, operator: _Operator) -> None:
        window, stride, padding = self._window(operator)
        source = self._map(operator.inputs[0])
        target = self._add_map(operator, operator.outputs[0])
        low, high = self._clamp(
            operator, operator.options["FusedActivationFunction"], self._file.tensors[operator.outputs[0]]
        )
        self._layers.append(
            MaxPool(self._layer_name("maxpool"), (source.name,), target.name, window, stride, padding, low, high)
        )

    # --- element by element

    def _elementwise(
        self,
        operator: _Operator,
        kind: str,
        function: int,
        reference: Callable[[list[Integers]], Integers],
        count: int,
        general: Callable[[FeatureMap, int, int], RoundedForm] | None = None,
    ) -> None:
        """Append an element-wise layer; ``general`` gives constants for (target, low, high) if no affine form does."""
        sources = [self._map(index) for index in operator.inputs[:count]]
        target = self._add_map(operator, operator.outputs[0])
        low, high = self._clamp(operator, function, self._file.tensors[operator.outputs[0]])
        factors: tuple[int, ...] = ()
        factor_bits = 0
        rounded: RoundedSum | None = None
        try:
            form: rescale.Affine | RoundedForm = rescale.find_affine(
                reference,
                tuple(source.scale / target.scale for source in sources),
                tuple(source.zero for source in sources),
                _BITS,
                target.zero,
                low,
                high,
                f"{operator}",
            )
            factors, factor_bits = form.factors, form.factor_bits
        except rescale.NoExactRescaleError:
            if general is None:
                raise
            form = general(target, low, high)
            rounded = form.rounded
        self._layers.append(
            Elementwise(
                name=self._layer_name(kind),
                inputs=tuple(source.name for source in sources),
                output=target.name,
                op=kind,
                factors=factors,
                factor_bits=factor_bits,
                sign_addend=form.sign_addend,
                addend_positive=form.addend_positive,
                addend_negative=form.addend_negative,
                shift=form.shift,
                low=low,
                high=high,
                rounded=rounded,
            )
        )

    def _add(self, operator: _Operator) -> None:
        sources, target = self._operands(operator, 2)
        if not sources[0].shape == sources[1].shape == target.shape:
            raise self._refuse(
                f"{operator}: broadcasting is not supported; operands must have the same shape, have "
                f"{list(sources[0].shape)} and {list(sources[1].shape)}"
            )
        twice_largest = 2.0 * max(source.scale for source in sources)
        factors = [rescale.quantize_multiplier(source.scale / twice_largest) for source in sources]
        slope = twice_largest / ((1 << _ADD_LEFT_SHIFT) * target.scale)
        result = rescale.quantize_multiplier(slope)
        zeros = [source.zero_point + _OFFSET for source in sources]

        def scaled(operand: Integers, index: int) -> Integers:
            mantissa, exponent = factors[index]
            raised = (operand - zeros[index]) << _ADD_LEFT_SHIFT
            return rescale.twice_rounded(raised, np.array(mantissa, dtype=np.int64), np.array(exponent, dtype=np.int64))

        def of_sum(total: Integers) -> Integers:
            return rescale.twice_rounded(
                total, np.array(result[0], dtype=np.int64), np.array(result[1], dtype=np.int64)
            )

        def reference(operands: list[Integers]) -> Integers:
            return of_sum(scaled(operands[0], 0) + scaled(operands[1], 1))

        def general(target_map: FeatureMap, low: int, high: int) -> RoundedForm:
            every = np.arange(_LARGEST + 1, dtype=np.int64)
            steps, pair = (scaled(every, 0), scaled(every, 1)), (zeros[0], zeros[1])
            return find_rounded(steps, of_sum, slope, pair, target_map.zero, low, high, f"{operator}")

        self._elementwise(operator, "add", operator.options["FusedActivationFunction"], reference, 2, general)

    def _rescaled(self, operator: _Operator, kind: str, function: int) -> None:
        """One operand that changes its scale: RELU and its kin, QUANTIZE from int8 to int8."""
        (source,), target = self._operands(operator, 1)
        if source.shape != target.shape:
            raise self._refuse(f"{operator}: output shape must be {list(source.shape)}, is {list(target.shape)}")
        ratio = source.scale / target.scale
        if operator.code in _RECTIFIERS:  # whose kernels divide in float32, unlike QUANTIZE
            ratio = float(np.float32(source.scale) / np.float32(target.scale))
        mantissa, exponent = rescale.quantize_multiplier(ratio)
        zero = source.zero_point + _OFFSET

        def reference(operands: list[Integers]) -> Integers:
            return rescale.twice_rounded(
                operands[0] - zero, np.array(mantissa, dtype=np.int64), np.array(exponent, dtype=np.int64)
            )

        self._elementwise(operator, kind, function, reference, 1)

    def _rectify(self, operator: _Operator) -> None:
        self._rescaled(operator, operator.code.lower(), _RECTIFIERS[operator.code])

    def _quantize(self, operator: _Operator) -> None:
        self._rescaled(operator, "quantize", 0)

    # --- movements

    def _reorder(
        self,
        kind: str,
        source: FeatureMap,
        target: FeatureMap,
        padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0), (0, 0)),
        pad_value: int = 0,
    ) -> None:
        name = self._layer_name(kind)
        self._layers.append(Reorder(name, (source.name,), target.name, kind, padding, pad_value))

    def _check_unscaled(self, operator: _Operator, source: _Tensor, target: _Tensor) -> None:
        if (source.scale, source.zero_point) != (target.scale, target.zero_point):
            raise self._refuse(
                f"{operator}: input and output must have the same scale and zero point, have "
                f"{source.scale:g}, {source.zero_point} and {target.scale:g}, {target.zero_point}"
            )

    def _reshape(self, operator: _Operator) -> None:
        (source,), target = self._operands(operator, 1)
        self._check_unscaled(operator, source, target)
        if np.prod(source.shape) != np.prod(target.shape):
            raise self._refuse(f"{operator}: cannot reshape {list(source.shape)} to {list(target.shape)}")
        self._reorder("reshape", self._map(operator.inputs[0]), self._add_map(operator, operator.outputs[0]))

    def _pad(self, operator: _Operator) -> None:
        (source,), target = self._operands(operator, 1)
        self._check_unscaled(operator, source, target)
        table = self._constant(operator, 1, "the table of paddings").data
        if table is None or table.shape != (len(source.shape), 2) or len(source.shape) != 4:
            raise self._refuse(f"{operator}: padding must be a table of 4 rows and 2 columns")
        amounts = [(int(before), int(after)) for before, after in table]
        if amounts[0] != (0, 0) or min(min(pair) for pair in amounts) < 0:
            raise self._refuse(f"{operator}: padding must be at least 0 and 0 along the batch, is {amounts}")
        pad_value = target.zero_point + _OFFSET
        if operator.code == "PADV2":
            constant = self._constant(operator, 2, "the value of the padding").data
            if constant is None or constant.dtype != np.int8 or constant.size != 1:
                raise self._refuse(f"{operator}: the value of the padding must be one int8 number")
            pad_value = int(constant.reshape(-1)[0]) + _OFFSET
        self._reorder(
            "pad",
            self._map(operator.inputs[0]),
            self._add_map(operator, operator.outputs[0]),
            (amounts[1], amounts[2], amounts[3]),
            pad_value,
        )

    # --- the whole

    def _head(self, operators: list[_Operator]) -> int:
        """Index of the int8 input tensor; removes a QUANTIZE that the host does."""
        index = self._file.inputs[0]
        readers = [operator for operator in operators if index in operator.inputs]
        if len(readers) == 1 and readers[0].code == "QUANTIZE" and self._file.tensors[index].kind == "float32":
            operators.remove(readers[0])
            return readers[0].outputs[0]
        return index

    def _tail(self, operators: list[_Operator]) -> int:
        """Index of the int8 output tensor; removes SOFTMAX and DEQUANTIZE at the end, which are host work."""
        index = self._file.outputs[0]
        while True:
            writers = [operator for operator in operators if index in operator.outputs]
            readers = [operator for operator in operators if index in operator.inputs]
            if len(writers) != 1 or readers or writers[0].code not in ("SOFTMAX", "DEQUANTIZE"):
                return index
            operators.remove(writers[0])
            index = writers[0].inputs[0]

    def graph(self) -> Graph:
        """The integer graph of the file."""
        content = self._file
        if content.subgraphs != 1:
            raise self._refuse(f"must have 1 subgraph, has {content.subgraphs}")
        if len(content.inputs) != 1 or len(content.outputs) != 1:
            raise self._refuse(f"must have 1 input and 1 output, has {len(content.inputs)} and {len(content.outputs)}")
        operators = list(content.operators)
        if not operators:
            raise self._refuse("must have at least one operator, has none")
        source, target = self._head(operators), self._tail(operators)
        for operator in operators:
            self._check_operator(operator)
        first = next((operator for operator in operators if source in operator.inputs), content.operators[0])
        self._activation(first, source)
        self._add_map(first, source)
        for operator in operators:
            self._convert[operator.code](operator)
        if target not in self._map_names:
            raise self._refuse(f"the output {content.tensors[target].name!r} is not computed by a supported operator")
        return Graph(
            name=self._name,
            input=self._map_names[source],
            output=self._map_names[target],
            maps=self._maps,
            layers=tuple(self._layers),
        )


def parse(content: bytes, name: str = "model") -> Graph:
    """The integer graph of a TFLite flatbuffer; ``name`` names it in reports and error texts.

    Raises :class:`~sim.importers.ModelError`.
    """
    if content[4:8] != _IDENTIFIER:
        raise ModelError(
            f"model {name}: not a TFLite file (bytes 4 to 7 must be {_IDENTIFIER!r}, are {content[4:8]!r})"
        )
    try:
        plain = _read(content)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"model {name}: the TFLite file is truncated or damaged ({len(content)} bytes)") from error
    try:
        return _Importer(plain, name).graph()
    except rescale.NoExactRescaleError as error:
        raise ModelError(f"model {name}: {error}") from error


def load(path: str | Path, name: str | None = None) -> Graph:
    """The integer graph of a TFLite file; ``name`` is the file's name without its ending unless given.

    Raises :class:`~sim.importers.ModelError`.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"model {file}: no such file")
    return parse(file.read_bytes(), file.stem if name is None else name)
