"""Every error code, provoked on the Verilog: code, address, frozen counters, and a state that nothing touched."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from golden.engine import Job
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import (
    FIELDS,
    MAGIC,
    OPERATIONS,
    VERSION,
    WIDE_CONSTANTS,
    ConstantKind,
    DotKind,
    ErrorCode,
    Instruction,
    LoadKind,
    Opcode,
    Program,
    ReduceKind,
    StoreKind,
    violation,
)
from tests.programs import ProgramMaker, overflow_program, random_program
from tests.rtl import (
    FASTER,
    GRID,
    PLACES,
    TINY,
    VERTICAL,
    EditedProgram,
    EnginePool,
    VerilogEngine,
    compare,
    differences,
    random_settings,
    store_program,
)

CONFIG = TINY["cells"]
DEPTH = CONFIG.program_depth
HALT = Instruction(Opcode.HALT)
END = Instruction(Opcode.END)
LOOP = Instruction(Opcode.LOOP, constant=2)
INIT = Instruction(Opcode.INIT, constant=5)
FILL = Instruction(Opcode.FILL, d=3, d_width=2, constant=1)
ADD = Instruction(Opcode.ADD, a=0, a_width=4, b=4, b_width=6, d=10, d_width=1)
MUL = Instruction(Opcode.MUL, a=0, a_width=4, b=4, b_width=3, d=7, d_width=7, a_signed=True, p=14)
DOT = Instruction(Opcode.DOT, a=0, a_width=8, b=8, b_width=8)
STORE = Instruction(Opcode.STORE, a=0, a_width=2)
SUM = Instruction(Opcode.SUM, a=0, a_width=4, b=4, b_width=4, d=8, d_width=5)
CMP = Instruction(Opcode.CMP, a=0, a_width=4, b=4, b_width=4, d=8, d_width=1)
MULC = Instruction(Opcode.MULC, a_width=4, b=4, b_width=3, d=7, d_width=7, constant=5)
NEG = Instruction(Opcode.NEG, a=0, a_width=4, d=4, d_width=4, p=8)
NOT = Instruction(Opcode.NOT, a=0, a_width=4, d=0, d_width=4)
AND = Instruction(Opcode.AND, a=0, a_width=4, b=4, b_width=4, d=4, d_width=4)
REDUCE = Instruction(Opcode.REDUCE, a_width=4, d=0, d_width=6, constant=3, p=6)


@dataclass(frozen=True)
class Case:
    """Instructions that raise a code at an address; everything before it is executed, everything after it is not."""

    code: ErrorCode
    instructions: tuple[Instruction, ...]
    address: int = 0


CASES = {
    "opcode-zero": Case(ErrorCode.OPCODE, (Instruction(0), FILL, HALT)),
    "opcode-reserved": Case(ErrorCode.OPCODE, (FILL, Instruction(Opcode.COMPARE), FILL, HALT), 1),
    "opcode-of-the-lines": Case(ErrorCode.OPCODE, (FILL, Instruction(Opcode.VERTICAL_WRITE), FILL, HALT), 1),
    "opcode-unknown": Case(ErrorCode.OPCODE, (FILL, INIT, Instruction(0xFF), FILL, HALT), 2),
    "reserved-bits": Case(ErrorCode.RESERVED, (replace(ADD, reserved=16), HALT)),
    "owner": Case(ErrorCode.RESERVED, (FILL, replace(ADD, owner=5), HALT), 1),
    "kind-of-load": Case(ErrorCode.RESERVED, (Instruction(Opcode.LOAD, d=0, d_width=1, kind=5), HALT)),
    "kind-of-store": Case(ErrorCode.RESERVED, (replace(STORE, kind=2), HALT)),  # TAPS is for LOAD alone
    "kind-of-comparison": Case(ErrorCode.RESERVED, (replace(CMP, kind=6), HALT)),
    "kind-of-constant": Case(ErrorCode.RESERVED, (FILL, replace(MULC, kind=2), HALT), 1),
    "kind-of-reduction": Case(ErrorCode.RESERVED, (replace(REDUCE, kind=3), HALT)),
    "pairs-without-lines": Case(ErrorCode.RESERVED, (INIT, replace(REDUCE, kind=ReduceKind.PAIRS), HALT), 1),
    "segments-without-lines": Case(ErrorCode.RESERVED, (replace(REDUCE, kind=ReduceKind.SEGMENTS), HALT)),
    "no-search": Case(ErrorCode.RESERVED, (FILL, replace(DOT, kind=DotKind.SKIP), HALT), 1),
    "width-zero": Case(ErrorCode.WIDTH, (replace(FILL, d_width=0), HALT)),
    "width-beyond-the-limit": Case(ErrorCode.WIDTH, (replace(FILL, d_width=65), HALT)),
    "width-of-operand": Case(ErrorCode.WIDTH, (replace(DOT, a_width=33), HALT)),
    "width-of-carry": Case(ErrorCode.WIDTH, (replace(ADD, d_width=2), HALT)),
    "width-of-product": Case(ErrorCode.WIDTH, (FILL, replace(MUL, d_width=8), HALT), 1),
    "width-of-sum": Case(ErrorCode.WIDTH, (replace(SUM, d_width=4), HALT)),
    "width-of-flag": Case(ErrorCode.WIDTH, (FILL, replace(CMP, d_width=2), HALT), 1),
    "width-of-reduction": Case(ErrorCode.WIDTH, (replace(REDUCE, d_width=5), HALT)),
    "width-in-place": Case(ErrorCode.WIDTH, (replace(AND, d_width=3), HALT)),
    "width-wide-a": Case(ErrorCode.WIDTH, (replace(ADD, a_width=6, b_width=4), HALT)),
    "width-of-total": Case(
        ErrorCode.WIDTH, (Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=CONFIG.total_bits + 1), HALT)
    ),
    "width-of-tag": Case(ErrorCode.WIDTH, (Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=2), HALT)),
    "column-of-b": Case(ErrorCode.COLUMN, (FILL, replace(ADD, b=CONFIG.columns - 5), HALT), 1),
    "column-of-d": Case(ErrorCode.COLUMN, (replace(FILL, d=CONFIG.columns - 1), HALT)),
    "column-of-predicate": Case(ErrorCode.COLUMN, (replace(ADD, predicated=True, p=CONFIG.columns), HALT)),
    "column-of-borrow": Case(ErrorCode.COLUMN, (replace(MUL, p=4095), HALT)),
    "column-of-scratch": Case(ErrorCode.COLUMN, (replace(NEG, p=CONFIG.columns), HALT)),
    "column-of-clamp": Case(ErrorCode.COLUMN, (Instruction(Opcode.CLAMP, b=30, b_width=3, constant=7), HALT)),
    "overlap-of-scratch": Case(ErrorCode.OVERLAP, (replace(NEG, p=2), HALT)),
    "overlap-of-abs-scratch": Case(ErrorCode.OVERLAP, (INIT, replace(NEG, opcode=Opcode.ABS, p=5), HALT), 1),
    "overlap-of-reduction": Case(ErrorCode.OVERLAP, (replace(REDUCE, p=5), HALT)),
    "overlap-of-sparse": Case(ErrorCode.OVERLAP, (replace(MULC, kind=ConstantKind.SPARSE, b_signed=True, p=9), HALT)),
    "overlap-in-place-predicated": Case(ErrorCode.OVERLAP, (FILL, replace(NOT, predicated=True, p=9), HALT), 1),
    "overlap-in-place-shifted": Case(ErrorCode.OVERLAP, (replace(NOT, d=1), HALT)),
    "overlap-in-place-of-a": Case(ErrorCode.OVERLAP, (replace(AND, d=0), HALT)),
    "overlap-in-place-of-copy": Case(ErrorCode.OVERLAP, (replace(NOT, opcode=Opcode.COPY), HALT)),
    "overlap-of-sum": Case(ErrorCode.OVERLAP, (replace(SUM, d=7), HALT)),
    "overlap-of-operands": Case(ErrorCode.OVERLAP, (replace(ADD, a=2), HALT)),
    "overlap-of-carry": Case(ErrorCode.OVERLAP, (INIT, replace(ADD, d=9), HALT), 1),
    "overlap-of-predicate": Case(ErrorCode.OVERLAP, (replace(FILL, predicated=True, p=4), HALT)),
    "overlap-of-borrow": Case(ErrorCode.OVERLAP, (replace(MUL, p=13), HALT)),
    "rows-of-drain": Case(ErrorCode.ROWS, (Instruction(Opcode.DRAIN, d=0, d_width=1, constant=CONFIG.taps), HALT)),
    "rows-negative": Case(ErrorCode.ROWS, (replace(STORE, kind=StoreKind.BLOCK, constant=-1), HALT)),
    "rows-of-move": Case(
        ErrorCode.ROWS, (FILL, Instruction(Opcode.MOVE, a=0, a_width=2, d=4, d_width=2, constant=-CONFIG.taps), HALT), 1
    ),
    "no-words": Case(ErrorCode.ROWS, (replace(REDUCE, constant=0, d_width=4), HALT)),
    "fewer-than-no-words": Case(ErrorCode.ROWS, (replace(REDUCE, constant=-3, d_width=4), HALT)),
    "more-words-than-taps": Case(
        ErrorCode.ROWS, (FILL, replace(REDUCE, constant=CONFIG.taps + 1, d_width=7, p=7), HALT), 1
    ),
    "fill": Case(ErrorCode.FILL, (INIT, replace(DOT, a_width=11, b=11, b_width=10), FILL, HALT), 1),
    "loop-count-zero": Case(ErrorCode.LOOP, (replace(LOOP, constant=0), FILL, END, HALT)),
    "loop-count-huge": Case(ErrorCode.LOOP, (replace(LOOP, constant=1 << 32), FILL, END, HALT)),
    "loop-nested-too-deep": Case(ErrorCode.LOOP, (LOOP, LOOP, FILL, LOOP, END, END, END, HALT), 3),
    "end-without-loop": Case(ErrorCode.LOOP, (LOOP, FILL, END, END, HALT), 3),
    "halt-in-loop": Case(ErrorCode.LOOP, (LOOP, FILL, HALT), 2),
    "loop-too-long": Case(ErrorCode.LOOP_LENGTH, (FILL, LOOP, *[INIT] * (DEPTH + 3), END, HALT), 1 + DEPTH),
    "inner-loop-too-long": Case(ErrorCode.LOOP_LENGTH, (LOOP, LOOP, INIT, END, *[FILL] * DEPTH, END, HALT), DEPTH),
    "total-too-great": Case(ErrorCode.TOTAL, overflow_program(CONFIG).program.instructions, 4),
    "total-too-small": Case(ErrorCode.TOTAL, overflow_program(CONFIG, upwards=False).program.instructions, 4),
    "end-of-program": Case(ErrorCode.END, (FILL, INIT), 2),
    "end-of-program-after-loop": Case(ErrorCode.END, (LOOP, FILL, END), 3),
    "end-of-program-in-loop": Case(ErrorCode.END, (LOOP, FILL), 2),
    "empty-program": Case(ErrorCode.END, (), 0),
}

HEADERS = {
    ErrorCode.MAGIC: 0x4643 | VERSION << 16 | 2 << 32 | CONFIG.hash << 64,
    ErrorCode.VERSION: MAGIC | (VERSION + 1) << 16 | 2 << 32 | CONFIG.hash << 64,
    ErrorCode.CONFIG: MAGIC | VERSION << 16 | 2 << 32 | (CONFIG.hash ^ 1 << 63) << 64,
}

simulators = pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])


def known_state(engine: VerilogEngine, seed: int) -> GoldenTile:
    """Bring the Verilog and a golden tile into the same random state."""
    golden = GoldenTile(engine.config, seed)
    compare(engine, random_program(np.random.default_rng(seed), engine.config, 2), golden)
    return golden


def planes_for(code: ErrorCode, config: TileConfig, case: Case) -> Job:
    """The job of a case; only the totals' overflow loads anything."""
    program = Program(case.instructions, config.hash)
    if code is not ErrorCode.TOTAL:
        return Job(program)
    upwards = case is CASES["total-too-great"]
    return Job(program, overflow_program(config, upwards=upwards).planes)


