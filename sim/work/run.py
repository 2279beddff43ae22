"""Runs inputs through a network on the tiles of this process, of several, or of a cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.counter_map import total_cycles
from sim.engines import create_engine
from sim.evaluate.journal import source_hash
from sim.host import Network
from sim.mapping.kept_laws import kept_laws
from sim.progress import cycle_progress
from sim.work.identity import content_hash
from sim.work.journal import RunJournal, journal_path
from sim.work.pool import Here, Pool
from sim.work.processes import Processes
from sim.work.schedule import Outcome, run_units
from sim.work.units import Work, Worker
from sim.work.way import Way

__all__ = ["run_inputs"]


def run_inputs(
    work: Work, inputs: Sequence[NDArray[np.integer[Any]]], way: Way, tool: str = ""
) -> tuple[Outcome, float, RunJournal | None]:
    """Run inputs, with progress on a terminal.

    Parameters
    ----------
    work : network, tile and engine; not the laws.
    inputs : stored numbers, as :func:`sim.work.schedule.run_units` takes them.
    way : how.
    tool : name and version of the simulator, which journals depend on.

    Returns what came out, the seconds of making the engines, and the journal, which is closed.

    Raises
    ------
    MappingError
        If a layer does not fit the tile.
    UserError, TileError, SimulationError, ValueError
        As :func:`sim.work.schedule.run_units`, :func:`sim.engines.create_engine`, the pools and the journal.
    """
    # What does not fit is refused before hardware is built.
    network = Network(work.graph, work.config, mode=work.mode, laws=kept_laws)
    started = time.perf_counter()
    with ExitStack() as stack:
        key = _key(work, inputs, way, tool) if way.journal or way.cluster is not None else ""
        pool = _pool(work, network, len(inputs), way, key)
        stack.callback(pool.close)
        built = time.perf_counter() - started
        # Opened after processes are there, which would hold its lock as long as they live.
        journal = stack.enter_context(RunJournal(journal_path(key), key, resume=way.resume)) if way.journal else None
        laws = [total_cycles(law) if law else 0 for law in network.laws]
        left = len(inputs) * sum(laws) - sum(laws[layer] for _, layer in journal.finished) if journal else 0
        left = left if journal else len(inputs) * sum(laws)
        advance = stack.enter_context(cycle_progress(work.graph.name, left))
        outcome = run_units(network, inputs, pool, independent=way.independent, journal=journal, advance=advance)
    outcome.seconds = max(outcome.seconds - pool.built, 0.0)
    return outcome, built + pool.built, journal


def _pool(work: Work, network: Network, inputs: int, way: Way, key: str) -> Pool:
    """What runs the units, no more workers than can have something to do."""
    if way.cluster is not None:
        from sim.work.cluster import Cluster

        return Cluster(work, way.cluster, key)
    workers = min(way.jobs, inputs * max(1, *(len(plan.jobs) for plan in network.plans)))
    if workers <= 1:
        return Here(Worker(work, network))
    if work.engine == "turbo":
        create_engine("turbo", work.config, **work.options).close()  # built once, and found by all
    return Processes(work, network, workers)


def _key(work: Work, inputs: Sequence[NDArray[np.integer[Any]]], way: Way, tool: str) -> str:
    """A hash of everything that decides what comes out."""
    return content_hash(work, list(inputs), way.independent, tool, source_hash())
