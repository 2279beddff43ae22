"""Operands of all widths and shapes on the Verilog, against plain integers, with their laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.flexspim.engine import MacroOutcome
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import OperandShape, from_bits, to_bits
from golden.graph import Integers
from hw.flexspim.isa import MacroOpcode, ResetKind, instruction
from tests.macros import FULL, TINY, WAYS, MacroPool, accumulate_all, clipped, job, padded, placed, range_of, wrapped
from tests.rtl import random_settings

SMALL = 4
"""Widths whose numbers are all tried."""

SHAPES = [
    pytest.param(weight, potential, columns, id=f"{weight}w{potential}v{columns}c")
    for weight, potential in itertools.product(range(1, SMALL + 1), repeat=2)
    for columns in range(1, potential + 1)
]


def every_pair(weight_bits: int, potential_bits: int) -> tuple[Integers, Integers]:
    left, right = np.meshgrid(range_of(weight_bits), range_of(potential_bits))
    return left.reshape(-1), right.reshape(-1)


def some_pairs(weight_bits: int, potential_bits: int, count: int, seed: int) -> tuple[Integers, Integers]:
    """Random numbers, and the ends of both ranges with each other."""
    generator = np.random.default_rng(seed)
    pairs: list[Integers] = []
    for bits in (weight_bits, potential_bits):
        numbers = from_bits(generator.integers(0, 2, (count, bits), np.uint8))
        pairs.append(numbers)
    ends = [np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1, -1, 0]) for bits in (weight_bits, potential_bits)]
    left, right = np.meshgrid(*ends)
    return np.concatenate([pairs[0], left.reshape(-1)]), np.concatenate([pairs[1], right.reshape(-1)])


def check_law(outcome: MacroOutcome, shape: OperandShape, slices: int, columns: int) -> None:
    """Cycles and events of one ACCUMULATE, from its shape and the slices that were clipped."""
    counters = outcome.counters
    passes = slices + counters["events.saturations"]
    bits = shape.operands * shape.potential_bits
    assert counters["cycles.array"] == shape.rows * passes
    assert counters["cycles.stall"] == 0
    assert counters["events.synaptic"] == slices * shape.operands
    assert counters["events.column_operations"] == bits * passes
    assert counters["events.standby_columns"] == (shape.rows * columns - bits) * passes
    assert counters["events.saturations"] <= (slices if shape.saturate else 0)


@pytest.mark.parametrize("saturate", [False, True], ids=["wrap", "saturate"])
@pytest.mark.parametrize(("weight", "potential", "columns"), SHAPES)
def test_all_numbers_of_small_widths(
    macros: MacroPool, weight: int, potential: int, columns: int, saturate: bool
) -> None:
    shape = OperandShape.widest(weight, potential, columns, TINY, saturate=saturate)
    left, right = every_pair(weight, potential)
    sums, runs = accumulate_all(macros.get(TINY), shape, left, right)
    exact = wrapped(left, shape.held_bits) + right
    limited = clipped if saturate else wrapped
    assert np.array_equal(sums, limited(exact, potential))
    for outcome, slices in runs:
        check_law(outcome, shape, slices, TINY.columns)


@pytest.mark.parametrize("way", WAYS[1:])
@pytest.mark.parametrize(("weight", "potential", "columns"), [(8, 16, 16), (8, 16, 8), (5, 11, 3), (3, 9, 1)])
def test_both_simulators(macros: MacroPool, way: str, weight: int, potential: int, columns: int) -> None:
    shape = OperandShape.widest(weight, potential, columns, TINY, saturate=True)
    left, right = some_pairs(weight, potential, 16, 1)
    sums, runs = accumulate_all(macros.get(TINY, way), shape, left, right)
    assert np.array_equal(sums, clipped(left + right, potential))
    for outcome, slices in runs:
        check_law(outcome, shape, slices, TINY.columns)


@st.composite
def shapes(draw: st.DrawFn) -> OperandShape:
    potential = draw(st.integers(1, 62))
    fewest = -(-potential // (TINY.rows // 2))
    columns = draw(st.integers(fewest, min(potential, TINY.operand_columns)))
    weight = draw(st.integers(1, 62))
    operands = draw(st.integers(1, TINY.parallel(columns)))
    return OperandShape(
        weight_bits=weight, potential_bits=potential, columns=columns, operands=operands, saturate=draw(st.booleans())
    )


@random_settings(60)
@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
def test_any_shape(macros: MacroPool, shape: OperandShape, seed: int) -> None:
    left, right = some_pairs(shape.weight_bits, shape.potential_bits, 12, seed)
    sums, runs = accumulate_all(macros.get(TINY), shape, left, right, seed)
    exact = wrapped(left, shape.held_bits) + right
    limited = clipped if shape.saturate else wrapped
    assert np.array_equal(sums, limited(exact, shape.potential_bits))
    for outcome, slices in runs:
        check_law(outcome, shape, slices, TINY.columns)


@pytest.mark.slow
@pytest.mark.parametrize("weight", range(1, 25))
def test_grid_of_widths_and_shapes(macros: MacroPool, weight: int) -> None:
    engine = macros.get(FULL)
    for potential in range(1, 25):
        for columns in range(1, potential + 1):
            shape = OperandShape.widest(weight, potential, columns, FULL, saturate=bool((weight + columns) % 2))
            left, right = some_pairs(weight, potential, shape.operands, weight * potential)
            sums, runs = accumulate_all(engine, shape, left, right)
            exact = wrapped(left, shape.held_bits) + right
            limited = clipped if shape.saturate else wrapped
            assert np.array_equal(sums, limited(exact, potential))
            for outcome, slices in runs:
                check_law(outcome, shape, slices, FULL.columns)


@pytest.mark.parametrize("kind", list(ResetKind), ids=lambda kind: kind.name)
@pytest.mark.parametrize("saturate", [False, True], ids=["wrap", "saturate"])
@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_fire_on_all_numbers(macros: MacroPool, kind: ResetKind, columns: int, saturate: bool) -> None:
    bits, config = 5, TINY
    shape = OperandShape.widest(1, bits, columns, config, saturate=saturate)
    engine = macros.get(config)
    for threshold in range_of(bits).tolist():
        numbers = padded(range_of(bits), shape)
        array = np.random.default_rng(threshold + 99).integers(0, 2, (config.rows, config.columns), np.uint8)
        operand = shape.potentials(np.full((1, shape.operands), ~threshold), config)
        placed(array, 0, operand, shape, bits)
        placed(array, len(operand), shape.potentials(numbers, config), shape, bits)
        op = instruction(
            MacroOpcode.FIRE, operand=0, potentials=len(operand), slices=len(numbers), kind=kind
        )  # fmt: skip
        outcome = engine.run(job(shape, array, [op], config))
        fired = numbers >= threshold
        assert np.array_equal(shape.spikes(outcome.spikes), fired)
        limited = clipped if saturate else wrapped
        after = {
            ResetKind.NONE: numbers,
            ResetKind.HARD: np.where(fired, 0, numbers),
            ResetKind.SOFT: np.where(fired, limited(numbers - threshold, bits), numbers),
        }[kind]
        expected = array.copy()
        placed(expected, len(operand), shape.potentials(after, config), shape, bits)
        assert np.array_equal(outcome.rows, expected)
        resets = int(fired.any(axis=1).sum()) if kind else 0
        counters = outcome.counters
        assert counters["events.resets"] == resets
        assert counters["events.spikes"] == fired.sum()
        assert counters["events.spike_words"] == len(numbers)
        assert counters["cycles.array"] == shape.rows * (len(numbers) + resets + counters["events.saturations"])


@pytest.mark.parametrize("columns", [1, 4, 6])
def test_add_compare_reset_one_after_the_other(macros: MacroPool, columns: int) -> None:
    shape = OperandShape.widest(2, 6, columns, TINY)
    generator = np.random.default_rng(columns)
    rows, numbers = shape.rows, from_bits(generator.integers(0, 2, (3 * shape.operands, 6), np.uint8))
    threshold, leak, now = numbers.reshape(3, 1, -1)
    array = np.zeros((TINY.rows, TINY.columns), np.uint8)
    for place, values in enumerate((~threshold, leak, now)):
        array[place * rows : (place + 1) * rows] = shape.potentials(values, TINY)
    program = [
        instruction(MacroOpcode.ADD, operand=rows, potentials=2 * rows, slices=1),
        instruction(MacroOpcode.COMPARE, operand=0, potentials=2 * rows, slices=1),
        instruction(MacroOpcode.ADD, operand=rows, potentials=2 * rows, slices=1),
        instruction(MacroOpcode.RESET, operand=0, potentials=2 * rows, slices=1, kind=ResetKind.SOFT),
        instruction(MacroOpcode.RESET, operand=0, potentials=2 * rows, slices=1, kind=ResetKind.HARD),
    ]
    first = wrapped(now + leak, 6)
    fired = first >= threshold
    for steps, expected in (
        (1, first),
        (3, wrapped(first + leak, 6)),
        (4, np.where(fired, wrapped(first + leak - threshold, 6), wrapped(first + leak, 6))),
        (5, np.where(fired, 0, wrapped(first + leak, 6))),
    ):
        one = job(shape, array, program[:steps], TINY)
        outcome = macros.get(TINY).run(one)
        assert np.array_equal(shape.numbers(outcome.rows[2 * rows : 3 * rows]), expected)
        assert outcome.counters == GoldenMacro(TINY).run(one).counters
        if steps > 1:
            assert np.array_equal(shape.spikes(outcome.spikes), fired)


def test_operands_of_64_bits(macros: MacroPool) -> None:
    config = FULL
    for columns in (1, 7, 32, 64):
        shape = OperandShape.widest(64, 64, columns, config)
        left = from_bits(np.random.default_rng(columns).integers(0, 2, (shape.operands, 64), np.uint8))
        right = from_bits(np.random.default_rng(columns + 1).integers(0, 2, (shape.operands, 64), np.uint8))
        sums, _ = accumulate_all(macros.get(config), shape, left, right)
        assert np.array_equal(to_bits(sums, 64), to_bits(left + right, 64))


@pytest.mark.slow
def test_a_macro_without_saturation(macros: MacroPool) -> None:
    config = TINY.replace(name="plain", saturation=False)
    shape = OperandShape.widest(3, 7, 4, config)
    left, right = some_pairs(3, 7, 30, 2)
    sums, _ = accumulate_all(macros.get(config), shape, left, right)
    assert np.array_equal(sums, wrapped(left + right, 7))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [8, 511])
def test_sizes_that_are_no_powers_of_two(macros: MacroPool, rows: int) -> None:
    config = TINY.replace(name=f"odd-{rows}", rows=rows, columns=19, operand_columns=4, event_bits=33)
    shape = OperandShape.widest(3, 8, 3, config)
    left, right = some_pairs(3, 8, 30, 2)
    sums, _ = accumulate_all(macros.get(config), shape, left, right)
    assert np.array_equal(sums, wrapped(left + right, 8))
