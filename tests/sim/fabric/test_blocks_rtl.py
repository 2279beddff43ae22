"""The laws of CAPs on a fabric, where they are used: blocks of real layers on the Verilog of ``lr``'s CAP.

Of each layer the first block (first set of outputs, first channel) and the last one (last set, with outputs beyond the
map; last channel; last tap tile, with unused taps) run as one program with the windows of a map of the layer's size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from golden.engine import Engine
from golden.tile import GoldenTile
from sim.fabric.accounts import account
from sim.fabric.cap_programs import Sums, block_program
from sim.fabric.geometry import cut_map
from sim.mapping.shapes import AveragePoolShape, ConvShape
from sim.rtl_engine import RtlEngine
from tests.sim.fabric.blocks import (
    Block,
    DotLayer,
    assert_law,
    block_job,
    put_together,
    set_pixels,
    stored_fields,
)
from tests.sim.fabric.evaluated import FABRIC, NETWORKS, evaluated, shapes

pytestmark = pytest.mark.slow  # a build of its own

CAP = FABRIC.cap
LAYERS = {
    "alexnet": ("conv1", "conv2", "conv3", "conv5", "fc6", "fc7", "fc8"),
    "vgg16": ("conv1_1", "conv1_2", "conv3_1", "conv5_3", "fc6", "fc7", "fc8"),
    "resnet18": (
        "conv1", "stage1.unit1.conv1", "stage2.unit1.conv1", "stage2.unit1.down", "stage4.unit2.conv2", "avgpool", "fc",
    ),
    "resnet50": (
        "conv1", "stage1.unit1.conv1", "stage2.unit1.conv2", "stage3.unit1.down", "stage4.unit3.conv2", "avgpool", "fc",
    ),
}  # fmt: skip
"""The first layer, 1x1, 3x3 and strided ones as far as there are any, the mean, the classifier."""

WIDTHS = ((8, 8), (4, 4), (5, 3), (16, 16), (1, 1))
"""Bits of activations and weights."""

NAMED = [(network, layer) for network, layers in LAYERS.items() for layer in layers]

QUICK = {(*layer, WIDTHS[(number + more) % len(WIDTHS)]) for number, layer in enumerate(NAMED) for more in (0, 2)}
"""What runs in the quick tests: two widths of each layer, so that each width occurs."""


def case(network: str, layer: str, bits: tuple[int, int], *, slow: bool = False) -> object:
    """A layer at some widths, with a name."""
    return pytest.param(
        network, layer, bits, id=f"{network}-{layer}-{bits[0]}x{bits[1]}", marks=[pytest.mark.slow] if slow else []
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlEngine]:
    """One simulator for all layers and widths: the hardware has no widths."""
    with RtlEngine(CAP) as engine:
        assert (CAP.rows, CAP.columns, CAP.plane_bits) == (4800, 16, 4800)
        yield engine


def run_blocks(engine: Engine, network: str, layer: str, bits: tuple[int, int], mode: str) -> None:
    """The first and the last block of a layer: sums are those of a plain convolution, cycles those of the evaluator."""
    found = evaluated(network, layer, bits, mode)
    shape, sums = found.shape, found.phases[0]["sums"]
    assert isinstance(shape, ConvShape | AveragePoolShape)
    assert isinstance(sums, Sums)
    assert (sums.config, sums.mode) == (CAP, mode)
    cut = cut_map(shape.output_size, shape.output_bits, CAP.outputs)
    whole = shape.window[0] * shape.window[1] if isinstance(shape, AveragePoolShape) else shape.reduction
    group = sums.reduction // whole  # channels of an average pool that share windows
    rng = np.random.default_rng([len(network), *bits, sums.reduction])
    operands = DotLayer.random(rng, shape, max(2, group) if isinstance(shape, ConvShape) else group)
    places = [set_pixels(cut, number) for number in (0, cut.sets - 1)]
    channels = (0, len(operands.weights) - 1)
    blocks = [
        Block(operands.windows(pixels, CAP.outputs), operands.weights[channel].reshape(-1))
        for pixels, channel in zip(places, channels, strict=True)
    ]
    assert blocks[0].weights.size == sums.reduction

    plan, job = block_job(sums, blocks)
    outcome = engine.run(job)
    fields = stored_fields(sums, outcome.planes)
    for block, pixels, channel in zip(fields, places, channels, strict=True):
        assert put_together(sums, block)[: len(pixels)].tolist() == operands.sums(pixels, channel)
        assert not any(number[len(pixels) :].any() for number in block), "nothing beyond the map"
    parts = assert_law(outcome, plan, CAP, "convolution")
    # What the evaluator says of the whole layer is what the hardware spent on these two, for each block of a CAP.
    blocks_of_cap = sum(phase["blocks"] for phase in found.phases)
    assert 2 * found.cost.cycles["convolution"] == blocks_of_cap * parts["convolution"]


@pytest.mark.parametrize(
    ("network", "layer", "bits"),
    [case(*layer, bits, slow=(*layer, bits) not in QUICK) for layer in NAMED for bits in WIDTHS],
)
def test_blocks_of_real_layers(engine: RtlEngine, network: str, layer: str, bits: tuple[int, int]) -> None:
    run_blocks(engine, network, layer, bits, "count")


PRODUCTS = (
    ("alexnet", "conv1", (8, 8)), ("alexnet", "conv2", (4, 4)), ("vgg16", "conv1_1", (8, 8)),
    ("vgg16", "conv1_2", (5, 3)), ("resnet18", "conv1", (4, 4)), ("resnet18", "stage2.unit1.down", (8, 8)),
    ("resnet18", "fc", (4, 4)), ("resnet18", "avgpool", (8, 8)), ("resnet50", "stage1.unit1.conv1", (16, 16)),
    ("resnet50", "stage3.unit1.down", (5, 3)), ("resnet50", "fc", (1, 1)),
)  # fmt: skip
"""Layers of few tap tiles, each of which takes mode ``lut`` hundreds of cycles for each pair of digits."""

LONGER_PRODUCTS = [
    (network, layer, bits)
    for network, layer in (("resnet18", "stage2.unit1.conv1"), ("resnet18", "fc"), ("resnet50", "fc"))
    for bits in WIDTHS
    if layer == "fc" or bits != (16, 16)  # so many sums of digits do not fit a MAP
]


@pytest.mark.parametrize(
    ("network", "layer", "bits"),
    [*(case(*one) for one in PRODUCTS), *(case(*one, slow=True) for one in LONGER_PRODUCTS if one not in PRODUCTS)],
)
def test_products_of_real_layers(engine: RtlEngine, network: str, layer: str, bits: tuple[int, int]) -> None:
    run_blocks(engine, network, layer, bits, "lut")


def test_golden_tile_stores_the_same() -> None:
    """A failure of this one is no failure of the hardware."""
    run_blocks(GoldenTile(CAP), "resnet18", "stage2.unit1.down", (8, 8), "count")
    run_blocks(GoldenTile(CAP), "resnet18", "stage2.unit1.down", (8, 8), "lut")


def test_the_layers_are_what_they_are_said_to_be() -> None:
    for network in NETWORKS:
        known = shapes(network, (8, 8))
        chosen = [shape for shape in (known[name] for name in LAYERS[network]) if isinstance(shape, ConvShape)]
        convolutions = [shape for shape in known.values() if isinstance(shape, ConvShape)]
        assert len(chosen) >= 5
        assert chosen[0] == convolutions[0]
        assert chosen[-1] == convolutions[-1]
        everything, ours = ({shape.kernel for shape in some} for some in (convolutions, chosen))
        assert {(1, 1), (3, 3)} <= everything
        assert ours == everything
        strides = {shape.stride for shape in convolutions}
        assert {shape.stride for shape in chosen} == strides
        assert strides >= {(2, 2)} or network in ("alexnet", "vgg16")
        assert any(shape.reduction % CAP.taps for shape in chosen), "a last tap tile with unused taps"
        cuts = [cut_map(shape.output_size, shape.output_bits, CAP.outputs) for shape in chosen]
        assert any(len(set_pixels(cut, cut.sets - 1)) < CAP.outputs for cut in cuts), "outputs beyond the map"
        quick = {bits for name, _, bits in QUICK if name == network}
        assert quick == set(WIDTHS)


@pytest.mark.parametrize("mode", ["count", "lut"])
@pytest.mark.parametrize("network", NETWORKS)
def test_more_blocks_take_as_much_again(network: str, mode: str) -> None:
    """Two blocks, as they run on the hardware, tell the time of as many as a CAP has in any layer."""
    looked_at: dict[Sums, int] = {}
    for bits in ((8, 8), (4, 4)):
        for layer, shape in shapes(network, bits).items():
            if isinstance(shape, ConvShape | AveragePoolShape):
                for phase in evaluated(network, layer, bits, mode).phases:
                    looked_at[phase["sums"]] = max(looked_at.get(phase["sums"], 2), phase["blocks"])
    assert len(looked_at) >= 8
    for sums, most in looked_at.items():
        if sums.tiles * most > 1000:
            continue
        one, two, many = (
            account(block_program(sums, count).instructions, CAP, "convolution").total for count in (1, 2, most)
        )
        assert many == one + (most - 1) * (two - one), sums
