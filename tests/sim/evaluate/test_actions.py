from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from sim.evaluate.actions import COMPONENTS, action_counts, actions_yaml
from sim.evaluate.cost import Events, LayerCost, NetworkCost
from sim.report import version

EVENTS = tuple(event.name for event in dataclasses.fields(Events))


def layer(name: str, events: Events) -> LayerCost:
    return LayerCost(
        name=name,
        op="conv2d",
        macs=7,
        activation_bits=8,
        weight_bits=8,
        mode="count",
        cycles={"convolution": 5, "load": 2},
        utilisation=0.5,
        tiles=1,
        mapping="one tile",
        events=events,
    )


FIRST = Events(**{name: 1000**index for index, name in enumerate(EVENTS)})
SECOND = Events(**{name: 3 * index for index, name in enumerate(EVENTS)})
COST = NetworkCost(
    network="two",
    config="lr",
    config_hash="0123456789012345",  # digits alone must stay text
    sizes={"rows": 4800},
    bits="8",
    mode="count",
    batch=2,
    layers=(layer("first", FIRST), layer("no", SECOND)),
    tiles={"cap": 1, "map": 1},
    columns={"cap": 16, "map": 128},
    rows={"cap": 4800, "map": 4800},
)


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    return yaml.safe_load(actions_yaml(COST))


def test_text_holds_the_content(loaded: dict[str, Any]) -> None:
    assert loaded == action_counts(COST)
    assert actions_yaml(COST) == actions_yaml(COST)


def test_every_event_is_one_action(loaded: dict[str, Any]) -> None:
    counts = [
        (action["name"], action["counts"])
        for component in loaded["action_counts"]["local"]
        for action in component["action_counts"]
    ]
    total = dataclasses.asdict(FIRST + SECOND)
    assert sorted(counts) == sorted((name, total[name]) for name in EVENTS)
    assert loaded["action_counts"]["version"] == 0.4


def test_names_are_stable() -> None:
    """Energy tables of users name them."""
    assert COMPONENTS == {
        "array": ("compares", "compared_rows", "compared_cells", "writes", "driven_cells", "loaded_cells"),
        "responder_counters": ("counted_rows",),
        "plane_port": ("stored_bits",),
        "memories": ("memory_bits",),
        "mesh": ("flit_hops",),
        "controller": ("instructions", "tile_cycles"),
    }
    names = [component["name"] for component in action_counts(COST)["action_counts"]["local"]]
    assert names == [f"bfimna.{name}" for name in COMPONENTS]


def test_identity_and_layers(loaded: dict[str, Any]) -> None:
    about = loaded["bfimna"]
    layers = about.pop("layers")
    assert about == {
        "version": version(),
        "network": "two",
        "config": "lr",
        "config_hash": "0123456789012345",
        "bits": "8",
        "mode": "count",
        "batch": 2,
        "cycles": 14,
    }
    assert layers == [
        {"name": "first", "op": "conv2d", "cycles": 7, "events": dataclasses.asdict(FIRST)},
        {"name": "no", "op": "conv2d", "cycles": 7, "events": dataclasses.asdict(SECOND)},
    ]
