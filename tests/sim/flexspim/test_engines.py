"""Engines of macros: what they refuse, and what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden.flexspim.engine import MacroEngineError, MacroJob, no_rows, synaptic_rate
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import OperandShape
from golden.spiking import SpikingLayer
from golden.synapses import Synapses
from hw.flexspim.isa import MacroOpcode, MacroProgram, instruction
from sim.flexspim.layers import MacroLayer, MacroRunError
from sim.flexspim.rtl_engine import RtlMacro
from sim.flexspim.turbo import TurboMacro
from sim.verilog_cache import cached_macro_verilog
from tests.macros import TINY, MacroPool

EMPTY = MacroJob(MacroProgram.build([], TINY), no_rows(TINY))
LOAD = MacroProgram.build([instruction(MacroOpcode.LOAD, first=0, rows=2)], TINY)
ROW = np.zeros((1, TINY.columns), np.uint8)


def message(engine: TurboMacro | RtlMacro, job: MacroJob) -> str:
    with pytest.raises(MacroEngineError) as error:
        engine.run(job)
    return str(error.value)


@pytest.mark.parametrize("way", ["turbo", "icarus"])
def test_words_that_are_left(macros: MacroPool, way: str) -> None:
    engine = macros.get(TINY, way)
    rows = np.repeat(ROW, 3, axis=0)
    assert message(engine, MacroJob(LOAD, rows, [7, 8])) == (
        "the macro left 1 of 3 rows and 2 of 2 words of events"
    )  # fmt: skip
    assert engine.run(EMPTY).counters["events.instructions"] == 1


@pytest.mark.parametrize("way", ["turbo", "icarus"])
def test_a_program_that_does_not_end(macros: MacroPool, way: str) -> None:
    engine = macros.get(TINY, way)
    usual, engine.timeout_cycles = engine.timeout_cycles, 50
    try:
        assert message(engine, MacroJob(LOAD, ROW)) == (
            "the macro did not end a program of 2 instructions within 50 cycles"
        )  # fmt: skip
    finally:
        engine.timeout_cycles = usual
    assert engine.run(EMPTY).error == 0


def test_another_macro() -> None:
    other = TINY.replace(name="other", loop_depth=1)
    with TurboMacro(other, verilog=cached_macro_verilog(TINY)) as engine:
        assert message(engine, EMPTY) == (
            f"the hardware must have config hash {other.hash_text}, not {TINY.hash_text}"
        )  # fmt: skip


@pytest.mark.slow
def test_counters_that_wrap() -> None:
    config = TINY.replace(name="short", counter_bits=16)
    shape = OperandShape.widest(3, 6, 6, config)
    program = [
        shape.instruction(),
        instruction(MacroOpcode.LOOP, count=66000),
        instruction(MacroOpcode.ADD, operand=0, potentials=1, slices=1),
        instruction(MacroOpcode.END),
    ]
    job = MacroJob(MacroProgram.build(program, config), shape.planes(config))
    with TurboMacro(config) as engine:
        assert message(engine, job) == "the run must fit counters of 16 bits, but one of them wrapped"
        assert engine.run(MacroJob(MacroProgram.build([], config), no_rows(config))).cycles == 1


def test_engines_that_were_closed() -> None:
    engine = TurboMacro(TINY)
    engine.close()
    engine.close()
    assert message(engine, EMPTY) == "the simulation was closed before"
    with pytest.raises(ValueError, match=r"^stall probability must be at least 0 and below 1, not 1.0$"):
        TurboMacro(TINY, stall_probability=1.0)


def test_cells_stay_from_job_to_job(macros: MacroPool) -> None:
    rows = np.random.default_rng(1).integers(0, 2, (2, TINY.columns), np.uint8)
    store = MacroProgram.build([instruction(MacroOpcode.STORE, first=0, rows=2)], TINY)
    for engine in (macros.get(TINY), macros.get(TINY, "icarus"), GoldenMacro(TINY)):
        engine.run(MacroJob(LOAD, rows))
        assert np.array_equal(engine.run(MacroJob(store, no_rows(TINY))).rows, rows)


def test_a_refused_program_of_ours(macros: MacroPool) -> None:
    synapses = Synapses.fully_connected("f", (1, 1, 2), 2)
    layer = SpikingLayer(
        synapses=synapses, weights=np.zeros(synapses.weight_shape, np.int64), weight_bits=2, potential_bits=4,
        threshold=1,
    )  # fmt: skip
    mapped = MacroLayer(layer, TINY, 2)
    mapped.config = TINY.replace(loop_depth=1)  # of another macro
    with pytest.raises(MacroRunError, match=r"^the macro refused instruction 0 with CONFIG$"):
        mapped.run(macros.get(TINY), np.zeros((1, 1, 2), np.bool_))


def test_rate_of_synaptic_operations() -> None:
    assert synaptic_rate({"events.synaptic": 320, "cycles.array": 20}, 100e6) == 1.6e9


def test_seeds_place_the_pauses() -> None:
    cycles: list[list[int]] = []
    for seed in (1, 1, 2):
        with TurboMacro(TINY, seed=seed, stall_probability=0.4) as engine:
            job = replace(EMPTY, program=LOAD, rows=np.repeat(ROW, 2, axis=0))
            cycles.append([engine.run(job).cycles for _ in range(10)])
    assert cycles[0] == cycles[1] != cycles[2]
