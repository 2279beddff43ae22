"""Mode ``lut``: every layout gives the maps of the integer operators in the law's cycles; the fastest is chosen."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

from golden.graph import Graph
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import Instruction, Opcode, Owner, ReduceKind
from sim.host import Network, run_graph
from sim.mapping import LayerPlan, MappingError, layer_shape, plan_layer
from sim.mapping.lut import lut_jobs, lut_layout
from sim.mapping.lut_layout import LutLayout, arrangements, tilings
from sim.mapping.shapes import ConvShape
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.spec import evaluate, network_spec
from tests.sim.mapping_graphs import random_graph, random_input
from tests.sim.ownership import ownership_violations

KINDS = ("conv2d", "depthwise", "fully_connected")
TILES = (
    TileConfig(name="whole", taps=9, outputs=16, columns=128, plane_bits=144, port_queue=2, vertical=True),
    TileConfig(
        name="narrow", taps=21, outputs=4, columns=110, plane_bits=3, port_queue=1, vertical=True, passes="two_tags"
    ),
    TileConfig(
        name="cells", taps=6, outputs=8, columns=96, plane_bits=48, array="cells", vertical=True, passes="merged"
    ),
    TileConfig(name="flat", taps=25, outputs=8, columns=110, plane_bits=8, array="3r1w", activity=False),
    TileConfig(name="tall", taps=64, outputs=3, columns=120, plane_bits=16, activity=False),
    TileConfig(name="single", taps=1, outputs=16, columns=128, plane_bits=16, activity=False),
)


def conv_shape(graph: Graph) -> ConvShape:
    shape = layer_shape(graph.layers[0], graph)
    assert isinstance(shape, ConvShape)
    return shape


def check(graph: Graph, config: TileConfig, seed: int) -> LayerPlan:
    """Run a graph on a golden tile with random cells: maps, cycles, ownership."""
    values = random_input(np.random.default_rng(seed), graph)
    result = run_graph(graph, [values], GoldenTile(config, seed), mode="lut")
    (layer,) = result.layers
    assert layer.plan.mode == "lut"
    assert layer.bit_exact
    assert {name: layer.counters[name] for name in layer.law} == layer.law
    for job in layer.plan.jobs:
        assert not ownership_violations(job.program, config)
    return layer.plan


@pytest.mark.parametrize("config", TILES, ids=lambda config: config.name)
@pytest.mark.parametrize("kind", KINDS)
def test_random_layers_equal_the_integer_operators(kind: str, config: TileConfig) -> None:
    done = 0
    for seed in range(12):
        graph = random_graph(np.random.default_rng([seed, KINDS.index(kind)]), kind)
        try:
            check(graph, config, seed)
            done += 1
        except MappingError:
            continue
    assert done >= 6


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_width(bits: int) -> None:
    config = TileConfig(name="wide", taps=16, outputs=16, columns=256, plane_bits=256, activity=False, vertical=True)
    for index, kind in enumerate(KINDS):
        check(random_graph(np.random.default_rng([bits, index]), kind, bits), config, bits)


def varied(kind: str) -> Graph:
    """A layer whose outputs are not all the same."""
    return random_graph(np.random.default_rng({"conv2d": 5, "depthwise": 10, "fully_connected": 9}[kind]), kind, 5)


def layouts(shape: ConvShape, config: TileConfig) -> list[LutLayout]:
    """Every way that is considered, as far as it fits the tile."""
    fitting = (tiling for tiling in tilings(shape, config) if tiling.needed_columns <= config.columns)
    return [layout for tiling in fitting for layout in arrangements(tiling)]


@pytest.mark.parametrize("vertical", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_the_same_map(kind: str, vertical: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TileConfig(name="t", taps=12, outputs=8, columns=80, plane_bits=24, activity=False, vertical=vertical)
    graph = varied(kind)
    found = layouts(conv_shape(graph), config)
    assert len(found) >= 5
    for layout in found:
        monkeypatch.setattr("sim.mapping.plan.lut_layout", lambda _shape, _config, layout=layout: layout)
        check(graph, config, 1)


@pytest.mark.parametrize("config", [TILES[0], TILES[1], TILES[3], CONFIGS["cap2d"]], ids=lambda config: config.name)
def test_the_chosen_layout_is_the_fastest_by_the_laws(config: TileConfig) -> None:
    for kind, seed in itertools.product(KINDS, range(4)):
        shape = conv_shape(random_graph(np.random.default_rng([seed, 9]), kind, 6))
        try:
            chosen = lut_layout(shape, config)
        except MappingError:
            continue
        cycles = {
            layout: LayerPlan(shape, config, lut_jobs(layout, None), "lut").law_cycles
            for layout in layouts(shape, config)
        }
        assert cycles[chosen] <= 1.02 * min(cycles.values())


@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_a_layout_are_those_of_its_jobs(kind: str) -> None:
    shape = conv_shape(random_graph(np.random.default_rng(3), kind, 5))
    for layout in layouts(shape, TILES[1]):
        jobs, tiling = list(layout.jobs()), layout.tiling
        units = [unit for passes in jobs for some in passes for unit in some]
        assert sorted(units) == sorted(itertools.product(range(tiling.residents), range(tiling.items)))
        assert all(len(some) <= tiling.segments for passes in jobs for some in passes)
        assert all(sum(map(len, passes)) <= TILES[1].taps for passes in jobs)
        assert layout.counts[:2] == (len(jobs), sum(map(len, jobs)))


def without_immediates(op: Instruction) -> Instruction:
    """An instruction without what may depend on a model's constants."""
    immediate = op.opcode in (Opcode.FILL, Opcode.MULC, Opcode.ADDC)
    return dataclasses.replace(op, constant=0) if immediate else op


