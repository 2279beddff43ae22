"""``bfimna search``: what it prints and writes, and one line for each way to ask for the impossible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim import cli
from sim.evaluate.energy import figures
from sim.evaluate.evaluate import evaluate, load_machine
from sim.evaluate.technology import load_technology
from sim.evaluate.widths import parse_widths
from sim.networks.load import load_network

RESNET18 = ("search", "resnet18", "--budget")


def run(*arguments: str) -> int:
    return cli.main([*arguments])


def table_file(folder: Path, **changes: Any) -> str:
    """Sensitivities of ResNet-8: three layers may be narrower, all others keep 8 bits; and changes."""
    layers = [layer.name for layer in load_network("resnet8").weight_layers]
    table: dict[str, Any] = {
        name: {"8": 0.001, "6x4": 0.2 - 0.01 * place} if place in (1, 2, 7) else 8 for place, name in enumerate(layers)
    }
    table = {name: value for name, value in (table | changes).items() if value is not None}
    file = folder / "table.json"
    file.write_text(json.dumps(table))
    return str(file)


def test_widths_are_those_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is read back by the evaluator, and costs what the search says."""
    widths_file, report_file = tmp_path / "widths.json", tmp_path / "report.json"
    options = ("--output", str(widths_file), "--json", str(report_file))
    assert run(*RESNET18, "edp=hawq-v3/medium", *options) == 0
    report = json.loads(report_file.read_text())
    network = load_network("resnet18")
    widths = parse_widths(str(widths_file), network)
    cost = evaluate(network, widths, load_machine("lr"))
    technology = load_technology("sram")
    assert report["cycles"] == cost.total
    assert report["evaluated"]["edp"] == figures(cost, technology).edp_js <= report["limits"]["edp"]
    assert report["agrees"] is True
    assert [layer["name"] for layer in report["layers"]] == [layer.name for layer in network.weight_layers]
    assert all(widths.of(one["name"]) == (one["activation_bits"], one["weight_bits"]) for one in report["layers"])
    out = capsys.readouterr().out
    assert f"the whole network, evaluated: {cost.total:,} cycles, as the search predicted" in out
    assert "least sensitivity within edp=hawq-v3/medium" in out


def test_own_table_on_a_tile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An imported network on one tile, widths of activations and weights apart, cheapest of a sensitivity."""
    table = table_file(tmp_path)
    options = ("--sensitivity", table, "--config", "cap", "--minimise", "latency", "--json", "-")
    assert run("search", "resnet8", "--budget", "sensitivity=0.5", *options) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["agrees"] is True
    assert report["evaluated"]["sensitivity"] <= 0.5
    assert report["evaluated"]["latency"] < report["uniform8"]["latency"]
    assert {(one["activation_bits"], one["weight_bits"]) for one in report["layers"]} > {(8, 8)}


def test_budgets_as_shares_and_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    budgets = ("--budget", "latency=0.95x", "--budget", "energy=5.2mJ", "--widths", "4,8", "--json", "-")
    assert run("search", "resnet18", *budgets) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["limits"]["energy"] == 5.2 * 1e-3
    assert report["limits"]["latency"] == 0.95 * report["uniform8"]["latency"]
    for quantity, limit in report["limits"].items():
        assert report["evaluated"][quantity] <= limit


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("alexnet", "--budget", "edp=0.5x"),
            "hawq-v3 has sensitivities for resnet18, resnet50, not for alexnet",
        ),
        (
            ("resnet18", "--budget", "sensitivity=0.5"),
            "--budget must be of another quantity than --minimise, not sensitivity",
        ),
        (
            ("resnet18", "--budget", "edp=0.5x", "--config", "mesh2x2"),
            "search needs a config on which the cost of a layer does not depend on the layers before it, such as lr; "
            "mesh2x2 is none",
        ),
        (
            ("resnet18", "--budget", "edp=0.5x", "--config", "lr-streamed"),
            "search needs a config on which the cost of a layer does not depend on the layers before it, such as lr; "
            "lr-streamed is none",
        ),
        (
            ("resnet18", "--budget", "edp=0.5x", "--widths", "2,8"),
            "sensitivities hawq-v3: layer 'stage1.unit1.conv1' has no sensitivity for width 2, only 4, 8",
        ),
        (
            ("resnet18", "--budget", "edp=0.5x", "--widths", "4,17"),
            "--widths must be a number of bits from 1 to 16, or activations x weights such as 4x8, not '17', in "
            "'4,17'; see bfimna search --help",
        ),
        (
            ("resnet18", "--budget", "sensitivity=2", "--minimise", "edp", "--budget", "sensitivity=3"),
            "--budget must be given once for each quantity, not twice for sensitivity",
        ),
        (
            ("resnet18", "--budget", "edp=0.5x", "--minimise", "energi"),
            "--minimise must be one of sensitivity, latency, energy, edp, not 'energi'; the nearest is 'energy'; see "
            "bfimna search --help",
        ),
        (
            ("resnet18", "--budget", "sensitivity=5", "--minimise", "edp", "--output", "-", "--json", "-"),
            "--output and --json must be two files, not both -",
        ),
        (
            ("resnet18", "--budget", "sensitivity=2", "--minimise", "edp", "--budget", "latency=hawq-v3/lowest"),
            "hawq-v3 widths must be one of ",
        ),
    ],
)
def test_refusals(arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("search", *arguments) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"bfimna: error: {text}")
    assert found.err.count("\n") == 1


def test_infeasible_budget_says_what_is_possible(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*RESNET18, "latency=1ns") == 2
    narrow = evaluate(
        load_network("resnet18"), parse_widths("hawq-v3/int4", load_network("resnet18")), load_machine("lr")
    )
    assert capsys.readouterr().err == (
        f"bfimna: error: budget of latency must be at least {narrow.total / 1000:.6g} us, the smallest with these "
        "widths, not 1 ns\n"
    )


def test_table_without_what_a_budget_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = table_file(tmp_path, conv1=6)
    options = ("--sensitivity", table, "--config", "cap", "--minimise", "edp")
    assert run("search", "resnet8", "--budget", "sensitivity=2x", *options) == 2
    assert capsys.readouterr().err == (
        "bfimna: error: --budget sensitivity=2x: the table of sensitivities has none for all of these widths\n"
    )


def test_prediction_that_differs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the status is 1."""
    from sim.evaluate.search import WidthSearch

    original = WidthSearch.predicted

    def wrong(self: WidthSearch, widths: Any) -> dict[str, float]:
        return original(self, widths) | {"energy": 1.0}

    monkeypatch.setattr(WidthSearch, "predicted", wrong)
    assert run(*RESNET18, "edp=0.9x") == 1
    assert "DIFFERS: the search predicted " in capsys.readouterr().out
