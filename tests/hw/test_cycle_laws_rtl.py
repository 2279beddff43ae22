"""The cycle laws on the Verilog, over a grid of widths and signs, against formulas and integers that are written here.

The measured instruction alone is charged to REDUCE, so the counter ``cycles.reduce`` is its cost: decode and body.
Operands are random numbers with the extremes among them; results are compared with what Python's integers give.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from golden.engine import Bits, Job
from golden.laws import body_cycles, run_law
from hw.config import ARRAYS, CONFIGS, TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Owner, Program, StoreKind
from sim.rtl_engine import RtlEngine
from tests.rtl import COMPACT, PLACES, TINY, EnginePool

WIDTHS = (1, 2, 3, 4, 5, 7, 8)
SOME_WIDTHS = (1, 2, 3, 5, 8)
FEW_WIDTHS = (1, 2, 5)
SIGNS = tuple(itertools.product((False, True), repeat=2))
DECODE = 1


@dataclass(frozen=True)
class Point:
    """One place of the grid."""

    opcode: Opcode
    a_width: int
    b_width: int
    a_signed: bool = False
    b_signed: bool = False

    def fits(self, config: TileConfig) -> bool:
        return self.columns <= config.columns and (
            self.opcode != Opcode.DOT or self.a_width + self.b_width + config.count_bits + 1 <= config.fill_bits
        )

    @property
    def columns(self) -> int:
        return self.a_width + self.b_width + self.d_width + self.borrows

    @property
    def d_width(self) -> int:
        return {Opcode.DOT: 0, Opcode.MUL: self.a_width + self.b_width}.get(self.opcode, 1)

    @property
    def borrows(self) -> bool:
        """Whether the column p is needed."""
        return self.opcode == Opcode.MUL and self.a_signed

    @property
    def instruction(self) -> Instruction:
        end = self.a_width + self.b_width
        return Instruction(
            self.opcode, a=0, a_width=self.a_width, b=self.a_width, b_width=self.b_width,
            d=end if self.d_width else 0, d_width=self.d_width, p=end + self.d_width if self.borrows else 0,
            a_signed=self.a_signed, b_signed=self.b_signed, owner=Owner.REDUCE,
        )  # fmt: skip

    def body(self, array: str) -> int:
        """The law of this page, written once more."""
        a, b, latched = self.a_width, self.b_width, array == "3r1w"
        if self.opcode == Opcode.DOT:
            return a * b + 1
        if self.opcode == Opcode.MUL:
            plain = 8 * a * b + (8 * b + 1 if self.a_signed else 0)
            return plain + (2 * b + self.a_signed if latched else 0)
        extension = (8 if self.a_signed else 4) * (b - a)
        return 8 * a + extension + 1 + latched


def numbers(rng: np.random.Generator, width: int, signed: bool, count: int) -> list[int]:
    """Random numbers of a width; the extremes come first."""
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    drawn = rng.integers(low, high + 1, count).tolist()
    extremes = [low, high, low, high, 0]
    return [*extremes[:count], *drawn[len(extremes) :]]


def planes_of(values: list[int], width: int) -> Bits:
    return np.array([[value >> bit & 1 for value in values] for bit in range(width)], np.uint8)


def values_of(planes: Bits) -> list[int]:
    """Unsigned numbers, lowest plane first."""
    return [sum(int(bit) << position for position, bit in enumerate(column)) for column in planes.T]


@dataclass(frozen=True)
class Measured:
    """What one point cost and left."""

    reduce: int
    cycles: int
    stalls: int
    stored: tuple[Bits, ...]


def measure(engine: RtlEngine, point: Point, a: list[int], b: list[int]) -> Measured:
    """Load operands, clear the result, execute the point, store b and d, or the totals."""
    config, op = engine.config, point.instruction
    dot = point.opcode == Opcode.DOT
    after = (
        [Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=config.total_bits)]
        if dot
        else [
            Instruction(Opcode.STORE, a=op.b, a_width=op.b_width),
            Instruction(Opcode.STORE, a=op.d, a_width=op.d_width),
        ]
    )
    before = [Instruction(Opcode.INIT)] if dot else [Instruction(Opcode.FILL, d=op.d, d_width=op.d_width)]
    program = Program.build(
        [
            Instruction(Opcode.LOAD, kind=LoadKind.PLANES, d=op.a, d_width=op.a_width),
            Instruction(Opcode.LOAD, kind=LoadKind.PLANES, d=op.b, d_width=op.b_width),
            *before,
            Instruction(Opcode.SYNC),
            op,
            *after,
            Instruction(Opcode.HALT),
        ],
        config,
    )
    outcome = engine.run(Job(program, [planes_of(a, op.a_width), planes_of(b, op.b_width)]))
    law = run_law(program, config)
    for name in ("cycles.load", "cycles.compute", "cycles.reduce", "cycles.store", "events.compares", "events.writes"):
        assert outcome.counters[name] == law[name], (point, name)
    return Measured(
        outcome.counters["cycles.reduce"], outcome.cycles, outcome.counters["cycles.stall"], tuple(outcome.planes)
    )


def check_result(point: Point, config: TileConfig, a: list[int], b: list[int], stored: tuple[Bits, ...]) -> None:
    """Compare what was stored with Python's integers."""
    if point.opcode == Opcode.DOT:
        size, modulus = config.outputs, 1 << config.total_bits
        products = [x * y for x, y in zip(a, b, strict=True)]
        sums = [sum(products[output::size]) % modulus for output in range(size)]
        assert values_of(stored[0]) == sums, point
        return
    b_after, d_after = values_of(stored[0]), values_of(stored[1])
    modulus = 1 << point.b_width
    if point.opcode == Opcode.MUL:
        assert b_after == [y % modulus for y in b], point
        assert d_after == [x * y % (1 << point.d_width) for x, y in zip(a, b, strict=True)], point
        return
    for x, y, result, carry in zip(a, b, b_after, d_after, strict=True):
        unsigned, addend = y % modulus, x % modulus
        exact = unsigned + addend if point.opcode == Opcode.ADD else unsigned - addend
        assert result == exact % modulus, (point, x, y)
        assert carry == (not 0 <= exact < modulus), (point, x, y)


