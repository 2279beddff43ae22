"""QONNX files: every map equals that of QONNX's own execution, and the tile's equals both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import operators
from golden.graph import Conv, Elementwise, Graph, Integers, Rescale
from golden.laws import LawEngine
from golden.tile import GoldenTile
from hw.config import CONFIGS
from sim import cli
from sim.host import run_graph
from sim.importers.onnx_graph import load
from sim.rtl_engine import RtlEngine
from tests.onnx_models import QONNX, Array, Onnx, Random, qonnx_tensors


def stored(graph: Graph, tensors: dict[str, Array], name: str) -> Integers:
    """A tensor's real values as the stored numbers of the map of the same name."""
    feature_map = graph.maps[name]
    real = tensors[name].astype(np.float64)
    values = np.rint(real / feature_map.scale).astype(np.int64) + feature_map.zero
    assert np.array_equal((values - feature_map.zero) * feature_map.scale, real)
    return values[0].transpose(1, 2, 0) if values.ndim == 4 else values.reshape(1, 1, -1)


def compare(path: Path, graph: Graph, values: Array) -> set[str]:
    """Compare all maps that the file has too with QONNX's, but those in another order; returns their names."""
    tensors = qonnx_tensors(path, values)
    maps = operators.run(graph, stored(graph, tensors, graph.input))
    common = {name for name in maps if name in tensors and not name.startswith(("flatten", "reshape"))}
    for name in common:
        assert np.array_equal(maps[name], stored(graph, tensors, name)), name
    return common


def power(rng: Random, low: int, high: int) -> float:
    """A power of two between two exponents."""
    return float(2.0 ** rng.integers(low, high + 1))


def powers(rng: Random, count: int, low: int, high: int) -> Array:
    return np.array([power(rng, low, high) for _ in range(count)]).reshape(-1, 1, 1, 1)


def residual_network(path: Path, seed: int = 1) -> Path:
    """3-bit weights, 5-bit activations, then other widths: convolutions, a residual sum, pools, a classifier."""
    rng = np.random.default_rng(seed)
    model = Onnx((1, 3, 8, 8))
    source = model.quant("input", 0.25, 5, signed=True)
    weights = model.quant(model.constant(rng.normal(size=(6, 3, 3, 3))), 0.25, 3, signed=True, narrow=True)
    first = model.quant(model.node("Relu", model.node("Conv", source, weights, pads=[1, 1, 1, 1])), 0.5, 5)
    scales = powers(rng, 6, -2, 0)
    kernels = model.quant(model.constant(rng.normal(size=(6, 1, 3, 3))), scales, 4, signed=True)
    bias = model.constant(rng.normal(size=6))
    depthwise = model.node("Conv", first, kernels, bias, pads=[1, 1, 1, 1], group=6)
    second = model.quant(model.node("Relu", depthwise), 0.5, 5)
    added = model.quant(model.node("Relu", model.node("Add", first, second)), 1.0, 4)
    pooled = model.node("MaxPool", added, kernel_shape=[2, 2], strides=[2, 2])
    means = model.quant(model.node("AveragePool", pooled, kernel_shape=[2, 2], strides=[2, 2]), 0.5, 5)
    matrix = model.quant(model.constant(rng.normal(size=(24, 10))), 0.25, 2, signed=True)
    logits = model.node("MatMul", model.node("Flatten", means), matrix)
    return model.save(path, model.quant(logits, 0.5, 7, signed=True))


def picture(seed: int, shape: tuple[int, ...] = (1, 3, 8, 8)) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * 3).astype(np.float32)


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_network(tmp_path_factory.mktemp("qonnx") / "residual.onnx")


def test_every_map_of_the_residual_network(residual: Path) -> None:
    graph = load(residual)
    assert [type(layer).__name__ for layer in graph.layers] == [
        "Conv", "Conv", "Elementwise", "MaxPool", "AveragePool", "Reorder", "Conv",
    ]  # fmt: skip
    assert [layer.name for layer in graph.layers[:3]] == ["conv1", "depthwise1", "add1"]
    assert [layer.weight_bits for layer in graph.layers if isinstance(layer, Conv)] == [3, 4, 2]
    assert [graph.maps[layer.output].bits for layer in graph.layers] == [5, 5, 4, 4, 5, 5, 7]
    for seed in range(5):
        assert len(compare(residual, graph, picture(seed))) == 7


