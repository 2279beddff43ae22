"""Mistakes in what ``bfimna wave`` is given: one line that says what would be right, and nothing written."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from sim import cli

Refuses = Callable[..., None]


@pytest.fixture
def refuses(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refuses:
    """Return a check of a command line: status 2, one line that matches as a whole, no file made."""
    monkeypatch.chdir(tmp_path)

    def check(text: str, *arguments: str) -> None:
        assert cli.main(["wave", *arguments]) == 2
        captured = capfd.readouterr()
        assert re.fullmatch(f"bfimna: error: {text}\n", captured.err), captured.err
        assert captured.out == ""
        assert list(tmp_path.iterdir()) == []

    return check


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (r"instruction must be one of LOAD, .*, or a line of assembler text, not 'XNOR'; the nearest is 'XOR'",
         ["op", "XNOR"]),
        (r"the mnemonic must be an instruction, not 'ADDX' \(did you mean ADD or ADDC\?\)",
         ["op", "ADDX a=0:4 b=4:4 d=8"]),
        (r"line 2: ADD: d must end below column 32, not at 40\+1-1 = 40", ["op", "CLEAR d=8:1\nADD a=0:4 b=4:4 d=40"]),
        (r"ADD: a_width must be from 1 to 64, not 99", ["op", "ADD a=0:99"]),
        (r"op\|run must be one of op, run, not 'ops'; .*", ["ops", "ADD"]),
        (r"layer must be one of conv1, .*, not 'conv11'; the nearest is 'conv1'",
         ["run", "resnet8", "--layer", "conv11"]),
        (r"--fill must be an integer, not 'x'; see bfimna wave --help", ["run", "resnet8", "--fill", "x"]),
        (r"--fill must be from 0 to 63, as layer conv1 takes 64 programs on small, not -1",
         ["run", "resnet8", "--fill", "-1"]),
        (r"model must be one of resnet8 or a \.tflite or \.onnx file, not 'resnet'; the nearest is 'resnet8'",
         ["run", "resnet"]),
        (r"--fill must be from 0 to 63, as layer conv1 takes 64 programs on small, not 64",
         ["run", "resnet8", "--layer", "conv1", "--fill", "64"]),
        (r"--fill is for networks: bfimna wave run MODEL --fill N", ["op", "ADD", "--fill", "1"]),
        (r"--passes is for pictures: one of --svg, --png, --html, --wavedrom", ["op", "ADD", "--passes", "1-4"]),
        (r"--passes must be two numbers from 1, as 3-17, not '4-3'; see bfimna wave --help",
         ["op", "ADD", "--svg", "a.svg", "--passes", "4-3"]),
        (r"--passes must be two numbers from 1, as 3-17, not '0'; see bfimna wave --help",
         ["op", "ADD", "--svg", "a.svg", "--passes", "0"]),
        (r"--passes must be two numbers from 1, as 3-17, not 'first'; see bfimna wave --help",
         ["op", "ADD", "--svg", "a.svg", "--passes", "first"]),
        (r"--svg file and --html file must be different files, not a\.svg twice",
         ["op", "ADD", "--svg", "./a.svg", "--html", "a.svg"]),
        (r"--html file and --output file must be different files, not a\.gtkw twice",
         ["op", "ADD", "--html", "a.gtkw", "--output", "a.vcd"]),
        (r"--output file must end in \.vcd or \.fst, not 'a\.txt'", ["op", "ADD", "--output", "a.txt"]),
        (r"--html file none/a\.html cannot be written: folder \S*none does not exist",
         ["op", "ADD", "--html", "none/a.html"]),
        (r"only one picture can go to standard output", ["op", "ADD", "--svg", "-", "--html", "-"]),
    ],
)  # fmt: skip
def test_mistakes(refuses: Refuses, text: str, arguments: list[str]) -> None:
    refuses(text, *arguments)


def test_fst_needs_its_converter(refuses: Refuses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    refuses(
        r'waves as FST need vcd2fst, which was not found: install the package "gtkwave", or write \.vcd',
        *("op", "ADD", "--output", "a.fst"),
    )


def test_wavedroms_svg_needs_its_package(refuses: Refuses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yowasp_wavedrom", None)
    refuses(
        r"WaveDrom's SVG needs the Python package yowasp-wavedrom \(pip install yowasp-wavedrom\); without it, "
        r"write JSON and paste it into the editor at wavedrom\.com/editor\.html",
        *("op", "ADD", "--wavedrom", "a.svg"),
    )


def test_wavedrom_draws_its_svg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package gets the JSON that would else be written, and its answer is the file."""
    drawn: list[object] = []

    def render(diagram: object) -> str:
        drawn.append(diagram)
        return "<svg/>"

    package = ModuleType("yowasp_wavedrom")
    vars(package)["render"] = render
    monkeypatch.setitem(sys.modules, package.__name__, package)
    command = ["wave", "op", "FILL", "--passes", "1-3", "--wavedrom"]
    assert cli.main([*command, str(tmp_path / "a.SVG")]) == 0
    assert (tmp_path / "a.SVG").read_text() == "<svg/>"
    assert cli.main([*command, str(tmp_path / "a.json")]) == 0
    assert drawn == [json.loads((tmp_path / "a.json").read_text())]


def test_passes_are_among_those_of_the_run(refuses: Refuses) -> None:
    refuses(
        "--passes must be among the 33 passes of the run, not 34-40", "op", "ADD", "--svg", "a.svg", "--passes", "34-40"
    )


def test_passes_that_are_shown_keep_their_numbers(tmp_path: Path) -> None:
    numbers: list[list[str]] = []
    for passes in ("9-11", "9", "32-99"):
        target = tmp_path / f"{passes}.svg"
        assert cli.main(["wave", "op", "ADD", "--svg", str(target), "--passes", passes]) == 0
        line = r'"number"[^>]*>(\d+)</text>\s*<text class="number"[^>]*>\d+</text>\s*<text class="kind"'
        numbers.append(re.findall(line, target.read_text()))
    assert numbers == [["9", "10", "11"], ["9"], ["32", "33"]]


def test_nothing_is_left_of_a_run_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while the waves are worked on leaves neither waves nor what stands beside them."""

    def interrupted(waves: Path, *_: object) -> None:
        assert waves.is_file()
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.waves.derived.add_passes", interrupted)
    assert cli.main(["wave", "op", "FILL"]) == 130
    assert list(tmp_path.iterdir()) == []
