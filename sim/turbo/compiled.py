"""Compiles a design and its harness into a shared library, once, and runs jobs on it through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from sim.builds import kept_build
from sim.process import execute
from sim.runtime_objects import RuntimeObjects
from sim.simulation_errors import BuildFailed
from sim.tools import Tool, find_compiler, find_simulator

__all__ = ["Bench", "Design", "Library", "State", "compiled"]

OPTIMISATION = "BFIMNA_TURBO_OPTIMISATION"
"""Environment variable: how the C++ compiler optimises; :data:`USUAL_OPTIMISATION` where it is not set."""

USUAL_OPTIMISATION = "-O3 -march=native"
"""Wide planes are worth the widest registers that the machine has, so a library is for machines like it only."""

RECIPE = 2
"""Counts changes of this file that make older libraries useless; part of every key."""

CHUNK_CYCLES = 1 << 20
"""After so many cycles Python looks whether it was interrupted."""

_HEADERS = tuple(Path(__file__).with_name(name) for name in ("bench.h", "calls.h"))
_MODEL = "model.h"
_CLOCK = re.compile(r"\b(\w*trigprevexpr\w*__clk__\d+)\b")
"""Where a model remembers what its clock was; without it a clock that falls costs an evaluation."""

_FLAGS = ("--cc", "--exe", "-Wno-fatal", "--no-timing", "-O3")
_LEFT = {".cpp", ".h", ".o", ".a", ".d", ".gch", ".fast", ".slow", ".dat", ".mk", ".v"}


class State(IntEnum):
    """How a run stands; see ``bench.h``."""

    RUNNING = 0
    ENDED = 1
    REFUSED = 2
    RESET = 3
    TIMED_OUT = 4


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is compiled.

    Parameters
    ----------
    verilog : text.
    top : name of its outermost module.
    harness : a C++ file that includes ``bench.h`` and ``calls.h``.
    constants : numbers that it needs, by the names that it has for them; ``COUNTER_COUNT`` is one.
    job, outcome : its structures.
    """

    verilog: str
    top: str
    harness: Path
    constants: Mapping[str, int]
    job: type[ctypes.Structure]
    outcome: type[ctypes.Structure]

    @property
    def prefix(self) -> str:
        """What Verilator calls the model."""
        return f"V{self.top}"

    @property
    def library(self) -> str:
        """Name of the file."""
        return f"{self.top}.so"


@dataclass(frozen=True)
class Library:
    """A compiled design.

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


class Bench:
    """One instance of a compiled design, with its state.

    Parameters
    ----------
    library : the design.
    seed : of its initial state.

    Attributes
    ----------
    seconds : within the compiled Verilog so far.
    """

    def __init__(self, library: Library, seed: int) -> None:
        self.seconds = 0.0
        self._calls = library.calls
        self._bench: int | None = self._calls.bench_create(seed)

    @property
    def closed(self) -> bool:
        """Whether it was closed, or interrupted in the middle of a job."""
        return self._bench is None

    def run(self, job: ctypes.Structure, outcome: ctypes.Structure) -> None:
        """Run a job to its end and fill in what came out; an interruption closes the bench, which must be open."""
        calls, bench = self._calls, self._bench
        calls.bench_begin(bench, ctypes.byref(job))
        started = time.perf_counter()
        try:
            while calls.bench_run(bench, CHUNK_CYCLES) == State.RUNNING:
                pass
        except BaseException:
            self.close()  # in the middle of a program nothing else could be run
            raise
        self.seconds += time.perf_counter() - started
        calls.bench_report(bench, ctypes.byref(outcome))

    def close(self) -> None:
        """Release the design."""
        if self._bench is not None:
            self._calls.bench_destroy(self._bench)
            self._bench = None


def compiled(design: Design) -> Library:
    """Compile a design, or find it compiled; safe to call from many processes at once.

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
        "top": design.top,
        "verilog": design.verilog,
        "harness": [path.read_text(encoding="utf-8") for path in (design.harness, *_HEADERS)],
        "constants": dict(design.constants),
    }

    def make(folder: Path) -> None:
        _compile(folder, design, tool, compiler, optimisation, RuntimeObjects(runtime))

    kept = kept_build(shape, make)
    return Library(_calls(kept.folder / design.library, design), tool, kept.folder, kept.seconds)


def _machine() -> str:
    """What decides the meaning of ``-march=native``: architecture and, where Linux says it, what the processor can."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return f"{platform.machine()} {hashlib.sha256(repr(features).encode()).hexdigest()[:16]}"


def _compile(
    folder: Path, design: Design, tool: Tool, compiler: Path, optimisation: str, runtime: RuntimeObjects
) -> None:
    """Verilate and compile in a folder; what only the compiler needed is gone afterwards."""
    source = f"{design.top}.v"
    (folder / source).write_text(design.verilog, encoding="utf-8")
    for header in _HEADERS:
        (folder / header.name).write_bytes(header.read_bytes())
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"} | tool.environment
    if tool.wheel:
        environment["PATH"] = os.pathsep.join([str(tool.program.parent), environment.get("PATH", "")])
    log = folder / "build.log"

    def run(*command: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            status = execute(command, folder=folder, environment=environment, log=file)
        if status != 0:
            raise BuildFailed(f"{design.top} does not compile on {tool.label} (status {status})", log)

    names = ("--prefix", design.prefix, "--top-module", design.top)
    position_independent = ("-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", "-o", design.library)
    run(str(tool.program), *_FLAGS, *names, *position_independent, "-Mdir", ".", source, str(design.harness))
    (folder / _MODEL).write_text(_model(folder, design), encoding="utf-8")
    runtime.bring(folder)
    variables = [f"OPT_FAST={optimisation}", f"CXX={compiler}", f"LINK={compiler}", *tool.make_variables]
    run("make", "-s", "-j", "2", "-f", f"{design.prefix}.mk", *variables)
    runtime.keep(folder)
    for left in folder.iterdir():
        if left.suffix in _LEFT and left.name != _MODEL:
            left.unlink()


def _model(folder: Path, design: Design) -> str:
    """What the harness has to know of a model."""
    root = folder / f"{design.prefix}___024root.h"
    clock = _CLOCK.search(root.read_text(encoding="utf-8")) if root.is_file() else None
    lines = [
        f'#include "{design.prefix}.h"',
        f"using Model = {design.prefix};",
        *(f"constexpr std::uint64_t {name} = {value};" for name, value in design.constants.items()),
    ]
    if clock is not None:
        lines += [f'#include "{root.name}"', f"#define CLOCK_BEFORE {clock[1]}"]
    return "\n".join(lines) + "\n"


def _calls(file: Path, design: Design) -> ctypes.CDLL:
    calls = ctypes.CDLL(str(file))
    calls.bench_create.argtypes = (ctypes.c_uint64,)
    calls.bench_create.restype = ctypes.c_void_p
    calls.bench_destroy.argtypes = (ctypes.c_void_p,)
    calls.bench_destroy.restype = None
    calls.bench_begin.argtypes = (ctypes.c_void_p, ctypes.POINTER(design.job))
    calls.bench_begin.restype = None
    calls.bench_run.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
    calls.bench_run.restype = ctypes.c_uint32
    calls.bench_report.argtypes = (ctypes.c_void_p, ctypes.POINTER(design.outcome))
    calls.bench_report.restype = None
    return calls
