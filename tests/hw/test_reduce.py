"""REDUCE: sums of 2 to 4,096 words in its three forms, and how their time grows with the number of words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.engine import Bits, Job
from golden.laws import body_cycles, run_law
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, Program, ReduceKind, reduce_levels
from tests.programs import laid_out
from tests.rtl import EnginePool

Words = NDArray[np.int64]
HALT = Instruction(Opcode.HALT)
WORDS = (2, 3, 4, 5, 7, 8, 9, 31, 100, 1000, 2047, 2048, 2049, 4095, 4096)
WIDTHS = (1, 2, 7, 8, 16, 24)
GREATEST = TileConfig(
    name="4096-words", taps=4096, outputs=1, columns=40, plane_bits=4096, activity=False, vertical=True
)
CUT_SHORT = GREATEST.replace(name="777-words", taps=777, outputs=3, plane_bits=2331)
"""Taps that no number of words divides, so that the last segment is cut short."""
SIXTY_FOUR = TileConfig(
    name="64-words", taps=64, outputs=2, columns=40, plane_bits=128, activity=False, vertical=True
)  # fmt: skip


def reduction(kind: ReduceKind, width: int, words: int, *, signed: bool) -> Instruction:
    return laid_out(Instruction(Opcode.REDUCE, kind=kind, constant=words, a_signed=signed), width, 0)


def random_words(rng: np.random.Generator, width: int, config: TileConfig, *, signed: bool) -> Words:
    """A word for each row block and output; sometimes all are the greatest or the least, or of one kind."""
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    shape = (config.taps, config.outputs)
    choices = [np.full(shape, low), np.full(shape, high), *[rng.integers(low, high + 1, shape)] * 3]
    return np.asarray(choices[int(rng.integers(len(choices)))], np.int64)


def cells_of(words: Words, rng: np.random.Generator, width: int, config: TileConfig) -> Bits:
    """The words from column 0 on, and random bits in the other columns."""
    cells = rng.integers(0, 2, (config.columns, config.rows), np.uint8)
    cells[:width] = np.reshape(words, -1) >> np.arange(width)[:, None] & 1
    return cells


def sums_of(cells: Bits, width: int, config: TileConfig, *, signed: bool) -> Words:
    """Numbers in the first columns by row block and output."""
    weights = 1 << np.arange(width, dtype=np.int64)
    weights[-1] *= -1 if signed else 1
    return np.reshape(weights @ cells[:width].astype(np.int64), (config.taps, config.outputs))


def totals(words: Words, first: int, count: int) -> Words:
    """Sums of so many words from a row block on; those beyond the last are 0."""
    return words[first : first + count].sum(axis=0)


def promised_blocks(op: Instruction, taps: int) -> Iterator[tuple[int, int]]:
    """Row blocks that end with a sum, and of how many words from there on."""
    spread = 1 << reduce_levels(op.constant)
    if op.kind == ReduceKind.SHIFT:
        yield from ((block, spread) for block in range(taps))
    elif op.kind == ReduceKind.SEGMENTS:
        yield from ((block, op.constant) for block in range(0, taps, spread))
    else:
        yield 0, op.constant


def check(op: Instruction, words: Words, cells: Bits, config: TileConfig) -> None:
    sums = sums_of(cells, op.d_width, config, signed=op.a_signed)
    blocks = list(promised_blocks(op, config.taps))
    for block, count in blocks if len(blocks) < 100 else (*blocks[:30], *blocks[-30:]):
        assert np.array_equal(sums[block], totals(words, block, count)), (op, block)


def run_on_golden(op: Instruction, words: Words, rng: np.random.Generator, config: TileConfig) -> None:
    tile = GoldenTile(config)
    tile.cells = cells_of(words, rng, op.a_width, config)
    tile.run(Job(Program.build([op, HALT], config)))
    check(op, words, tile.cells, config)


@pytest.mark.parametrize("config", [GREATEST, CUT_SHORT], ids=lambda config: config.name)
@pytest.mark.parametrize("kind", ReduceKind, ids=lambda kind: kind.name)
def test_sums_of_many_words(kind: ReduceKind, config: TileConfig) -> None:
    rng = np.random.default_rng(11)
    for words, width, signed in itertools.product(WORDS, WIDTHS, (False, True)):
        if words <= config.taps:
            operands = random_words(rng, width, config, signed=signed)
            run_on_golden(reduction(kind, width, words, signed=signed), operands, rng, config)


@pytest.mark.parametrize("kind", ReduceKind, ids=lambda kind: kind.name)
def test_sums_of_few_words_by_exhaustion(kind: ReduceKind) -> None:
    """Every state of two to five words of two bits, or of one bit and its sign."""
    for words, signed in itertools.product(range(2, 6), (False, True)):
        config = TileConfig(
            name="few", taps=words, outputs=4**words, columns=8, plane_bits=1, activity=False, vertical=True
        )
        states = np.arange(config.outputs) >> 2 * np.arange(words)[:, None] & 3
        operands = np.where(states > 1, states - 4, states) if signed else states
        run_on_golden(reduction(kind, 2, words, signed=signed), operands, np.random.default_rng(words), config)


@pytest.mark.parametrize("kind", ReduceKind, ids=lambda kind: kind.name)
def test_shifted_sums_are_whole_where_further_words_are_zero(kind: ReduceKind) -> None:
    rng = np.random.default_rng(12)
    for count in (3, 6, 13, 100):
        operands = random_words(rng, 9, GREATEST, signed=True)
        operands[count:] = 0
        tile = GoldenTile(GREATEST)
        op = reduction(kind, 9, count, signed=True)
        tile.cells = cells_of(operands, rng, 9, GREATEST)
        tile.run(Job(Program.build([op, HALT], GREATEST)))
        sums = sums_of(tile.cells, op.d_width, GREATEST, signed=True)
        assert np.array_equal(sums[0], totals(operands, 0, count))


@pytest.mark.slow
def test_sums_on_the_verilog(pool: EnginePool) -> None:
    config, rng = SIXTY_FOUR, np.random.default_rng(13)
    engine = pool.get(config, "verilator")
    for words, kind in itertools.product((2, 3, 5, 8, 11, 33, 63, 64), ReduceKind):
        ops = [reduction(kind, width, words, signed=signed) for width in (1, 5, 24) for signed in (False, True)]
        operands = [random_words(rng, op.a_width, config, signed=op.a_signed) for op in ops]
        instructions: list[Instruction] = []
        for op in ops:
            instructions += [
                Instruction(Opcode.LOAD, d=0, d_width=config.columns),
                Instruction(Opcode.SYNC),
                op,
                Instruction(Opcode.STORE, a=0, a_width=config.columns),
            ]
        program = Program.build([*instructions, HALT], config)
        planes = [cells_of(word, rng, op.a_width, config) for op, word in zip(ops, operands, strict=True)]
        outcome = engine.run(Job(program, planes))
        law = run_law(program, config)
        assert outcome.counters["cycles.reduce"] == law["cycles.reduce"]
        assert outcome.cycles == sum(value for name, value in law.items() if name.startswith("cycles."))
        for op, word, stored in zip(ops, operands, outcome.planes, strict=True):
            check(op, word, np.asarray(stored), config)


def growth(kind: ReduceKind, width: int = 8) -> list[int]:
    """Cycles for 2, 4, ... 4,096 words."""
    return [body_cycles(reduction(kind, width, 2**levels, signed=False), GREATEST) for levels in range(1, 13)]


def test_segments_take_logarithmic_time() -> None:
    cycles = growth(ReduceKind.SEGMENTS)
    assert cycles == [sum(1 + 8 * (8 + level) for level in range(levels)) for levels in range(1, 13)]
    steps = np.diff(cycles)
    assert np.array_equal(np.diff(steps), [8] * 10), "each doubling costs an addition, whose width has grown by one bit"
    assert body_cycles(reduction(ReduceKind.SEGMENTS, 8, 4096, signed=False), GREATEST) < 12 * (1 + 8 * (8 + 11)) + 1


def test_pairs_and_shifts_take_linear_time() -> None:
    for kind in (ReduceKind.PAIRS, ReduceKind.SHIFT):
        cycles = growth(kind)
        ratios = [later / earlier for earlier, later in itertools.pairwise(cycles)]
        assert all(1.6 < ratio < 2.5 for ratio in ratios[-4:]), kind
        assert cycles[-1] > 20 * growth(ReduceKind.SEGMENTS)[-1]
