"""Verilator's lint of generated Verilog, and the warnings that are waived."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

from sim.tools import find_verilator

__all__ = ["WAIVED", "lint"]

WAIVED = {
    "CASEINCOMPLETE": "what a process drives has a value before its cases; a latch would be named LATCH",
    "CMPCONST": "an index is at most the last one: the loop over the planes of a total compares with this as well",
    "DECLFILENAME": "all modules are in one file",
    "INITIALDLY": "the registers that start combinational processes in Icarus change at the end of the first time step",
    "PROCASSINIT": "registers have an initial value and change",
    "UNUSEDSIGNAL": "fields of structures, and carries beyond a result, are named although nothing reads them",
    "VARHIDDEN": "an instance is named as a port inside it, `address` of the gather unit",
    "WIDTHEXPAND": "Amaranth extends operands where Verilog does it by its own rules, which are the same for them",
    "WIDTHTRUNC": "likewise for results, of which the lower bits are meant",
}
"""Warnings of Verilator that say nothing about the design, and why; the same as in ``docs/verilog.md``."""


def lint(file: Path, top: str) -> Counter[str]:
    """Kinds of warnings and errors, and how many of each."""
    tool = find_verilator()
    process = subprocess.run(
        [str(tool.program), "--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, str(file)],
        env={**os.environ, **tool.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    kinds = Counter(re.findall(r"^%(?:Warning|Error)-?(\w*):", process.stderr, re.MULTILINE))
    assert process.returncode == 0 or "" in kinds, process.stderr
    return kinds
