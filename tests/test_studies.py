"""Studies: each runs and says what it rests on, generated tables are fresh, others' figures keep their sources."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.studies.command import generated, main, replaced
from scripts.studies.comparison import comparison, peers
from scripts.studies.hawq_v3 import CONFIGURATIONS
from scripts.studies.peak import RECALLED, peak
from scripts.studies.studies import README_TABLES, STUDIES
from scripts.studies.table import Column, Table
from sim.errors import UserError
from sim.evaluate.evaluate import evaluate, load_machine
from sim.evaluate.widths import parse_widths
from sim.networks.load import load_network

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "scripts" / "studies"
MANY = ("precision-ir", "technologies", "supply", "batch", "search")
"""Studies that take seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in MANY else []) for name in STUDIES]
)
def test_study(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs by its command, every row is a row of the JSON, and it cites somebody."""
    file = tmp_path / "found.json"
    assert main([name, "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["study"] == name
    assert "arXiv" in found["citation"]
    assert found["rows"]
    assert found["command"] == f"python scripts/studies/run.py {name}"
    out = capsys.readouterr().out
    assert sum(line.startswith("| ") for line in out.splitlines()) == len(found["rows"]) + 2
    assert all(f"- {note}\n" in out for note in found["notes"])


def test_generated_tables_are_fresh() -> None:
    for page, text in generated().items():
        assert page.read_text(encoding="utf-8") == text, f"{page.name}: run python scripts/studies/run.py --update"


def test_precision_is_what_evaluate_says() -> None:
    found = STUDIES["precision-lr"].run().records()
    chosen = next(row for row in found if (row["network"], row["bits"]) == ("resnet50", "8"))
    network = load_network("resnet50")
    assert chosen["cycles"] == evaluate(network, parse_widths("8", network), load_machine("lr")).total
    assert {row["network"] for row in found} == {"alexnet", "vgg16", "resnet50"}
    for name in ("alexnet", "vgg16", "resnet50"):
        fixed = [row["latency_ms"] for row in found if row["network"] == name and row["bits"] in set("2345678")]
        times = [time for time in fixed if isinstance(time, float)]
        assert times == sorted(times)
        assert len(times) == 7


def test_recalled_figures_are_marked() -> None:
    """They stand in one study, in a column and under a note that say what they are, and nowhere else."""
    table = peak()
    assert [cell for cell in table.column("recalled_unverified_gops") if cell] == list(RECALLED.values())
    assert "recalled, unverified GOPS" in table.markdown()
    assert any(note.startswith("recalled, unverified: ") for note in table.notes)
    pages = [ROOT / "README.md", FOLDER / "README.md", *(ROOT / "docs").glob("*.md"), FOLDER / "peers.json"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not any(number in text for value in RECALLED.values() for number in (str(value), f"{value:,}")), page
    assert not any(row["name"].startswith("BF-IMNA") for row in peers())


def test_peak_is_the_law_of_a_dot() -> None:
    rows = {row["bits"]: row for row in peak().records()}
    assert {bits: row["cycles"] for bits, row in rows.items()} == {1: 3, 2: 6, 4: 18, 8: 66, 16: 4 * 66}
    assert rows[8]["gops"] == pytest.approx(2 * 64 * 64 * 4800 / 66)


def test_others_have_sources() -> None:
    for row in peers():
        assert row["reading"] in ("stated", "quoted", "derived")
        assert row["reading"] != "derived" or row["note"]
        assert row["operations_per_mac"] in (None, 1, 2)
        assert row["what"].startswith(("peak", "achieved", "macro", "not said"))
        assert any(mark in row["source"] for mark in ("doi ", "arXiv:", "github.com/", "ISSCC", "data sheet"))
        assert any(row[name] is not None for name in ("gops", "gops_per_w", "gops_per_mm2"))
    shown = comparison().records()
    assert shown[-len(peers()) :] == [{name: row[name] for name in shown[0]} for row in peers()]
    assert {row["reading"] for row in shown[: -len(peers())]} == {"by the laws"}


def test_tables_for_the_readme() -> None:
    assert list(README_TABLES) == ["studies", "hawq"]
    lines = README_TABLES["studies"]().splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        [f"| {network}", bits] for network in ("alexnet", "vgg16", "resnet50") for bits in ("4", "8")
    ]
    assert len(README_TABLES["hawq"]().splitlines()) == 2 + len(CONFIGURATIONS)


@pytest.mark.slow
def test_page_of_hawq(tmp_path: Path) -> None:
    file = tmp_path / "hawq.html"
    assert main(["hawq-resnet18", "--page", str(file)]) == 0
    text = file.read_text()
    assert text.lstrip().startswith("<!")
    assert "arXiv:2011.10680" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["precision"],
            f"study must be one of {', '.join(STUDIES)}, or all, not 'precision'; the nearest is 'precision-lr'",
        ),
        (["peak", "--page", "x.html"], "--page is for one of the studies hawq-resnet18 and hawq-resnet50"),
        (["peak", "--json", "/nowhere/x.json"], "--json file /nowhere/x.json cannot be written: folder /nowhere does"),
    ],
)
def test_refusals(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"run.py: error: {text}")
    assert found.err.count("\n") == 1


def test_script_alone(tmp_path: Path) -> None:
    """Started as the pages say, from another folder too."""
    for folder in (ROOT, tmp_path):
        done = subprocess.run(
            [sys.executable, str(FOLDER / "run.py")],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]] == [f"| {name}" for name in STUDIES]


def test_places_of_tables() -> None:
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n"
    assert replaced(page, "one", "new") == page.replace("old", "new")
    assert replaced(page, "two", "new") == page.replace("<!-- two -->\n", "<!-- two -->\nnew\n")
    with pytest.raises(UserError, match=r"^the page has no place for table 'three': <!-- three --> and <!-- end -->$"):
        replaced(page, "three", "new")


def test_cells() -> None:
    columns = (Column("name", "name"), Column("value", "value [s]"), Column("short", "short", 2))
    rows = (("a", 1234567, 0.5), ("b", 12.34567, None), ("c", 1.23456e-7, 123.4), ("d", 0.0, 1e9))
    assert Table(columns, rows).markdown() == (
        "| name | value [s] | short |\n| --- | ---: | ---: |\n| a | 1,234,567 | 0.50 |\n| b | 12.35 |  |\n"
        "| c | 1.235e-07 | 123 |\n| d | 0.0000 | 1.0e+09 |"
    )
    with pytest.raises(ValueError, match=r"^a row must have 3 cells, not 1: \('a',\)$"):
        Table(columns, (("a",),))
