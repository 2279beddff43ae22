"""The test bench of a tile in Icarus: passes on the Verilog as it is, and fails when something of it is altered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hw.config import CONFIGS
from hw.counter_map import COUNTERS, counter_index
from hw.passes import tables
from sim.verilog.exercise import exercise
from sim.verilog.vectors import RUN_WORDS, tile_runs
from sim.verilog_cache import cached_tile_verilog
from tests.faults import Fault, FaultNotSeeded, seed, step_bit
from tests.rtl import COMPACT, FASTER, VERTICAL
from tests.sim.verilog.benches import STEM, few_runs, prepare, simulate, write

TINY = CONFIGS["tiny"]
TILES = {config.name: config for config in (*FASTER.values(), *VERTICAL.values(), *COMPACT.values())}
STEPS = "sequencer.steps"


def edited(name: str, place: int, folder: Path, value: str) -> None:
    """Replace a number of a vector file."""
    file = folder / f"{STEM}_tb_{name}.hex"
    lines = file.read_text().splitlines()
    numbers = [line for line, text in enumerate(lines) if not text.startswith("//")]
    lines[numbers[place]] = value
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "name",
    [pytest.param("tiny", marks=pytest.mark.slow), "small", *(pytest.param(n, marks=pytest.mark.slow) for n in TILES)],
)
def test_passes(name: str, tmp_path: Path) -> None:
    config = {**CONFIGS, **TILES}[name]
    runs = tile_runs(config)
    prepare(tmp_path, config, runs)
    status, lines = simulate(tmp_path)
    assert status == 0
    assert re.fullmatch(rf"PASS: tile, config {name}, {len(runs)} runs, \d+ checks", lines[-1]), lines
    assert len(lines) == len(runs) + 1


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny tile with few runs."""
    folder = tmp_path_factory.mktemp("bench")
    prepare(folder, TINY, few_runs(TINY, exercise(TINY, 3, every=45)))
    return folder


@pytest.fixture
def bench(compiled: Path, tmp_path: Path) -> Path:
    """The same, whose vectors may be changed."""
    write(tmp_path, {file.name: file.read_text() for file in compiled.glob("*.hex")})
    (tmp_path / "bench.vvp").write_bytes((compiled / "bench.vvp").read_bytes())
    return tmp_path


def test_passes_with_few_runs_from_elsewhere(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    status, lines = simulate(bench, f"+vectors={bench}", cwd=elsewhere)
    assert (status, lines[-1][:29]) == (0, "PASS: tile, config tiny, 5 ru")
    assert lines[:-1][-5:] == [
        "run 0: few: ended", "run 1: reset: reset", "run 2: stalls: ended", "run 3: refused: ended",
        "run 4: again: ended",
    ]  # fmt: skip


def test_waves(bench: Path) -> None:
    edited("out", 0, bench, "1")
    assert simulate(bench, "+waves=w.vcd")[0] == 1
    assert "$var" in (bench / "w.vcd").read_text()


def test_says_that_there_are_no_vectors(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    status, lines = simulate(bench, cwd=tmp_path_factory.mktemp("empty"))
    assert status == 1
    assert "the files x_tb_*.hex must be in folder . and of this config; see +vectors" in lines
    assert lines[-1].startswith("FAIL: tile, config tiny, 1 of 0 checks")


def test_vectors_of_another_config_are_refused(bench: Path) -> None:
    edited("runs", 0, bench, "123")
    assert simulate(bench)[0] == 1


@pytest.mark.parametrize(
    ("file", "place", "value", "said"),
    [
        ("out", 3, "1ff", "run 0, cycle .*: a beat of plane_out differs"),
        ("in", 2, "7ff", "run 0, cycle .*: plane_in_kind differs"),
        ("runs", 1 + RUN_WORDS.index("cycles"), "1", "run 0: the time of the run is .*, not 1"),
        ("runs", 1 + RUN_WORDS.index("error"), "4", "run 0: error is 0, not 4"),
        ("runs", 1 + RUN_WORDS.index("limit"), "3c", "run 0, cycle .*: the end, which does not come, differs"),
        ("runs", 1 + RUN_WORDS.index("events.writes"), "1", "run 0: a counter is .*, not 1"),
        ("runs", 1 + 3 * len(RUN_WORDS) + RUN_WORDS.index("error address"), "1", "run 3: error_address is 0, not 1"),
    ],
)
def test_fails_where_something_else_is_expected(bench: Path, file: str, place: int, value: str, said: str) -> None:
    edited(file, place, bench, value)
    status, lines = simulate(bench)
    assert status == 1
    assert re.fullmatch(said, next(line for line in lines if not re.search(": (ended|reset|failed)$", line))), lines
    assert re.search(": failed$", lines[-2])
    assert lines[-1].startswith("FAIL: tile, config tiny, ")


def altered(table: str, index: int, verilog: str) -> str:
    """The Verilog with the first bit flipped that the pass has."""
    step = tables(TINY.passes)[table][index]
    output, row = ("key", step.compare) if step.compare else ("write_key", step.write)
    slot = next(iter(row))
    bit = "y" if slot == "r" else slot
    return seed(verilog, Fault(STEPS, step_bit(table, index, output, bit), ""))


@pytest.mark.parametrize(("table", "index"), [("copy", 0), ("and_in_place", 1)])
def test_fails_when_a_pass_is_altered(table: str, index: int, tmp_path: Path) -> None:
    runs = tile_runs(TINY)[:1]
    prepare(tmp_path, TINY, runs, altered(table, index, cached_tile_verilog(TINY)))
    status, lines = simulate(tmp_path)
    assert status == 1
    assert lines[-1].startswith("FAIL: ")


@pytest.mark.slow
def test_fails_when_any_pass_is_altered(tmp_path: Path) -> None:
    """One bit of each pass; a key that no row can match in its place is left to tests of the exercise."""
    verilog, runs = cached_tile_verilog(TINY), tile_runs(TINY)
    missed: list[str] = []
    for table, steps in tables(TINY.passes).items():
        for index in range(len(steps)):
            try:
                prepare(tmp_path, TINY, runs, altered(table, index, verilog))
            except FaultNotSeeded as error:
                missed.append(str(error))
                continue
            if simulate(tmp_path)[0] != 1:
                missed.append(f"{table} {index}")
    assert missed == []


def test_stalls_are_those_of_the_bench() -> None:
    assert RUN_WORDS.index("cycles.load") + counter_index("cycles.stall") == RUN_WORDS.index("cycles.stall")
    assert len(RUN_WORDS) == 10 + len(COUNTERS)
