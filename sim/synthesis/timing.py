"""The longest path of a netlist of standard cells, by OpenSTA."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sim.synthesis.yosys import error_text, find_program, run_tool, version_of
from sim.tools import ToolError

__all__ = ["OPENSTA_REMEDY", "Timing", "longest_path"]

OPENSTA_REMEDY = 'install the package "opensta" for the critical path'

_PERIOD_NS = 1000.0
_SCRIPT = f"""
read_liberty cells.lib
read_verilog netlist.v
link_design {{top}}
create_clock -name clk -period {_PERIOD_NS} [get_ports clk]
set_input_delay 0 -clock clk [all_inputs -no_clocks]
set_output_delay 0 -clock clk [all_outputs]
report_checks -path_delay max -digits 4
"""
_SLACK = re.compile(r"(-?\d+\.\d+)\s+slack")
_START, _END = re.compile(r"^Startpoint: (\S+)", re.MULTILINE), re.compile(r"^Endpoint: (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Timing:
    """The longest path.

    Parameters
    ----------
    tool : with its version.
    period_ns : the shortest clock period: the path and the setup time at its end.
    start, end : instances or ports between which it runs.
    """

    tool: str
    period_ns: float
    start: str
    end: str


def longest_path(place: Path, top: str) -> Timing:
    """The longest path of ``netlist.v`` in cells of ``cells.lib``, both in a folder; wires take no time.

    Inputs come at the clock edge, and outputs must be there at the next one. Modules that are not in the netlist, such
    as memories, have no paths through them.

    Raises
    ------
    ToolError
        If OpenSTA is missing, fails, or finds no path.
    """
    program = find_program("sta")
    if program is None:
        raise ToolError(f"OpenSTA (sta) was not found; {OPENSTA_REMEDY}")
    (place / "timing.tcl").write_text(_SCRIPT.format(top=top), encoding="utf-8")
    done = run_tool([program, "-no_init", "-no_splash", "-exit", "timing.tcl"], place)
    slack, start, end = (pattern.search(done.stdout) for pattern in (_SLACK, _START, _END))
    if done.returncode or not (slack and start and end):
        raise ToolError(f"OpenSTA (sta) found no path: {error_text(done.stdout + done.stderr) or 'it said nothing'}")
    version = version_of(program, "-version").removeprefix("sta").strip()
    return Timing(f"OpenSTA {version}".strip(), round(_PERIOD_NS - float(slack[1]), 3), start[1], end[1])
