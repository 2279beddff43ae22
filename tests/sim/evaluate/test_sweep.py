from __future__ import annotations

import csv
import dataclasses
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from hw.fabric import FABRICS
from sim.errors import UserError
from sim.evaluate import sweep as sweep_module
from sim.evaluate import workers
from sim.evaluate.cost import PARTS
from sim.evaluate.energy import ENERGY_PARTS, figures
from sim.evaluate.evaluate import evaluate
from sim.evaluate.journal import Journal
from sim.evaluate.sweep import COLUMNS, Case, Source, Sweep, cost_of, csv_rows, json_rows, run_sweep, source_of
from sim.evaluate.technology import load_technology
from sim.evaluate.widths import Widths
from sim.models import data_file
from tests.evaluations import TECHNOLOGY, layer_cost, network_cost

RESNET8 = source_of("resnet8")
SRAM, RERAM = load_technology("sram"), load_technology("reram")
NO_WIDTHS = "these widths are for another network"


def sweep_of(*bits: str, **changes: Any) -> Sweep:
    """ResNet-8 on a fabric at uniform widths."""
    fields: dict[str, Any] = {
        "sources": [RESNET8],
        "configs": [FABRICS["lr"]],
        "bits": [(text, [Widths(uniform=int(text), label=text)]) for text in bits],
        "modes": ["count"],
        "batches": [1],
        "technologies": [SRAM],
    }
    return Sweep(**fields | changes)


