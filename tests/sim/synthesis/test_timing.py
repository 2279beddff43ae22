"""The longest path: what is read of OpenSTA's answer, and what is said without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.synthesis.timing import Timing, longest_path
from sim.tools import ToolError

ANSWER = """Startpoint: tags/_37_ (rising edge-triggered flip-flop clocked by clk)
Endpoint: counters/_39_ (rising edge-triggered flip-flop clocked by clk)
              -988.7654   data arrival time
---------------------------------------------------------
               988.7654   slack (MET)
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = folder / "sta"
    program.write_text(f"#!/bin/sh\nif [ $1 = -version ]; then echo 2.0.17; exit; fi\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_period_is_what_the_slack_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, f"grep -q 'link_design tile' timing.tcl && echo '{ANSWER}'")
    assert longest_path(tmp_path, "tile") == Timing("OpenSTA 2.0.17", 11.235, "tags/_37_", "counters/_39_")


def test_no_path_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "echo 'No paths found.'")
    with pytest.raises(ToolError, match=r"^OpenSTA \(sta\) found no path: No paths found\.$"):
        longest_path(tmp_path, "tile")


def test_a_missing_opensta_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match=r'^OpenSTA \(sta\) was not found; install the package "opensta"'):
        longest_path(tmp_path, "tile")
