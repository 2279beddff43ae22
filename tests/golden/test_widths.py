from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from golden import operators, widths
from golden.graph import AveragePool, Conv, Elementwise, FeatureMap, Graph, MaxPool, Reorder
from sim.importers import tflite
from tests.tflite_models import random_model

DATA = Path(__file__).parents[2] / "sim" / "data"
PICTURES = sorted((DATA / "cifar10").glob("*.png"))


@pytest.fixture(scope="module")
def resnet() -> Graph:
    return tflite.load(DATA / "resnet8_int8.tflite")


# --- the rule a second time, naively: fractions, loops, no shared code ------------------------------------------------


def _round(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _part(bits: int) -> Fraction:
    return {5: Fraction(1, 2), 6: Fraction(1, 2), 7: Fraction(3, 4)}.get(
        bits, Fraction(3, 8) if bits < 5 else Fraction(1)
    )


class NaiveMap:
    """One map under the rule: r new steps in an old one, its new zero."""

    def __init__(self, old: FeatureMap, bits: int, whole: bool) -> None:
        self.old, self.bits = old, bits
        proportion = Fraction(2**bits - 1, 255)
        self.r = proportion / (1 if whole or bits == 8 else _part(bits))
        self.zero = _round(old.zero * proportion)
        self.step = Fraction(old.scale) / self.r

    def number(self, stored: int) -> int:
        return min(max(self.zero + _round((stored - self.old.zero) * self.r), 0), 2**self.bits - 1)


def _naive_weights(kernels: list[list[int]], bits: int) -> tuple[list[list[int]], Fraction]:
    """The weights of one output channel, kernel by kernel."""
    if bits >= 8:
        return kernels, Fraction(1)
    levels, bottom, top = max(1, 2 ** (bits - 1) - 1), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    best: tuple[int, int, list[list[int]]] | None = None
    for divisor in range(127, 0, -1):
        candidate = [
            [min(max(_round(Fraction(abs(w) * levels, divisor)) * (1 if w > 0 else -1), bottom), top) for w in kernel]
            for kernel in kernels
        ]
        error = sum(
            (w * levels - v * divisor) ** 2
            for kernel, chosen in zip(kernels, candidate, strict=True)
            for w, v in zip(kernel, chosen, strict=True)
        )
        if best is None or error < best[0]:
            best = (error, divisor, candidate)
    assert best is not None
    _, divisor, chosen_kernels = best
    left_over = 0
    for kernel, chosen in zip(kernels, chosen_kernels, strict=True):
        errors = [w * levels - v * divisor for w, v in zip(kernel, chosen, strict=True)]
        total = sum(errors) + left_over
        wanted = _round(Fraction(total, divisor))
        sign, limit = (1, top) if wanted >= 0 else (-1, bottom)
        movable = [position for position, value in enumerate(chosen) if value != limit]
        movable.sort(key=lambda position: -sign * errors[position])
        for position in movable[: abs(wanted)]:
            chosen[position] += sign
        left_over = total - sign * min(abs(wanted), len(movable)) * divisor
    return chosen_kernels, Fraction(divisor, levels)


def _naive_shift(reals: list[Fraction], bits: int, limit: int) -> tuple[list[int], int]:
    shift = limit
    while shift > 1 and any(_round(real * 2**shift) >= 2**bits for real in reals):
        shift -= 1
    return [max(1, _round(real * 2**shift)) for real in reals], shift


def _naive_run(graph: Graph, bits: int, stored: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """A uniform width other than 8, layer by layer, in Python's own integers per channel."""
    whole, width = {graph.input, graph.output}, dict.fromkeys(graph.maps, bits)
    width[graph.output] = 8
    for layer in graph.layers:
        if isinstance(layer, MaxPool | Reorder):
            width[layer.output] = width[layer.inputs[0]]
            if layer.inputs[0] in whole:
                whole.add(layer.output)
    for layer in reversed(graph.layers):
        if isinstance(layer, MaxPool | Reorder) and layer.output in whole:
            whole.add(layer.inputs[0])
    maps = {name: NaiveMap(old, width[name], name in whole) for name, old in graph.maps.items()}
    values: dict[str, np.ndarray[Any, Any]] = {graph.input: np.vectorize(maps[graph.input].number)(stored)}
    for layer in graph.layers:
        target = maps[layer.output]
        shape = target.old.shape
        source = maps[layer.inputs[0]]
        u = values[layer.inputs[0]]
        if isinstance(layer, Reorder):
            pad = target.number(layer.pad_value)
            values[layer.output] = np.pad(u, layer.padding, constant_values=pad).reshape(shape)
            continue
        clamp: Any = layer.rescale if isinstance(layer, Conv | AveragePool) else layer
        low, top = target.number(clamp.low), target.number(clamp.low + clamp.high)
        if isinstance(layer, Elementwise):
            reals = [maps[name].step / target.step for name in layer.inputs]
            factors, shift = _naive_shift(reals, target.bits + 6, 40)
            total = sum(
                factor * (values[name] - maps[name].zero) for factor, name in zip(factors, layer.inputs, strict=True)
            )
            values[layer.output] = np.clip(target.zero + ((total + 2 ** (shift - 1)) >> shift), low, top)
            continue
        out = np.zeros(shape, dtype=np.int64)
        windows = _windows(layer, u.shape, shape)
        if isinstance(layer, MaxPool):
            for y, x, rows, columns in windows:
                out[y, x] = u[np.ix_(rows, columns)].max(axis=(0, 1))
            values[layer.output] = np.clip(out, low, top)
            continue
        if isinstance(layer, AveragePool):
            reals = [source.step / target.step / divisor for divisor in layer.divisors]
            multipliers, shift = _naive_shift(reals, target.bits + 6, 62)
            for y, x, rows, columns in windows:
                entry = layer.divisors.index(len(rows) * len(columns))
                total = (u[np.ix_(rows, columns)] - source.zero).sum(axis=(0, 1)) * multipliers[entry]
                out[y, x] = target.zero + ((total + 2 ** (shift - 1)) >> shift)
            values[layer.output] = np.clip(out, low, top)
            continue
        assert isinstance(layer, Conv)
        weights, steps = np.zeros_like(layer.weights), []
        for o, channel in enumerate(layer.weights):
            pointwise = channel.shape[:2] == (1, 1)
            table = (
                [channel.reshape(-1).tolist()]
                if pointwise
                else np.moveaxis(channel, 2, 0).reshape(channel.shape[2], -1).tolist()
            )
            chosen, step = _naive_weights(table, bits)
            new = np.array(chosen)
            weights[o] = (
                new.reshape(channel.shape)
                if pointwise
                else np.moveaxis(new.reshape(channel.shape[2], *channel.shape[:2]), 0, 2)
            )
            steps.append(step)
        reals = [
            source.step * Fraction(scale) * step / target.step
            for scale, step in zip(layer.weight_scales, steps, strict=True)
        ]
        multipliers, shift = _naive_shift(reals, target.bits + 6, 62)
        for o in range(shape[2]):
            bias = int(layer.model_bias[o]) * source.r / steps[o]
            constant = _round(multipliers[o] * (bias - source.zero * int(weights[o].sum())))
            constant += ((2 * target.zero + 1) << shift) >> 1
            sums = _convolve_channel(layer, u, weights[o], o, source.zero, shape)
            out[:, :, o] = [[(int(x) * multipliers[o] + constant) >> shift for x in row] for row in sums]
        values[layer.output] = np.clip(out, low, top)
    return values


def _windows(
    layer: Any, source: tuple[int, ...], shape: tuple[int, ...]
) -> list[tuple[int, int, list[int], list[int]]]:
    """Output positions with the rows and columns of the map that a pool's window covers."""
    if isinstance(layer, Conv):
        return []
    result: list[tuple[int, int, list[int], list[int]]] = []
    for y in range(shape[0]):
        for x in range(shape[1]):
            starts = (y * layer.stride[0] - layer.padding[0], x * layer.stride[1] - layer.padding[1])
            rows, columns = (
                [at for at in range(starts[axis], starts[axis] + layer.window[axis]) if 0 <= at < source[axis]]
                for axis in (0, 1)
            )
            result.append((y, x, rows, columns))
    return result


def _convolve_channel(
    layer: Conv, u: np.ndarray[Any, Any], kernel: np.ndarray[Any, Any], o: int, zero: int, shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """Sums of one output channel, tap by tap, on a generously padded map."""
    margin = 64
    padded = np.pad(u, ((margin, margin), (margin, margin), (0, 0)), constant_values=zero)
    if layer.op == "depthwise_conv2d":
        padded = padded[:, :, o // layer.depth_multiplier][:, :, None]
    sums = np.zeros(shape[:2], dtype=np.int64)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            top = margin - layer.padding[0] + row * layer.dilation[0]
            left = margin - layer.padding[1] + column * layer.dilation[1]
            taken = padded[
                top : top + shape[0] * layer.stride[0] : layer.stride[0],
                left : left + shape[1] * layer.stride[1] : layer.stride[1],
            ]
            sums += taken @ kernel[row, column]
    return sums


@pytest.mark.parametrize(
    ("bits", "seed"),
    [
        pytest.param(bits, seed, marks=() if seed % 6 == place else pytest.mark.slow)
        for seed in range(9)
        for place, bits in enumerate((1, 2, 4, 7, 11, 16))
    ],
)
def test_rule_equals_its_second_implementation(bits: int, seed: int) -> None:
    print(f"seed {seed}")
    content, values = random_model(seed)
    graph = tflite.parse(content)
    stored = values[0].astype(np.int64) + 128
    narrow = widths.apply(graph, bits)
    found = operators.run(narrow, widths.resample(stored, graph.maps[graph.input], narrow.maps[graph.input].bits))
    expected = _naive_run(graph, bits, stored)
    for name in graph.maps:
        assert np.array_equal(found[name], expected[name]), name


# --- the network ----------------------------------------------------------------------------------------------------


def test_eight_bits_is_the_same_graph(resnet: Graph) -> None:
    assert widths.apply(resnet, 8) is resnet
    assert widths.apply(resnet, {layer.name: 8 for layer in resnet.layers}) is resnet
    assert widths.apply(resnet, {"conv2": {"activation": 8, "weight": 8}}) is resnet
    assert widths.apply(resnet, {}) is resnet
    picture = np.arange(32 * 32 * 3).reshape(32, 32, 3) % 256
    assert np.array_equal(widths.resample(picture, resnet.maps[resnet.input], 8), picture)


def _right(graph: Graph, model: Graph) -> int:
    right = 0
    for path in PICTURES:
        picture = np.asarray(Image.open(path))
        stored = widths.resample(picture, model.maps[model.input], graph.maps[graph.input].bits)
        logits = operators.run(graph, stored)[graph.output].reshape(-1)
        right += int(np.argmax(logits)) == int(path.stem.rsplit("_", 1)[1])
    return right


@pytest.mark.parametrize("bits", [5, 6, 7])
def test_five_to_seven_bits_classify(resnet: Graph, bits: int) -> None:
    assert len(PICTURES) == 10
    assert _right(widths.apply(resnet, bits), resnet) >= 8


@pytest.mark.parametrize("bits", [1, 4, 16, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (2, 3, 12))])
def test_other_widths_run(resnet: Graph, bits: int) -> None:
    graph = widths.apply(resnet, bits)
    print(f"{bits} bits: {_right(graph, resnet)} of {len(PICTURES)} right")
    for layer in graph.layers:
        if isinstance(layer, Conv):
            assert layer.weight_bits == bits
            assert layer.weights.min() >= -(1 << (bits - 1))
            assert layer.weights.max() < 1 << (bits - 1) or bits >= 8
            assert layer.rescale.accumulator_bits <= 32


@pytest.mark.parametrize("bits", [3, 8, 13])
def test_ranges_that_the_hardware_relies_on(resnet: Graph, bits: int) -> None:
    graph = widths.apply(resnet, bits)
    maps = operators.run(graph, np.full((32, 32, 3), (1 << bits) - 1, dtype=np.int64))
    for name, values in maps.items():
        assert values.min() >= 0
        assert values.max() < 1 << graph.maps[name].bits
        assert 0 <= graph.maps[name].zero < 1 << graph.maps[name].bits
    for layer in graph.layers:
        if isinstance(layer, Conv | AveragePool):
            rescale = layer.rescale
            assert rescale.multiplier.min() >= 0
            assert rescale.multiplier.max() < 1 << rescale.multiplier_bits
            for addend in (rescale.positive, rescale.negative):
                assert addend.min() >= 0
                assert addend.max() < 1 << (rescale.multiplier_bits + 1)
            assert 1 <= rescale.shift <= 62
            assert rescale.low + rescale.high < 1 << graph.maps[layer.output].bits
        if isinstance(layer, Elementwise):
            assert min(layer.factors) >= 0
            assert max(layer.factors) < 1 << layer.factor_bits
            assert max(abs(layer.sign_addend), abs(layer.addend_positive), abs(layer.addend_negative)) < 1 << 40


def test_widths_per_layer(resnet: Graph) -> None:
    graph = widths.apply(resnet, {"conv2": 4, "conv5": {"weight": 3}, "fc1": {"activation": 6}})
    layers = {layer.name: layer for layer in graph.layers}
    assert {name: layer.weight_bits for name, layer in layers.items() if isinstance(layer, Conv)} == {
        "conv1": 8, "conv2": 4, "conv3": 8, "conv4": 8, "conv5": 3, "conv6": 8, "conv7": 8, "conv8": 8, "conv9": 8,
        "fc1": 8,
    }  # fmt: skip
    # conv2 reads conv1's output, which add1 reads too and asks for 8 bits.
    assert graph.maps[layers["conv2"].inputs[0]].bits == 8
    # The reshape moves fc1's input, so both its maps have 6 bits; the average pool was not named and reads 8.
    assert graph.maps[layers["fc1"].inputs[0]].bits == 6
    assert graph.maps[layers["reshape1"].inputs[0]].bits == 6
    assert graph.maps[layers["avgpool1"].inputs[0]].bits == 8
    # What keeps its widths keeps its constants, object for object.
    kept = [layer.name for layer, old in zip(graph.layers, resnet.layers, strict=True) if layer is old]
    changed = ("conv2", "conv5", "avgpool1", "reshape1", "fc1")
    assert kept == [layer.name for layer in resnet.layers if layer.name not in changed]


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0, r"^the width must be 1\.\.16 bits, got 0$"),
        (33, r"^the width must be 1\.\.16 bits, got 33$"),
        (True, r"^the width must be a whole number of 1\.\.16 bits, got True$"),
        ({"conv2": 17}, r"^layer 'conv2': the activation width must be 1\.\.16 bits, got 17$"),
        ({"conv2": {"weight": 0}}, r"^layer 'conv2': the weight width must be 1\.\.16 bits, got 0$"),
        (
            {"conv2": {"weight": "4"}},
            r"^layer 'conv2': the weight width must be a whole number of 1\.\.16 bits, got '4'$",
        ),
        ({"conv2": {"wieght": 4}}, r"^layer 'conv2': a width is of 'activation' or 'weight', got 'wieght'$"),
        ({"add1": {"weight": 4}}, r"^layer 'add1' has no weights; only an 'activation' width can be given$"),
        ({"conf2": 4}, r"^the network has no layer 'conf2'; the nearest names are conv2, conv\d, conv\d$"),
    ],
)
def test_errors(resnet: Graph, bits: Any, text: str) -> None:
    with pytest.raises(widths.WidthError, match=text):
        widths.apply(resnet, bits)


