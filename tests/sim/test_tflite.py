from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from golden import operators
from golden.graph import AveragePool, Conv, Elementwise, Graph, Reorder
from sim.importers import ModelError, tflite
from tests.tflite_models import ModelBuilder, RandomLayers, Tensor, random_model, reference_tensors

DATA = Path(__file__).parents[2] / "sim" / "data"
MODEL = DATA / "resnet8_int8.tflite"
PICTURES = sorted((DATA / "cifar10").glob("*.png"))


# --- against the reference kernels ------------------------------------------------------------------------------------


def _differences(graph: Graph, content: bytes, values: np.ndarray[Any, Any]) -> list[str]:
    """Names of the maps that differ from the reference kernels; every tensor that they have must be compared."""
    found = operators.run(graph, values[0].astype(np.int64) + 128)
    expected = reference_tensors(content, values)
    compared = [name for name in found if not name.endswith("/flat")]
    assert set(compared) <= set(expected)
    assert graph.output in compared
    return [
        name for name in compared if not np.array_equal(expected[name].reshape(found[name].shape), found[name] - 128)
    ]


@pytest.mark.parametrize("seed", range(50))
def test_generated_model_equals_the_reference_kernels(seed: int) -> None:
    print(f"seed {seed}")
    content, values = random_model(seed)
    assert _differences(tflite.parse(content), content, values) == []


def test_generated_models_cover_what_they_should() -> None:
    """What the fifty models show together; without this, a change of the generator could empty the test above."""
    graphs = [tflite.parse(random_model(seed)[0]) for seed in range(50)]
    layers = [layer for graph in graphs for layer in graph.layers]
    convs = [layer for layer in layers if isinstance(layer, Conv)]
    kinds = {layer.op if isinstance(layer, Conv | Elementwise | Reorder) else type(layer).__name__ for layer in layers}
    assert kinds == {
        "conv2d", "depthwise_conv2d", "fully_connected", "add", "relu", "relu6", "relu_n1_to_1", "quantize",
        "reshape", "pad", "AveragePool", "MaxPool",
    }  # fmt: skip
    assert any(np.any(conv.rescale.multiplier > 1 << conv.rescale.shift) for conv in convs), "multipliers above 1"
    assert any(conv.depth_multiplier > 1 for conv in convs)
    assert any(conv.dilation != (1, 1) for conv in convs)
    assert any(conv.stride == (1, 1) for conv in convs)
    assert any(conv.stride[0] != conv.stride[1] for conv in convs)
    assert any(conv.padding != (0, 0) for conv in convs)
    assert any(conv.rescale.two_sided for conv in convs)
    assert any(not conv.rescale.two_sided for conv in convs)
    assert any(len(layer.divisors) > 1 for layer in layers if isinstance(layer, AveragePool)), "clipped windows"
    for graph in graphs:
        assert len({layer.name for layer in graph.layers}) == len(graph.layers)
    adds = [(graph, layer) for graph in graphs for layer in graph.layers if isinstance(layer, Elementwise)]
    zeros = [{graph.maps[name].zero for name in layer.inputs} for graph, layer in adds if layer.op == "add"]
    assert any(len(pair) == 2 for pair in zeros), "unequal zero points"
    clamps = {(conv.rescale.low > 0, conv.rescale.low + conv.rescale.high < 255) for conv in convs}
    assert clamps == {(False, False), (False, True), (True, False), (True, True)}


def test_resnet8_equals_the_reference_kernels() -> None:
    content, graph = MODEL.read_bytes(), tflite.load(MODEL)
    assert graph.name == "resnet8_int8"
    assert len(PICTURES) == 10
    right = 0
    for path in PICTURES:
        picture = np.asarray(Image.open(path)).astype(np.int64)
        values = (picture - 128).astype(np.int8)[None]
        assert _differences(graph, content, values) == []
        logits = operators.run(graph, picture)[graph.output].reshape(-1)
        right += int(np.argmax(logits)) == int(path.stem.rsplit("_", 1)[1])
    assert right == 9


