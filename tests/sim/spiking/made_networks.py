"""Random spiking networks for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from golden.spiking import SpikingLayer, signed_range
from golden.synapses import Synapses
from sim.spiking.events import Saccade
from sim.spiking.network import SpikingNetwork

SHAPES = (
    Synapses(name="conv1", input_shape=(6, 7, 2), channels=3, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
    Synapses(name="conv2", input_shape=(3, 4, 3), channels=4, kernel=(3, 2)),
    Synapses.fully_connected("fc", (1, 3, 4), 5),
)


def random_network(seed: int, shapes: tuple[Synapses, ...] = SHAPES, **values: Any) -> SpikingNetwork:
    """A network of these shapes with random weights and, where *values* do not say, random neurons."""
    numbers = np.random.default_rng(seed)
    layers: list[SpikingLayer] = []
    for number, synapses in enumerate(shapes):
        neuron: dict[str, Any] = {
            "weight_bits": int(numbers.integers(2, 9)),
            "potential_bits": int(numbers.integers(6, 17)),
            "reset": str(numbers.choice(["hard", "soft"])),
            "leak": int(numbers.integers(-2, 3)),
            "overflow": str(numbers.choice(["wrap", "saturate"])),
        } | values
        low, high = signed_range(neuron["weight_bits"])
        layers.append(
            SpikingLayer(
                synapses=synapses,
                weights=numbers.integers(low, high + 1, synapses.weight_shape),
                threshold=None if number == len(shapes) - 1 else int(numbers.integers(1, 8)),
                **neuron,
            )
        )
    return SpikingNetwork(name=f"random{seed}", layers=tuple(layers), saccade=Saccade(threshold=64))