def check(engine: RtlEngine, points: Iterable[Point]) -> int:
    """Measure points and hold each against its formula, its law and its result; return how many there were."""
    config, count = engine.config, 0
    rng = np.random.default_rng(2)
    for point in points:
        a = numbers(rng, point.a_width, point.a_signed, config.rows)
        b = numbers(rng, point.b_width, point.b_signed, config.rows)
        b = [*b[1:], b[0]]  # extremes of a meet other extremes of b
        measured = measure(engine, point, a, b)
        assert measured.stalls == 0
        assert measured.reduce == DECODE + point.body(config.array), point
        assert measured.reduce == DECODE + body_cycles(point.instruction, config), point
        check_result(point, config, a, b, measured.stored)
        if config.array != "3r1w":
            check_promises(point, measured.reduce)
        count += 1
    return count


def check_promises(point: Point, cycles: int) -> None:
    """What the project promises of ``cells`` and ``4r2w``, decode included: at most two cycles beside the passes."""
    a, b = point.a_width, point.b_width
    if point.opcode in (Opcode.ADD, Opcode.SUB) and a == b:
        assert cycles - 8 * a <= 2, point
    elif point.opcode == Opcode.MUL and not point.a_signed:
        assert cycles - 8 * a * b == DECODE, point
    elif point.opcode == Opcode.DOT:
        assert cycles - a * b == 2, point


def sums(widths: Iterable[int]) -> Iterator[Point]:
    """In-place ADD and SUB of two equally wide numbers, and of a narrower one that is extended."""
    for opcode in (Opcode.ADD, Opcode.SUB):
        for a, b in itertools.combinations_with_replacement(sorted(widths), 2):
            for signed in (False, True):
                yield Point(opcode, a, b, a_signed=signed, b_signed=signed)


def products(opcode: Opcode, widths: Iterable[int]) -> Iterator[Point]:
    """All pairs of widths with all signs."""
    for a, b in itertools.product(tuple(widths), repeat=2):
        for a_signed, b_signed in SIGNS:
            yield Point(opcode, a, b, a_signed, b_signed)


