"""Random int8 TFLite models, and what the TFLite reference kernels compute for them.

``random_model(seed)`` gives (flatbuffer, int8 input); ``reference_tensors`` runs a flatbuffer through the reference
kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Int8 = NDArray[np.int8]

_KINDS = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
_ACTIVATIONS = (
    schema.ActivationFunctionType.NONE,
    schema.ActivationFunctionType.RELU,
    schema.ActivationFunctionType.RELU6,
    schema.ActivationFunctionType.RELU_N1_TO_1,
)
# The operator versions that TensorFlow's converter writes for int8.
_VERSIONS = {
    schema.BuiltinOperator.ADD: 2,
    schema.BuiltinOperator.AVERAGE_POOL_2D: 2,
    schema.BuiltinOperator.CONV_2D: 3,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.DEQUANTIZE: 2,
    schema.BuiltinOperator.FULLY_CONNECTED: 4,
    schema.BuiltinOperator.MAX_POOL_2D: 2,
    schema.BuiltinOperator.PAD: 2,
    schema.BuiltinOperator.PADV2: 2,
    schema.BuiltinOperator.QUANTIZE: 2,
    schema.BuiltinOperator.RELU: 2,
    schema.BuiltinOperator.RELU6: 2,
    schema.BuiltinOperator.SOFTMAX: 2,
}
_PADDINGS = (schema.Padding.SAME, schema.Padding.VALID)


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model under construction: index, shape with batch, first scale and zero point."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class ModelBuilder:
    """Builds one-subgraph TFLite models with the schema's object interface."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._codes: list[Any] = []
        self._operators: list[Any] = []

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: type = np.int8,
        scale: float | NDArray[np.float32] | None = None,
        zero_point: int = 0,
        data: NDArray[Any] | None = None,
        axis: int = 0,
        name: str | None = None,
        signature: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Add a tensor; ``scale`` may be one number, one per channel along ``axis``, or None (not quantised)."""
        item: Any = schema.TensorT()
        item.shape = list(shape)
        if signature is not None:
            item.shapeSignature = list(signature)
        item.type = _KINDS[np.dtype(dtype)]
        item.name = f"tensor_{len(self._tensors)}" if name is None else name
        item.buffer = 0
        if data is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype=dtype).tobytes(), dtype=np.uint8)
            item.buffer = len(self._buffers)
            self._buffers.append(buffer)
        scales = np.atleast_1d(np.asarray(1.0 if scale is None else scale, dtype=np.float32))
        if scale is not None:
            quantization: Any = schema.QuantizationParametersT()
            item.quantization = quantization
            quantization.scale = scales
            quantization.zeroPoint = np.full(scales.shape, zero_point, dtype=np.int64)
            quantization.quantizedDimension = axis
        self._tensors.append(item)
        return Tensor(len(self._tensors) - 1, tuple(shape), float(scales[0]), zero_point)

    def operator(
        self,
        code: int,
        inputs: list[int],
        outputs: list[int],
        options: Any = None,
        options_type: int = schema.BuiltinOptions.NONE,
        custom: str | None = None,
    ) -> None:
        """Append an operator; -1 among the inputs is an absent optional input."""
        entry = schema.OperatorCodeT()
        entry.builtinCode = code
        entry.deprecatedBuiltinCode = min(code, 127)
        entry.version = _VERSIONS.get(code, 1)
        entry.customCode = custom
        self._codes.append(entry)
        item = schema.OperatorT()
        item.opcodeIndex = len(self._codes) - 1
        item.inputs = inputs
        item.outputs = outputs
        item.builtinOptions = options
        item.builtinOptionsType = options_type
        self._operators.append(item)

    def finish(self, inputs: list[Tensor], outputs: list[Tensor]) -> bytes:
        """The finished flatbuffer."""
        graph = schema.SubGraphT()
        graph.tensors = self._tensors
        graph.operators = self._operators
        graph.inputs = [tensor.index for tensor in inputs]
        graph.outputs = [tensor.index for tensor in outputs]
        graph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.description = "generated"
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = self._codes
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _same_or_valid(size: int, window: int, stride: int, padding: int) -> int:
    return -(-size // stride) if padding == schema.Padding.SAME else (size - window) // stride + 1


class RandomLayers:
    """Appends random layers to a model; every choice comes from one generator."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.model = ModelBuilder()

    def _scale(self) -> float:
        return float(np.float32(np.exp(self.random.uniform(np.log(0.01), np.log(0.1)))))

    def channel_scales(self, count: int) -> NDArray[np.float64]:
        """Weight scales of the channels relative to each other."""
        return self.random.uniform(0.25, 4.0, count)

    def _zero_point(self) -> int:
        return int(self.random.choice((-128, 127, *self.random.integers(-128, 128, 8))))

    def _activation(self) -> int:
        return int(self.random.choice(_ACTIVATIONS))

    def activation_tensor(
        self, shape: tuple[int, ...], scale: float | None = None, zero_point: int | None = None
    ) -> Tensor:
        """A new int8 activation tensor; scale and zero point are random unless given."""
        return self.model.tensor(
            shape,
            scale=self._scale() if scale is None else scale,
            zero_point=self._zero_point() if zero_point is None else zero_point,
        )

    def _weights(
        self, source: Tensor, shape: tuple[int, ...], taps: int, channels: int, axis: int, per_channel: bool
    ) -> tuple[Tensor, int, float]:
        """Weights and bias with scales that spread the outputs over the int8 range; returns the output's scale too."""
        amplitude = int(self.random.choice((1, 1, 3, 20, 127)))
        values = self.random.integers(-amplitude, amplitude + 1, shape)
        spread = self.channel_scales(channels if per_channel else 1)
        deviation = max(1.0, amplitude / 1.7 * 74.0 * np.sqrt(taps))
        target = self.random.uniform(20.0, 120.0)
        scales = (self._scale() * spread).astype(np.float32)
        output_scale = float(np.float32(source.scale * float(np.mean(scales)) * deviation / target))
        weights = self.model.tensor(shape, scale=scales, data=values, axis=axis)
        if len(shape) == 2 and self.random.random() < 0.2:  # only fully connected layers may go without
            return weights, -1, output_scale
        bias = self.random.integers(-int(deviation), int(deviation) + 1, channels)
        return (
            weights,
            self.model.tensor(
                (channels,), np.int32, scale=(source.scale * scales.astype(np.float64)).astype(np.float32), data=bias
            ).index,
            output_scale,
        )

    def _window(self, source: Tensor, padding: int) -> tuple[int, int]:
        limit = (4, 4) if padding == schema.Padding.SAME else (min(4, source.shape[1]), min(4, source.shape[2]))
        return int(self.random.integers(1, limit[0] + 1)), int(self.random.integers(1, limit[1] + 1))

    def _strides(self) -> tuple[int, int]:
        if self.random.random() < 0.4:
            return 1, 1
        return int(self.random.integers(1, 4)), int(self.random.integers(1, 4))

    def convolution(self, source: Tensor, depthwise: bool = False) -> Tensor:
        """CONV_2D or DEPTHWISE_CONV_2D."""
        padding = int(self.random.choice(_PADDINGS))
        kernel = self._window(source, padding)
        stride = self._strides()
        dilation = (1, 1)
        _, height, width, channels = source.shape
        if stride == (1, 1) and kernel[0] * 2 <= height and kernel[1] * 2 <= width:
            dilation = (int(self.random.integers(1, 3)), int(self.random.integers(1, 3)))
        span = tuple(dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1))
        size = (
            _same_or_valid(height, span[0], stride[0], padding),
            _same_or_valid(width, span[1], stride[1], padding),
        )
        per_channel = bool(self.random.random() < 0.8)
        if depthwise:
            multiplier = int(self.random.integers(1, 4)) if channels <= 4 else 1
            outputs = channels * multiplier
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = multiplier
            shape, axis, taps = (1, *kernel, outputs), 3, kernel[0] * kernel[1]
        else:
            outputs = int(self.random.integers(1, 11))
            options = schema.Conv2DOptionsT()
            shape, axis, taps = (outputs, *kernel, channels), 0, kernel[0] * kernel[1] * channels
        weights, bias, scale = self._weights(source, shape, taps, outputs, axis, per_channel)
        options.padding = padding
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.fusedActivationFunction = self._activation()
        target = self.activation_tensor((1, *size, outputs), scale=scale)
        self.model.operator(
            schema.BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else schema.BuiltinOperator.CONV_2D,
            [source.index, weights.index, bias],
            [target.index],
            options,
            schema.BuiltinOptions.DepthwiseConv2DOptions if depthwise else schema.BuiltinOptions.Conv2DOptions,
        )
        return target

    def add(self, source: Tensor) -> Tensor:
        """ADD of the source and a pointwise convolution of it; scales and zero points differ."""
        channels = source.shape[3]
        weights, bias, scale = self._weights(source, (channels, 1, 1, channels), channels, channels, 0, True)
        branch = self.activation_tensor(source.shape, scale=scale)
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        code, kind = schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions
        self.model.operator(code, [source.index, weights.index, bias], [branch.index], options, kind)
        sum_options = schema.AddOptionsT()
        sum_options.fusedActivationFunction = self._activation()
        largest = max(source.scale, branch.scale)
        ratio = 1.0 if self.random.random() < 0.2 else float(self.random.uniform(0.5, 2.0))
        target = self.activation_tensor(source.shape, scale=largest * ratio)
        operands = [source.index, branch.index]
        if self.random.random() < 0.5:
            operands.reverse()
        code, kind = schema.BuiltinOperator.ADD, schema.BuiltinOptions.AddOptions
        self.model.operator(code, operands, [target.index], sum_options, kind)
        return target

    def pool(self, source: Tensor, average: bool) -> Tensor:
        """AVERAGE_POOL_2D or MAX_POOL_2D; windows may be clipped at the borders."""
        padding = int(self.random.choice(_PADDINGS))
        window = self._window(source, padding)
        stride = self._strides()
        options = schema.Pool2DOptionsT()
        options.padding = padding
        options.filterHeight, options.filterWidth = window
        options.strideH, options.strideW = stride
        options.fusedActivationFunction = self._activation()
        _, height, width, channels = source.shape
        size = (
            _same_or_valid(height, window[0], stride[0], padding),
            _same_or_valid(width, window[1], stride[1], padding),
        )
        target = self.activation_tensor((1, *size, channels), source.scale, source.zero_point)
        code = schema.BuiltinOperator.AVERAGE_POOL_2D if average else schema.BuiltinOperator.MAX_POOL_2D
        self.model.operator(code, [source.index], [target.index], options, schema.BuiltinOptions.Pool2DOptions)
        return target

    def pad(self, source: Tensor) -> Tensor:
        """PAD, or PADV2 with a constant of its own."""
        amounts = np.zeros((4, 2), dtype=np.int32)
        amounts[1:3] = self.random.integers(0, 3, (2, 2))
        if self.random.random() < 0.3:
            amounts[3] = self.random.integers(0, 2, 2)
        shape = tuple(int(size + sum(pair)) for size, pair in zip(source.shape, amounts, strict=True))
        table = self.model.tensor((4, 2), np.int32, data=amounts)
        target = self.activation_tensor(shape, source.scale, source.zero_point)
        if self.random.random() < 0.5:
            code, kind, options = schema.BuiltinOperator.PAD, schema.BuiltinOptions.PadOptions, schema.PadOptionsT()
            self.model.operator(code, [source.index, table.index], [target.index], options, kind)
        else:
            value = np.array([self.random.integers(-128, 128)], dtype=np.int8)
            constant = self.model.tensor((1,), scale=source.scale, zero_point=source.zero_point, data=value)
            code, kind = schema.BuiltinOperator.PADV2, schema.BuiltinOptions.PadV2Options
            operands = [source.index, table.index, constant.index]
            self.model.operator(code, operands, [target.index], schema.PadV2OptionsT(), kind)
        return target

    def rectify(self, source: Tensor) -> Tensor:
        """RELU, RELU6 or RELU_N1_TO_1 with a change of scale."""
        codes = (schema.BuiltinOperator.RELU, schema.BuiltinOperator.RELU6, schema.BuiltinOperator.RELU_N1_TO_1)
        target = self.activation_tensor(source.shape, source.scale * float(self.random.uniform(0.4, 2.0)))
        self.model.operator(int(self.random.choice(codes)), [source.index], [target.index])
        return target

    def quantize(self, source: Tensor) -> Tensor:
        """QUANTIZE from int8 to int8."""
        target = self.activation_tensor(source.shape, source.scale * float(self.random.uniform(0.4, 2.0)))
        code, kind = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOptions.QuantizeOptions
        self.model.operator(code, [source.index], [target.index], schema.QuantizeOptionsT(), kind)
        return target

    def reshape(self, source: Tensor, shape: tuple[int, ...]) -> Tensor:
        """RESHAPE to a shape of the same number of elements."""
        table = self.model.tensor((len(shape),), np.int32, data=np.array(shape, dtype=np.int32))
        target = self.activation_tensor(shape, source.scale, source.zero_point)
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        code, kind = schema.BuiltinOperator.RESHAPE, schema.BuiltinOptions.ReshapeOptions
        self.model.operator(code, [source.index, table.index], [target.index], options, kind)
        return target

    def fully_connected(self, source: Tensor) -> Tensor:
        """FULLY_CONNECTED, per tensor or per channel."""
        inputs = int(np.prod(source.shape))
        outputs = int(self.random.integers(1, 13))
        per_channel = bool(self.random.random() < 0.4)
        weights, bias, scale = self._weights(source, (outputs, inputs), inputs, outputs, 0, per_channel)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = self._activation()
        target = self.activation_tensor((1, outputs), scale=scale)
        code, kind = schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOptions.FullyConnectedOptions
        self.model.operator(code, [source.index, weights.index, bias], [target.index], options, kind)
        return target

    def softmax(self, source: Tensor) -> Tensor:
        """SOFTMAX as at the end of a classifier."""
        target = self.model.tensor(source.shape, scale=1.0 / 256.0, zero_point=-128)
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        code, kind = schema.BuiltinOperator.SOFTMAX, schema.BuiltinOptions.SoftmaxOptions
        self.model.operator(code, [source.index], [target.index], options, kind)
        return target

    def layer(self, kind: str, source: Tensor) -> Tensor:
        """One layer by name; ``kind`` is one of ``LAYER_KINDS``."""
        if kind in ("conv", "depthwise"):
            return self.convolution(source, depthwise=kind == "depthwise")
        if kind in ("average", "maximum"):
            return self.pool(source, average=kind == "average")
        if kind == "reshape":
            _, height, width, channels = source.shape
            return self.reshape(source, (1, width, height, channels))
        one_operand = {"add": self.add, "pad": self.pad, "relu": self.rectify, "quantize": self.quantize}
        return one_operand[kind](source)


