"""Programs of CAPs on the golden tile: every width, both modes, tiles of many sizes; and what they may do."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from golden.engine import Job
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import LoadKind, Opcode, StoreKind, reduce_levels, violation
from sim.fabric.accounts import account
from sim.fabric.cap_programs import OnesLoad, Sums, WeightLoad, WindowLoad, block_program, plan_sums
from sim.mapping.builder import JobPlan
from sim.mapping.errors import MappingError
from tests.sim.fabric.blocks import Block, assert_law, block_job, put_together, stored_fields
from tests.sim.fabric.evaluated import FABRIC
from tests.sim.ownership import ownership_violations

SMALL = TileConfig(name="small", taps=5, outputs=4, columns=16, plane_bits=20, activity=False)
TILES = {
    **{f"1d{columns}": SMALL.replace(columns=columns, name=f"1d{columns}") for columns in (16, 24, 64)},
    **{f"2d{columns}": SMALL.replace(columns=columns, name=f"2d{columns}", vertical=True) for columns in (16, 24, 64)},
    "narrow": SMALL.replace(name="narrow", vertical=True, plane_bits=3, port_queue=1),
    "two": SMALL.replace(name="two", taps=2, plane_bits=8),
    "one": SMALL.replace(name="one", taps=1, plane_bits=4),
    "cells": SMALL.replace(name="cells", columns=17, array="cells", passes="merged", vertical=True),
    "3r1w": SMALL.replace(name="3r1w", columns=20, array="3r1w"),
}
"""Few taps, no power of two, with room for one buffer and for two, and what else takes other cycles."""


def random_block(rng: np.random.Generator, sums: Sums, bits: tuple[int, int], *, extreme: bool) -> Block:
    """Operands at random, or those of the sum that is farthest from 0."""
    low = -(1 << bits[1] - 1)
    size = (sums.config.outputs, sums.reduction)
    if extreme:
        return Block(np.full(size, (1 << bits[0]) - 1), np.full(sums.reduction, low))
    return Block(rng.integers(0, 1 << bits[0], size), rng.integers(low, max(-low, 1), sums.reduction))


def planned(config: TileConfig, bits: tuple[int, int], reduction: int, mode: str) -> Sums:
    """Sums in the width that holds the largest one."""
    accumulator = sum(bits) + reduction.bit_length()
    return plan_sums("x", *bits, reduction, accumulator, config, mode)


def legal(plan: JobPlan) -> None:
    """No instruction is refused, and nothing meets what belongs to the port."""
    for instruction in plan.instructions:
        assert violation(instruction, plan.config) is None
    assert not ownership_violations(plan.program, plan.config)


def run(config: TileConfig, bits: tuple[int, int], reduction: int, mode: str, blocks: int = 2, seed: int = 0) -> Sums:
    """Blocks on a tile with random cells; the last one is extreme."""
    sums = planned(config, bits, reduction, mode)
    rng = np.random.default_rng([seed, *bits, reduction])
    operands = [random_block(rng, sums, bits, extreme=number == blocks - 1) for number in range(blocks)]
    plan, job = block_job(sums, operands)
    legal(plan)
    tile = GoldenTile(config, seed)
    tile.totals[:] = rng.integers(-1000, 1000, config.outputs)
    outcome = tile.run(job)
    for block, fields in zip(operands, stored_fields(sums, outcome.planes), strict=True):
        assert put_together(sums, fields).tolist() == (block.windows @ block.weights).tolist()
        for number, (digits, _) in zip(fields, sums.stored, strict=True):
            assert digits.signed or (number >= 0).all()
    assert_law(outcome, plan, config, "convolution")
    return sums


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_width(bits: int) -> None:
    """All pairs of widths from 1 to 16, and sums of less than a tap tile, of a whole one and of more."""
    for weight_bits in range(1, 17):
        reduction = 1 + (7 * bits + 3 * weight_bits) % 16
        run(TILES["2d16"], (bits, weight_bits), reduction, "count")


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("mode", ["count", "lut"])
def test_tiles(tile: str, mode: str) -> None:
    config = TILES[tile]
    for bits in ((8, 8), (4, 4), (2, 2), (5, 3), (1, 1), (3, 11)):
        run(config, bits, config.taps + sum(bits) % 7, mode, blocks=3, seed=sum(bits))
    run(config, (16, 16), config.taps + 1, mode)


@pytest.mark.parametrize("bits", [(8, 8), (5, 3), (9, 4)])
@pytest.mark.parametrize("mode", ["count", "lut"])
def test_the_tile_of_the_fabric(mode: str, bits: tuple[int, int]) -> None:
    """Sums that end in the middle of a tap tile, with one and with three tap tiles."""
    for reduction in (27, 75, 192):
        run(FABRIC.cap, bits, reduction, mode)


def test_cells_and_totals_of_before_do_not_matter() -> None:
    for mode, seed in itertools.product(["count", "lut"], range(5)):
        run(TILES["1d16"], (4, 3), 7, mode, seed=seed)


def loads(plan: JobPlan) -> list[tuple[int, ...]]:
    """First column, planes and address of each LOAD of windows."""
    found = [(op, at) for at, op in enumerate(plan.instructions) if op.opcode == Opcode.LOAD]
    return [(op.d, op.d_width, at) for op, at in found if op.kind == LoadKind.PLANES]


@pytest.mark.parametrize(("bits", "buffers"), [((8, 8), 1), ((5, 4), 1), ((4, 4), 2), ((2, 2), 2), ((1, 1), 2)])
def test_operands_come_ahead_where_there_is_room(bits: tuple[int, int], buffers: int) -> None:
    plan = block_program(planned(TILES["2d16"], bits, 20, "count"), 1)
    assert {column for column, *_ in loads(plan)} == {sum(bits) * buffer for buffer in range(buffers)}
    dots = [at for at, op in enumerate(plan.instructions) if op.opcode == Opcode.DOT]
    assert len(dots) == 4
    for index, (_, _, at) in enumerate(loads(plan)[1:], start=1):
        assert (at < dots[index - 1]) == (buffers == 2), "the next operands come before this DOT, or after it"


def test_two_buffers_hide_loads() -> None:
    """With one buffer the DOT waits for all planes of the next operands, with two for those that it does not cover."""
    waits: dict[int, int] = {}
    for columns in (8, 16):
        config = TILES["2d16"].replace(name="x", columns=columns)
        plan = block_program(planned(config, (4, 4), 50, "count"), 1)
        waits[columns] = account(plan.instructions, config, "convolution").cycles["load"]
    assert waits[16] < waits[8] / 4


@pytest.mark.parametrize("mode", ["count", "lut"])
def test_a_block_loads_each_tap_tile_and_stores_each_sum_once(mode: str) -> None:
    sums = planned(TILES["2d16"], (16, 12), 12, mode)
    plan = block_program(sums, 2)
    assert plan.work == 2
    assert sums.tiles == 3
    pairs = [pair for digits in sums.split.sums for pair in digits.pairs]
    assert sums.pairs == len(pairs)
    windows = [(one.block, one.tile, one.digit) for one in plan.loads if isinstance(one, WindowLoad)]
    weights = [(one.block, one.tile, one.digit) for one in plan.loads if isinstance(one, WeightLoad)]
    wanted = [(block, tile, pair) for block in range(2) for tile in range(3) for pair in pairs]
    assert sorted(zip(windows, weights, strict=True), key=str) == sorted(
        (((block, tile, a), (block, tile, w)) for block, tile, (a, w) in wanted), key=str
    )
    assert sum(isinstance(one, OnesLoad) for one in plan.loads) == (len(wanted) if mode == "lut" else 0)
    stores = [op for op in plan.instructions if op.opcode == Opcode.STORE]
    assert all(op.kind == StoreKind.TOTAL for op in stores)
    assert [op.a_width for op in stores] == [width for _, width in sums.stored] * 2
    assert [sink.first_row for sink in plan.stores] == [0] * len(sums.stored) + [4] * len(sums.stored)
    taps = [op.d_width for op in plan.instructions if op.opcode == Opcode.LOAD and op.kind == LoadKind.TAPS]
    assert sum(taps) == 2 * sums.weight_planes


def operations(plan: JobPlan) -> set[Opcode]:
    return {Opcode(op.opcode) for op in plan.instructions}


def test_modes_differ_in_how_they_multiply() -> None:
    counted, multiplied = (block_program(planned(TILES["2d16"], (4, 4), 9, mode), 1) for mode in ("count", "lut"))
    assert operations(counted) == {Opcode.INIT, Opcode.LOAD, Opcode.SYNC, Opcode.DOT, Opcode.STORE, Opcode.HALT}
    assert operations(multiplied) - operations(counted) == {Opcode.FILL, Opcode.MUL, Opcode.REDUCE}
    single = block_program(planned(TILES["one"], (4, 4), 9, "lut"), 1)
    assert Opcode.REDUCE not in operations(single)


@pytest.mark.parametrize("tile", ["1d16", "2d16"])
def test_products_leave_columns_for_their_sum(tile: str) -> None:
    config = TILES[tile]
    for bits in itertools.product(range(1, 17), repeat=2):
        sums = planned(config, (bits[0], bits[1]), 5, "lut")
        for digits in sums.split.sums:
            for a, w in digits.pairs:
                scratch = 1 if config.vertical else 2
                assert a.bits + w.bits + reduce_levels(config.taps) + scratch <= config.columns
                assert 2 * (a.bits + w.bits) <= config.columns - (0 if config.vertical else 1)


def test_estimates_rise_with_the_work() -> None:
    """The estimate, by which placements are chosen, is near the law in mode ``count``."""
    for bits in ((8, 8), (4, 4), (16, 16), (1, 1)):
        sums = plan_sums("x", *bits, 2304, sum(bits) + 12, FABRIC.cap, "count")
        one, two = (
            account(block_program(sums, count).instructions, FABRIC.cap, "convolution").total for count in (1, 2)
        )
        assert 0.5 < sums.estimate / (two - one) < 1.5


def test_sums_wider_than_the_totals_are_refused() -> None:
    text = "layer 'conv1' needs total_bits of at least 49, config 2d16 has 48"
    with pytest.raises(MappingError, match=f"^{re.escape(text)}$"):
        plan_sums("conv1", 16, 16, 1 << 17, 49, TILES["2d16"], "count")


def test_products_wider_than_the_fill_counter_are_cut() -> None:
    """24 columns would hold two words of 12 bits; a counter of 20 bits does not hold their products."""
    config = TILES["2d24"].replace(name="x", fill_bits=20, total_bits=48)
    sums = planned(config, (12, 12), 9, "count")
    assert not sums.split.whole
    assert planned(TILES["2d24"], (12, 12), 9, "count").split.whole
    for mode in ("count", "lut"):
        run(config, (12, 12), 9, mode)


def test_a_narrow_accumulator_keeps_the_sum() -> None:
    """Weights may be small for their width: then the sum needs fewer bits than its digits promise."""
    for accumulator in (9, 12, 16, 17, 20):
        sums = plan_sums("x", 16, 16, 3, accumulator, TILES["2d16"], "count")
        assert [digits.place for digits, _ in sums.stored] == [place for place in (0, 8, 16) if place < accumulator]
        assert all(digits.place + width <= accumulator for digits, width in sums.stored)
        rng = np.random.default_rng(accumulator)
        limit = 1 << accumulator - 4
        block = Block(rng.integers(0, limit, (4, 3)), rng.integers(-1, 2, 3))
        plan, job = block_job(sums, [block])
        legal(plan)
        outcome = GoldenTile(sums.config).run(job)
        (fields,) = stored_fields(sums, outcome.planes)
        assert put_together(sums, fields).tolist() == (block.windows @ block.weights).tolist()


def test_equal_instructions_are_one_object() -> None:
    """So long programs are checked quickly."""
    plan = block_program(plan_sums("x", 8, 8, 4608, 32, FABRIC.cap, "count"), 1)
    assert len({id(op) for op in plan.instructions}) < 16 < len(plan.instructions)


def test_jobs_of_other_planes_are_refused() -> None:
    sums = planned(TILES["2d16"], (4, 4), 5, "count")
    plan = block_program(sums, 1)
    with pytest.raises(ValueError, match="planes"):
        GoldenTile(sums.config).run(Job(plan.program, []))