def test_widths_change_once(resnet: Graph) -> None:
    text = r"^map 'input_1_int8' must have 8 bits before widths change, has 4$"
    with pytest.raises(widths.WidthError, match=text):
        widths.apply(widths.apply(resnet, 4), 4)


def test_weights_that_are_wider_than_eight_bits(resnet: Graph) -> None:
    """Unsigned weights take 9 bits; the rule leaves weights of 8 bits as they are."""
    layers = tuple(
        replace(layer, weight_bits=9) if isinstance(layer, Conv) and layer.name == "conv2" else layer
        for layer in resnet.layers
    )
    text = r"^layer 'conv2' must have weights of at most 8 bits before widths change, has 9$"
    with pytest.raises(widths.WidthError, match=text):
        widths.apply(replace(resnet, layers=layers), 8)
    assert widths.fixed_widths(resnet) == ""


def test_read_table(tmp_path: Path) -> None:
    file = tmp_path / "widths.json"
    file.write_text('{"conv1": 4, "fc1": {"weight": 8}}')
    assert widths.read_table(file) == {"conv1": 4, "fc1": {"weight": 8}}
    file.write_text("conv1: 4")
    with pytest.raises(widths.WidthError, match=r"^widths file .*widths\.json: not JSON \(.*\)$"):
        widths.read_table(file)
    file.write_text("[4]")
    with pytest.raises(
        widths.WidthError, match=r"^widths file .*widths\.json: must be an object of layer names, is list$"
    ):
        widths.read_table(file)
    with pytest.raises(
        widths.WidthError, match=r"^widths file .*none\.json: cannot be read \(No such file or directory\)$"
    ):
        widths.read_table(tmp_path / "none.json")
