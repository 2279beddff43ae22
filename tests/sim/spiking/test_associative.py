"""Spiking layers on tiles: potentials and spikes of every timestep equal the integer layers, cycles the law."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import spiking
from golden.engine import Engine
from golden.spiking import SpikingLayer, signed_range
from golden.synapses import Synapses
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from sim.engines import create_engine
from sim.errors import UserError
from sim.mapping import MappingError
from sim.spiking.associative import AssociativeLayer

SMALL = CONFIGS["small"]


def made(seed: int, synapses: Synapses, weight_bits: int, potential_bits: int, **fields: Any) -> SpikingLayer:
    rng = np.random.default_rng(seed)
    low, high = signed_range(weight_bits)
    least, most = signed_range(potential_bits)
    usual: dict[str, Any] = {"threshold": int(rng.integers(max(least, -2), min(most, 1 << weight_bits) + 1))}
    return SpikingLayer(
        synapses=synapses,
        weights=rng.integers(low, high + 1, synapses.weight_shape),
        weight_bits=weight_bits,
        potential_bits=potential_bits,
        **(usual | fields),
    )


def check(layer: SpikingLayer, config: TileConfig, engine: Engine, seed: int, timesteps: int = 2) -> None:
    rng = np.random.default_rng(seed)
    mapped, potentials = AssociativeLayer(layer, config), layer.resting()
    for _ in range(timesteps):
        spikes = rng.random(layer.synapses.input_shape) < 0.4
        potentials, wanted = spiking.step(layer, potentials, spikes)
        fired, counters = mapped.run(engine, spikes)
        assert np.array_equal(fired, wanted)
        assert np.array_equal(mapped.potentials, potentials)
        law = {name: value for name, value in mapped.law.items() if not name.startswith("identity.")}
        assert {name: counters[name] for name in law} == law


SHAPES = [
    Synapses(name="conv", input_shape=(6, 5, 3), channels=4, kernel=(3, 3), stride=(2, 1), padding=(1, 1)),
    Synapses(name="wide", input_shape=(9, 9, 1), channels=3, kernel=(5, 5), padding=(2, 2)),
    Synapses.fully_connected("fc", (3, 3, 5), 10),
    Synapses.fully_connected("one", (1, 1, 1), 1),
]


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("leak", [0, -3])
@pytest.mark.parametrize("synapses", SHAPES, ids=lambda synapses: synapses.name)
def test_layers_equal_the_integer_ones(synapses: Synapses, leak: int, reset: str) -> None:
    layer = made(1, synapses, 4, 9, reset=reset, leak=leak)
    check(layer, SMALL, GoldenTile(SMALL), 2)


@given(
    st.sampled_from(SHAPES),
    st.integers(1, 12),
    st.integers(3, 24),
    st.sampled_from(["hard", "soft"]),
    st.integers(0, 1 << 30),
)
def test_every_width(synapses: Synapses, weight_bits: int, potential_bits: int, reset: str, seed: int) -> None:
    layer = made(seed, synapses, weight_bits, potential_bits, reset=reset)
    check(layer, SMALL, GoldenTile(SMALL), seed, timesteps=1)


def test_without_threshold() -> None:
    layer = made(3, SHAPES[2], 5, 12, threshold=None)
    check(layer, SMALL, GoldenTile(SMALL), 4)


@pytest.mark.parametrize("engine", ["turbo", pytest.param("rtl", marks=pytest.mark.slow)])
def test_layers_on_the_verilog(engine: str) -> None:
    with closing(create_engine(engine, SMALL, seed=1)) as tile:
        for number, synapses in enumerate(SHAPES):
            check(made(number, synapses, 8, 16, reset="soft", leak=1), SMALL, tile, number)


def test_refusals() -> None:
    with pytest.raises(UserError, match=r"^overflow of layer 'conv' must be 'wrap' .*, got 'saturate'$"):
        AssociativeLayer(made(1, SHAPES[0], 4, 9, overflow="saturate"), SMALL)
    with pytest.raises(MappingError, match=r"^layer 'conv' needs columns of at least 56, config small has 48$"):
        AssociativeLayer(made(1, SHAPES[0], 16, 32), SMALL.replace(columns=48))
