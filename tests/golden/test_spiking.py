"""Integer spiking layers: examples by hand, and random layers against a neuron-by-neuron loop over Python integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.spiking import (
    SpikingLayer,
    accumulate,
    accumulate_in_order,
    fire,
    run,
    signed_range,
    step,
    synaptic_operations,
)
from golden.synapses import SpikingError, Synapses


def neuron(weights: list[int], **values: Any) -> SpikingLayer:
    """One neuron with an input for each weight."""
    defaults: dict[str, Any] = {"weight_bits": 8, "potential_bits": 8, "threshold": 10}
    return SpikingLayer(
        synapses=Synapses.fully_connected("neuron", (1, 1, len(weights)), 1),
        weights=np.array(weights, dtype=np.int64).reshape(1, 1, 1, -1),
        **(defaults | values),
    )


def events(*inputs: int) -> np.ndarray:
    return np.array(inputs, dtype=np.bool_).reshape(1, 1, -1)


def potential(value: int) -> np.ndarray:
    return np.full((1, 1, 1), value, dtype=np.int64)


def test_two_events_reach_the_threshold() -> None:
    layer = neuron([6, 4, -3])
    assert step(layer, potential(0), events(1, 1, 0)) == (potential(0), events(1))
    assert step(layer, potential(0), events(1, 1, 1)) == (potential(7), events(0))
    assert step(layer, potential(7), events(0, 1, 0)) == (potential(0), events(1))


def test_soft_reset_keeps_what_is_above_the_threshold() -> None:
    layer = neuron([25], reset="soft")
    after, spikes = step(layer, potential(0), events(1))
    assert (after, spikes) == (potential(15), events(1))
    assert step(layer, after, events(0)) == (potential(5), events(1))


def test_the_leak_comes_before_the_threshold() -> None:
    layer = neuron([10], leak=-1)
    assert step(layer, potential(0), events(1)) == (potential(9), events(0))
    assert step(layer, potential(1), events(1)) == (potential(0), events(1))
    assert step(layer, potential(9), events(0)) == (potential(8), events(0))


def test_leak_and_reset_keep_to_the_range() -> None:
    wrap, saturate = (neuron([0], potential_bits=4, threshold=7, leak=-2, overflow=how) for how in ("wrap", "saturate"))
    assert fire(wrap, potential(-7)) == (potential(0), events(1))
    assert fire(saturate, potential(-7)) == (potential(-8), events(0))
    low = neuron([0], potential_bits=4, threshold=-8, reset="soft")
    assert fire(low, potential(3)) == (potential(-5), events(1))
    assert fire(replace(low, overflow="saturate"), potential(3)) == (potential(7), events(1))


def test_wrap_drops_upper_bits() -> None:
    layer = neuron([100, 100, -100], threshold=None)
    assert accumulate(layer, potential(0), events(1, 1, 0)) == potential(-56)
    assert accumulate(layer, potential(0), events(1, 1, 1)) == potential(100)


def test_saturation_goes_by_ascending_address() -> None:
    layer = neuron([100, 100, -100], threshold=None, overflow="saturate")
    assert accumulate(layer, potential(0), events(1, 1, 1)) == potential(27)
    assert accumulate(neuron([-100, 100, 100], threshold=None, overflow="saturate"), potential(0), events(1, 1, 1)) == (
        potential(100)
    )


def test_addresses_count_channels_first_then_columns_then_rows() -> None:
    """Weights +3 and -3 of a 2-bit potential: only in one order is the result 1."""
    weights = np.zeros((1, 2, 2, 2), dtype=np.int64)
    weights[0, 0, 1, 0], weights[0, 1, 0, 1] = -3, 3  # addresses 2 and 5
    layer = SpikingLayer(
        synapses=Synapses(name="conv", input_shape=(2, 2, 2), channels=1, kernel=(2, 2)),
        weights=weights,
        weight_bits=4,
        potential_bits=2,
        threshold=None,
        overflow="saturate",
    )
    assert accumulate(layer, layer.resting(), np.ones((2, 2, 2), dtype=np.bool_)).ravel().tolist() == [1]


def test_a_layer_without_threshold_has_no_spikes() -> None:
    layer = neuron([100], threshold=None, leak=1)
    assert step(layer, potential(0), events(1)) == (potential(101), events(0))


def test_a_convolution_by_hand() -> None:
    layer = SpikingLayer(
        synapses=Synapses(name="conv", input_shape=(3, 3, 1), channels=1, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
        weights=np.arange(9, dtype=np.int64).reshape(1, 3, 3, 1),
        weight_bits=5,
        potential_bits=8,
        threshold=8,
    )
    spikes = np.zeros((3, 3, 1), dtype=np.bool_)
    spikes[1, 1, 0] = True
    after = accumulate(layer, layer.resting(), spikes)
    assert after[:, :, 0].tolist() == [[8, 6], [2, 0]]
    assert fire(layer, after)[1][:, :, 0].tolist() == [[True, False], [False, False]]
    assert synaptic_operations(layer.synapses, spikes) == 4


def test_no_events_change_nothing_without_leak() -> None:
    layer = neuron([100])
    assert step(layer, potential(9), events(0)) == (potential(9), events(0))
    assert synaptic_operations(layer.synapses, events(0)) == 0


def test_one_bit_potentials_and_weights() -> None:
    layer = neuron([-1, -1], weight_bits=1, potential_bits=1, threshold=0)
    assert accumulate(layer, potential(0), events(1, 0)) == potential(-1)
    assert accumulate(layer, potential(0), events(1, 1)) == potential(0)
    assert accumulate(replace(layer, overflow="saturate"), potential(0), events(1, 1)) == potential(-1)


def test_layers_run_one_after_the_other_in_each_timestep() -> None:
    first = neuron([5, 5])
    second = replace(neuron([10]), synapses=Synapses.fully_connected("second", (1, 1, 1), 1))
    inputs = np.stack([events(1, 0), events(0, 1), events(0, 0), events(1, 1)])
    found = run([first, second], inputs)
    assert found.spikes[0].ravel().tolist() == [False, True, False, True]
    assert found.spikes[1].ravel().tolist() == [False, True, False, True]
    assert [one.tolist() for one in found.operations] == [[1, 1, 0, 2], [0, 1, 0, 1]]
    assert [one.ravel().tolist() for one in found.potentials] == [[0], [0]]


def test_a_run_of_no_timesteps() -> None:
    found = run([neuron([1])], np.zeros((0, 1, 1, 1), dtype=np.bool_))
    assert found.spikes[0].shape == (0, 1, 1, 1)
    assert found.operations[0].shape == (0,)
    assert found.potentials[0].tolist() == [[[0]]]


@st.composite
def layers(draw: st.DrawFn) -> tuple[SpikingLayer, np.ndarray, np.ndarray]:
    """Any layer, potentials in its range, events of some timesteps."""
    height, width, channels = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = (draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    synapses = Synapses(
        name="layer",
        input_shape=(height, width, channels),
        channels=draw(st.integers(1, 3)),
        kernel=(draw(st.integers(1, height + 2 * padding[0])), draw(st.integers(1, width + 2 * padding[1]))),
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        padding=padding,
    )
    weight_bits, potential_bits = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight_low, weight_high = signed_range(weight_bits)
    low, high = signed_range(potential_bits)
    layer = SpikingLayer(
        synapses=synapses,
        weights=numbers.integers(weight_low, weight_high + 1, synapses.weight_shape),
        weight_bits=weight_bits,
        potential_bits=potential_bits,
        threshold=draw(st.one_of(st.none(), st.integers(low, high))),
        reset=draw(st.sampled_from(["hard", "soft"])),
        leak=draw(st.one_of(st.just(0), st.integers(low, high))),
        overflow=draw(st.sampled_from(["wrap", "saturate"])),
    )
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return (
        layer,
        numbers.integers(low, high + 1, synapses.output_shape),
        numbers.random((draw(st.integers(0, 3)), *synapses.input_shape)) < density,
    )


def limited(layer: SpikingLayer, value: int) -> int:
    """A Python integer in the range of the potential."""
    low, high = signed_range(layer.potential_bits)
    if layer.overflow == "saturate":
        return min(max(value, low), high)
    while value > high:
        value -= 1 << layer.potential_bits
    while value < low:
        value += 1 << layer.potential_bits
    return value


def plain_step(layer: SpikingLayer, value: int, spikes: np.ndarray, place: tuple[int, int, int]) -> tuple[int, bool]:
    """One neuron, with Python's integers and a loop over all inputs."""
    shape = layer.synapses
    for y, x, channel in np.ndindex(*spikes.shape):
        row = y + shape.padding[0] - place[0] * shape.stride[0]
        column = x + shape.padding[1] - place[1] * shape.stride[1]
        if spikes[y, x, channel] and 0 <= row < shape.kernel[0] and 0 <= column < shape.kernel[1]:
            value = limited(layer, value + int(layer.weights[place[2], row, column, channel]))
    value = limited(layer, value + layer.leak)
    if layer.threshold is None or value < layer.threshold:
        return value, False
    return (limited(layer, value - layer.threshold) if layer.reset == "soft" else 0), True