def test_every_code_is_provoked() -> None:
    provoked = {case.code for case in CASES.values()} | set(HEADERS) | {ErrorCode.NONE}
    assert provoked == set(ErrorCode)


@pytest.mark.parametrize(("simulator", "array"), PLACES)
def test_errors(pool: EnginePool, simulator: str, array: str) -> None:
    config = TINY[array]
    engine = pool.get(config, simulator)
    golden = known_state(engine, 1)
    # The array has no say in what is refused, and Icarus is slow on the array of cells: there one case of each code.
    names = {case.code: name for name, case in CASES.items()}.values() if array == "cells" else CASES
    for name in names if simulator == "icarus" else CASES:
        case = CASES[name]
        job = planes_for(case.code, config, case)
        ours, expected = engine.run(job), golden.run(job)
        assert (ours.error, ours.address) == (case.code, case.address), name
        assert differences(ours, expected) == [], name
        # The simulator was reset since; cells, tags and totals are what the legal instructions before left.
        compare(engine, Job(store_program(config)), golden)


@pytest.mark.parametrize("config", [VERTICAL["cells"], FASTER["merged-2d"]], ids=lambda config: config.name)
def test_errors_of_other_units(pool: EnginePool, config: TileConfig) -> None:
    """Kinds that a tile has are taken, and what else is wrong with them is found."""
    engine = pool.get(config, "icarus")
    golden = known_state(engine, 4)
    reduction = replace(REDUCE, d=1, p=0)
    cases = {
        "pairs": Case(ErrorCode.NONE, (replace(reduction, kind=ReduceKind.PAIRS), HALT)),
        "segments": Case(ErrorCode.NONE, (replace(reduction, kind=ReduceKind.SEGMENTS, p=4000), HALT)),
        "no-such-kind": Case(ErrorCode.RESERVED, (FILL, replace(reduction, kind=3), HALT), 1),
        "too-many-words": Case(ErrorCode.ROWS, (replace(reduction, kind=2, constant=8, d_width=7), HALT)),
        "searched": Case(
            ErrorCode.NONE if config.zero_skip else ErrorCode.RESERVED, (replace(DOT, kind=DotKind.SKIP), HALT)
        ),
        "signed-and-searched": Case(
            ErrorCode.RESERVED, (INIT, replace(DOT, kind=DotKind.SKIP, a_signed=True), HALT), 1
        ),
    }
    for name, case in cases.items():
        job = Job(Program(case.instructions, config.hash))
        ours, expected = engine.run(job), golden.run(job)
        assert (ours.error, ours.address) == (case.code, case.address), name
        assert differences(ours, expected) == [], name
        for address, op in enumerate(case.instructions):
            found = violation(op, config)
            assert (found[0] if found else ErrorCode.NONE) == (
                case.code if address == case.address and case.code is not ErrorCode.NONE else ErrorCode.NONE
            )
        compare(engine, Job(store_program(config)), golden)


