"""Compiled tiles: found again, made anew when anything changes, refused when they do not compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.simulation_errors import BuildFailed
from sim.tools import ToolError
from sim.turbo import compiled as module
from sim.turbo.library import library
from sim.verilog_cache import cached_tile_verilog
from tests.rtl import TINY

CONFIG = TINY["4r2w"]


def test_found_again() -> None:
    first, second = (library(cached_tile_verilog(CONFIG), CONFIG) for _ in range(2))
    assert first.folder == second.folder
    assert second.seconds == 0.0
    assert {file.name for file in first.folder.iterdir()} == {"build.log", "complete.json", "model.h", "tile.so"}


def test_the_clock_of_the_model_is_known() -> None:
    """Without it each cycle costs an evaluation more, so a new Verilator must not lose it unseen."""
    model = library(cached_tile_verilog(CONFIG), CONFIG).folder / "model.h"
    assert re.search(r"^#define CLOCK_BEFORE \w+$", model.read_text(encoding="utf-8"), re.MULTILINE)


def test_design_that_does_not_compile() -> None:
    with pytest.raises(
        BuildFailed, match=r"^tile does not compile on verilator [\d.]+ \(status \d+\)\nlog: "
    ) as raised:
        library("module tile(input clk);\n  wire a = ;\nendmodule\n", CONFIG)
    assert "syntax error" in str(raised.value)


def test_design_without_the_ports_of_a_tile() -> None:
    with pytest.raises(BuildFailed, match=r"^tile does not compile") as raised:
        library("module tile(input clk, output y);\n  assign y = clk;\nendmodule\n", CONFIG)
    assert re.search(r"counter_index|plane_in", str(raised.value))


def test_compiler_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"was not found; install "):
        library(cached_tile_verilog(CONFIG), CONFIG)


def test_machine_has_a_name() -> None:
    assert re.fullmatch(r"\w+ .+", module._machine())
    assert module._machine() == module._machine()
