"""Faults seeded in the Verilog: a named check catches each of them, and the unbroken design passes every check."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from golden.engine import Job, TileError
from golden.tile import GoldenTile
from hw.isa import Instruction, LoadKind, Opcode, Program
from sim.rtl_engine import RtlEngine
from sim.runner import SimulationError
from sim.verilog_cache import cached_tile_verilog
from tests.faults import FAULTS, Fault, FaultNotSeeded, replaced, seed
from tests.programs import ProgramMaker, overflow_program, random_planes
from tests.rtl import TINY, differences

CONFIG = TINY["cells"]
TIMEOUT_CYCLES = 1200
HALT = Instruction(Opcode.HALT)
SYNC = Instruction(Opcode.SYNC)
DOT = Instruction(Opcode.DOT, a=0, a_width=3, b=3, b_width=4)
WIDE_ADD = Instruction(Opcode.ADD, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1, a_signed=True)


def whole(*instructions: Instruction) -> Job:
    """A job that loads everything, executes some instructions, and stores everything."""
    maker = ProgramMaker(np.random.default_rng(7), CONFIG)
    maker.load_everything()
    maker.sync()
    for instruction in instructions:
        maker.append(instruction)
    maker.store_everything()
    program = Program.build(maker.instructions, CONFIG)
    return Job(program, random_planes(np.random.default_rng(8), program, CONFIG))


def two(opcode: Opcode, **fields: Any) -> tuple[Instruction, Instruction]:
    """The same instruction with unsigned and with signed operands."""
    unsigned = Instruction(opcode, **fields)
    return unsigned, replace(unsigned, a_signed=True, b_signed=True)


CHECKS: dict[str, Callable[[], Job]] = {
    "sums": lambda: whole(*two(Opcode.ADD, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1)),
    "differences": lambda: whole(*two(Opcode.SUB, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1)),
    "constants": lambda: whole(
        Instruction(Opcode.ADDC, b=3, b_width=9, d=20, d_width=1, constant=77),
        Instruction(Opcode.ADDC, b=21, b_width=9, d=20, d_width=1, constant=-78),
    ),
    "extremes": lambda: whole(
        *two(Opcode.MAX, a=0, a_width=6, b=6, b_width=6, d=12, d_width=2),
        *two(Opcode.MIN, a=0, a_width=6, b=14, b_width=6, d=20, d_width=2),
        Instruction(Opcode.MAXC, b=22, b_width=5, d=27, d_width=2, constant=-3, b_signed=True),
    ),
    "copies": lambda: whole(
        Instruction(Opcode.COPY, a=0, a_width=4, d=4, d_width=4),
        Instruction(Opcode.NOT, a=0, a_width=4, d=8, d_width=4),
        Instruction(Opcode.XOR, a=12, a_width=4, b=16, b_width=4, d=20, d_width=4),
    ),
    "predicates": lambda: whole(
        Instruction(Opcode.COPY, a=0, a_width=4, d=4, d_width=4, p=31, predicated=True),
        Instruction(Opcode.SUB, a=8, a_width=4, b=12, b_width=5, d=17, d_width=1, p=30, predicated=True),
    ),
    "products": lambda: whole(
        Instruction(Opcode.FILL, d=7, d_width=7),
        Instruction(Opcode.MUL, a=0, a_width=4, b=4, b_width=3, d=7, d_width=7, b_signed=True),
        Instruction(Opcode.FILL, d=21, d_width=7),
        Instruction(Opcode.MUL, a=14, a_width=4, b=18, b_width=3, d=21, d_width=7, a_signed=True, p=28),
    ),
    "dot_products": lambda: whole(DOT, Instruction(Opcode.DOT, a=7, a_width=4, b=11, b_width=3)),
    "signed_dot_products": lambda: whole(*two(Opcode.DOT, a=0, a_width=3, b=3, b_width=4)),
    "totals_out": lambda: whole(
        DOT,
        Instruction(Opcode.DRAIN, d=10, d_width=12, constant=2),
        Instruction(Opcode.INIT, constant=-1234567),
        Instruction(Opcode.DRAIN, d=10, d_width=12, constant=1),
    ),
    "totals_in": lambda: whole(
        Instruction(Opcode.LOAD, kind=LoadKind.TOTAL, d_width=9),
        SYNC,
        DOT,
        Instruction(Opcode.DRAIN, d=10, d_width=20, constant=0),
        Instruction(Opcode.RESTORE, a=3, a_width=6, constant=3),
    ),
    "moves": lambda: whole(
        *(
            Instruction(Opcode.MOVE, a=0, a_width=3, d=3 + 3 * place, d_width=3, constant=distance)
            for place, distance in enumerate((-3, -1, 0, 1, 2))
        )
    ),
    "loads_and_stores": lambda: whole(
        Instruction(Opcode.LOAD, d=4, d_width=3),
        Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d=8, d_width=2),
        Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d=11, d_width=2, constant=3),
        SYNC,
        Instruction(Opcode.ADD, a=4, a_width=3, b=8, b_width=5, d=14, d_width=1),
        Instruction(Opcode.STORE, a=8, a_width=5),
        SYNC,
        Instruction(Opcode.FILL, d=8, d_width=5),
    ),
    "loops": lambda: whole(
        Instruction(Opcode.LOOP, constant=3),
        Instruction(Opcode.LOOP, constant=1),
        Instruction(Opcode.ADDC, b=0, b_width=4, d=5, d_width=1, constant=3),
        Instruction(Opcode.END),
        Instruction(Opcode.RELU, b=6, b_width=2),
        Instruction(Opcode.END),
    ),
    "overflow": lambda: overflow_program(CONFIG),
    "refusals": lambda: Job(
        Program((Instruction(Opcode.COPY, a=0, a_width=4, d=2, d_width=4), HALT), CONFIG.hash)
    ),
    "header": lambda: Job(Program((HALT,), CONFIG.hash ^ 1)),
    "pauses": lambda: whole(DOT, WIDE_ADD),
}  # fmt: skip
"""What each check executes."""


def run_check(engine: RtlEngine, name: str) -> list[str]:
    """What a check finds wrong with a design."""
    job = CHECKS[name]()
    expected = GoldenTile(CONFIG).run(job)
    engine.stall_probability = 0.4 if name == "pauses" else 0.0
    try:
        outcome = engine.run(job)
    except (TileError, SimulationError) as error:
        return [" ".join(str(error).splitlines()[:2])]
    found = differences(outcome, expected)
    if bool(outcome.counters["cycles.stall"]) != bool(engine.stall_probability):
        found.append(f"{outcome.counters['cycles.stall']} stalls")
    return found


@dataclass(frozen=True)
class Unbroken:
    """The design as it is, its text and a simulator."""

    verilog: str
    engine: RtlEngine


@pytest.fixture(scope="module")
def unbroken() -> Iterator[Unbroken]:
    verilog = cached_tile_verilog(CONFIG)
    with RtlEngine(CONFIG, "icarus", verilog=verilog, timeout_cycles=TIMEOUT_CYCLES) as engine:
        yield Unbroken(verilog, engine)


@pytest.mark.parametrize("name", CHECKS)
def test_unbroken_design_passes(unbroken: Unbroken, name: str) -> None:
    assert run_check(unbroken.engine, name) == []


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(name: str) -> None:
    fault = FAULTS[name]
    verilog = seed(cached_tile_verilog(CONFIG), fault)
    with RtlEngine(CONFIG, "icarus", verilog=verilog, timeout_cycles=TIMEOUT_CYCLES) as engine:
        found = run_check(engine, fault.caught_by)
    print(f"{name} is caught by {fault.caught_by}: {'; '.join(found)}")
    assert found, f"{fault.caught_by} did not catch {name}"


def test_every_check_catches_something() -> None:
    assert {fault.caught_by for fault in FAULTS.values()} == set(CHECKS)


def test_a_fault_that_cannot_be_seeded_is_an_error() -> None:
    verilog = cached_tile_verilog(CONFIG)
    for module, edit, text in (
        ("sequencer", replaced("no such text", ""), "must occur once, not 0 times"),
        ("sequencer", replaced("endcase", ""), r"must occur once, not \d\d+ times"),
        ("sequencer", replaced("(endmodule)", r"\1"), "the text must change"),
        ("nothing", replaced("a", "b"), "has no module nothing"),
    ):
        with pytest.raises(FaultNotSeeded, match=text):
            seed(verilog, Fault(module, edit, "sums"))
