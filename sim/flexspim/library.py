"""Compiles a macro and its harness into a shared library, once, and calls it through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
from enum import IntEnum
from pathlib import Path

from hw.flexspim.config import MacroConfig
from hw.flexspim.counter_map import MACRO_COUNTERS
from hw.flexspim.verilog import TOP
from sim.builds import kept_build
from sim.process import execute
from sim.runtime_objects import RuntimeObjects
from sim.simulation_errors import BuildFailed
from sim.tools import find_compiler, find_simulator
from sim.turbo.library import OPTIMISATION, USUAL_OPTIMISATION

__all__ = ["Job", "Outcome", "State", "event_bytes", "macro_library", "row_bytes"]

HARNESS = Path(__file__).with_name("harness.cpp")
RECIPE = 1
"""Counts changes of this file that make older libraries useless; part of every key."""

_PREFIX = "Vmacro"
_LIBRARY = "macro.so"
_CLOCK = re.compile(r"\b(\w*trigprevexpr\w*__clk__\d+)\b")
_FLAGS = ("--cc", "--exe", "-Wno-fatal", "--no-timing", "-O3", "--prefix", _PREFIX, "--top-module", TOP)
_LEFT = {".cpp", ".h", ".o", ".a", ".d", ".gch", ".fast", ".slow", ".dat", ".mk", ".v"}


class State(IntEnum):
    """How a run stands."""

    RUNNING = 0
    ENDED = 1
    REFUSED = 2
    TIMED_OUT = 3


class Job(ctypes.Structure):
    """A program with its rows and events; see ``harness.cpp``."""

    _fields_ = (
        ("words", ctypes.c_void_p * 3),
        ("counts", ctypes.c_uint64 * 3),
        ("stall_probability", ctypes.c_double),
        ("seed", ctypes.c_uint64),
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
        ("taken", ctypes.c_uint64 * 3),
        ("given", ctypes.c_uint64 * 2),
        ("words", ctypes.c_void_p * 2),
        ("counters", ctypes.c_uint64 * len(MACRO_COUNTERS)),
    )


def row_bytes(config: MacroConfig) -> int:
    """Bytes of a row."""
    return -(-config.columns // 8)


def event_bytes(config: MacroConfig) -> int:
    """Bytes of a word of events."""
    return -(-config.event_bits // 8)


def macro_library(verilog: str, config: MacroConfig) -> ctypes.CDLL:
    """Compile a macro, or find it compiled; safe to call from many processes at once.

    Parameters
    ----------
    verilog : text of the macro.
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
        "engine": "macro",
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
        "sizes": [config.columns, config.event_bits],
    }

    def make(folder: Path) -> None:
        (folder / "macro.v").write_text(verilog, encoding="utf-8")
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
        run(str(tool.program), *_FLAGS, *position_independent, "-Mdir", ".", "macro.v", str(HARNESS))
        (folder / "model.h").write_text(_model(folder, config), encoding="utf-8")
        objects = RuntimeObjects(runtime)
        objects.bring(folder)
        variables = [f"OPT_FAST={optimisation}", f"CXX={compiler}", f"LINK={compiler}", *tool.make_variables]
        run("make", "-s", "-j", "2", "-f", f"{_PREFIX}.mk", *variables)
        objects.keep(folder)
        for left in folder.iterdir():
            if left.suffix in _LEFT:
                left.unlink()

    kept = kept_build(shape, make)
    return _calls(kept.folder / _LIBRARY)


def _machine() -> str:
    """What decides the meaning of ``-march=native``: architecture and, where Linux says it, what the processor can."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return f"{platform.machine()} {hashlib.sha256(repr(features).encode()).hexdigest()[:16]}"


def _model(folder: Path, config: MacroConfig) -> str:
    """What the harness has to know of a model."""
    root = folder / f"{_PREFIX}___024root.h"
    clock = _CLOCK.search(root.read_text(encoding="utf-8")) if root.is_file() else None
    lines = [
        f'#include "{_PREFIX}.h"',
        f"using Model = {_PREFIX};",
        f"constexpr unsigned COUNTER_COUNT = {len(MACRO_COUNTERS)};",
        f"constexpr std::uint64_t ROW_BYTES = {row_bytes(config)};",
        f"constexpr std::uint64_t EVENT_BYTES = {event_bytes(config)};",
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
