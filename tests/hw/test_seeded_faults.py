"""Faults seeded in the Verilog: a named check catches each of them, and the unbroken design passes every check."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.engine import Job, TileError
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import (
    CompareKind,
    ConstantKind,
    DotKind,
    Instruction,
    LoadKind,
    Opcode,
    Program,
    ReduceKind,
    clamp_constant,
)
from sim.rtl_engine import RtlEngine
from sim.runner import SimulationError
from sim.verilog_cache import cached_tile_verilog
from tests.faults import FAULTS, TILES, Fault, FaultNotSeeded, replaced, seed
from tests.programs import ProgramMaker, overflow_program, random_planes
from tests.rtl import differences

CONFIG = TILES["plain"]
TIMEOUT_CYCLES = 1200
HALT = Instruction(Opcode.HALT)
SYNC = Instruction(Opcode.SYNC)
DOT = Instruction(Opcode.DOT, a=0, a_width=3, b=3, b_width=4)
WIDE_ADD = Instruction(Opcode.ADD, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1, a_signed=True)


def whole(*instructions: Instruction, config: TileConfig = CONFIG) -> Job:
    """A job that loads everything, executes some instructions, and stores everything."""
    maker = ProgramMaker(np.random.default_rng(7), config)
    maker.load_everything()
    maker.sync()
    for instruction in instructions:
        maker.append_valid(instruction)
    maker.store_everything()
    program = Program.build(maker.instructions, config)
    return Job(program, random_planes(np.random.default_rng(8), program, config))


def full(*instructions: Instruction) -> Job:
    """The same on the tile with all units."""
    return whole(*instructions, config=TILES["full"])


def two(opcode: Opcode, **fields: Any) -> tuple[Instruction, Instruction]:
    """The same instruction with unsigned and with signed operands."""
    unsigned = Instruction(opcode, **fields)
    return unsigned, replace(unsigned, a_signed=True, b_signed=True)


CHECKS: dict[str, Callable[[], Job]] = {
    "sums": lambda: whole(*two(Opcode.ADD, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1)),
    "differences": lambda: whole(
        *two(Opcode.SUB, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1),
        Instruction(Opcode.RSUB, a=0, a_width=5, b=15, b_width=8, d=24, d_width=1),
    ),
    "constants": lambda: whole(
        Instruction(Opcode.ADDC, b=3, b_width=9, d=20, d_width=1, constant=77),
        Instruction(Opcode.ADDC, b=21, b_width=9, d=20, d_width=1, constant=-78),
    ),
    "extremes": lambda: whole(
        *two(Opcode.MAX, a=0, a_width=5, b=6, b_width=6, d=12, d_width=1),
        *two(Opcode.MIN, a=0, a_width=6, b=14, b_width=6, d=20, d_width=1),
        Instruction(Opcode.MAXC, b=22, b_width=5, constant=-3, b_signed=True),
        Instruction(Opcode.CLAMP, b=14, b_width=6, constant=clamp_constant(-5, 9), b_signed=True),
    ),
    "comparisons": lambda: whole(
        *(
            Instruction(Opcode.CMP, kind=kind, a=0, a_width=5, b=5, b_width=6, d=11 + kind, d_width=1, a_signed=True)
            for kind in CompareKind
        ),
        *(
            Instruction(Opcode.CMPC, kind=kind, b=17, b_width=5, d=22 + kind, d_width=1, constant=11)
            for kind in CompareKind
        ),
    ),
    "sums_beside": lambda: whole(
        *(
            Instruction(opcode, a=0, a_width=3, b=3, b_width=5, d=8 + 6 * place, d_width=6)
            for place, opcode in enumerate((Opcode.SUM, Opcode.DIFF, Opcode.RDIFF))
        )
    ),
    "signs": lambda: whole(
        Instruction(Opcode.NEG, a=0, a_width=5, d=5, d_width=5, p=10),
        Instruction(Opcode.ABS, a=11, a_width=5, d=11, d_width=5, p=16),
        Instruction(Opcode.ABS, a=17, a_width=5, d=22, d_width=5, p=27),
    ),
    "logic": lambda: whole(
        Instruction(Opcode.AND, a=0, a_width=4, b=4, b_width=4, d=8, d_width=4),
        Instruction(Opcode.OR, a=0, a_width=4, b=12, b_width=4, d=12, d_width=4),
        Instruction(Opcode.XOR, a=16, a_width=4, b=20, b_width=4, d=20, d_width=4),
    ),
    "products_by_constants": lambda: whole(
        Instruction(Opcode.MULC, a_width=5, b=0, b_width=4, d=4, d_width=9, constant=13),
        Instruction(
            Opcode.MULC, a_width=5, b=13, b_width=4, d=17, d_width=9, p=26, constant=13, kind=ConstantKind.SPARSE,
            b_signed=True,
        ),
    ),
    "reductions": lambda: whole(
        *(
            Instruction(
                Opcode.REDUCE, a_width=3, d=first, d_width=5, constant=4, p=31, kind=ReduceKind.SHIFT, a_signed=signed
            )
            for first, signed in ((2, False), (9, True))
        )
    ),
    "segments": lambda: full(
        Instruction(Opcode.REDUCE, a_width=3, d=2, d_width=5, constant=3, kind=ReduceKind.SEGMENTS, a_signed=True),
        Instruction(Opcode.REDUCE, a_width=4, d=9, d_width=7, constant=7, kind=ReduceKind.SEGMENTS),
    ),
    "pairs": lambda: full(
        Instruction(Opcode.REDUCE, a_width=3, d=2, d_width=6, constant=6, kind=ReduceKind.PAIRS, a_signed=True)
    ),
    "sums_with_two_tags": lambda: full(*two(Opcode.ADD, a=0, a_width=5, b=5, b_width=8, d=13, d_width=1)),
    "searches": lambda: full(
        Instruction(Opcode.FILL, d=3, d_width=3, constant=1),
        replace(DOT, a=0, a_width=6, b=6, kind=DotKind.SKIP),
        Instruction(Opcode.FILL, d=0, d_width=6),
        replace(DOT, a=0, a_width=6, b=6, kind=DotKind.SKIP, b_signed=True),
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


def tile_of(check: str) -> str:
    """Which tile a check is for."""
    hashes = {config.hash: name for name, config in TILES.items()}
    return hashes.get(CHECKS[check]().program.config_hash, "plain")


def run_check(engine: RtlEngine, name: str) -> list[str]:
    """What a check finds wrong with a design."""
    job = CHECKS[name]()
    expected = GoldenTile(engine.config).run(job)
    engine.stall_probability = 0.4 if name == "pauses" else 0.0
    try:
        outcome = engine.run(job)
    except (TileError, SimulationError) as error:
        return [" ".join(str(error).splitlines()[:2])]
    found = differences(outcome, expected)
    if bool(outcome.counters["cycles.stall"]) != bool(engine.stall_probability):
        found.append(f"{outcome.counters['cycles.stall']} stalls")
    return found


@pytest.fixture(scope="module")
def unbroken() -> Iterator[dict[str, RtlEngine]]:
    """The designs as they are, in a simulator."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(RtlEngine(config, "icarus", timeout_cycles=TIMEOUT_CYCLES))
            for name, config in TILES.items()
        }


@pytest.mark.parametrize("name", CHECKS)
def test_unbroken_design_passes(unbroken: dict[str, RtlEngine], name: str) -> None:
    assert run_check(unbroken[tile_of(name)], name) == []


QUICK = {fault.caught_by: name for name, fault in FAULTS.items()}.values()
"""Faults of the quick tier: one for each check."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS]
)
def test_fault_is_caught(name: str) -> None:
    fault = FAULTS[name]
    config = TILES[fault.tile]
    verilog = seed(cached_tile_verilog(config), fault)
    with RtlEngine(config, "icarus", verilog=verilog, timeout_cycles=TIMEOUT_CYCLES) as engine:
        found = run_check(engine, fault.caught_by)
    print(f"{name} is caught by {fault.caught_by}: {'; '.join(found)}")
    assert found, f"{fault.caught_by} did not catch {name}"


def test_faults_are_seeded_in_the_tile_of_their_check() -> None:
    assert all(tile_of(fault.caught_by) == fault.tile for fault in FAULTS.values())


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
