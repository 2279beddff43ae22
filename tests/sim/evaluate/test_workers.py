from __future__ import annotations

import itertools
import math
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
from distributed import LocalCluster
from distributed.scheduler import KilledWorker

from golden.engine import TileError
from sim.errors import UserError
from sim.evaluate import workers
from sim.evaluate.workers import finished

NO_CLUSTER = "^--cluster must be the address of a Dask scheduler that answers, such as tcp://host:8786; "


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes whatever they are worth."""
    monkeypatch.setattr(workers, "_worth_processes", lambda *_: True)


def started(**options: Any) -> Any:
    """A cluster in threads of this process."""
    return LocalCluster(processes=False, dashboard_address=":0", **options)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with started(n_workers=1, threads_per_worker=2) as local:
        yield local.scheduler_address


def test_here() -> None:
    assert list(finished(math.sqrt, [4.0, 9.0])) == [(0, 2.0), (1, 3.0)]
    assert list(finished(math.sqrt, [4.0, 9.0], jobs=8)) == [(0, 2.0), (1, 3.0)]
    assert list(finished(math.sqrt, [], jobs=8)) == []


@pytest.mark.parametrize(
    ("elapsed", "total", "left", "worth"),
    [(0.9, 100, 99, False), (1.1, 100, 99, True), (5, 10, 3, True), (5, 10, 2, False)],
)
def test_processes_when_they_pay(elapsed: float, total: int, left: int, worth: bool) -> None:
    assert workers._worth_processes(elapsed, total, left) is worth


@pytest.mark.parametrize(
    ("kinds", "count", "sizes"),
    [
        ("aaabbb", 1, [2, 1, 2, 1]),
        ("aaabbb", 2, [1] * 6),
        ("aab" * 20, 1, [2, 1] * 20),
        ("a" * 200, 2, [16] * 12 + [8]),
    ],
)
def test_batches(kinds: str, count: int, sizes: list[int]) -> None:
    items = list(enumerate(kinds))
    batches = workers._batches(items, str, count)
    assert [item for batch in batches for item in batch] == items
    assert list(map(len, batches)) == sizes


@pytest.mark.usefixtures("eager")
def test_processes() -> None:
    numbers = [float(number) for number in range(40)]
    assert sorted(finished(math.sqrt, numbers, jobs=2)) == list(enumerate(map(math.sqrt, numbers)))
    assert os.getpid() not in dict(finished(_process, [0, 1], jobs=2)).values()


@pytest.mark.usefixtures("eager")
def test_ended_process() -> None:
    with pytest.raises(TileError, match=r"^a process ended in the middle of its points$"):
        list(finished(os._exit, [3, 3], jobs=2))


def test_cluster(cluster: str) -> None:
    numbers = [float(number) for number in range(40)]
    assert sorted(finished(math.sqrt, numbers, cluster=cluster)) == list(enumerate(map(math.sqrt, numbers)))
    assert list(finished(math.sqrt, [], cluster=cluster)) == []


def test_cluster_with_other_sources(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "source_hash", itertools.count().__next__)
    with pytest.raises(UserError, match=r"^--cluster workers must have the same bfimna .* they have another$"):
        list(finished(math.sqrt, [4.0], cluster=cluster))


def test_ended_worker_of_a_cluster(cluster: str) -> None:
    with pytest.raises(TileError, match=r"^a worker ended in the middle of its points$"):
        list(finished(_killed, [4.0], cluster=cluster))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nowhere", "missing port number in address 'nowhere'"),
        ("foo://127.0.0.1:1", "unknown address scheme 'foo' .*"),
        ("", "missing port number in address ''"),
    ],
)
def test_no_address(address: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"{NO_CLUSTER}'{address}' does not: {reason}$"):
        list(finished(math.sqrt, [4.0], cluster=address))


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.2)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"{NO_CLUSTER}'{address}' does not: Timed out .*$"):
            list(finished(math.sqrt, [4.0], cluster=address))


def test_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.5)
    with started(n_workers=0) as local:
        address = local.scheduler_address
        with pytest.raises(UserError, match=f"^--cluster must have workers, {address} has none$"):
            list(finished(math.sqrt, [4.0], cluster=address))


def test_no_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"^--cluster needs the package distributed: pip install 'bfimna\[cluster\]'$"):
        list(finished(math.sqrt, [4.0], cluster="tcp://127.0.0.1:1"))


def _process(_: int) -> int:
    return os.getpid()


def _killed(_: float) -> None:
    raise KilledWorker("task", cast(Any, None), 0)
