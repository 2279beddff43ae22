"""Units on a Dask cluster: the same results as here, and its errors in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from golden.engine import TileError
from hw.config import CONFIGS
from sim import cli
from sim.errors import UserError
from sim.models import data_file, load_model
from sim.work import cluster as module
from sim.work.cluster import Cluster
from sim.work.maps import pack_numbers
from sim.work.units import LayerPart, LayerUnit, Work
from tests.sim.mapping_graphs import random_graph, random_input

PICTURES = [str(data_file(f"cifar10/cifar10_{name}.png")) for name in ("00_3", "02_8")]
SMALL = CONFIGS["small"]


def started(**options: Any) -> Any:
    return LocalCluster(dashboard_address=":0", **options)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two workers, each a process."""
    with started(n_workers=2, threads_per_worker=1) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def threads() -> Iterator[str]:
    """A worker of two threads in this process."""
    with started(n_workers=1, threads_per_worker=2, processes=False) as local:
        yield local.scheduler_address


def small_work() -> tuple[Work, LayerUnit]:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    values = random_input(np.random.default_rng(1), graph)
    operand = pack_numbers(values, graph.maps[graph.input].bits)
    return Work(graph=graph, config=SMALL, engine="golden", seed=1), LayerUnit(0, 0, range(1), 0, (operand,))


def result(target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    found = json.loads(target.read_text())
    return found, found.pop("wall_s")


@pytest.mark.parametrize("engine", ["golden", pytest.param("turbo", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_two_processes(cluster: str, engine: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    command = ["run", "resnet8", "--input", *PICTURES, "--engine", engine, "--json"]
    assert cli.main([*command, str(here)]) == 0
    assert cli.main([*command, str(there), "--cluster", cluster]) == 0
    (alone, _), (shared, how) = result(here), result(there)
    assert shared == alone
    assert (how["jobs"], how["cluster"]) == (2, cluster)


def test_units_on_threads(threads: str) -> None:
    work, unit = small_work()
    pool = Cluster(work, threads, "threads")
    assert (pool.workers, pool.room) == (2, 4)
    for _ in range(4):
        pool.give(unit)
    assert pool.room == 0
    answers = [pool.take()[1] for _ in range(4)]
    pool.close()
    first = answers[0]
    assert isinstance(first, LayerPart)
    for one in answers:
        assert isinstance(one, LayerPart)
        assert one.counters == first.counters
        assert np.array_equal(one.output.numbers, first.output.numbers)
    assert module._WORKERS.idle("threads") == 0


def test_errors_come_back(threads: str) -> None:
    _, unit = small_work()
    graph = load_model("resnet8")
    pool = Cluster(Work(graph=graph, config=CONFIGS["cap16"], engine="golden", seed=1), threads, "errors")
    pool.give(unit)
    with pytest.raises(UserError, match=r"^layer 'conv1' needs columns of at least 71, config cap16 has 16; .*$"):
        pool.take()
    pool.close()


@pytest.mark.slow
def test_worker_that_dies(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work, unit = small_work()
    monkeypatch.setattr(module, "_do", _dies)
    pool = Cluster(work, cluster, "dies")
    pool.give(unit)
    with pytest.raises(TileError, match=r"^a worker of the cluster ended in the middle of its inputs$"):
        pool.take()
    pool.close()


def _dies(*_parameters: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_other_sources(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "source_hash", threading.get_ident)  # workers have threads of their own
    with pytest.raises(UserError, match=r"^--cluster workers must have the same bfimna .* they have another$"):
        Cluster(small_work()[0], threads, "other")


def test_no_cluster(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "resnet8", "--engine", "golden", "--cluster", "nowhere"]) == 2
    assert capfd.readouterr().err == (
        "bfimna: error: --cluster must be the address of a Dask scheduler that answers, such as tcp://host:8786; "
        "'nowhere' does not: missing port number in address 'nowhere'\n"
    )


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"^--cluster must be .*; '{address}' does not: Timed out .*$"):
            Cluster(small_work()[0], address, "none")


def test_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    with started(n_workers=0, processes=False) as local:
        address = local.scheduler_address
        with pytest.raises(UserError, match=f"^--cluster must have workers, {address} has none$"):
            Cluster(small_work()[0], address, "none")


def test_no_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"^--cluster needs the package distributed: pip install 'bfimna\[cluster\]'$"):
        Cluster(small_work()[0], "tcp://127.0.0.1:1", "none")
