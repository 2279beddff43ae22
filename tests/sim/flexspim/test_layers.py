"""Spiking layers on the Verilog of a macro, against the integer layers and the golden macro."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from golden.flexspim.engine import MacroOutcome
from golden.flexspim.laws import event_slices, events_cycles, layer_cycles
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import ShapeError
from golden.spiking import Spikes, SpikingLayer, run
from golden.synapses import Synapses
from hw.flexspim.config import MacroConfig
from sim.errors import UserError
from sim.flexspim.layers import EventFormat, MacroLayer, run_layers
from tests.macros import FULL, TINY, WAYS, MacroPool
from tests.rtl import random_settings

TALL = TINY.replace(name="tall", rows=256)
"""The tiny macro with rows for the layers of these tests."""

FORMATS: tuple[EventFormat, ...] = ("bitmap", "addresses")
KEPT = [(True, True), (True, False), (False, True), (False, False)]
"""What stays in the array: weights, potentials."""


def make(synapses: Synapses, seed: int, **changes: Any) -> SpikingLayer:
    """A layer with random weights."""
    fields: dict[str, Any] = {
        "weight_bits": 4, "potential_bits": 8, "threshold": 5, "reset": "soft", "overflow": "saturate", "leak": -1,
    }  # fmt: skip
    fields |= changes
    bits = fields["weight_bits"]
    weights = np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), synapses.weight_shape)
    return SpikingLayer(synapses=synapses, weights=weights, **fields)


def some_events(synapses: Synapses, timesteps: int, seed: int, density: float = 0.3) -> Spikes:
    return np.random.default_rng(seed).random((timesteps, *synapses.input_shape)) < density


def without_stalls(outcome: MacroOutcome) -> dict[str, int]:
    return {name: value for name, value in outcome.counters.items() if name != "cycles.stall"}


CONVOLUTION = Synapses(name="conv", input_shape=(5, 6, 3), channels=4, kernel=(3, 2), stride=(2, 1), padding=(1, 0))
DENSE = Synapses.fully_connected("dense", (2, 3, 4), 7)


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: "".join("wv"[place] * keep for place, keep in enumerate(kept)))
@pytest.mark.parametrize("synapses", [CONVOLUTION, DENSE], ids=lambda synapses: synapses.name)
@pytest.mark.parametrize("events", FORMATS)
def test_every_mapping_gives_the_same_spikes(
    macros: MacroPool, synapses: Synapses, kept: tuple[bool, bool], events: EventFormat
) -> None:
    layer, spikes = make(synapses, 3), some_events(synapses, 4, 4)
    expected = run([layer], spikes)
    assert expected.spikes[0].any()
    for columns in (1, 4, 8):
        mapped = MacroLayer(
            layer, TALL, columns, keep_weights=kept[0], keep_potentials=kept[1], tile_lines=2
        )  # fmt: skip
        golden = run_layers([GoldenMacro(TALL)], [mapped], spikes, events)
        for stall in (0.0, 0.3):
            found, potentials, outcomes = run_layers([macros.get(TALL, "turbo", stall)], [mapped], spikes, events)
            assert np.array_equal(found[0], expected.spikes[0])
            assert np.array_equal(potentials[0], expected.potentials[0])
            assert [without_stalls(one) for one in outcomes[0]] == [without_stalls(one) for one in golden[2][0]]
            assert (sum(one.counters["cycles.stall"] for one in outcomes[0]) > 0) == (stall > 0)


@pytest.mark.parametrize("way", WAYS[1:])
def test_both_simulators(macros: MacroPool, way: str) -> None:
    layer, spikes = make(CONVOLUTION, 5), some_events(CONVOLUTION, 2, 6)
    expected = run([layer], spikes)
    mapped = MacroLayer(layer, TALL, 4, keep_weights=False, keep_potentials=False, tile_lines=1)
    golden = run_layers([GoldenMacro(TALL)], [mapped], spikes)
    for stall in (0.0, 0.25):
        found, potentials, outcomes = run_layers([macros.get(TALL, way, stall)], [mapped], spikes)
        assert np.array_equal(found[0], expected.spikes[0])
        assert np.array_equal(potentials[0], expected.potentials[0])
        assert [without_stalls(one) for one in outcomes[0]] == [without_stalls(one) for one in golden[2][0]]
        assert (sum(one.counters["cycles.stall"] for one in outcomes[0]) > 0) == (stall > 0)


@st.composite
def layers(draw: st.DrawFn) -> SpikingLayer:
    size = st.integers(1, 5)
    shape = draw(size), draw(size), draw(st.integers(1, 5))
    channels = draw(st.integers(1, 6))
    if draw(st.integers(0, 3)):
        padding, kernel = (draw(st.integers(0, 2)), draw(st.integers(0, 2))), (draw(size), draw(size))
        assume(all(kernel[axis] <= shape[axis] + 2 * padding[axis] for axis in (0, 1)))
        stride = 1 << draw(st.integers(0, 2)), 1 << draw(st.integers(0, 2))
        synapses = Synapses(
            name="l", input_shape=shape, channels=channels, kernel=kernel, stride=stride, padding=padding
        )
    else:
        synapses = Synapses.fully_connected("l", shape, channels)
    potential, overflow = draw(st.integers(1, 14)), draw(st.sampled_from(["wrap", "saturate"]))
    weight = draw(st.integers(1, potential if overflow == "saturate" else 14))
    number = st.integers(-(1 << (potential - 1)), (1 << (potential - 1)) - 1)
    return make(
        synapses, draw(st.integers(0, 999)), weight_bits=weight, potential_bits=potential, overflow=overflow,
        threshold=draw(st.none() | number), leak=draw(st.just(0) | number),
        reset=draw(st.sampled_from(["hard", "soft"])),
    )  # fmt: skip


@random_settings(60)
@given(layer=layers(), data=st.data())
def test_any_layer(macros: MacroPool, layer: SpikingLayer, data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, min(layer.potential_bits, TALL.columns)))
    keep_weights, keep_potentials = data.draw(st.booleans()), data.draw(st.booleans())
    try:
        mapped = MacroLayer(
            layer, TALL, columns, keep_weights=keep_weights, keep_potentials=keep_potentials,
            tile_lines=data.draw(st.integers(1, 3)),
        )  # fmt: skip
    except UserError:
        assume(False)
        raise
    events = data.draw(st.sampled_from(FORMATS))
    spikes = some_events(layer.synapses, 2, data.draw(st.integers(0, 999)), data.draw(st.floats(0, 1)))
    expected = run([layer], spikes)
    golden = run_layers([GoldenMacro(TALL)], [mapped], spikes, events)
    found = run_layers([macros.get(TALL)], [mapped], spikes, events)
    for run_of in (golden, found):
        assert np.array_equal(run_of[0][0], expected.spikes[0])
        assert np.array_equal(run_of[1][0], expected.potentials[0])
    assert [one.counters for one in found[2][0]] == [one.counters for one in golden[2][0]]


def test_two_layers_share_a_macro(macros: MacroPool) -> None:
    first = make(Synapses(name="a", input_shape=(4, 4, 2), channels=3, kernel=(3, 3), padding=(1, 1)), 7)
    second = make(Synapses.fully_connected("b", (4, 4, 3), 5), 8, weight_bits=3, potential_bits=10, overflow="wrap")
    spikes = some_events(first.synapses, 3, 9)
    expected = run([first, second], spikes)
    mapped = [MacroLayer(first, TALL, 4)]
    mapped.append(MacroLayer(second, TALL, 2, first_row=mapped[0].rows, keep_weights=False))
    found, potentials, _ = run_layers([macros.get(TALL)] * 2, mapped, spikes)
    for number in range(2):
        assert np.array_equal(found[number], expected.spikes[number])
        assert np.array_equal(potentials[number], expected.potentials[number])


def reached(layer: SpikingLayer, mapped: MacroLayer, spikes: Spikes) -> int:
    """Slices that the events of a timestep reach, from the fan-out of the inputs."""
    synapses = layer.synapses
    places = synapses.fan_out[spikes] // synapses.channels
    return sum(event_slices(int(count), synapses.channels, mapped.shape.operands) for count in places)


@pytest.mark.parametrize("synapses", [CONVOLUTION, DENSE], ids=lambda synapses: synapses.name)
@pytest.mark.parametrize("columns", [2, 8])
def test_cycles_are_the_law_of_the_events(macros: MacroPool, synapses: Synapses, columns: int) -> None:
    layer = make(synapses, 1, overflow="wrap", leak=0)
    mapped = MacroLayer(layer, TALL, columns)
    height, width, channels = synapses.output_shape
    slices = height * width * mapped.slices
    engine = macros.get(TALL)
    for density in (0.0, 0.1, 0.5, 1.0):
        spikes = some_events(synapses, 1, 2, density)
        _, _, ((outcome,),) = run_layers([engine], [mapped], spikes)
        counters, touched = outcome.counters, reached(layer, mapped, spikes[0])
        resets = counters["events.resets"]
        assert counters["cycles.array"] == layer_cycles(mapped.shape.rows, touched, slices, resets)
        assert counters["events.inputs"] == spikes.sum()
        # Where channels do not fill their slices evenly, the last slice has an operand that is nobody's.
        operands = mapped.slices * mapped.shape.operands
        assert counters["events.synaptic"] * channels == synapses.fan_out[spikes[0]].sum() * operands
        if not density:
            assert counters["cycles.array"] == mapped.shape.rows * slices  # nothing but fire


def test_cycles_grow_linearly_with_events(macros: MacroPool) -> None:
    layer = make(DENSE, 1, overflow="wrap", threshold=127, leak=0)
    mapped = MacroLayer(layer, TALL, 4)
    engine, cycles = macros.get(TALL), list[int]()
    for count in range(25):
        spikes = (np.arange(24) < count).reshape(1, 2, 3, 4)
        _, _, ((outcome,),) = run_layers([engine], [mapped], spikes)
        cycles.append(outcome.counters["cycles.array"])
    step = mapped.shape.rows * event_slices(1, 7, mapped.shape.operands)
    assert np.diff(cycles).tolist() == [step] * 24


def test_scanner_law_of_one_event_in_each_place(macros: MacroPool) -> None:
    layer = make(CONVOLUTION, 1, overflow="wrap", leak=0, threshold=None)
    mapped = MacroLayer(layer, TALL, 8)
    engine = macros.get(TALL)
    rows = mapped.shape.rows
    for y in range(5):
        spikes = np.zeros((1, 5, 6, 3), np.bool_)
        spikes[0, y, 3, 1] = True
        _, _, ((outcome,),) = run_layers([engine], [mapped], spikes)
        counters = outcome.counters
        works = rows * reached(layer, mapped, spikes[0])
        assert counters["cycles.array"] == works
        assert counters["events.event_words"] == 5
        assert counters["cycles.scan"] == events_cycles([(y, works)], 4 - y) - works


@pytest.mark.slow
def test_a_layer_of_a_whole_macro(macros: MacroPool) -> None:
    synapses = Synapses(name="conv", input_shape=(13, 13, 8), channels=16, kernel=(3, 3), stride=(2, 2))
    layer = make(synapses, 2, weight_bits=8, potential_bits=16, threshold=90, overflow="wrap")
    spikes = some_events(synapses, 3, 3, 0.1)
    expected = run([layer], spikes)
    for kept in KEPT:
        mapped = MacroLayer(layer, FULL, 16, keep_weights=kept[0], keep_potentials=kept[1])
        for events in FORMATS:
            found, potentials, _ = run_layers([macros.get(FULL)], [mapped], spikes, events)
            assert np.array_equal(found[0], expected.spikes[0])
            assert np.array_equal(potentials[0], expected.potentials[0])


def refusal(layer: SpikingLayer, config: MacroConfig, columns: int) -> str:
    with pytest.raises((UserError, ShapeError)) as error:
        MacroLayer(layer, config, columns)
    return str(error.value)


def test_layers_that_do_not_fit() -> None:
    strided = Synapses(name="s", input_shape=(7, 7, 1), channels=1, kernel=(3, 3), stride=(3, 1))
    assert refusal(make(strided, 0), TALL, 4) == "strides of layer 's' must be powers of two up to 128, got 3"
    wide = make(DENSE, 0, weight_bits=9)
    assert refusal(wide, TALL, 4) == (
        "weights of layer 'dense' must have at most the 8 bits of its potentials where sums are clipped, got 9"
    )
    assert refusal(make(DENSE, 0), TINY.replace(rows=40), 4) == (
        "layer 'dense' must fit the 40 rows of config flexspim-tiny, but takes 56 from row 0 on"
    )
    assert refusal(make(DENSE, 0), TALL.replace(operand_columns=4), 5) == (
        "columns must be at most operand_columns (4), not 5"
    )
    assert refusal(make(DENSE, 0), TALL.replace(saturation=False), 4) == (
        "sums must wrap on config tall, which has no saturation"
    )


def test_traffic_of_what_is_not_kept(macros: MacroPool) -> None:
    layer = make(CONVOLUTION, 3, overflow="wrap", leak=0)
    spikes = some_events(CONVOLUTION, 1, 4, 0.2)
    engine, rows_in = macros.get(TALL), dict[tuple[bool, bool, str], tuple[int, int]]()
    for kept in KEPT:
        for events in FORMATS:
            mapped = MacroLayer(layer, TALL, 8, keep_weights=kept[0], keep_potentials=kept[1])
            _, _, ((outcome,),) = run_layers([engine], [mapped], spikes, events)
            rows_in[kept[0], kept[1], events] = (
                outcome.counters["events.rows_in"] - 4,
                outcome.counters["events.rows_out"],
            )
    height, width, _ = CONVOLUTION.output_shape
    mapped = MacroLayer(layer, TALL, 8)
    potentials = height * width * mapped.slices * mapped.shape.rows
    channel = 3 * 2 * mapped.slices * mapped.shape.weight_rows
    used = {int(c) for y, x, c in np.argwhere(spikes[0]) if CONVOLUTION.fan_out[y, x, c]}
    assert rows_in[True, True, "bitmap"] == (0, 0)
    assert rows_in[True, False, "addresses"] == (potentials, potentials)
    assert rows_in[False, True, "addresses"] == (len(used) * channel, 0)
    assert rows_in[False, True, "bitmap"][0] > rows_in[False, True, "addresses"][0]
