"""Networks by name: counts and sizes equal torchvision's, and a second implementation that knows no descriptions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sim.evaluate.widths import Widths
from sim.mapping.shapes import ConvShape
from sim.networks.description import DescribedNetwork
from sim.networks.named import NETWORKS
from sim.networks.residual import residual_network

COUNTS = {
    # MACs, weights of kernels, parameters with biases (AlexNet, VGG16) or with batch normalisations and the last
    # layer's bias (residual networks): the last are torchvision's "num_params".
    "alexnet": (714_188_480, 61_090_496, 61_100_840),
    "vgg16": (15_470_264_320, 138_344_128, 138_357_544),
    "resnet18": (1_814_073_344, 11_678_912, 11_689_512),
    "resnet50": (4_089_184_256, 25_502_912, 25_557_032),
}

RESNET18 = """
conv1                 64  147 12544
stage1.unit1.conv1    64  576  3136
stage1.unit1.conv2    64  576  3136
stage1.unit2.conv1    64  576  3136
stage1.unit2.conv2    64  576  3136
stage2.unit1.conv1   128  576   784
stage2.unit1.conv2   128 1152   784
stage2.unit1.down    128   64   784
stage2.unit2.conv1   128 1152   784
stage2.unit2.conv2   128 1152   784
stage3.unit1.conv1   256 1152   196
stage3.unit1.conv2   256 2304   196
stage3.unit1.down    256  128   196
stage3.unit2.conv1   256 2304   196
stage3.unit2.conv2   256 2304   196
stage4.unit1.conv1   512 2304    49
stage4.unit1.conv2   512 4608    49
stage4.unit1.down    512  256    49
stage4.unit2.conv1   512 4608    49
stage4.unit2.conv2   512 4608    49
fc                  1000  512     1
"""

SIZES = {
    "alexnet": {
        "conv1": (55, 55, 64), "pool1": (27, 27, 64), "conv2": (27, 27, 192), "pool2": (13, 13, 192),
        "conv3": (13, 13, 384), "conv4": (13, 13, 256), "conv5": (13, 13, 256), "pool5": (6, 6, 256),
        "flatten": (1, 1, 9216), "fc6": (1, 1, 4096), "fc7": (1, 1, 4096), "fc8": (1, 1, 1000),
    },
    "vgg16": {
        "conv1_1": (224, 224, 64), "conv1_2": (224, 224, 64), "pool1": (112, 112, 64),
        "conv2_1": (112, 112, 128), "conv2_2": (112, 112, 128), "pool2": (56, 56, 128),
        "conv3_1": (56, 56, 256), "conv3_2": (56, 56, 256), "conv3_3": (56, 56, 256), "pool3": (28, 28, 256),
        "conv4_1": (28, 28, 512), "conv4_2": (28, 28, 512), "conv4_3": (28, 28, 512), "pool4": (14, 14, 512),
        "conv5_1": (14, 14, 512), "conv5_2": (14, 14, 512), "conv5_3": (14, 14, 512), "pool5": (7, 7, 512),
        "flatten": (1, 1, 25088), "fc6": (1, 1, 4096), "fc7": (1, 1, 4096), "fc8": (1, 1, 1000),
    },
}  # fmt: skip

Row = tuple[str, int, int, int, int]
"""Name, output channels, taps of a kernel, input channels, width of the square output."""


def plain_rows(name: str) -> list[Row]:
    """The layers with weights of AlexNet and VGG16, sizes by hand."""
    if name == "alexnet":
        rows = [("conv1", 64, 121, 3, 55), ("conv2", 192, 25, 64, 27), ("conv3", 384, 9, 192, 13)]
        rows += [("conv4", 256, 9, 384, 13), ("conv5", 256, 9, 256, 13), ("fc6", 4096, 1, 256 * 36, 1)]
    else:
        rows, before, width = [], 3, 224
        for block, channels in enumerate((64, 128, 256, 512, 512), 1):
            for index in range(1, 3 + (block > 2)):
                rows.append((f"conv{block}_{index}", channels, 9, before, width))
                before = channels
            width //= 2
        rows += [("fc6", 4096, 1, before * width**2, 1)]
    return [*rows, ("fc7", 4096, 1, 4096, 1), ("fc8", 1000, 1, 4096, 1)]


def residual_rows(units: tuple[int, ...], *, bottleneck: bool, stride_first: bool = False) -> list[Row]:
    """The layers with weights of a residual network, stage after stage."""
    rows, before, width = [("conv1", 64, 49, 3, 112)], 64, 56
    for stage, count in enumerate(units, 1):
        narrow = 32 << stage
        wide = 4 * narrow if bottleneck else narrow
        for unit in range(1, count + 1):
            name, inside = f"stage{stage}.unit{unit}", width
            if unit == 1 and stage > 1:
                width //= 2
            if bottleneck:
                rows.append((f"{name}.conv1", narrow, 1, before, width if stride_first else inside))
                rows += [(f"{name}.conv2", narrow, 9, narrow, width), (f"{name}.conv3", wide, 1, narrow, width)]
            else:
                rows += [(f"{name}.conv1", wide, 9, before, width), (f"{name}.conv2", wide, 9, wide, width)]
            if unit == 1 and before != wide:
                rows.append((f"{name}.down", wide, 1, before, width))
            before = wide
    return [*rows, ("fc", 1000, 1, before, 1)]


def expected_rows(name: str) -> list[Row]:
    if name == "resnet18":
        return residual_rows((2, 2, 2, 2), bottleneck=False)
    return residual_rows((3, 4, 6, 3), bottleneck=True) if name == "resnet50" else plain_rows(name)


def described(name: str) -> DescribedNetwork:
    network = NETWORKS[name]()
    assert isinstance(network, DescribedNetwork)
    return network


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    network = NETWORKS[name]()
    assert (network.macs, network.weights, network.parameters) == COUNTS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_equal_a_second_implementation(name: str) -> None:
    rows = expected_rows(name)
    layers = NETWORKS[name]().weight_layers
    assert [(layer.name, layer.gemm) for layer in layers] == [
        (layer, (channels, taps * inputs, width**2)) for layer, channels, taps, inputs, width in rows
    ]
    assert [layer.macs for layer in layers] == [
        channels * taps * inputs * width * width for _, channels, taps, inputs, width in rows
    ]
    assert [layer.weights for layer in layers] == [channels * taps * inputs for _, channels, taps, inputs, _ in rows]
    each = 2 if name.startswith("resnet") else 1
    learnt = [layer.parameters - layer.weights for layer in layers]
    assert learnt == [*(each * channels for _, channels, *_ in rows[:-1]), rows[-1][1]]
    assert [layer.op for layer in layers] == [
        "fully_connected" if layer.startswith("fc") else "conv2d" for layer, *_ in rows
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_have_the_same_counts(name: str) -> None:
    network = NETWORKS[name]()
    shapes = [shape for shape in network.shapes(Widths(uniform=8)) if isinstance(shape, ConvShape)]
    assert [shape.name for shape in shapes] == [layer.name for layer in network.weight_layers]
    assert [shape.macs for shape in shapes] == [layer.macs for layer in network.weight_layers]
    assert [shape.reduction for shape in shapes] == [layer.gemm[1] for layer in network.weight_layers]
    assert [shape.op for shape in shapes] == [layer.op for layer in network.weight_layers]


def test_resnet18_equals_the_published_table() -> None:
    table = [line.split() for line in RESNET18.strip().splitlines()]
    layers = NETWORKS["resnet18"]().weight_layers
    assert [[layer.name, *map(str, layer.gemm)] for layer in layers] == table


@pytest.mark.parametrize("name", SIZES)
def test_output_sizes(name: str) -> None:
    network = described(name)
    assert {layer: size for layer, size in network.sizes.items() if layer != "input"} == SIZES[name]
    assert {shape.name: shape.output_size for shape in network.shapes(Widths(uniform=8))} == SIZES[name]


@pytest.mark.parametrize(("name", "units", "wider"), [("resnet18", (2, 2, 2, 2), 1), ("resnet50", (3, 4, 6, 3), 4)])
def test_output_sizes_of_residual_networks(name: str, units: tuple[int, ...], wider: int) -> None:
    expected = {"input": (224, 224, 3), "conv1": (112, 112, 64), "maxpool": (56, 56, 64)}
    source = (56, 56, 64)
    for stage, count in enumerate(units):
        channels, width, before = 64 << stage, 56 >> stage, 56 >> max(stage - 1, 0)
        output = (width, width, channels * wider)
        for unit in range(count):
            prefix = f"stage{stage + 1}.unit{unit + 1}"
            expected[f"{prefix}.quantize"] = source
            if wider == 1:
                expected[f"{prefix}.conv1"] = expected[f"{prefix}.conv2"] = output
            else:
                inside = before if unit == 0 else width
                expected[f"{prefix}.conv1"] = (inside, inside, channels)
                expected[f"{prefix}.conv2"], expected[f"{prefix}.conv3"] = (width, width, channels), output
            if source != output:
                expected[f"{prefix}.down"] = output
            expected[f"{prefix}.add"] = source = output
    last = (1, 1, source[2])
    expected |= {"avgpool": last, "flatten": last, "fc": (1, 1, 1000)}
    assert dict(described(name).sizes) == expected


def test_windows() -> None:
    """Strides and paddings of the layers that have them; the strides of ResNet50 are in the 3x3 convolutions."""
    windows = {
        shape.name: (shape.kernel[0], shape.stride[0], shape.padding[0])
        for name in ("alexnet", "resnet50")
        for shape in NETWORKS[name]().shapes(Widths(uniform=8))
        if isinstance(shape, ConvShape) and (shape.stride != (1, 1) or name == "alexnet")
    }
    strided = {
        f"stage{stage}.unit1.{layer}": window
        for stage in (2, 3, 4)
        for layer, window in (("conv2", (3, 2, 1)), ("down", (1, 2, 0)))
    }
    plain = {"conv2": (5, 1, 2), "conv3": (3, 1, 1), "conv4": (3, 1, 1), "conv5": (3, 1, 1)}
    fully_connected = dict.fromkeys(("fc6", "fc7", "fc8"), (1, 1, 0))
    assert windows == {"conv1": (7, 2, 3), **plain, **fully_connected, **strided}


def test_the_original_resnet50_differs_in_macs_alone() -> None:
    original = residual_network("original", (3, 4, 6, 3), bottleneck=True, stride_first=True)
    assert original.macs == 3_857_973_248
    rows = residual_rows((3, 4, 6, 3), bottleneck=True, stride_first=True)
    assert [layer.gemm for layer in original.weight_layers] == [
        (channels, taps * inputs, width**2) for _, channels, taps, inputs, width in rows
    ]
    ours = NETWORKS["resnet50"]()
    assert [layer.name for layer in original.weight_layers] == [layer.name for layer in ours.weight_layers]
    assert original.parameters == ours.parameters


def test_names_and_widths_need_no_heavy_package() -> None:
    code = (
        "import sys; import sim.networks.load, sim.evaluate.widths; "
        "print([name for name in ('numpy', 'onnx', 'yaml', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
