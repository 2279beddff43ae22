"""Whole operations by exhaustion: every operand of up to four bits, with whatever the other columns held before.

On the golden tile a row holds its own number, so that every state of all columns that an instruction names is in some
row. On the Verilog the rows hold all pairs of operands, twice: with random bits elsewhere, and with their opposites.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from golden.engine import Bits, Job
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import (
    OPERATIONS,
    ConstantKind,
    Instruction,
    Opcode,
    Program,
    clamp_constant,
    fields_used,
    legal_kinds,
    violation,
)
from tests.meaning import ROW_BY_ROW, Rows, after, dot_products
from tests.programs import ADDING, laid_out
from tests.rtl import GRID, EnginePool, VerilogEngine

WIDTHS = range(1, 5)
ROW_BITS = 12
"""A golden tile has at most a row for every state of so many columns; the states of more columns take several runs."""
HALT = Instruction(Opcode.HALT)
SIGNED_A = (
    Opcode.ADD, Opcode.SUB, Opcode.RSUB, Opcode.SUM, Opcode.DIFF, Opcode.RDIFF, Opcode.MUL, Opcode.MAX, Opcode.MIN,
    Opcode.CMP, Opcode.DOT,
)  # fmt: skip
SIGNED_B = (Opcode.MUL, Opcode.MULC, Opcode.MAXC, Opcode.MINC, Opcode.CLAMP, Opcode.CMPC, Opcode.DOT)
BY_CONSTANT_OF_B = (Opcode.ADDC, Opcode.CMPC, Opcode.MAXC, Opcode.MINC)
BY_CONSTANT_OF_A = (Opcode.MULC, Opcode.FILL)


def constants(opcode: Opcode, a: int, b: int) -> Iterable[int]:
    """Every constant that means something else at these widths."""
    if opcode == Opcode.CLAMP:
        bounds = range(-(1 << (b - 1)), 1 << b)
        return [clamp_constant(low, high) for low, high in itertools.product(bounds, repeat=2)]
    if opcode in BY_CONSTANT_OF_B:
        return range(1 << b)
    return range(1 << a) if opcode in BY_CONSTANT_OF_A else (0,)


def flags(opcode: Opcode, config: TileConfig) -> Iterator[Instruction]:
    """Every combination of kind and flags that means something else."""
    either = (False, True)
    for kind, a_signed, b_signed, predicated in itertools.product(
        legal_kinds(opcode, config) or (0,),
        either if opcode in SIGNED_A else (False,),
        either if opcode in SIGNED_B else (False,),
        either if OPERATIONS[opcode].predicate else (False,),
    ):
        yield Instruction(opcode, kind=kind, a_signed=a_signed, b_signed=b_signed, predicated=predicated)


def operations(opcode: Opcode, a: int, b: int, config: TileConfig) -> Iterator[Instruction]:
    """All legal instructions with operands of these widths."""
    for op, constant in itertools.product(flags(opcode, config), constants(opcode, a, b)):
        for in_place in {"", OPERATIONS[opcode].in_place}:
            laid = laid_out(replace(op, constant=constant), a, b, in_place)
            if violation(laid, config) is None:
                yield laid


def free_columns(op: Instruction) -> list[int]:
    """Columns that an instruction names and that may hold anything before it."""
    columns = {column for _, first, width, _ in fields_used(op) for column in range(first, first + width)}
    if op.opcode in (Opcode.MUL, Opcode.MULC):
        sparse = op.opcode == Opcode.MULC and op.kind == ConstantKind.SPARSE
        columns -= set(range(op.d + (0 if sparse else op.a_width), op.d + op.d_width))
    return sorted(columns)


def spread(number: int, columns: Iterable[int]) -> int:
    """A row whose bits in some columns are those of a number."""
    return sum((number >> bit & 1) << column for bit, column in enumerate(columns))


def cells_of(rows: Rows, columns: int) -> Bits:
    return (np.array(rows)[None, :] >> np.arange(columns)[:, None] & 1).astype(np.uint8)


def rows_of(planes: Bits) -> Rows:
    return [int(row) for row in (planes.astype(np.int64) << np.arange(len(planes))[:, None]).sum(axis=0)]


def check_rows(op: Instruction, before: Rows, got: Rows, config: TileConfig) -> None:
    wanted = after(op, before, config)
    if got != wanted:
        row = next(row for row in range(len(got)) if got[row] != wanted[row])
        pytest.fail(f"{op}: {before[row]:b} becomes {got[row]:b}, not {wanted[row]:b}")


def square(row_bits: int) -> TileConfig:
    """A tile with a row for each state of so many columns."""
    return TileConfig(
        name="exhaustive", taps=1 << row_bits // 2, outputs=1 << row_bits - row_bits // 2, columns=24, plane_bits=1
    )


def exhaust(op: Instruction) -> int:
    """Execute an instruction on every state of its columns; how many there were."""
    free = free_columns(op)
    config = square(min(len(free), ROW_BITS))
    program = Program.build([op, HALT], config)
    tile = GoldenTile(config)
    for first in range(0, 1 << len(free), config.rows):
        states = range(first, first + config.rows)
        rows = [spread(state, free) for state in states]
        tile.cells = cells_of(rows, config.columns)
        tile.run(Job(program))
        check_rows(op, rows, rows_of(tile.cells), config)
    return 1 << len(free)


def widths(opcode: Opcode) -> Iterator[tuple[int, int]]:
    """Widths of a and b up to four, independent where the instruction allows it."""
    rule = OPERATIONS[opcode]
    for a, b in itertools.product(WIDTHS, repeat=2):
        independent = opcode in (Opcode.MUL, Opcode.MULC, Opcode.DOT) or (rule.narrow_a and a <= b)
        if independent or a == b:
            yield a, b


@pytest.mark.parametrize("opcode", ROW_BY_ROW, ids=lambda opcode: opcode.name)
def test_every_state_on_the_golden_tile(opcode: Opcode) -> None:
    config, points, states = square(ROW_BITS), 0, 0
    for a, b in widths(opcode):
        for op in operations(opcode, a, b, config):
            points += 1
            states += exhaust(op)
    print(f"{opcode.name}: {points} instructions, {states} states")
    assert points >= len(WIDTHS)


def test_every_product_of_a_dot() -> None:
    """One tap: the total of every output is the product of its row."""
    for a, b in widths(Opcode.DOT):
        config = TileConfig(
            name="products", taps=1, outputs=1 << (a + b), columns=8, plane_bits=1, zero_skip=True,
            fill_bits=16, total_bits=16,
        )  # fmt: skip
        rows = list(range(config.rows))
        for op in operations(Opcode.DOT, a, b, config):
            tile = GoldenTile(config)
            tile.cells = cells_of(rows, config.columns)
            tile.run(Job(Program.build([op, HALT], config)))
            assert tile.totals.tolist() == dot_products(op, rows, config), op


def test_every_distance_of_a_move() -> None:
    config = TileConfig(name="moves", taps=5, outputs=3, columns=10, plane_bits=1)
    rng = np.random.default_rng(4)
    for width, distance in itertools.product(WIDTHS, range(1 - config.taps, config.taps)):
        op = laid_out(Instruction(Opcode.MOVE, constant=distance), width, 0)
        tile = GoldenTile(config)
        rows = rng.integers(0, 1 << config.columns, config.rows).tolist()
        tile.cells = cells_of(rows, config.columns)
        tile.run(Job(Program.build([op, HALT], config)))
        check_rows(op, rows, rows_of(tile.cells), config)


SHAPES = ((4, 4), (2, 4), (3, 2))
COLUMNS = 24
"""Of the Verilog's tile, that are loaded and stored."""
SEED = 7