def whole_and_partial_grids() -> Iterator[object]:
    """Verilator walks the whole grid. Icarus, far slower, walks parts of it, and the whole in the slow tests."""
    for place in PLACES:
        simulator, array = place.values
        if simulator == "icarus":
            widths = FEW_WIDTHS if array == "cells" else SOME_WIDTHS
            yield pytest.param(simulator, array, widths, id=f"{simulator}-{array}-partly")
        marks = [pytest.mark.slow] if simulator == "icarus" else []
        yield pytest.param(simulator, array, WIDTHS, marks=marks, id=f"{simulator}-{array}")


grids = pytest.mark.parametrize(("simulator", "array", "widths"), list(whole_and_partial_grids()))


@grids
def test_sums(pool: EnginePool, simulator: str, array: str, widths: tuple[int, ...]) -> None:
    pairs = len(widths) * (len(widths) + 1) // 2
    assert check(pool.get(TINY[array], simulator), sums(widths)) == 2 * 2 * pairs


@grids
def test_products(pool: EnginePool, simulator: str, array: str, widths: tuple[int, ...]) -> None:
    config = TINY[array]
    points = [point for point in products(Opcode.MUL, widths) if point.fits(config)]
    left_out = 2 if 8 in widths else 0  # a signed 8 by 8 bits leaves no column for its borrow
    assert len(points) == 4 * len(widths) ** 2 - left_out
    assert check(pool.get(config, simulator), points) == len(points)


@grids
def test_dot_products(pool: EnginePool, simulator: str, array: str, widths: tuple[int, ...]) -> None:
    assert check(pool.get(TINY[array], simulator), products(Opcode.DOT, widths)) == 4 * len(widths) ** 2


WIDE = [
    *(
        Point(opcode, a, b, signed, signed)
        for opcode in (Opcode.ADD, Opcode.SUB)
        for a, b in ((16, 16), (32, 32), (9, 32))
        for signed in (False, True)
    ),
    *(Point(Opcode.MUL, a, b, *signs) for a, b in ((16, 16), (3, 16)) for signs in SIGNS),
    *(Point(Opcode.DOT, a, b, *signs) for a, b in ((16, 16), (18, 16), (31, 3), (2, 32)) for signs in SIGNS),
]


@pytest.mark.parametrize(
    ("simulator", "config"),
    [
        ("verilator", CONFIGS["small"]),
        *(("icarus", COMPACT[array]) for array in ("4r2w", "3r1w")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_wide_operands(pool: EnginePool, simulator: str, config: TileConfig) -> None:
    # The greatest products take Icarus as long as all else together, so there a is signed.
    greatest = [point for point in WIDE if point.opcode == Opcode.MUL and point.a_width * point.b_width >= 256]
    points = [point for point in WIDE if simulator != "icarus" or point.a_signed or point not in greatest]
    assert all(point.fits(config) for point in points)
    assert check(pool.get(config, simulator), points) == len(points)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_wide_operands_in_the_array_of_cells(pool: EnginePool, simulator: str) -> None:
    config = TINY["cells"]
    points = [
        *(Point(opcode, 15, 15, signed) for opcode in (Opcode.ADD, Opcode.SUB) for signed in (False, True)),
        Point(Opcode.ADD, 1, 30),
        Point(Opcode.MUL, 10, 6),
        Point(Opcode.MUL, 3, 12, a_signed=True, b_signed=True),
        *(Point(Opcode.DOT, 10, 10, *signs) for signs in SIGNS),
        Point(Opcode.DOT, 4, 16, b_signed=True),
    ]
    assert all(point.fits(config) for point in points)
    assert check(pool.get(config, simulator), points) == len(points)


@pytest.mark.parametrize("array", ARRAYS)
def test_formulas_of_this_page_equal_the_laws_everywhere(array: str) -> None:
    config = replace(CONFIGS["small"], array=array)
    for opcode in (Opcode.ADD, Opcode.SUB, Opcode.MUL, Opcode.DOT):
        for a, b in itertools.product(range(1, 33), repeat=2):
            for signs in SIGNS:
                point = Point(opcode, a, b, *signs)
                if point.fits(config) and (opcode in (Opcode.MUL, Opcode.DOT) or a <= b):
                    assert point.body(array) == body_cycles(point.instruction, config), point
