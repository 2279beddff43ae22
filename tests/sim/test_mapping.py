"""Mapping: every kind of layer on the golden tile equals the integer operators; programs keep the tile's rules."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from golden.graph import Conv, Graph
from golden.laws import plane_size, run_law
from golden.tile import GoldenTile
from golden.widths import apply
from hw.config import CONFIGS, TileConfig
from hw.isa import Instruction, Opcode, Program
from sim.errors import UserError
from sim.host import Network, run_graph
from sim.mapping import MappingError, layer_shape, plan_layer, shape_from_dict
from sim.mapping.bits import from_bits, to_bits
from sim.mapping.convolution import ConvLayout, conv_jobs, conv_layout
from sim.mapping.dot import Segment, batches
from sim.mapping.plan import feeder
from sim.mapping.shapes import ConvShape
from sim.models import load_model
from sim.spec import evaluate, layers_from_spec, network_spec
from tests.sim.mapping_graphs import KINDS, random_graph, random_input
from tests.sim.ownership import ownership_violations

ROOT = Path(__file__).parents[2]
TILES = (
    TileConfig(name="whole", taps=9, outputs=16, columns=128, plane_bits=144, port_queue=2, array="3r1w"),
    TileConfig(name="narrow", taps=25, outputs=8, columns=110, plane_bits=8, activity=False),
    TileConfig(name="one", taps=4, outputs=32, columns=128, plane_bits=1, port_queue=1, activity=False),
    TileConfig(name="tall", taps=64, outputs=3, columns=120, plane_bits=16, activity=False),
)


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


def check(graph: Graph, config: TileConfig, seed: int) -> None:
    """Run a graph on a golden tile with random cells: maps, cycles, ownership."""
    result = run_graph(graph, [random_input(np.random.default_rng(seed), graph)], GoldenTile(config, seed))
    for layer in result.layers:
        assert layer.bit_exact
        assert {name: layer.counters[name] for name in layer.law} == layer.law
        for job in layer.plan.jobs:
            assert not ownership_violations(job.program, config)


@pytest.mark.parametrize("config", TILES, ids=lambda config: config.name)
@pytest.mark.parametrize("kind", KINDS)
def test_random_layers_equal_the_integer_operators(kind: str, config: TileConfig) -> None:
    done = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        graph = random_graph(rng, kind)
        try:
            check(graph, config, seed)
            done += 1
        except MappingError:
            continue
    assert done >= 6


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_width(bits: int) -> None:
    config = TileConfig(name="wide", taps=16, outputs=16, columns=256, plane_bits=256, activity=False)
    for index, kind in enumerate(KINDS):
        check(random_graph(np.random.default_rng([bits, index]), kind, bits), config, bits)


def layouts(shape: ConvShape, config: TileConfig) -> list[ConvLayout]:
    widths = range(1, shape.activation_bits[0] + 1)
    sides = (True,) if shape.depthwise else (True, False)
    return [ConvLayout(shape, config, side, width) for side in sides for width in widths]


@pytest.mark.parametrize("kind", ["conv2d", "depthwise", "fully_connected"])
def test_every_layout_gives_the_same_map(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TileConfig(name="t", taps=12, outputs=8, columns=128, plane_bits=24, activity=False)
    graph = random_graph(np.random.default_rng(5), kind, 4)
    shape = layer_shape(graph.layers[0], graph)
    assert isinstance(shape, ConvShape)
    for layout in layouts(shape, config):
        monkeypatch.setattr("sim.mapping.plan.conv_layout", lambda _shape, _config, layout=layout: layout)
        check(graph, config, 1)


def test_few_columns_restore_partial_sums() -> None:
    config = TileConfig(name="t", taps=4, outputs=8, columns=64, plane_bits=32, activity=False)
    for seed in range(40):
        graph = random_graph(np.random.default_rng(seed), "conv2d", 6)
        shape = layer_shape(graph.layers[0], graph)
        assert isinstance(shape, ConvShape)
        try:
            layout = conv_layout(shape, config)
        except MappingError:
            continue
        opcodes = {op.opcode for job in conv_jobs(layout, None) for op in job.instructions}
        if Opcode.RESTORE in opcodes:
            check(graph, config, seed)
            return
    pytest.fail("no graph needed RESTORE")


def test_ownership_check_finds_a_missing_sync() -> None:
    graph = random_graph(np.random.default_rng(0), "conv2d", 4)
    config = TILES[0]
    job = plan_layer(layer_shape(graph.layers[0], graph), config, graph.layers[0]).jobs[0]
    syncs = [index for index, op in enumerate(job.instructions) if op.opcode == Opcode.SYNC]
    for index in syncs:
        broken = Program.build((*job.instructions[:index], *job.instructions[index + 1 :]), config)
        assert ownership_violations(broken, config)


def without_immediates(op: Instruction) -> Instruction:
    """An instruction without what may depend on a model's constants."""
    immediate = op.opcode in (Opcode.INIT, Opcode.FILL, Opcode.MULC, Opcode.ADDC)
    return dataclasses.replace(op, constant=0) if immediate else op


