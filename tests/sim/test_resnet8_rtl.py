"""ResNet-8 on the generated Verilog: pictures, tensors, cycles, time and memory; whole layers on Icarus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from golden import operators
from golden.graph import Graph, Integers
from golden.tile import GoldenTile
from hw.config import CONFIGS
from sim.evaluate.evaluate import evaluate
from sim.evaluate.widths import Widths
from sim.host import Network, NetworkResult, run_graph
from sim.mapping.bits import from_bits, to_bits
from sim.models import MODELS, data_file, load_model
from sim.networks.load import load_network
from sim.pictures import load_inputs
from sim.rtl_engine import RtlEngine
from tests.sim.reference import (
    ROOT,
    assert_laws,
    assert_reference,
    assert_same_counters,
    counted,
    laws_of_another_process,
)
from tests.tflite_models import Int8

CAP = CONFIGS["cap"]
PICTURES = sorted(data_file("cifar10").glob("*.png"))
FEW = [path for path in PICTURES if path.stem in ("cifar10_00_3", "cifar10_16_5")]
WRONG = ["cifar10_16_5"]
"""Pictures whose class the network gets wrong."""
MODEL = data_file(MODELS["resnet8"])
PICTURE_SECONDS = 30  # of simulation, at config cap
MEMORY_BYTES = 2 << 30

MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True, stdin=subprocess.DEVNULL)
sys.stderr.write(done.stdout + done.stderr)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True)
class Shown:
    """What the tile gave for one picture."""

    picture: Path
    values: Int8
    result: NetworkResult

    @property
    def label(self) -> int:
        """The last number of the file's name."""
        return int(self.picture.stem.rsplit("_", 1)[1])


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def laws(graph: Graph) -> dict[str, dict[str, int]]:
    return laws_of_another_process(graph, CAP)


def stored(values: Int8) -> Integers:
    """The unsigned numbers that the tile stores for int8 numbers."""
    return values.astype(np.int64) + 128


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlEngine]:
    engine = RtlEngine(CAP, "verilator")
    yield engine
    engine.close()


@pytest.fixture(
    scope="module",
    params=[pytest.param(FEW, id="two"), pytest.param(PICTURES, id="all", marks=pytest.mark.slow)],
)
def shown(graph: Graph, engine: RtlEngine, request: pytest.FixtureRequest) -> list[Shown]:
    """Pictures through one simulator, one after the other."""
    pictures: list[Shown] = []
    for picture in request.param:
        (found,) = load_inputs([picture], graph.maps[graph.input])
        result = run_graph(graph, [stored(found.values)], engine)
        print(f"{picture.name}: {result.cycles:,} cycles, {result.run_seconds:.1f} s")
        pictures.append(Shown(picture, found.values, result))
    return pictures


def test_every_tensor_equals_the_reference_kernels(graph: Graph, shown: list[Shown]) -> None:
    assert len(shown) in (2, 10)
    content = MODEL.read_bytes()
    for one in shown:
        # One tensor per layer; only the SOFTMAX behind the logits is left out.
        compared = assert_reference(graph, content, one.values[None], one.result.maps[0])
        assert compared == len(graph.layers) == 15
        assert all(layer.bit_exact for layer in one.result.layers)


def test_nine_of_ten_classes_are_right(graph: Graph, shown: list[Shown]) -> None:
    assert [one.picture.stem for one in shown if int(np.argmax(one.result.maps[0][graph.output])) != one.label] == WRONG


def test_counters_of_every_layer_equal_the_laws_of_another_process(
    graph: Graph, shown: list[Shown], laws: dict[str, dict[str, int]]
) -> None:
    assert list(laws) == [layer.name for layer in graph.layers]
    for one in shown:
        assert_laws(one.result.layers, laws)
        assert one.result.cycles == sum(
            value for law in laws.values() for name, value in law.items() if name.startswith("cycles.")
        )


