"""Whole layers of real networks, tile by tile, on the Verilog of ``lr``: every block of every CAP, every batch of MAPs.

What the CAPs' hardware stores is what the MAPs' hardware is given, and the map that comes out is that of the integer
operators.  Windows are laid out by the test, as a gather unit does it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pytest

from golden import operators
from golden.engine import Outcome
from golden.graph import AveragePool, Conv, Integers, Rescale
from hw.config import TileConfig
from hw.isa import ErrorCode
from sim.fabric.accounts import Parts
from sim.fabric.geometry import MapCut, cut_map
from sim.fabric.map_programs import sum_program
from sim.mapping.builder import JobPlan, equal_parts
from sim.mapping.shapes import AveragePoolShape, ConvShape
from sim.rtl_engine import RtlEngine
from tests.sim.fabric.batches import Batch, assert_evaluated, random_rescale, run_map
from tests.sim.fabric.blocks import Block, DotLayer, assert_law, block_job, set_pixels, stored_fields
from tests.sim.fabric.evaluated import FABRIC, Evaluated, evaluated

pytestmark = pytest.mark.slow  # a build of its own

Place = tuple[int, int] | None
"""A block: its set and its channel."""

LAYERS = [
    pytest.param("resnet18", "stage4.unit1.down", (4, 4), id="four tap tiles"),
    pytest.param("resnet18", "avgpool", (8, 8), id="one CAP of a cluster, eight blocks"),
    pytest.param("resnet18", "stage4.unit1.down", (8, 8), id="four tap tiles, 8 bits", marks=pytest.mark.slow),
    pytest.param("resnet18", "stage4.unit1.down", (12, 9), id="words in digits", marks=pytest.mark.slow),
    pytest.param("resnet18", "stage3.unit1.down", (8, 8), id="four sets", marks=pytest.mark.slow),
    pytest.param("resnet18", "fc", (8, 8), id="classifier", marks=pytest.mark.slow),
    pytest.param("alexnet", "conv1", (4, 4), id="first layer, 55 sets", marks=pytest.mark.slow),
]
"""ResNet18's last shortcut is the smallest convolution of several tap tiles."""


@pytest.fixture(scope="module")
def cap() -> Iterator[RtlEngine]:
    with RtlEngine(FABRIC.cap) as engine:
        yield engine


