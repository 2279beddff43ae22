from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from golden.engine import TileError
from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS, ConfigError
from hw.flexspim.config import MACROS
from hw.isa import OPERATIONS, Opcode, ProgramError
from sim import cli, options, waves
from sim import host as sim_host
from sim.assembler import assemble
from sim.commands import run as run_command
from sim.commands import wave
from sim.errors import UserError
from sim.importers import ModelError
from sim.models import PICTURE, data_file
from sim.networks.weights import NOTE
from sim.runner import TestsFailed
from tests.sim.test_report import RUN

CAT = str(data_file("cifar10/cifar10_00_3.png"))
RUN_CAT = ["run", "resnet8", "--input", CAT, "--engine", "golden"]

Refuses = Callable[..., None]


@pytest.fixture
def refuses(capfd: pytest.CaptureFixture[str]) -> Refuses:
    """Return a check that a command line ends with status 2 and exactly one line."""

    def check(text: str, *arguments: str) -> None:
        assert cli.main(arguments) == 2
        captured = capfd.readouterr()
        assert captured.err == f"bfimna: error: {text}\n"
        assert captured.out == ""

    return check


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put a host in place that reports a fixed run and keeps what it was asked."""
    fake = SimpleNamespace(report=RUN, requests=[])

    def run_network(request: run_command.RunRequest) -> Any:
        fake.requests.append(request)
        if isinstance(fake.report, BaseException):
            raise fake.report
        return fake.report

    monkeypatch.setattr(sim_host, "run_network", run_network)
    return fake


# ---- command line


COMMANDS = "run, evaluate, sweep, table, search, exec, asm, disasm, info, verilog, wave"


def test_no_command(refuses: Refuses) -> None:
    refuses(f"a command is missing: {COMMANDS}; see bfimna --help")


def test_unknown_command(refuses: Refuses) -> None:
    refuses(f"command must be one of {COMMANDS}, not 'rnu'", "rnu")


def test_missing_argument(refuses: Refuses) -> None:
    refuses("the following arguments are required: MODEL; see bfimna run --help", "run")


def test_unknown_option(refuses: Refuses) -> None:
    refuses(
        "unrecognized arguments: --engin rtl; see bfimna --help", "run", "resnet8", "--input", CAT, "--engin", "rtl"
    )


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--sim", "spice", "must be one of verilator, icarus, not 'spice'"),
        ("--engine", "gpu", "must be one of rtl, turbo, golden, model, integer, not 'gpu'"),
        ("--mode", "fast", "must be one of count, lut, constant, auto, not 'fast'"),
        ("--bits", "0", "must be from 1 to 16, not 0"),
        ("--bits", "33", "must be from 1 to 16, not 33"),
        ("--bits", "no-such-file", "must be a number from 1 to 16 or a file with widths, not 'no-such-file'"),
        ("--seed", "x", "must be an integer from 0 to 2147483647, not 'x'"),
        ("--jobs", "0", "must be an integer from 1 to 1024, not '0'"),
    ],
)
def test_wrong_value(refuses: Refuses, option: str, value: str, text: str) -> None:
    refuses(f"{option} {text}; see bfimna run --help", *RUN_CAT, option, value)


def test_unknown_common_option_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match=r"^no common option is called 'colour'$"):
        options.add_common(cli.Parser(), "colour")


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    for command in ((), *((name,) for name in cli.COMMANDS)):
        with pytest.raises(SystemExit) as caught:
            cli.main([*command, "--help"])
        assert caught.value.code == 0
        assert capfd.readouterr().out.startswith("usage: bfimna")
    assert cli.main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("bfimna ")


# ---- statuses


@pytest.mark.parametrize("kind", [UserError, ConfigError, ProgramError, ModelError])
def test_every_user_error_is_one_line_and_status_2(
    host: SimpleNamespace, refuses: Refuses, kind: type[Exception]
) -> None:
    host.report = kind("two\n  lines")
    refuses("two lines", *RUN_CAT)


def test_failed_simulation_is_status_1(host: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    for error in (TestsFailed("bench on icarus: 1 of 1 tests failed"), TileError("the tile stopped")):
        host.report = error
        assert cli.main(RUN_CAT) == 1
        assert capfd.readouterr().err == f"bfimna: error: {error}\n"


def test_interrupt_is_status_130(host: SimpleNamespace, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    host.report = KeyboardInterrupt()
    assert cli.main([*RUN_CAT, "--json", str(tmp_path / "out.json")]) == 130
    assert capfd.readouterr().err == "bfimna: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_hidden(host: SimpleNamespace) -> None:
    host.report = ValueError("a bug")
    with pytest.raises(ValueError, match=r"^a bug$"):
        cli.main(RUN_CAT)


SLEEPER = """
import signal, sys, time
from sim import cli
from sim.commands import info
def collect():
    print("ready", flush=True)
    try:
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
info.collect = collect
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["bfimna", "info"]
cli.entry_point()
"""


@pytest.mark.parametrize(
    ("sent", "status", "text"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_signals(sent: signal.Signals, status: int, text: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (status, "cleaned up\n", f"bfimna: {text}\n")


def test_closed_pipe() -> None:
    command = f"'{sys.executable}' -m sim verilog --config tiny | head -n 1"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


# ---- run


def test_run(host: SimpleNamespace, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    command = [
        *RUN_CAT[:4],
        *RUN_CAT[3:],
        "--bits",
        "4",
        "--seed",
        "9",
        "--mode",
        "count",
        "--config",
        "small",
        "--jobs",
        "2",
    ]
    assert cli.main([*command, "--json", str(target)]) == 0
    (request,) = host.requests
    assert (request.model, request.engine, request.simulator, request.mode) == (
        "resnet8",
        "golden",
        "verilator",
        "count",
    )
    assert (request.bits, request.seed, request.way.jobs, request.config) == (4, 9, 2, CONFIGS["small"])
    assert [one.file for one in request.inputs] == [CAT, CAT]
    assert json.loads(target.read_text())["total"]["cycles"] == 1334
    assert "conv1" in capfd.readouterr().out


def test_run_with_json_on_standard_output(host: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*RUN_CAT, "--json", "-"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["model"] == "resnet8"
    assert "conv1" in captured.err
    assert len(host.requests) == 1


def test_run_that_differs(host: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    host.report = replace(RUN, layers=[replace(RUN.layers[0], bit_exact=False)])
    assert cli.main(RUN_CAT) == 1
    assert "DIFFERENCE conv1" in capfd.readouterr().out


def test_run_with_random_weights(host: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "resnet18", "--bits", "hawq-v3/low", "--engine", "model"]) == 0
    (request,) = host.requests
    assert (request.model, request.bits, request.note) == ("resnet18", None, NOTE)
    assert [Path(one.file).name for one in request.inputs] == [PICTURE]
    convolution = next(layer for layer in request.graph.layers if layer.name == "stage2.unit1.conv2")
    assert convolution.weight_bits == 4
    assert "conv1" in capfd.readouterr().out


def test_run_with_random_weights_to_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    for engine in ("model", "integer"):
        assert cli.main(["run", "resnet18", "--bits", "1", "--engine", engine, "--json", "-"]) == 0
        captured = capfd.readouterr()
        found = json.loads(captured.out)
        assert found["note"] == NOTE
        assert f"\n{NOTE}\n" in captured.err
        assert len(found["layers"]) == 32
        assert ("class" in captured.err.replace(NOTE, "")) == (engine == "integer")


def test_run_unknown_model(refuses: Refuses) -> None:
    refuses(
        "model must be one of resnet8, alexnet, vgg16, resnet18, resnet50, digits-snn or a .tflite or .onnx file, "
        "not 'lenet'; "
        "the nearest is 'alexnet'",
        "run",
        "lenet",
        "--input",
        CAT,
        "--engine",
        "golden",
    )


def test_run_missing_picture(refuses: Refuses) -> None:
    refuses("input no.png does not exist", "run", "resnet8", "--input", "no.png", "--engine", "golden")


def test_run_unknown_config(refuses: Refuses) -> None:
    names = ", ".join((*CONFIGS, *ACCELERATORS))
    refuses(f"config must be one of {names} or a JSON file, not 'huge'", *RUN_CAT, "--config", "huge")


def test_run_unwritable_json_is_refused_before_anything_runs(host: SimpleNamespace, refuses: Refuses) -> None:
    refuses("--json file /no/out.json cannot be written: folder /no does not exist", *RUN_CAT, "--json", "/no/out.json")
    assert host.requests == []


def test_run_without_simulator(refuses: Refuses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refuses(
        'Icarus Verilog (iverilog) was not found; install the package "iverilog"',
        *("run", "resnet8", "--input", CAT, "--engine", "rtl", "--sim", "icarus"),
    )


# ---- asm, disasm, exec

SOURCE = "LOAD planes d=0:2\nFILL d=2:2 constant=1\nSTORE planes a=0:4\nHALT\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "a.s"
    file.write_text(SOURCE)
    return file


def test_assemble_and_disassemble(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["asm", str(source)]) == 0
    assert cli.main(["disasm", str(source.with_suffix(".bin"))]) == 0
    text = capfd.readouterr().out
    source.write_text(text)
    assert cli.main(["asm", str(source), "--output", str(source.with_suffix(".again"))]) == 0
    assert source.with_suffix(".again").read_bytes() == source.with_suffix(".bin").read_bytes()


def test_execute(source: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    planes = np.random.default_rng(1).integers(0, 2, (2, 256)).astype(np.uint8)
    np.savez(tmp_path / "in.npz", load0=planes)
    command = ["exec", str(source), "--planes", str(tmp_path / "in.npz"), "--output", str(tmp_path / "out.npz")]
    assert cli.main([*command, "--json", "-"]) == 0
    captured = capfd.readouterr()
    found = json.loads(captured.out)
    assert found["error"] is None
    assert found["cycles"] == sum(value for name, value in found["counters"].items() if name.startswith("cycles."))
    assert "cycles.compute" in captured.err
    stored = np.load(tmp_path / "out.npz")["store0"]
    assert np.array_equal(stored, np.stack([*planes, np.ones(256), np.zeros(256)]))
    assert cli.main(["exec", str(source), "--engine", "model"]) == 0
    assert f"{found['cycles']:,}" in capfd.readouterr().out


@pytest.mark.parametrize("engine", ["golden", "icarus", "model"])
def test_execute_what_depends_on_data(engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config, text = tmp_path / "searching.json", tmp_path / "a.s"
    config.write_text(json.dumps(CONFIGS["tiny"].replace(array="4r2w", zero_skip=True).as_dict()))
    text.write_text(
        "FILL d=0:8 constant=5\nFILL d=8:8 constant=3\nINIT 0\nDOT skip a=0:8 b=8:8\nDOT skip a=0:4 b=8:8\nHALT\n"
    )
    options = ["--engine", "rtl", "--sim", engine] if engine == "icarus" else ["--engine", engine]
    assert cli.main(["exec", str(text), "--config", str(config), *options]) == 0
    skipped = ["0", "0"] if engine == "model" else ["6", "6"]
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[1:] for line in lines if line.startswith("events.skipped_planes")] == [skipped]


def test_execute_for_another_config(source: Path, refuses: Refuses) -> None:
    assert cli.main(["asm", str(source)]) == 0
    small, tiny = CONFIGS["small"].hash_text, CONFIGS["tiny"].hash_text
    refuses(
        f"program must be for config tiny (hash {tiny}), not hash {small}",
        *("exec", str(source.with_suffix(".bin")), "--config", "tiny"),
    )


def test_execute_without_planes(source: Path, refuses: Refuses) -> None:
    refuses("--planes is missing: the program executes 1 LOADs", "exec", str(source))


def test_execute_with_wrong_planes(source: Path, refuses: Refuses, tmp_path: Path) -> None:
    file = tmp_path / "in.npz"
    command = ("exec", str(source), "--planes", str(file))
    np.savez(file, load1=np.zeros(1))
    refuses(f"--planes file {file} must hold load0 to load0, it holds load1", *command)
    np.savez(file, load0=np.zeros((2, 7)))
    refuses(f"--planes file {file}: load0 must be zeros and ones of shape (2, 256), not of shape (2, 7)", *command)
    file.write_text("hello")
    refuses(f"--planes file {file} is not a readable .npz file", *command)
    np.save(tmp_path / "in.npy", np.zeros(3))
    (tmp_path / "in.npy").replace(file)
    refuses(f"--planes file {file} is not a readable .npz file", *command)


def test_two_outputs_on_standard_output(source: Path, refuses: Refuses) -> None:
    text = "--json and --output must not both be standard output"
    refuses(text, "exec", str(source), "--json", "-", "--output", "-")
    refuses(text, "verilog", "--json", "-")


def test_assemble_onto_the_source(source: Path, refuses: Refuses) -> None:
    refuses(f"--output file must not be the source {source} itself", "asm", str(source), "--output", str(source))


def test_assemble_what_is_no_text(source: Path, refuses: Refuses) -> None:
    source.write_bytes(b"\xff\xfe")
    refuses(f"source {source} must be text in UTF-8", "asm", str(source))


def test_missing_program(refuses: Refuses) -> None:
    refuses("program no.bin does not exist", "disasm", "no.bin")
    refuses("source no.s does not exist", "asm", "no.s", "--output", "-")


# ---- info, verilog, wave


def test_info(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    text = capfd.readouterr().out
    for wanted in (*CONFIGS, *MACROS, "resnet8", "verilator", "icarus", "amaranth"):
        assert wanted in text
    assert cli.main(["info", "--json", "-"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {config["name"] for config in found["configs"]} == set(CONFIGS)
    assert {config["name"]: config["hash"] for config in found["macros"]} == {
        name: config.hash_text for name, config in MACROS.items()
    }
    assert {tool["name"] for tool in found["tools"]} == {"verilator", "icarus"}


def test_info_tells_what_is_missing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["info"]) == 0
    assert "Icarus Verilog (iverilog) was not found" in capfd.readouterr().out


def test_verilog(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    verilog, description = tmp_path / "tile.v", tmp_path / "tile.json"
    assert cli.main(["verilog", "--config", "tiny", "--output", str(verilog), "--json", str(description)]) == 0
    text, found = verilog.read_text(), json.loads(description.read_text())
    assert str(tmp_path) not in text
    for port in found["ports"]:
        kind = {"in": "input", "out": "output"}[port["direction"]]
        width = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        assert f"  {kind} {width}{port['name']};" in text
    assert found["config_hash"] == CONFIGS["tiny"].hash_text
    captured = capfd.readouterr()
    assert captured.out.startswith(f"{verilog}: ")
    assert captured.err == ""


def test_wave_needs_a_wave_file(refuses: Refuses) -> None:
    refuses("--output file must end in .vcd or .fst, not 'a.txt'", "wave", "op", "ADD", "--output", "a.txt")


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_wave_of_an_instruction(simulator: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.vcd"
    assert cli.main(["wave", "op", "ADD", "--sim", simulator, "--output", str(target)]) == 0
    assert re.fullmatch(r"ADD on tiny: \d+ cycles, waves in .*a\.vcd; see: gtkwave .*a\.gtkw\n", capfd.readouterr().out)
    assert {"a.vcd", "a.gtkw"} <= {file.name for file in tmp_path.iterdir()}
    recorded = {variable.path for variable in waves.read_header(target)}
    save = (tmp_path / "a.gtkw").read_text()
    shown = re.findall(r"^(?:\+\{.*\} )?(tile\.[^\[\n]+)(?:\[\d+:0\])?$", save, re.MULTILINE)
    assert any(name.endswith("plane_in__payload") for name in shown)
    assert set(shown) <= recorded
    assert str(tmp_path) not in save


@pytest.mark.parametrize("mnemonic", wave.EXAMPLES)
def test_every_example_of_an_instruction_is_legal(mnemonic: str) -> None:
    assemble(wave.operation_text(mnemonic), CONFIGS["tiny"])
    assert wave.operation_text(mnemonic.lower()) == wave.operation_text(mnemonic)


def test_every_instruction_has_an_example() -> None:
    without_effect_on_cells = {Opcode.HALT, Opcode.SYNC, Opcode.LOOP, Opcode.END, Opcode.INIT}
    assert set(wave.EXAMPLES) == {opcode.name for opcode in OPERATIONS if opcode not in without_effect_on_cells}


def test_wave_of_a_line_of_text() -> None:
    assert "ADD a=0:2 b=2:2 d=4" in wave.operation_text("ADD a=0:2 b=2:2 d=4")


def test_wave_of_an_unknown_instruction() -> None:
    with pytest.raises(
        UserError, match=r"^instruction must be one of LOAD, .*, REDUCE, or a line of assembler text, not 'FLY'$"
    ):
        wave.operation_text("FLY")
