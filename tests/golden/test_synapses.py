"""Shapes of spiking layers: sizes, neighbours and counts, against a scan over all neurons and taps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.synapses import SpikingError, Synapses


@st.composite
def shapes(draw: st.DrawFn) -> Synapses:
    """Any layer of few inputs."""
    size = st.integers(1, 6)
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    height, width = draw(size), draw(size)
    return Synapses(
        name="layer",
        input_shape=(height, width, draw(st.integers(1, 3))),
        channels=draw(st.integers(1, 3)),
        kernel=(
            draw(st.integers(1, height + 2 * padding[0])),
            draw(st.integers(1, width + 2 * padding[1])),
        ),
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=padding,
    )


def scanned(synapses: Synapses, axis: int) -> dict[int, list[tuple[int, int]]]:
    """For each row or column of the input, the places that reach it and the kernel's row or column there."""
    found: dict[int, list[tuple[int, int]]] = {position: [] for position in range(synapses.input_shape[axis])}
    place = 0
    while True:
        start = place * synapses.stride[axis] - synapses.padding[axis]
        if start + synapses.kernel[axis] > synapses.input_shape[axis] + synapses.padding[axis]:
            return found
        for tap in range(synapses.kernel[axis]):
            if start + tap in found:
                found[start + tap].append((place, tap))
        place += 1


@settings(max_examples=300, derandomize=True, deadline=None)
@given(shapes())
def test_places_are_those_of_a_scan(synapses: Synapses) -> None:
    for axis in (0, 1):
        for position, wanted in scanned(synapses, axis).items():
            places, taps = synapses.places(position, axis)
            assert list(zip(places, taps, strict=True)) == wanted


@settings(max_examples=100, derandomize=True, deadline=None)
@given(shapes())
def test_counts_are_those_of_a_scan(synapses: Synapses) -> None:
    rows, columns = (scanned(synapses, axis) for axis in (0, 1))
    wanted = [len(rows[y]) * len(columns[x]) * synapses.channels for y, x, _ in np.ndindex(*synapses.input_shape)]
    assert synapses.fan_out.ravel().tolist() == wanted
    assert synapses.synapses == sum(wanted)
    assert synapses.inputs == len(wanted)
    assert synapses.weights == np.zeros(synapses.weight_shape).size
    assert synapses.neurons == np.zeros(synapses.output_shape).size


def test_a_layer_of_one_input_and_one_neuron() -> None:
    synapses = Synapses.fully_connected("one", (1, 1, 1), 1)
    assert (synapses.output_shape, synapses.weight_shape) == ((1, 1, 1), (1, 1, 1, 1))
    assert synapses.places(0, 0) == (range(1), range(0, -1, -1))
    assert synapses.synapses == 1


def test_a_fully_connected_layer_joins_all_to_all() -> None:
    synapses = Synapses.fully_connected("fc", (3, 2, 4), 5)
    assert synapses.op == "fully_connected"
    assert synapses.output_shape == (1, 1, 5)
    assert synapses.synapses == synapses.inputs * synapses.neurons == synapses.weights == 120


def test_padding_makes_a_convolution() -> None:
    synapses = Synapses(name="conv", input_shape=(3, 3, 1), channels=1, kernel=(3, 3), padding=(1, 1))
    assert synapses.op == "conv2d"
    assert synapses.fan_out[:, :, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_stride_may_leave_inputs_out() -> None:
    synapses = Synapses(name="conv", input_shape=(3, 1, 1), channels=2, kernel=(1, 1), stride=(2, 1))
    assert synapses.fan_out.ravel().tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"input_shape": (0, 4, 1)}, "layer 'conv': input height must be at least 1, got 0"),
        ({"input_shape": (4, 4, 0)}, "layer 'conv': input channels must be at least 1, got 0"),
        ({"channels": 0}, "layer 'conv': output channels must be at least 1, got 0"),
        ({"kernel": (3, 0)}, "layer 'conv': kernel width must be at least 1, got 0"),
        ({"stride": (0, 1)}, "layer 'conv': vertical stride must be at least 1, got 0"),
        ({"padding": (0, -1)}, "layer 'conv': horizontal padding must be at least 0, got -1"),
        ({"kernel": (5, 3)}, "layer 'conv': kernel height must be at most that of the padded input, 4, got 5"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, Any], text: str) -> None:
    values: dict[str, Any] = {"name": "conv", "input_shape": (4, 4, 1), "channels": 2, "kernel": (3, 3)}
    with pytest.raises(SpikingError) as refused:
        Synapses(**(values | changes))
    assert str(refused.value) == text
