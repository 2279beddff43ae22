"""ONNX files with QDQ and with operators on integers: every map equals onnxruntime's, optimised or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from golden import operators
from golden.graph import Conv, Elementwise, Graph, Integers
from golden.widths import apply
from sim.importers.onnx_graph import kernel_differences, load
from sim.importers.onnx_rounding import Clamp
from sim.importers.onnx_rounding import kernel_differences as differences
from tests.onnx_models import MICROSOFT, Array, Onnx, runtime_tensors


def stored(graph: Graph, tensor: Array, name: str) -> Integers:
    """A tensor of integers as stored numbers."""
    signed = np.issubdtype(tensor.dtype, np.signedinteger)
    values = tensor.astype(np.int64) + (1 << (graph.maps[name].bits - 1) if signed else 0)
    return values[0].transpose(1, 2, 0) if values.ndim == 4 else values.reshape(1, 1, -1)


def compare(path: Path, graph: Graph, values: Array, *, optimised: bool) -> dict[str, int]:
    """How many numbers of each map differ from onnxruntime's, for maps that are tensors of integers of the file."""
    kinds = ("quantizelinear", "qlinear", "qgemm", "input")
    names = [name for name in graph.maps if name.startswith(kinds) and "/" not in name]
    tensors = runtime_tensors(path, values, [name for name in names if name != "input"], optimised=optimised)
    tensors["input"] = values
    maps = operators.run(graph, stored(graph, tensors[graph.input], graph.input))
    return {name: int(np.sum(maps[name] != stored(graph, tensors[name], name))) for name in names}


class Network:
    """A small residual network with QDQ; ``exact`` chooses powers of two as scales."""

    def __init__(self, seed: int, *, exact: bool) -> None:
        self.rng, self.exact = np.random.default_rng(seed), exact
        self.model = Onnx((1, 4, 9, 9))

    def scale(self) -> float:
        power = float(2.0 ** self.rng.integers(-5, -2))
        return power if self.exact else float(np.float32(power * self.rng.uniform(0.6, 1.4)))

    def weighted(self, shape: tuple[int, ...], source: float) -> tuple[str, str]:
        """Weights with a scale for each output channel, and a bias in their steps."""
        scales = np.array([self.scale() for _ in range(shape[0])], dtype=np.float32)
        weights = self.model.weights(self.rng.integers(-127, 128, shape), scales)
        steps = np.float32(source) * scales
        return weights, self.model.weights(self.rng.integers(-2000, 2000, shape[0]), steps, np.int32)

    def build(self, path: Path) -> Path:
        model = self.model
        first, second, third = (2.0, 1.0, 4.0) if self.exact else (2.13, 1.87, 2.9)
        scale = self.scale()
        source = model.quantised("input", scale, int(self.rng.integers(-20, 20)))
        result = model.node("Conv", source, *self.weighted((8, 4, 3, 3), scale), pads=[1] * 4)
        left = model.quantised(model.node("Relu", result), first, 0, np.uint8)
        result = model.node("Conv", left, *self.weighted((8, 1, 3, 3), first), pads=[1] * 4, group=8)
        right = model.quantised(result, second, 3)
        added = model.quantised(model.node("Add", left, right), third, -5)
        pooled = model.node("MaxPool", added, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        pooled = model.quantised(pooled, third, -5)
        mean = model.quantised(model.node("GlobalAveragePool", pooled), third / 2, -5)
        flat = model.quantised(model.node("Flatten", mean), third / 2, -5)
        matrix, bias = self.weighted((10, 8), third / 2)
        logits = model.node("Gemm", flat, matrix, bias, transB=1)
        return model.save(path, model.quantised(logits, 8.0 if self.exact else 6.6, 2))


def picture(seed: int, shape: tuple[int, ...] = (1, 4, 9, 9)) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * 2).astype(np.float32)


@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "optimised"])
@pytest.mark.parametrize("seed", range(4))
def test_powers_of_two_agree_everywhere(tmp_path: Path, seed: int, optimised: bool) -> None:
    path = Network(seed, exact=True).build(tmp_path / "m.onnx")
    graph = load(path)
    assert kernel_differences(path) == {"conv1": 0, "depthwise1": 0, "fc1": 0}
    found = compare(path, graph, picture(seed), optimised=optimised)
    assert len(found) == 6
    assert not any(found.values())
    assert [layer.op for layer in graph.layers if isinstance(layer, Elementwise)] == ["add"]


@pytest.mark.parametrize("seed", range(4))
def test_other_scales_agree_but_for_accumulators_next_to_a_half(tmp_path: Path, seed: int) -> None:
    path = Network(seed, exact=False).build(tmp_path / "m.onnx")
    graph = load(path)
    counted = kernel_differences(path)
    assert all(count < 20 for count in counted.values())  # of about half a million accumulators in a channel
    for optimised in (False, True):
        assert sum(compare(path, graph, picture(seed), optimised=optimised).values()) <= 1


