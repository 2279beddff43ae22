"""Units of work, and the worker that does them with an engine of its own.

A unit has everything that it depends on, so that it gives the same wherever and after whatever it runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from golden import operators
from golden.engine import Engine
from golden.graph import Graph
from hw.config import TileConfig
from sim.engines import create_engine
from sim.host import Network
from sim.mapping.plan import MODES
from sim.work.clearing import ClearedTile
from sim.work.maps import PackedMap, pack_bits, pack_numbers

__all__ = ["Answer", "LayerPart", "LayerUnit", "Reference", "ReferenceUnit", "Unit", "Work", "Worker"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every worker does with its units.

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
class LayerUnit:
    """Some jobs of one layer for one input of the network.

    Parameters
    ----------
    input, layer : their numbers.
    jobs : numbers of the jobs; neighbours.
    number : that of the first job among all jobs of the run, which decides where pauses of its streams are.
    operands : input maps of the layer.
    """

    input: int
    layer: int
    jobs: range
    number: int
    operands: tuple[PackedMap, ...]


@dataclass(frozen=True)
class ReferenceUnit:
    """All layers of one input by the integer operators."""

    input: int
    values: PackedMap


Unit = LayerUnit | ReferenceUnit


@dataclass(frozen=True)
class LayerPart:
    """What a part of a layer gave.

    Parameters
    ----------
    output : the output map, with 0 for what other parts compute.
    counters : of the jobs.
    seconds : within the simulated hardware, None where the engine does not know.
    """

    output: PackedMap
    counters: dict[str, int]
    seconds: float | None


@dataclass(frozen=True)
class Reference:
    """Output maps of all layers by the integer operators, in the order of the network."""

    outputs: tuple[PackedMap, ...]


Answer = LayerPart | Reference


@runtime_checkable
class _Numbered(Protocol):
    """An engine whose pauses depend on how many jobs it has run."""

    jobs: int


@runtime_checkable
class _Timed(Protocol):
    """An engine that knows how long the hardware itself was simulated."""

    seconds: float


class Worker:
    """Does units one after the other; also a context that closes its engine.

    Parameters
    ----------
    work : what they belong to.
    network : the network mapped to the tile, where that was done before.

    Attributes
    ----------
    built : seconds of making the engine, which is made for the first unit that needs it.
    """

    def __init__(self, work: Work, network: Network | None = None) -> None:
        self.work = work
        self.built = 0.0
        self._given = network
        self._engine: Engine | None = None
        self._tile: Engine | None = None
        self._begun: tuple[int, int] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def network(self) -> Network:
        """The network mapped to the tile.

        Raises
        ------
        MappingError
            If a layer does not fit.
        """
        return self._given or Network(self.work.graph, self.work.config, mode=self.work.mode)

    def do(self, unit: Unit) -> Answer:
        """Do a unit.

        Raises
        ------
        MappingError
            If a layer does not fit the tile.
        UserError
            If the engine is not there.
        TileError
            If the tile raised its error port.
        SimulationError
            If the simulator ended, or the design does not compile.
        """
        return self._layer(unit) if isinstance(unit, LayerUnit) else self._reference(unit)

    def close(self) -> None:
        """Release the engine."""
        engine, self._engine, self._tile, self._begun = self._engine, None, None, None
        if engine is not None:
            engine.close()

    def _layer(self, unit: LayerUnit) -> LayerPart:
        network = self.network
        engine, tile = self._ready()
        begun, self._begun = self._begun == (unit.input, unit.layer), None
        if isinstance(engine, _Numbered):
            engine.jobs = unit.number if tile is engine else 2 * unit.number
        before = engine.seconds if isinstance(engine, _Timed) else 0.0
        layer, plan = self.work.graph.layers[unit.layer], network.plans[unit.layer]
        stored = None if begun else [operand.symbols for operand in unit.operands]
        output, counters = network.run_layer(layer, plan, stored, tile, unit.jobs)
        if unit.jobs:
            self._begun = (unit.input, unit.layer)
        seconds = engine.seconds - before if isinstance(engine, _Timed) else None
        return LayerPart(pack_bits(output), counters, seconds)

    def _reference(self, unit: ReferenceUnit) -> Reference:
        graph = self.work.graph
        maps = operators.run(graph, unit.values.numbers.astype(np.int64))
        outputs = [layer.output for layer in graph.layers]
        return Reference(tuple(pack_numbers(maps[name], graph.maps[name].bits) for name in outputs))

    def _ready(self) -> tuple[Engine, Engine]:
        """The engine, made when first asked for, and the tile that jobs are to see."""
        if self._engine is None:
            started = time.perf_counter()
            self._engine = create_engine(self.work.engine, self.work.config, seed=self.work.seed, **self.work.options)
            self.built = time.perf_counter() - started
        if self._tile is None:
            # Nothing but activity depends on cells that a job has not written.
            self._tile = ClearedTile(self._engine) if self.work.config.activity else self._engine
        return self._engine, self._tile
