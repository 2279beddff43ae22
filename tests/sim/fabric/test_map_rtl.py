"""The laws of MAPs on a fabric, where they are used: batches of real layers on the Verilog of ``lr``'s MAP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from golden import operators
from golden.engine import Bits
from hw.isa import ErrorCode
from sim.evaluate.widths import parse_widths
from sim.fabric.accounts import Parts, account
from sim.fabric.map_programs import PositionLoad, elementwise_program, pool_program, sum_program
from sim.mapping.bits import to_bits
from sim.mapping.builder import Source
from sim.mapping.shapes import ElementwiseShape, MaxPoolShape
from sim.networks.load import load_network
from sim.rtl_engine import RtlEngine
from tests.sim.fabric.batches import Batch, assert_evaluated, load_columns, random_elementwise, random_rescale, run_map
from tests.sim.fabric.blocks import assert_law
from tests.sim.fabric.evaluated import FABRIC, evaluated, shapes

pytestmark = pytest.mark.slow  # a build of its own

MAP = FABRIC.map


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlEngine]:
    """One simulator for all layers and widths."""
    with RtlEngine(MAP) as engine:
        assert (MAP.rows, MAP.columns, MAP.plane_bits) == (4800, 256, 4800)
        yield engine


SUMS = (
    ("alexnet", "conv1", (8, 8)), ("alexnet", "fc6", (4, 4)), ("alexnet", "fc8", (16, 16)),
    ("vgg16", "conv1_1", (8, 8)), ("vgg16", "conv1_2", (16, 16)), ("vgg16", "conv4_1", (5, 3)),
    ("vgg16", "fc8", (1, 1)),
    ("resnet18", "conv1", (8, 8)), ("resnet18", "conv1", (16, 16)), ("resnet18", "stage2.unit1.conv1", (4, 4)),
    ("resnet18", "stage2.unit1.down", (5, 3)), ("resnet18", "stage4.unit2.conv2", (1, 1)),
    ("resnet18", "avgpool", (8, 8)), ("resnet18", "fc", (8, 8)), ("resnet50", "stage1.unit1.conv3", (8, 8)),
    ("resnet50", "stage1.unit1.conv3", (16, 16)), ("resnet50", "stage2.unit1.down", (12, 10)),
    ("resnet50", "avgpool", (4, 4)), ("resnet50", "fc", (16, 16)),
)  # fmt: skip
"""Layers with one and with several blocks for each CAP, with sums of one digit and of several."""


def run_sums(engine: RtlEngine, network: str, layer: str, bits: tuple[int, int], mode: str) -> None:
    """One batch, as the evaluator has it, with random sums, biases and constants."""
    found = evaluated(network, layer, bits, mode)
    phase = found.phases[0]
    sums, shape, blocks, caps = phase["sums"], phase["shape"], phase["blocks"], phase["caps"]
    rng = np.random.default_rng([len(network), len(layer), *bits])
    rescale = random_rescale(rng, shape, entries=max(2, blocks * caps))
    batch = Batch.random(rng, sums, blocks, caps, rescale)
    plan = sum_program(layer, shape, sums, caps, blocks, MAP, rescale=rescale).job
    outcome, numbers = run_map(engine, plan, partial(batch.planes, shape, MAP), shape.bits)
    x = batch.accumulators
    entries = np.broadcast_to(batch.channels[:, None], x.shape)
    expected = operators.requantize(x, rescale, entries)
    assert numbers[: len(x)].tolist() == expected.tolist()
    assert len(np.unique(expected)) > min(2, shape.high), "the numbers differ"
    assert_evaluated(found, assert_law(outcome, plan, MAP, "requantise"))
    # The evaluator takes the time of the program without constants.
    timed = sum_program("", shape, sums, caps, blocks, MAP).job
    assert account(timed.instructions, MAP, "requantise").cycles == account(plan.instructions, MAP, "requantise").cycles


@pytest.mark.parametrize(("network", "layer", "bits"), SUMS, ids=str)
def test_sums_of_real_layers(engine: RtlEngine, network: str, layer: str, bits: tuple[int, int]) -> None:
    run_sums(engine, network, layer, bits, "count")


@pytest.mark.parametrize(("layer", "bits"), [("stage2.unit1.down", (8, 8)), ("conv1", (16, 16)), ("fc", (5, 3))])
def test_sums_of_products(engine: RtlEngine, layer: str, bits: tuple[int, int]) -> None:
    """In mode ``lut`` words are cut into more digits."""
    run_sums(engine, "resnet18", layer, bits, "lut")


def test_batches_differ() -> None:
    """The sums are of one digit and of several, of one block and of many."""
    found = [evaluated(*one).phases[0] for one in SUMS]
    assert {len(phase["sums"].stored) for phase in found} == {1, 2, 3}
    assert {phase["caps"] for phase in found} == {1, 4}
    assert {phase["blocks"] for phase in found} >= {1, 2, 4, 14}
    assert {phase["shape"].uniform for phase in found} == {True, False}
    assert {phase["shape"].rectified for phase in found} == {True, False}
    assert {phase["shape"].clamped for phase in found} == {True, False}


def run_elements(engine: RtlEngine, shape: ElementwiseShape) -> Parts:
    """Random operands in every row; returns the cycles by part."""
    rng = np.random.default_rng([*shape.activation_bits, shape.output_bits])
    constants = random_elementwise(rng, shape)
    operands = [rng.integers(0, 1 << width, MAP.rows) for width in shape.activation_bits]
    planes = np.concatenate([to_bits(one, width).T for one, width in zip(operands, shape.activation_bits, strict=True)])
    assert engine.run(load_columns(MAP, np.ascontiguousarray(planes))).error is ErrorCode.NONE
    plan = elementwise_program(shape, MAP, layer=constants)
    outcome, numbers = run_map(engine, plan, _no_planes, shape.output_bits)
    expected = operators.elementwise(constants, operands)
    assert numbers.reshape(-1).tolist() == expected.tolist()
    timed = account(elementwise_program(shape, MAP).instructions, MAP, "residual").cycles
    assert timed == assert_law(outcome, plan, MAP, "residual")
    return timed


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (16, 16), (1, 1)])
@pytest.mark.parametrize(("network", "layer"), [("resnet18", "stage1.unit1.add"), ("resnet50", "stage3.unit1.add")])
def test_additions(engine: RtlEngine, network: str, layer: str, bits: tuple[int, int]) -> None:
    found = evaluated(network, layer, bits)
    phase = found.phases[0]
    assert found.cost.cycles["residual"] == phase["batches"] * run_elements(engine, phase["shape"])["residual"]


def test_residual_streams_of_hawq(engine: RtlEngine) -> None:
    """Additions of 16 bits, and changes of width before the convolutions."""
    network = load_network("resnet18")
    widths = parse_widths("hawq-v3/latency-0.25", network)
    found: dict[tuple[object, ...], ElementwiseShape] = {}
    for shape in network.shapes(widths):
        if isinstance(shape, ElementwiseShape):
            found[shape.op, shape.activation_bits, shape.output_bits] = shape
    assert {op for op, *_ in found} == {"add", "quantize"}
    assert {bits for op, _, bits in found if op == "quantize"} == {8, 4}
    for shape in found.values():
        run_elements(engine, shape)


def _no_planes(source: Source) -> Bits:
    raise AssertionError(f"operands are there already, and so is {source}")


@pytest.mark.parametrize(
    ("network", "layer", "bits"),
    [
        ("alexnet", "pool1", (8, 8)),
        ("alexnet", "pool5", (4, 4)),
        ("vgg16", "pool1", (4, 4)),
        ("vgg16", "pool5", (16, 16)),
        ("resnet18", "maxpool", (8, 8)),
        ("resnet50", "maxpool", (1, 1)),
        ("resnet50", "maxpool", (5, 3)),
    ],
)
def test_maxima(engine: RtlEngine, network: str, layer: str, bits: tuple[int, int]) -> None:
    found = evaluated(network, layer, bits)
    phase = found.phases[0]
    shape = phase["shape"]
    assert isinstance(shape, MaxPoolShape)
    width = shape.activation_bits[0]
    rng = np.random.default_rng(bits)
    windows = rng.integers(0, 1 << width, (shape.window[0] * shape.window[1], MAP.taps, MAP.outputs))

    def planes(source: Source) -> Bits:
        assert isinstance(source, PositionLoad)
        return np.ascontiguousarray(to_bits(windows[source.position].reshape(-1), width).T)

    plan = pool_program(shape, MAP)
    outcome, numbers = run_map(engine, plan, planes, width)
    assert numbers.tolist() == windows.max(axis=0).tolist()
    parts = assert_law(outcome, plan, MAP, "pooling")
    assert found.cost.cycles["pooling"] == phase["batches"] * parts["pooling"]


@pytest.mark.slow
@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (16, 16)])
@pytest.mark.parametrize("network", ["alexnet", "vgg16", "resnet18", "resnet50"])
def test_sums_of_all_layers(engine: RtlEngine, network: str, bits: tuple[int, int]) -> None:
    """Layers whose batches are alike run once."""
    seen: set[tuple[object, ...]] = set()
    for layer in shapes(network, bits):
        for phase in evaluated(network, layer, bits).phases[:1]:
            if "sums" in phase:
                key = tuple(phase[name] for name in ("sums", "shape", "blocks", "caps"))
                if key not in seen:
                    seen.add(key)
                    run_sums(engine, network, layer, bits, "count")
    assert len(seen) >= 8
