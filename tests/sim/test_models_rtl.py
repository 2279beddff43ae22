"""Generated TFLite models on tiles: zero points, padding, depthwise, strides and clamps that ResNet-8 cannot show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from golden.graph import AveragePool, Conv, Elementwise, Graph, MaxPool, Reorder
from golden.tile import GoldenTile
from hw.config import ARRAYS, CONFIGS, TileConfig
from sim.host import NetworkResult, run_graph
from sim.importers import tflite
from sim.rtl_engine import RtlEngine
from tests.sim.reference import (
    assert_laws,
    assert_reference,
    assert_same_counters,
    clear,
    counted,
    laws_of_another_process,
)
from tests.tflite_models import Int8, random_model

SMALL = CONFIGS["small"]
BY_ARRAY = {array: SMALL.replace(array=array, name=f"small-{array}") for array in ARRAYS}

SEEDS = range(50)
CHOSEN = (0, 6, 10, 11, 19, 22, 25, 33, 38, 45)
"""Models that together have every kind of layer; see the test of that."""

QUICK = (4, 5, 12, 27, 39)
"""Models that Icarus simulates in about a second each: pools, convolution, ADD, PAD, RELU."""

TINY = (4, 27)
"""Models for Icarus on the array of cells, whose cycle takes ten times as long: pools, convolution and RELU."""


def given(seed: int) -> tuple[Graph, bytes, Int8]:
    print(f"seed {seed}: tests.tflite_models.random_model({seed})")
    content, values = random_model(seed)
    return tflite.parse(content), content, values


def run(graph: Graph, values: Int8, engine: GoldenTile | RtlEngine) -> NetworkResult:
    return run_graph(graph, [values[0].astype(np.int64) + 128], engine)


def kinds(graph: Graph) -> set[str]:
    """Operators of a network."""
    return {
        layer.op if isinstance(layer, Conv | Elementwise | Reorder) else type(layer).__name__ for layer in graph.layers
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_golden_equals_the_reference_kernels(seed: int) -> None:
    graph, content, values = given(seed)
    result = run(graph, values, GoldenTile(SMALL, seed))  # a MappingError here would be a model left out: none is
    assert assert_reference(graph, content, values, result.maps[0]) >= 1
    assert result.cycles == result.law_cycles


@pytest.fixture(scope="module")
def verilator() -> Iterator[RtlEngine]:
    engine = RtlEngine(SMALL, "verilator")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def icarus() -> Iterator[RtlEngine]:
    engine = RtlEngine(SMALL, "icarus")
    yield engine
    engine.close()


def check(seed: int, engine: RtlEngine) -> NetworkResult:
    """One model on the hardware: the reference kernels' tensors, golden's counters."""
    graph, content, values = given(seed)
    golden = GoldenTile(engine.config, seed)
    for tile in (engine, golden):
        clear(tile)
    result = run(graph, values, engine)
    assert assert_reference(graph, content, values, result.maps[0]) >= 1
    assert_same_counters(result, run(graph, values, golden))
    for layer in result.layers:
        law = counted(layer.law)
        assert {name: layer.counters[name] for name in law} == law
    assert result.cycles == result.law_cycles
    return result


@pytest.mark.parametrize(
    "seed", [seed if seed % 5 == 0 else pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS]
)
def test_verilator_equals_the_reference_kernels(verilator: RtlEngine, seed: int) -> None:
    check(seed, verilator)


def test_chosen_models_have_every_kind_of_layer(verilator: RtlEngine) -> None:
    graphs = [given(seed)[0] for seed in CHOSEN]
    assert len(graphs) == 10
    assert set().union(*map(kinds, graphs)) >= {
        "conv2d", "depthwise_conv2d", "fully_connected", "add", "relu", "quantize", "reshape", "pad",
        AveragePool.__name__, MaxPool.__name__,
    }  # fmt: skip
    for seed, graph in zip(CHOSEN, graphs, strict=True):
        result = check(seed, verilator)
        assert_laws(result.layers, laws_of_another_process(graph, SMALL))


@pytest.mark.parametrize("seed", QUICK)
def test_icarus_equals_the_reference_kernels(icarus: RtlEngine, seed: int) -> None:
    check(seed, icarus)


# --- arrays ---------------------------------------------------------------------------------------------------------


def same_maps_own_laws(config: TileConfig, simulator: str, seeds: tuple[int, ...]) -> None:
    """Models on another array give the maps of the array of ``small``, and the cycles of their own law."""
    with RtlEngine(config, simulator) as engine:
        for seed in seeds:
            graph, _, values = given(seed)
            result, usual = check(seed, engine), run(graph, values, GoldenTile(SMALL))
            for name, numbers in usual.maps[0].items():
                assert np.array_equal(result.maps[0][name], numbers), name
            # The second write port of 4r2w (and of a cell) saves cycles; without it a law of its own holds.
            assert (result.cycles > usual.cycles) == (config.array == "3r1w")
            assert_laws(result.layers, laws_of_another_process(graph, config))


@pytest.mark.slow
@pytest.mark.parametrize("array", ["cells", "3r1w"])
def test_other_arrays_on_icarus(array: str) -> None:
    same_maps_own_laws(BY_ARRAY[array], "icarus", TINY)


@pytest.mark.slow
@pytest.mark.parametrize("array", ["cells", "3r1w"])
def test_other_arrays_on_verilator(array: str) -> None:
    same_maps_own_laws(BY_ARRAY[array], "verilator", CHOSEN)
