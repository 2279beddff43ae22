"""What a layer keeps in the array from timestep to timestep, what it moves for that, and the best choice for a network.

With W bits of weights and V bits of potentials, a layer moves in each timestep

======================  =====================  =============================
it keeps                it moves               called
======================  =====================  =============================
nothing                 W, and V in and out
weights                 V in and out: 2 * V    weight-stationary
potentials              W in                   output-stationary
both                    nothing
======================  =====================  =============================

These are upper bounds. Driven by events, only weights move that an event uses, and only potentials that an event
reaches. All potentials move where neurons change or spike without events: they leak, their reset is soft, or their
threshold is not above 0.

What is kept is kept as a whole and takes room in the array. What moves passes through the array in parts, whose room
is not counted. Weights that stay are loaded once, which is not counted; spikes between layers are the same in every
mapping, and are not counted either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from golden.spiking import Spikes, SpikingLayer, synaptic_operations
from golden.synapses import Synapses
from sim.errors import UserError
from sim.evaluate.integer_program import Problem, Term, solve

__all__ = [
    "KEPT",
    "POLICIES",
    "Demand",
    "Kept",
    "LayerMapping",
    "Traffic",
    "expected_demand",
    "map_layers",
    "measured_demand",
    "moved_bits",
    "reached",
    "rests",
    "used",
]

Kept = Literal["nothing", "weights", "potentials", "both"]
Traffic = Literal["bound", "events"]

KEPT: tuple[Kept, ...] = ("nothing", "weights", "potentials", "both")


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a layer has, and what events make it do in a timestep.

    Parameters
    ----------
    name : of the layer.
    weights, potentials : bits of all of them.
    used_weights : bits of the weights that events use, mean of the timesteps.
    reached_potentials : bits of the potentials that must be looked at, mean of the timesteps.
    operations : synaptic operations, mean of the timesteps.
    potential_width : bits of one potential.
    """

    name: str
    weights: int
    potentials: int
    used_weights: float
    reached_potentials: float
    operations: float
    potential_width: int

    @property
    def smaller(self) -> Kept:
        """The operand of fewer bits; weights where both have the same."""
        return "weights" if self.weights <= self.potentials else "potentials"

    @property
    def larger(self) -> Kept:
        """The operand of more bits; potentials where both have the same."""
        return "potentials" if self.smaller == "weights" else "weights"

    def room(self, kept: Kept) -> int:
        """Return the bits of the array that *kept* takes."""
        return (self.weights if kept in ("weights", "both") else 0) + (
            self.potentials if kept in ("potentials", "both") else 0
        )


@dataclass(frozen=True, kw_only=True)
class LayerMapping:
    """What a layer keeps and what it moves.

    Parameters
    ----------
    name : of the layer.
    kept : what stays in the array.
    room : bits of the array that this takes.
    moved : bits that move in a timestep, mean where driven by events.
    """

    name: str
    kept: Kept
    room: int
    moved: float


POLICIES: Mapping[str, Callable[[Demand], tuple[Kept, ...]]] = {
    "weights": lambda _: ("nothing", "weights"),
    "potentials": lambda _: ("nothing", "potentials"),
    "smaller": lambda demand: ("nothing", demand.smaller),
    "larger": lambda demand: ("nothing", demand.larger),
    "either": lambda _: ("nothing", "weights", "potentials"),
    "best": lambda _: KEPT,
}
"""What a layer may keep, by the name of the policy."""


def rests(layer: SpikingLayer) -> bool:
    """Return whether a neuron that no event reaches stays as it is and does not spike."""
    if layer.leak != 0:
        return False
    return layer.threshold is None or (layer.reset == "hard" and layer.threshold > 0)


def reached(synapses: Synapses, spikes: Spikes) -> Spikes:
    """Return which neurons at least one event of a timestep reaches, of the output's shape."""
    windows = _windows(synapses, spikes)
    found = np.logical_or.reduce(np.reshape(windows, (*windows.shape[:2], -1)), axis=2)
    return np.stack([found] * synapses.channels, axis=2)


def used(synapses: Synapses, spikes: Spikes) -> Spikes:
    """Return which weights at least one event of a timestep uses, of the weights' shape."""
    windows = _windows(synapses, spikes)
    found = np.logical_or.reduce(np.reshape(windows, (-1, *windows.shape[2:])), axis=0)
    return np.stack([np.moveaxis(found, 0, -1)] * synapses.channels)


