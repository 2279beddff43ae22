"""Programs of MAPs on the golden tile: random layers with every kind of constants; and what they may do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from golden import operators
from golden.engine import Bits
from golden.graph import Conv, Elementwise, Graph, Integers, MaxPool
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import violation
from sim.fabric.accounts import account
from sim.fabric.cap_programs import plan_sums
from sim.fabric.map_programs import PositionLoad, SumLoad, elementwise_program, pool_program, sum_program
from sim.mapping.bits import to_bits
from sim.mapping.builder import JobPlan, Source
from sim.mapping.errors import MappingError
from sim.mapping.shapes import ConvShape, ElementwiseShape, MaxPoolShape, RequantizeShape, layer_shape
from tests.sim.fabric.batches import Batch, load_columns, run_map
from tests.sim.fabric.blocks import assert_law
from tests.sim.fabric.evaluated import FABRIC
from tests.sim.mapping_graphs import random_graph
from tests.sim.ownership import ownership_violations

MAP = TileConfig(name="map", taps=7, outputs=5, columns=256, plane_bits=35, activity=False)
CAP = TileConfig(name="cap", taps=7, outputs=5, columns=16, plane_bits=35, activity=False)
NARROW = TileConfig(
    name="narrow", taps=7, outputs=5, columns=200, plane_bits=4, port_queue=2, array="3r1w", activity=False
)


def legal(plan: JobPlan) -> None:
    """No instruction is refused, and nothing meets what belongs to the port."""
    for instruction in plan.instructions:
        assert violation(instruction, plan.config) is None
    assert not ownership_violations(plan.program, plan.config)


def kept(tile: GoldenTile, plan: JobPlan, planes: Callable[[Source], Bits], bits: int, reserved: int) -> Integers:
    """Run a program; columns from ``bits`` up to ``reserved`` stay as they are. Returns the stored numbers."""
    legal(plan)
    before = tile.cells
    outcome, numbers = run_map(tile, plan, planes, bits)
    assert np.array_equal(tile.cells[bits:reserved], before[bits:reserved])
    assert_law(outcome, plan, tile.config, "requantise")
    return numbers


def conv_graph(seed: int, bits: int | None = None) -> tuple[Graph, Conv, ConvShape]:
    graph = random_graph(np.random.default_rng([seed, 5]), "conv2d", bits)
    layer = graph.layers[0]
    assert isinstance(layer, Conv)
    if seed % 3 == 0:
        layer = dataclasses.replace(layer, rescale=dataclasses.replace(layer.rescale, ties=seed // 3 % 2))
    shape = layer_shape(layer, graph)
    assert isinstance(shape, ConvShape)
    return graph, layer, shape


@pytest.mark.parametrize("config", [MAP, NARROW], ids=lambda config: config.name)
@pytest.mark.parametrize("first", range(0, 100, 25))
def test_random_sums(first: int, config: TileConfig) -> None:
    """Uniform and other constants, one or two addends, ties, clamps; sums of one digit and of several."""
    seen: set[tuple[bool, ...]] = set()
    for seed in range(first, first + 25):
        _, layer, shape = conv_graph(seed)
        rng = np.random.default_rng(seed)
        requantize = shape.requantize
        sums = plan_sums(
            "x", shape.activation_bits[0], shape.kernel_bits, shape.reduction, requantize.accumulator_bits, CAP,
            ("count", "lut")[seed % 2],
        )  # fmt: skip
        caps = int(rng.integers(1, 4))
        blocks = int(rng.integers(1, config.taps // caps + 1))
        batch = Batch.random(rng, sums, blocks, caps, layer.rescale)
        reserved = int(rng.integers(0, 20))
        try:
            plan = sum_program(
                "x", requantize, sums, caps, blocks, config, reserved=reserved, rescale=layer.rescale
            ).job
        except MappingError:
            continue
        tile = GoldenTile(config, seed)
        numbers = kept(tile, plan, partial(batch.planes, requantize, config), requantize.bits, reserved)
        x = batch.accumulators
        entries = np.broadcast_to(batch.channels[:, None], x.shape)
        assert numbers[: len(x)].tolist() == operators.requantize(x, layer.rescale, entries).tolist(), seed
        seen.add((requantize.uniform, requantize.two_sided, requantize.ties is not None, len(sums.stored) > 1))
        timed = sum_program("x", requantize, sums, caps, blocks, config, reserved=reserved).job
        assert account(timed.instructions, config, "x").cycles == account(plan.instructions, config, "x").cycles
    assert all(len({kinds[number] for kinds in seen}) == 2 for number in range(4)), "both kinds of everything"


def test_sums_narrower_than_their_words() -> None:
    """Weights that are small for their width: digits beyond the accumulator are nowhere."""
    for accumulator in (2, 8, 9, 16, 17):
        shape = RequantizeShape(accumulator, 5, False, accumulator, False, False, False, 6, 1, 0, 255, 8)
        sums = plan_sums("x", 16, 16, 9, accumulator, CAP, "count")
        legal(sum_program("x", shape, sums, 2, 3, MAP).job)


def test_last_sum_and_join_are_where_they_are_said_to_be() -> None:
    _, _, shape = conv_graph(1, 16)
    sums = plan_sums("x", 16, 16, shape.reduction, shape.requantize.accumulator_bits, CAP, "count")
    program = sum_program("x", shape.requantize, sums, 2, 3, MAP)
    names = [type(source).__name__ for source in program.job.loads]
    assert names[: program.last_sum + 1] == ["SumLoad"] * (6 * len(sums.stored))
    assert names[program.last_sum + 1] == "BiasLoad"
    assert program.job.instructions[program.joined].name == "SYNC"
    order = [(one.block, one.digits, one.cap) for one in program.job.loads if isinstance(one, SumLoad)]
    assert order == sorted(order), "as CAPs store by turns"


@pytest.mark.parametrize("kind", ["elementwise", "rounded"])
def test_random_elements(kind: str) -> None:
    done = 0
    for seed in range(40):
        graph = random_graph(np.random.default_rng([seed, 6]), kind)
        layer = graph.layers[0]
        assert isinstance(layer, Elementwise)
        shape = layer_shape(layer, graph)
        assert isinstance(shape, ElementwiseShape)
        rng = np.random.default_rng(seed)
        operands = [rng.integers(0, 1 << bits, MAP.rows) for bits in shape.activation_bits]
        planes = [to_bits(one, bits).T for one, bits in zip(operands, shape.activation_bits, strict=True)]
        reserved = sum(shape.activation_bits) + int(rng.integers(0, 10))
        tile = GoldenTile(MAP, seed)
        tile.run(load_columns(MAP, np.ascontiguousarray(np.concatenate(planes))))
        try:
            plan = elementwise_program(shape, MAP, reserved=reserved, layer=layer)
        except MappingError:
            continue
        numbers = kept(tile, plan, _none, shape.output_bits, reserved)
        assert numbers.reshape(-1).tolist() == operators.elementwise(layer, operands).tolist(), seed
        done += 1
    assert done >= 30


def _none(source: Source) -> Bits:
    raise AssertionError(f"nothing is loaded, and no {source}")


@pytest.mark.parametrize("window", [(1, 1), (1, 2), (2, 2), (3, 3), (1, 5)])
def test_maxima(window: tuple[int, int]) -> None:
    """All windows in all rows, with clamps at either end, at both and at none."""
    rng = np.random.default_rng(window)
    for bits, low, high in ((8, 0, 255), (8, 3, 200), (4, 0, 9), (4, 6, 9), (1, 0, 1), (16, 1, 65534)):
        layer = MaxPool("pool", ("in",), "out", window, (1, 1), (0, 0), low, high)
        shape = MaxPoolShape(
            "pool",
            "max_pool_2d",
            ("in",),
            "out",
            (5, 5, 7),
            (1, 1, 7),
            (bits,),
            bits,
            window,
            (1, 1),
            (0, 0),
            low,
            high,
        )
        values = rng.integers(0, 1 << bits, (window[0] * window[1], MAP.taps, MAP.outputs))

        def planes(source: Source, values: Integers = values, bits: int = bits) -> Bits:
            assert isinstance(source, PositionLoad)
            return np.ascontiguousarray(to_bits(values[source.position].reshape(-1), bits).T)

        plan = pool_program(shape, MAP)
        legal(plan)
        _, numbers = run_map(GoldenTile(MAP), plan, planes, bits)
        assert numbers.tolist() == operators.clamp(values.max(axis=0), layer.low, layer.low + layer.high).tolist()


def test_what_does_not_fit_is_refused() -> None:
    _, _, shape = conv_graph(1, 8)
    sums = plan_sums("conv1", 8, 8, 100, shape.requantize.accumulator_bits, CAP, "count")
    small = MAP.replace(name="small", columns=40)
    with pytest.raises(MappingError, match=r"^layer 'conv1' needs columns of at least \d+ to requantise, config small"):
        sum_program("conv1", shape.requantize, sums, 1, 1, small)
    wide = dataclasses.replace(shape.requantize, operand_bits=33)
    text = "layer 'conv1' needs multipliers of 33 bits, an instruction can name at most 32"
    with pytest.raises(MappingError, match=f"^{re.escape(text)}$"):
        sum_program("conv1", wide, sums, 1, 1, MAP)
    pool = MaxPoolShape(
        "pool", "max_pool_2d", ("in",), "out", (5, 5, 7), (1, 1, 7), (14,), 14, (2, 2), (1, 1), (0, 0), 0, 1
    )
    text = "layer 'pool' needs columns of at least 43, config small has 40"
    with pytest.raises(MappingError, match=f"^{re.escape(text)}$"):
        pool_program(pool, small)


def test_the_fabrics_map_takes_as_many_blocks_as_it_has_taps() -> None:
    _, _, shape = conv_graph(2, 4)
    sums = plan_sums("x", 4, 4, 100, shape.requantize.accumulator_bits, FABRIC.cap, "count")
    legal(sum_program("x", shape.requantize, sums, 4, 18, FABRIC.map).job)