class Counting:
    """Costs by case that are quickly made, and the cases that they were asked for."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after

    def __call__(self, case: Case) -> Any:
        if self.stop_after == len(self.asked):
            raise KeyboardInterrupt
        self.asked.append(case.bits)
        if case.bits == "7":
            return "7 bits do not fit"
        return network_cost(layer_cost(seed=int(case.bits)), layer_cost("pool", weight_bits=None), bits=case.bits)


def rows_of(sweep: Sweep, **options: Any) -> list[dict[str, Any]]:
    return run_sweep(sweep, journal=Journal(None), **options)[0]


def test_rows_are_evaluations() -> None:
    sweep = sweep_of("4", "8", modes=["count", "lut"], technologies=[SRAM, RERAM], supplies=[None, 0.9])
    rows = rows_of(sweep)
    assert len(rows) == 16
    identities = [tuple(row[name] for name in ("bits", "mode", "technology", "supply_v")) for row in rows]
    nominal = {technology.name: technology["supply"] for technology in (SRAM, RERAM)}
    assert identities == [
        (bits, mode, technology, supply_v or nominal[technology])
        for bits in ("4", "8")
        for mode in ("count", "lut")
        for technology in ("sram", "reram")
        for supply_v in (None, 0.9)
    ]
    assert all(list(row) == list(COLUMNS) for row in rows)
    config = FABRICS["lr"]
    cost = evaluate(RESNET8.network, Widths(uniform=8), config, mode="lut")
    found = figures(cost, RERAM.at(0.9))
    row = rows[-1]
    assert (row["network"], row["config"], row["config_hash"]) == ("resnet8", "lr", config.hash_text)
    assert (row["macs"], row["cycles"], row["error"]) == (cost.macs, cost.total, None)
    for name in ("latency_s", "power_w", "gops", "gops_per_w", "gops_per_w_mm2", "edp_js"):
        assert row[name] == getattr(found, name)
    assert (row["energy_pj"], row["area_mm2"]) == (found.total_pj, found.total_mm2)
    assert {part: row[f"cycles_{part}"] for part in PARTS} == cost.cycles
    assert {part: row[f"energy_{part}_pj"] for part in ENERGY_PARTS} == found.energy_pj


def test_utilisation() -> None:
    """Layers with dot products count by how many the rows could do: 0.625 everywhere here."""
    (row,) = rows_of(sweep_of("8"), cost=Counting())
    assert row["utilisation"] == pytest.approx(0.625)
    (row,) = rows_of(sweep_of("8"), cost=lambda _: network_cost(layer_cost("pool", weight_bits=None)))
    assert row["utilisation"] is None


def test_mean_widths() -> None:
    def cost(_: Case) -> Any:
        wide = dataclasses.replace(layer_cost(weight_bits=8), macs=30, activation_bits=6)
        narrow = dataclasses.replace(layer_cost(weight_bits=4), macs=10, activation_bits=2)
        return network_cost(wide, narrow, layer_cost("pool", weight_bits=None))

    (row,) = rows_of(sweep_of("8"), cost=cost)
    assert (row["weight_bits"], row["activation_bits"]) == (7, 5)
    (row,) = rows_of(sweep_of("8"), cost=lambda _: network_cost(layer_cost("pool", weight_bits=None)))
    assert row["weight_bits"] is row["activation_bits"] is None


def test_cases_are_evaluated_once_for_all_technologies() -> None:
    cost = Counting()
    sweep = sweep_of(
        "1", "2", technologies=[SRAM, RERAM], supplies=[0.9, 1.0], constants=[{"write_cell": 1.0}, {"write_cell": 2.0}]
    )
    rows = rows_of(sweep, cost=cost)
    assert (len(rows), cost.asked) == (16, ["1", "2"])
    assert [row["constants"] for row in rows[:2]] == ["write_cell=1.0", "write_cell=2.0"]
    assert 2 * rows[0]["energy_write_pj"] > rows[1]["energy_write_pj"] > rows[0]["energy_write_pj"]
    assert rows[0]["energy_compare_pj"] == rows[1]["energy_compare_pj"]


def test_refused_points_are_rows() -> None:
    sweep = sweep_of(
        "7",
        "8",
        sources=[RESNET8, Source(RESNET8.network, "another")],
        bits=[("7", [Widths(uniform=7)] * 2), ("hawq", [Widths(uniform=8, label="9"), NO_WIDTHS])],
        supplies=[None, 9.0],
    )
    rows = rows_of(
        sweep,
        cost=lambda case: (
            case.widths
            if isinstance(case.widths, str)
            else Counting()(dataclasses.replace(case, bits=str(case.widths.uniform)))
        ),
    )
    supply = f"supply of technology sram must be from {SRAM['minimum_supply']:g} to {SRAM['maximum_supply']:g} V, not 9"
    fits_not = "7 bits do not fit"
    assert [row["error"] for row in rows] == [fits_not] * 2 + [None, supply] + [fits_not] * 2 + [NO_WIDTHS] * 2
    assert [row["bits"] for row in rows] == ["7", "7", "hawq", "hawq"] * 2
    assert rows[0]["cycles"] is rows[3]["energy_pj"] is None
    assert cost_of(sweep.cases()[-1]) == NO_WIDTHS


def test_default_widths_have_their_own_label() -> None:
    (case,) = sweep_of(bits=[("", [Widths(label="own")])]).cases()
    assert case.bits == "own"


def test_errors_of_evaluations() -> None:
    (case,) = sweep_of("8", modes=["constant"]).cases()
    assert str(cost_of(case)).startswith("--mode must be one of count, lut, auto on fabric lr, not 'constant'")


def test_evaluators_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.evaluate import evaluate as evaluate_module

    made: list[tuple[str, int]] = []

    def evaluator(_network: Any, config: Any, *, batch: int, **_: Any) -> Any:
        made.append((config.name, batch))
        return type("Fake", (), {"cost": lambda _, widths: (config.name, batch, widths.label)})()

    monkeypatch.setattr(evaluate_module, "evaluator", evaluator)
    monkeypatch.setattr(sweep_module, "_EVALUATORS", {})
    monkeypatch.setattr(sweep_module, "EVALUATORS", 2)
    sweep = sweep_of("1", "2", configs=[FABRICS["lr"], FABRICS["ir"]], batches=[1, 2])
    found = [cost_of(case) for case in sweep.cases()]
    assert found == [(name, batch, bits) for name in ("lr", "ir") for bits in "12" for batch in (1, 2)]
    assert made == [("lr", 1), ("lr", 2), ("ir", 1), ("ir", 2)]
    assert cost_of(sweep.cases()[0]) == ("lr", 1, "1")
    assert len(made) == 5


# ---- resuming


def test_resumes_after_an_interruption(tmp_path: Path) -> None:
    bits = [str(number) for number in range(1, 17)]
    random.Random(1).shuffle(bits)
    sweep = sweep_of(*bits, technologies=[SRAM, RERAM])
    whole = rows_of(sweep, cost=Counting())
    path = tmp_path / "journal"
    interrupted = Counting(stop_after=6)
    with pytest.raises(KeyboardInterrupt), Journal(path) as journal:
        run_sweep(sweep, journal=journal, cost=interrupted)
    assert interrupted.asked == bits[:6]
    again = Counting()
    with Journal(path) as journal:
        rows, known = run_sweep(sweep, journal=journal, cost=again)
    assert (again.asked, known, rows) == (bits[6:], 12, whole)
    with Journal(path) as journal:
        assert run_sweep(sweep, journal=journal, cost=Counting(stop_after=0)) == (whole, 32)
    with Journal(path, fresh=True) as journal:
        cost = Counting()
        assert run_sweep(sweep, journal=journal, cost=cost) == (whole, 0)
        assert cost.asked == bits


def test_half_a_case_is_priced_again(tmp_path: Path) -> None:
    """A line of the second technology is missing: the case is evaluated, the first technology is not written again."""
    path = tmp_path / "journal"
    sweep = sweep_of("3", technologies=[SRAM, RERAM])
    with Journal(path) as journal:
        whole = run_sweep(sweep, journal=journal, cost=Counting())[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20])
    with Journal(path) as journal:
        assert run_sweep(sweep, journal=journal, cost=Counting()) == (whole, 1)
    assert path.read_bytes() == lines[0] + lines[1][:20] + b"\n" + lines[1]


CHANGES: dict[str, dict[str, Any]] = {
    "widths of the same name": {"bits": [("8", [Widths(uniform=4, label="8")])]},
    "name of the widths": {"bits": [("16", [Widths(uniform=8, label="8")])]},
    "network's file": {"sources": [Source(RESNET8.network, "another file")]},
    "network's name": {"sources": [Source(source_of("alexnet").network, "resnet8")]},
    "sizes of the machine": {"configs": [FABRICS["lr"].replace(height=4)]},
    "name of the machine": {"configs": [FABRICS["lr"].replace(name="other")]},
    "mode": {"modes": ["lut"]},
    "batch": {"batches": [2]},
    "constant of the same technology": {"technologies": [SRAM.with_constants(write_cell=7.0)]},
    "given constant": {"constants": [{"write_cell": 7.0}]},
    "supply": {"supplies": [0.9]},
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_results_are_found_by_content(change: str, tmp_path: Path) -> None:
    def known(sweep: Sweep) -> int:
        with Journal(tmp_path / "journal") as journal:
            return run_sweep(sweep, journal=journal, cost=Counting())[1]

    assert [known(sweep_of("8")), known(sweep_of("8"))] == [0, 1]
    changed = dataclasses.replace(sweep_of("8"), **CHANGES[change])
    assert [known(changed), known(changed), known(sweep_of("8"))] == [0, 1, 1]


def test_results_are_found_by_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sources, expected in (("one", 0), ("one", 1), ("two", 0), ("one", 1)):
        monkeypatch.setattr(sweep_module, "source_hash", lambda sources=sources: sources)
        with Journal(tmp_path / "journal") as journal:
            assert run_sweep(sweep_of("8"), journal=journal, cost=Counting())[1] == expected


# ---- workers


@pytest.fixture
def cluster() -> Iterator[str]:
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    local: Any = LocalCluster(**options)
    with local:
        yield local.scheduler_address


def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch, cluster: str) -> None:
    sweep = sweep_of("2", "8", "5", "1", configs=[FABRICS["lr"], FABRICS["lr-streamed"]], technologies=[SRAM, RERAM])
    here = rows_of(sweep)
    assert len({row["cycles"] for row in here}) == 8
    assert rows_of(sweep, cluster=cluster) == here
    monkeypatch.setattr(workers, "_worth_processes", lambda _, total, left: left < total)
    assert rows_of(sweep, jobs=2) == here


def test_what_differs_in_widths_only_goes_together() -> None:
    cases: list[tuple[str, int]] = []

    def cost(case: Case) -> Any:
        cases.append((case.bits, case.batch))
        return Counting()(case)

    rows = rows_of(sweep_of("1", "2", batches=[1, 2]), cost=cost)
    assert cases == [("1", 1), ("2", 1), ("1", 2), ("2", 2)]
    assert [(row["bits"], row["batch"]) for row in rows] == [("1", 1), ("1", 2), ("2", 1), ("2", 2)]


def test_progress() -> None:
    steps: list[str] = []
    rows_of(sweep_of("1", "2"), cost=Counting(), advance=steps.append)
    assert steps == ["started", "resnet8 lr 1", "resnet8 lr 2"]


# ---- output


def test_csv_and_json_hold_the_rows() -> None:
    sweep = sweep_of("7", "8")
    rows = rows_of(sweep, cost=Counting())
    table = list(csv.reader(io.StringIO(csv_rows(rows))))
    assert table[0] == list(COLUMNS)
    assert table[1:] == [["" if value is None else str(value) for value in row.values()] for row in rows]
    content = json.loads(json_rows(rows, sweep.assumptions))
    assert content["points"] == rows
    assert content["columns"] == COLUMNS
    assert content["schema"] == sweep_module.SCHEMA
    assert content["assumptions"] == {"lr": list(FABRICS["lr"].notes), "sram": list(SRAM.assumptions)}
    assert sweep_of(technologies=[TECHNOLOGY]).assumptions["paper"] == list(TECHNOLOGY.assumptions)


def test_sources(tmp_path: Path) -> None:
    assert (RESNET8.content, RESNET8.network.name) == ("resnet8", "resnet8")
    file = tmp_path / "net.tflite"
    file.write_bytes(data_file("resnet8_int8.tflite").read_bytes())
    source = source_of(str(file))
    assert len(source.content) == 64
    assert source.network.name == "net"
    with pytest.raises(UserError, match=r"^network must be one of .*, not 'resnet9'; the nearest is 'resnet8'$"):
        source_of("resnet9")
