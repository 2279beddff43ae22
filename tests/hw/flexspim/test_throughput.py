"""Published figures of FlexSpIM's silicon, from counters of the Verilog; powers and clocks are calibration inputs."""

from __future__ import annotations

import numpy as np
import pytest

from golden.flexspim.engine import MacroJob, MacroOutcome, synaptic_rate
from golden.flexspim.laws import CALIBRATIONS
from golden.flexspim.shape import OperandShape
from hw.counter_map import total_cycles
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import MacroOpcode, MacroProgram, instruction
from sim.flexspim.turbo import TurboMacro
from tests.macros import FULL, MacroPool

COLUMNS = [1, 2, 4, 8, 16]
"""All shapes of 16-bit potentials that fill the columns of the array."""


def peak(macros: MacroPool, columns: int, config: MacroConfig = FULL) -> MacroOutcome:
    """Add 8-bit weights to 16-bit potentials in a loop."""
    shape = OperandShape.widest(8, 16, columns, config)
    op = instruction(MacroOpcode.ACCUMULATE, operand=0, potentials=100, slices=10)
    loop = instruction(MacroOpcode.LOOP, count=20)
    program = MacroProgram.build([shape.instruction(), loop, op, instruction(MacroOpcode.END)], config)
    return macros.get(config).run(MacroJob(program, shape.planes(config)))


@pytest.mark.parametrize("columns", COLUMNS)
def test_throughput_of_every_shape(macros: MacroPool, columns: int) -> None:
    counters = peak(macros, columns).counters
    assert counters["events.synaptic"] * 16 == counters["cycles.array"] * 256
    rates = [synaptic_rate(counters, point.clock_hz) / 1e9 for point in CALIBRATIONS]
    assert rates == pytest.approx([1.208, 2.512])
    assert counters["events.standby_columns"] == 0


def test_energy_of_an_operation_follows_from_the_published_power(macros: MacroPool) -> None:
    counters = peak(macros, 16).counters
    picojoules = [point.joules_per_operation(synaptic_rate(counters, point.clock_hz)) * 1e12 for point in CALIBRATIONS]
    assert [round(energy, 2) for energy in picojoules] == [5.63, 7.13]


def test_published_energies_per_bit_of_weight_and_potential() -> None:
    femtojoules = [energy * 1e3 / (8 * 16) for energy in (5.7, 7.2)]  # as published, 8-bit weights, 16-bit potentials
    assert femtojoules == pytest.approx([44.5, 56.3], abs=0.05)


@pytest.mark.parametrize("bits", range(1, 25))
def test_rate_is_that_of_the_columns_by_the_bits(macros: MacroPool, bits: int) -> None:
    """A row operation for each operand and row, whatever the shape; columns that no operand fills are in standby."""
    engine = macros.get(FULL)
    for columns in {1, 2, 3, bits // 2, bits} & set(range(1, bits + 1)):
        shape = OperandShape.widest(3, bits, columns, FULL)
        op = instruction(MacroOpcode.ACCUMULATE, operand=0, potentials=100, slices=4)
        program = MacroProgram.build([shape.instruction(), op], FULL)
        counters = engine.run(MacroJob(program, shape.planes(FULL))).counters
        assert counters["events.synaptic"] * shape.rows == counters["cycles.array"] * (256 // columns)
        cells = counters["cycles.array"] * 256
        assert counters["events.column_operations"] + counters["events.standby_columns"] == cells
        assert counters["events.column_operations"] == counters["events.synaptic"] * bits


def test_counters_have_every_cycle(macros: MacroPool) -> None:
    engine = macros.get(FULL)
    assert isinstance(engine, TurboMacro)
    outcome = peak(macros, 16)
    assert total_cycles(outcome.counters) == engine.clock_cycles - 2  # the header, and the cycle after it


def test_cells_of_emulated_signs_need_not_be_there(macros: MacroPool) -> None:
    """What lies beside a weight, where its sign would be, does not matter."""
    shape = OperandShape.widest(3, 16, 16, FULL)
    generator = np.random.default_rng(1)
    numbers = generator.integers(-4, 4, (1, shape.operands))
    weights = shape.weights(numbers, FULL)
    beside = generator.integers(0, 2, weights.shape, np.uint8)
    beside[:, np.arange(256) % 16 < 3] = 0
    program = [
        instruction(MacroOpcode.LOAD, first=0, rows=2),
        shape.instruction(),
        instruction(MacroOpcode.ACCUMULATE, operand=0, potentials=1, slices=1),
        instruction(MacroOpcode.STORE, first=1, rows=1),
    ]
    rows = np.concatenate([weights | beside, np.zeros_like(weights), shape.planes(FULL)])
    outcome = macros.get(FULL).run(MacroJob(MacroProgram.build(program, FULL), rows))
    assert np.array_equal(shape.numbers(outcome.rows), numbers)