LAYER_KINDS = ("conv", "depthwise", "add", "average", "maximum", "pad", "relu", "quantize", "reshape")


def random_model(seed: int) -> tuple[bytes, Int8]:
    """A small random int8 model and an int8 input for it, both a function of the seed alone.

    Maps are at most about 12x12 with at most about 14 channels; two to five layers, every kind of layer in turn, with
    QUANTIZE, DEQUANTIZE, a fully connected head and SOFTMAX in some.  Where the model's input is float, the returned
    array is the int8 tensor behind its first QUANTIZE.
    """
    layers = RandomLayers(seed)
    random = layers.random
    shape = (1, int(random.integers(3, 11)), int(random.integers(3, 11)), int(random.integers(1, 7)))
    float_ends = seed % 5 == 4
    source = layers.activation_tensor(shape)
    first = source
    if float_ends:
        first = layers.model.tensor(shape, np.float32)
        code, kind = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOptions.QuantizeOptions
        layers.model.operator(code, [first.index], [source.index], schema.QuantizeOptionsT(), kind)
    current = layers.layer(LAYER_KINDS[seed % len(LAYER_KINDS)], source)
    for kind in random.choice(LAYER_KINDS, int(random.integers(1, 4))):
        current = layers.layer(str(kind), current)
    if random.random() < 0.6:
        if random.random() < 0.7:
            current = layers.reshape(current, (1, int(np.prod(current.shape))))
        current = layers.fully_connected(current)
        if random.random() < 0.5:
            current = layers.softmax(current)
    if float_ends:
        last = layers.model.tensor(current.shape, np.float32)
        code, kind = schema.BuiltinOperator.DEQUANTIZE, schema.BuiltinOptions.DequantizeOptions
        layers.model.operator(code, [current.index], [last.index], schema.DequantizeOptionsT(), kind)
        current = last
    values = random.integers(-128, 128, shape, dtype=np.int8)
    return layers.model.finish([first], [current]), values


def reference_tensors(model: bytes, values: Int8) -> dict[str, NDArray[Any]]:
    """Every tensor of a model, by name, as the TFLite reference kernels compute it.

    ``values`` is int8 with the batch dimension; for a float input it is dequantised with the parameters of the tensor
    that the model's first QUANTIZE writes.
    """
    interpreter = litert.Interpreter(
        model_content=model,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    if source["dtype"] == np.float32:
        scale, zero_point = interpreter.get_tensor_details()[0]["quantization"]
        interpreter.set_tensor(source["index"], np.float32((values.astype(np.float64) - zero_point) * scale))
    else:
        interpreter.set_tensor(source["index"], values)
    interpreter.invoke()
    tensors: dict[str, NDArray[Any]] = {}
    for detail in interpreter.get_tensor_details():
        try:
            tensors[detail["name"]] = interpreter.get_tensor(detail["index"])
        except ValueError:
            continue
    return tensors
