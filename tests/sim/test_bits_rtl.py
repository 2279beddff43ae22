"""ResNet-8 at other widths on one and the same hardware: ``--bits``, per-layer files, accuracy, DOT cycles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim.rtl_engine
from golden import operators, widths
from golden.graph import Conv, Graph, Integers
from golden.tile import GoldenTile
from hw.config import CONFIGS
from sim import cli
from sim.host import NetworkResult, run_graph
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.rtl_engine import RtlEngine
from sim.runner import Build
from tests.sim.reference import assert_laws, laws_of_another_process

CAP = CONFIGS["cap"]
PICTURES = sorted(data_file("cifar10").glob("*.png"))
CAT = data_file("cifar10/cifar10_00_3.png")
MIXED = {"conv1": {"activation": 6}, "conv3": 4, "conv5": {"weight": 3}, "conv8": 11, "fc1": {"weight": 2}}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlEngine]:
    """One simulator for all widths."""
    with RtlEngine(CAP, "verilator") as engine:
        yield engine


def stored(graph: Graph, narrow: Graph, picture: Path) -> Integers:
    """A picture as the input of the network at other widths."""
    source = graph.maps[graph.input]
    (found,) = load_inputs([picture], source)
    values = found.values.astype(np.int64) - source.minimum
    return widths.resample(values, source, narrow.maps[narrow.input].bits)


def assert_exact(graph: Graph, result: NetworkResult, values: Integers) -> None:
    """Every map equals that of the integer operators, and every counter the law of another process."""
    expected = operators.run(graph, values)
    (maps,) = result.maps
    assert maps.keys() == expected.keys()
    for name, numbers in expected.items():
        assert np.array_equal(maps[name], numbers), name
    assert_laws(result.layers, laws_of_another_process(graph, CAP))


def report(tmp_path: Path, *options: str) -> dict[str, Any]:
    """The JSON of ``bfimna run resnet8`` without what differs from run to run: the wall time."""
    file = tmp_path / "report.json"
    assert cli.main(["run", "resnet8", "--input", str(CAT), "--json", str(file), *options]) == 0
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["wall_s"]
    return content


@pytest.mark.slow
def test_8_bits_equal_no_flag_on_the_same_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    usual = sim.rtl_engine.build

    def recording(*arguments: Any, **options: Any) -> Build:
        built = usual(*arguments, **options)
        keys.append(built.key)
        return built

    monkeypatch.setattr(sim.rtl_engine, "build", recording)
    table = tmp_path / "widths.json"
    table.write_text(json.dumps(MIXED), encoding="utf-8")
    plain, eight = report(tmp_path), report(tmp_path, "--bits", "8")
    assert plain == eight
    assert plain["engine"] == "rtl"
    others = [report(tmp_path, "--bits", bits) for bits in ("5", str(table))]
    assert len({json.dumps(one["layers"]) for one in (plain, *others)}) == 3
    assert {one["config_hash"] for one in others} == {plain["config_hash"]}
    assert len(keys) == 4
    assert len(set(keys)) == 1, "all widths run on one build"


@pytest.mark.parametrize("bits", [1, 5, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (4, 6, 7, 16))])
def test_every_width_is_exact_on_the_hardware(graph: Graph, engine: RtlEngine, bits: int) -> None:
    narrow = widths.apply(graph, bits)
    values = stored(graph, narrow, CAT)
    assert_exact(narrow, run_graph(narrow, [values], engine), values)


def test_widths_by_layer_are_exact_on_the_hardware(graph: Graph, engine: RtlEngine, tmp_path: Path) -> None:
    table = tmp_path / "widths.json"
    table.write_text(json.dumps(MIXED), encoding="utf-8")
    mixed = widths.apply(graph, widths.read_table(table))
    found = {layer.name: layer.weight_bits for layer in mixed.layers if isinstance(layer, Conv)}
    assert found == dict.fromkeys(found, 8) | {"conv3": 4, "conv5": 3, "conv8": 11, "fc1": 2}
    values = stored(graph, mixed, CAT)
    result = run_graph(mixed, [values], engine)
    assert_exact(mixed, result, values)


@pytest.mark.slow
def test_dot_cycles_at_4_bits_are_a_quarter_of_those_at_8(graph: Graph, engine: RtlEngine) -> None:
    results: dict[int, NetworkResult] = {}
    for bits in (8, 4):
        network = widths.apply(graph, bits)
        results[bits] = run_graph(network, [stored(graph, network, CAT)], engine)
    convs = 0
    for layer, wide, narrow in zip(graph.layers, results[8].layers, results[4].layers, strict=True):
        if not isinstance(layer, Conv):
            continue
        convs += 1
        # As many DOTs, each of a quarter of the compares: 4 * 4 pairs of bits in place of 8 * 8 (the mapper may spread
        # the pairs over idle taps, at both widths alike).
        assert wide.plan.fills == narrow.plan.fills > 0
        assert wide.plan.dot_cycles == 4 * narrow.plan.dot_cycles > 0
        # The hardware spent those cycles and the law's few for each DOT and each reading of totals.
        for one in (wide, narrow):
            assert one.counters["cycles.compute"] == one.law["cycles.compute"] > one.plan.dot_cycles
            assert one.counters["events.compares"] >= one.plan.dot_cycles
    assert convs == 10


@pytest.mark.parametrize("bits", [1, 16])
def test_the_narrowest_and_the_widest_are_exact_on_golden(graph: Graph, bits: int) -> None:
    network = widths.apply(graph, bits)
    values = stored(graph, network, CAT)
    assert_exact(network, run_graph(network, [values], GoldenTile(CAP)), values)


@pytest.mark.parametrize(("bits", "wanted"), [(4, 0), (5, 8), (6, 8), (7, 8), (8, 9)])
def test_classes(graph: Graph, bits: int, wanted: int) -> None:
    network = widths.apply(graph, bits)
    right = 0
    for picture in PICTURES:
        logits = operators.run(network, stored(graph, network, picture))[network.output]
        right += int(np.argmax(logits)) == int(picture.stem.rsplit("_", 1)[1])
    print(f"{bits} bits: {right} of {len(PICTURES)} right")
    assert right >= wanted
