"""Passes read from waves: of every instruction, on every array, and waves that are not those of their passes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from golden.engine import Job
from hw.config import CONFIGS, TileConfig
from hw.layouts import micro_operation
from sim.assembler import assemble
from sim.commands.wave import EXAMPLES, operation_text
from sim.errors import UserError
from sim.rtl_engine import RtlEngine
from sim.tools import SIMULATORS
from sim.waves.cycles import clock_cycles
from sim.waves.passes import KINDS, MODES, Trace, Write
from sim.waves.recording import tidy
from sim.waves.replay import MOST_PASSES, ReplayError, replay, trace
from sim.waves.signals import kept_signals
from tests.rtl import FASTER, TINY, VERTICAL

TINY_CELLS = CONFIGS["tiny"]

MORE = {
    "CMP le": "CMP le a=0:4 b=4:4 d=8",
    "CMPC gt": "CMPC gt b=4:4 constant=-3 d=8 signed=b",
    "MUL signed": "CLEAR d=8:9\nMUL a=0:4 b=4:4 d=8 signed=ab p=16",
    "ADD where": "ADD a=0:3 b=4:4 d=8 where=3",
    "MOVE down": "MOVE a=0:4 d=8 blocks=-2",
    "LOOP": "LOOP 3\nADDC b=4:4 constant=1 d=8\nEND",
    "LOAD while DOT": "INIT 0\nLOAD planes d=16:8\nDOT a=0:4 b=4:4\nSYNC 0\nXOR a=16:4 b=20:4 d=8",
    "LOAD block": "LOAD block d=8:3 block=1\nLOAD tag\nSYNC 0\nFILL d=8:2 constant=1",
}
"""What the examples do not reach: other starts of a compare, row blocks, loops, planes beside passes."""

TWO_DIMENSIONS = {kind: EXAMPLES["REDUCE"].replace("shift", kind) for kind in ("pairs", "segments")}
SKIPPING = {"DOT skip": "INIT 0\nDOT skip a=0:4 b=4:4\nDRAIN d=8:12 block=0"}


def job(text: str, config: TileConfig, seed: int) -> Job:
    """Return a program on random planes in columns 0 to 7, and random planes for its other LOADs."""
    program = assemble(f"LOAD planes d=0:8\nSYNC 0\n{text}\nHALT\n", config)
    rng = np.random.default_rng(seed)
    sizes = {"planes": config.rows, "tag": config.rows, "block": config.outputs}
    loads = re.findall(r"^LOAD (\w+)(?: d=\d+:(\d+))?", f"LOAD planes d=0:8\n{text}", re.MULTILINE)
    return Job(program, [rng.integers(0, 2, (int(planes or 1), sizes[kind]), np.uint8) for kind, planes in loads])


def recorded(
    jobs: Sequence[Job], config: TileConfig, waves: Path, simulator: str = "icarus", stalls: float = 0.0
) -> list[int]:
    """Run jobs on one tile and leave its tidy waves; return their cycles."""
    with RtlEngine(config, simulator, waves=waves, stall_probability=stalls) as engine:
        cycles = [engine.run(one).cycles for one in jobs]
    tidy(waves, kept_signals())
    return cycles


@pytest.fixture(scope="module")
def addition(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job]:
    """Waves of an addition of two bits, and what ran."""
    waves = tmp_path_factory.mktemp("waves") / "a.vcd"
    one = job("ADD a=0:2 b=2:2 d=4", TINY_CELLS, seed=3)
    recorded([one], TINY_CELLS, waves)
    return waves, one


@pytest.mark.parametrize(
    "config",
    [
        TINY_CELLS,
        *(
            pytest.param(config, marks=pytest.mark.slow, id=config.name)
            for config in (*TINY.values(), *VERTICAL.values(), *FASTER.values())
        ),
    ],
    ids=lambda config: config.name,
)
def test_every_instruction(config: TileConfig, tmp_path: Path) -> None:
    """The replay compares matches and tags in every cycle, and the last cells with those of the golden tile."""
    texts = {name: operation_text(name).removeprefix("LOAD planes d=0:8\nSYNC 0\n").removesuffix("\nHALT\n")
             for name in EXAMPLES} | MORE  # fmt: skip
    texts |= TWO_DIMENSIONS if config.vertical else {}
    texts |= SKIPPING if config.zero_skip else {}
    jobs = [job(text, config, seed) for seed, text in enumerate(texts.values())]
    waves = tmp_path / "a.vcd"
    cycles = recorded(jobs, config, waves)
    traces = replay(waves, jobs, config, list(texts))
    assert [one.cycles for one in traces] == cycles
    assert [one.title for one in traces] == list(texts)
    for one in traces:
        check(one)
    # Nothing of the data model is left out.
    passes = [one for trace in traces for one in trace.passes]
    assert {one.kind for one in passes} == set(KINDS)
    assert {one.mode for one in passes} <= set(MODES)
    assert {"set", "add", "remove"} <= {one.mode for one in passes}
    assert any(one.partner_key for one in passes) == config.vertical
    assert any(one.second for one in passes) == (config.passes == "two_tags")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_tile_that_stands_still(simulator: str, tmp_path: Path) -> None:
    """Pauses of the streams move passes, and change nothing else."""
    jobs = [job(text, TINY_CELLS, seed) for seed, text in enumerate(MORE.values())]
    traces: list[list[Trace]] = []
    for stalls in (0.0, 0.4):
        waves = tmp_path / f"{stalls}.vcd"
        cycles = recorded(jobs, TINY_CELLS, waves, simulator, stalls)
        traces.append(replay(waves, jobs, TINY_CELLS, list(MORE)))
        assert [one.cycles for one in traces[-1]] == cycles
    for one, other in zip(*traces, strict=True):
        assert other.cycles > one.cycles
        for kinds in (("plane",), ("compare", "write", "shift")):  # DOTs and planes may meet in other cycles
            assert [dataclasses.replace(made, cycle=0) for made in one.passes if made.kind in kinds] == [
                dataclasses.replace(made, cycle=0) for made in other.passes if made.kind in kinds
            ]


def check(one: Trace) -> None:
    """Compare what a pass says with the cells before and after it."""
    cells = one.first_cells
    columns = {column.index for column in one.columns}
    cycle = -1
    for made in one.passes:
        assert made.cycle >= cycle
        assert made.instruction == one.instructions[made.address]
        assert {(column, row) for column, row in np.argwhere(cells != made.cells).tolist()} == set(made.changed)
        for column, bit in made.key.items():
            assert (cells[column, list(made.matched)] == bit).all()
        for write in made.writes:
            assert (made.cells[write.column, list(made.matched)] == write.value).all()
        if made.kind == "write" and not made.all_rows:
            assert tuple(np.flatnonzero(made.tag).tolist()) == made.matched
        assert {*made.key, *made.partner_key, *(write.column for write in made.writes)} <= columns
        cells, cycle = made.cells, made.cycle
    assert one.passes


def test_an_addition(addition: tuple[Path, Job]) -> None:
    waves, one = addition
    [found] = replay(waves, [one], TINY_CELLS, ["an addition"])
    assert [(column.index, column.name) for column in found.columns] == [
        (0, "a[0]"), (1, "a[1]"), (2, "b[0]"), (3, "b[1]"), (4, "carry"),
    ]  # fmt: skip
    assert np.array_equal(found.first_cells[:8], one.planes[0])
    kinds = [made.kind for made in found.passes]
    assert kinds == ["write", *["compare", "write"] * 8]
    cleared, compare, write = found.passes[0], found.passes[7], found.passes[8]
    assert cleared.all_rows
    assert cleared.writes == (Write(4, 0),)
    assert [dict(made.key) for made in found.passes[1::2]][:4] == [
        {0: 0, 2: 0, 4: 1}, {0: 0, 2: 1, 4: 1}, {0: 1, 2: 1, 4: 0}, {0: 1, 2: 0, 4: 0},
    ]  # fmt: skip
    assert write.matched == compare.matched == tuple(np.flatnonzero(compare.tag).tolist())
    assert write.writes == (Write(2, 1),)
    # A sum, in every row.
    a, b = (found.first_cells[first] + 2 * found.first_cells[first + 1].astype(int) for first in (0, 2))
    last = found.passes[-1].cells.astype(int)
    assert np.array_equal(last[2] + 2 * last[3] + 4 * last[4], a + b)
    assert found.cycles == found.passes[-1].cycle + 2  # HALT takes one more


def test_the_document_shows_the_passes_of_a_bit(addition: tuple[Path, Job]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "waves.md").read_text(encoding="utf-8")
    table = page.partition("<!-- passes -->\n")[2].partition("\n<!-- end -->")[0].splitlines()[2:]
    [found] = replay(addition[0], [addition[1]], TINY_CELLS, [""])
    names = {column.index: column.name for column in found.columns}
    for number, (line, made) in enumerate(zip(table, found.passes, strict=False), 1):
        key = " ".join(f"{names[column]}={bit}" for column, bit in made.key.items())
        written = " ".join(f"{names[write.column]}={write.value}" for write in made.writes)
        kind = "write all" if made.all_rows else made.kind
        assert [cell.strip() for cell in line.strip("|").split("|")][:4] == [str(number), kind, key, written]
    assert len(table) == 1 + 8


def test_chosen_passes(addition: tuple[Path, Job]) -> None:
    waves, one = addition
    [found] = replay(waves, [one], TINY_CELLS, [""])
    [chosen] = replay(waves, [one], TINY_CELLS, [""], range(4, 7))
    assert chosen.passes == found.passes[3:6]
    assert (found.first_number, chosen.first_number) == (1, 4)
    assert np.array_equal(chosen.first_cells, found.passes[2].cells)
    with pytest.raises(UserError, match=r"^--passes must be among the 17 passes of the run, not 18-20$"):
        replay(waves, [one], TINY_CELLS, [""], range(18, 21))


def test_too_many_passes(addition: tuple[Path, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    waves, one = addition
    monkeypatch.setattr("sim.waves.replay.MOST_PASSES", 16)
    assert MOST_PASSES > 16
    with pytest.raises(UserError, match=r"^a picture must have at most 16 passes: choose some, --passes 1-16$"):
        replay(waves, [one], TINY_CELLS, [""])


def test_waves_of_other_passes_are_refused(addition: tuple[Path, Job], tmp_path: Path) -> None:
    """A key, a match or a tag that is another: the replay says so."""
    waves, one = addition
    text = waves.read_text()
    codes = {name: code for code, name in re.findall(r"^ *\$var \w+ \d+ (\S+) (\w+)", text, re.MULTILINE)}
    changed = tmp_path / "a.vcd"
    rules = {
        "operation": r"rows that match in cycle \d+ of the run must be those of its key",
        "bus__match": r"rows that match in cycle \d+ of the run must be those of its key",
        "tag": r"register tag of the tags must be what the passes made of it, not in cycle \d+",
    }
    layout = micro_operation(TINY_CELLS)
    for name, rule in rules.items():
        lines = text.splitlines(keepends=True)
        found = [
            (at, int(line[1:].split()[0], 2)) for at, line in enumerate(lines) if line.endswith(f" {codes[name]}\n")
        ]
        if name == "operation":  # the last compare asks for another carry
            place, value = [(at, value) for at, value in found if value >> layout["compare"].offset & 1][-1]
            value ^= 1 << layout["key"].offset + 2
        else:  # where nothing is compared, all rows match
            place, value = [(at, value ^ 1) for at, value in found if value + 1 != 1 << TINY_CELLS.rows][-1]
        lines[place] = f"b{value:b} {codes[name]}\n"
        changed.write_text("".join(lines))
        with pytest.raises(ReplayError, match=f"^{rule}$"):
            replay(changed, [one], TINY_CELLS, [""])


def test_cells_that_are_not_the_golden_tiles_are_refused(addition: tuple[Path, Job]) -> None:
    waves, one = addition
    other = dataclasses.replace(one, planes=[1 - one.planes[0]])
    with pytest.raises(
        ReplayError, match=r"^the passes of x must leave the cells of the golden tile, not in columns \["
    ):
        replay(waves, [other], TINY_CELLS, ["x"])


def test_as_many_runs_as_jobs(addition: tuple[Path, Job]) -> None:
    waves, one = addition
    with pytest.raises(ReplayError, match=r"^the waves must show 2 runs, not 1$"):
        replay(waves, [one, one], TINY_CELLS, ["", ""])
    with pytest.raises(ReplayError, match=r"^the waves must show 0 runs, not more$"):
        replay(waves, [], TINY_CELLS, [])


@pytest.mark.slow
def test_trace_runs_a_job(addition: tuple[Path, Job]) -> None:
    waves, one = addition
    found = trace(one, TINY_CELLS)
    [wanted] = replay(waves, [one], TINY_CELLS, ["LOAD d=0:8"])
    assert found == wanted


def test_signals_are_those_that_small_waves_keep(addition: tuple[Path, Job]) -> None:
    """A signal that is not there reads as 0, and a replay would not notice all of them."""
    from sim.waves import read_header
    from sim.waves.replay import SIGNALS

    paths = {variable.path for variable in read_header(addition[0])}
    assert {f"tile.{name}" for name in SIGNALS} - paths == {"tile.tags.other"}
    assert len(list(clock_cycles(addition[0], SIGNALS))) > 50