def test_resnet8_names_and_shapes() -> None:
    graph = tflite.load(MODEL, "resnet8")
    assert graph.name == "resnet8"
    assert [layer.name for layer in graph.layers] == [
        "conv1", "conv2", "conv3", "add1", "conv4", "conv5", "conv6", "add2", "conv7", "conv8", "conv9", "add3",
        "avgpool1", "reshape1", "fc1",
    ]  # fmt: skip
    assert graph.maps[graph.input].shape == (32, 32, 3)
    assert graph.maps[graph.output].shape == (1, 1, 10)
    assert graph.maps[graph.output].zero == 24 + 128  # the logits, not the output of SOFTMAX, whose zero point is -128


# --- what is refused ------------------------------------------------------------------------------------------------


def _refused(content: bytes, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        tflite.parse(content, "m")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^model .*none\.tflite: no such file$"):
        tflite.load(tmp_path / "none.tflite")


def test_renamed_text(tmp_path: Path) -> None:
    file = tmp_path / "text.tflite"
    file.write_text("This is no model.\n")
    with pytest.raises(
        ModelError, match=r"^model text: not a TFLite file \(bytes 4 to 7 must be b'TFL3', are b' is '\)$"
    ):
        tflite.load(file)


def test_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "empty.tflite"
    file.touch()
    with pytest.raises(ModelError, match=r"^model empty: not a TFLite file \(bytes 4 to 7 must be b'TFL3', are b''\)$"):
        tflite.load(file)


@pytest.mark.parametrize("part", [0.0001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_truncated_file(part: float) -> None:
    content = MODEL.read_bytes()
    length = max(8, int(len(content) * part))
    _refused(content[:length], rf"^model m: the TFLite file is truncated or damaged \({length} bytes\)$")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_file_never_raises_anything_else(seed: int) -> None:
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    content = bytearray(random_model(seed)[0])
    for position in random.integers(8, len(content), 4):
        content[position] = int(random.integers(0, 256))
    message = ""
    try:
        tflite.parse(bytes(content))
    except ModelError as error:
        message = str(error)
    assert "\n" not in message


def test_missing_schema_package(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "tflite":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    _refused(random_model(0)[0], r"^reading a \.tflite file needs the Python package 'tflite': pip install tflite$")


OPERATOR = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions


def _one(
    code: int,
    shape: tuple[int, ...] = (1, 4, 4, 2),
    out: tuple[int, ...] | None = None,
    dtype: type = np.int8,
    scales: tuple[Any, Any] = (0.1, 0.1),
    options: Any = None,
    kind: int = OPTIONS.NONE,
    more: Callable[[ModelBuilder], list[Tensor]] | None = None,
    signature: tuple[int, ...] | None = None,
    custom: str | None = None,
) -> bytes:
    """A model of one operator."""
    model = ModelBuilder()
    source = model.tensor(shape, dtype, scales[0], name="in", signature=signature)
    target = model.tensor(shape if out is None else out, dtype, scales[1], name="out")
    extra = [] if more is None else [tensor.index for tensor in more(model)]
    model.operator(code, [source.index, *extra], [target.index], options, kind, custom)
    return model.finish([source], [target])


def _conv_options(fused: int = 0) -> Any:
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = fused
    return options


def _filter(
    shape: tuple[int, ...] = (2, 1, 1, 2), dtype: type = np.int8, scale: Any = 0.1, zero: int = 0, axis: int = 0
) -> Callable[[ModelBuilder], list[Tensor]]:
    def tensors(model: ModelBuilder) -> list[Tensor]:
        bias = model.tensor((shape[0],), np.int32, 0.01, data=np.zeros(shape[0]))
        return [model.tensor(shape, dtype, scale, zero, np.ones(shape), axis), bias]

    return tensors


def _conv(**keywords: Any) -> bytes:
    fused = keywords.pop("fused", 0)
    keywords.setdefault("more", _filter())
    return _one(OPERATOR.CONV_2D, options=_conv_options(fused), kind=OPTIONS.Conv2DOptions, **keywords)


def _pool(options: Any = None, **keywords: Any) -> bytes:
    if options is None:
        options = schema.Pool2DOptionsT()
        options.filterHeight = options.filterWidth = options.strideH = options.strideW = 2
    keywords.setdefault("out", (1, 2, 2, 2))
    return _one(OPERATOR.MAX_POOL_2D, options=options, kind=OPTIONS.Pool2DOptions, **keywords)


def _zero_stride() -> Any:
    options = schema.Pool2DOptionsT()
    options.filterHeight = options.filterWidth = 2
    options.strideH = options.strideW = 0
    return options


def _table(rows: Any) -> Callable[[ModelBuilder], list[Tensor]]:
    return lambda model: [model.tensor(np.shape(rows), np.int32, data=np.array(rows, dtype=np.int32))]


def _add_constant(shape: tuple[int, ...]) -> bytes:
    return _one(
        OPERATOR.ADD,
        options=schema.AddOptionsT(),
        kind=OPTIONS.AddOptions,
        more=lambda model: [model.tensor(shape, np.int8, 0.1, data=np.ones(shape), name="k")],
    )


def _broadcast() -> bytes:
    model = ModelBuilder()
    source, middle, target = (model.tensor(shape, scale=0.1) for shape in ((1, 2, 2, 1), (1, 1, 1, 4), (1, 2, 2, 1)))
    model.operator(OPERATOR.RESHAPE, [source.index], [middle.index], schema.ReshapeOptionsT(), OPTIONS.ReshapeOptions)
    operands = [source.index, middle.index]
    model.operator(OPERATOR.ADD, operands, [target.index], schema.AddOptionsT(), OPTIONS.AddOptions)
    return model.finish([source], [target])


def _fully_connected(weights: tuple[int, ...], out: tuple[int, ...], shuffled: int = 0) -> bytes:
    options = schema.FullyConnectedOptionsT()
    options.weightsFormat = shuffled
    kind = OPTIONS.FullyConnectedOptions
    return _one(OPERATOR.FULLY_CONNECTED, (1, 2, 1, 4), out, options=options, kind=kind, more=_filter(weights))


def _two_outputs() -> bytes:
    model = ModelBuilder()
    first, second = model.tensor((1, 4), scale=0.1), model.tensor((1, 4), scale=0.1)
    model.operator(OPERATOR.RESHAPE, [first.index], [second.index], schema.ReshapeOptionsT(), OPTIONS.ReshapeOptions)
    return model.finish([first], [first, second])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (_one(OPERATOR.LOGISTIC), r"operator 0 \(LOGISTIC\) is not supported; supported are ADD, .*, SOFTMAX"),
        (_one(OPERATOR.CUSTOM, custom="Odd"), r"operator 0 \(custom Odd\) is not supported; supported are .*"),
        (
            _one(OPERATOR.RELU, dtype=np.float32, scales=(None, None)),
            r"operator 0 \(RELU\) works on the float32 tensor 'in': this is a float model; quantise it to int8 first",
        ),
        (_one(OPERATOR.RELU, dtype=np.uint8), r"operator 0 \(RELU\): tensor 'in' must be int8, is uint8"),
        (_one(OPERATOR.RELU, dtype=np.int16), r"operator 0 \(RELU\): tensor 'in' must be int8, is int16"),
        (
            _one(OPERATOR.RELU, scales=(None, 0.1)),
            r"operator 0 \(RELU\): tensor 'in' must have one positive scale, has 0",
        ),
        (
            _one(OPERATOR.RELU, scales=(0.0, 0.1)),
            r"operator 0 \(RELU\): tensor 'in' must have one positive scale, has 1 \(0\)",
        ),
        (
            _one(OPERATOR.RELU, signature=(-1, -1, 4, 2)),
            r"operator 0 \(RELU\): tensor 'in' has a dynamic shape \[-1, -1, 4, 2\]; fix its sizes",
        ),
        (_one(OPERATOR.RELU, (2, 4, 4, 2)), r"operator 0 \(RELU\): batch of 'in' must be 1, is 2"),
        (
            _one(OPERATOR.RELU, (1, 1, 4, 4, 2)),
            r"operator 0 \(RELU\): tensor 'in' must have 1 to 4 dimensions, has 5",
        ),
        (
            _one(OPERATOR.RELU, out=(1, 4, 2, 4)),
            r"operator 0 \(RELU\): output shape must be \[1, 4, 4, 2\], is \[1, 4, 2, 4\]",
        ),
        (
            _conv(fused=4),
            r"operator 0 \(CONV_2D\): fused activation 4 is not supported; "
            r"supported are NONE, RELU, RELU_N1_TO_1, RELU6",
        ),
        (_conv(more=None), r"operator 0 \(CONV_2D\): the weights must be a constant of the model"),
        (_conv(more=_filter(dtype=np.int16)), r"operator 0 \(CONV_2D\): weights must be int8, are int16"),
        (
            _conv(more=_filter(scale=[0.1] * 3)),
            r"operator 0 \(CONV_2D\): weights must have 1 scale or one for each of 2 output channels, have 3",
        ),
        (
            _conv(more=_filter(scale=[0.1] * 2, axis=3)),
            r"operator 0 \(CONV_2D\): weight scales must be along axis 0, are along 3",
        ),
        (_conv(more=_filter(zero=4)), r"operator 0 \(CONV_2D\): zero point of the weights must be 0, is \[4\]"),
        (
            _conv(more=_filter((2, 1, 1, 1))),
            r"operator 0 \(CONV_2D\): grouped convolution \(1 of 2 input channels per output\) is not supported",
        ),
        (
            _conv(out=(1, 3, 4, 2)),
            r"operator 0 \(CONV_2D\): output shape must be \(4, 4, 2\), is \(3, 4, 2\)",
        ),
        (
            _pool(scales=(0.1, 0.2)),
            r"operator 0 \(MAX_POOL_2D\): input and output must have the same scale and zero point, "
            r"have 0\.1, 0 and 0\.2, 0",
        ),
        (_pool(_zero_stride()), r"operator 0 \(MAX_POOL_2D\): stride must be at least 1, is \(0, 0\)"),
        (
            _one(OPERATOR.PAD, more=_table([[1, 0], [0, 0], [0, 0], [0, 0]]), out=(2, 4, 4, 2)),
            r"operator 0 \(PAD\): padding must be at least 0 and 0 along the batch, is \[\(1, 0\), .*\]",
        ),
        (
            _one(OPERATOR.PAD, more=_table([[0, 0], [1, 0]])),
            r"operator 0 \(PAD\): padding must be a table of 4 rows and 2 columns",
        ),
        (
            _one(OPERATOR.RESHAPE, out=(1, 31)),
            r"operator 0 \(RESHAPE\): cannot reshape \[1, 4, 4, 2\] to \[1, 31\]",
        ),
        (
            _add_constant((1, 4, 4, 2)),
            r"operator 0 \(ADD\): operand 'k' must be computed by the network, is a constant",
        ),
        (
            _broadcast(),
            r"operator 1 \(ADD\): broadcasting is not supported; operands must have the same shape, "
            r"have \[1, 2, 2, 1\] and \[1, 1, 1, 4\]",
        ),
        (
            _fully_connected((3, 4), (2, 3)),
            r"operator 0 \(FULLY_CONNECTED\): batch must be 1: 8 inputs and 6 outputs do not fit "
            r"weights of shape \(3, 4\)",
        ),
        (_fully_connected((3, 8), (1, 3), 1), r"operator 0 \(FULLY_CONNECTED\): shuffled weights are not supported"),
        (_two_outputs(), r"must have 1 input and 1 output, has 1 and 2"),
        (ModelBuilder().finish([], []), r"must have 1 input and 1 output, has 0 and 0"),
    ],
)
def test_refusals(content: bytes, text: str) -> None:
    _refused(content, f"^model m: {text}$")


# --- forms that generated models do not have --------------------------------------------------------------------------


def test_repeated_and_empty_tensor_names_stay_apart() -> None:
    model = ModelBuilder()
    source, target = model.tensor((1, 4), scale=0.1, name="x"), model.tensor((1, 4), scale=0.05, name="x")
    model.operator(OPERATOR.RELU, [source.index], [target.index])
    graph = tflite.parse(model.finish([source], [target]))
    assert (graph.input, graph.output) == ("x", "x#1")


def test_fully_connected_of_a_picture_gets_a_reshape() -> None:
    layers = RandomLayers(3)
    source = layers.activation_tensor((1, 2, 3, 2))
    target = layers.fully_connected(source)
    content = layers.model.finish([source], [target])
    graph = tflite.parse(content)
    assert [layer.name for layer in graph.layers] == ["reshape1", "fc1"]
    values = np.random.default_rng(3).integers(-128, 128, (1, 2, 3, 2), dtype=np.int8)
    assert _differences(graph, content, values) == []