@pytest.mark.parametrize("kind", KINDS)
def test_programs_depend_on_weights_through_immediates_only(kind: str) -> None:
    config = CONFIGS["small"]
    graph = random_graph(np.random.default_rng(3), kind, 5)
    shape = layer_shape(graph.layers[0], graph)
    skeleton, real = plan_layer(shape, config), plan_layer(shape, config, graph.layers[0])
    assert skeleton.law == real.law
    for one, other in zip(skeleton.jobs, real.jobs, strict=True):
        assert [*map(without_immediates, one.instructions)] == [*map(without_immediates, other.instructions)]
        assert (one.loads, one.stores) == (other.loads, other.stores)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_survive_json(kind: str) -> None:
    graph = random_graph(np.random.default_rng(4), kind)
    spec = json.loads(json.dumps(network_spec(graph)))
    assert layers_from_spec(spec) == tuple(layer_shape(layer, graph) for layer in graph.layers)


def test_a_damaged_specification_is_refused() -> None:
    spec = network_spec(random_graph(np.random.default_rng(4), "conv2d"))
    with pytest.raises(UserError, match="schema"):
        layers_from_spec(spec | {"schema": 0})
    with pytest.raises(UserError, match="kind of a layer must be one of"):
        layers_from_spec(spec | {"layers": [{"kind": "magic"}]})
    with pytest.raises(ValueError, match="fields of a layer"):
        shape_from_dict({"kind": "conv", "name": "x"})


SUBPROCESS = """
import json, sys
from hw.config import CONFIGS
from sim.spec import evaluate
given = json.load(sys.stdin)
json.dump({name: evaluate(given["spec"], CONFIGS[name]) for name in given["configs"]}, sys.stdout)
"""


def test_laws_of_another_process_equal_what_golden_counts(resnet8: Graph) -> None:
    names = ["cap", "cap64"]
    text = json.dumps({"spec": network_spec(resnet8), "configs": names})
    assert len(text) < 20_000, "a specification holds no weights"
    done = subprocess.run(
        [sys.executable, "-c", SUBPROCESS], input=text, capture_output=True, text=True, check=True, cwd=ROOT
    )
    laws = json.loads(done.stdout)
    for name in names:
        found = run_graph(resnet8, [random_input(np.random.default_rng(7), resnet8)], GoldenTile(CONFIGS[name]))
        for layer in found.layers:
            assert layer.bit_exact
            assert laws[name][layer.plan.shape.name] == layer.counters


def test_resnet8_takes_few_cycles(resnet8: Graph) -> None:
    total = {
        name: sum(
            value
            for law in evaluate(network_spec(resnet8), CONFIGS[name]).values()
            for counter, value in law.items()
            if counter.startswith("cycles.")
        )
        for name in ("cap", "cap64")
    }
    assert total["cap"] < 300_000
    assert total["cap64"] < 365_000


@pytest.mark.parametrize("name", ["cap", "cap64", pytest.param("small", marks=pytest.mark.slow)])
def test_resnet8_programs_keep_ownership(resnet8: Graph, name: str) -> None:
    for plan in Network(resnet8, CONFIGS[name]).plans:
        for job in plan.jobs:
            assert not ownership_violations(job.program, plan.config)


def test_dot_cycles_at_4_bits_are_a_quarter_of_those_at_8(resnet8: Graph) -> None:
    for name in ("cap", "cap64"):
        wide, narrow = (Network(graph, CONFIGS[name]).plans for graph in (resnet8, apply(resnet8, 4)))
        for layer, one, other in zip(resnet8.layers, wide, narrow, strict=True):
            if isinstance(layer, Conv):
                assert one.dot_cycles == 4 * other.dot_cycles
                assert one.fills == other.fills


def test_utilisation_counts_macs_against_fills(resnet8: Graph) -> None:
    plan = Network(resnet8, CONFIGS["cap"]).plans[1]
    assert plan.shape.macs == 32 * 32 * 16 * 144
    assert plan.fills == 16 * 16 * 2
    assert plan.utilisation == plan.shape.macs / (4800 * 512)


def least_columns(graph: Graph, config: TileConfig) -> int:
    """Columns that the error of a tile with too few of them names; 0 when the graph fits."""
    try:
        run_graph(graph, [random_input(np.random.default_rng(0), graph)], GoldenTile(config))
    except MappingError as error:
        found = re.search(r"needs columns of at least (\d+)", str(error))
        assert found is not None
        return int(found[1])
    return 0


@pytest.mark.parametrize("kind", ["conv2d", "depthwise", "average_pool", "max_pool", "elementwise", "rounded"])
def test_an_error_names_columns_that_would_do(kind: str) -> None:
    config = TileConfig(name="few", taps=9, outputs=8, columns=8, plane_bits=72, activity=False)
    graph = random_graph(np.random.default_rng(11), kind, 5)
    columns = least_columns(graph, config)
    assert columns > 8
    check(graph, config.replace(columns=columns), 3)
    assert least_columns(graph, config.replace(columns=columns - 1)) == columns


