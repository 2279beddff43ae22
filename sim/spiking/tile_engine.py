"""Spiking networks on a tile of the associative processor: an engine of :mod:`sim.spiking.run`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from golden.spiking import Spikes, SpikingRun, synaptic_operations
from hw.config import CONFIGS
from hw.counter_map import total_cycles
from sim.engines import create_engine
from sim.evaluate.cost import NetworkCost
from sim.evaluate.energy import figures
from sim.evaluate.evaluate import plan_cost
from sim.evaluate.technology import load_technology
from sim.host import add_counters, cycles_of, events_of
from sim.spiking.associative import AssociativeLayer
from sim.spiking.run import EngineRun, SpikingRequest
from sim.tools import find_simulator

__all__ = ["TECHNOLOGY", "TileSpikingEngine"]

TECHNOLOGY = "sram"
"""Its constants turn events into energy."""


class TileSpikingEngine:
    """Runs a network layer by layer on one tile, which all layers share.

    Parameters
    ----------
    request : with network, engine and tile; ``cap`` if it has none.

    Raises
    ------
    UserError
        If sums of a layer are clipped, or the engine or its tools are not there.
    MappingError
        If a layer does not fit the tile.
    """

    def __init__(self, request: SpikingRequest) -> None:
        """Map the network and make the tile."""
        self.network = request.network
        self.tile = CONFIGS["cap"] if request.tile is None else request.tile
        self._layers = [AssociativeLayer(layer, self.tile) for layer in self.network.layers]
        tool = find_simulator(request.simulator) if request.engine == "rtl" else None
        options = {} if tool is None else {"simulator": tool.name}
        self.simulator = None if tool is None else tool.label
        self._engine = create_engine(request.engine, self.tile, seed=request.seed, **options)

    @property
    def config(self) -> Mapping[str, Any]:
        """Of the tile."""
        return self.tile.as_dict()

    @property
    def config_hash(self) -> str:
        """Of the tile."""
        return self.tile.hash_text

    def run(self, events: Spikes) -> EngineRun:
        """Run the events of one picture, shape (timesteps, height, width, channels).

        Raises
        ------
        TileError
            If the tile raised its error port.
        """
        layers = self._layers
        for layer in layers:
            layer.rest()
        counters: list[dict[str, int]] = [{} for _ in layers]
        spikes: list[list[Spikes]] = [[] for _ in layers]
        operations: list[list[int]] = [[] for _ in layers]
        for now in events:
            passed: Spikes = now.astype(np.bool_)
            for number, layer in enumerate(layers):
                operations[number].append(synaptic_operations(layer.layer.synapses, passed))
                passed, counted = layer.run(self._engine, passed)
                add_counters(counters[number], counted)
                spikes[number].append(passed)
        timesteps = len(events)
        return EngineRun(
            network=SpikingRun.of(self.network.layers, spikes, [layer.potentials for layer in layers], operations),
            cycles=tuple(
                cycles_of(found, timesteps * total_cycles(layer.law))
                for found, layer in zip(counters, layers, strict=True)
            ),
            events=tuple(events_of(found) for found in counters),
            energy_pj=tuple(timesteps * energy for energy in self._energies),
        )

    def close(self) -> None:
        """Release the tile."""
        self._engine.close()

    @cached_property
    def _energies(self) -> list[float]:
        """Energy of a timestep of every layer in pJ, from its schedule."""
        costs = tuple(plan_cost(layer.plan) for layer in self._layers)
        tile = {"cap": 1, "map": 0}
        machine = NetworkCost(
            network=self.network.name,
            config=self.tile.name,
            config_hash=self.tile.hash_text,
            sizes=self.tile.as_dict(),
            bits="",
            mode="count",
            batch=1,
            layers=costs,
            tiles=tile,
            columns=dict.fromkeys(tile, self.tile.columns),
            rows=dict.fromkeys(tile, self.tile.rows),
        )
        technology = load_technology(TECHNOLOGY)
        return [figures(cost, technology, machine).total_pj for cost in costs]