@pytest.mark.parametrize("code", HEADERS, ids=lambda code: code.name)
@simulators
def test_header_errors(pool: EnginePool, simulator: str, code: ErrorCode) -> None:
    engine = pool.get(CONFIG, simulator)
    golden = known_state(engine, 2)
    outcome = engine.run(Job(EditedProgram((FILL, HALT), CONFIG.hash, HEADERS[code])))
    assert (outcome.error, outcome.address) == (code, 0)
    assert set(outcome.counters.values()) == {0}
    compare(engine, Job(store_program(CONFIG)), golden)


@simulators
def test_lowest_code_wins(pool: EnginePool, simulator: str) -> None:
    """An instruction that breaks every rule gets better rule by rule."""
    engine = pool.get(CONFIG, simulator)
    worst = Instruction(
        0x7F, a=4000, a_width=70, b=4000, b_width=1, d=4000, d_width=0, constant=-9, owner=7, reserved=1
    )
    move = {"opcode": Opcode.MOVE, "owner": 1, "reserved": 0}
    steps = {
        ErrorCode.OPCODE: worst,
        ErrorCode.RESERVED: replace(worst, opcode=Opcode.MOVE),
        ErrorCode.WIDTH: replace(worst, **move),
        ErrorCode.COLUMN: replace(worst, **move, a_width=3, d_width=3),
        ErrorCode.OVERLAP: replace(worst, **move, a_width=3, d_width=3, a=4, d=5),
        ErrorCode.ROWS: replace(worst, **move, a_width=3, d_width=3, a=4, d=7),
    }
    for code, instruction in steps.items():
        outcome = engine.run(Job(Program((instruction, HALT), CONFIG.hash)))
        assert (outcome.error, outcome.address, outcome.cycles) == (code, 0, 0)


