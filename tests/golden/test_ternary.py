"""Ternary weights: the stated rule, value by value."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from golden import operators
from golden.graph import Conv, Graph
from golden.ternary import TERNARY_BITS, ternarise, ternary_weights
from golden.widths import WidthError
from sim.models import load_model
from tests.sim.mapping_graphs import random_graph


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


def test_weights_follow_the_threshold() -> None:
    weights = np.array([[[[10, -10, 7, -7, 1, 0, 8, -1]]], [[[0] * 8]]], np.int64)
    signs, steps = ternary_weights(weights)
    # mean magnitude 5.5, threshold 3.85
    assert signs[0].ravel().tolist() == [1, -1, 1, -1, 0, 0, 1, 0]
    assert steps == (Fraction(42, 5), Fraction(1))
    assert not signs[1].any()


def test_a_magnitude_at_the_threshold_becomes_zero() -> None:
    # mean magnitude 10, threshold 7
    signs, _ = ternary_weights(np.array([[[[7, -7, 8, 18]]]], np.int64))
    assert signs.ravel().tolist() == [0, 0, 1, 1]


def test_the_step_is_the_best_for_the_signs() -> None:
    weights = np.random.default_rng(1).integers(-127, 128, (5, 3, 3, 4), dtype=np.int64)
    signs, steps = ternary_weights(weights)

    def error(channel: int, step: Fraction) -> Fraction:
        pairs = zip(weights[channel].ravel().tolist(), signs[channel].ravel().tolist(), strict=True)
        return sum(((weight - step * sign) ** 2 for weight, sign in pairs), Fraction(0))

    for channel, step in enumerate(steps):
        assert all(
            error(channel, step) < error(channel, step + change) for change in (Fraction(-1, 50), Fraction(1, 50))
        )


def test_requantisation_is_that_of_the_real_numbers(resnet8: Graph) -> None:
    """Every output is the real value of the ternary layer, rounded, up to the multiplier's own 1/64 step."""
    graph = ternarise(resnet8)
    values = np.random.default_rng(2).integers(0, 256, graph.maps[graph.input].shape, dtype=np.int64)
    maps = operators.run(graph, values)
    for old, layer in zip(resnet8.layers, graph.layers, strict=True):
        if not isinstance(layer, Conv):
            assert layer is old
            continue
        assert isinstance(old, Conv)
        source, target = graph.maps[layer.inputs[0]], graph.maps[layer.output]
        _, steps = ternary_weights(old.weights)
        size = target.shape[:2]
        sums = operators.accumulate(layer, maps[layer.inputs[0]], size) - layer.rescale.bias
        zeros = source.zero * layer.weights.reshape(len(steps), -1).sum(axis=1)
        scale = source.scale * np.array(old.weight_scales) * np.array([float(step) for step in steps])
        real = (sums - zeros) * scale + old.model_bias * source.scale * np.array(old.weight_scales)
        expected = np.clip(real / target.scale + target.zero, layer.rescale.low, layer.rescale.low + layer.rescale.high)
        assert np.max(np.abs(maps[layer.output] - expected)) < 2.6
        assert layer.weight_bits == TERNARY_BITS
        assert set(np.unique(layer.weights).tolist()) == {-1, 0, 1}
    assert graph.maps == resnet8.maps


def test_a_graph_without_scales_is_refused() -> None:
    with pytest.raises(WidthError, match="need its weight scales and its bias"):
        ternarise(random_graph(np.random.default_rng(0), "conv2d", 8))
