"""Constraints: the clock, delays, and a line to fill in for every bit of ports that may be pins."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hw.config import CONFIGS
from sim.verilog.constraints import CONSTRAINTS, WIDEST_PINS
from sim.verilog.parts import find_part
from sim.verilog.ports import Port, ports

LIBRARY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
FEW = [
    Port("clk", "in", 1, "clock"),
    Port("rst", "in", 1, "reset"),
    Port("a", "in", 2, "number"),
    Port("y", "out", 1, "flag"),
    Port("z", "out", 65, "wide"),
]


def test_timing() -> None:
    assert CONSTRAINTS["sdc"]("t", FEW, 8.0) == (
        "# Timing of t. Times are in ns.\n"
        "set period 8.000\n"
        "# Assumed: 30% of the period pass outside, before inputs are there and after outputs are given.\n"
        "set outside [expr {0.3 * $period}]\n"
        "create_clock -name clk -period $period [get_ports clk]\n"
        "# The reset is synchronous: it is an input like the others, and no false path.\n"
        "set_input_delay $outside -clock clk [get_ports {\n  rst\n  a[*]\n}]\n"
        "set_output_delay $outside -clock clk [get_ports {\n  y\n  z[*]\n}]\n"
    )


@pytest.mark.parametrize(
    ("suffix", "clock", "lines"),
    [
        ("pcf", "set_frequency clk 125.000", ["# set_io rst PIN", "# set_io a[1] PIN"]),
        (
            "lpf",
            'FREQUENCY PORT "clk" 125.000 MHZ;',
            ['# LOCATE COMP "a[0]" SITE "PIN"; IOBUF PORT "a[0]" IO_TYPE=LVCMOS33;'],
        ),
        (
            "xdc",
            "create_clock -name clk -period 8.000 [get_ports clk]",
            ["# set_property -dict {PACKAGE_PIN PIN IOSTANDARD LVCMOS33} [get_ports {y}]"],
        ),
    ],
)  # fmt: skip
def test_pins(suffix: str, clock: str, lines: list[str]) -> None:
    text = CONSTRAINTS[suffix]("t", FEW, 8.0)
    active = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert active == [clock]
    assert set(lines) <= set(text.splitlines())
    assert "# z[64:0], out: 65 bits, to be kept inside" in text
    assert text.count("PIN") - text.count("_PIN") == 6  # in the heading, and 5 bits


@pytest.mark.parametrize("suffix", CONSTRAINTS)
def test_every_port_is_there(suffix: str) -> None:
    found = ports(find_part(CONFIGS["cap"]).component)
    text = CONSTRAINTS[suffix]("tile", found, 10.0)
    for port in found:
        wide = port.width > WIDEST_PINS and suffix != "sdc"
        bit = rf"{port.name}\[{port.width - 1}:0\]" if wide else rf"\b{port.name}\b"
        assert re.search(bit, text), port.name
    assert len(text) < 100_000


@pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA (sta) is not installed")
@pytest.mark.skipif(not LIBRARY.is_file(), reason="the cells of qflow-tech-osu018 are not installed")
def test_opensta_takes_the_timing(tmp_path: Path) -> None:
    declared = "input clk, rst; input [1:0] a; output y; output [64:0] z;"
    cells = "NAND2X1 b(.A(a[1]), .B(rst), .Y(y)); " + " ".join(
        f"INVX1 c{bit}(.A(a[0]), .Y(z[{bit}]));" for bit in range(65)
    )
    (tmp_path / "t.v").write_text(f"module t(clk, rst, a, y, z); {declared} {cells} endmodule\n")
    (tmp_path / "t.sdc").write_text(CONSTRAINTS["sdc"]("t", FEW, 8.0))
    script = f"read_liberty {LIBRARY}\nread_verilog t.v\nlink_design t\nsource t.sdc\ncheck_setup -verbose\nexit\n"
    (tmp_path / "t.tcl").write_text(script)
    done = subprocess.run(
        ["sta", "-no_splash", "-exit", "t.tcl"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
