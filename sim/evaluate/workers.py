"""Shares work out over processes or over a cluster, when that is quicker than doing it here."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from typing import Any, TypeVar, cast

from golden.engine import TileError
from sim.errors import UserError
from sim.evaluate.journal import source_hash
from sim.work.scheduler import connected

__all__ = ["finished"]

HEAD_START = 1.0
"""Seconds in which work is done here before processes are thought of."""

WORTH = 2.0
"""Seconds that must be left for processes to be started: they take about one until they work."""

BATCH = 16
"""Items at most that go to a worker at once, to share what it has read and found for the ones before."""

CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Batch = Sequence[tuple[int, Any]]


def finished(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    kind: Callable[[Item], object] = lambda _: None,
    jobs: int = 1,
    cluster: str | None = None,
) -> Iterator[tuple[int, Result]]:
    """Give the number of each item and what *function* made of it, as it is finished: in any order.

    Parameters
    ----------
    function : can be pickled, as can items and results, unless ``jobs`` is 1; raises only what ends everything.
    items : what to work on.
    kind : neighbours of the same kind go to the same worker, which has already found out what they have in common.
    jobs : processes at most. None is started when this process is through soon by itself.
    cluster : address of a Dask scheduler, whose workers do everything; None: this machine.

    Raises
    ------
    UserError
        If there is no such cluster, or other sources of bfimna are installed there.
    TileError
        If a worker ended before its work.
    """
    left = list(enumerate(items))
    if cluster is not None:
        yield from _on_cluster(function, left, kind, cluster)
        return
    started = time.perf_counter()
    while left and not (jobs > 1 and _worth_processes(time.perf_counter() - started, len(items), len(left))):
        number, item = left.pop(0)
        yield number, function(item)
    if left:
        yield from _joblib(_Work(function), _batches(left, kind, jobs), n_jobs=min(jobs, len(left)), backend="loky")


class _Work:
    """What a worker does with numbered items; raises when its sources are not those that it should have."""

    def __init__(self, function: Callable[[Any], Any], sources: str | None = None) -> None:
        self.function = function
        self.sources = sources

    def __call__(self, batch: Batch) -> list[tuple[int, Any]]:
        if self.sources not in (None, source_hash()):
            raise UserError("--cluster workers must have the same bfimna installed as this machine, they have another")
        return [(number, self.function(item)) for number, item in batch]


def _worth_processes(elapsed: float, total: int, left: int) -> bool:
    """Return whether starting processes pays, by how long the items so far have taken."""
    return elapsed > HEAD_START and elapsed / (total - left) * left > WORTH


def _batches(items: Batch, kind: Callable[[Any], object], workers: int) -> list[Batch]:
    """Neighbours of a kind together, but at most :data:`BATCH`, and some batches for every worker."""
    most = min(BATCH, -(-len(items) // (4 * workers)))
    groups = (list(group) for _, group in itertools.groupby(items, lambda numbered: kind(numbered[1])))
    return [group[start : start + most] for group in groups for start in range(0, len(group), most)]


def _joblib(work: _Work, batches: Sequence[Batch], **backend: Any) -> Iterator[tuple[int, Any]]:
    """Let joblib do the work; when this is left early, its processes are ended."""
    import joblib

    with joblib.parallel_config(**backend), _interrupts_ignored():
        results: Any = joblib.Parallel(return_as="generator_unordered", batch_size=cast(Any, 1))(
            joblib.delayed(work)(batch) for batch in batches
        )
    try:
        with closing(results):
            for result in results:
                yield from result
    except BrokenProcessPool as error:
        raise TileError("a process ended in the middle of its points") from error


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore interrupts from the keyboard for a moment, and let processes that start meanwhile always ignore them.

    They reach all processes of a terminal at once; it is this process that ends the others.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_cluster(
    function: Callable[[Any], Any], items: Batch, kind: Callable[[Any], object], address: str
) -> Iterator[tuple[int, Any]]:
    """Let the workers of a Dask scheduler do the work."""
    client = connected(address, CONNECT_SECONDS)
    from distributed.scheduler import KilledWorker

    with client:
        if not items:
            return
        try:
            yield from _joblib(
                _Work(function, source_hash()),
                _batches(items, kind, max(1, sum(client.ncores().values()))),
                backend="dask",
                client=client,
                wait_for_workers_timeout=CONNECT_SECONDS,
            )
        except TimeoutError:
            raise UserError(f"--cluster must have workers, {address} has none") from None
        except KilledWorker as error:
            raise TileError("a worker ended in the middle of its points") from error
