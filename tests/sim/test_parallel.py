"""Inputs shared out over processes: the same results, whatever the number of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.engine import TileError
from hw.config import CONFIGS
from sim import cli
from sim.errors import UserError
from sim.models import data_file, load_model
from sim.parallel import Work, run_inputs

PICTURES = [str(data_file(f"cifar10/cifar10_{name}.png")) for name in ("00_3", "02_8", "16_5")]


def report(folder: Path, engine: str, jobs: int) -> dict[str, Any]:
    target = folder / f"{jobs}.json"
    command = ["run", "resnet8", "--input", *PICTURES, "--engine", engine, "--jobs", str(jobs), "--json", str(target)]
    assert cli.main(command) == 0
    found = json.loads(target.read_text())
    del found["wall_s"]
    return found


@pytest.mark.parametrize("engine", ["golden", pytest.param("rtl", marks=pytest.mark.slow)])
def test_results_do_not_depend_on_jobs(engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    alone = report(tmp_path, engine, 1)
    assert report(tmp_path, engine, 2) == alone
    assert [one["file"] for one in alone["inputs"]] == PICTURES
    assert [(one["top1"], one["label"], one["expected"]) for one in alone["inputs"]] == [
        (3, "cat", 3),
        (8, "ship", 8),
        (7, "horse", 5),
    ]
    assert "\n2 of 3 classes as the files' names say\n" in capfd.readouterr().out
    # Every count of a layer is the sum over the inputs.
    conv1 = alone["layers"][0]
    assert (conv1["macs"], conv1["cycles"]["total"]) == (3 * 442368, conv1["cycles"]["law"])
    assert alone["total"]["macs"] == 3 * 12501632
    assert alone["total"]["cycles"] == alone["layers"][-1]["end"] == alone["total"]["law"]


def test_errors_come_back_from_the_processes() -> None:
    graph = load_model("resnet8")
    feature_map = graph.maps[graph.input]
    inputs = [np.zeros(feature_map.shape, np.int64)] * 2
    work = Work(graph=graph, config=CONFIGS["cap16"], engine="golden", seed=1)
    with pytest.raises(UserError, match=r"^layer 'conv1' needs columns of at least 71, config cap16 has 16; .*$"):
        run_inputs(work, inputs, 2, lambda _: None)


def test_a_process_that_dies_is_an_error() -> None:
    graph = load_model("resnet8")
    shape = graph.maps[graph.input].shape

    class Unpicklable:
        """Refuses to arrive in another process."""

        def __reduce__(self) -> Any:
            return (exit, (3,))

    work = Work(graph=graph, config=CONFIGS["cap"], engine="golden", seed=1, options={"no": Unpicklable()})
    with pytest.raises(TileError, match=r"^a process ended in the middle of its inputs$"):
        run_inputs(work, [np.zeros(shape, np.int64)] * 2, 2, lambda _: None)
