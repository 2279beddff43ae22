"""Shares the inputs of a run out over processes, each with an engine of its own; results do not depend on how many."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from golden.engine import TileError
from golden.graph import Graph
from hw.config import TileConfig
from sim.engines import create_engine
from sim.host import LayerResult, Network, NetworkResult, add_counters, run_graph
from sim.mapping.plan import MODES

__all__ = ["Work", "run_inputs"]

Inputs = Sequence[NDArray[np.integer[Any]]]
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every process does with its inputs.

    Parameters
    ----------
    graph, config : the network and the tile.
    engine, seed, options : as :func:`sim.engines.create_engine` takes them.
    mode : as :class:`sim.host.Network` takes it.
    """

    graph: Graph
    config: TileConfig
    engine: str
    seed: int
    mode: str = MODES[0]
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class _Done:
    """What a process sends when it is through: its result, and the seconds that making the engine took."""

    result: NetworkResult
    built: float


def run_inputs(work: Work, inputs: Inputs, jobs: int, progress: Progress) -> tuple[NetworkResult, float]:
    """Run *inputs*, at most *jobs* of them at once.

    Returns the result, as if one engine had run all of them in order, and the seconds of making the engines.

    Raises
    ------
    UserError, TileError, SimulationError
        As :func:`sim.host.run_graph` and :func:`sim.engines.create_engine`; the other processes are ended.
    """
    jobs = min(jobs, len(inputs))
    if jobs <= 1:
        done = _run(work, inputs, progress)
        return done.result, done.built
    started = time.perf_counter()
    finished = _run_processes(work, [inputs[index::jobs] for index in range(jobs)], progress)
    built = max(done.built for done in finished)
    maps = [finished[index % jobs].result.maps[index // jobs] for index in range(len(inputs))]
    layers = [_merged(parts) for parts in zip(*(done.result.layers for done in finished), strict=True)]
    prepared = max(done.result.prepare_seconds for done in finished)
    elapsed = time.perf_counter() - started
    return NetworkResult(maps, layers, prepared, max(elapsed - built - prepared, 0.0)), built


def _run(work: Work, inputs: Inputs, progress: Progress) -> _Done:
    """Run inputs in this process, one after the other."""
    network = Network(work.graph, work.config, mode=work.mode)  # refuses what does not fit before hardware is built
    started = time.perf_counter()
    engine = create_engine(work.engine, work.config, seed=work.seed, **work.options)
    built = time.perf_counter() - started
    try:
        result = run_graph(work.graph, inputs, engine, network=network, progress=progress)
    finally:
        engine.close()
    return _Done(result, built)


def _merged(parts: Sequence[LayerResult]) -> LayerResult:
    """Add up what the processes counted of one layer."""
    total = LayerResult(parts[0].plan)
    for part in parts:
        add_counters(total.counters, part.counters)
        add_counters(total.law, part.law)
    known = [part.bit_exact for part in parts if part.bit_exact is not None]
    total.bit_exact = all(known) if known else None
    return total


def _run_processes(work: Work, shares: Sequence[Inputs], progress: Progress) -> list[_Done]:
    """Run each share in a process; all processes have ended when this returns or raises."""
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    connections: dict[Connection, int] = {}
    finished: dict[int, _Done] = {}
    # Children inherit the mask: an interrupt from the keyboard is for this process, which ends them in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for number, share in enumerate(shares):
            ours, theirs = context.Pipe(duplex=False)
            processes.append(context.Process(target=_serve, args=(theirs, work, share), daemon=True))
            processes[-1].start()
            theirs.close()
            connections[ours] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while connections:
            for ready in wait(list(connections)):
                assert isinstance(ready, Connection)
                try:
                    message = ready.recv()
                except (EOFError, OSError) as error:
                    raise TileError("a process ended in the middle of its inputs") from error
                if isinstance(message, BaseException):
                    raise message
                if isinstance(message, _Done):
                    finished[connections.pop(ready)] = message
                    ready.close()
                else:
                    progress(message)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for process in processes:
            if process.is_alive() and len(finished) < len(shares):
                process.terminate()
        for process in processes:
            process.join()
    return [finished[number] for number in range(len(shares))]


def _serve(connection: Connection, work: Work, inputs: Inputs) -> None:
    """Run in a process of its own: send the name of each layer as it begins, and at the end what came out."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        connection.send(_run(work, inputs, connection.send))
    except BrokenPipeError:
        sys.exit(1)  # nobody waits any longer
    except Exception as error:
        connection.send(error)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End in order, so that the engine ends its simulator."""
    sys.exit(1)
