"""The mode of dot products: from the command line through host, processes and laws to report and JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from golden.graph import Conv, Graph
from golden.tile import GoldenTile
from hw.config import TileConfig
from sim import cli
from sim.errors import UserError
from sim.host import Network, run_graph
from sim.mapping import LayerPlan, MappingError, layer_shape, plan_layer
from sim.mapping.constant_bound import least_constant_cycles
from sim.mapping.plan import AUTO, MODES
from sim.mapping.shapes import ConvShape
from sim.models import data_file
from sim.options import MODES as OPTION_MODES
from sim.report import Bits, Cycles, LayerReport, RunReport, WallSeconds, print_run
from sim.spec import SPEC_MODES, evaluate, network_spec
from sim.work.run import run_inputs
from sim.work.units import Work
from sim.work.way import Way
from tests.sim.mapping_graphs import KINDS, random_graph, random_input
from tests.sim.test_provenance import trace

CAT = str(data_file("cifar10/cifar10_00_3.png"))
TILE = TileConfig(name="t", taps=48, outputs=4, columns=200, plane_bits=1, vertical=True, activity=False)
"""A tile with a port so narrow that ``count`` is not always the fastest."""

CONVOLUTIONS = ("conv2d", "depthwise", "fully_connected")


def test_the_command_line_offers_all_modes() -> None:
    assert (*MODES, AUTO) == OPTION_MODES
    assert set(SPEC_MODES) == {*MODES, AUTO} - {"constant"}


def graphs() -> list[Graph]:
    """Layers of which each mode is the fastest for some."""
    some = [random_graph(np.random.default_rng(seed), kind, 4) for kind in CONVOLUTIONS for seed in range(4)]
    return [*some, *(random_graph(np.random.default_rng(seed), "depthwise", 12) for seed in (6, 16))]


def test_auto_takes_the_fastest_mode() -> None:
    taken: set[str | None] = set()
    for graph in graphs():
        (layer,) = graph.layers
        shape = layer_shape(layer, graph)
        plans: list[LayerPlan] = []
        for mode in MODES:
            try:
                plans.append(plan_layer(shape, TILE, layer, mode))
            except MappingError:
                assert mode == "constant"
        chosen = plan_layer(shape, TILE, layer, AUTO)
        assert chosen.law_cycles == min(plan.law_cycles for plan in plans)
        assert chosen.mode == next(plan.mode for plan in plans if plan.law_cycles == chosen.law_cycles)
        taken.add(chosen.mode)
        bare = plan_layer(shape, TILE, mode=AUTO)
        assert bare.mode in ("count", "lut")
        assert bare.law_cycles == min(plan.law_cycles for plan in plans if plan.mode != "constant")
    assert taken == set(MODES)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_constant_takes_at_least_its_bound(kind: str) -> None:
    bounds: list[int] = []
    for seed in range(10):
        graph = random_graph(np.random.default_rng([seed, 5]), kind)
        (layer,) = graph.layers
        shape = layer_shape(layer, graph)
        assert isinstance(shape, ConvShape)
        assert isinstance(layer, Conv)
        try:
            plan = plan_layer(shape, TILE, layer, "constant")
        except MappingError:
            continue
        bounds.append(least_constant_cycles(shape, TILE, layer))
        assert bounds[-1] <= plan.law_cycles
    assert any(bounds)


@pytest.mark.parametrize("modes", [("count", "lut"), ("lut", "count")])
def test_of_equal_modes_count_is_taken(modes: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    cheap, dear = modes
    costs = {cheap: 5, dear: 5}
    monkeypatch.setattr(LayerPlan, "law_cycles", property(lambda plan: costs.get(plan.mode, 9)))
    graph = graphs()[0]
    shape = layer_shape(graph.layers[0], graph)
    assert plan_layer(shape, TILE, mode=AUTO).mode == "count"
    costs[dear] = 6
    assert plan_layer(shape, TILE, mode=AUTO).mode == cheap


def test_auto_takes_what_fits() -> None:
    graph = random_graph(np.random.default_rng(11), "conv2d", 5)
    shape = layer_shape(graph.layers[0], graph)

    def fits(columns: int, mode: str) -> bool:
        try:
            plan_layer(shape, TILE.replace(columns=columns), mode=mode)
        except MappingError:
            return False
        return True

    found = [(fits(columns, "count"), fits(columns, "lut")) for columns in range(20, 100, 4)]
    assert {(False, False), (True, False), (True, True)} <= set(found)
    assert [fits(columns, AUTO) for columns in range(20, 100, 4)] == [any(one) for one in found]
    with pytest.raises(MappingError, match="needs columns of at least"):
        plan_layer(shape, TILE.replace(columns=20), mode=AUTO)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in CONVOLUTIONS])
def test_other_layers_are_the_same_in_all_modes(kind: str) -> None:
    graph = random_graph(np.random.default_rng(2), kind, 5)
    shape = layer_shape(graph.layers[0], graph)
    plans = [plan_layer(shape, TILE, graph.layers[0], mode) for mode in (*MODES, AUTO)]
    assert all((plan.jobs, plan.mode) == (plans[0].jobs, plans[0].mode) for plan in plans)
    assert plans[0].mode == ("count" if kind == "average_pool" else None)


@pytest.mark.parametrize("mode", [*MODES, AUTO])
def test_run_graph_in_every_mode(mode: str) -> None:
    for graph in graphs()[::2]:
        values = random_input(np.random.default_rng(1), graph)
        try:
            (layer,) = run_graph(graph, [values], GoldenTile(TILE), mode=mode).layers
        except MappingError:
            assert mode == "constant"
            continue
        assert layer.bit_exact
        assert {name: layer.counters[name] for name in layer.law} == layer.law
        assert mode in (layer.plan.mode, AUTO)
        assert layer.plan.utilisation is not None
        assert 0 < layer.plan.utilisation <= 1


def test_an_unknown_mode_is_refused() -> None:
    graph = graphs()[0]
    with pytest.raises(ValueError, match="mode must be one of count, lut, constant, auto, not 'fast'"):
        Network(graph, TILE, mode="fast")


def test_constant_is_refused_without_weights() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 4)
    with pytest.raises(MappingError, match="layer 'conv2d' needs its weights in mode constant"):
        plan_layer(layer_shape(graph.layers[0], graph), TILE, mode="constant")
    with pytest.raises(UserError, match="mode must be one of count, lut, auto for a network specification"):
        evaluate(network_spec(graph), TILE, "constant")


def test_laws_of_a_specification_by_mode() -> None:
    for graph in graphs()[:3]:
        laws = {mode: evaluate(network_spec(graph), TILE, mode) for mode in SPEC_MODES}
        for mode in ("count", "lut"):
            network = Network(graph, TILE, mode=mode)
            assert laws[mode] == {plan.shape.name: law for plan, law in zip(network.plans, network.laws, strict=True)}
        assert laws[AUTO] in (laws["count"], laws["lut"])


@pytest.mark.parametrize("mode", ["lut", "constant"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_no_mode_does_arithmetic_on_the_host(kind: str, mode: str) -> None:
    done = 0
    for vertical in (True, False):
        config = TileConfig(name="t", taps=16, outputs=8, columns=160, plane_bits=8, activity=False, vertical=vertical)
        for seed in range(4):
            rng = np.random.default_rng([seed, 77])
            graph = random_graph(rng, kind)
            try:
                trace(graph, config, random_input(rng, graph), mode)
                done += 1
            except MappingError:
                continue
    assert done >= 4


def test_processes_run_in_the_mode() -> None:
    graph = graphs()[0]
    inputs = [random_input(np.random.default_rng(seed), graph) for seed in range(2)]
    work = Work(graph=graph, config=TILE, engine="golden", seed=1, mode="lut")
    result, _, _ = run_inputs(work, inputs, Way(jobs=2))
    (layer,) = result.layers
    assert layer.bit_exact
    assert layer.plan.mode == "lut"
    assert layer.cycles == 2 * plan_layer(layer.plan.shape, TILE, mode="lut").law_cycles


@pytest.mark.parametrize("mode", ["count", "lut", AUTO])
def test_run_writes_modes(mode: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.json"
    command = ["run", "resnet8", "--input", CAT, "--engine", "model", "--config", "cap2d", "--mode", mode]
    assert cli.main([*command, "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert found["mode"] == mode
    modes = {layer["name"]: layer["mode"] for layer in found["layers"]}
    assert modes["conv1"] in (MODES if mode == AUTO else (mode,))
    assert (modes["avgpool1"], modes["add1"]) == ("count", None)
    printed = capfd.readouterr().out
    assert f"mode {mode}, seed 1" in printed
    assert (" mode " in printed.splitlines()[2]) == (mode == AUTO)
    if mode == "lut":
        assert sum(layer["cycles"]["reduce"] for layer in found["layers"]) > 10_000
        assert " reduce " in printed


def test_count_is_the_default() -> None:
    parser = cli.make_parser()
    assert parser.parse_args(["run", "resnet8"]).mode == "count"


def test_the_table_of_a_chosen_run_has_modes() -> None:
    layers = [
        LayerReport(
            name=name, op="conv2d", macs=8, bits=Bits(activation=8, weight=8), cycles=Cycles(total=1, law=1, compute=1),
            start=at, end=at + 1, mode=mode,
        )
        for at, (name, mode) in enumerate([("one", "lut"), ("two", None)])
    ]  # fmt: skip
    report = RunReport(
        model="m", engine="model", simulator=None, seed=1, config_hash="0", inputs=[], layers=layers, mode="auto",
        config={"name": "cap", "rows": 4800, "columns": 128, "plane_bits": 4800},
        wall_s=WallSeconds(build=0.0, simulate=0.0, total=0.0),
    )  # fmt: skip
    stream = io.StringIO()
    print_run(report, stream)
    rows = [line.split() for line in stream.getvalue().splitlines() if line.strip()]
    assert rows[1][:3] == ["layer", "op", "mode"]
    assert ["one", "conv2d", "lut", "8"] in [row[:4] for row in rows]
    assert ["two", "conv2d", "8", "8x8"] in [row[:4] for row in rows]
