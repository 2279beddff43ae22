"""Modes ``lut`` and ``constant`` on the Verilog: random layers on tiles with every array and way to make passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hw.config import CONFIGS
from sim.host import run_graph
from sim.mapping import MappingError
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.rtl_engine import RtlEngine
from tests.rtl import GRID, EnginePool
from tests.sim.mapping_graphs import random_graph, random_input

KINDS = ("conv2d", "depthwise", "fully_connected")
QUICK = ("4r2w", "two_tags")
LAYERS = 3
"""Layers of each kind that must fit; others are drawn until so many do."""


@pytest.fixture(scope="module")
def engines() -> Iterator[EnginePool]:
    pool = EnginePool()
    yield pool
    pool.close()


@pytest.mark.parametrize(
    "tile", [tile if tile in QUICK else pytest.param(tile, marks=pytest.mark.slow) for tile in GRID]
)
@pytest.mark.parametrize("mode", ["lut", "constant"])
def test_random_layers_on_the_verilog(mode: str, tile: str, engines: EnginePool) -> None:
    engine = engines.get(GRID[tile], "verilator")
    for kind in KINDS:
        done = seed = 0
        while done < LAYERS:
            seed += 1
            graph = random_graph(np.random.default_rng([seed, len(kind)]), kind)
            values = random_input(np.random.default_rng(seed), graph)
            try:
                result = run_graph(graph, [values], engine, mode=mode)
            except MappingError:
                assert seed < 100, f"too few layers fit {tile} in mode {mode}"
                continue
            (layer,) = result.layers
            assert layer.plan.mode == mode
            assert layer.bit_exact, f"{kind}, seed {seed}"
            names = layer.law.keys() - {"cycles.stall", "identity.config"}
            assert {name: layer.counters[name] for name in names} == {name: layer.law[name] for name in names}
            done += 1


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "config"), [("lut", "cap2d"), ("constant", "cap256")])
def test_resnet8_has_the_logits_of_count(mode: str, config: str) -> None:
    graph = load_model("resnet8")
    picture = graph.maps[graph.input]
    values = load_inputs([str(data_file("cifar10/cifar10_00_3.png"))], picture)[0].values.astype(np.int64)
    engine = RtlEngine(CONFIGS[config])
    try:
        results = [run_graph(graph, [values - picture.minimum], engine, mode=chosen) for chosen in ("count", mode)]
    finally:
        engine.close()
    for result in results:
        assert all(layer.bit_exact is not False for layer in result.layers)
        assert result.cycles == result.law_cycles
    first, second = (result.maps[0][graph.output] for result in results)
    assert np.array_equal(first, second)
