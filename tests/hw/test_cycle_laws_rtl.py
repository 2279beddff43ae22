"""The cycle laws on the Verilog, over a grid of widths, signs and kinds, against formulas and integers of our own.

Each instruction of the grid has an owner of its own in its program, so that the counter of this owner is its cost:
decode and body. Operands are random numbers with the extremes among them; results are what Python's integers give.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from golden.engine import Bits, Job
from golden.laws import body_cycles, run_law
from hw.config import CONFIGS, TileConfig
from hw.isa import (
    OPERATIONS,
    CompareKind,
    ConstantKind,
    DotKind,
    Instruction,
    Opcode,
    Owner,
    Program,
    ReduceKind,
    StoreKind,
    clamp_bounds,
    clamp_constant,
    fields_used,
    legal_kinds,
    reduce_levels,
    violation,
)
from tests.meaning import Rows, after, bits_of, dot_products, leading_zero_planes, promised, with_bits
from tests.programs import ADDING, CONTROL, laid_out
from tests.rtl import COMPACT, GRID, TINY, EnginePool, VerilogEngine

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 32)
SMALL_WIDTHS = (1, 2, 3, 5, 8)
FEW_WIDTHS = (1, 2, 5)
WIDE = (3, 16, 32)
OWNERS = (Owner.COMPUTE, Owner.REDUCE, Owner.REQUANTIZE)
"""What measured instructions are charged to; all others are charged to LOAD and STORE, as waits are."""
MOST_PLANES = 64  # that one LOAD or STORE names
SUMS_BESIDE = (Opcode.SUM, Opcode.DIFF, Opcode.RDIFF)
EXTENDING = (Opcode.ADD, Opcode.SUB, Opcode.RSUB, *SUMS_BESIDE, Opcode.MAX, Opcode.MIN, Opcode.CMP)
BODIES = {opcode for opcode in OPERATIONS if opcode >= Opcode.DOT} - set(CONTROL)


# The laws of docs/isa.md, written once more.

STEP = {"classical": 8, "merged": 7, "two_tags": 6}
BESIDE = {"classical": 10, "merged": 8, "two_tags": 8}
Formula = Callable[[Instruction, TileConfig, int], int]


def extended_sum(op: Instruction, config: TileConfig, _: int = 0) -> int:
    step = STEP[config.passes]
    return 1 + step * op.a_width + (op.b_width - op.a_width) * (step if op.a_signed else 4) + narrow(config)


def sum_beside(op: Instruction, config: TileConfig, _: int = 0) -> int:
    classical, other = {Opcode.SUM: (4, 3), Opcode.DIFF: (6, 5), Opcode.RDIFF: (4, 3)}[Opcode(op.opcode)]
    wide, extension = BESIDE[config.passes], op.b_width - op.a_width
    known = wide if op.a_signed else classical if config.passes == "classical" else other
    return 1 + wide * op.a_width + known * extension + narrow(config)


def extreme(op: Instruction, config: TileConfig, _: int = 0) -> int:
    return 6 * op.a_width + 2 + (op.b_width - op.a_width) * (6 if op.a_signed else 3) + narrow(config)


def comparison(op: Instruction, *_: Any) -> int:
    return 2 * op.a_width + 2 + (op.b_width - op.a_width) * (2 if op.a_signed else 1)


def sum_with_constant(op: Instruction, config: TileConfig, _: int = 0) -> int:
    bits = op.b_width
    if op.kind == ConstantKind.SPARSE:
        constant = op.constant % (1 << op.b_width)
        bits = op.b_width - next((k for k in range(op.b_width) if constant >> k & 1), op.b_width)
    return 1 + 4 * bits + narrow(config)


def product(op: Instruction, config: TileConfig, _: int = 0) -> int:
    step, a, b = STEP[config.passes], op.a_width, op.b_width
    return b * (step * a + 2 * narrow(config)) + (1 + step * b + narrow(config) if op.a_signed else 0)


def product_with_constant(op: Instruction, config: TileConfig, _: int = 0) -> int:
    if op.kind == ConstantKind.DENSE:
        return op.b_width * (4 * op.a_width + 2 * narrow(config))
    ones = f"{op.constant % (1 << op.a_width):b}".count("1")
    signed = 1 + 4 * op.a_width + narrow(config) if op.b_signed else 0
    return ones * (STEP[config.passes] * op.b_width + 2 * narrow(config)) + signed


def dot(op: Instruction, _: TileConfig, skipped: int) -> int:
    if op.kind == DotKind.PLAIN:
        return op.a_width * op.b_width + 1
    return min(skipped + 1, op.a_width) + (op.a_width - skipped) * op.b_width + 1


def move(op: Instruction, *_: Any) -> int:
    return op.a_width * (3 + abs(op.constant))


def reduction(op: Instruction, config: TileConfig, _: int = 0) -> int:
    levels, cycles = reduce_levels(op.constant), 0
    for level in range(levels):
        width, distance = op.a_width + level, 2 ** (levels - 1 - level)
        addition = STEP[config.passes] * width + (4 if op.a_signed else 0)
        cycles += 1 + addition * (distance if op.kind == ReduceKind.PAIRS else 1) + narrow(config)
        cycles += width * (3 + distance) if op.kind == ReduceKind.SHIFT else 0
    return cycles


def narrow(config: TileConfig) -> int:
    """One cycle for each fetch or spill of 3r1w that is not hidden."""
    return int(config.array == "3r1w")


def plainly(text: str) -> Formula:
    """A law that depends on widths, the flag and the place of the result alone."""

    def cycles(op: Instruction, config: TileConfig, _: int = 0) -> int:
        names = {"A": op.a_width, "B": op.b_width, "D": op.d_width, "predicated": op.predicated}
        return eval(text, {}, names | {"in_place": op.d == op.b, "narrow": narrow(config)})

    return cycles


FORMULAS: dict[Opcode, Formula] = {
    Opcode.DOT: dot,
    Opcode.FILL: plainly("D + predicated"),
    Opcode.COPY: plainly("4*A + narrow if predicated else 3*A"),
    Opcode.NOT: plainly("4*A + narrow if predicated else 3*A"),
    Opcode.AND: plainly("2*A if in_place else 3*A"),
    Opcode.OR: plainly("2*A if in_place else 3*A"),
    Opcode.XOR: plainly("4*A"),
    Opcode.ADD: extended_sum,
    Opcode.SUB: extended_sum,
    Opcode.RSUB: lambda op, config, _: extended_sum(op, config) + 3 * op.b_width,
    Opcode.SUM: sum_beside,
    Opcode.DIFF: sum_beside,
    Opcode.RDIFF: sum_beside,
    Opcode.ADDC: sum_with_constant,
    Opcode.MUL: product,
    Opcode.MULC: product_with_constant,
    Opcode.MAX: extreme,
    Opcode.MIN: extreme,
    Opcode.MAXC: plainly("2*B"),
    Opcode.MINC: plainly("2*B"),
    Opcode.CLAMP: plainly("4*B"),
    Opcode.RELU: plainly("1 + B"),
    Opcode.NEG: plainly("1 + 4*A + narrow"),
    Opcode.ABS: plainly("6*A - 1 + narrow"),
    Opcode.CMP: comparison,
    Opcode.CMPC: plainly("B + 2"),
    Opcode.MOVE: move,
    Opcode.REDUCE: reduction,
}


# The grid.


def extended_operations(widths: Sequence[int]) -> Iterator[Instruction]:
    for opcode, (a, b), signed in itertools.product(
        EXTENDING, itertools.combinations_with_replacement(widths, 2), (False, True)
    ):
        for kind in CompareKind if opcode == Opcode.CMP else (0,):
            yield laid_out(Instruction(opcode, a_signed=signed, kind=kind), a, b)
        if OPERATIONS[opcode].predicate:
            yield laid_out(Instruction(opcode, a_signed=signed, predicated=True), a, b)


def operations_of_one_width(widths: Sequence[int]) -> Iterator[Instruction]:
    for width in widths:
        for opcode in (Opcode.COPY, Opcode.NOT, Opcode.NEG, Opcode.ABS):
            yield laid_out(Instruction(opcode), width, 0)
        for opcode in (Opcode.NOT, Opcode.NEG, Opcode.ABS):
            yield laid_out(Instruction(opcode), width, 0, "a")
        for opcode in (Opcode.COPY, Opcode.NOT):
            yield laid_out(Instruction(opcode, predicated=True), width, 0)
        for opcode, in_place in itertools.product((Opcode.AND, Opcode.OR, Opcode.XOR), ("", "b")):
            yield laid_out(Instruction(opcode), width, width, in_place)
        yield laid_out(Instruction(Opcode.RELU), 0, width)
        for predicated in (False, True):
            yield laid_out(Instruction(Opcode.FILL, constant=-(width + 5) // 3, predicated=predicated), width, 0)
        for distance in (-2, 0, 1):
            yield laid_out(Instruction(Opcode.MOVE, constant=distance), width, 0)


def constants(width: int) -> tuple[int, ...]:
    """Both ends of a width, a lone one in its middle, and something irregular."""
    return tuple(dict.fromkeys((0, (1 << width) - 1, 1 << width // 2, 0x5A96_B4D2 % (1 << width))))


def operations_with_constants(widths: Sequence[int]) -> Iterator[Instruction]:
    for width, signed in itertools.product(widths, (False, True)):
        for constant in constants(width):
            for opcode in (Opcode.MAXC, Opcode.MINC):
                yield laid_out(Instruction(opcode, constant=constant, b_signed=signed), 0, width)
            for kind in CompareKind:
                yield laid_out(Instruction(Opcode.CMPC, constant=constant, b_signed=signed, kind=kind), 0, width)
            for kind in ConstantKind:
                yield laid_out(Instruction(Opcode.ADDC, constant=constant, kind=kind, predicated=signed), 0, width)
        low, high = -(1 << min(width, 20) - 1), (1 << min(width, 20) - 1) - 1
        for bounds in ((low // 2, high // 2), (0, 6), (high, low)):
            yield laid_out(Instruction(Opcode.CLAMP, constant=clamp_constant(*bounds), b_signed=signed), 0, width)


def products(widths: Sequence[int]) -> Iterator[Instruction]:
    pairs = list(itertools.product(widths, repeat=2))
    for (a, b), a_signed, b_signed in itertools.product(pairs, (False, True), (False, True)):
        yield laid_out(Instruction(Opcode.MUL, a_signed=a_signed, b_signed=b_signed), a, b)
        for kind in DotKind:
            yield laid_out(Instruction(Opcode.DOT, kind=kind, a_signed=a_signed, b_signed=b_signed), a, b)
    for (a, b), kind, signed in itertools.product(pairs, ConstantKind, (False, True)):
        for constant in constants(a)[1:]:
            yield laid_out(Instruction(Opcode.MULC, constant=constant, kind=kind, b_signed=signed), a, b)


def reductions(widths: Sequence[int], taps: int) -> Iterator[Instruction]:
    for kind, width, words, signed in itertools.product(ReduceKind, widths, range(1, taps + 1), (False, True)):
        yield laid_out(Instruction(Opcode.REDUCE, kind=kind, constant=words, a_signed=signed), width, 0)


def grid(config: TileConfig, widths: Sequence[int]) -> list[Instruction]:
    """Every point that fits the tile; additions alone where only their passes are others."""
    points = itertools.chain(
        extended_operations(widths),
        operations_of_one_width(widths),
        operations_with_constants(widths),
        products(widths),
        reductions(widths, config.taps),
    )
    chosen = [op for op in points if config.passes == "classical" or op.opcode in ADDING]
    return [op for op in chosen if violation(op, config) is None]


# What is measured.


def numbers(rng: random.Random, width: int, count: int) -> list[int]:
    """Bit patterns of a width in any order; the ends, and both sides of the sign, come as often as others."""
    half = 1 << (width - 1)
    ends = [end % (2 * half) for end in (0, 1, half - 1, half, half + 1, -1)]
    return [rng.choice((rng.getrandbits(width), rng.choice(ends))) for _ in range(count)]


def operands(rng: random.Random, op: Instruction, config: TileConfig) -> Rows:
    """Rows with numbers in every field, as the contract wants them before the instruction."""
    rows = [0] * config.rows
    for field, first, width, _ in fields_used(op):
        values = numbers(rng, width, config.rows)
        if field == "d" and op.opcode in (Opcode.MUL, Opcode.MULC):
            sparse = op.opcode == Opcode.MULC and op.kind == ConstantKind.SPARSE
            values = [0 if sparse else value % (1 << op.a_width) for value in values]
        if field == "a" and op.opcode == Opcode.DOT and op.kind == DotKind.SKIP:
            kept = rng.randrange(width + 1)
            values = [value % (1 << kept) for value in values]
        rows = [with_bits(row, first, width, value) for row, value in zip(rows, values, strict=True)]
    return rows


def columns_of(op: Instruction) -> tuple[int, int]:
    """The first column that an instruction names, and the end of those."""
    used = [(first, first + width) for _, first, width, _ in fields_used(op)]
    return min(first for first, _ in used), max(end for _, end in used)


def planes_of(rows: Rows, first: int, width: int) -> Bits:
    return np.array([[row >> first + bit & 1 for row in rows] for bit in range(width)], np.uint8)


def rows_of(planes: Bits) -> Rows:
    return [sum(int(bit) << place for place, bit in enumerate(row)) for row in planes.T]


@dataclass(frozen=True)
class Measurement:
    """One point of the grid: an instruction in its place, what the rows hold before it, and the totals."""

    op: Instruction
    rows: Rows
    start: int

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """First column and width of what one LOAD or STORE moves."""
        first, end = columns_of(self.op)
        return [(column, min(MOST_PLANES, end - column)) for column in range(first, end, MOST_PLANES)]

    def instructions(self, config: TileConfig) -> Iterator[Instruction]:
        for first, width in self.pieces:
            yield Instruction(Opcode.LOAD, d=first, d_width=width)
        if self.op.opcode == Opcode.DOT:
            yield Instruction(Opcode.INIT, constant=self.start, owner=Owner.LOAD)
        yield Instruction(Opcode.SYNC)
        yield self.op
        for first, width in self.pieces:
            yield Instruction(Opcode.STORE, a=first, a_width=width)
        if self.op.opcode == Opcode.DOT:
            yield Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=config.total_bits)

    def check(self, stored: Iterator[Bits], config: TileConfig) -> None:
        """Compare what was stored with Python's integers."""
        op = self.op
        wanted = self.rows if op.opcode == Opcode.DOT else after(op, self.rows, config)
        masks = promised(op, self.rows, config)
        for first, width in self.pieces:
            for row, (got, want, mask) in enumerate(zip(rows_of(next(stored)), wanted, masks, strict=True)):
                shown = bits_of(mask, first, width)
                assert got & shown == bits_of(want, first, width) & shown, (op, f"row {row} was {self.rows[row]:b}")
        if op.opcode == Opcode.DOT:
            sums = [self.start + added for added in dot_products(op, self.rows, config)]
            assert rows_of(next(stored)) == [total % (1 << config.total_bits) for total in sums], op