@simulators
def test_longest_loop_body_runs(pool: EnginePool, simulator: str) -> None:
    engine = pool.get(CONFIG, simulator)
    program = Program.build([INIT, LOOP, *[INIT] * (DEPTH - 2), END, HALT], CONFIG)
    compare(engine, Job(program), known_state(engine, 3))


def random_illegal(rng: np.random.Generator, config: TileConfig) -> Instruction:
    """A random legal instruction with one field changed so that it is none any more."""
    while True:
        opcode = Opcode(int(rng.choice([int(opcode) for opcode in OPERATIONS])))
        field = str(rng.choice(sorted(FIELDS)))
        values = {field: int(rng.integers(1 << rng.integers(1, FIELDS[field] + 1)))}  # mostly small
        bad = replace(ProgramMaker(rng, config).random_instruction(opcode), **values)
        if violation(bad, config) is not None and bad.opcode not in WIDE_CONSTANTS:  # whose constant takes p
            return bad


@pytest.mark.parametrize(
    "config",
    [TINY["4r2w"], pytest.param(GRID["3r1w"], marks=pytest.mark.slow)],
    ids=lambda config: config.name,
)
def test_random_illegal_instructions(pool: EnginePool, config: TileConfig) -> None:
    met = set()

    @random_settings(150)
    @given(seed=st.integers(0, 2**32 - 1))
    def property_holds(seed: int) -> None:
        bad = random_illegal(np.random.default_rng(seed), config)
        note(str(bad))
        engine = pool.get(config, "verilator")
        job = Job(Program((FILL, bad, HALT), config.hash))
        ours, expected = engine.run(job), GoldenTile(config).run(job)
        assert ours.address == 1
        assert differences(ours, expected) == []
        met.add(ours.error)

    property_holds()
    assert len(met) > 4