def chosen_operations(config: TileConfig) -> Iterator[Instruction]:
    """All variants at a few widths, constants at random; additions alone where only their passes are others."""
    rng = random.Random(SEED)
    for opcode in ROW_BY_ROW if config.passes == "classical" else set(ADDING) & set(ROW_BY_ROW):
        for a, b in set(SHAPES) & set(widths(Opcode(opcode))):
            variants = list(operations(Opcode(opcode), a, b, config))
            many = len(set(constants(Opcode(opcode), a, b))) > 1
            yield from rng.sample(variants, min(len(variants), 12)) if many else variants


def operand_rows(rng: random.Random, op: Instruction, config: TileConfig) -> tuple[Rows, Rows]:
    """All pairs of operands, with random bits elsewhere, and with their opposites."""
    reads = {"a": op.a_width, "b": op.b_width}
    operands = [
        getattr(op, field) + bit for field, first, width, _ in fields_used(op) if field in reads for bit in range(width)
    ]
    named = {column for _, first, width, _ in fields_used(op) for column in range(first, first + width)}
    zero = named - set(free_columns(op))
    elsewhere = spread(-1, set(range(COLUMNS)) - set(operands) - zero)
    pairs = [spread(row, operands) for row in range(config.rows)]
    garbage = [rng.getrandbits(COLUMNS) & elsewhere for _ in pairs]
    return (
        [pair | bits for pair, bits in zip(pairs, garbage, strict=True)],
        [pair | bits ^ elsewhere for pair, bits in zip(pairs, garbage, strict=True)],
    )


def run_all(engine: VerilogEngine, points: list[tuple[Instruction, Rows]]) -> None:
    """Execute instructions in one program, each on rows of its own."""
    config = engine.config
    instructions: list[Instruction] = []
    for op, _ in points:
        instructions += [
            Instruction(Opcode.LOAD, d=0, d_width=COLUMNS),
            Instruction(Opcode.SYNC),
            op,
            Instruction(Opcode.STORE, a=0, a_width=COLUMNS),
        ]
    program = Program.build([*instructions, HALT], config)
    outcome = engine.run(Job(program, [cells_of(rows, COLUMNS) for _, rows in points]))
    for (op, rows), planes in zip(points, outcome.planes, strict=True):
        check_rows(op, rows, rows_of(planes), config)


@pytest.mark.parametrize("name", ["4r2w", pytest.param("merged", marks=pytest.mark.slow), "two_tags"])
def test_all_pairs_on_the_verilog(pool: EnginePool, name: str) -> None:
    config = GRID[name]
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    points = [(op, rows) for op in chosen_operations(config) for rows in operand_rows(rng, op, config)]
    engine = pool.get(config, "verilator")
    for first in range(0, len(points), 40):
        run_all(engine, points[first : first + 40])
    print(f"{len(points)} times {config.rows} rows")