def test_evaluation_equals_what_the_hardware_counts(shown: list[Shown]) -> None:
    network = load_network("resnet8")
    cost = evaluate(network, Widths(), CAP)
    for one in shown:
        counted = {layer.plan.shape.name: layer.cycles for layer in one.result.layers}
        assert {layer.name: layer.total for layer in cost.layers} == counted
    events = cost.events
    layers = [layer.counters for layer in shown[0].result.layers if layer.counters]
    summed = {name: sum(counters[name] for counters in layers) for name in layers[0]}
    assert events.compares == summed["events.compares"]
    assert events.compared_cells == summed["events.compared_columns"] * CAP.rows
    assert events.writes == summed["events.writes"]
    assert events.driven_cells == summed["events.written_columns"] * CAP.rows
    assert events.instructions == summed["events.instructions"]


def test_golden_counts_what_the_hardware_counts(graph: Graph, shown: list[Shown]) -> None:
    golden = run_graph(graph, [stored(shown[0].values)], GoldenTile(CAP))
    assert_same_counters(shown[0].result, golden)
    for name, values in golden.maps[0].items():
        assert np.array_equal(shown[0].result.maps[0][name], values)


def test_a_picture_takes_less_than_30_seconds(shown: list[Shown]) -> None:
    # Three seconds on a machine of two cores; the time does not hold the build.
    assert max(one.result.run_seconds for one in shown) < PICTURE_SECONDS


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of ru_maxrss differs between systems")
def test_one_picture_at_the_command_line(shown: list[Shown], tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    cat = next(one for one in shown if one.picture.name == "cifar10_00_3.png")
    command = [sys.executable, "-m", "sim", "run", "resnet8", "--input", str(cat.picture), "--json", str(report_file)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    status, kilobytes = map(int, done.stdout.split())
    assert status == 0, done.stderr
    report = json.loads(report_file.read_text(encoding="utf-8"))
    assert (report["engine"], report["config_hash"]) == ("rtl", CAP.hash_text)
    assert report["simulator"].startswith("verilator")
    assert [one["top1"] for one in report["inputs"]] == [cat.label]
    assert report["total"]["cycles"] == report["total"]["law"] == cat.result.cycles
    assert report["wall_s"]["simulate"] < PICTURE_SECONDS
    # The largest process of all that the command started; two are large at the same time, host and simulator.
    print(f"largest process {kilobytes >> 10} MB; {report['wall_s']}")
    assert 2 * kilobytes * 1024 < MEMORY_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cap64", "small"])
def test_other_tiles_compute_the_same(graph: Graph, name: str) -> None:
    config = CONFIGS[name]
    (found,) = load_inputs([PICTURES[0]], graph.maps[graph.input])
    with RtlEngine(config, "verilator") as other:
        result = run_graph(graph, [stored(found.values)], other)
    print(f"{name}: {result.cycles:,} cycles, {result.run_seconds:.1f} s")
    assert_reference(graph, MODEL.read_bytes(), found.values[None], result.maps[0])
    assert_laws(result.layers, laws_of_another_process(graph, config))


# --- whole layers on Icarus -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def icarus() -> Iterator[RtlEngine]:
    engine = RtlEngine(CAP, "icarus")
    yield engine
    engine.close()


@pytest.mark.parametrize(
    "name",
    [
        "add3",
        "avgpool1",
        "fc1",
        pytest.param("conv9", marks=pytest.mark.slow),  # a minute; the others take seconds
    ],
)
def test_a_whole_layer_on_icarus(graph: Graph, laws: dict[str, dict[str, int]], icarus: RtlEngine, name: str) -> None:
    (found,) = load_inputs([PICTURES[0]], graph.maps[graph.input])
    maps = operators.run(graph, stored(found.values))
    network = Network(graph, CAP)
    index = [layer.name for layer in graph.layers].index(name)
    layer, plan = graph.layers[index], network.plans[index]
    operands = [to_bits(maps[source], 8) for source in layer.inputs]
    golden, golden_counters = network.run_layer(layer, plan, operands, GoldenTile(CAP))
    ours, counters = network.run_layer(layer, plan, operands, icarus)
    assert np.array_equal(ours, golden)
    assert np.array_equal(from_bits(ours), maps[layer.output])
    assert counted(counters) == counted(golden_counters)
    law = counted(laws[name])
    assert {counter: counters[counter] for counter in law} == law
