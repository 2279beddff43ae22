"""The benchmark compares like with like, and its tables say what was measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from golden.engine import Job, Outcome
from golden.graph import Graph
from golden.laws import LawEngine
from golden.tile import GoldenTile
from hw.config import CONFIGS
from hw.isa import Opcode
from sim.models import load_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = CONFIGS["cap"]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench", ROOT / "scripts" / "bench.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def works(bench: ModuleType, graph: Graph) -> tuple[Any, Any]:
    """The whole work and the short one."""
    _, maps = bench.picture_maps(graph)
    return bench.dot_work(graph, maps, CONFIG), bench.dot_work(graph, maps, CONFIG, short=True)


def test_work_is_all_dots_with_their_loads_and_drains(works: tuple[Any, Any]) -> None:
    whole, short = works
    assert whole.macs == 32 * 32 * 16 * 3 * 3 * 16
    assert short.macs == 2 * 64 * 3 * 3 * 16
    for work in works:
        for job, expected in zip(work.jobs, work.expected, strict=True):
            opcodes = {instruction.opcode for instruction in job.program.instructions}
            assert {Opcode.LOAD, Opcode.DOT, Opcode.DRAIN, Opcode.STORE} <= opcodes
            assert expected.counters == LawEngine(CONFIG).run(Job(job.program)).counters
            assert expected.counters["cycles.requantize"] == 0
    # 64 pairs of bits of each DOT, two DOTs for 144 taps.
    assert short.expected[0].counters["events.compares"] == 2 * 2 * 64
    assert whole.row_compares == 4800 * 4 * 64 * 2 * 64


def test_drained_sums_do_not_depend_on_what_the_tile_began_with(bench: ModuleType, works: tuple[Any, Any]) -> None:
    _, short = works
    again = [GoldenTile(CONFIG, seed=9).run(job) for job in short.jobs]
    rows = bench.drained_rows(short.jobs[0].program, CONFIG)
    assert len(rows) == 2 * CONFIG.outputs
    assert bench.same_planes(again[0].planes, short.expected[0].planes, rows)
    assert not np.array_equal(again[0].planes[0], short.expected[0].planes[0])


class Wrong(GoldenTile):
    """A simulator with a counter, or a stored bit, that is not right."""

    def __init__(self, what: str) -> None:
        super().__init__(CONFIG)
        self.what = what

    def run(self, job: Job) -> Outcome:
        found = super().run(job)
        if self.what == "counters":
            found.counters["cycles.load"] += 1
        else:
            found.planes[0][3, 70] ^= 1
        return found


@pytest.mark.parametrize(("what", "text"), [("counters", "counters {"), ("sums", "stored sums differ")])
def test_a_wrong_simulator_ends_it(bench: ModuleType, works: tuple[Any, Any], what: str, text: str) -> None:
    bench.check("golden", GoldenTile(CONFIG, seed=5), works[1])
    with pytest.raises(bench.WrongResultError, match=f"^some: {text}"):
        bench.check("some", Wrong(what), works[1])


def test_rates_and_ratios(bench: ModuleType, works: tuple[Any, Any]) -> None:
    whole, _ = works
    measured = bench.Measured("some", whole, [100.0, 400.0, 200.0], [7.0])
    row = measured.as_dict([2.0, 8.0, 3.0])
    assert row["cycles_per_s"] == {"median": 200.0, "best": 400.0}
    assert row["row_compares_per_s"]["median"] == 200.0 * whole.row_compares / whole.cycles
    assert row["macs_per_s"]["best"] == 400.0 * whole.macs / whole.cycles
    assert row["ratio"] == 3.0
    assert measured.as_dict(processor=True)["cycles_per_s"]["median"] == 7.0
    headings, (cells,) = (table := bench.speed_table([row])).headings, table.rows
    assert len(headings) == len(cells)
    assert cells[:4] == ("some", f"{whole.cycles:,}", "200", "400")
    assert cells[-1] == "3.00 x"


def test_marks_are_judged_by_medians(bench: ModuleType) -> None:
    fast = {"what": bench.TURBO, "row_compares_per_s": {"median": 3.9e9, "best": 9e9}}
    slow = {"what": bench.COCOTB, "ratio": 5.0}
    assert [mark["reached"] for mark in bench.marks({"speeds": [fast, slow]})] == [False, True]
    assert [mark["reached"] for mark in bench.marks({"speeds": [fast]})] == [False]


def test_a_command_is_measured_without_this_process(bench: ModuleType) -> None:
    ballast = b"x" * (400 << 20)
    seconds, peak = bench.command(["--version"])
    assert seconds > 0.0
    assert peak < len(ballast) / 2 / bench.MEBIBYTE
    with pytest.raises(bench.WrongResultError, match=r"^bfimna info --no failed: bfimna: error: "):
        bench.command(["info", "--no"])


def test_a_file_that_cannot_be_written(bench: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--json", str(tmp_path / "no" / "file")]) == 2
    assert capfd.readouterr().err.startswith(f"bench: error: --json file {tmp_path}/no/file cannot be written")


@pytest.mark.slow
def test_the_command(bench: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bench.json"
    assert bench.main(["--quick", "--turbo-only", "--markdown", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert [row["what"] for row in found["speeds"]] == [bench.TURBO, bench.PROCESSOR]
    shares = [found["resnet8"][name] for name in ("simulation", "data_movement", "checking")]
    assert sum(shares) == pytest.approx(1.0, abs=0.5)  # medians of rounds
    out = capfd.readouterr().out
    assert out.startswith("`python scripts/bench.py --quick --turbo-only` on ")
    assert out.count("\n| --- |") == 5
