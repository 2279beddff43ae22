"""Waves as FST, which is much smaller than VCD and opens faster, by GTKWave's own converter."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from sim.tools import ToolError

__all__ = ["find_converter", "to_fst"]


def find_converter(path: str | None = None) -> str:
    """Return the program ``vcd2fst``, searching *path* (default: ``PATH``).

    Raises
    ------
    ToolError
        If it is missing.
    """
    program = shutil.which("vcd2fst", path=path)
    if program is None:
        raise ToolError('waves as FST need vcd2fst, which was not found: install the package "gtkwave", or write .vcd')
    return program


def to_fst(waves: Path, target: Path) -> None:
    """Convert a VCD file.

    Raises
    ------
    ToolError
        If the converter is missing or fails.
    """
    done = subprocess.run(
        [find_converter(), str(waves), str(target)], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode or not target.is_file():
        said = " ".join((done.stderr or done.stdout).split())
        raise ToolError(f"vcd2fst must convert {waves.name}, it ended with status {done.returncode}: {said}")
