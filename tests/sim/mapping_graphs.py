"""Small random integer graphs of one layer each, for tests of mapping and host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.graph import (
    AveragePool,
    Conv,
    Elementwise,
    FeatureMap,
    Graph,
    Integers,
    Layer,
    MaxPool,
    Reorder,
    Rescale,
    RoundedSum,
)
from golden.rescale import accumulator_bits, reachable

KINDS = (
    "conv2d",
    "depthwise",
    "fully_connected",
    "average_pool",
    "max_pool",
    "elementwise",
    "pad",
    "reshape",
    "rounded",
)

Random = np.random.Generator


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    output: tuple[int, int]


def whole(rng: Random, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def random_window(rng: Random, size: tuple[int, int], largest: int, *, dilated: bool) -> Window:
    """A window whose every position touches the map; padding may clip it on all sides."""
    fields: dict[str, list[int]] = {name: [] for name in ("kernel", "stride", "dilation", "padding", "output")}
    for length in size:
        kernel, stride = whole(rng, 1, min(largest, length)), whole(rng, 1, 3)
        dilation = whole(rng, 1, 2) if dilated else 1
        reach = dilation * (kernel - 1) + 1
        if reach > length:
            dilation, reach = 1, kernel
        padding = whole(rng, 0, (kernel - 1) // 2 * dilation)
        trailing = whole(rng, 0, (kernel - 1) // 2 * dilation)
        output = (length + padding + trailing - reach) // stride + 1
        for name, value in zip(fields, (kernel, stride, dilation, padding, output), strict=True):
            fields[name].append(value)
    pairs = {name: (values[0], values[1]) for name, values in fields.items()}
    return Window(**pairs)


def random_rescale(rng: Random, lowest: Integers, highest: Integers, bias: Integers, bits: int) -> Rescale:
    """Constants for accumulators within (lowest, highest) of each entry."""
    entries = len(bias)
    width = whole(rng, 1, 20)
    uniform = rng.random() < 0.3
    two_sided = rng.random() < 0.4

    def numbers(low: int, high: int) -> Integers:
        found = rng.integers(low, high, size=entries, dtype=np.int64)
        return np.full_like(found, found[0]) if uniform else found

    positive = numbers(0, 1 << (width + 1))
    largest = max(1, -int(lowest.min()), int(highest.max()))
    steps = max(0, largest.bit_length() + width - bits)
    high = whole(rng, 0, (1 << bits) - 1)
    return Rescale(
        multiplier=numbers(1 << (width - 1), 1 << width),
        positive=positive,
        negative=numbers(0, 1 << (width + 1)) if two_sided else positive,
        shift=max(1, steps + whole(rng, -2, 2)),
        offset2=whole(rng, -(2 << bits), 2 << bits),
        low=whole(rng, 0, (1 << bits) - 1 - high),
        high=high,
        bias=bias,
        accumulator_bits=accumulator_bits(int(lowest.min()), int(highest.max())),
        multiplier_bits=width,
    )


def random_graph(rng: Random, kind: str, bits: int | None = None) -> Graph:
    """A network of one layer of a kind; all widths are ``bits``, or random ones of 1..10."""

    def width() -> int:
        return bits or whole(rng, 1, 10)

    size = (whole(rng, 1, 7), whole(rng, 1, 7), whole(rng, 1, 6))
    if kind == "fully_connected":
        size = (1, 1, whole(rng, 1, 40))
    source, target_bits = feature_map("in", size, width(), rng), width()
    layer: Layer
    if kind in ("conv2d", "depthwise", "fully_connected"):
        layer, output = random_conv(rng, kind, source, width(), target_bits)
    elif kind == "average_pool":
        layer, output = random_average(rng, source, target_bits)
    elif kind == "max_pool":
        target_bits = source.bits
        window = random_window(rng, size[:2], 7, dilated=False)
        high = whole(rng, 0, (1 << target_bits) - 1)
        low = whole(rng, 0, (1 << target_bits) - 1 - high)
        layer = MaxPool(kind, ("in",), "out", window.kernel, window.stride, window.padding, low, high)
        output = (*window.output, size[2])
    elif kind == "elementwise":
        layer, output = random_elementwise(rng, source, target_bits), size
    elif kind == "rounded":
        layer, output = random_rounded(rng, source, target_bits), size
    elif kind == "pad":
        sides = [(whole(rng, 0, 2), whole(rng, 0, 2)) for _ in range(3)]
        target_bits = source.bits
        layer = Reorder(
            kind, ("in",), "out", kind, (sides[0], sides[1], sides[2]), whole(rng, 0, (1 << source.bits) - 1)
        )
        output = (size[0] + sum(sides[0]), size[1] + sum(sides[1]), size[2] + sum(sides[2]))
    else:
        target_bits = source.bits
        layer = Reorder(kind, ("in",), "out", kind, ((0, 0), (0, 0), (0, 0)), 0)
        output = (1, 1, size[0] * size[1] * size[2])
    maps = {"in": source, "out": feature_map("out", output, target_bits, rng)}
    return Graph(kind, "in", "out", maps, (layer,))


def feature_map(name: str, size: tuple[int, int, int], bits: int, rng: Random) -> FeatureMap:
    return FeatureMap(name, size, bits, whole(rng, 0, (1 << bits) - 1), 1.0)


def random_input(rng: Random, graph: Graph) -> Integers:
    source = graph.maps[graph.input]
    return rng.integers(0, 1 << source.bits, size=source.shape, dtype=np.int64)


def random_conv(
    rng: Random, kind: str, source: FeatureMap, weight_bits: int, bits: int
) -> tuple[Conv, tuple[int, int, int]]:
    depthwise = kind == "depthwise"
    channels = source.shape[2]
    multiplier = whole(rng, 1, 3) if depthwise else 1
    outputs = channels * multiplier if depthwise else whole(rng, 1, 20)
    window = random_window(rng, source.shape[:2], 4, dilated=True)
    shape = (outputs, *window.kernel, 1 if depthwise else channels)
    weights = rng.integers(-(1 << (weight_bits - 1)), 1 << (weight_bits - 1), size=shape, dtype=np.int64)
    if weight_bits == 1:
        weights = rng.integers(-1, 1, size=shape, dtype=np.int64)
    bias = rng.integers(-1000, 1000, size=outputs, dtype=np.int64)
    lowest, highest = reachable(weights.reshape(outputs, -1), bias, (1 << source.bits) - 1)
    layer = Conv(
        name=kind,
        inputs=("in",),
        output="out",
        op="depthwise_conv2d" if depthwise else kind,
        weights=weights,
        weight_bits=weight_bits,
        stride=window.stride,
        dilation=window.dilation,
        padding=window.padding,
        pad_value=whole(rng, 0, (1 << source.bits) - 1),
        depth_multiplier=multiplier,
        rescale=random_rescale(rng, lowest, highest, bias, bits),
    )
    return layer, (*window.output, outputs)


def random_average(rng: Random, source: FeatureMap, bits: int) -> tuple[AveragePool, tuple[int, int, int]]:
    window = random_window(rng, source.shape[:2], 7, dilated=False)
    inside: list[set[int]] = []
    for axis in (0, 1):
        starts = [index * window.stride[axis] - window.padding[axis] for index in range(window.output[axis])]
        ends = [min(start + window.kernel[axis], source.shape[axis]) for start in starts]
        inside.append({end - max(start, 0) for start, end in zip(starts, ends, strict=True)})
    divisors = sorted({height * width for height in inside[0] for width in inside[1]})
    bias = rng.integers(-100, 100, size=len(divisors), dtype=np.int64)
    highest = bias + np.array(divisors, np.int64) * ((1 << source.bits) - 1)
    layer = AveragePool(
        name="average_pool",
        inputs=("in",),
        output="out",
        window=window.kernel,
        stride=window.stride,
        padding=window.padding,
        divisors=tuple(divisors),
        rescale=random_rescale(rng, bias, highest, bias, bits),
    )
    return layer, (*window.output, source.shape[2])


def random_elementwise(rng: Random, source: FeatureMap, bits: int) -> Elementwise:
    operands = whole(rng, 1, 2)
    width = whole(rng, 1, 20)
    factors = tuple(whole(rng, 0, (1 << width) - 1) for _ in range(operands))
    largest = sum(factors) * ((1 << source.bits) - 1)
    addends = [whole(rng, -largest - 5, largest + 5) for _ in range(3)]
    if rng.random() < 0.2:
        addends = [whole(rng, -(1 << 40) + 1, (1 << 40) - 1) for _ in range(3)]
    if rng.random() < 0.5:
        addends[2] = addends[1]
    high = whole(rng, 0, (1 << bits) - 1)
    return Elementwise(
        name="elementwise",
        inputs=("in",) * operands,
        output="out",
        op="add" if operands == 2 else "relu",
        factors=factors,
        factor_bits=width,
        sign_addend=addends[0],
        addend_positive=addends[1],
        addend_negative=addends[2],
        shift=whole(rng, 0, max(0, min(40, largest.bit_length() - bits + 2))),
        low=whole(rng, 0, (1 << bits) - 1 - high),
        high=high,
    )


def random_rounded(rng: Random, source: FeatureMap, bits: int) -> Elementwise:
    width, multiplier_bits, shift = whole(rng, 1, 16), whole(rng, 1, 16), whole(rng, 0, 12)
    below = whole(rng, 0, (1 << shift) - 1)
    addend = below if rng.random() < 0.4 else whole(rng, 0, (1 << (shift + 2)) - 1)
    rounded = RoundedSum(
        operand=whole(rng, 0, 1),
        factor=whole(rng, 0, (1 << width) - 1),
        factor_bits=width,
        addend=addend,
        addend_below=below,
        threshold=whole(rng, 1, (1 << source.bits) - 1),
        shift=shift,
        raised=whole(rng, 0, 12),
        multiplier=whole(rng, 0, (1 << multiplier_bits) - 1),
        multiplier_bits=multiplier_bits,
    )
    scaled = (rounded.factor << source.bits >> shift) + (1 << (source.bits + rounded.raised))
    largest = rounded.multiplier * scaled
    addends = [whole(rng, -largest - 5, largest + 5) for _ in range(3)]
    if rng.random() < 0.5:
        addends[2] = addends[1]
    high = whole(rng, 0, (1 << bits) - 1)
    return Elementwise(
        name="rounded",
        inputs=("in", "in"),
        output="out",
        op="add",
        factors=(),
        factor_bits=0,
        sign_addend=addends[0],
        addend_positive=addends[1],
        addend_negative=addends[2],
        shift=max(0, largest.bit_length() - bits + whole(rng, -2, 2)),
        low=whole(rng, 0, (1 << bits) - 1 - high),
        high=high,
        rounded=rounded,
    )