@pytest.mark.slow
def test_the_residual_network_on_the_verilog(residual: Path) -> None:
    graph, config = load(residual), CONFIGS["small"]
    values = stored(graph, qonnx_tensors(residual, picture(9)), graph.input)
    laws = run_graph(graph, [values], LawEngine(config))
    with RtlEngine(config, "verilator") as engine:
        for tile in (engine, GoldenTile(config)):
            result = run_graph(graph, [values], tile)
            assert all(layer.bit_exact for layer in result.layers)
            assert [layer.cycles for layer in result.layers] == [layer.cycles for layer in laws.layers]
            assert np.array_equal(
                result.maps[0][graph.output],
                stored(graph, qonnx_tensors(residual, picture(9)), graph.output),
            )


@pytest.mark.parametrize("engine", ["integer", "golden"])
def test_run_on_the_command_line(
    residual: Path, tmp_path: Path, engine: str, capfd: pytest.CaptureFixture[str]
) -> None:
    graph, values = load(residual), picture(3)
    values[0, :, 0, 0] = [0.125, 0.375, -0.125]  # halves of the input's scale
    np.save(tmp_path / "x.npy", values[0].transpose(1, 2, 0))
    report = tmp_path / "report.json"
    command = ["run", str(residual), "--input", str(tmp_path / "x.npy"), "--engine", engine, "--config", "small"]
    assert cli.main([*command, "--json", str(report)]) == 0
    (found,) = json.loads(report.read_text(encoding="utf-8"))["inputs"]
    expected = stored(graph, qonnx_tensors(residual, values), graph.output).reshape(-1) - 64
    assert found["logits"] == expected.tolist()
    assert not capfd.readouterr().err.strip().startswith("bfimna: error")


# --- random networks ------------------------------------------------------------------------------------------------


