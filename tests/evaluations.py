"""Costs of networks that nobody has, for tests of reports: small, quick, and different in every number."""

from __future__ import annotations

import dataclasses
import random

from sim.evaluate.cost import PARTS, Events, LayerCost, NetworkCost
from sim.evaluate.technology import CONSTANTS, Constant, Technology

__all__ = ["TECHNOLOGY", "layer_cost", "network_cost"]

VALUES = {"threshold": 0.3, "minimum_supply": 0.6, "supply": 0.9, "maximum_supply": 1.1, "matching_rows": 0.25}

CERTAINTIES = {
    **dict.fromkeys(("cell_area", "write_cell", "tagged_rows", "minimum_supply"), "assumption"),
    "matching_rows": "measured",
}

TECHNOLOGY = Technology(
    name="paper",
    description="made for tests",
    constants={
        name: Constant(
            value=VALUES.get(name, 0.5),
            unit=role.unit,
            source="https://example.org/cells <1>",
            certainty=CERTAINTIES.get(name, "published"),
            note="a note on alpha" if name == "alpha" else "",
        )
        for name, role in CONSTANTS.items()
    },
)
"""A technology with all constants, four of them assumptions, of which one is only of the supply."""


def layer_cost(name: str = "conv", *, weight_bits: int | None = 8, seed: int = 1) -> LayerCost:
    """A layer with seeded counts: a convolution, or without *weight_bits* a pool."""
    source = random.Random(seed)
    cycles = {part: source.randrange(1, 10**6) for part in PARTS}
    return LayerCost(
        name=name,
        op="conv2d" if weight_bits else "average_pool_2d",
        macs=source.randrange(10**6, 10**9) if weight_bits else 0,
        activation_bits=8,
        weight_bits=weight_bits,
        mode="count" if weight_bits else None,
        cycles=cycles if weight_bits else {"pooling": 77, "controller": 3},
        utilisation=0.625 if weight_bits else None,
        tiles=4,
        mapping=f"{name} in 4 tiles, 2 fills",
        events=Events(*(source.randrange(1, 10**9) for _ in dataclasses.fields(Events))),
    )


def network_cost(*layers: LayerCost, name: str = "net", bits: str = "8") -> NetworkCost:
    """A network of *layers* on a small machine."""
    return NetworkCost(
        network=name,
        config="mesh",
        config_hash="0123456789abcdef",
        sizes={"name": "mesh", "caps": 4, "flit_bits": 64},
        bits=bits,
        mode="count",
        batch=2,
        layers=layers,
        tiles={"cap": 4, "map": 1},
        columns={"cap": 16, "map": 128},
        rows={"cap": 4800, "map": 4800},
        assumptions=("sizes are recalled",),
    )
