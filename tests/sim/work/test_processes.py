"""Work shared out over processes: the same results, whatever the number of them."""

from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.engine import TileError
from golden.graph import Graph
from hw.config import CONFIGS
from sim import cli
from sim.errors import UserError
from sim.host import Network
from sim.models import data_file, load_model
from sim.work.maps import pack_numbers
from sim.work.processes import Processes
from sim.work.run import run_inputs
from sim.work.units import LayerUnit, Work
from sim.work.way import Way

PICTURES = [str(data_file(f"cifar10/cifar10_{name}.png")) for name in ("00_3", "02_8", "16_5")]


def report(folder: Path, engine: str, jobs: int) -> dict[str, Any]:
    target = folder / f"{jobs}.json"
    command = ["run", "resnet8", "--input", *PICTURES, "--engine", engine, "--jobs", str(jobs), "--json", str(target)]
    assert cli.main(command) == 0
    found = json.loads(target.read_text())
    del found["wall_s"]
    return found


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


@pytest.mark.parametrize("engine", ["golden", "turbo", pytest.param("rtl", marks=pytest.mark.slow)])
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


def test_errors_come_back_from_the_processes(resnet8: Graph) -> None:
    graph = resnet8
    feature_map = graph.maps[graph.input]
    inputs = [np.zeros(feature_map.shape, np.int64)] * 2
    work = Work(graph=graph, config=CONFIGS["cap16"], engine="golden", seed=1)
    with pytest.raises(UserError, match=r"^layer 'conv1' needs columns of at least 71, config cap16 has 16; .*$"):
        run_inputs(work, inputs, Way(jobs=2))


def test_a_process_that_dies_is_an_error(resnet8: Graph) -> None:
    work = Work(graph=resnet8, config=CONFIGS["cap"], engine="golden", seed=1)
    with Processes(work, Network(resnet8, CONFIGS["cap"]), 2) as pool:
        before = multiprocessing.active_children()
        pool.give(unit(resnet8))
        for process in before:
            process.kill()
        with pytest.raises(TileError, match=r"^a process ended in the middle of its inputs$"):
            pool.take()
    assert len(before) == 2
    assert not multiprocessing.active_children()


def test_a_process_that_died_before_is_an_error(resnet8: Graph) -> None:
    work = Work(graph=resnet8, config=CONFIGS["cap"], engine="golden", seed=1)
    with Processes(work, Network(resnet8, CONFIGS["cap"]), 1) as pool:
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(TileError, match=r"^a process ended in the middle of its inputs$"):
            send_and_wait(pool, unit(resnet8))


def test_processes_that_begin_anew(resnet8: Graph) -> None:
    work = Work(graph=resnet8, config=CONFIGS["cap"], engine="golden", seed=1)
    network = Network(resnet8, CONFIGS["cap"])
    answers: list[Any] = []
    for threads in (0, 1):  # beside a thread, processes are no copies of this one
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        if threads:
            thread.start()
        try:
            with Processes(work, network, 1) as pool:
                pool.give(unit(resnet8))
                answers.append(pool.take()[1])
        finally:
            ended.set()
            if threads:
                thread.join()
    assert answers[0].counters == answers[1].counters
    assert np.array_equal(answers[0].output.numbers, answers[1].output.numbers)


def unit(graph: Graph) -> LayerUnit:
    source = graph.maps[graph.input]
    return LayerUnit(0, 0, range(1), 0, (pack_numbers(np.zeros(source.shape, np.int64), source.bits),))


def send_and_wait(pool: Processes, sent: LayerUnit) -> None:
    pool.give(sent)
    pool.take()


def test_layers_from_the_integer_operators(tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    for number, options in enumerate(((), ("--independent", "--jobs", "2"))):
        target = tmp_path / f"{number}.json"
        command = ["run", "resnet8", "--input", PICTURES[0], "--engine", "turbo", "--json", str(target), *options]
        assert cli.main(command) == 0
        reports.append(json.loads(target.read_text()))
    for found, start in zip(reports, ("rtl", "golden"), strict=True):
        assert {layer.pop("started_from") for layer in found["layers"]} == {start}
        how = found.pop("wall_s")
        assert how["cycles_per_second"] > 0
        assert 0 < how["hardware_cycles_per_second"] == found["total"]["cycles"] / how["hardware"]
    assert reports[0] == reports[1]
