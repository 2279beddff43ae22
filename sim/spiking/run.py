"""Runs pictures through a spiking network on an engine, and reports what that took.

An engine takes the events of one picture and gives spikes, potentials and cycles of each layer. Which ones there are
depends on the array that a network is mapped to: :data:`ENGINES`. Each is compared with the integer layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from golden.spiking import Spikes, SpikingLayer, SpikingRun, run
from hw.config import TileConfig
from hw.flexspim.config import MacroConfig
from sim.progress import progress
from sim.report import (
    Bits,
    Cycles,
    InputReport,
    LayerReport,
    RunReport,
    SpikingReport,
    WallSeconds,
)
from sim.spiking.energy import EnergyConstants, load_energy
from sim.spiking.events import picture_events
from sim.spiking.network import SpikingNetwork

__all__ = [
    "ARRAYS",
    "ENGINES",
    "EngineRun",
    "IntegerEngine",
    "SpikingEngine",
    "SpikingInput",
    "SpikingRequest",
    "run_spiking",
]

ARRAYS = ("flexspim", "ap")
"""What a spiking network can be mapped to: a FlexSpIM macro, or the associative processor."""

PUBLISHED = "published figures, not measured"
COUNTED = "events that the array counted"
"""Where energies are from."""

NOTHING = Cycles(total=0, law=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingInput:
    """A picture.

    Parameters
    ----------
    file : where it came from.
    picture : 8-bit brightness, of the network's height and width.
    label : its class, None where that is not known.
    """

    file: str
    picture: NDArray[np.uint8]
    label: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingRequest:
    """Everything that a run depends on.

    Parameters
    ----------
    model : the name that reports print.
    network : with its widths.
    array, engine : a key of :data:`ENGINES`.
    inputs : at least one.
    seed : of all random numbers.
    simulator : name of the simulator, for engines that take one.
    tile, macro : of the array ``ap``, and of ``flexspim``; None for the usual one.
    """

    model: str
    network: SpikingNetwork
    array: str
    engine: str
    inputs: Sequence[SpikingInput]
    seed: int = 1
    simulator: str = ""
    tile: TileConfig | None = None
    macro: MacroConfig | None = None


@dataclass(frozen=True, kw_only=True)
class EngineRun:
    """What an engine did with the events of one picture.

    Parameters
    ----------
    network : spikes, potentials and synaptic operations of each layer.
    cycles : of each layer over all timesteps; empty for an engine that has none.
    events : further counts of each layer by name; empty for an engine that has none.
    energy_pj : of each layer; empty where the energy is that of the synaptic operations alone.
    """

    network: SpikingRun
    cycles: tuple[Cycles, ...] = ()
    events: tuple[Mapping[str, int], ...] = ()
    energy_pj: tuple[float, ...] = ()


class SpikingEngine(Protocol):
    """Runs one network.

    Members
    -------
    config : of the array, for reports; with its name at least.
    config_hash : of it, empty where there is no config.
    simulator : what runs the Verilog, None where none runs.
    """

    @property
    def config(self) -> Mapping[str, Any]:
        """Of the array."""
        ...

    @property
    def config_hash(self) -> str:
        """Of the config."""
        ...

    @property
    def simulator(self) -> str | None:
        """What runs the Verilog."""
        ...

    def run(self, events: Spikes) -> EngineRun:
        """Run the events of one picture, shape (timesteps, height, width, channels)."""
        ...

    def close(self) -> None:
        """Let go of simulators; called once."""
        ...


@dataclass(frozen=True)
class IntegerEngine:
    """The integer layers, which need no array.

    Parameters
    ----------
    request : with the network.
    """

    request: SpikingRequest

    @property
    def config(self) -> Mapping[str, Any]:
        """The name of the array alone."""
        return {"name": self.request.array}

    config_hash = ""
    simulator = None

    def run(self, events: Spikes) -> EngineRun:
        """Run the events of one picture."""
        return EngineRun(network=run(self.request.network.layers, events))

    def close(self) -> None:
        """Do nothing."""


def _on_macros(request: SpikingRequest) -> SpikingEngine:
    from sim.spiking.macro_engine import MacroSpikingEngine

    return MacroSpikingEngine(request)


def _on_tile(request: SpikingRequest) -> SpikingEngine:
    from sim.spiking.tile_engine import TileSpikingEngine

    return TileSpikingEngine(request)


ENGINES: dict[tuple[str, str], Callable[[SpikingRequest], SpikingEngine]] = {
    ("flexspim", "integer"): IntegerEngine,
    ("flexspim", "golden"): _on_macros,
    ("flexspim", "turbo"): _on_macros,
    ("flexspim", "rtl"): _on_macros,
    ("ap", "integer"): IntegerEngine,
    ("ap", "golden"): _on_tile,
    ("ap", "turbo"): _on_tile,
    ("ap", "rtl"): _on_tile,
}
"""How to make the engine of an array and a name."""


@dataclass
class _Sums:
    """Counts of a layer over all inputs."""

    operations: int = 0
    received: int = 0
    spikes: int = 0
    energy_pj: float = 0.0
    exact: bool = True
    cycles: dict[str, int] = field(default_factory=dict[str, int])
    events: dict[str, int] = field(default_factory=dict[str, int])


def run_spiking(request: SpikingRequest) -> RunReport:
    """Run all inputs and report classes, synaptic operations, cycles and energy.

    Where the engine gives no energy, that of array ``flexspim`` is its synaptic operations at published figures
    (:mod:`sim.spiking.energy`): a calibration, not a measurement.
    """
    started = time.perf_counter()
    layers = request.network.layers
    engine = ENGINES[request.array, request.engine](request)
    built = time.perf_counter() - started
    sums = [_Sums() for _ in layers]
    inputs: list[InputReport] = []
    with closing(engine), progress(request.model, len(request.inputs)) as advance:
        for one in request.inputs:
            advance(one.file)
            events = picture_events(one.picture, request.network.saccade)
            done = engine.run(events)
            wanted = done.network if request.engine == "integer" else run(layers, events)
            _add(sums, done, wanted, events)
            inputs.append(
                InputReport(
                    file=one.file,
                    top1=request.network.class_of(done.network.potentials[-1]),
                    logits=[int(value) for value in done.network.potentials[-1].ravel()],
                    expected=one.label,
                )
            )
    energy = load_energy() if request.array == "flexspim" else None
    return RunReport(
        model=request.model,
        engine=request.engine,
        simulator=engine.simulator,
        seed=request.seed,
        config_hash=engine.config_hash,
        config=dict(engine.config),
        mode=request.array,
        inputs=inputs,
        layers=_layers(request, sums, energy),
        wall_s=WallSeconds(
            build=built, simulate=time.perf_counter() - started - built, total=time.perf_counter() - started
        ),
        spiking=SpikingReport(
            array=request.array,
            network=request.network.name,
            potential_bits=[layer.potential_bits for layer in layers],
            timesteps=request.network.saccade.timesteps,
            synaptic_operations=sum(one.operations for one in sums),
            right=sum(one.top1 == one.expected for one in inputs if one.expected is not None),
            labelled=sum(one.expected is not None for one in inputs),
            energy_source=COUNTED if any(one.energy_pj for one in sums) else PUBLISHED if energy else "",
        ),
    )


def _add(sums: Sequence[_Sums], done: EngineRun, wanted: SpikingRun, events: Spikes) -> None:
    """Add what one picture took."""
    received = [events, *done.network.spikes[:-1]]
    for number, layer in enumerate(sums):
        layer.operations += int(done.network.operations[number].sum())
        layer.received += int(received[number].sum())
        layer.spikes += int(done.network.spikes[number].sum())
        layer.exact &= all(
            np.array_equal(found[number], right[number])
            for found, right in (
                (done.network.spikes, wanted.spikes),
                (done.network.potentials, wanted.potentials),
                (done.network.operations, wanted.operations),
            )
        )
        if done.energy_pj:
            layer.energy_pj += done.energy_pj[number]
        if done.cycles:
            for name, value in vars(done.cycles[number]).items():
                layer.cycles[name] = layer.cycles.get(name, 0) + value
        if done.events:
            for name, value in done.events[number].items():
                layer.events[name] = layer.events.get(name, 0) + value


def _layers(request: SpikingRequest, sums: Sequence[_Sums], energy: EnergyConstants | None) -> list[LayerReport]:
    """The layers, one after the other in time."""
    timesteps = request.network.saccade.timesteps * len(request.inputs)
    reports: list[LayerReport] = []
    start = 0
    for layer, counts in zip(request.network.layers, sums, strict=True):
        cycles = Cycles(**counts.cycles) if counts.cycles else NOTHING
        reports.append(
            LayerReport(
                name=layer.name,
                op=layer.synapses.op,
                macs=layer.synapses.synapses * timesteps,
                bits=Bits(activation=1, weight=layer.weight_bits),
                cycles=cycles,
                start=start,
                end=start + cycles.total,
                events={
                    "events": counts.received,
                    "synaptic_operations": counts.operations,
                    "spikes": counts.spikes,
                }
                | counts.events,
                energy_pj=_energy(layer, counts, energy),
                bit_exact=None if request.engine == "integer" else counts.exact,
            )
        )
        start += cycles.total
    return reports


def _energy(layer: SpikingLayer, counts: _Sums, constants: EnergyConstants | None) -> float | None:
    """What the engine says, else that of the synaptic operations."""
    if counts.energy_pj or constants is None:
        return counts.energy_pj or None
    return counts.operations * layer.potential_bits * constants.operation_bit
