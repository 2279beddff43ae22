"""Layers side by side in one macro: what they keep, and a network of digits on it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from golden.spiking import SpikingLayer, run
from golden.synapses import Synapses
from hw.flexspim.config import MacroConfig
from sim.errors import UserError
from sim.flexspim.layers import EventFormat, MacroLayer, run_layers
from sim.flexspim.placement import place_layers
from sim.spiking.digits import RESOLUTIONS, digits_network, packaged_digits
from sim.spiking.events import picture_events
from tests.macros import FULL, TINY, MacroPool

FORMATS: tuple[EventFormat, ...] = ("bitmap", "addresses")


def layers() -> list[SpikingLayer]:
    generator = np.random.default_rng(4)
    shapes = (
        Synapses(name="a", input_shape=(6, 5, 2), channels=4, kernel=(3, 3), stride=(2, 1), padding=(1, 1)),
        Synapses(name="b", input_shape=(3, 5, 4), channels=3, kernel=(2, 2)),
        Synapses.fully_connected("c", (2, 4, 3), 5),
    )
    return [
        SpikingLayer(
            synapses=synapses, weights=generator.integers(-4, 4, synapses.weight_shape), weight_bits=3,
            potential_bits=8, threshold=4, leak=-1, reset="soft",
        )
        for synapses in shapes
    ]  # fmt: skip


def config(rows: int) -> MacroConfig:
    return TINY.replace(name=f"rows-{rows}", rows=rows)


def test_the_choice_moves_the_fewest_rows() -> None:
    network, columns = layers(), [4, 4, 2]
    for rows in (400, 300, 200, 120, 90):
        fewest = None
        options = [
            [
                MacroLayer(
                    layer, config(4096), width, keep_weights=weights, keep_potentials=not lines, tile_lines=lines
                )
                for weights in (True, False)
                for lines in (None, 1, 2)
            ]
            for layer, width in zip(network, columns, strict=True)
        ]
        for chosen in itertools.product(*options):
            if sum(one.rows for one in chosen) <= rows:
                moved = sum(one.moved_rows for one in chosen)
                fewest = moved if fewest is None else min(fewest, moved)
        placed = place_layers(network, config(rows), columns)
        assert sum(one.moved_rows for one in placed) == fewest
        assert sum(one.rows for one in placed) <= rows
    assert (place_layers(network, config(400), columns)[0].moved_rows, fewest != 0) == (0, True)


def test_layers_that_fit_no_macro() -> None:
    with pytest.raises(UserError, match=r"^layers up to 'c' must fit the 50 rows of config rows-50$"):
        place_layers(layers(), config(50), [4, 4, 2])
    with pytest.raises(UserError, match=r"^layers up to 'a' must fit the 8 rows of config rows-8$"):
        place_layers(layers(), config(8), [4, 4, 2])


@pytest.mark.parametrize("events", FORMATS)
def test_spikes_do_not_depend_on_what_is_kept(macros: MacroPool, events: EventFormat) -> None:
    network, seen = layers(), set[tuple[bool, bool]]()
    spikes = np.random.default_rng(1).random((3, 6, 5, 2)) < 0.3
    expected = run(network, spikes)
    engine = macros.get(config(400))
    for rows in (400, 200, 120, 90):
        # Chosen for fewer rows than the macro has that runs them.
        placed = [
            MacroLayer(
                one.layer, engine.config, one.shape.columns, first_row=one.first_row, keep_weights=one.keep_weights,
                keep_potentials=one.keep_potentials, tile_lines=one.tile_lines,
            )
            for one in place_layers(network, config(rows), [4, 4, 2])
        ]  # fmt: skip
        found, potentials, _ = run_layers([engine] * 3, placed, spikes, events)
        for number in range(3):
            assert np.array_equal(found[number], expected.spikes[number])
            assert np.array_equal(potentials[number], expected.potentials[number])
        seen |= {(one.keep_weights, one.keep_potentials) for one in placed}
    assert {(True, True), (False, True)} <= seen


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_digits_on_one_macro(macros: MacroPool, resolution: str) -> None:
    network = digits_network(resolution)
    placed = place_layers(network.layers, FULL, [layer.potential_bits for layer in network.layers])
    assert len({(one.keep_weights, one.keep_potentials) for one in placed}) > 1
    engine = macros.get(FULL)
    for picture in packaged_digits().pictures[:10]:
        events = picture_events(picture[np.newaxis])[0]
        expected = run(network.layers, events)
        found, potentials, outcomes = run_layers([engine] * len(placed), placed, events, "addresses")
        for number in range(len(placed)):
            assert np.array_equal(found[number], expected.spikes[number])
            assert np.array_equal(potentials[number], expected.potentials[number])
            counted = [one.counters["events.synaptic"] for one in outcomes[number]]
            assert counted == expected.operations[number].tolist()