def test_the_count_of_differences_is_that_of_trying_all() -> None:
    random = np.random.default_rng(1)
    met = 0
    for _ in range(12):
        multiplier = np.float32(random.uniform(0.0002, 0.001))
        target = Clamp(int(random.integers(0, 256)), 3, 240)
        end = np.array([300_000])
        accumulators = np.arange(-300_000, 300_001)
        floats = np.rint(accumulators.astype(np.float32) * multiplier).astype(np.int64)
        exact = np.rint(accumulators.astype(np.float64) * float(multiplier)).astype(np.int64)  # 24 + 20 bits: exact
        numbers = [np.clip(rounded + target.zero, 3, 243) for rounded in (floats, exact)]
        wanted = int(np.sum(numbers[0] != numbers[1]))
        assert differences(np.array([multiplier]), (-end, end), target) == wanted
        met += wanted
    assert met


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_asymmetric_weights_are_folded(tmp_path: Path, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    model = Onnx((1, 3, 5, 5))
    source = model.quantised("input", 0.125, 7)
    limits = np.iinfo(dtype)
    weights = model.weights(rng.integers(limits.min, limits.max + 1, (4, 3, 2, 2)), 0.0625, dtype, zero=100)
    path = model.save(tmp_path / "m.onnx", model.quantised(model.node("Conv", source, weights), 1.0))
    graph = load(path)
    (layer,) = graph.layers
    assert isinstance(layer, Conv)
    assert layer.weight_bits == 9
    for optimised in (False, True):
        assert not any(compare(path, graph, picture(1, (1, 3, 5, 5)), optimised=optimised).values())


def test_narrow_activations_by_a_clip_of_integers(tmp_path: Path) -> None:
    """QCDQ, as Brevitas writes it."""
    model = Onnx((1, 2, 4, 4))
    fields = [model.constant(0.25), model.constant(0, np.int8)]
    integers = model.node("QuantizeLinear", "input", *fields)
    limits = [model.constant(limit, np.int8) for limit in (-8, 7)]
    clipped = model.node("Clip", integers, *limits)
    weights = model.weights(np.random.default_rng(1).integers(-7, 8, (3, 2, 3, 3)), 0.125)
    result = model.node("Conv", model.node("DequantizeLinear", clipped, *fields), weights)
    path = model.save(tmp_path / "m.onnx", model.quantised(result, 0.5))
    graph = load(path)
    assert graph.maps[graph.input].bits == 4
    tensors = runtime_tensors(path, picture(3, (1, 2, 4, 4)), [clipped, graph.output], optimised=False)
    maps = operators.run(graph, stored(graph, tensors[clipped], graph.input))
    assert np.array_equal(maps[graph.output], stored(graph, tensors[graph.output], graph.output))


def test_other_widths_of_an_imported_network(tmp_path: Path) -> None:
    graph = load(Network(1, exact=False).build(tmp_path / "m.onnx"))
    assert apply(graph, 8) is graph
    narrow = apply(graph, 4)
    rng = np.random.default_rng(1)
    source = graph.maps[graph.input]
    values = rng.integers(0, 256, source.shape)
    wide = operators.run(graph, values)[graph.output].reshape(-1)
    less = operators.run(narrow, values >> 4)[narrow.output].reshape(-1)
    assert np.corrcoef(wide, less)[0, 1] > 0.5


# --- operators on integers ------------------------------------------------------------------------------------------


class Integer:
    """Operators on integers, with scales and zero points as inputs of their own."""

    def __init__(self, shape: tuple[int, ...], kind: int = TensorProto.INT8) -> None:
        self.model = Onnx(shape, kind)
        self.dtype = np.int8 if kind == TensorProto.INT8 else np.uint8

    def fields(self, scale: float, zero: int, dtype: Any = None) -> list[str]:
        return [self.model.constant(scale), self.model.constant(zero, dtype or self.dtype)]


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.UINT8], ids=["int8", "uint8"])
def test_a_network_of_operators_on_integers(tmp_path: Path, kind: int) -> None:
    rng = np.random.default_rng(3)
    network = Integer((1, 3, 8, 8), kind)
    model, middle = network.model, 0 if kind == TensorProto.INT8 else 128
    source = network.fields(0.25, middle + 3)
    scales = np.float32(2.0) ** rng.integers(-6, -3, 6)
    weights = [
        model.constant(rng.integers(-127, 128, (6, 3, 3, 3)), np.int8),
        model.constant(scales),
        model.constant(np.zeros(6), np.int8),
    ]
    bias = model.constant(rng.integers(-500, 500, 6), np.int32)
    first = network.fields(1.0, middle)
    conv = model.node("QLinearConv", "input", *source, *weights, *first, bias, pads=[1] * 4, strides=[1, 1])
    kernel = [model.constant(rng.integers(-127, 128, (6, 6, 1, 1)), np.int8), *network.fields(0.03125, 0, np.int8)]
    second = network.fields(2.0, middle - 4)
    other = model.node("QLinearConv", conv, *first, *kernel, *second)
    third = network.fields(4.0, middle + 3)
    added = model.node("QLinearAdd", conv, *first, other, *second, *third, domain=MICROSOFT)
    pooled = model.node("MaxPool", added, kernel_shape=[2, 2], strides=[2, 2])
    fourth = network.fields(2.0, middle + 1)
    small: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    average = model.node("QLinearAveragePool", pooled, *third, *fourth, domain=MICROSOFT, **small)
    mean = model.node("QLinearGlobalAveragePool", average, *fourth, *fourth, domain=MICROSOFT)
    flat = model.node("Flatten", mean)
    matrix = [model.constant(rng.integers(-127, 128, (6, 5)), np.int8), *network.fields(0.03125, 0, np.int8)]
    output = model.node("QLinearMatMul", flat, *fourth, *matrix, *network.fields(1.0, middle))
    graph = load(model.save(tmp_path / "m.onnx", output))
    path = tmp_path / "m.onnx"
    values = rng.integers(middle - 128, middle + 128, (1, 3, 8, 8)).astype(network.dtype)
    for optimised in (False, True):
        found = compare(path, graph, values, optimised=optimised)
        assert len(found) == 7
        assert not any(found.values())


