"""The worked example of docs/fpga.md: simulated, and placed and routed where the tools are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hw.config import load_config
from sim import cli
from sim.verilog_cache import cached_tile_verilog

FOLDER = Path(__file__).parents[3] / "docs" / "hx8k"
BENCH = """
module bench;
  reg clk = 0;
  wire [7:0] led;
  always #5 clk = ~clk;
  hx8k_breakout dut (.clk(clk), .led(led));
  initial #10000 begin $display("led %b", led); $finish; end
endmodule
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of the example, with what the commands of the page make of them."""
    for file in FOLDER.iterdir():
        shutil.copy(file, tmp_path)
    config = tmp_path / "hx8k.json"
    (tmp_path / "tile.v").write_text(cached_tile_verilog(load_config(str(config))), encoding="utf-8")
    source, target = str(tmp_path / "double.s"), tmp_path / "double.bin"
    assert cli.main(["asm", source, "--config", str(config), "-o", str(target)]) == 0
    (tmp_path / "double.hex").write_text("".join(f"{byte:02x}\n" for byte in target.read_bytes()))
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=1800)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("old", "new", "leds"), [("", "", "01"), ("plane(plane_out -", "~plane(plane_out -", "10")])
def test_leds(project: Path, old: str, new: str, leds: str) -> None:
    board = project / "hx8k_breakout.v"
    board.write_text(board.read_text().replace(old, new) if old else board.read_text())
    (project / "bench.v").write_text(BENCH)
    run(project, "iverilog", "-g2005", "-o", "bench.vvp", "hx8k_breakout.v", "tile.v", "bench.v")
    # ADD of 4 bits: a cycle to decode, one that clears the carry, 8 for each bit.
    assert run(project, "vvp", "-n", "bench.vvp").splitlines()[0] == f"led {1 + 1 + 8 * 4:06b}{leds}"


def test_program_is_as_long_as_the_board_thinks(project: Path) -> None:
    words = re.search(r"parameter WORDS = (\d+)", (project / "hx8k_breakout.v").read_text())
    assert words is not None
    assert len((project / "double.hex").read_text().split()) == 16 * int(words[1])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("yosys") is None, reason="a native Yosys is not installed")
@pytest.mark.skipif(shutil.which("nextpnr-ice40") is None, reason="nextpnr-ice40 is not installed")
@pytest.mark.skipif(shutil.which("icepack") is None, reason="icepack (fpga-icestorm) is not installed")
def test_bitstream(project: Path) -> None:
    run(project, "yosys", "-q", "hx8k_breakout.ys")
    options = ("--hx8k", "--package", "ct256", "--pcf", "hx8k_breakout.pcf", "--json", "hx8k_breakout.json")
    log = run(project, "nextpnr-ice40", *options, "--asc", "hx8k_breakout.asc")
    assert re.findall(r"Max frequency for clock .*: [\d.]+ MHz \(PASS at 12.00 MHz\)", log)
    run(project, "icepack", "hx8k_breakout.asc", "hx8k_breakout.bin")
    assert (project / "hx8k_breakout.bin").stat().st_size > 100_000