def measurement(rng: random.Random, op: Instruction, owner: Owner, config: TileConfig) -> Measurement:
    """A point at a random place of the array, with random operands."""
    shift = rng.randrange(config.columns - columns_of(op)[1] + 1)
    places = {field: getattr(op, field) + shift for field, *_ in fields_used(op)}
    moved = replace(op, **places, owner=owner)
    return Measurement(moved, operands(rng, moved, config), rng.randrange(-9, 10))


def run_together(engine: VerilogEngine, measured: Sequence[Measurement]) -> None:
    """Execute points in one program, each with an owner, and hold counters and results against all second opinions."""
    config = engine.config
    program = Program.build(
        [*itertools.chain(*(point.instructions(config) for point in measured)), Instruction(Opcode.HALT)], config
    )
    planes = [planes_of(point.rows, first, width) for point in measured for first, width in point.pieces]
    outcome = engine.run(Job(program, planes))
    searches = [point for point in measured if point.op.opcode == Opcode.DOT and point.op.kind == DotKind.SKIP]
    law = run_law(program, config, [leading_zero_planes(point.op, point.rows) for point in searches])
    stored = iter(outcome.planes)
    for point in measured:
        op, skipped = point.op, leading_zero_planes(point.op, point.rows) if point in searches else 0
        cost = 1 + FORMULAS[Opcode(op.opcode)](op, config, skipped)
        assert outcome.counters[f"cycles.{Owner(op.owner).name.lower()}"] == cost, op
        assert 1 + body_cycles(op, config, skipped) == cost, op
        point.check(stored, config)
        check_promises(op, config, cost)
    counted = {name for name in law if name.startswith(("cycles.", "events."))}
    assert {name: outcome.counters[name] for name in counted} == {name: law[name] for name in counted}, measured


