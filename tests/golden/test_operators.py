from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from golden import operators
from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Graph, Integers, Layer, MaxPool, Reorder, Rescale

NO_PADDING = ((0, 0), (0, 0), (0, 0))


def _rescale(channels: int, shift: int, seed: int, bits: int = 8) -> Rescale:
    random = np.random.default_rng(seed)
    return Rescale(
        multiplier=random.integers(1, 64, channels),
        positive=random.integers(0, 128, channels),
        negative=random.integers(0, 128, channels),
        shift=shift,
        offset2=int(random.integers(-50, 300)),
        low=3,
        high=(1 << bits) - 20,
        bias=random.integers(-2000, 2000, channels),
        accumulator_bits=24,
        multiplier_bits=6,
    )


def _formula(x: int, rescale: Rescale, entry: int) -> int:
    """The formula of ``Rescale``, word for word, in Python's own integers."""
    a = int(rescale.negative[entry] if x < 0 else rescale.positive[entry])
    twice = 2 * (x * int(rescale.multiplier[entry]) + a) + rescale.offset2 * 2**rescale.shift
    return rescale.low + min(max(twice // 2 ** (rescale.shift + 1), 0), rescale.high)


def _size(size: int, window: int, stride: int, dilation: int, padding: int) -> int:
    return (size + 2 * padding - dilation * (window - 1) - 1) // stride + 1


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_convolution_is_its_definition(depthwise: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width, inputs = (int(number) for number in random.integers(3, 8, 3))
    multiplier = int(random.integers(1, 3)) if depthwise else 1
    outputs = inputs * multiplier if depthwise else int(random.integers(1, 6))
    kernel = (int(random.integers(1, 4)), int(random.integers(1, 4)))
    stride = (int(random.integers(1, 3)), int(random.integers(1, 3)))
    layer = Conv(
        name="conv1",
        inputs=("a",),
        output="b",
        op="depthwise_conv2d" if depthwise else "conv2d",
        weights=random.integers(-128, 128, (outputs, *kernel, 1 if depthwise else inputs)),
        weight_bits=8,
        stride=stride,
        dilation=(1, 1),
        padding=(1, 0),
        pad_value=77,
        depth_multiplier=multiplier,
        rescale=_rescale(outputs, 9, seed),
    )
    stored = random.integers(0, 256, (height, width, inputs))
    size = (_size(height, kernel[0], stride[0], 1, 1), _size(width, kernel[1], stride[1], 1, 0))
    found = operators.convolve(layer, stored, size)
    for y, x, o in np.ndindex(found.shape):
        total = int(layer.rescale.bias[o])
        for row, column, c in np.ndindex(layer.weights.shape[1:]):
            at = (y * stride[0] - 1 + row, x * stride[1] + column)
            inside = 0 <= at[0] < height and 0 <= at[1] < width
            channel = o // multiplier if depthwise else c
            total += int(layer.weights[o, row, column, c]) * (int(stored[at[0], at[1], channel]) if inside else 77)
        assert found[y, x, o] == _formula(total, layer.rescale, o)


@pytest.mark.parametrize("bound", [1 << 24, (1 << 24) + 1, 1 << 25, 1 << 53, (1 << 53) + 1, 1 << 54])
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
def test_large_sums_are_exact(bound: int, op: str) -> None:
    depthwise = op == "depthwise_conv2d"
    weights = [bound - 4096, 1, 4095, -(bound - 4096), -4096, 0, 1 - bound, -1, 0]
    layer = Conv(
        name="conv1",
        inputs=("a",),
        output="b",
        op=op,
        weights=np.array(weights).reshape(3, *((3, 1, 1) if depthwise else (1, 1, 3))),
        weight_bits=56,
        stride=(1, 1),
        dilation=(1, 1),
        padding=(0, 0),
        pad_value=0,
        depth_multiplier=1,
        rescale=replace(_rescale(3, 1, 1), bias=np.array([1, 2, 3])),
    )
    stored = np.ones((3, 1, 3) if depthwise else (1, 1, 3), np.int64)
    found = operators.accumulate(layer, stored, (1, 1)).reshape(-1).tolist()
    assert found == [bound + 1, 2 - bound, 3 - bound]


@pytest.mark.parametrize("seed", range(4))
def test_pools_are_their_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    stored = random.integers(0, 256, (5, 6, 3))
    divisors = (2, 3, 4, 6)
    average = AveragePool("a", ("a",), "b", (2, 3), (2, 2), (1, 1), divisors, _rescale(4, 5, seed))
    largest = MaxPool("m", ("a",), "b", (2, 3), (2, 2), (1, 1), 20, 200)
    means, maxima = operators.average_pool(average, stored, (3, 3)), operators.max_pool(largest, stored, (3, 3))
    for y, x, c in np.ndindex(3, 3, 3):
        rows = [at for at in (2 * y - 1, 2 * y) if 0 <= at < 5]
        columns = [at for at in (2 * x - 1, 2 * x, 2 * x + 1) if 0 <= at < 6]
        numbers = [int(stored[row, column, c]) for row in rows for column in columns]
        entry = divisors.index(len(numbers))
        total = sum(numbers) + int(average.rescale.bias[entry])
        assert means[y, x, c] == _formula(total, average.rescale, entry)
        assert maxima[y, x, c] == min(max(*numbers, 20), 220)


def test_elementwise_is_its_definition() -> None:
    first, second = (grid[:, :, None] for grid in np.meshgrid(np.arange(256), np.arange(256), indexing="ij"))
    layer = Elementwise("add1", ("a", "b"), "c", "add", (70, 33), 7, -13000, 900, -44, 6, 5, 180)
    found = operators.elementwise(layer, [first, second])
    total = 70 * first + 33 * second
    expected = 5 + np.clip(np.floor_divide(total + np.where(total - 13000 < 0, -44, 900), 64), 0, 180)
    assert np.array_equal(found, expected)


def test_reorder_pads_then_reshapes() -> None:
    stored = np.arange(12, dtype=np.int64).reshape(2, 3, 2)
    pad = Reorder("pad1", ("a",), "b", "pad", ((1, 0), (0, 2), (1, 1)), 9)
    assert np.array_equal(
        operators.reorder(pad, [stored], (3, 5, 4)), np.pad(stored, ((1, 0), (0, 2), (1, 1)), constant_values=9)
    )
    flat = Reorder("reshape1", ("a",), "b", "reshape", NO_PADDING, 0)
    assert operators.reorder(flat, [stored], (1, 1, 12)).reshape(-1).tolist() == list(range(12))


@pytest.mark.parametrize("shift", [1, 30, 55, 62])
def test_requantize_is_exact_at_every_shift(shift: int) -> None:
    rescale = replace(_rescale(4, shift, shift), multiplier=np.array([1, 40, 2**20, 2**24 - 1]), multiplier_bits=24)
    x = np.random.default_rng(shift).integers(-(1 << 40), 1 << 40, (50, 4))
    found = operators.requantize(x, rescale)
    assert found.tolist() == [[_formula(int(number), rescale, entry) for entry, number in enumerate(row)] for row in x]


def _graph(layers: tuple[Layer, ...]) -> Graph:
    maps = {name: FeatureMap(name, (1, 1, 2), 4, 0, 1.0) for name in "ab"}
    return Graph("g", "a", "b", maps, layers)


def test_run_gives_every_map() -> None:
    graph = _graph((Reorder("reshape1", ("a",), "b", "reshape", NO_PADDING, 0),))
    values: Integers = np.array([[[3, 15]]], dtype=np.int64)
    maps = operators.run(graph, values.astype(np.uint8))
    assert {name: (array.dtype, array.tolist()) for name, array in maps.items()} == {
        "a": (np.dtype(np.int64), [[[3, 15]]]),
        "b": (np.dtype(np.int64), [[[3, 15]]]),
    }


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (np.zeros((2, 1, 1), dtype=np.int64), r"^input 'a': shape must be \(1, 1, 2\), got \(2, 1, 1\)$"),
        (np.array([[[0, 16]]], dtype=np.int64), r"^input 'a': stored numbers must be 0\.\.15, got 0\.\.16$"),
        (np.array([[[-1, 3]]], dtype=np.int64), r"^input 'a': stored numbers must be 0\.\.15, got -1\.\.3$"),
    ],
)
def test_wrong_input(stored: NDArray[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        operators.run(_graph(()), stored)


def test_unknown_layer_class() -> None:
    text = r"^layer 'odd': no integer operator for the layer class Layer$"
    with pytest.raises(TypeError, match=text):
        operators.run(_graph((Layer("odd", ("a",), "b"),)), np.zeros((1, 1, 2), dtype=np.int64))
