"""The host: whole networks on engines, counters, errors, reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden import operators
from golden.engine import Job, Outcome, TileError
from golden.graph import Graph, Integers
from golden.laws import LawEngine
from golden.tile import GoldenTile
from golden.widths import apply
from hw.config import CONFIGS, TileConfig
from hw.isa import ErrorCode
from sim.commands.run import RunRequest
from sim.engines import create_engine
from sim.errors import UserError
from sim.host import run_graph, run_integer, run_network
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.report import differences
from tests.sim.mapping_graphs import random_graph, random_input

CAT = data_file("cifar10/cifar10_00_3.png")


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def cat(resnet8: Graph) -> Integers:
    source = resnet8.maps[resnet8.input]
    return load_inputs([CAT], source)[0].values.astype(np.int64) - source.minimum


def request(graph: Graph, engine: str, bits: int | Path | None = None, config: str = "cap") -> RunRequest:
    return RunRequest(
        model="resnet8",
        graph=graph,
        config=CONFIGS[config],
        inputs=load_inputs([CAT], graph.maps[graph.input]),
        engine=engine,
        simulator="verilator",
        mode="count",
        bits=bits,
        seed=1,
    )


@pytest.mark.parametrize("config", ["cap", "cap64", pytest.param("small", marks=pytest.mark.slow)])
def test_resnet8_on_golden(resnet8: Graph, cat: Integers, config: str) -> None:
    result = run_graph(resnet8, [cat], GoldenTile(CONFIGS[config]))
    assert all(layer.bit_exact for layer in result.layers)
    assert int(np.argmax(result.maps[0][resnet8.output])) == 3
    for layer in result.layers:
        assert {name: layer.counters.get(name) for name in layer.law} == layer.law
    assert result.cycles == result.law_cycles


@pytest.mark.parametrize("bits", [3, 16, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (1, 5, 11))])
def test_resnet8_at_other_widths(resnet8: Graph, bits: int) -> None:
    graph = apply(resnet8, bits)
    values = random_input(np.random.default_rng(bits), graph)
    result = run_graph(graph, [values], GoldenTile(CONFIGS["cap"]))
    assert all(layer.bit_exact for layer in result.layers)
    assert result.cycles == result.law_cycles


def test_counters_of_several_inputs_add_up() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    inputs = [random_input(np.random.default_rng(seed), graph) for seed in range(3)]
    steps: list[str] = []
    three = run_graph(graph, inputs, GoldenTile(CONFIGS["small"]), progress=steps.append)
    one = run_graph(graph, inputs[:1], GoldenTile(CONFIGS["small"]), check=False)
    assert steps == ["conv2d"] * 3
    assert three.cycles == 3 * one.cycles == 3 * one.law_cycles
    assert three.layers[0].counters["identity.config"] == CONFIGS["small"].hash
    assert (three.layers[0].bit_exact, one.layers[0].bit_exact) == (True, None)
    for values, maps in zip(inputs, three.maps, strict=True):
        assert np.array_equal(maps["out"], operators.run(graph, values)["out"])


def test_laws_need_no_planes() -> None:
    graph = random_graph(np.random.default_rng(1), "depthwise", 5)
    result = run_graph(graph, [random_input(np.random.default_rng(1), graph)], LawEngine(CONFIGS["small"]))
    assert result.maps == []
    assert result.layers[0].counters == result.layers[0].law
    assert result.layers[0].bit_exact is None


class BrokenTile(GoldenTile):
    """A tile that gives wrong bits, or an error."""

    def __init__(self, config: TileConfig, error: ErrorCode) -> None:
        super().__init__(config)
        self.error = error

    def run(self, job: Job) -> Outcome:
        outcome = super().run(job)
        return Outcome([1 - planes for planes in outcome.planes], outcome.counters, self.error, 17)


def test_wrong_bits_are_reported() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    inputs = [random_input(np.random.default_rng(1), graph)]
    assert run_graph(graph, inputs, BrokenTile(CONFIGS["small"], ErrorCode.NONE)).layers[0].bit_exact is False


def test_an_error_of_the_tile_is_raised() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    inputs = [random_input(np.random.default_rng(1), graph)]
    with pytest.raises(TileError, match="layer 'conv2d', job 0: the tile raised error TOTAL at instruction 17"):
        run_graph(graph, inputs, BrokenTile(CONFIGS["small"], ErrorCode.TOTAL))


def test_unfit_inputs_are_refused() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    values = random_input(np.random.default_rng(1), graph)
    engine = GoldenTile(CONFIGS["small"])
    with pytest.raises(ValueError, match="must have shape"):
        run_graph(graph, [values[None]], engine)
    with pytest.raises(ValueError, match="must have stored numbers from 0 to 31"):
        run_graph(graph, [values + 32], engine)


def test_integer_operators_as_an_engine() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    values = random_input(np.random.default_rng(1), graph)
    assert np.array_equal(run_integer(graph, [values])[0]["out"], operators.run(graph, values)["out"])


def test_engines_by_name() -> None:
    assert isinstance(create_engine("golden", CONFIGS["small"], seed=3), GoldenTile)
    assert isinstance(create_engine("model", CONFIGS["small"]), LawEngine)
    with pytest.raises(UserError, match="engine must be one of rtl, turbo, golden, model, not 'fast'"):
        create_engine("fast", CONFIGS["small"])


def test_reports_of_all_engines_agree(resnet8: Graph) -> None:
    golden, model, integer = (run_network(request(resnet8, engine)) for engine in ("golden", "model", "integer"))
    assert golden.inputs == integer.inputs
    assert golden.inputs[0].top1 == 3
    assert golden.inputs[0].label == resnet8.classes[3] if resnet8.classes else golden.inputs[0].label is None
    assert not differences(golden)
    assert not differences(model)
    assert not differences(integer)
    for one, other in zip(golden.layers, model.layers, strict=True):
        assert (one.cycles, one.events, one.utilisation) == (other.cycles, other.events, other.utilisation)
        assert (one.bit_exact, other.bit_exact) == (True, None)
    assert golden.cycles == golden.law == golden.layers[-1].end
    assert model.inputs[0].logits == []
    assert golden.macs == 12_501_632


def test_widths_of_a_request(resnet8: Graph, tmp_path: Path) -> None:
    plain, eight = run_network(request(resnet8, "golden")), run_network(request(resnet8, "golden", 8))
    assert (plain.inputs, plain.layers) == (eight.inputs, eight.layers)
    table = tmp_path / "widths.json"
    table.write_text('{"conv3": 4}', encoding="utf-8")
    mixed = run_network(request(resnet8, "model", table))
    assert (mixed.layers[2].bits.activation, mixed.layers[2].bits.weight) == (4, 4)
    assert mixed.cycles < plain.cycles
    table.write_text('{"conv99": 4}', encoding="utf-8")
    with pytest.raises(UserError, match="conv99"):
        run_network(request(resnet8, "model", table))


def test_a_config_too_small_is_a_users_mistake(resnet8: Graph) -> None:
    with pytest.raises(UserError, match=r"layer 'conv1' needs columns of at least \d+, config cap16 has 16"):
        run_network(request(resnet8, "model", config="cap16"))