def check_promises(op: Instruction, config: TileConfig, cycles: int) -> None:
    """What the project promises of classical ``cells`` and ``4r2w``, decode included: at most two cycles beside."""
    if config.array == "3r1w" or config.passes != "classical":
        return
    a, b = op.a_width, op.b_width
    if op.opcode in (Opcode.ADD, Opcode.SUB) and a == b:
        assert cycles - 8 * a <= 2, op
    elif op.opcode == Opcode.MUL and not op.a_signed:
        assert cycles - 8 * a * b == 1, op
    elif op.opcode == Opcode.DOT and op.kind == DotKind.PLAIN:
        assert cycles - a * b == 2, op


def measure(engine: VerilogEngine, points: Sequence[Instruction], seed: int) -> None:
    """Measure all points, as many together as there are owners."""
    print(f"seed {seed}, {len(points)} points")
    rng = random.Random(seed)
    for index in range(0, len(points), len(OWNERS)):
        together = points[index : index + len(OWNERS)]
        run_together(
            engine, [measurement(rng, op, owner, engine.config) for op, owner in zip(together, OWNERS, strict=False)]
        )


@dataclass(frozen=True)
class Walk:
    """A part of the grid on one tile in one simulator.

    Parameters
    ----------
    simulator, config : where.
    widths : of the operands.
    every : how many points lie between two of the spread that `make test` measures.
    """

    simulator: str
    config: TileConfig
    widths: tuple[int, ...]
    every: int

    @property
    def name(self) -> str:
        return f"{self.simulator}-{self.config.name}"

    @property
    def points(self) -> list[Instruction]:
        return grid(self.config, self.widths)

    @property
    def spread(self) -> list[Instruction]:
        """Points far apart in the grid, at other places in every walk, and at least one of every opcode."""
        points = self.points
        chosen = points[len(self.name) % self.every :: self.every]
        missing = {op.opcode for op in points} - {op.opcode for op in chosen}
        return [*chosen, *(next(op for op in points if op.opcode == opcode) for opcode in sorted(missing))]


