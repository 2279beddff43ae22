"""Halves to even numbers: constants, integer operators, and the tile, whose cycles equal the law."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Graph
from golden.operators import floor_shift, requantize
from golden.rescale import NoExactRescaleError, find_rescale_at
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from sim.errors import UserError
from sim.host import Network, run_graph
from sim.importers.onnx_rounding import Clamp, exact_rescale, half_even
from sim.mapping import layer_shape, shape_from_dict
from tests.sim.mapping_graphs import random_graph, random_input


def test_floor_shift_lowers_whole_numbers_of_the_other_parity() -> None:
    totals = np.arange(-20, 20, dtype=np.int64)
    for ties in (0, 1):
        expected = [value // 4 - (value % 4 == 0 and value // 4 % 2 != ties) for value in totals.tolist()]
        assert floor_shift(totals, 2, ties).tolist() == expected
        assert floor_shift(totals.astype(object), 2, ties).tolist() == expected
    assert floor_shift(totals, 2, None).tolist() == (totals >> 2).tolist()


def test_half_even_is_that_of_numpy() -> None:
    numerators = np.arange(-40, 41)
    for denominator in (1, 2, 4, 6, 7):
        expected = [round(Fraction(int(value), denominator)) for value in numerators]
        assert half_even(numerators, np.array(denominator)).tolist() == expected
    assert half_even(numerators, np.array(8)).tolist() == np.rint(numerators / 8).astype(int).tolist()


@pytest.mark.parametrize("factor", [Fraction(1, 4), Fraction(3, 8), Fraction(1, 64), Fraction(5, 7), Fraction(1, 2)])
@pytest.mark.parametrize(("zero", "low", "high"), [(0, 0, 15), (8, 0, 15), (7, 2, 9), (3, 5, 6)])
@pytest.mark.parametrize("offset", [Fraction(0), Fraction(1, 3), Fraction(-5, 4)])
def test_constants_equal_the_rule_on_every_accumulator(
    factor: Fraction, zero: int, low: int, high: int, offset: Fraction
) -> None:
    reach = np.array([200], dtype=np.int64)
    bias = np.array([11], dtype=np.int64)
    found = exact_rescale([factor], [offset], (-reach, reach), bias, Clamp(zero, low, high), "layer")
    accumulators = np.arange(-200, 201, dtype=np.int64)
    moved = (accumulators + int(found.bias[0] - bias[0]))[:, None]
    rounded = [min(max(round(int(value) * factor + offset) + zero, low), low + high) for value in accumulators]
    assert requantize(moved, found)[:, 0].tolist() == rounded


def test_few_steps_on_either_side_of_zero() -> None:
    """The formula may decrease at 0; there it is compared with the rule, whether the rule has a step there or not."""
    random = np.random.default_rng(1)
    for _ in range(100):
        factor, offset = Fraction(int(random.integers(1, 9)), 16), Fraction(int(random.integers(-8, 9)), 8)
        low, high = int(random.integers(0, 5)), int(random.integers(1, 5))
        ends = np.sort(random.integers(-12, 13, 2))
        span = (np.array([ends[0]]), np.array([ends[1]]))
        found = exact_rescale([factor], [offset], span, 0 * span[0], Clamp(3, low, high), "layer")
        accumulators = np.arange(ends[0], ends[1] + 1)
        expected = [min(max(round(int(value) * factor + offset) + 3, low), low + high) for value in accumulators]
        assert requantize((accumulators + found.bias)[:, None], found)[:, 0].tolist() == expected


def test_channels_share_the_way_that_halves_go() -> None:
    reach = np.array([100, 100], dtype=np.int64)
    factors = [Fraction(1, 4), Fraction(0.2371)]
    found = exact_rescale(factors, [Fraction(0)] * 2, (-reach, reach), 0 * reach, Clamp(8, 0, 15), "layer")
    assert found.ties == 0
    sums = np.arange(-100, 101, dtype=np.int64)[:, None] + found.bias
    expected = [[min(max(round(int(value) * factor) + 8, 0), 15) for factor in factors] for value in range(-100, 101)]
    assert requantize(sums, found).tolist() == expected


def test_without_ties_a_floor_is_found() -> None:
    reach = np.array([100], dtype=np.int64)
    assert exact_rescale([Fraction(1, 5)], [Fraction(0)], (-reach, reach), 0 * reach, Clamp(8, 0, 15), "l").ties is None


def test_halves_of_a_factor_that_is_no_binary_fraction_are_refused() -> None:
    reach = np.array([1000], dtype=np.int64)
    with pytest.raises(NoExactRescaleError, match=r"^pool: no requantisation constants with a shift of at most 62"):
        exact_rescale([Fraction(1, 6)], [Fraction(0)], (-reach, reach), 0 * reach, Clamp(64, 0, 127), "pool")


def test_no_parity_no_halves_to_even() -> None:
    points = np.arange(-40, 41, dtype=np.int64)[None]
    outputs = np.clip(half_even(points, np.array(4)) + 8, 0, 15)
    slopes, none = np.array([0.25]), np.zeros(1, dtype=np.int64)
    with pytest.raises(NoExactRescaleError):
        find_rescale_at(points, outputs, slopes, none, 8, 0, 15)
    assert find_rescale_at(points, outputs, slopes, none, 8, 0, 15, ties=0).ties == 0


# --- on the tile ----------------------------------------------------------------------------------------------------


def with_ties(graph: Graph, ties: int | None) -> Graph:
    """A graph of one layer with a power of two as factor, so that halves happen."""
    (layer,) = graph.layers
    assert isinstance(layer, Conv | AveragePool)
    old = layer.rescale
    none = np.zeros_like(old.positive)
    rescale = dataclasses.replace(
        old,
        multiplier=none + 1,
        positive=none,
        negative=none,
        multiplier_bits=1,
        shift=max(1, old.accumulator_bits - 9),
        offset2=2 * 16 + 1,
        low=0,
        high=31,
        ties=ties,
    )
    return dataclasses.replace(graph, layers=(dataclasses.replace(layer, rescale=rescale),))


@pytest.mark.parametrize("kind", ["conv2d", "depthwise", "fully_connected", "average_pool"])
@pytest.mark.parametrize("ties", [0, 1])
def test_layers_on_the_tile(kind: str, ties: int) -> None:
    config = TileConfig(name="t", taps=25, outputs=8, columns=128, plane_bits=8, activity=False)
    for seed in range(80):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, kind, 5)
        values = random_input(rng, graph)
        even, up = (run_graph(with_ties(graph, one), [values], GoldenTile(config, seed)) for one in (ties, None))
        assert even.layers[0].bit_exact
        assert even.cycles == even.law_cycles > up.cycles
        if not np.array_equal(even.maps[0]["out"], up.maps[0]["out"]):
            return
    pytest.fail("no half was met")


def elementwise(operands: int, ties: int, two_sided: bool) -> Graph:
    maps = {name: FeatureMap(name, (3, 4, 5), 5, 16, 1.0) for name in ("a", "b", "out")}
    layer = Elementwise(
        name="add",
        inputs=("a", "a")[:operands],
        output="out",
        op="add",
        factors=(3, 1)[:operands],
        factor_bits=2,
        sign_addend=-40,
        addend_positive=2 - 8,
        addend_negative=2 - (9 if two_sided else 8),
        shift=2,
        low=1,
        high=24,
        ties=ties,
    )
    return Graph("g", "a", "out", maps, (layer,))


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("ties", [0, 1])
@pytest.mark.parametrize("operands", [1, 2])
def test_sums_on_the_tile(operands: int, ties: int, two_sided: bool) -> None:
    graph = elementwise(operands, ties, two_sided)
    values = np.random.default_rng(ties).integers(0, 32, (3, 4, 5))
    result = run_graph(graph, [values], GoldenTile(CONFIGS["small"], 3))
    assert result.layers[0].bit_exact
    assert result.cycles == result.law_cycles
    shape = layer_shape(graph.layers[0], graph)
    assert shape_from_dict(shape.as_dict()) == shape


def test_constant_mode_refuses_them() -> None:
    graph = with_ties(random_graph(np.random.default_rng(1), "conv2d", 5), 0)
    with pytest.raises(UserError, match=r"rounds halves to even numbers, which mode constant cannot"):
        Network(graph, CONFIGS["cap256"], mode="constant")