@pytest.fixture(scope="module")
def map_() -> Iterator[RtlEngine]:
    with RtlEngine(FABRIC.map) as engine:
        yield engine


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with data, and how the evaluator divides its blocks among tiles.

    Parameters
    ----------
    found : what the evaluator says.
    operands : input map and weights, those of an average pool for one group of channels.
    rescale : constants of all channels; of an average pool, those of its only divisor.
    """

    found: Evaluated
    operands: DotLayer
    rescale: Rescale

    @classmethod
    def random(cls, found: Evaluated) -> Layer:
        """Random numbers of a layer's widths."""
        shape, channels = found.shape, found.shape.output_size[2]
        rng = np.random.default_rng(channels)
        assert isinstance(shape, ConvShape | AveragePoolShape)
        operands = DotLayer.random(rng, shape, channels if isinstance(shape, ConvShape) else shape.input_size[2])
        entries = channels if isinstance(shape, ConvShape) else len(shape.divisors)
        return cls(found, operands, random_rescale(rng, shape.requantize, entries))

    @property
    def cut(self) -> MapCut:
        """How the output is cut into sets."""
        return cut_map(self.found.shape.output_size, self.found.shape.output_bits, FABRIC.outputs)

    def map_caps(self) -> Iterator[list[list[Place]]]:
        """For each MAP, the blocks of its CAPs in order: an idle CAP or round has no block."""
        pattern = r"(\d+) x (\d+) clusters \(pixels x channels\), (\d+) CAPs? in each, (\d+) blocks?"
        match = re.match(pattern, self.found.cost.mapping)
        assert match is not None
        sets, runs, busy, blocks = map(int, match.groups())
        caps = self.found.phases[0]["caps"]
        for own_sets, own in itertools.product(equal_parts(self.cut.sets, sets), equal_parts(self.cut.channels, runs)):
            rounds = -(-len(own) // busy)
            for first in range(0, busy, caps):
                yield [
                    [
                        (number, own[turn * busy + cap]) if cap < busy and turn * busy + cap < len(own) else None
                        for number in own_sets
                        for turn in range(rounds)
                    ]
                    + [None] * (blocks - len(own_sets) * rounds)
                    for cap in range(first, first + caps)
                ]

    @cached_property
    def windows(self) -> list[Integers]:
        """Windows of each set, over all channels."""
        return [self.operands.windows(set_pixels(self.cut, number), FABRIC.outputs) for number in range(self.cut.sets)]

    def block(self, place: Place) -> Block:
        """The operands of a block; zeros for none."""
        reduction = self.found.phases[0]["sums"].reduction
        if place is None:
            return Block(np.zeros((FABRIC.outputs, reduction), np.int64), np.zeros(reduction, np.int64))
        number, channel = place
        if isinstance(self.found.shape, AveragePoolShape):  # a gather unit leaves out the other channels
            own = slice(channel, None, self.found.shape.input_size[2])
            return Block(self.windows[number][:, own], np.ones(reduction, np.int64))
        return Block(self.windows[number], self.operands.weights[channel].reshape(-1))

    def expected(self) -> Integers:
        """The output map by the integer operators."""
        shape, values = self.found.shape, self.operands.values
        size = shape.output_size[:2]
        if isinstance(shape, AveragePoolShape):
            pool = AveragePool(
                shape.name, shape.inputs, shape.output, shape.window, shape.stride, shape.padding, shape.divisors,
                self.rescale,
            )  # fmt: skip
            return operators.average_pool(pool, values, size)
        assert isinstance(shape, ConvShape)
        layer = Conv(
            shape.name, shape.inputs, shape.output, shape.op, self.operands.weights, shape.kernel_bits, shape.stride,
            shape.dilation, shape.padding, self.operands.pad_value, 1, self.rescale,
        )  # fmt: skip
        return operators.convolve(layer, values, size)


@pytest.mark.parametrize(("network", "layer", "bits"), LAYERS)
def test_whole_layer(cap: RtlEngine, map_: RtlEngine, network: str, layer: str, bits: tuple[int, int]) -> None:
    whole = Layer.random(evaluated(network, layer, bits))
    found, cost = whole.found, whole.found.cost.cycles
    (phase,) = found.phases
    sums, shape = phase["sums"], phase["shape"]
    size = found.shape.output_size
    result = np.full(size, -1)
    counted: dict[str, dict[str, int]] = {}
    blocks = 0
    parts: dict[str, Parts] = {}

    def check(outcome: Outcome, plan: JobPlan, tile: TileConfig, computing: str) -> None:
        """The first run obeys the law; all others count the same, as they run the same program."""
        if tile.name not in counted:
            counted[tile.name], parts[tile.name] = outcome.counters, assert_law(outcome, plan, tile, computing)
        assert outcome.error is ErrorCode.NONE
        assert outcome.counters == counted[tile.name]

    for caps in whole.map_caps():
        if not any(itertools.chain(*caps)):
            continue
        fields: list[list[list[Integers]]] = []
        for places in caps:
            plan, job = block_job(sums, [whole.block(place) for place in places])
            assert plan.work == phase["blocks"]
            outcome = cap.run(job)
            check(outcome, plan, FABRIC.cap, "convolution")
            fields.append(stored_fields(sums, outcome.planes))
        order = [place for turn in zip(*caps, strict=True) for place in turn]
        channels = np.array([-1 if place is None else place[1] for place in order])
        if len(whole.rescale.multiplier) == 1:
            channels = np.minimum(channels, 0)
        batch = Batch(sums, np.array(fields).swapaxes(0, 1), whole.rescale, channels)
        plan = sum_program(layer, shape, sums, len(caps), phase["blocks"], FABRIC.map, rescale=whole.rescale).job
        outcome, numbers = run_map(map_, plan, partial(batch.planes, shape, FABRIC.map), shape.bits)
        check(outcome, plan, FABRIC.map, "requantise")
        for place, row in zip(order, numbers, strict=False):
            if place is not None:
                pixels = set_pixels(whole.cut, place[0])
                assert (result[pixels[:, 0], pixels[:, 1], place[1]] == -1).all(), "each output is made once"
                result[pixels[:, 0], pixels[:, 1], place[1]] = row[: len(pixels)]
                blocks += 1
    assert blocks == whole.cut.blocks
    assert np.array_equal(result, whole.expected())
    assert len(np.unique(result)) > 8, "the numbers differ"
    # The evaluator's cycles are what these tiles have counted.
    assert cost["convolution"] == parts[FABRIC.cap.name]["convolution"]
    assert_evaluated(found, parts[FABRIC.map.name])
