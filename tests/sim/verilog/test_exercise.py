"""Programs of the test bench: legal, of everything that a tile can do, and such that every pass matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from golden.engine import Job
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import OPERATIONS, ErrorCode, violation
from hw.passes import Step, tables
from sim.verilog.exercise import exercise, forms, refusals
from sim.verilog.vectors import Run, tile_runs
from tests.micro_tile import MicroTile
from tests.rtl import FASTER, VERTICAL, differences

TINY = CONFIGS["tiny"]
SMALLEST = TileConfig(
    name="smallest", taps=1, outputs=1, columns=8, plane_bits=1, array="3r1w", program_depth=2, loop_depth=1,
    fill_bits=8, total_bits=8,
)  # fmt: skip
TILES = {config.name: config for config in (*CONFIGS.values(), *FASTER.values(), *VERTICAL.values(), SMALLEST)}


@pytest.mark.parametrize("name", TILES)
def test_every_instruction_is_in_a_program_that_is_legal(name: str) -> None:
    config = TILES[name]
    job = exercise(config, 1)
    job.program.check(config)
    used = {instruction.opcode for instruction in job.program.instructions}
    missing = {opcode.name for opcode in OPERATIONS if opcode not in used}
    assert missing <= ({"LOOP", "END", "DOT"} if config is SMALLEST else set())
    for form in forms(config):
        assert violation(form.instruction, config) is None
        assert violation(form.moved(config.columns - form.columns), config) is None
    assert GoldenTile(config).run(job).error is ErrorCode.NONE


def test_forms_differ_by_turn() -> None:
    widths = [{form.instruction.a_width for form in forms(TINY, turn)} for turn in (0, 1)]
    plain = [forms(TINY, turn)[-1].instruction for turn in (0, 1)]
    assert plain[0].a_width != plain[1].a_width
    assert min(map(len, widths)) > 3


def test_the_same_seed_makes_the_same_job() -> None:
    first, second, other = exercise(TINY, 1), exercise(TINY, 1), exercise(TINY, 2)
    assert first.program == second.program != other.program
    assert [planes.tolist() for planes in first.planes] == [planes.tolist() for planes in second.planes]


@pytest.mark.parametrize("name", refusals(TINY))
def test_refusals(name: str) -> None:
    outcome = GoldenTile(TINY).run(refusals(TINY)[name])
    assert outcome.error is not ErrorCode.NONE


def test_refusals_raise_different_errors() -> None:
    tile = GoldenTile(TINY)
    assert {tile.run(job).error for job in refusals(TINY).values()} == {
        ErrorCode.OVERLAP, ErrorCode.COLUMN, ErrorCode.OPCODE, ErrorCode.LOOP, ErrorCode.END, ErrorCode.CONFIG,
    }  # fmt: skip


def altered(table: tuple[Step, ...]) -> Iterator[tuple[int, tuple[Step, ...]]]:
    """A table with one pass of it altered in one bit, for every bit of key and write."""
    for index, step in enumerate(table):
        for part in ("compare", "write"):
            for slot, bit in getattr(step, part).items():
                other = replace(step, **{part: {**getattr(step, part), slot: 1 - bit}})
                yield index, (*table[:index], other, *table[index + 1 :])


def noticed(config: TileConfig, runs: list[Run], name: str, table: tuple[Step, ...]) -> bool:
    """Whether a tile with another table ends differently."""
    tile = MicroTile(config)
    tile.tables = {**tile.tables, name: table}
    for run in runs:
        found = differences(tile.run(Job(run.job.program, run.job.planes)), run.expected)
        if [line for line in found if not line.startswith("NONE at")]:
            return True
    return False


def runs_of(config: TileConfig) -> list[Run]:
    return [run for run in tile_runs(config) if run.expected.error is ErrorCode.NONE and not run.reset_after]


def check(config: TileConfig, every: int) -> None:
    """Every so manieth altered bit of all tables is noticed, and the tables as they are pass."""
    runs = runs_of(config)
    found = [(name, *other) for name, steps in tables(config.passes).items() for other in altered(steps)]
    assert not noticed(config, runs, "add", tables(config.passes)["add"])
    missed = [f"{name} {index}" for name, index, table in found[::every] if not noticed(config, runs, name, table)]
    assert missed == []


def test_altered_bits_of_passes_are_noticed() -> None:
    check(TINY, every=17)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["tiny", "small", "tiny-two-tags", "tiny-two-tags-2d", "tiny-merged-2d", "tiny-2d-cells"]
)
def test_every_altered_bit_of_every_pass_is_noticed(name: str) -> None:
    check(TILES[name], every=1)
