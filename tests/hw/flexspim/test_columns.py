"""The wide addition of the columns against full adders, one for each column, in Amaranth's simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from golden.flexspim.shape import OperandShape
from hw.flexspim.columns import Columns
from hw.flexspim.config import MACROS, MacroConfig

CONFIG = MACROS["flexspim-tiny"].replace(name="columns")
SEED = 5
Bits = NDArray[np.uint8]


@dataclass
class Naive:
    """One column after the other, from left to right, each with a mode and a full adder."""

    planes: Bits
    weight_rows: int
    potential_rows: int

    def __post_init__(self) -> None:
        columns = self.planes.shape[1]
        self.carry, self.sign = [0] * columns, [0] * columns  # kept by start columns

    def operate(self, a: Bits, b: Bits, row: int, subtract: bool) -> tuple[Bits, Bits, dict[int, tuple[int, int]]]:
        """Columns that are written, what with, and carry and true sign at the top of each operand, by its start."""
        start, full, last, weight = self.planes
        active = last if row == self.potential_rows - 1 else full
        held = np.zeros_like(full) if row >= self.weight_rows else weight if row == self.weight_rows - 1 else active
        value, tops = np.zeros_like(full), dict[int, tuple[int, int]]()
        first = carry = sign = 0
        for column in np.flatnonzero(active).tolist():
            if start[column]:
                first = column
                carry = int(subtract) if row == 0 else self.carry[column]
                sign = self.sign[column]
            operand = int(a[column]) if held[column] else sign
            sign = operand
            both, neither = operand & int(b[column]), 1 - (operand | int(b[column]))
            differs = (1 - both) & (1 - neither)
            value[column] = differs ^ carry
            carry = both | (differs & carry)
            tops[first] = (carry, differs ^ carry)
            self.carry[first] = carry
            if row < self.weight_rows:
                self.sign[first] = sign
        return active, value, tops


def number(bits: Bits) -> int:
    return sum(int(bit) << place for place, bit in enumerate(bits))


@pytest.mark.parametrize("columns", [8, 13, 16])
def test_wide_addition_is_a_full_adder_in_every_column(columns: int) -> None:
    config = CONFIG.replace(columns=columns, operand_columns=8)
    generator = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    dut = Columns(config)

    async def bench(context: Any) -> None:
        for _ in range(150):
            await one_slice(context, dut, config, generator)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def one_slice(context: Any, dut: Any, config: MacroConfig, generator: np.random.Generator) -> None:
    """All rows of an addition, or of a comparison, of operands of a random shape at random places."""
    potential = int(generator.integers(1, 25))
    width = int(generator.integers(1, min(potential, 8) + 1))
    weight = int(generator.integers(1, 25))
    operands = int(generator.integers(1, config.parallel(width) + 1))
    shape = OperandShape(weight_bits=weight, potential_bits=potential, columns=width, operands=operands)
    planes = shape.planes(config)
    spare = config.columns - operands * width
    planes = np.roll(planes, int(generator.integers(0, spare + 1)), axis=1)
    compares = bool(generator.integers(2))
    rows = shape.rows if compares else shape.weight_rows
    reference = Naive(planes if not compares else planes[[0, 1, 2, 2]], rows, shape.rows)
    for name, plane in zip(("start", "full", "last", "weight"), planes, strict=True):
        context.set(getattr(dut, name), number(plane))
    assert not context.get(dut.malformed)
    for row in range(shape.rows):
        a, b = generator.integers(0, 2, (2, config.columns), np.uint8)
        operation = {
            "valid": 1,
            "first_row": row == 0,
            "last_row": row == shape.rows - 1,
            "weight_row": not compares and row == rows - 1,
            "beyond": row >= rows,
            "subtract": compares,
            "compare": compares,
        }
        for name in ("zero", "masked", "clip"):
            context.set(dut.operation[name], 0)
        for name, bit in operation.items():
            context.set(dut.operation[name], int(bit))
        context.set(dut.data_a, number(a))
        context.set(dut.data_b, number(b))
        written, value, tops = reference.operate(a, b, row, compares)
        assert context.get(dut.write) == (0 if compares else number(written))
        assert context.get(dut.value) & number(written) == number(value)
        if row == shape.rows - 1:
            spiking = [1 - sign for _, sign in tops.values()]
            if compares:
                assert context.get(dut.spikes) == sum(1 << first for first, (_, sign) in tops.items() if not sign)
                assert context.get(dut.any_spike) == any(spiking)
            overflows = {first: value[first + width_of_last(shape) - 1] != sign for first, (_, sign) in tops.items()}
            if not compares:
                assert context.get(dut.any_overflow) == any(overflows.values())
        await context.tick()


def width_of_last(shape: OperandShape) -> int:
    return shape.potential_bits - (shape.rows - 1) * shape.columns


def test_planes_that_are_no_operands_are_found() -> None:
    config = CONFIG.replace(operand_columns=4)
    good = OperandShape(weight_bits=3, potential_bits=7, columns=4, operands=3).planes(config)
    broken: list[Bits] = []
    for plane, column, value in (
        (0, 0, 0), (1, 12, 1), (1, 1, 0), (2, 1, 0), (2, 0, 0), (3, 13, 1), (3, 8, 0), (3, 1, 0), (0, 4, 0),
    ):  # fmt: skip
        changed = good.copy()
        changed[plane, column] = value
        broken.append(changed)
    broken.append(np.zeros_like(good))
    dut = Columns(config)

    async def bench(context: Any) -> None:
        for planes, expected in [(good, 0), *((planes, 1) for planes in broken)]:
            for name, plane in zip(("start", "full", "last", "weight"), planes, strict=True):
                context.set(getattr(dut, name), number(plane))
            await context.delay(1e-9)
            assert context.get(dut.malformed) == expected, planes

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
