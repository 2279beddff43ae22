"""``bfimna run digits-snn``: pictures and arrays in, a report out, and one line for each mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sim import cli
from sim.spiking.digits import RESOLUTIONS, classify, digits_network, packaged_digits

DIGIT = 250
"""A packaged digit, of class 2."""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "digit_2.png"
    Image.fromarray(packaged_digits().pictures[DIGIT]).save(path)
    return path


@pytest.mark.parametrize("bits", RESOLUTIONS)
@pytest.mark.parametrize("array", ["flexspim", "ap"])
def test_a_picture(bits: str, array: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "digits-snn", "--engine", "integer", "--bits", bits, "--array", array, "--json", "-"]
    assert cli.main([*command, "--input", str(picture)]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    wanted = int(classify(digits_network(bits), packaged_digits().pictures[DIGIT : DIGIT + 1])[0])
    (one,) = report["inputs"]
    assert (one["top1"], one["expected"], len(one["logits"])) == (wanted, 2, 10)
    assert (report["spiking"]["network"], report["spiking"]["array"]) == (f"digits-snn-{bits}", array)
    assert (report["spiking"]["energy_per_operation_pj"] is None) == (array == "ap")
    assert f"class {wanted}, its name says 2" in captured.err


def test_arrays_have_many_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "digits.npy", packaged_digits().pictures[:1000:250])
    np.save(tmp_path / "digit_0.npy", packaged_digits().pictures[0])
    files = [str(tmp_path / name) for name in ("digits.npy", "digit_0.npy")]
    assert cli.main(["run", "digits-snn", "--engine", "integer", "--json", "-", "--input", *files]) == 0
    inputs = json.loads(capsys.readouterr().out)["inputs"]
    assert [one["file"] for one in inputs] == [f"{files[0]}[{number}]" for number in range(4)] + [files[1]]
    assert [one["expected"] for one in inputs] == [None] * 4 + [0]
    assert inputs[0]["logits"] == inputs[4]["logits"]


@pytest.mark.slow
def test_without_input_the_packaged_digits_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "digits-snn", "--engine", "integer", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["spiking"]["labelled"] == len(report["inputs"]) == 1000
    assert report["spiking"]["right"] >= 930


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--array", "flexpim"], "--array must be one of flexspim, ap, not 'flexpim'; the nearest is 'flexspim'"),
        (["--engine", "model"], "--engine must be .*integer.* for digits-snn on array flexspim, not model"),
        (["--bits", "8"], "--bits must be one of 8x16, 4x10 for digits-snn, not '8'"),
        (["--mode", "lut"], "--mode is not for digits-snn, a spiking network"),
        (["--config", "tiny"], "config must be one of flexspim, flexspim-tiny or a JSON file, not 'tiny'"),
        (
            ["--array", "ap", "--config", "flexspim"],
            "config must be one of tiny, small, .* or a JSON file, not 'flexspim'",
        ),
        (["--jobs", "2"], "--jobs is not for digits-snn, a spiking network"),
        (["--resume"], "--resume is not for digits-snn, a spiking network"),
        (["--input", "none.png"], "input none.png does not exist"),
        (["--input", "words.png"], r"input words.png is not a readable picture or \.npy file"),
        (["--input", "words.npy"], r"input words.npy is not a readable \.npy file"),
        (["--input", "large.png"], "input large.png must be 28x28 or Nx28x28, not 28x30"),
        (["--input", "colour.png"], "input colour.png must be a grey picture of 8 bits, not of kind RGB"),
        (["--input", "floats.npy"], r"input floats.npy must hold 8-bit numbers \(uint8\), not float64"),
        (["--input", "empty.npy"], "input empty.npy must be 28x28 or Nx28x28, not 0x28x28"),
        (["--input", "one.npy"], "input one.npy must be 28x28 or Nx28x28, not a single number"),
    ],
)
def test_mistakes(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("words.png", "words.npy"):
        Path(name).write_text("words", encoding="utf-8")
    Image.new("L", (30, 28)).save("large.png")
    Image.new("RGB", (28, 28)).save("colour.png")
    np.save("floats.npy", np.zeros((28, 28)))
    np.save("empty.npy", np.zeros((0, 28, 28), np.uint8))
    np.save("one.npy", np.uint8(1))
    assert cli.main(["run", "digits-snn", "--engine", "integer", *arguments]) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(f"bfimna: error: {text}\n", captured.err), captured.err
    assert captured.out == ""


def test_an_array_is_for_spiking_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "resnet8", "--array", "ap", "--engine", "integer"]) == 2
    assert capsys.readouterr().err == "bfimna: error: --array is only for digits-snn, not for resnet8\n"


def test_info_names_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    assert re.search(r"^spiking +digits-snn, for `bfimna run`$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["info", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["spiking"] == ["digits-snn"]
