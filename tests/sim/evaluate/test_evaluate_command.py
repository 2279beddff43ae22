"""``bfimna evaluate`` as a user gives it: tables, files, errors, and nothing slow that is imported on the way."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sim import cli
from tests.sim.reference import ROOT

HEAVY = ("scipy", "matplotlib", "onnx", "qonnx", "onnxruntime", "joblib", "dask", "cocotb", "amaranth", "PIL", "tflite")
"""Packages that evaluating a network by name does without."""


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "alexnet"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("alexnet on config lr: ")
    for word in (
        "conv1",
        "fc8" if "fc8" in shown.out else "fc3",
        "[cycles]",
        "GOPS/W/mm2",
        "assumption: ",
        "recalled sizes",
    ):
        assert word in shown.out


def test_files_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {option: tmp_path / f"run.{option}" for option in ("json", "csv", "html", "actions")}
    options = [text for option, file in files.items() for text in (f"--{option}", str(file))]
    assert cli.main(["evaluate", "resnet18", "--bits", "4", *options]) == 0
    content = json.loads(files["json"].read_text(encoding="utf-8"))
    assert content["network"] == "resnet18"
    total = content["total"]["cycles"]["total"]
    assert total == sum(layer["cycles"]["total"] for layer in content["layers"])
    assert f"{total:,} cycles" in capsys.readouterr().out
    rows = list(csv.DictReader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(content["layers"]) + 1
    assert rows[-1]["cycles.total"] == str(total)
    assert files["html"].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert yaml.safe_load(files["actions"].read_text(encoding="utf-8"))
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(file.name for file in files.values())


def test_json_on_standard_output_leaves_the_table_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "resnet18", "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["config"]["name"] == "lr"
    assert shown.err.startswith("resnet18 on config lr")


def test_constants_and_supply(capsys: pytest.CaptureFixture[str]) -> None:
    energies = []
    for options in ([], ["--supply", "0.8"], ["--constant", "compare_row=0", "--constant", "count_row=0"]):
        assert cli.main(["evaluate", "resnet18", "--json", "-", *options]) == 0
        energies.append(json.loads(capsys.readouterr().out)["total"]["energy_pj"])
    nominal, low, without = energies
    assert low["compare"] < nominal["compare"]
    assert (without["count"], without["write"]) == (0, nominal["write"])
    assert without["compare"] < nominal["compare"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["resnet51"], "network must be one of alexnet, vgg16, resnet18, resnet50, resnet8, or a .tflite or .onnx "
         "file, not 'resnet51'; the nearest is 'resnet50'"),
        (["alexnet", "--bits", "17"], "the width must be a whole number from 1 to 16, not 17"),
        (["alexnet", "--config", "lrr"], "not 'lrr'; the nearest is 'lr'"),
        (["alexnet", "--technology", "srm"], "not 'srm'; the nearest is 'sram'"),
        (["alexnet", "--mode", "counts"], "--mode must be one of count, lut, constant, auto, not 'counts'; the nearest "
         "is 'count'; see bfimna evaluate --help"),
        (["alexnet", "--batch", "0"], "--batch must be an integer from 1 to 4096, not '0'; see bfimna evaluate"),
        (["alexnet", "--constant", "x"], "--constant must be NAME=VALUE with a number, not 'x'; see bfimna evaluate"),
        (["alexnet", "--constant", "cell_area=-1"], "technology sram: cell_area must be a number from 0 on, not -1.0"),
        (["alexnet", "--json", "-", "--csv", "-"], "only one of --json, --csv can be '-'"),
        (["alexnet", "--csv", "nowhere/x.csv"], "--csv file"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("bfimna: error: ")
    assert text in shown.err
    assert not list(tmp_path.iterdir())


def test_nothing_slow_is_imported() -> None:
    code = (
        "import sys; from sim.cli import main; status = main(['evaluate', 'resnet50', '--json', '-']); "
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; "
        "sys.exit(f'imported: {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