def test_laws_need_shapes_only() -> None:
    for kind in KINDS:
        graph = random_graph(np.random.default_rng(3), kind, 5)
        shape = conv_shape(graph)
        bare, real = (plan_layer(shape, TILES[0], layer, "lut") for layer in (None, graph.layers[0]))
        assert bare.law == real.law
        for one, other in zip(bare.jobs, real.jobs, strict=True):
            assert [*map(without_immediates, one.instructions)] == [*map(without_immediates, other.instructions)]
            assert (one.loads, one.stores) == (other.loads, other.stores)


def test_counters_do_not_depend_on_data() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 6)
    first, second = (
        run_graph(graph, [values], GoldenTile(TILES[3], seed), mode="lut").layers[0].counters
        for seed, values in enumerate((np.zeros(graph.maps["in"].shape, np.int64), np.full(graph.maps["in"].shape, 63)))
    )
    assert first == second


def test_every_product_is_made_once_and_reduced_once() -> None:
    """Utilisation counts MACs against rows times MULs; a pass has one REDUCE of the kind that the tile has."""
    graph = random_graph(np.random.default_rng(7), "conv2d", 6)
    for config, kind in ((TILES[1], ReduceKind.SEGMENTS), (TILES[3], ReduceKind.SHIFT)):
        plan = check(graph, config, 2)
        layout = lut_layout(conv_shape(graph), config)
        instructions = [op for job in plan.jobs for op in job.instructions]
        reduces = [op for op in instructions if op.opcode == Opcode.REDUCE]
        _, passes, _ = layout.counts
        assert len(reduces) == passes
        assert {(op.kind, op.owner) for op in reduces} == {(kind, Owner.REDUCE)}
        assert plan.multiplications == passes * layout.tiling.tiles
        assert plan.utilisation == plan.shape.macs / (config.rows * plan.multiplications)
        assert not any(op.opcode == Opcode.DOT for op in instructions)


def least_columns(graph: Graph, config: TileConfig) -> int:
    """Columns that the error of a tile with too few of them names; 0 when the graph fits."""
    try:
        Network(graph, config, mode="lut")
    except MappingError as error:
        found = re.match(
            r"layer '\w+' needs columns of at least (\d+) in mode lut, config few has \d+; \1 ", str(error)
        )
        assert found is not None
        return int(found[1])
    return 0


@pytest.mark.parametrize("vertical", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_names_columns_that_would_do(kind: str, vertical: bool) -> None:
    config = TileConfig(name="few", taps=9, outputs=8, columns=8, plane_bits=72, activity=False, vertical=vertical)
    graph = random_graph(np.random.default_rng(11), kind, 5)
    columns = least_columns(graph, config)
    assert columns > 8
    check(graph, config.replace(columns=columns), 3)
    assert least_columns(graph, config.replace(columns=columns - 1)) == columns


def test_an_error_names_counters_that_would_do() -> None:
    graph = random_graph(np.random.default_rng(2), "conv2d", 16)
    narrow = TileConfig(name="few", taps=9, outputs=8, columns=256, plane_bits=72, fill_bits=20, total_bits=20)
    with pytest.raises(MappingError, match="needs total_bits of at least"):
        Network(graph, narrow, mode="lut")
    assert plan_layer(conv_shape(graph), narrow.replace(total_bits=64), mode="lut").jobs  # no fill counter is used


@pytest.mark.slow
def test_resnet8_gives_the_logits_of_count() -> None:
    graph, config = load_model("resnet8"), CONFIGS["cap2d"]
    source = graph.maps[graph.input]
    cat = load_inputs([data_file("cifar10/cifar10_00_3.png")], source)[0].values.astype(np.int64) - source.minimum
    lut, count = (run_graph(graph, [cat], GoldenTile(config), mode=mode) for mode in ("lut", "count"))
    assert np.array_equal(lut.maps[0][graph.output], count.maps[0][graph.output])
    laws = evaluate(network_spec(graph), config, "lut")
    for layer in lut.layers:
        assert layer.bit_exact
        assert layer.counters == laws[layer.plan.shape.name]
    assert lut.cycles < 2_250_000


@pytest.mark.slow
def test_resnet8_on_a_1d_tile() -> None:
    graph, config = load_model("resnet8"), CONFIGS["cap64"]
    result = run_graph(graph, [random_input(np.random.default_rng(1), graph)], GoldenTile(config), mode="lut")
    assert all(layer.bit_exact for layer in result.layers)
    assert result.cycles == result.law_cycles


def test_feeder_serves_several_inputs() -> None:
    graph = varied("conv2d")
    inputs = [random_input(np.random.default_rng(seed), graph) for seed in range(2)]
    together = run_graph(graph, inputs, GoldenTile(TILES[0]), mode="lut")
    assert together.layers[0].bit_exact
    assert not np.array_equal(together.maps[0]["out"], together.maps[1]["out"])
