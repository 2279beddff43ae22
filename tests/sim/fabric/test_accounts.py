"""Accounts of programs: parts are the law's cycles, events are the law's counters."""

from __future__ import annotations

import numpy as np
import pytest

from golden.accelerator.port_times import executed_port_times
from golden.laws import run_law
from golden.schedules import SCHEDULES, Machine
from hw.config import CONFIGS, TileConfig
from hw.counter_map import total_cycles
from hw.isa import Instruction, LoadKind, Opcode, Owner, StoreKind
from sim.evaluate.cost import PARTS, Events
from sim.fabric.accounts import CLAMPS, account, add_parts, program_events
from tests.programs import random_program
from tests.rtl import FASTER, TINY, VERTICAL

TILES = (*TINY.values(), *VERTICAL.values(), *FASTER.values(), CONFIGS["small"].replace(port_queue=1, name="one"))


def executed(config: TileConfig, seed: int) -> list[Instruction]:
    """A random program in the order of execution."""
    return list(random_program(np.random.default_rng(seed), config, 60).program.executed())


@pytest.mark.parametrize("config", TILES, ids=lambda config: config.name)
def test_random_programs(config: TileConfig) -> None:
    for seed in range(4):
        instructions = executed(config, seed)
        law = run_law(instructions, config)
        time = account(instructions, config, "convolution", after=len(instructions) // 2)
        assert time.total == total_cycles(law)
        assert time.cycles.keys() <= PARTS.keys()
        assert all(count >= 0 for count in time.cycles.values())
        assert time.cycles["controller"] == law["events.instructions"]
        # Every body belongs to the part of its instruction's owner.
        bodies: dict[str, int] = {}
        for op in instructions:
            owner = Owner(op.owner)
            part = {Owner.REDUCE: "reduce", Owner.REQUANTIZE: "requantise"}.get(owner, "convolution")
            part = "relu" if part == "requantise" and op.opcode in CLAMPS else part
            bodies[part] = bodies.get(part, 0) + SCHEDULES[Opcode(op.opcode)](op, Machine.of(config)).cycles
        assert {part: count for part, count in bodies.items() if count} == {
            part: count for part, count in time.cycles.items() if part not in ("controller", "load", "store")
        }
        # What is waited for is what the law charges to load and store besides instructions of these owners.
        for owner in (Owner.LOAD, Owner.STORE):
            name = owner.name.lower()
            own = [op for op in instructions if op.owner == owner]
            spent = sum(1 + SCHEDULES[Opcode(op.opcode)](op, Machine.of(config)).cycles for op in own)
            assert time.cycles[name] == law[f"cycles.{name}"] - spent
        before = account(instructions[: len(instructions) // 2 + 1], config, "convolution")
        assert time.mark == before.cycles
        port = executed_port_times(instructions, config)
        assert np.array_equal(time.port.times, port.times)
        assert np.array_equal(time.port.operation, port.operation)

        events = program_events(instructions, config)
        assert events.compares == law["events.compares"]
        assert events.compared_cells == law["events.compared_columns"] * config.rows
        assert events.writes == law["events.writes"]
        assert events.driven_cells == law["events.written_columns"] * config.rows
        assert events.instructions == law["events.instructions"]
        assert events.compared_rows == events.compares * config.rows
        assert (events.flit_hops, events.tile_cycles) == (0, 0)


def test_what_ports_move() -> None:
    config = TINY["4r2w"]
    rows, outputs, taps = config.rows, config.outputs, config.taps

    def moved(*instructions: Instruction) -> tuple[int, int, int]:
        events = program_events(instructions, config)
        return events.loaded_cells, events.stored_bits, events.memory_bits

    assert moved(Instruction(Opcode.LOAD, d_width=3)) == (3 * rows, 0, 0)
    assert moved(Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d_width=3)) == (3 * outputs, 0, 0)
    # Read once from the taps memory, written to all rows.
    assert moved(Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d_width=3)) == (3 * rows, 0, 3 * taps)
    assert moved(Instruction(Opcode.STORE, a_width=3)) == (0, 3 * rows, 0)
    assert moved(Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=3)) == (0, 3 * outputs, 0)
    assert moved(Instruction(Opcode.DRAIN, d_width=3)) == (3 * outputs, 0, 0)
    assert moved(Instruction(Opcode.RESTORE, a_width=3)) == (0, 0, 0)


def test_counted_rows_are_those_of_dots() -> None:
    config = TINY["4r2w"]
    dot = Instruction(Opcode.DOT, a=0, a_width=3, b=4, b_width=2)
    add = Instruction(Opcode.ADD, a=0, a_width=3, b=4, b_width=3, d=8, d_width=1)
    assert program_events([dot, dot, add], config).counted_rows == 2 * 6 * config.rows
    assert program_events([add], config).counted_rows == 0


def test_nothing_is_nothing() -> None:
    config = TINY["cells"]
    time = account([], config, "convolution", after=3)
    assert (time.total, time.mark, len(time.port.times)) == (0, {}, 0)
    assert program_events([], config) == Events()


def test_parts_are_added() -> None:
    assert add_parts() == {}
    assert add_parts({"load": 1, "store": 2}, {"load": 3}, {"load": -4, "reduce": 5}) == {
        "load": 0,
        "store": 2,
        "reduce": 5,
    }
