"""``bfimna run`` on accelerators: the report, what the engines agree on, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import operators
from golden.graph import Graph
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from sim.accelerator.run import run_inputs
from sim.cli import main
from sim.models import load_model
from sim.report import AcceleratorReport, PhaseReport, RunReport, WallSeconds, differences
from tests.sim.mapping_graphs import random_graph, random_input

MESH = ACCELERATORS["mesh2x2"]
TINY = ACCELERATORS["meshtiny"]
RUN = ("run", "resnet8", "--config", "mesh2x2")


def report(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """The JSON that a run prints."""
    assert main([*arguments, "--json", "-"]) == status
    return json.loads(capfd.readouterr().out)


def test_report_of_the_law(capfd: pytest.CaptureFixture[str]) -> None:
    found = report(capfd, *RUN, "--engine", "model")
    assert found["config_hash"] == MESH.hash_text
    assert found["config"]["cap"]["rows"] == 1024
    own = found["accelerator"]
    cycles = found["total"]["cycles"]
    assert cycles == found["total"]["law"] == sum(phase["law"] for phase in own["phases"])
    assert [phase["kind"] for phase in own["phases"]].count("setup") == 1
    for kind, tiles in (("cap", MESH.caps), ("map", MESH.maps)):
        assert sum(own["states"][kind].values()) == cycles * tiles * MESH.clusters
    assert [layer["name"] for layer in found["layers"]][-1] == "fc1"
    assert sum(layer["macs"] for layer in found["layers"]) == 12_501_632
    for layer in found["layers"]:
        parts = {name: value for name, value in layer["cycles"].items() if name not in ("total", "law")}
        assert sum(parts.values()) == layer["cycles"]["total"]


def test_golden_compares_every_map(capfd: pytest.CaptureFixture[str]) -> None:
    found = report(capfd, *RUN, "--engine", "golden")
    assert all(layer["bit_exact"] for layer in found["layers"])
    assert found["inputs"][0]["top1"] == 3


def test_integer_needs_no_accelerator(capfd: pytest.CaptureFixture[str]) -> None:
    found = report(capfd, *RUN, "--engine", "integer")
    assert "accelerator" not in found
    assert found["inputs"][0]["top1"] == 3


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--engine", "model"]) == 0
    text = capsys.readouterr().out
    assert "config mesh2x2: 2 x 2 clusters of 2 CAPs (1,024 x 128) and 1 MAP (1,024 x 640), P=256" in text
    assert "wait for planes" in text
    assert "words of the host for one input: input 512, weights 9,792" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--mode", "lut"), "--mode must be count for an accelerator (mesh2x2), not lut"),
        (("--jobs", "2"), "--jobs must be 1 for an accelerator (mesh2x2), not 2"),
        (("--resume",), "--resume is not for an accelerator (mesh2x2), whose layers run together"),
        (("--config", "mesh2"), "config must be one of tiny, "),
    ],
)
def test_refused(arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, *arguments]) == 2
    told = capsys.readouterr().err
    assert text in told
    assert told.count("\n") == 1


def test_a_config_from_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(MESH.replace(name="wide", width=3, height=1).as_dict()), encoding="utf-8")
    found = report(capfd, "run", "resnet8", "--config", str(path), "--engine", "model")
    assert found["config"]["name"] == "wide"


def test_too_few_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.json"
    small = MESH.replace(name="small", map=MESH.map.replace(columns=128))
    path.write_text(json.dumps(small.as_dict()), encoding="utf-8")
    assert main(["run", "resnet8", "--config", str(path), "--engine", "model"]) == 2
    assert "columns of at least" in capsys.readouterr().err


def graph_that_fits(config: AcceleratorConfig, seed: int) -> Graph:
    """A convolution that a small accelerator holds."""
    graph = random_graph(np.random.default_rng(seed), "conv2d")
    run_inputs(graph, config, [], "model")
    return graph


def test_several_inputs_are_summed() -> None:
    graph = load_model("resnet8")
    one, _ = run_inputs(graph, MESH, [np.zeros((32, 32, 3), np.int64)], "model")
    two, _ = run_inputs(graph, MESH, [np.zeros((32, 32, 3), np.int64)] * 2, "model")
    for single, both in zip(one.layers, two.layers, strict=True):
        assert both.cycles.total == both.cycles.law == 2 * single.cycles.total
        assert both.macs == 2 * single.macs


def test_outputs_of_several_inputs() -> None:
    graph = graph_that_fits(TINY, 3)
    rng = np.random.default_rng(4)
    inputs = [random_input(rng, graph) for _ in range(3)]
    result, _ = run_inputs(graph, TINY, inputs, "golden")
    for values, output in zip(inputs, result.outputs, strict=True):
        assert np.array_equal(output, operators.run(graph, values)[graph.output])


def test_differences_are_told() -> None:
    states = {"cap": {"busy": 5, "idle": 5}}
    own = AcceleratorReport(
        phases=[PhaseReport(kind="compute", layers=["a", "b"], law=10, cycles=[10, 11])],
        states=states,
        law_states={"cap": {"busy": 6, "idle": 5}},
        host_words={},
    )
    told = RunReport(
        model="m", engine="rtl", simulator=None, seed=1, config_hash="", config={}, mode="count", inputs=[], layers=[],
        wall_s=WallSeconds(build=0, simulate=0, total=0), accelerator=own,
    )  # fmt: skip
    assert differences(told) == [
        "phase 0 (compute of a+b): 11 cycles, the law says 10",
        "CAPs: 5 cycles busy, the law says 6",
    ]