def test_qgemm(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    network = Integer((1, 12))
    model = network.model
    matrix = [model.constant(rng.integers(-127, 128, (7, 12)), np.int8), *network.fields(0.0625, 0)]
    bias = model.constant(rng.integers(-500, 500, 7), np.int32)
    source, target = network.fields(0.5, -3), network.fields(4.0, 9)
    output = model.node("QGemm", "input", *source, *matrix, bias, *target, transB=1, domain=MICROSOFT)
    path = model.save(tmp_path / "m.onnx", output)
    values = rng.integers(-128, 128, (1, 12)).astype(np.int8)
    assert compare(path, load(path), values, optimised=True) == {"input": 0, output: 0}


def test_convolutions_and_products_of_integers(tmp_path: Path) -> None:
    """ConvInteger and MatMulInteger, whose sums are scaled by factors of their own."""
    rng = np.random.default_rng(5)
    model = Onnx((1, 2, 4, 4))
    integers = model.node("QuantizeLinear", "input", model.constant(0.25), model.constant(4, np.uint8))
    zeros = [model.constant(zero, np.uint8) for zero in (4, 120)]
    kernel = model.constant(rng.integers(0, 256, (3, 2, 3, 3)), np.uint8)
    sums = model.node("Cast", model.node("ConvInteger", integers, kernel, *zeros), to=TensorProto.FLOAT)
    real = model.node("Mul", sums, model.constant(2.0**-8))
    middle = model.node("QuantizeLinear", model.node("Relu", real), model.constant(0.5), model.constant(0, np.uint8))
    flat = model.node("Flatten", middle)
    matrix = model.constant(rng.integers(-128, 128, (12, 4)), np.int8)
    sums = model.node("MatMulInteger", flat, matrix, model.constant(0, np.uint8))
    real = model.node("Mul", model.node("Cast", sums, to=TensorProto.FLOAT), model.constant(2.0**-6))
    output = model.node("QuantizeLinear", real, model.constant(2.0), model.constant(0, np.int8))
    path = model.save(tmp_path / "m.onnx", output)
    found = compare(path, load(path), picture(2, (1, 2, 4, 4)), optimised=False)
    assert len(found) == 3
    assert not any(found.values())


def test_concatenation_of_integers(tmp_path: Path) -> None:
    network = Integer((1, 2, 3, 3))
    model = network.model
    source, target = network.fields(0.5, 3), network.fields(0.75, -2)
    output = model.node("QLinearConcat", *target, "input", *source, "input", *source, domain=MICROSOFT, axis=1)
    path = model.save(tmp_path / "m.onnx", output)
    values = np.random.default_rng(1).integers(-128, 128, (1, 2, 3, 3)).astype(np.int8)
    assert compare(path, load(path), values, optimised=True) == {"input": 0, output: 0}


@pytest.mark.parametrize("bits", [4, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_widths_by_data_type(tmp_path: Path, bits: int, signed: bool) -> None:
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes if bits == 4 else np, f"{'' if signed else 'u'}int{bits}"))
    model = Onnx((1, 6))
    source = model.quantised("input", 0.25, 1, dtype)
    matrix = model.weights(np.random.default_rng(1).integers(-3, 4, (6, 4)), 0.5)
    result = model.quantised(model.node("MatMul", source, matrix), 1.0, 0, dtype)
    path = model.save(tmp_path / "m.onnx", result, opset=21)
    graph = load(path)
    assert [feature_map.bits for feature_map in graph.maps.values()] == [bits, bits]
    tensors = runtime_tensors(path, picture(1, (1, 6)), [result], optimised=False)
    low = -(1 << (bits - 1)) if signed else 0
    numbers = np.clip(np.rint(picture(1, (1, 6)) / 0.25) + 1, low, low + (1 << bits) - 1)
    maps = operators.run(graph, (numbers - low).astype(np.int64).reshape(1, 1, 6))
    assert np.array_equal(maps[graph.output].reshape(-1) + low, tensors[result].reshape(-1))
