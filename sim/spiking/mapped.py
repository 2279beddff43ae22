"""Runs a network with its operands in two places, array and memory, and counts every bit that moves between them.

What a layer does not keep is brought to the array in each timestep, as far as events need it, and potentials go back.
All else that is in the array then is noise, so a result can only come from what is kept or was brought. The spikes are
those of :func:`golden.spiking.run`, whatever is kept; what moves is what :mod:`sim.spiking.stationarity` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.graph import Integers
from golden.spiking import Spikes, SpikingLayer, signed_range, step, synaptic_operations
from sim.errors import UserError
from sim.spiking.stationarity import Kept, reached, rests, used

__all__ = ["MappedRun", "run_mapped"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MappedRun:
    """What a mapped network did.

    Parameters
    ----------
    spikes : for each layer, shape (timesteps, height, width, channels).
    potentials : for each layer, after the last timestep, shape (height, width, channels).
    operations : synaptic operations of each layer, over all timesteps.
    moved : bits that each layer moved, over all timesteps.
    """

    spikes: tuple[Spikes, ...]
    potentials: tuple[Integers, ...]
    operations: tuple[int, ...]
    moved: tuple[int, ...]


def run_mapped(layers: Sequence[SpikingLayer], kept: Sequence[Kept], events: Spikes, seed: int = 0) -> MappedRun:
    """Run a network over all timesteps, from potentials of 0.

    Parameters
    ----------
    layers, events : as :func:`golden.spiking.run` takes them.
    kept : what each layer keeps in the array.
    seed : of the noise.

    Raises
    ------
    UserError
        If *kept* has not an entry for each layer.
    """
    if len(kept) != len(layers):
        raise UserError(f"kept must have an entry for each of {len(layers)} layers, got {len(kept)}")
    mapped = [_MappedLayer(layer, what, seed) for layer, what in zip(layers, kept, strict=True)]
    for events_now in events:
        passed = events_now.astype(np.bool_)
        for layer in mapped:
            passed = layer.step(passed)
    return MappedRun(
        spikes=tuple(
            np.reshape(np.array(one.spikes, dtype=np.bool_), (-1, *one.layer.synapses.output_shape)) for one in mapped
        ),
        potentials=tuple(one.potentials for one in mapped),
        operations=tuple(one.operations for one in mapped),
        moved=tuple(one.moved for one in mapped),
    )


class _MappedLayer:
    """A layer with its operands, wherever they are."""

    def __init__(self, layer: SpikingLayer, kept: Kept, seed: int) -> None:
        self.layer, self.kept = layer, kept
        self.potentials = layer.resting()
        self.operations = self.moved = 0
        self.spikes: list[Spikes] = []
        self._noise = np.random.default_rng(seed)

    def step(self, events: Spikes) -> Spikes:
        """A timestep: bring, compute, take back."""
        layer, synapses = self.layer, self.layer.synapses
        weights, potentials = layer.weights, self.potentials
        active = np.ones(synapses.output_shape, dtype=np.bool_)
        if rests(layer):
            active = reached(synapses, events)
        if self.kept not in ("weights", "both"):
            needed = used(synapses, events)
            weights = np.where(needed, weights, self._random(weights.shape, layer.weight_bits))
            self.moved += int(needed.sum()) * layer.weight_bits
        if self.kept not in ("potentials", "both"):
            potentials = np.where(active, potentials, self._random(potentials.shape, layer.potential_bits))
            self.moved += 2 * int(active.sum()) * layer.potential_bits
        after, fired = step(replace(layer, weights=weights), potentials, events)
        self.potentials = np.where(active, after, self.potentials)
        self.spikes.append(fired & active)
        self.operations += synaptic_operations(synapses, events)
        return self.spikes[-1]

    def _random(self, shape: tuple[int, ...], bits: int) -> Integers:
        low, high = signed_range(bits)
        return self._noise.integers(low, high + 1, shape)
