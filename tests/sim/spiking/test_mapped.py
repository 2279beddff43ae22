"""Every mapping gives the same spikes, and moves what the formulas say."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from golden.spiking import run
from sim.errors import UserError
from sim.spiking.mapped import run_mapped
from sim.spiking.stationarity import KEPT, Kept, measured_demand, moved_bits
from tests.sim.spiking.made_networks import SHAPES, random_network

RESTING: dict[str, Any] = {"leak": 0, "reset": "hard"}


@pytest.mark.parametrize("density", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("neurons", [RESTING, {}], ids=["resting", "any"])
def test_mappings_agree(density: float, neurons: dict[str, Any]) -> None:
    network = random_network(11, **neurons)
    events = np.random.default_rng(5).random((6, *SHAPES[0].input_shape)) < density
    wanted = run(network.layers, events)
    assert density == 0 or any(spikes.any() for spikes in wanted.spikes)
    inputs = (events, *wanted.spikes[:-1])
    demands = [measured_demand(layer, seen) for layer, seen in zip(network.layers, inputs, strict=True)]
    for number, kept in enumerate(itertools.product(KEPT, repeat=3)):
        found = run_mapped(network.layers, kept, events, seed=number)
        for layer in range(3):
            assert np.array_equal(found.spikes[layer], wanted.spikes[layer])
            assert np.array_equal(found.potentials[layer], wanted.potentials[layer])
            assert found.operations[layer] == wanted.operations[layer].sum()
            moved = moved_bits(demands[layer], kept[layer], "events") * len(events)
            assert found.moved[layer] == round(moved) == pytest.approx(moved)
            assert moved <= moved_bits(demands[layer], kept[layer], "bound") * len(events)


def test_no_events_move_nothing_where_neurons_rest() -> None:
    network = random_network(4, **RESTING)
    found = run_mapped(network.layers, KEPT[:1] * 3, np.zeros((4, *SHAPES[0].input_shape), dtype=np.bool_))
    assert found.moved == (0, 0, 0)


def test_a_list_of_another_length_is_refused() -> None:
    kept: list[Kept] = ["both"]
    with pytest.raises(UserError, match=r"^kept must have an entry for each of 3 layers, got 1$"):
        run_mapped(random_network(1).layers, kept, np.zeros((1, *SHAPES[0].input_shape), dtype=np.bool_))