WALKS = [
    *(Walk("verilator", config, WIDTHS, 13 if config.passes == "classical" else 8) for config in GRID.values()),
    *(Walk("icarus", config, SMALL_WIDTHS, 61 if config.array == "cells" else 31) for config in TINY.values()),
    *(Walk("icarus", COMPACT[array], WIDE, 37) for array in ("4r2w", "3r1w")),
]
walks = pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
QUICK = (
    "verilator-full-two-tags", "icarus-tiny-cells", "icarus-tiny-4r2w", "icarus-compact-3r1w",
)  # fmt: skip
"""Walks of the quick tier: every array, the classical passes and faster ones, narrow operands and wide ones."""


@pytest.mark.parametrize(
    "walk",
    [walk if walk.name in QUICK else pytest.param(walk, marks=pytest.mark.slow) for walk in WALKS],
    ids=lambda walk: walk.name,
)
def test_spread_of_the_grid(pool: EnginePool, walk: Walk) -> None:
    spread = walk.spread
    assert {op.opcode for op in spread} == (BODIES if walk.config.passes == "classical" else set(ADDING))
    measure(pool.get(walk.config, walk.simulator), spread, 2)


@pytest.mark.slow
@walks
def test_whole_grid(pool: EnginePool, walk: Walk) -> None:
    measure(pool.get(walk.config, walk.simulator), walk.points, 3)


