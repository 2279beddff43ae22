"""Waves as FST, where GTKWave's converter is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sim import waves
from sim.tools import ToolError
from sim.waves.fst import find_converter, to_fst
from tests.sim.waves.test_cycles import WAVES

with_converter = pytest.mark.skipif(shutil.which("vcd2fst") is None, reason="GTKWave's vcd2fst is not installed")


def test_a_missing_converter_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ToolError,
        match=r'^waves as FST need vcd2fst, which was not found: install the package "gtkwave", or write \.vcd$',
    ):
        find_converter(str(tmp_path))


@with_converter
def test_conversion(tmp_path: Path) -> None:
    source, target, back = (tmp_path / name for name in ("a.vcd", "a.fst", "back.vcd"))
    source.write_text(WAVES)
    to_fst(source, target)
    text = subprocess.run(["fst2vcd", str(target)], capture_output=True, check=True).stdout
    back.write_bytes(text)
    assert {variable.path for variable in waves.read_header(back)} == {
        variable.path for variable in waves.read_header(source)
    }


def test_a_converter_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vcd2fst"
    program.write_text("#!/bin/sh\necho broken input >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ToolError, match=r"^vcd2fst must convert a\.vcd, it ended with status 3: broken input$"):
        to_fst(tmp_path / "a.vcd", tmp_path / "a.fst")