def measured_demand(layer: SpikingLayer, spikes: Spikes) -> Demand:
    """Return the demand of a layer for these events.

    Parameters
    ----------
    layer : with widths and neurons.
    spikes : what comes in, shape (timesteps, height, width, channels), at least one timestep.
    """
    synapses = layer.synapses
    weights = [int(used(synapses, now).sum()) for now in spikes]
    neurons = [int(reached(synapses, now).sum()) if rests(layer) else synapses.neurons for now in spikes]
    return Demand(
        name=layer.name,
        weights=synapses.weights * layer.weight_bits,
        potentials=synapses.neurons * layer.potential_bits,
        used_weights=float(np.mean(weights)) * layer.weight_bits,
        reached_potentials=float(np.mean(neurons)) * layer.potential_bits,
        operations=float(np.mean([synaptic_operations(synapses, now) for now in spikes])),
        potential_width=layer.potential_bits,
    )


def expected_demand(synapses: Synapses, weight_bits: int, potential_bits: int, density: float) -> Demand:
    """Return the mean demand of a layer of which only the shape is known.

    Each input has an event in a timestep with probability *density* (0..1), independent of all others. Neurons
    without events rest.
    """
    silent = 1 - density
    rows, columns = (
        np.array([len(synapses.places(place, axis)[0]) for place in range(synapses.input_shape[axis])])
        for axis in (0, 1)
    )
    # How many inputs a neuron has within the map, and how many places use a weight.
    taps = [_taps(synapses, axis) for axis in (0, 1)]
    inputs = np.outer(taps[0].sum(axis=1), taps[1].sum(axis=1)) * synapses.input_shape[2]
    places = np.outer(taps[0].sum(axis=0), taps[1].sum(axis=0))
    return Demand(
        name=synapses.name,
        weights=synapses.weights * weight_bits,
        potentials=synapses.neurons * potential_bits,
        used_weights=float((1 - silent**places).sum())
        * synapses.input_shape[2] * synapses.channels * weight_bits,
        reached_potentials=float((1 - silent**inputs).sum()) * synapses.channels * potential_bits,
        operations=density * float(rows.sum() * columns.sum()) * synapses.input_shape[2] * synapses.channels,
        potential_width=potential_bits,
    )  # fmt: skip


def moved_bits(demand: Demand, kept: Kept, traffic: Traffic) -> float:
    """Return the bits that a layer moves in a timestep, as an upper bound or driven by events."""
    weights = demand.weights if traffic == "bound" else demand.used_weights
    potentials = demand.potentials if traffic == "bound" else demand.reached_potentials
    return (0 if kept in ("weights", "both") else weights) + (0 if kept in ("potentials", "both") else 2 * potentials)


def map_layers(
    demands: Sequence[Demand], capacity: int, policy: str, traffic: Traffic = "bound"
) -> tuple[LayerMapping, ...]:
    """Return what each layer keeps, so that all of it fits and the least is moved.

    The choice is exact: an integer program over the options that the policy leaves to each layer.

    Parameters
    ----------
    demands : of the layers.
    capacity : bits of the array for what is kept, at least 0.
    policy : one of :data:`POLICIES`.
    traffic : which traffic is least: its upper ``bound``, or the mean of ``events``.

    Raises
    ------
    UserError
        If there is no such policy, or the capacity is negative.
    """
    if policy not in POLICIES:
        raise UserError(f"policy must be one of {', '.join(POLICIES)}, got {policy!r}")
    if capacity < 0:
        raise UserError(f"capacity must be at least 0 bits, got {capacity}")
    options = [POLICIES[policy](demand) for demand in demands]
    if not demands:
        return ()
    terms = tuple(
        Term(
            (number,),
            {
                (option,): {"moved": moved_bits(demand, kept, traffic), "room": demand.room(kept)}
                for option, kept in enumerate(options[number])
            },
        )
        for number, demand in enumerate(demands)
    )
    chosen = solve(Problem(tuple(map(len, options)), terms, {}), "moved", {"room": capacity})
    found: list[LayerMapping] = []
    for demand, several, option in zip(demands, options, chosen, strict=True):
        kept = several[option]
        found.append(
            LayerMapping(name=demand.name, kept=kept, room=demand.room(kept), moved=moved_bits(demand, kept, traffic))
        )
    return tuple(found)


def _windows(synapses: Synapses, spikes: Spikes) -> Spikes:
    """Events in the window of each place, shape (height, width, input channels, kernel height, kernel width)."""
    rows, columns = synapses.padding
    padded = np.pad(spikes, ((rows, rows), (columns, columns), (0, 0)))
    windows: Spikes = sliding_window_view(padded, synapses.kernel, axis=(0, 1))
    return windows[:: synapses.stride[0], :: synapses.stride[1]]


def _taps(synapses: Synapses, axis: int) -> Spikes:
    """Which rows or columns of the kernel are within the input, by the place of the window."""
    found = np.zeros((synapses.output_shape[axis], synapses.kernel[axis]), dtype=np.bool_)
    for position in range(synapses.input_shape[axis]):
        places, taps = synapses.places(position, axis)
        found[list(places), list(taps)] = True
    return found