def test_size_of_the_grid(record_property: Callable[[str, object], None]) -> None:
    whole = sum(len(walk.points) for walk in WALKS)
    spread = sum(len(walk.spread) for walk in WALKS if walk.name in QUICK)
    print(f"{whole} points, of which `make test` measures {spread}")
    record_property("points", whole)
    record_property("points_of_the_spread", spread)
    assert whole > 1000
    for walk in WALKS[:3]:
        assert len(walk.points) == len(set(walk.points)) > 1000
        kinds = {(op.opcode, op.kind) for op in walk.points if legal_kinds(Opcode(op.opcode), walk.config)}
        assert kinds == {(opcode, kind) for opcode in BODIES for kind in legal_kinds(opcode, walk.config)}, (
            "all kinds of all opcodes"
        )


@pytest.mark.parametrize(
    "config", [replace(CONFIGS["small"], name="s", fill_bits=64, total_bits=64), *GRID.values()], ids=lambda c: c.name
)
def test_formulas_of_this_page_equal_the_laws_everywhere(config: TileConfig) -> None:
    for op in grid(config, (1, 2, 3, 6, 9, 11, 17, 23, 29, 31)):
        for skipped in range(op.a_width + 1) if op.opcode == Opcode.DOT and op.kind == DotKind.SKIP else (0,):
            assert FORMULAS[Opcode(op.opcode)](op, config, skipped) == body_cycles(op, config, skipped), op


def test_bounds_of_the_clamps_differ() -> None:
    bounds = {clamp_bounds(op.constant) for op in operations_with_constants(WIDTHS) if op.opcode == Opcode.CLAMP}
    assert any(low > high for low, high in bounds)
    assert any(low < 0 < high for low, high in bounds)
