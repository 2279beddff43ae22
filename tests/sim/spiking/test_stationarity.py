"""Stationarity: formulas by hand, demands against loops over synapses, the best choice against all combinations."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.synapses import Synapses
from sim.errors import UserError
from sim.spiking.stationarity import (
    KEPT,
    POLICIES,
    Demand,
    Traffic,
    expected_demand,
    map_layers,
    measured_demand,
    moved_bits,
    reached,
    rests,
    used,
)
from tests.sim.spiking.made_networks import SHAPES, random_network


def demand(name: str, weights: int, potentials: int, **values: Any) -> Demand:
    defaults: dict[str, Any] = {
        "used_weights": weights / 2, "reached_potentials": potentials / 4, "operations": 1.0, "potential_width": 16
    }  # fmt: skip
    return Demand(name=name, weights=weights, potentials=potentials, **(defaults | values))


def test_bits_moved_by_hand() -> None:
    layer = demand("layer", 100, 40)
    assert [moved_bits(layer, kept, "bound") for kept in KEPT] == [180, 80, 100, 0]
    assert [moved_bits(layer, kept, "events") for kept in KEPT] == [70, 20, 50, 0]
    assert [layer.room(kept) for kept in KEPT] == [0, 100, 40, 140]
    assert (layer.smaller, layer.larger) == ("potentials", "weights")
    same = demand("same", 8, 8)
    assert (same.smaller, same.larger) == ("weights", "potentials")


def test_formulas_of_a_layer() -> None:
    layer = random_network(3, weight_bits=8, potential_bits=16).layers[0]
    found = measured_demand(layer, np.zeros((1, *layer.synapses.input_shape), dtype=np.bool_))
    assert found.weights == 2 * 3 * 3 * 3 * 8
    assert found.potentials == 3 * 3 * 4 * 16


def test_neurons_rest_where_nothing_but_events_changes_them() -> None:
    layer = replace(random_network(1).layers[0], leak=0, reset="hard", threshold=1)
    assert rests(layer)
    assert rests(replace(layer, threshold=None, reset="soft"))
    for changes in ({"leak": -1}, {"reset": "soft"}, {"threshold": 0}, {"threshold": None, "leak": 1}):
        assert not rests(replace(layer, **changes))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_what_events_use_and_reach(seed: int, synapses: Synapses, density: float) -> None:
    spikes = np.random.default_rng(seed).random(synapses.input_shape) < density
    weights: set[tuple[int, ...]] = set()
    neurons: set[tuple[int, ...]] = set()
    for y, x, channel in np.argwhere(spikes).tolist():
        (rows, taps_down), (columns, taps_right) = (synapses.places(place, axis) for axis, place in enumerate((y, x)))
        for output in range(synapses.channels):
            weights |= {(output, down, right, channel) for down in taps_down for right in taps_right}
            neurons |= {(row, column, output) for row in rows for column in columns}
    assert {tuple(one) for one in np.argwhere(used(synapses, spikes)).tolist()} == weights
    assert {tuple(one) for one in np.argwhere(reached(synapses, spikes)).tolist()} == neurons


def test_a_measured_demand_is_a_mean_of_timesteps() -> None:
    layer = replace(random_network(2, weight_bits=4, potential_bits=10, leak=0, reset="hard").layers[0], threshold=3)
    spikes = np.zeros((2, *layer.synapses.input_shape), dtype=np.bool_)
    spikes[1, 3, 3, 0] = True
    found = measured_demand(layer, spikes)
    assert found.operations == layer.synapses.fan_out[3, 3, 0] / 2 == 6.0
    assert found.used_weights == found.operations * 4
    assert found.reached_potentials == found.operations * 10
    assert measured_demand(replace(layer, leak=-1), spikes).reached_potentials == found.potentials


@pytest.mark.parametrize("synapses", SHAPES, ids=lambda synapses: synapses.name)
def test_an_expected_demand_is_the_mean_of_random_events(synapses: Synapses) -> None:
    layer = replace(
        random_network(1, (synapses,), weight_bits=8, potential_bits=16, leak=0, reset="hard").layers[0], threshold=1
    )
    numbers = np.random.default_rng(7)
    measured = measured_demand(layer, numbers.random((4000, *synapses.input_shape)) < 0.1)
    expected = expected_demand(synapses, 8, 16, 0.1)
    for field in ("used_weights", "reached_potentials", "operations"):
        assert getattr(measured, field) == pytest.approx(getattr(expected, field), rel=0.03), field
    assert (expected.weights, expected.potentials) == (measured.weights, measured.potentials)


@pytest.mark.parametrize("synapses", SHAPES, ids=lambda synapses: synapses.name)
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_expected_demands_of_no_event_and_of_all(synapses: Synapses, density: float) -> None:
    layer = random_network(1, (synapses,), weight_bits=8, potential_bits=16, leak=0, reset="hard").layers[0]
    events = np.full((1, *synapses.input_shape), bool(density))
    assert expected_demand(synapses, 8, 16, density) == measured_demand(replace(layer, threshold=1), events)


DEMANDS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 60)).map(lambda sizes: demand("layer", *sizes)), min_size=1, max_size=4
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(DEMANDS, st.integers(0, 200), st.sampled_from(sorted(POLICIES)), st.sampled_from(["bound", "events"]))
def test_the_choice_is_the_best_of_all(demands: list[Demand], capacity: int, policy: str, traffic: Traffic) -> None:
    found = map_layers(demands, capacity, policy, traffic)
    assert sum(layer.room for layer in found) <= capacity
    assert [layer.room for layer in found] == [one.room(layer.kept) for one, layer in zip(demands, found, strict=True)]
    every = itertools.product(*(POLICIES[policy](one) for one in demands))
    least = min(
        sum(moved_bits(one, kept, traffic) for one, kept in zip(demands, chosen, strict=True))
        for chosen in every
        if sum(one.room(kept) for one, kept in zip(demands, chosen, strict=True)) <= capacity
    )
    assert sum(layer.moved for layer in found) == least


def test_policies_by_hand() -> None:
    demands = [demand("early", 10, 100), demand("late", 100, 10)]

    def kept(policy: str, capacity: int) -> list[str]:
        return [layer.kept for layer in map_layers(demands, capacity, policy)]

    assert kept("weights", 220) == ["weights", "weights"]
    assert kept("potentials", 220) == ["potentials", "potentials"]
    assert kept("smaller", 220) == ["weights", "potentials"]
    assert kept("larger", 220) == ["potentials", "weights"]
    assert kept("either", 220) == ["potentials", "weights"]
    assert kept("best", 220) == ["both", "both"]
    assert kept("best", 110) == ["potentials", "potentials"]
    assert kept("best", 109) == ["potentials", "nothing"]
    assert kept("best", 0) == ["nothing", "nothing"]
    assert map_layers([], 10, "best") == ()


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(UserError, match=r"^policy must be one of weights, .*, best, got 'most'$"):
        map_layers([], 1, "most")
    with pytest.raises(UserError, match=r"^capacity must be at least 0 bits, got -1$"):
        map_layers([], -1, "best")
