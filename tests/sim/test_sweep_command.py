"""``bfimna sweep`` and ``bfimna table`` from the command line: what they write, and mistakes of a user."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hw.fabric import FABRICS
from sim import cli
from sim.evaluate import workers
from sim.evaluate.journal import source_hash
from sim.options import MODES

Refuses = Callable[..., None]

KILLED = """
import os, signal, sys
from sim import cli
from sim.evaluate.journal import Journal

add = Journal.add

def add_and_die(journal, key, result):
    add(journal, key, result)
    if len(journal.results) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

Journal.add = add_and_die
cli.main(sys.argv[1:])
"""
"""A command line that is killed when three points are done."""

LIST = "must be a list parted by commas without empty entries, not "
RISING = "must be numbers and rising ranges from 1 to 16, such as 2,4-8; not "


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refuses(capfd: pytest.CaptureFixture[str], folder: Path) -> Refuses:
    """Return a check of a command line: status 2, one line that matches as a whole, no file made."""

    def check(text: str, *arguments: str) -> None:
        before = sorted(folder.rglob("*"))
        assert cli.main(arguments) == 2
        captured = capfd.readouterr()
        assert re.fullmatch(f"bfimna: error: {text}\n", captured.err), captured.err
        assert captured.out == ""
        assert sorted(folder.rglob("*")) == before

    return check


def rows_of(file: str) -> list[dict[str, str]]:
    with Path(file).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


# ---- sweep


def test_sweep(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["sweep", "resnet8", "alexnet", "--bits", "7-8", "--technology", "sram,fefet", "--config", "lr-streamed"]
    assert cli.main([*command, "--output", "out.csv"]) == 0
    assert capfd.readouterr() == ("8 points in out.csv\n", "")
    rows = rows_of("out.csv")
    assert [(row["network"], row["bits"], row["technology"]) for row in rows] == [
        (network, bits, technology)
        for network in ("resnet8", "alexnet")
        for bits in "78"
        for technology in ("sram", "fefet")
    ]
    assert {(row["config"], row["mode"]) for row in rows} == {("lr-streamed", "count")}
    content = Path("out.csv").read_bytes()
    assert cli.main([*command, "--output", "out.csv"]) == 0
    assert capfd.readouterr().out == "8 points in out.csv, 8 of them from out.csv.journal\n"
    assert cli.main([*command, "--output", "out.csv", "--fresh"]) == 0
    assert capfd.readouterr().out == "8 points in out.csv\n"
    assert Path("out.csv").read_bytes() == content
    assert sorted(path.name for path in Path().iterdir()) == ["out.csv", "out.csv.journal"]


def test_sweep_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    command = [
        "sweep",
        "resnet8",
        "--supply",
        "0.9,1",
        "--constant",
        "cell_area=1,2",
        "--batch",
        "1-2",
        "--mode",
        "lut",
    ]
    assert cli.main([*command, "--output", "out.JSON"]) == 0
    assert capfd.readouterr().out == "8 points in out.JSON\n"
    points = json.loads(Path("out.JSON").read_text())["points"]
    assert [(point["batch"], point["supply_v"], point["constants"]) for point in points] == [
        (batch, supply, f"cell_area={area}") for batch in (1, 2) for supply in (0.9, 1.0) for area in (1.0, 2.0)
    ]
    assert {(point["bits"], point["mode"]) for point in points} == {("own", "lut")}


def test_sweep_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "alexnet", "--output", "-"]) == 0
    heading, row, end = capfd.readouterr().out.split("\n")
    assert heading.startswith("network,config,config_hash,bits,")
    assert row.startswith(f"alexnet,lr,{FABRICS['lr'].hash_text},8,count,1,sram,")
    assert end == ""
    assert not list(Path().iterdir())


def test_sweep_with_a_page(capfd: pytest.CaptureFixture[str], refuses: Refuses) -> None:
    command = ["sweep", "alexnet", "--bits", "7-8"]
    refuses("only one of --output, --html can be '-'", *command, "--output", "-", "--html", "-")
    refuses("--html file b/a.html cannot be written: .*", *command, "--output", "-", "--html", "b/a.html")
    assert cli.main([*command, "--output", "out.csv", "--html", "out.html"]) == 0
    page = Path("out.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<svg") == 1
    assert cli.main([*command, "--output", "out.csv", "--html", "-"]) == 0
    assert capfd.readouterr().out == f"2 points in out.csv\n{page}"


def test_refused_points(capfd: pytest.CaptureFixture[str]) -> None:
    Path("b.json").write_text('{"default": 8, "fc6": 4}')
    assert cli.main(["sweep", "resnet8", "alexnet", "--bits", "8,b.json", "--output", "out.csv"]) == 0
    captured = capfd.readouterr()
    assert captured.out == "4 points in out.csv\n"
    errors = [row["error"] for row in rows_of("out.csv")]
    assert [bool(error) for error in errors] == [False, True, False, False]
    assert captured.err == (
        f"bfimna: 1 of 4 points could not be evaluated, column error says why; the first: resnet8, lr, bits b.json: "
        f"{errors[1]}\n"
    )


def test_nothing_can_be_evaluated(refuses: Refuses) -> None:
    refuses(
        "none of the 2 points can be evaluated; the first: alexnet, lr, bits 7: --mode must be one of .*",
        *("sweep", "alexnet", "--bits", "7-8", "--mode", "constant", "--output", "-"),
    )
    refuses(
        r"none of the 1 points can be evaluated; the first: alexnet, lr, bits 8: supply of technology sram must be .*",
        *("sweep", "alexnet", "--supply", "9", "--output", "-"),
    )


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--bits", "", f"{LIST}''"),
        ("--bits", "8,,4", f"{LIST}'8,,4'"),
        ("--bits", "8-4", f"{RISING}'8-4'"),
        ("--bits", "0-4", f"{RISING}'0-4'"),
        ("--config", "lr,", f"{LIST}'lr,'"),
        ("--technology", ",", f"{LIST}','"),
        ("--mode", "lot", f"must be one of {', '.join(MODES)}, not 'lot'; the nearest is 'lut'"),
        ("--batch", "0", "must be numbers and rising ranges from 1 to 4096, such as 2,4-8; not '0'"),
        ("--supply", "-1", "must be a number above 0, not '-1'"),
        ("--constant", "x", "must be NAME=VALUE with one or more numbers, not 'x'"),
        ("--jobs", "0", "must be an integer from 1 to 1024, not '0'"),
    ],
)
def test_wrong_values(refuses: Refuses, option: str, value: str, text: str) -> None:
    refuses(f"{option} {text}; see bfimna sweep --help", "sweep", "alexnet", f"{option}={value}", "--output", "a.csv")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["alexnot"], r"network must be one of .*, not 'alexnot'; the nearest is 'alexnet'"),
        (["alexnet", "--config", "lr,mesh2x3"], r"config must be one of .*, not 'mesh2x3'; the nearest is 'mesh2x2'"),
        (["alexnet", "--technology", "srum"], r"technology must be one of .*, not 'srum'; the nearest is 'sram'"),
        (["alexnet", "--bits", "17"], r"the width must be a whole number from 1 to 16, not 17"),
        (["alexnet", "--bits", "8,hawq"], r"bits must be a number from 1 to 16, .*, not 'hawq'.*"),
        (["alexnet", "vgg16", "--bits", "hawq-v3/low"], r"hawq-v3 has widths for resnet18, resnet50, not for alexnet"),
        (["alexnet", "--constant", "write_cel=1"], r"technology sram must have .* the nearest is 'write_cell'"),
        (["alexnet", "--constant", "write_cell=-1"], r".*write_cell must be a number from 0 on, not -1.0"),
        (["alexnet", "--cluster", "nowhere"], r"--cluster must be the address of a Dask scheduler that answers, .*"),
    ],
)
def test_unknown_names(refuses: Refuses, arguments: list[str], text: str) -> None:
    refuses(text, "sweep", *arguments, "--output", "a.csv")


def test_wrong_outputs(refuses: Refuses, folder: Path) -> None:
    for command, formats in (("sweep", ".csv or .json"), ("table", ".csv or .npz")):
        refuses(f"the following arguments are required: --output; see bfimna {command} --help", command, "alexnet")
        refuses(
            f"--output must end in {formats}, or be '-' for CSV, not 'a.txt'", command, "alexnet", "--output", "a.txt"
        )
        refuses(
            f"--output file b/a.csv cannot be written: folder {folder}/b does not exist",
            *(command, "alexnet", "--output", "b/a.csv"),
        )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_killed_sweep_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    """Killed without a chance to clean up, the journal has what was done, and the rows do not differ."""
    source_hash.cache_clear()  # sources may be edited while all tests run
    command = ["sweep", "alexnet", "--bits", "1-5", "--jobs", "1", "--output"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run([sys.executable, "-c", KILLED, *command, "out.csv"], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in Path().iterdir()] == ["out.csv.journal"]
    assert cli.main([*command, "out.csv"]) == 0
    assert capfd.readouterr().out == "5 points in out.csv, 3 of them from out.csv.journal\n"
    assert cli.main([*command, "whole.csv"]) == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_devices_have_no_journal() -> None:
    from sim.commands.sweep import journal_of

    assert journal_of("-") is None
    assert journal_of("/dev/null") is None
    assert journal_of("a/b.csv") == Path("a/b.csv.journal")


# ---- table


def test_table(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_worth_processes", lambda *_: False)
    command = ["table", "alexnet", "--weight-bits", "4,8", "--activation-bits", "6-8", "--output"]
    assert cli.main([*command, "out.npz"]) == 0
    assert capfd.readouterr() == ("11 layers at 6 combinations of widths in out.npz\n", "")
    arrays = np.load("out.npz")
    assert arrays["cycles"].shape == (11, 2, 3)
    assert cli.main([*command, "out.csv", "--technology", "fefet", "--supply", "0.9", "--batch", "2"]) == 0
    assert len(rows_of("out.csv")) == 66
    assert cli.main([*command, "-"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-66].startswith("conv1,conv2d,")
    assert [int(line.split(",")[5]) for line in lines[-66:]] == arrays["cycles"].ravel().tolist()


def test_table_without_some_widths(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.evaluate import sweep, table

    defaults: dict[str, object] = dict(table.layer_table.__kwdefaults__ or {})
    defaults["cost"] = lambda case: "too wide" if case.bits != "1x1" else sweep.cost_of(case)
    monkeypatch.setattr(table.layer_table, "__kwdefaults__", defaults)
    command = ["table", "alexnet", "--weight-bits", "1,2", "--activation-bits", "1", "--output", "out.csv"]
    assert cli.main(command) == 0
    assert capfd.readouterr().err == (
        "bfimna: 1 of 2 combinations of widths could not be evaluated; the first, 2 x 1 bits: too wide\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--weight-bits", ""], f"--weight-bits {LIST}''; see bfimna table --help"),
        (["--activation-bits", "8-17"], f"--activation-bits {RISING}'8-17'; see bfimna table --help"),
        (["--batch", "0"], "--batch must be an integer from 1 to 4096, not '0'; see bfimna table --help"),
        (["--supply", "x"], "--supply must be a number above 0, not 'x'; see bfimna table --help"),
        (["--supply", "9"], r"supply of technology sram must be from .* V, not 9"),
        (["--config", "mesh2x3"], r"config must be one of .*, not 'mesh2x3'; the nearest is 'mesh2x2'"),
        (["--technology", "srum"], r"technology must be one of .*, not 'srum'; the nearest is 'sram'"),
        (
            ["--weight-bits", "1", "--mode", "constant"],
            r"network alexnet cannot be evaluated at any .*: --mode must .*",
        ),
        (["--cluster", "nowhere"], r"--cluster must be the address of a Dask scheduler that answers, .*"),
    ],
)
def test_wrong_tables(refuses: Refuses, arguments: list[str], text: str) -> None:
    refuses(text, "table", "alexnet", *arguments, "--output", "a.csv")


def test_table_of_an_unknown_network(refuses: Refuses) -> None:
    text = r"network must be one of .*, not 'alexnot'; the nearest is 'alexnet'"
    refuses(text, "table", "alexnot", "--output", "a.csv")