@settings(max_examples=100, derandomize=True, deadline=None)
@given(layers())
def test_layers_equal_plain_integers(case: tuple[SpikingLayer, np.ndarray, np.ndarray]) -> None:
    layer, potentials, inputs = case
    for spikes in inputs:
        wanted = [
            plain_step(layer, int(potentials[place]), spikes, place)
            for place in np.ndindex(*layer.synapses.output_shape)
        ]
        potentials, fired = step(layer, potentials, spikes)
        assert list(zip(potentials.ravel().tolist(), fired.ravel().tolist(), strict=True)) == wanted


@settings(max_examples=100, derandomize=True, deadline=None)
@given(layers())
def test_events_at_once_equal_events_in_order(case: tuple[SpikingLayer, np.ndarray, np.ndarray]) -> None:
    layer, potentials, inputs = case
    for spikes in inputs:
        assert np.array_equal(accumulate(layer, potentials, spikes), accumulate_in_order(layer, potentials, spikes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"weight_bits": 0}, "layer 'neuron': weight bits must be 1..32, got 0"),
        ({"potential_bits": 33}, "layer 'neuron': potential bits must be 1..32, got 33"),
        ({"reset": "none"}, "layer 'neuron': reset must be hard or soft, got 'none'"),
        ({"overflow": "trap"}, "layer 'neuron': overflow must be wrap or saturate, got 'trap'"),
        ({"threshold": 128}, "layer 'neuron': threshold must be -128..127 with potentials of 8 bits, got 128"),
        ({"leak": -129}, "layer 'neuron': leak must be -128..127 with potentials of 8 bits, got -129"),
        ({"weight_bits": 3}, "layer 'neuron': weights must be -4..3 with 3 bits, got -5..5"),
        (
            {"weights": np.zeros((1, 1, 1, 3), np.int64)},
            "layer 'neuron': weights must have shape (1, 1, 1, 2), got (1, 1, 1, 3)",
        ),
        ({"weights": np.zeros((1, 1, 1, 2))}, "layer 'neuron': weights must be whole numbers, got float64"),
    ],
)
def test_impossible_layers_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SpikingError) as refused:
        replace(neuron([5, -5]), **changes)
    assert str(refused.value) == text


def test_maps_of_another_shape_are_refused() -> None:
    layer = neuron([1, 2])
    with pytest.raises(SpikingError, match=r"'neuron': events must have shape \(1, 1, 2\), got \(1, 1, 3\)"):
        step(layer, potential(0), events(1, 0, 0))
    with pytest.raises(SpikingError, match=r"'neuron': potentials must have shape \(1, 1, 1\), got \(1, 1\)"):
        step(layer, potential(0)[0], events(1, 0))
    with pytest.raises(SpikingError, match=r"events must have four axes \(timestep, y, x, channel\), got shape \(1, "):
        run([layer], events(1, 0))
    with pytest.raises(SpikingError, match="a network must have at least one layer"):
        run([], np.zeros((1, 1, 1, 2), dtype=np.bool_))