def test_errors_name_counters_that_would_do() -> None:
    graph = random_graph(np.random.default_rng(2), "conv2d", 16)
    narrow = TileConfig(name="few", taps=9, outputs=8, columns=256, plane_bits=72, fill_bits=20, total_bits=64)
    with pytest.raises(MappingError, match="needs fill_bits of at least 37, config few has 20"):
        Network(graph, narrow)
    with pytest.raises(MappingError, match="needs total_bits of at least"):
        Network(graph, narrow.replace(total_bits=20))


def test_bits_and_numbers() -> None:
    numbers = np.array([[0, 1, 5], [6, 7, -1]], np.int64)
    assert to_bits(numbers, 3)[1].tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert from_bits(to_bits(numbers, 3)).tolist() == [[0, 1, 5], [6, 7, 7]]


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 16, 17, 33, 48, 64])
def test_bits_of_every_size(bits: int) -> None:
    numbers = np.random.default_rng(bits).integers(-(1 << 62), 1 << 62, (5, 3), dtype=np.int64)
    wanted = [[[int(number) >> place & 1 for place in range(bits)] for number in row] for row in numbers]
    assert to_bits(numbers, bits).tolist() == wanted
    assert to_bits(numbers.T, bits).tolist() == np.array(wanted).transpose(1, 0, 2).tolist()
    if bits < 64:
        assert from_bits(to_bits(numbers, bits)).tolist() == (numbers & ((1 << bits) - 1)).tolist()


@pytest.mark.parametrize("outputs", [8, 16, 3])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("pad", "reshape")])
def test_planes_of_a_job_are_those_of_its_loads(kind: str, outputs: int) -> None:
    config = TileConfig(name="t", taps=12, outputs=outputs, columns=128, plane_bits=24, activity=False)
    plans = 0
    for seed in range(6):
        random = np.random.default_rng([seed, outputs])
        graph = random_graph(random, kind)
        (layer,) = graph.layers
        try:
            plan = plan_layer(layer_shape(layer, graph), config, layer)
        except MappingError:
            continue
        feed = feeder(plan, layer)
        width = graph.maps[layer.inputs[0]].bits
        feed.begin([to_bits(random_input(random, graph), width) for _ in layer.inputs])
        for job in plan.jobs:
            together = feed.job_planes(job)
            assert len(together) == len(job.loads)
            loads = [op for op in job.instructions if op.opcode == Opcode.LOAD]
            for op, source, planes in zip(loads, job.loads, together, strict=True):
                assert planes.shape == (op.d_width, plane_size(op, config))
                assert np.array_equal(planes, feed.planes(job, source))
        plans += 1
    assert plans


def test_batches_are_few_and_even() -> None:
    whole = batches([Segment(index, tuple(range(16))) for index in range(16)], 75)
    assert [sum(len(segment.items) for segment in part) for part in whole] == [64, 64, 64, 64]
    split = batches([Segment(index, tuple(range(128))) for index in range(4)], 75)
    assert len(split) == 7
    assert {sum(len(segment.items) for segment in part) for part in split} == {73, 74}
    pairs = [(segment.resident, item) for part in split for segment in part for item in segment.items]
    assert pairs == [(index, item) for index in range(4) for item in range(128)]


def test_laws_do_not_depend_on_how_programs_are_run(resnet8: Graph) -> None:
    plan = Network(resnet8, CONFIGS["cap"]).plans[0]
    assert plan.law["events.instructions"] == sum(len(job.instructions) for job in plan.jobs)
    assert plan.law["cycles.compute"] == sum(run_law(job.program, plan.config)["cycles.compute"] for job in plan.jobs)


def test_jobs_that_differ_in_biases_alone_share_a_routine(resnet8: Graph) -> None:
    layer = next(layer for layer in resnet8.layers if isinstance(layer, Conv))
    plan = plan_layer(layer_shape(layer, resnet8), CONFIGS["cap"], layer)
    assert sum(count for _, count in plan.routines) == len(plan.jobs) > len(plan.routines)
    for job in plan.jobs:
        starts = [op.constant for op in job.instructions if op.opcode == Opcode.INIT]
        assert starts == [int(layer.rescale.bias[item]) for _, item in job.work]
        assert [*map(without_immediates, job.instructions)] == [*map(without_immediates, job.routine.instructions)]
        assert run_law(job.program, plan.config) == job.routine.law


def test_jobs_by_shape_share_their_program(resnet8: Graph) -> None:
    for layer in resnet8.layers:
        plan = plan_layer(layer_shape(layer, resnet8), CONFIGS["cap"])
        assert len({id(job.program) for job in plan.jobs}) == len(plan.routines)
        assert len({job.instructions for job in plan.jobs}) == len(plan.routines)
