from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden import operators
from golden.graph import Elementwise, FeatureMap, Graph, Integers
from golden.rescale import NoExactRescaleError, find_affine, quantize_multiplier, twice_rounded
from golden.rounded import RoundedForm, find_rounded
from golden.widths import apply
from tests.golden.test_rescale import _literal

EVERY = np.arange(256, dtype=np.int64)
# Scales of (first, second, output) and zero points: no affine form exists for the first four, one does for the last.
CASES = [
    ((0.043, 0.019, 0.024), (19, 4, 44)),
    ((0.032, 0.089, 0.064), (210, 242, 63)),
    ((0.014, 0.010, 0.012), (138, 94, 40)),
    ((0.019, 0.029, 0.020), (0, 255, 61)),
    ((0.021, 0.097, 0.095), (164, 201, 163)),
    ((0.064, 0.064, 0.081), (161, 73, 250)),
]


class _Add:
    """The reference ADD of one case in terms of stored numbers."""

    def __init__(self, scales: tuple[float, float, float], zeros: tuple[int, int, int]) -> None:
        self.zeros, self.scales = zeros, [float(np.float32(scale)) for scale in scales]
        twice = 2.0 * max(self.scales[:2])
        self.slope = twice / (2.0**20 * self.scales[2])
        self.pairs = [quantize_multiplier(scale / twice) for scale in self.scales[:2]]
        self.last = quantize_multiplier(self.slope)

    @property
    def steps(self) -> tuple[Integers, Integers]:
        first, second = (
            np.array([_literal(int(u - zero) << 20, *pair) for u in EVERY], dtype=np.int64)
            for zero, pair in zip(self.zeros[:2], self.pairs, strict=True)
        )
        return first, second

    def of_sum(self, sums: Integers) -> Integers:
        return twice_rounded(sums, np.array(self.last[0], np.int64), np.array(self.last[1], np.int64))

    def find(self, low: int, high: int) -> RoundedForm:
        zeros = self.zeros[0], self.zeros[1]
        return find_rounded(self.steps, self.of_sum, self.slope, zeros, self.zeros[2], low, high, "add1")


def _layer(form: RoundedForm, low: int, high: int) -> Elementwise:
    addends = form.sign_addend, form.addend_positive, form.addend_negative
    return Elementwise("add1", ("a", "b"), "c", "add", (), 0, *addends, form.shift, low, high, form.rounded)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (61, 40)])
@pytest.mark.parametrize(("scales", "zeros"), CASES)
def test_rounded_form_is_exact_on_every_pair(
    scales: tuple[float, float, float], zeros: tuple[int, int, int], low: int, high: int
) -> None:
    add = _Add(scales, zeros)
    layer = _layer(add.find(low, high), low, high)
    first, second = np.meshgrid(EVERY, EVERY, indexing="ij")
    sums = np.add.outer(*add.steps)
    probe = np.random.default_rng(0).integers(0, 256, (300, 2))
    for row, column in probe:
        assert add.of_sum(sums[row, column]) == _literal(int(sums[row, column]), *add.last)
    expected = np.clip(add.of_sum(sums) + zeros[2], low, low + high)
    assert np.array_equal(operators.elementwise(layer, [first, second]), expected)
    rounded = layer.rounded_sum
    assert rounded is not None
    assert rounded.factor < 1 << rounded.factor_bits
    assert rounded.multiplier < 1 << rounded.multiplier_bits


@pytest.mark.parametrize(("scales", "zeros"), CASES[:4])
def test_there_is_no_affine_form(scales: tuple[float, float, float], zeros: tuple[int, int, int]) -> None:
    add = _Add(scales, zeros)
    ratios = (add.scales[0] / add.scales[2], add.scales[1] / add.scales[2])

    def reference(operands: list[Integers]) -> Integers:
        return add.of_sum(add.steps[0][operands[0]] + add.steps[1][operands[1]])

    with pytest.raises(NoExactRescaleError, match="no affine form"):
        find_affine(reference, ratios, zeros[:2], 8, zeros[2], 0, 255)


def test_operands_without_a_common_step_are_an_error() -> None:
    steps = EVERY * 3
    with pytest.raises(NoExactRescaleError, match=r"^add1: neither operand's scale is the step"):
        find_rounded((steps, steps), lambda sums: sums >> 4, 1 / 16, (0, 0), 0, 0, 255, "add1")


def test_other_widths_have_no_use_for_the_rounding() -> None:
    maps = {name: FeatureMap(name, (1, 1, 4), 8, zero, 0.02) for name, zero in (("a", 3), ("c", 7))}
    layer = _layer(_Add(*CASES[0]).find(0, 255), 0, 255)
    graph = Graph("g", "a", "c", maps, (replace(layer, inputs=("a", "a")),))
    (narrow,) = apply(graph, 4).layers
    assert isinstance(narrow, Elementwise)
    assert narrow.rounded_sum is None
