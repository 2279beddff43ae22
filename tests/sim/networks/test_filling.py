"""Shapes of networks without weights: widths of maps, constants of requantisation, and what mapping makes of them."""

from __future__ import annotations

import pytest

from golden.widths import apply
from hw.config import load_config
from sim.evaluate.widths import Widths
from sim.mapping import layer_shape, plan_layer, shape_from_dict
from sim.mapping.plan import check_fit
from sim.mapping.shapes import AveragePoolShape, ConvShape, ElementwiseShape, LayerShape, MaxPoolShape, ReorderShape
from sim.models import load_model
from sim.networks.constants import SATURATION_BITS
from sim.networks.description import (
    Addition,
    AveragePooling,
    Convolution,
    DescribedNetwork,
    Flattening,
    LayerDescription,
)  # fmt: skip
from sim.networks.named import NETWORKS
from sim.networks.residual import residual_network

CAP = load_config("cap")


def shapes(name: str, widths: Widths) -> dict[str, LayerShape]:
    return {shape.name: shape for shape in NETWORKS[name]().shapes(widths)}


def conv(layers: dict[str, LayerShape], name: str) -> ConvShape:
    shape = layers[name]
    assert isinstance(shape, ConvShape)
    return shape


def resnet8() -> DescribedNetwork:
    """ResNet-8 as its file has it, with the same names; strides have symmetric padding here."""
    layers: list[LayerDescription] = []

    def convolution(name: str, source: str, channels: int, stride: int = 1, kernel: int = 3, relu: bool = True) -> None:
        sizes = ((kernel, kernel), (stride, stride), (kernel // 2, kernel // 2))
        layers.append(Convolution(name, (source,), *sizes, channels=channels, relu=relu))

    convolution("conv1", "input", 16)
    convolution("conv2", "conv1", 16)
    convolution("conv3", "conv2", 16, relu=False)
    layers.append(Addition("add1", ("conv1", "conv3")))
    convolution("conv4", "add1", 32, stride=2)
    convolution("conv5", "conv4", 32, relu=False)
    convolution("conv6", "add1", 32, stride=2, kernel=1, relu=False)
    layers.append(Addition("add2", ("conv6", "conv5")))
    convolution("conv7", "add2", 64, stride=2)
    convolution("conv8", "conv7", 64, relu=False)
    convolution("conv9", "add2", 64, stride=2, kernel=1, relu=False)
    layers += [
        Addition("add3", ("conv9", "conv8")),
        AveragePooling("avgpool1", ("add3",)),
        Flattening("reshape1", ("avgpool1",)),
        Convolution("fc1", ("reshape1",), channels=10, relu=False, op="fully_connected"),
    ]
    return DescribedNetwork("resnet8", (32, 32, 3), tuple(layers))


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_a_described_resnet8_agrees_with_the_imported_one(bits: int) -> None:
    graph = apply(load_model("resnet8"), bits)
    imported = [layer_shape(layer, graph) for layer in graph.layers]
    described = resnet8().shapes(Widths(uniform=bits))
    assert len(imported) == len(described)
    for ours, theirs in zip(described, imported, strict=True):
        for quantity in (
            "kind", "name", "op", "input_size", "output_size", "macs", "weight_bits", "activation_bits", "output_bits",
        ):  # fmt: skip
            assert getattr(ours, quantity) == getattr(theirs, quantity), (ours.name, quantity)
        if isinstance(ours, ConvShape) and isinstance(theirs, ConvShape):
            assert (ours.kernel, ours.stride, ours.dilation) == (theirs.kernel, theirs.stride, theirs.dilation)
            assert (ours.depthwise, ours.depth_multiplier) == (theirs.depthwise, theirs.depth_multiplier)
        if isinstance(ours, ConvShape | AveragePoolShape) and isinstance(theirs, ConvShape | AveragePoolShape):
            mine, real = ours.requantize, theirs.requantize
            assert (mine.low, mine.high, mine.bits) == (real.low, real.high, real.bits)
            assert mine.accumulator_bits >= real.accumulator_bits  # not all weights are as large as they could be
            assert mine.factor_bits + mine.rectified >= real.factor_bits + real.rectified
            if bits < 8:  # at 8 bits the model keeps its own constants, wider than those of the rule
                assert mine.operand_bits == real.operand_bits
                assert (mine.two_sided, mine.rectified) == (real.two_sided, real.rectified)
        if isinstance(ours, ElementwiseShape) and isinstance(theirs, ElementwiseShape) and bits < 8:
            assert (ours.factor_bits, ours.two_sided) == (theirs.factor_bits, theirs.two_sided)
            assert (ours.low, ours.high, ours.rounded) == (theirs.low, theirs.high, theirs.rounded)
            assert abs(ours.shift - theirs.shift) <= 1
            assert theirs.sum_bits <= ours.sum_bits <= theirs.sum_bits + 2


@pytest.mark.parametrize("bits", [1, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_uniform_width_is_that_of_all_maps_but_the_logits(name: str, bits: int) -> None:
    layers = NETWORKS[name]().shapes(Widths(uniform=bits))
    assert {width for shape in layers for width in shape.activation_bits} == {bits}
    assert {shape.output_bits for shape in layers[:-1]} == {bits}
    assert layers[-1].output_bits == 8
    assert {shape.weight_bits for shape in layers if isinstance(shape, ConvShape)} == {bits}
    assert not any(shape.op == "quantize" for shape in layers)


def test_inputs_are_maps_of_earlier_layers() -> None:
    for name in NETWORKS:
        for residual_bits in (None, 16) if name.startswith("resnet") else (None,):
            made = {"input": (224, 224, 3)}
            bits = {"input": 8}
            for shape in NETWORKS[name]().shapes(Widths(uniform=8, residual_bits=residual_bits)):
                assert all(made[source] == shape.input_size for source in shape.inputs)
                assert tuple(bits[source] for source in shape.inputs) == shape.activation_bits
                made[shape.output], bits[shape.output] = shape.output_size, shape.output_bits


def test_a_map_is_as_wide_as_its_widest_reader_asks() -> None:
    network = residual_network("small", (1, 1, 1, 1), bottleneck=False)
    asked = {layer.name: (4, 3) for layer in network.weight_layers} | {
        "conv1": (7, 2), "stage2.unit1.down": (6, 5), "stage3.unit1.conv1": (9, 1), "fc": (5, 8),
    }  # fmt: skip
    layers = {shape.name: shape for shape in network.shapes(Widths(layers=asked))}
    assert layers["conv1"].activation_bits == (7,)
    assert layers["stage2.unit1.down"].activation_bits == layers["stage2.unit1.conv1"].activation_bits == (6,)
    assert layers["stage1.unit1.add"].output_bits == 6
    # The first unit's input is added to its output, so it is as wide as that, as the max pool and conv1's output are.
    assert layers["stage1.unit1.add"].activation_bits == (6, 6)
    assert layers["maxpool"].activation_bits == (6,)
    assert layers["stage1.unit1.conv1"].activation_bits == (6,)
    assert layers["stage1.unit1.conv2"].activation_bits == (4,)
    assert layers["stage2.unit1.add"].output_bits == 9
    assert layers["avgpool"].activation_bits == (5,)
    assert {name: layers[name].weight_bits for name in asked} == {name: pair[1] for name, pair in asked.items()}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_residual_stream_has_its_width(name: str) -> None:
    network = NETWORKS[name]()
    layers = shapes(name, Widths(uniform=4, residual_bits=16))
    last = "conv3" if name == "resnet50" else "conv2"
    units = {layer.name.rpartition(".")[0] for layer in network.weight_layers} - {""}
    for unit in units:
        narrow = layers[f"{unit}.quantize"]
        assert (narrow.op, narrow.activation_bits, narrow.output_bits) == ("quantize", (16,), 4)
        assert layers[f"{unit}.conv1"].inputs == (f"{unit}.quantize",)
        assert layers[f"{unit}.{last}"].output_bits == 16
        total = layers[f"{unit}.add"]
        assert (total.op, total.activation_bits, total.output_bits) == ("add", (16, 16), 16)
        if f"{unit}.down" in layers:
            assert layers[f"{unit}.down"].inputs == (f"{unit}.quantize",)
            assert layers[f"{unit}.down"].output_bits == 16
            assert total.inputs == (f"{unit}.down", f"{unit}.{last}")
    assert sum(shape.op == "quantize" for shape in layers.values()) == len(units) == {"resnet18": 8}.get(name, 16)
    assert layers["conv1"].output_bits == 16
    assert (layers["maxpool"].activation_bits, layers["maxpool"].output_bits) == ((16,), 16)
    assert (layers["avgpool"].activation_bits, layers["avgpool"].output_bits) == ((16,), 4)


@pytest.mark.parametrize(("activation", "weight"), [(1, 1), (4, 4), (8, 8), (3, 7), (16, 16)])
def test_requantisation(activation: int, weight: int) -> None:
    network = NETWORKS["resnet18"]()
    pairs = {layer.name: (activation, weight) for layer in network.weight_layers}
    layers = shapes("resnet18", Widths(layers=pairs, residual_bits=16))
    for layer in network.weight_layers:
        shape = conv(layers, layer.name)
        mine = shape.requantize
        # The sum of the largest products, written out.
        lowest = -layer.gemm[1] * (2**activation - 1) * 2 ** (weight - 1)
        assert -(2 ** (mine.accumulator_bits - 1)) <= lowest < -(2 ** (mine.accumulator_bits - 2))
        assert mine.operand_bits == shape.output_bits + 6
        relu = layer.name == "conv1" or (layer.name.endswith("conv1"))
        assert mine.rectified == relu
        assert not mine.two_sided
        assert not mine.uniform
        assert mine.shift == activation + weight + 6
        assert mine.offset2 == (1 if relu else 2**shape.output_bits + 1)
        assert (mine.low, mine.high, mine.bits) == (0, 2**shape.output_bits - 1, shape.output_bits)
        widest = mine.accumulator_bits - relu
        limit = activation + weight + SATURATION_BITS + (not relu)
        assert mine.factor_bits == (limit if mine.clamped else widest)
        assert mine.clamped or widest <= limit + 3


def test_additions_and_changes_of_width() -> None:
    layers = shapes("resnet18", Widths(uniform=8, residual_bits=16))
    total, narrow = layers["stage1.unit1.add"], layers["stage1.unit1.quantize"]
    assert isinstance(total, ElementwiseShape)
    assert isinstance(narrow, ElementwiseShape)
    factor = 2**22 - 1
    assert (total.factor_bits, total.shift, total.low, total.high) == (22, 20, 0, 2**16 - 1)
    largest = factor * (2 * (2**16 - 1) - 2**15) + 2**19
    assert total.sum_bits == largest.bit_length() + 1 == 40
    assert (narrow.factor_bits, narrow.shift, narrow.low, narrow.high) == (14, 20, 0, 255)
    assert narrow.sum_bits == ((2**14 - 1) * (2**16 - 1) + 2**19).bit_length() + 1 == 32


def test_operands_of_different_widths_have_factors_in_their_ratio() -> None:
    network = residual_network("small", (1, 1, 1, 1), bottleneck=False)
    asked = {layer.name: (4, 4) for layer in network.weight_layers} | {"stage1.unit1.conv1": (8, 4)}
    layers = {shape.name: shape for shape in network.shapes(Widths(layers=asked))}
    total = layers["stage1.unit1.add"]
    assert isinstance(total, ElementwiseShape)
    assert (total.activation_bits, total.output_bits) == ((8, 4), 4)
    assert (total.factor_bits, total.shift) == (10, 8)
    largest = (1023 >> 4) * 255 + 1023 * 15 - 1023 * 8 + 128
    assert total.sum_bits == max(largest.bit_length() + 1, total.factor_bits + 8)


def test_the_mean() -> None:
    layers = shapes("resnet50", Widths(uniform=8))
    pool = layers["avgpool"]
    assert isinstance(pool, AveragePoolShape)
    assert (pool.window, pool.stride, pool.padding, pool.divisors) == ((7, 7), (7, 7), (0, 0), (49,))
    mine = pool.requantize
    assert mine.accumulator_bits == (49 * 255).bit_length() + 1
    multiplier = round(2**mine.shift / 49)
    assert 2**13 <= multiplier < 2**14
    assert mine.operand_bits == 14
    assert (mine.rectified, mine.uniform, mine.two_sided) == (True, True, False)


def test_kinds_of_layers() -> None:
    vgg = NETWORKS["vgg16"]().shapes(Widths(uniform=8))
    pools = [shape for shape in vgg if isinstance(shape, MaxPoolShape)]
    assert {(pool.window, pool.stride, pool.padding) for pool in pools} == {((2, 2), (2, 2), (0, 0))}
    assert {(pool.low, pool.high) for pool in pools} == {(0, 255)}
    assert len(pools) == 5
    flatten = [shape for shape in vgg if isinstance(shape, ReorderShape)]
    assert [(shape.input_size, shape.output_size) for shape in flatten] == [((7, 7, 512), (1, 1, 25088))]
    pool = shapes("resnet18", Widths(uniform=8))["maxpool"]
    assert isinstance(pool, MaxPoolShape)
    assert (pool.window, pool.stride, pool.padding) == ((3, 3), (2, 2), (1, 1))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_all_convolutions_fit_a_tile(name: str, bits: int) -> None:
    for residual_bits in (None, 16) if name.startswith("resnet") else (None,):
        for shape in NETWORKS[name]().shapes(Widths(uniform=bits, residual_bits=residual_bits)):
            if isinstance(shape, ConvShape):
                check_fit(shape, CAP)


@pytest.mark.parametrize("widths", [Widths(uniform=8), Widths(uniform=16), Widths(uniform=3, residual_bits=16)])
def test_plans_of_small_layers(widths: Widths) -> None:
    """A layer of each kind, on a tile: programs are made, and their laws evaluated."""
    layers = residual_network("small", (1, 1, 1, 1), bottleneck=False, size=64).shapes(widths)
    kinds = {(shape.kind, shape.op): shape for shape in layers}  # the last of each, which is small
    assert len(kinds) == (7 if widths.residual_bits else 6)
    for shape in kinds.values():
        plan = plan_layer(shape, CAP)
        assert bool(plan.jobs) == (shape.kind != "reorder")
        if plan.jobs:
            assert plan.law_cycles > 0


def test_shapes_survive_json() -> None:
    for shape in NETWORKS["resnet18"]().shapes(Widths(uniform=8, residual_bits=16)):
        assert shape_from_dict(shape.as_dict()) == shape


def test_what_is_assumed_is_said() -> None:
    for name in NETWORKS:
        sentences = NETWORKS[name]().assumptions
        assert len(sentences) == 3
        assert all(sentence.startswith("no weights: ") for sentence in sentences)