class RandomNetwork:
    """A chain of random layers of random widths whose scales are powers of two, so that floats are exact."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = (int(self.rng.integers(1, 5)), 7, 6)
        self.model = Onnx((1, *self.shape))
        self.tensor = self.activation("input", -3)

    def chance(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def activation(self, source: str, exponent: int) -> str:
        """A quantiser of random width."""
        bits, signed = int(self.rng.integers(2, 9)), self.chance()
        zero = 0.0 if self.chance(0.7) else float(self.rng.integers(0, (1 << (bits - 1))))
        self.exponent = exponent
        fields = {"signed": signed, "narrow": self.chance(0.3) and zero == 0.0, "zero": zero}
        return self.model.quant(source, 2.0**exponent, bits, **fields)

    def weights(self, shape: tuple[int, ...]) -> str:
        bits, narrow = int(self.rng.integers(2, 9)), self.chance()
        count = shape[0] if self.chance() else 1
        scale = powers(self.rng, count, -4, -2).reshape(-1, *[1] * (len(shape) - 1))
        values = self.model.constant(self.rng.normal(size=shape))
        return self.model.quant(values, scale, bits, signed=True, narrow=narrow)

    def bias(self, count: int) -> list[str]:
        """None, one on a coarse grid that meets halves, or one between."""
        kind = int(self.rng.integers(3))
        values = self.rng.integers(-16, 16, count) * 2.0 ** (self.exponent - 1)
        values = values if kind == 1 else values + 2.0**-12
        return [self.model.constant(values)] if kind else []

    def convolution(self) -> None:
        channels, height, width = self.shape
        depthwise, kernel, stride = self.chance(0.3), int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3))
        outputs = channels * int(self.rng.integers(1, 3)) if depthwise else int(self.rng.integers(1, 7))
        pads = self.rng.integers(0, kernel, 4).tolist()
        dilation = 2 if kernel == 2 and self.chance() else 1
        span = dilation * (kernel - 1) + 1
        size = [
            (length + pads[axis] + pads[axis + 2] - span) // stride + 1 for axis, length in ((0, height), (1, width))
        ]
        if min(size) < 1:
            return
        weights = self.weights((outputs, 1 if depthwise else channels, kernel, kernel))
        fields: dict[str, Any] = {"strides": [stride] * 2, "pads": pads, "dilations": [dilation] * 2}
        group = channels if depthwise else 1
        result = self.model.node("Conv", self.tensor, weights, *self.bias(outputs), group=group, **fields)
        self.shape = (outputs, size[0], size[1])
        self.finish(result, self.exponent + int(self.rng.integers(0, 3)))

    def finish(self, result: str, exponent: int) -> None:
        """ReLU or Clip or a max pool, in any order, then a quantiser."""
        kind = int(self.rng.integers(5))
        if kind in (1, 4):
            result = self.model.node("Relu", result)
        if kind == 2:
            result = self.model.node("Clip", result, self.model.constant(-1.0), self.model.constant(3.0))
        if kind in (3, 4) and min(self.shape[1:]) > 1:
            result = self.model.node("MaxPool", result, kernel_shape=[2, 2], strides=[2, 1], pads=[0, 1, 1, 0])
            self.shape = (self.shape[0], (self.shape[1] + 1 - 2) // 2 + 1, self.shape[2])
        self.tensor = self.activation(result, exponent)

    def mean(self) -> None:
        if min(self.shape[1:]) < 2:
            return
        size = (self.shape[1] // 2, self.shape[2] - 1)
        result = self.model.node("AveragePool", self.tensor, kernel_shape=[2, 2], strides=[2, 1])
        self.shape = (self.shape[0], *size)
        self.finish(result, self.exponent)

    def fork(self) -> None:
        """Two readers of a map that meet in a sum or side by side."""
        first = self.tensor
        exponents = self.exponent
        left = self.activation(self.model.node("Relu", first), exponents + int(self.rng.integers(0, 2)))
        if self.chance():
            self.finish(self.model.node("Add", first, left), exponents + 1)
        else:
            joined = self.model.node("Concat", first, left, axis=1)
            self.shape = (2 * self.shape[0], *self.shape[1:])
            self.finish(joined, exponents)

    def classifier(self) -> None:
        elements = int(np.prod(self.shape))
        matrix = self.weights((5, elements))
        result = self.model.node("Gemm", self.model.node("Flatten", self.tensor), matrix, *self.bias(5), transB=1)
        self.tensor = self.activation(result, self.exponent + 2)

    def build(self, path: Path) -> Path:
        for _ in range(3):
            (self.convolution, self.mean, self.fork)[int(self.rng.choice(3, p=[0.6, 0.2, 0.2]))]()
        self.classifier()
        return self.model.save(path, self.tensor)


@pytest.mark.parametrize("seed", [*range(16), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(16, 150))])
def test_random_networks(tmp_path: Path, seed: int) -> None:
    network = RandomNetwork(seed)
    shape = (1, *network.shape)
    path = network.build(tmp_path / "random.onnx")
    graph = load(path)
    for values in (picture(seed, shape), 4.0 * picture(seed + 1, shape)):
        assert graph.output in compare(path, graph, values)


# --- single features ------------------------------------------------------------------------------------------------


def test_scales_that_are_no_powers_of_two(tmp_path: Path) -> None:
    """Floats may differ where a quotient is close to a half; on these inputs none is."""
    rng = np.random.default_rng(7)
    model = Onnx((1, 4, 6, 6))
    source = model.quant("input", 0.0371, 8, signed=True)
    scales = rng.uniform(0.01, 0.2, (5, 1, 1, 1))
    weights = model.quant(model.constant(rng.normal(size=(5, 4, 3, 3)) * 0.3), scales, 4, signed=True)
    result = model.node("Relu", model.node("Conv", source, weights, model.constant(rng.normal(size=5))))
    path = model.save(tmp_path / "m.onnx", model.quant(result, 0.0813, 6))
    graph = load(path)
    tensors = qonnx_tensors(path, picture(1, (1, 4, 6, 6)))
    steps = {name: np.rint(tensors[name] / np.float32(graph.maps[name].scale)) for name in graph.maps}
    numbers = {name: (steps[name][0].transpose(1, 2, 0) + graph.maps[name].zero).astype(np.int64) for name in steps}
    assert np.array_equal(operators.run(graph, numbers[graph.input])[graph.output], numbers[graph.output])


def test_batch_normalisation_and_factors_are_folded(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    model = Onnx((1, 2, 5, 5))
    source = model.quant("input", 0.25, 4, signed=True)
    weights = model.quant(model.constant(rng.normal(size=(4, 2, 3, 3))), 0.25, 3, signed=True)
    columns = ([1.0, -0.5, 2.0, 0.0], [0.5, 0.25, 0.0, 1.25], [0.5, 0.0, -1.0, 0.0], [1.0, 4.0, 0.25, 1.0])
    fields = [model.constant(column) for column in columns]
    normal = model.node("BatchNormalization", model.node("Conv", source, weights), *fields, epsilon=0.0)
    halved = model.node("Mul", model.node("Sub", normal, model.constant(0.125)), model.constant([[[[0.5]]]]))
    path = model.save(tmp_path / "m.onnx", model.quant(model.node("Relu", halved), 0.5, 4))
    graph = load(path)
    (layer,) = graph.layers
    assert isinstance(layer, Conv)
    assert layer.weight_bits == 4  # -4 turned round is 4
    for seed in range(3):
        assert len(compare(path, graph, picture(seed, (1, 2, 5, 5)))) == 2


def test_bipolar_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    model = Onnx((1, 3, 4, 4))
    source = model.quant("input", 0.5, 3)
    weights = model.node(
        "BipolarQuant", model.constant(rng.normal(size=(4, 3, 2, 2))), model.constant(0.5), domain=QONNX
    )
    ones = model.quant(model.constant(rng.normal(size=(4, 4, 1, 1))), 0.25, 1, signed=True)
    middle = model.quant(model.node("Conv", source, weights), 0.5, 4, signed=True)
    path = model.save(tmp_path / "m.onnx", model.quant(model.node("Conv", middle, ones), 0.5, 4, signed=True))
    graph = load(path)
    assert [layer.weight_bits for layer in graph.layers if isinstance(layer, Conv)] == [2, 2]
    assert len(compare(path, graph, picture(1, (1, 3, 4, 4)))) == 3


def test_logits_without_a_quantiser_keep_their_accumulators(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    model = Onnx((1, 6))
    source = model.quant("input", 0.25, 5, signed=True)
    matrix = model.quant(model.constant(rng.normal(size=(6, 4))), 0.125, 5, signed=True)
    path = model.save(tmp_path / "m.onnx", model.node("Softmax", model.node("MatMul", source, matrix)))
    graph = load(path)
    assert graph.maps[graph.output].scale == 0.25 * 0.125
    assert graph.maps[graph.output].zero == 1 << (graph.maps[graph.output].bits - 1)
    tensors = qonnx_tensors(path, picture(1, (1, 6)))
    maps = operators.run(graph, stored(graph, tensors, graph.input))
    assert np.array_equal(maps[graph.output], stored(graph, tensors, graph.output))


def test_a_mean_without_a_quantiser_keeps_its_sum(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    model = Onnx((1, 3, 4, 4))
    source = model.quant("input", 0.5, 4)
    mean = model.node("Flatten", model.node("GlobalAveragePool", source))
    matrix = model.quant(model.constant(rng.normal(size=(3, 4))), 0.25, 4, signed=True)
    path = model.save(tmp_path / "m.onnx", model.quant(model.node("MatMul", mean, matrix), 0.5, 6, signed=True))
    graph = load(path)
    assert [graph.maps[layer.output].bits for layer in graph.layers] == [9, 6]
    assert len(compare(path, graph, picture(2, (1, 3, 4, 4)))) >= 2


def test_a_map_that_is_flattened_last_is_in_the_order_of_the_file(tmp_path: Path) -> None:
    model = Onnx((1, 3, 4, 4))
    path = model.save(tmp_path / "m.onnx", model.node("Flatten", model.quant("input", 0.5, 4)))
    graph = load(path)
    tensors = qonnx_tensors(path, picture(2, (1, 3, 4, 4)))
    maps = operators.run(graph, stored(graph, tensors, graph.input))
    assert np.array_equal(maps[graph.output].reshape(-1) * 0.5, tensors[graph.output.split("#")[0]].reshape(-1))


def test_reshape_there_and_back_and_padding(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    model = Onnx((1, 3, 4, 2))
    source = model.quant("input", 0.5, 4, signed=True)
    flat = model.node("Reshape", source, model.constant([1, -1], np.int64))
    other = model.node("Reshape", flat, model.constant([1, 2, 3, 4], np.int64))
    padded = model.node("Pad", other, model.constant([0, 1, 1, 0, 0, 0, 2, 1], np.int64), model.constant(0.0))
    weights = model.quant(model.constant(rng.normal(size=(2, 3, 2, 2))), 0.25, 4, signed=True)
    path = model.save(tmp_path / "m.onnx", model.quant(model.node("Conv", padded, weights), 0.5, 5, signed=True))
    assert len(compare(path, load(path), picture(1, (1, 3, 4, 2)))) == 3


def test_shapes_computed_from_shapes_are_constants(tmp_path: Path) -> None:
    model = Onnx((1, 3, 2, 2))
    source = model.quant("input", 0.5, 4, signed=True)
    batch = model.node("Gather", model.node("Shape", source), model.constant(0, np.int64))
    sizes = [model.node("Unsqueeze", batch, model.constant([0], np.int64)), model.constant([-1], np.int64)]
    flat = model.node("Reshape", source, model.node("Concat", *sizes, axis=0))
    matrix = model.quant(model.constant(np.random.default_rng(1).normal(size=(12, 3))), 0.25, 4, signed=True)
    path = model.save(tmp_path / "m.onnx", model.quant(model.node("MatMul", flat, matrix), 0.5, 5, signed=True))
    assert len(compare(path, load(path), picture(1, (1, 3, 2, 2)))) == 2


def test_constants_say_how_halves_go(residual: Path) -> None:
    graph = load(residual)
    ties = [
        layer.ties if isinstance(layer, Elementwise) else rescale.ties if isinstance(rescale, Rescale) else None
        for layer in graph.layers
        for rescale in [getattr(layer, "rescale", None)]
    ]
    assert ties == [0, None, 0, None, 0, None, 0]
