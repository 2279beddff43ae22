"""Models with round scales: exact against the reference kernels, and the rounded ADD on tiles."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from golden import operators
from golden.engine import Engine
from golden.graph import Elementwise, Graph
from golden.tile import GoldenTile
from hw.config import CONFIGS
from sim.host import run_graph
from sim.importers import tflite
from sim.rtl_engine import RtlEngine
from sim.spec import evaluate, network_spec
from tests.decimal_models import decimal_add, mobilenet_model, round_model, vector_model
from tests.sim.test_mapping import ownership_violations
from tests.tflite_models import Int8, ModelBuilder, reference_tensors

Maker = Callable[[int], tuple[bytes, Int8]]
SMALL = CONFIGS["small"]
# Seeds of decimal_add without an affine form, of both kinds of sign.
ROUNDED = (0, 1, 9, 14)


def differences(content: bytes, values: Int8) -> list[str]:
    """Names of the maps that differ from the reference kernels."""
    graph = tflite.parse(content)
    found = operators.run(graph, values.reshape(graph.maps[graph.input].shape).astype(np.int64) + 128)
    expected = reference_tensors(content, values)
    assert graph.output in expected
    return [
        name
        for name, stored in found.items()
        if name in expected and not np.array_equal(expected[name].reshape(stored.shape), stored - 128)
    ]


def rounded_adds(graph: Graph) -> list[Elementwise]:
    return [layer for layer in graph.layers if isinstance(layer, Elementwise) and layer.rounded_sum is not None]


@pytest.mark.parametrize(
    ("make", "count"), [(decimal_add, 24), (round_model, 48), (vector_model, 24), (mobilenet_model, 8)]
)
def test_round_scales_equal_the_reference_kernels(make: Maker, count: int) -> None:
    assert {seed: found for seed in range(count) if (found := differences(*make(seed)))} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "count"), [(decimal_add, 400), (round_model, 400), (vector_model, 200), (mobilenet_model, 60)]
)
def test_many_round_scales_equal_the_reference_kernels(make: Maker, count: int) -> None:
    assert {seed: found for seed in range(count) if (found := differences(*make(seed)))} == {}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("scales", [(0.5, 0.25, 0.5), (0.05, 0.03, 0.07), (5e-5, 0.02, 1e-4), (0.1, 0.1, 0.5)])
def test_fully_connected_rounds_ties_away_from_zero(scales: tuple[float, float, float], per_channel: bool) -> None:
    """Weights are 0 and the biases are the accumulators nearest to every half step of the output."""
    halves = np.round((np.arange(-128, 128) + 0.5) * scales[2] / (scales[0] * scales[1]))
    accumulators = np.unique(np.add.outer(halves.astype(np.int64), (-1, 0, 1)))
    model, count = ModelBuilder(), accumulators.size
    source = model.tensor((1, 1), scale=scales[0])
    weight_scale = np.full(count if per_channel else 1, scales[1], dtype=np.float32)
    weights = model.tensor((count, 1), scale=weight_scale, data=np.zeros((count, 1)))
    bias = model.tensor((count,), np.int32, scale=scales[0] * scales[1], data=accumulators)
    target = model.tensor((1, count), scale=scales[2])
    options = schema.FullyConnectedOptionsT()
    code, kind = schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOptions.FullyConnectedOptions
    model.operator(code, [source.index, weights.index, bias.index], [target.index], options, kind)
    assert differences(model.finish([source], [target]), np.zeros((1, 1), dtype=np.int8)) == []


@pytest.mark.parametrize("code", ["RELU", "RELU6", "RELU_N1_TO_1", "QUANTIZE"])
def test_changes_of_scale_are_exact_for_every_number(code: str) -> None:
    for source_scale, target_scale in ((0.05, 0.04), (0.1, 0.2), (0.03, 0.02), (0.5, 1.0), (0.007, 0.01)):
        model = ModelBuilder()
        shape = (1, 16, 16, 1)
        source = model.tensor(shape, scale=source_scale, zero_point=-3)
        target = model.tensor(shape, scale=target_scale, zero_point=5)
        model.operator(getattr(schema.BuiltinOperator, code), [source.index], [target.index])
        values = np.arange(-128, 128, dtype=np.int8).reshape(shape)
        assert differences(model.finish([source], [target]), values) == []


def check(seed: int, engine: Engine) -> None:
    content, values = decimal_add(seed)
    graph = tflite.parse(content)
    assert len(rounded_adds(graph)) == 1
    result = run_graph(graph, [values[0].astype(np.int64) + 128], engine)
    laws = evaluate(json.loads(json.dumps(network_spec(graph))), SMALL)
    for layer in result.layers:
        assert layer.bit_exact
        assert layer.law == laws[layer.plan.shape.name]
        counted = {name for name in layer.law if not name.startswith("identity.")}
        assert {name: layer.counters[name] for name in counted} == {name: layer.law[name] for name in counted}
        for job in layer.plan.jobs:
            assert not ownership_violations(job.program, SMALL)


@pytest.mark.parametrize("seed", ROUNDED)
def test_rounded_add_on_the_golden_tile(seed: int) -> None:
    check(seed, GoldenTile(SMALL, seed))


def test_rounded_add_on_the_rtl() -> None:
    with RtlEngine(SMALL, "icarus") as engine:
        check(ROUNDED[0], engine)


def test_law_does_not_depend_on_the_constants() -> None:
    graph = tflite.parse(decimal_add(0)[0])
    (layer,) = rounded_adds(graph)
    assert layer.rounded is not None
    other = dataclasses.replace(layer.rounded, threshold=layer.rounded.threshold ^ 1)
    layers = (*graph.layers[:-1], dataclasses.replace(layer, rounded=other))
    assert network_spec(dataclasses.replace(graph, layers=layers)) == network_spec(graph)
