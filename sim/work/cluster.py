"""Units on the workers of a Dask scheduler."""

from __future__ import annotations

import queue
import threading
from typing import Any

from golden.engine import TileError
from sim.errors import UserError
from sim.evaluate.journal import source_hash
from sim.work.scheduler import connected
from sim.work.units import Answer, Unit, Work, Worker

__all__ = ["Cluster"]

CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer."""

AHEAD = 2
"""Units given for each that can run, so that none waits for the network."""


class Cluster:
    """A pool of the workers of a Dask scheduler; each thread of theirs has an engine of its own.

    Parameters
    ----------
    work : what the units belong to.
    address : of the scheduler.
    key : names the work on the cluster.

    Raises
    ------
    UserError
        If there is no such cluster, or other sources of bfimna are installed there.
    """

    def __init__(self, work: Work, address: str, key: str) -> None:
        self.built = 0.0
        self._key = key
        self._client = connected(address, CONNECT_SECONDS)
        self._given: dict[Any, Unit] = {}
        self._done: queue.Queue[Any] = queue.Queue()
        try:
            try:
                self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            except TimeoutError:
                raise UserError(f"--cluster must have workers, {address} has none") from None
            if set(self._client.run(source_hash).values()) != {source_hash()}:
                raise UserError(
                    "--cluster workers must have the same bfimna installed as this machine, they have another"
                )
            self.workers = max(1, sum(self._client.ncores().values()))
            self._work = self._client.scatter(work, broadcast=True, hash=False)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sources(self) -> set[str]:
        """Hashes of the sources on all workers, an empty text for none."""
        try:
            return set(self._client.run(source_hash).values())
        except ImportError:
            return {""}

    @property
    def room(self) -> int:
        """Units that keep all workers busy, less those that are under way."""
        return AHEAD * self.workers - len(self._given)

    def give(self, unit: Unit) -> None:
        """Submit a unit."""
        future = self._client.submit(_do, self._key, self._work, unit, pure=False)
        self._given[future.key] = unit
        future.add_done_callback(self._done.put)

    def take(self) -> tuple[Unit, Answer]:
        """Wait for a unit."""
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        future = self._done.get()
        try:
            answer, built = future.result()
        except (KilledWorker, CancelledError) as error:
            raise TileError("a worker of the cluster ended in the middle of its inputs") from error
        self.built = max(self.built, built)
        return self._given.pop(future.key), answer

    def close(self) -> None:
        """Cancel what is under way, and have the workers release their engines."""
        try:
            self._given.clear()
            self._client.run(_forget, self._key)
        finally:
            self._client.close()


class _Workers:
    """Those of one process of the cluster: as many as it has threads at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[Worker]] = {}

    def take(self, key: str, work: Work) -> Worker:
        """A worker that nobody else has."""
        with self._lock:
            idle = self._idle.setdefault(key, [])
            return idle.pop() if idle else Worker(work)

    def give_back(self, key: str, worker: Worker) -> None:
        """Keep a worker for the next unit; close it where the work has ended meanwhile."""
        with self._lock:
            idle = self._idle.get(key)
            if idle is not None:
                idle.append(worker)
                return
        worker.close()

    def idle(self, key: str) -> int:
        """Workers that are kept for some work."""
        with self._lock:
            return len(self._idle.get(key, ()))

    def forget(self, key: str) -> None:
        """Close all workers of some work."""
        with self._lock:
            idle = self._idle.pop(key, [])
        for worker in idle:
            worker.close()


_WORKERS = _Workers()


def _do(key: str, work: Work, unit: Unit) -> tuple[Answer, float]:
    """Do a unit, in a process of the cluster."""
    worker = _WORKERS.take(key, work)
    try:
        return worker.do(unit), worker.built
    finally:
        _WORKERS.give_back(key, worker)


def _forget(key: str) -> None:
    _WORKERS.forget(key)
