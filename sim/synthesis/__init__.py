"""Size and speed of a tile, by open tools: Yosys, nextpnr and OpenSTA.

:func:`report` maps a tile to an FPGA family or to standard cells and says what each of its blocks takes.
"""

from sim.synthesis.flow import report
from sim.synthesis.generic import Area, synthesise
from sim.synthesis.reports import Report
from sim.synthesis.table import print_report
from sim.synthesis.targets import TARGETS
from sim.synthesis.yosys import find_yosys

__all__ = ["TARGETS", "Area", "Report", "find_yosys", "print_report", "report", "synthesise"]
