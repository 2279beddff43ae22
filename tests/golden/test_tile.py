"""The golden tile against plain Python integers, and against a naive tile that works pass by pass."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.engine import Job, Outcome
from golden.instructions import INSTRUCTIONS
from golden.planes import count_ones, from_numbers, pack, read_bits, to_numbers, unpack, write_bits
from golden.tile import GoldenTile
from hw.config import ARRAYS, CONFIGS, PASSES, TileConfig
from hw.isa import (
    OPERATIONS,
    CompareKind,
    ConstantKind,
    DotKind,
    ErrorCode,
    Instruction,
    LoadKind,
    Opcode,
    Program,
    ReduceKind,
    Role,
    StoreKind,
    clamp_constant,
    reduce_levels,
    violation,
)
from tests.micro_tile import MicroTile
from tests.programs import ADDING, ProgramMaker, overflow_program, random_program

TINY = CONFIGS["tiny"]
ODD = TileConfig(name="odd", taps=5, outputs=27, columns=100, plane_bits=7)  # 135 rows: two words and a bit
ONE = TileConfig(name="one", taps=1, outputs=1, columns=40, plane_bits=1)
HALT = Instruction(Opcode.HALT)
ROW_WISE = [Opcode(opcode) for opcode in INSTRUCTIONS if opcode not in (Opcode.MOVE, Opcode.REDUCE)]
EXHAUSTIVE_BITS = 6
WIDTHS = (1, 2, 3, 4, 5, 8, 12)
GRID = TileConfig(name="grid", taps=3, outputs=5, columns=64, plane_bits=15, activity=False)


def run(tile: GoldenTile, *instructions: Instruction, planes: tuple[np.ndarray, ...] = ()) -> Outcome:
    return tile.run(Job(Program.build([*instructions, HALT], tile.config), planes))


def field(bits: list[int], first: int, width: int, signed: bool = False) -> int:
    value = sum(bits[first + j] << j for j in range(width))
    return value - (1 << width) if signed and bits[first + width - 1] else value


def as_signed(number: int, width: int, signed: bool) -> int:
    """The low bits of a number as a number."""
    number %= 1 << width
    return number - (1 << width) if signed and number >> (width - 1) else number


def expected_sum(op: Instruction, a: int, b: int, before: int, active: bool) -> dict[str, int]:
    """Additions of a to b, from the contract, in integers; a and b are below 2**B."""
    modulus = 1 << op.b_width
    result = {
        Opcode.ADD: b + a, Opcode.SUB: b - a, Opcode.ADDC: b + a, Opcode.RSUB: a - b, Opcode.SUM: b + a,
        Opcode.DIFF: b - a, Opcode.RDIFF: a - b,
    }[Opcode(op.opcode)]  # fmt: skip
    beyond = int(not 0 <= result < modulus)
    if op.opcode in (Opcode.SUM, Opcode.DIFF, Opcode.RDIFF):
        return {"d": (before | result) % modulus + (beyond << op.b_width)}
    if op.opcode == Opcode.RSUB:
        return {"b": result, "d": 1 - beyond}
    return {"b": result, "d": beyond} if active else {"d": 0}


def expected_product(op: Instruction, a: int, b: int, before: int) -> dict[str, int]:
    """Products, from the contract, in integers; a and b as they count, ``before`` what d held."""
    results = {"d": a * b + before}
    if op.opcode == Opcode.MUL and op.a_signed:
        upper = ((a % (1 << op.a_width)) * b + before) >> op.a_width
        results["p"] = int(a < 0 and upper % (1 << op.b_width) < b % (1 << op.b_width))
    if op.opcode == Opcode.MULC and op.kind == ConstantKind.SPARSE and op.b_signed:
        upper = a * (b % (1 << op.b_width)) >> op.b_width
        results["p"] = int(b < 0 and upper < a)
    return results


def expected_row(op: Instruction, bits: list[int]) -> dict[str, int]:
    """New values of b, d and p of one row, from the table of the contract, in integers."""
    opcode, b_bits, constant = Opcode(op.opcode), op.b_width, op.constant
    a = field(bits, op.a, op.a_width, op.a_signed) if OPERATIONS[opcode].a is not Role.UNUSED else 0
    b = field(bits, op.b, b_bits) if b_bits else 0
    b_value = field(bits, op.b, b_bits, op.b_signed) if b_bits else 0
    before = field(bits, op.d, op.d_width) if op.d_width else 0
    active = not (op.predicated and OPERATIONS[opcode].predicate) or bool(bits[op.p])
    if opcode in (Opcode.FILL, Opcode.COPY, Opcode.NOT):
        return {"d": {Opcode.FILL: constant, Opcode.COPY: a, Opcode.NOT: ~a}[opcode]} if active else {}
    if opcode in (Opcode.AND, Opcode.OR, Opcode.XOR):
        return {"d": {Opcode.AND: a & b, Opcode.OR: a | b, Opcode.XOR: a ^ b}[opcode]}
    if opcode in ADDING and opcode not in (Opcode.MUL, Opcode.MULC):
        addend = constant if opcode == Opcode.ADDC else a
        return expected_sum(op, addend % (1 << b_bits), b, before, active)
    if opcode in (Opcode.MUL, Opcode.MULC):
        return expected_product(op, a if opcode == Opcode.MUL else constant % (1 << op.a_width), b_value, before)
    if opcode == Opcode.RELU:
        return {"b": 0 if b >> (b_bits - 1) else b}
    if opcode == Opcode.NEG:
        return {"d": -a, "p": int(a != 0)}
    if opcode == Opcode.ABS:
        number = field(bits, op.a, op.a_width, signed=True)
        return {"d": abs(number), "p": int(number < 0 and number != -(1 << (op.a_width - 1)))}
    if opcode in (Opcode.MAX, Opcode.MIN):
        b_value = field(bits, op.b, b_bits, op.a_signed)
        taken = max(a, b_value) if opcode == Opcode.MAX else min(a, b_value)
        return {"b": taken, "d": int(taken != b_value)}
    if opcode in (Opcode.CMP, Opcode.CMPC):
        if opcode == Opcode.CMP:
            left, right = a, field(bits, op.b, b_bits, op.a_signed)
        else:
            left, right = b_value, as_signed(constant, b_bits, op.b_signed)
        return {
            "d": int(
                {
                    CompareKind.EQ: left == right, CompareKind.NE: left != right, CompareKind.LT: left < right,
                    CompareKind.GE: left >= right, CompareKind.LE: left <= right, CompareKind.GT: left > right,
                }[CompareKind(op.kind)]
            )
        }  # fmt: skip
    if opcode == Opcode.CLAMP:
        low, high = (
            as_signed(as_signed(bound, 24, signed=True), b_bits, op.b_signed) for bound in (constant, constant >> 24)
        )
        return {"b": min(max(b_value, low), high)}
    limit = as_signed(constant, b_bits, op.b_signed)
    return {"b": max(b_value, limit) if opcode == Opcode.MAXC else min(b_value, limit)}


def expected_cells(op: Instruction, before: np.ndarray) -> np.ndarray:
    after = before.copy()
    fields = {"b": (op.b, op.b_width), "d": (op.d, op.d_width), "p": (op.p, 1)}
    for row in range(before.shape[1]):
        for name, value in expected_row(op, before[:, row].tolist()).items():
            first, width = fields[name]
            for j in range(width):
                after[first + j, row] = value >> j & 1
    return after


@pytest.mark.parametrize("opcode", ROW_WISE, ids=lambda opcode: opcode.name)
@pytest.mark.parametrize("config", [ODD, ONE, TINY], ids=lambda config: config.name)
def test_instruction_equals_python_integers(opcode: Opcode, config: TileConfig) -> None:
    rng = np.random.default_rng(opcode)
    for seed in range(12):
        op = ProgramMaker(rng, config).random_instruction(opcode)
        tile = GoldenTile(config, seed)
        clear_product(tile, op)
        before = tile.cells
        assert run(tile, op).error is ErrorCode.NONE
        assert np.array_equal(tile.cells, expected_cells(op, before)), op


def clear_product(tile: GoldenTile, op: Instruction) -> None:
    """What a multiplication wants of d."""
    if op.opcode == Opcode.MULC and op.kind == ConstantKind.SPARSE:
        run(tile, Instruction(Opcode.FILL, d=op.d, d_width=op.d_width))
    elif op.opcode in (Opcode.MUL, Opcode.MULC):
        run(tile, Instruction(Opcode.FILL, d=op.d + op.a_width, d_width=op.b_width))


def grid(opcode: Opcode, rng: np.random.Generator) -> Iterator[Instruction]:
    """An opcode with all widths, signs, kinds, in place and beside."""
    rule = OPERATIONS[opcode]
    kinds = [kind.value for kind in rule.kinds] if rule.kinds else [0]
    a_widths = WIDTHS if rule.a is not Role.UNUSED or rule.free_a else (0,)
    b_widths = WIDTHS if rule.b is not Role.UNUSED else (0,)
    flags = itertools.product(
        kinds, (False, True), (False, True), {False, rule.predicate}, {False, bool(rule.in_place)}
    )
    for (a, b), (kind, a_signed, b_signed, predicated, in_place) in itertools.product(
        itertools.product(a_widths, b_widths), flags
    ):
        d = {"a": a, "1": 1, "b+1": b + 1, "a+b": a + b}.get(dict(rule.widths).get("d", ""), 0 if not rule.d else 7)
        op = Instruction(
            opcode, a=0, a_width=a, b=a, b_width=b, d=a + b, d_width=d, p=a + b + d, kind=kind, a_signed=a_signed,
            b_signed=b_signed, predicated=predicated, constant=int(rng.integers(-(1 << b + 1), 1 << b + 1)),
        )  # fmt: skip
        if opcode == Opcode.CLAMP:
            low, high = sorted(int(bound) for bound in rng.integers(-(1 << b), 1 << b, 2))
            op = dataclasses.replace(op, constant=clamp_constant(low, high))
        if in_place and not predicated:
            op = dataclasses.replace(op, d=getattr(op, rule.in_place))
        if violation(op, GRID) is None:
            yield op


@pytest.mark.parametrize("opcode", ROW_WISE, ids=lambda opcode: opcode.name)
def test_instruction_on_all_widths_signs_and_kinds(opcode: Opcode) -> None:
    rng = np.random.default_rng(opcode)
    tile = GoldenTile(GRID)
    for op in grid(opcode, rng):
        tile.cells = rng.integers(0, 2, (GRID.columns, GRID.rows), np.uint8)
        clear_product(tile, op)
        before = tile.cells
        assert run(tile, op).error is ErrorCode.NONE
        assert np.array_equal(tile.cells, expected_cells(op, before)), op


@pytest.mark.parametrize("signs", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    "opcode", [Opcode.ADD, Opcode.RSUB, Opcode.MUL, Opcode.MAX, Opcode.MIN, Opcode.AND, Opcode.CMP]
)
def test_every_pair_of_six_bit_operands(opcode: Opcode, signs: tuple[int, int]) -> None:
    config = TileConfig(name="pairs", taps=64, outputs=64, columns=28, plane_bits=64, activity=False)
    width = EXHAUSTIVE_BITS
    d_width = {Opcode.MUL: 2 * width, Opcode.AND: width}.get(opcode, 1)
    op = Instruction(
        opcode, a=0, a_width=width, b=width, b_width=width, d=2 * width, d_width=d_width, kind=CompareKind.LE,
        a_signed=bool(signs[0]), b_signed=bool(signs[1]), p=27,
    )  # fmt: skip
    tile = GoldenTile(config)
    cells = np.zeros((28, 4096), np.uint8)
    cells[: 2 * width] = from_numbers(np.arange(4096), 2 * width)
    tile.cells = cells
    assert run(tile, op).error is ErrorCode.NONE
    assert np.array_equal(tile.cells, expected_cells(op, cells))


@pytest.mark.parametrize("config", [ODD, ONE, TINY, CONFIGS["small"]], ids=lambda config: config.name)
def test_dot_adds_signed_products_over_the_taps(config: TileConfig) -> None:
    rng = np.random.default_rng(3)
    for seed in range(12):
        op = ProgramMaker(rng, config).random_instruction(Opcode.DOT)
        tile = GoldenTile(config, seed)
        start = int(rng.integers(-100, 100))
        outcome = run(tile, Instruction(Opcode.INIT, constant=start), op)
        rows = tile.cells.T.tolist()
        totals = [start] * config.outputs
        for row, bits in enumerate(rows):
            a = field(bits, op.a, op.a_width, op.a_signed)
            totals[row % config.outputs] += a * field(bits, op.b, op.b_width, op.b_signed)
        assert tile.totals.tolist() == totals
        assert tile.tag.tolist() == [bits[op.a] & bits[op.b] for bits in rows]
        responders = sum(
            field(bits, op.a, op.a_width).bit_count() * field(bits, op.b, op.b_width).bit_count() for bits in rows
        )
        assert outcome.counters["activity.rows_matched"] == responders


def test_dot_is_exact_at_the_widest_fill() -> None:
    config = TileConfig(name="wide", taps=2, outputs=3, columns=64, plane_bits=6, fill_bits=64, total_bits=64)
    for signed in (False, True):
        tile = GoldenTile(config)
        tile.cells = np.ones((64, 6), np.uint8)
        op = Instruction(Opcode.DOT, a=0, a_width=31, b=31, b_width=30, b_signed=signed)
        run(tile, Instruction(Opcode.INIT), op)
        assert tile.totals.tolist() == [2 * ((1 << 31) - 1) * (-1 if signed else (1 << 30) - 1)] * 3


@pytest.mark.parametrize("zeros", [0, 1, 3, 4])
@pytest.mark.parametrize("b_signed", [False, True])
def test_dot_skips_leading_zero_planes(zeros: int, b_signed: bool) -> None:
    config = ODD.replace(zero_skip=True)
    op = Instruction(Opcode.DOT, a=0, a_width=4, b=4, b_width=3, b_signed=b_signed)
    cells = GoldenTile(config, zeros).cells
    cells[4 - zeros : 4] = 0
    plain, skipping = GoldenTile(config), GoldenTile(config)
    for tile in (plain, skipping):
        tile.cells = cells
    dense = run(plain, op).counters
    sparse = run(skipping, dataclasses.replace(op, kind=DotKind.SKIP)).counters
    assert np.array_equal(plain.totals, skipping.totals)
    assert np.array_equal(plain.tag, skipping.tag)
    assert skipping.skipped_planes == [zeros]
    assert (dense["events.skipped_planes"], sparse["events.skipped_planes"]) == (0, zeros)
    assert (dense["events.compares"], sparse["events.compares"]) == (12, min(zeros + 1, 4) + 3 * (4 - zeros))
    searched = int(cells[3 - zeros].sum()) if zeros < 4 else 0
    assert sparse["activity.rows_matched"] == dense["activity.rows_matched"] + searched
    assert run(skipping).counters["events.skipped_planes"] == 0
    assert skipping.skipped_planes == []


@pytest.mark.parametrize("distance", [-4, -3, -1, 0, 1, 2, 4])
def test_move_shifts_row_blocks(distance: int) -> None:
    tile = GoldenTile(ODD)
    before = tile.cells
    run(tile, Instruction(Opcode.MOVE, a=3, a_width=5, d=40, d_width=5, constant=distance))
    after, expected = tile.cells, before.copy()
    for block in range(ODD.taps):
        rows = slice(block * ODD.outputs, (block + 1) * ODD.outputs)
        source = block - distance
        inside = 0 <= source < ODD.taps
        moved = before[3:8, source * ODD.outputs : (source + 1) * ODD.outputs] if inside else 0
        expected[40:45, rows] = moved
    assert np.array_equal(after, expected)
    assert np.array_equal(tile.tag, after[44])


@pytest.mark.parametrize("kind", ReduceKind)
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5, 7, 8, 11])
@pytest.mark.parametrize("signed", [False, True])
def test_reduce_adds_words_of_row_blocks(kind: ReduceKind, taps: int, signed: bool) -> None:
    config = TileConfig(name="tree", taps=taps, outputs=3, columns=20, plane_bits=1, vertical=True, activity=False)
    rng, tile = np.random.default_rng(taps), GoldenTile(config)
    for words, width in itertools.product(range(1, taps + 1), (1, 2, 5)):
        levels = reduce_levels(words)
        op = Instruction(
            Opcode.REDUCE, d=2, d_width=width + levels, a_width=width, kind=kind, constant=words, p=1, a_signed=signed,
        )  # fmt: skip
        cells = rng.integers(0, 2, (config.columns, config.rows), np.uint8)
        if kind == ReduceKind.SHIFT and words & (words - 1):
            cells[2 : 2 + width, 3 * words :] = 0  # the words behind the last one count too
        tile.cells = cells
        assert run(tile, op).error is ErrorCode.NONE
        numbers = [
            [field(cells[:, 3 * block + i].tolist(), 2, width, signed) for i in range(3)] for block in range(taps)
        ]
        after = tile.cells
        heads = {ReduceKind.SHIFT: 1 << 20, ReduceKind.PAIRS: 1 << 20, ReduceKind.SEGMENTS: 1 << levels}[kind]
        for first in range(0, taps, heads):
            for i in range(3):
                total = sum(numbers[block][i] for block in range(first, min(first + words, taps)))
                assert field(after[:, 3 * first + i].tolist(), 2, width + levels, signed) == total, op
        if kind == ReduceKind.SHIFT:
            assert [field(after[:, 3 * block].tolist(), 2, width + levels, signed) for block in range(taps)] == [
                sum(numbers[other][0] for other in range(block, min(block + (1 << levels), taps)))
                for block in range(taps)
            ]
        untouched = [column for column in range(20) if not 2 <= column < 2 + width + levels and column != 1]
        assert np.array_equal(after[untouched], cells[untouched])


def test_loads_put_planes_where_their_kind_says() -> None:
    rng, tile = np.random.default_rng(1), GoldenTile(ODD)
    sizes = {
        LoadKind.PLANES: ODD.rows,
        LoadKind.BLOCK: ODD.outputs,
        LoadKind.TAPS: ODD.taps,
        LoadKind.TOTAL: ODD.outputs,
    }
    planes = {kind: rng.integers(0, 2, (9, size), np.uint8) for kind, size in sizes.items()}
    tag = rng.integers(0, 2, (1, ODD.rows), np.uint8)
    before = tile.cells
    loads = [
        Instruction(Opcode.LOAD, kind=kind, d=20 * kind if kind != LoadKind.TOTAL else 0, d_width=9, constant=3)
        for kind in planes
    ]
    run(
        tile, *loads, Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1), planes=(*planes.values(), tag),
    )  # fmt: skip
    expected = before.copy()
    expected[0:9] = planes[LoadKind.PLANES]
    expected[20:29, 3 * ODD.outputs : 4 * ODD.outputs] = planes[LoadKind.BLOCK]
    expected[40:49] = np.repeat(planes[LoadKind.TAPS], ODD.outputs, axis=1)
    assert np.array_equal(tile.cells, expected)
    assert np.array_equal(tile.tag, tag[0])
    numbers = [field(column, 0, 9, signed=True) for column in planes[LoadKind.TOTAL].T.tolist()]
    assert tile.totals.tolist() == numbers


def test_stores_drain_and_restore_show_what_is_there() -> None:
    tile = GoldenTile(ODD, 5)
    rng = np.random.default_rng(5)
    tile.totals = rng.integers(-(1 << 20), 1 << 20, ODD.outputs)
    totals, cells, tag = tile.totals.tolist(), tile.cells, tile.tag
    outcome = run(
        tile,
        Instruction(Opcode.STORE, a=7, a_width=11),
        Instruction(Opcode.STORE, kind=StoreKind.BLOCK, a=7, a_width=11, constant=4),
        Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=22),
        Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1),
        Instruction(Opcode.DRAIN, d=50, d_width=22, constant=2),
        Instruction(Opcode.INIT, constant=-5),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=48),
        Instruction(Opcode.RESTORE, a=50, a_width=22, constant=2),
    )
    assert np.array_equal(outcome.planes[0], cells[7:18])
    assert np.array_equal(outcome.planes[1], cells[7:18, 4 * ODD.outputs :])
    assert [field(bits, 0, 22, signed=True) for bits in outcome.planes[2].T.tolist()] == totals
    assert np.array_equal(outcome.planes[3], [tag])
    assert [field(bits, 0, 48, signed=True) for bits in outcome.planes[4].T.tolist()] == [-5] * ODD.outputs
    assert tile.totals.tolist() == totals
    rows = tile.cells[:, 2 * ODD.outputs : 3 * ODD.outputs].T.tolist()
    assert [field(bits, 50, 22, signed=True) for bits in rows] == totals


def test_constants_are_those_of_the_instruction_word() -> None:
    tile = GoldenTile(ODD)
    for constant in (-2, (1 << 36) - 2):
        run(tile, Instruction(Opcode.FILL, d=0, d_width=40, constant=constant))
        assert tile.cells[:40, 0].tolist() == [0, *[1] * 39]


def test_init_keeps_the_low_total_bits() -> None:
    tile = GoldenTile(TINY)
    run(tile, Instruction(Opcode.INIT, constant=(1 << 40) + (1 << 31) + 5))
    assert tile.totals.tolist() == [5 - (1 << 31)] * TINY.outputs


@pytest.mark.parametrize("opcode", INSTRUCTIONS, ids=lambda opcode: Opcode(opcode).name)
@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("examples", [6, pytest.param(25, marks=pytest.mark.slow)])
def test_instruction_equals_the_naive_tile(opcode: int, passes: str, examples: int) -> None:
    rng = np.random.default_rng(opcode)
    for seed in range(examples):
        config = TileConfig(
            name="random", taps=int(rng.integers(1, 9)), outputs=int(rng.integers(1, 12)), columns=40, plane_bits=1,
            array=ARRAYS[seed % 3], passes=passes, vertical=bool(seed % 4),
        )  # fmt: skip
        golden, naive = GoldenTile(config, seed), MicroTile(config)
        op = ProgramMaker(rng, config).random_instruction(Opcode(opcode))
        clear_product(golden, op)
        naive.cells, naive.tag = golden.cells.astype(bool), golden.tag.astype(bool)
        program = Program.build([op, HALT], config)
        assert golden.run(Job(program)).counters == naive.run(Job(program)).counters, op
        assert np.array_equal(golden.cells, naive.cells), op
        if passes == "classical" or opcode not in ADDING:
            assert np.array_equal(golden.tag, naive.tag), op


@pytest.mark.parametrize("array", ["cells", "4r2w", "3r1w"])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    taps=st.integers(1, 5),
    outputs=st.integers(1, 30),
    plane_bits=st.integers(1, 150),
    port_queue=st.integers(1, 5),
)
def test_golden_equals_the_naive_tile_on_random_programs(
    array: str, seed: int, taps: int, outputs: int, plane_bits: int, port_queue: int
) -> None:
    config = TileConfig(
        name="random", taps=taps, outputs=outputs, columns=40, plane_bits=min(plane_bits, taps * outputs), array=array,
        port_queue=port_queue, fill_bits=30, total_bits=34, program_depth=64, activity=bool(seed % 4),
        passes=PASSES[seed // 4 % 3], vertical=bool(seed & 16), zero_skip=bool(seed & 32),
    )  # fmt: skip
    job = random_program(np.random.default_rng(seed), config, 30)
    golden, naive = GoldenTile(config, 1).run(job), MicroTile(config, 2).run(job)
    assert golden.error is ErrorCode.NONE
    assert golden.counters == naive.counters
    assert len(golden.planes) == len(naive.planes)
    for ours, theirs in zip(golden.planes, naive.planes, strict=True):
        assert np.array_equal(ours, theirs)


def test_random_programs_use_every_opcode_and_end_with_the_whole_state() -> None:
    rng, met = np.random.default_rng(0), set()
    for _ in range(20):
        job = random_program(rng, TINY, 60)
        met |= {instruction.opcode for instruction in job.program.instructions}
        tile = GoldenTile(TINY)
        outcome = tile.run(job)
        assert np.array_equal(outcome.planes[-3], tile.cells)
        assert np.array_equal(outcome.planes[-2], [tile.tag])
        assert np.array_equal(to_numbers(outcome.planes[-1]), tile.totals)
    assert met == {int(opcode) for opcode in OPERATIONS}


def test_state_persists_from_job_to_job_and_counters_do_not() -> None:
    tile = GoldenTile(TINY, 9)
    assert np.array_equal(tile.cells, GoldenTile(TINY, 9).cells)
    assert not np.array_equal(tile.cells, GoldenTile(TINY, 10).cells)
    first = run(tile, Instruction(Opcode.FILL, d=0, d_width=3, constant=5))
    state = tile.cells
    second = run(tile)
    assert np.array_equal(tile.cells, state)
    assert (first.cycles, second.cycles) == (5, 1)
    assert second.counters["activity.cells_written"] == 0
    tile.close()


def test_activity_counters_are_absent_where_they_are_not_counted() -> None:
    counters = run(GoldenTile(TINY.replace(activity=False))).counters
    assert "activity.rows_matched" not in counters
    assert counters["identity.config"] == TINY.replace(activity=False).hash


@pytest.mark.parametrize("passes", ["merged", "two_tags"])
def test_activity_is_that_of_classical_passes(passes: str) -> None:
    config = TINY.replace(passes=passes)
    tile = GoldenTile(config)
    counters = run(tile, Instruction(Opcode.ADD, a=0, a_width=4, b=4, b_width=4, d=8, d_width=1)).counters
    assert not [name for name in counters if name.startswith("activity.")]


def refused(instructions: list[Instruction], config: TileConfig = TINY) -> Outcome:
    tile = GoldenTile(config)
    return tile.run(Job(Program(tuple(instructions), config.hash)))


FILL = Instruction(Opcode.FILL, d=0, d_width=2)
LOOP, END = Instruction(Opcode.LOOP, constant=2), Instruction(Opcode.END)


@pytest.mark.parametrize(
    ("instructions", "code", "address", "cycles"),
    [
        ([FILL, Instruction(0x7F), HALT], ErrorCode.OPCODE, 1, 3),
        ([Instruction(Opcode.VERTICAL_COMPARE), HALT], ErrorCode.OPCODE, 0, 0),
        ([FILL, dataclasses.replace(FILL, reserved=1)], ErrorCode.RESERVED, 1, 3),
        ([dataclasses.replace(FILL, d_width=0)], ErrorCode.WIDTH, 0, 0),
        ([dataclasses.replace(FILL, d=31)], ErrorCode.COLUMN, 0, 0),
        ([dataclasses.replace(FILL, p=1, predicated=True)], ErrorCode.OVERLAP, 0, 0),
        ([Instruction(Opcode.DRAIN, d=0, d_width=1, constant=4)], ErrorCode.ROWS, 0, 0),
        ([Instruction(Opcode.DOT, a=0, a_width=11, b=11, b_width=10)], ErrorCode.FILL, 0, 0),
        ([FILL, END, HALT], ErrorCode.LOOP, 1, 3),
        ([LOOP, FILL, HALT], ErrorCode.LOOP, 2, 4),
        ([LOOP, LOOP, LOOP], ErrorCode.LOOP, 2, 2),
        ([dataclasses.replace(LOOP, constant=0)], ErrorCode.LOOP, 0, 0),
        ([FILL], ErrorCode.END, 1, 3),
        ([], ErrorCode.END, 0, 0),
        ([LOOP, FILL, END, FILL], ErrorCode.END, 4, 1 + 8 + 3),
        ([FILL, LOOP, *[Instruction(Opcode.INIT)] * 40, END, HALT], ErrorCode.LOOP_LENGTH, 33, 3 + 1 + 31),
        ([LOOP, LOOP, *[Instruction(Opcode.INIT)] * 29, END, END, HALT], ErrorCode.LOOP_LENGTH, 32, 2 + 29 + 1 + 30),
    ],
)
def test_refused_instructions(instructions: list[Instruction], code: ErrorCode, address: int, cycles: int) -> None:
    outcome = refused(instructions)
    assert (outcome.error, outcome.address, outcome.cycles) == (code, address, cycles)


def test_longest_loop_body_runs() -> None:
    program = Program.build([LOOP, *[Instruction(Opcode.INIT)] * 30, END, HALT], TINY)
    assert GoldenTile(TINY).run(Job(program)).cycles == 1 + 2 * 31 + 1


def test_counters_freeze_with_port_steps_that_were_made() -> None:
    load = Instruction(Opcode.LOAD, d=0, d_width=2)  # 8 beats
    planes = [np.zeros((2, TINY.rows), np.uint8)]
    program = Program((load, FILL, FILL, FILL, Instruction(0)), TINY.hash)
    outcome = GoldenTile(TINY).run(Job(program, planes))
    assert outcome.counters["events.port_steps"] == 3
    assert outcome.counters["events.instructions"] == 4
    assert outcome.cycles == 10


def test_another_config_is_refused() -> None:
    tile = GoldenTile(TINY)
    outcome = tile.run(Job(Program((HALT,), TINY.hash ^ 1)))
    assert (outcome.error, outcome.address, outcome.cycles) == (ErrorCode.CONFIG, 0, 0)
    assert outcome.counters["identity.config"] == TINY.hash


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize("total_bits", [30, 48, 63, 64])
def test_overflow_of_a_total_counts_the_dot_and_wraps(upwards: bool, total_bits: int) -> None:
    config = TINY.replace(total_bits=total_bits)
    tile = GoldenTile(config)
    outcome = tile.run(overflow_program(config, upwards=upwards))
    limit = 1 << (total_bits - 1)
    assert (outcome.error, outcome.address) == (ErrorCode.TOTAL, 4)
    assert outcome.counters["events.instructions"] == 5
    assert outcome.counters["events.compares"] == 2
    total = limit - 1 + config.taps if upwards else -limit - config.taps
    assert tile.totals.tolist() == [(total + limit) % (2 * limit) - limit] * config.outputs
    naive = MicroTile(config).run(overflow_program(config, upwards=upwards))
    assert naive.counters == outcome.counters
    assert (naive.error, naive.address) == (outcome.error, outcome.address)


def test_planes_that_do_not_fit_are_refused() -> None:
    load = Instruction(Opcode.LOAD, d=0, d_width=2)
    good = np.zeros((2, TINY.rows), np.uint8)
    with pytest.raises(ValueError, match=r"^planes of a LOAD must have shape \(2, 16\), not \(2, 15\)$"):
        run(GoldenTile(TINY), load, planes=(good[:, 1:],))
    with pytest.raises(ValueError, match=r"^planes of a LOAD must be 0 and 1 as uint8, not bool$"):
        run(GoldenTile(TINY), load, planes=(good.astype(bool),))
    with pytest.raises(ValueError, match=r"^a job must have as many planes as its program has LOADs, not fewer$"):
        run(GoldenTile(TINY), load)
    with pytest.raises(ValueError, match=r"^a job must have as many planes as its program has LOADs, not more$"):
        run(GoldenTile(TINY), load, planes=(good, good))
    with pytest.raises(ValueError, match=r"^cells must have shape \(32, 16\), not \(2, 16\)$"):
        GoldenTile(TINY).cells = good
    with pytest.raises(ValueError, match=r"^tag must have shape \(16,\), not \(2, 16\)$"):
        GoldenTile(TINY).tag = good


@pytest.mark.parametrize("count", [1, 7, 63, 64, 65, 130])
def test_planes_pack_and_unpack(count: int) -> None:
    rng = np.random.default_rng(count)
    bits = rng.integers(0, 2, (4, count), np.uint8)
    words = pack(bits)
    assert np.array_equal(unpack(words, count), bits)
    assert count_ones(words) == int(bits.sum())
    for first in range(0, count, 5):
        width = int(rng.integers(1, count - first + 1))
        assert np.array_equal(read_bits(words, first, width), bits[:, first : first + width])
        new = rng.integers(0, 2, (4, width), np.uint8)
        write_bits(words, first, new)
        bits[:, first : first + width] = new
        assert np.array_equal(unpack(words, count), bits)


@pytest.mark.parametrize("width", [1, 2, 33, 64])
def test_numbers_and_bits(width: int) -> None:
    limit = 1 << (width - 1)
    numbers = np.array([-limit, limit - 1, 0, -1], np.int64)
    assert np.array_equal(to_numbers(from_numbers(numbers, width)), numbers)
