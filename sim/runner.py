"""Builds a design for a simulator once, and runs cocotb test modules on it: the only place that knows how.

::

    Verilog text --build()--> <cache>/builds/<key>/  --run()--> <a fresh folder>/results.xml, sim.log
                  (once per key, under a lock)        (as often as one likes, in parallel)

A build's key is a hash of everything that shapes it: the Verilog, its toplevel, the flags, the versions of the
simulator and of cocotb. A run that proves nothing is an error: no test executed, the simulator crashed, or an assertion
that Icarus only prints.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO
from xml.etree import ElementTree

import cocotb
import cocotb_tools.config
from cocotb_tools import runner as cocotb_runner

from sim.builds import kept_build
from sim.cache import STAMP, cache_folder, touch
from sim.cache_holds import hold
from sim.process import execute
from sim.runtime_objects import RuntimeObjects
from sim.simulation_errors import (
    LOG_LINES,
    AssertionPrinted,
    BuildFailed,
    NoTestsRan,
    SimulationError,
    SimulatorCrashed,
    TestsFailed,
    end_of,
)
from sim.tools import Tool, ToolError, find_compiler, find_simulator

__all__ = [
    "AssertionPrinted",
    "Build",
    "BuildFailed",
    "NoTestsRan",
    "RunResult",
    "SimulationError",
    "SimulatorCrashed",
    "TestsFailed",
    "build",
    "run",
]

Waves = Literal["", "vcd", "fst"]

OPTIMISATION = "BFIMNA_OPTIMISATION"
"""Environment variable: how the C++ compiler optimises what simulations spend their time in, -O2 where it is not set.
Short runs are sooner done with -O0 or -O1, as builds take less time: the compiler optimises less, and it reads a design
as one file instead of precompiling headers, which pays with large designs at -O2 only."""

USUAL_OPTIMISATION = "-O2"

RECIPE = 1
"""Counts changes of this file that make older builds useless; part of every key."""

BUILD_JOBS = 2
"""C++ compilers that a build runs at once."""

_HIERARCHICAL = "--hierarchical"

PORT_PATTERN_SINCE = (5, 44)
"""The first Verilator whose control files surely have a pattern for the ports of a module."""


@dataclass(frozen=True)
class Build:
    """A compiled design, ready to be run any number of times, also by several processes at once.

    Parameters
    ----------
    tool : the simulator it is for.
    toplevel : name of the top module.
    folder : where it lies; belongs to the cache.
    key : hash of everything that shaped it.
    waves : format in which it can record waves, or an empty string.
    seconds : wall time of compiling it now, 0.0 when an earlier build was found.
    """

    tool: Tool
    toplevel: str
    folder: Path
    key: str
    waves: Waves
    seconds: float

    @property
    def reused(self) -> bool:
        """Whether an earlier build was found."""
        return self.seconds == 0.0


@dataclass(frozen=True)
class RunResult:
    """A run in which every test passed.

    Parameters
    ----------
    results_xml, log, folder : what cocotb and the simulator wrote, and the folder it is in.
    seconds : wall time.
    tests : names of the tests that ran, at least one.
    waves : the wave file, if one was asked for.
    """

    results_xml: Path
    log: Path
    folder: Path
    seconds: float
    tests: tuple[str, ...]
    waves: Path | None


def build(
    verilog: str | Sequence[Path],
    toplevel: str,
    simulator: str,
    *,
    waves: Waves = "",
    public: Sequence[tuple[str, str]] = (),
    full_visibility: bool = False,
    blocks: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> Build:
    """Compile a design for a simulator, or find it compiled.

    Safe to call from many processes at once: one builds, the others wait and use its result. An interrupted build
    leaves nothing that is taken for a finished one.

    Parameters
    ----------
    verilog : the text of the design, or files of it.
    toplevel : name of the top module. Verilator shows cocotb only the ports of it.
    simulator : ``"verilator"`` or ``"icarus"``.
    waves : format of waves that runs may record; ``"fst"`` with Verilator needs the headers of lz4 and zlib.
    public : more that Verilator shows cocotb, as pairs of a module and a signal, both of which may hold ``*``.
    full_visibility : let Verilator show everything, which is slow; for debugging.
    blocks : modules that Verilator compiles once each, however many instances a design has; without waves only. Nothing
        inside of them can be shown.
    arguments : further arguments for the simulator's compiler.

    Raises
    ------
    ToolError
        If the simulator or a compiler that it needs is missing or too old.
    BuildFailed
        If the design does not compile.
    """
    tool = find_simulator(simulator)
    texts = [verilog] if isinstance(verilog, str) else [path.read_text(encoding="utf-8") for path in verilog]
    control = _control_file(tool, toplevel, public) if tool.name == "verilator" and not full_visibility else ""
    if blocks and control and not waves:
        control += "".join(f'hier_block -module "{block}"\n' for block in blocks)
        arguments = [*arguments, _HIERARCHICAL]
    shape = {
        "recipe": RECIPE,
        "verilog": texts,
        "toplevel": toplevel,
        "tool": tool.label,
        "wheel": tool.wheel,
        "cocotb": cocotb.__version__,
        "libraries": str(cocotb_tools.config.libs_dir),
        "machine": platform.machine(),
        "waves": waves,
        "control": control,
        "arguments": list(arguments),
    }

    def make(folder: Path) -> None:
        _compile(tool, toplevel, folder, texts, control, waves, arguments)

    kept = kept_build(shape, make)
    return Build(tool, toplevel, kept.folder, kept.key, waves, kept.seconds)


def run(
    built: Build,
    test_module: str | Path,
    *,
    seed: int = 1,
    waves: Path | None = None,
    environment: Mapping[str, str] | None = None,
    testcase: str | Sequence[str] | None = None,
    plusargs: Sequence[str] = (),
    folder: Path | None = None,
    timeout: float | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Run the cocotb tests of a module on a compiled design, in a folder of its own.

    Registers without an initial value start with bits drawn from *seed* in Verilator, and with X in Icarus.

    Parameters
    ----------
    built : what :func:`build` returned.
    test_module : dotted name of a module that this process could import, or a file; a file's folder is put on the path.
    seed : of cocotb's random numbers, and of Verilator's initial state.
    waves : a file that records the waves; its suffix is the format that *built* has.
    environment : further variables for the test bench; they win over this process's own.
    testcase : name or names of tests; others are left out.
    plusargs : further arguments for the simulation.
    folder : where results and log go (default: a new folder in the cache that is kept for a day).
    timeout : seconds after which the simulation is killed.
    cancel : kills the simulation once another thread sets it; the run then ends with :class:`SimulatorCrashed`.

    Raises
    ------
    TestsFailed, NoTestsRan, SimulatorCrashed, AssertionPrinted
        See there; every run either proved something or raises.
    ValueError
        If *waves* has another format than *built*.
    """
    if waves is not None and waves.suffix != f".{built.waves}":
        rule = f"must end in .{built.waves}, as the build records it" if built.waves else "need a build with waves"
        raise ValueError(f"waves {waves.name!r} {rule}")
    if folder is None:
        root = cache_folder()
        folder = Path(tempfile.mkdtemp(prefix=f"{built.toplevel}-", dir=root / "runs"))
        hold(root, f"runs/{folder.name}")
    folder.mkdir(parents=True, exist_ok=True)
    touch(built.folder / STAMP)
    name, path = _module_and_path(test_module)
    results = folder / "results.xml"
    log = folder / "sim.log"
    results.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    simulation = _RUNNERS[built.tool.name](built.tool, waves=built.waves, timeout=timeout, cancel=cancel)
    simulation.wave_file = None if waves is None else waves.absolute()
    started = time.monotonic()
    # Under pytest cocotb ends the process itself when a test fails; the results file says more, so it is asked below.
    with suppress(SystemExit):
        simulation.test(
            test_module=name,
            hdl_toplevel=built.toplevel,
            hdl_toplevel_lang="verilog",
            build_dir=built.folder,
            test_dir=folder,
            results_xml=str(results.absolute()),
            log_file=log,
            seed=seed,
            plusargs=[*simulation.initial_state(seed), *plusargs],
            testcase=testcase,
            extra_env={
                **({} if environment is None else environment),
                "PYTHONPATH": os.pathsep.join([*path, *filter(None, sys.path)]),
            },
        )
    seconds = time.monotonic() - started
    where = f"{name} on {built.tool.name}"
    tests = _passed(results, log, where, simulation.status)
    if built.tool.name == "icarus":
        _refuse_assertions(log, where)
    return RunResult(results, log, folder, seconds, tests, waves)


class _Mixin(cocotb_runner.Runner):
    """What both simulators share: our tool, our environment, and processes that never outlive us."""

    def __init__(
        self, tool: Tool, *, waves: Waves, timeout: float | None = None, cancel: threading.Event | None = None
    ) -> None:
        self.tool = tool
        self.wave_format = waves
        self.wave_file: Path | None = None
        self.timeout = timeout
        self.cancel = cancel
        self.status = 0
        super().__init__()
        self.log.setLevel(logging.CRITICAL)  # our exceptions say it better

    def _simulator_in_path(self) -> None:
        pass  # the tool was found before

    def _set_env_common(self) -> None:
        # The base class lets this process's variables win over the caller's; here it is the other way round, and
        # variables that would silently change which tests run are not passed on.
        wanted = dict(self.env)
        super()._set_env_common()
        for name in ("COCOTB_TESTCASE", "COCOTB_TEST_FILTER", "COCOTB_LIST_TESTS", "COCOTB_RANDOM_SEED", "MAKEFLAGS"):
            self.env.pop(name, None)
        self.env.update(wanted)
        self.env.update(self.tool.environment)
        if self.tool.wheel:
            self.env["PATH"] = os.pathsep.join([str(self.tool.program.parent), self.env["PATH"]])

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: cocotb_runner.PathLike, stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            self._prepare(command, Path(cwd))
            self.status = execute(
                command,
                folder=Path(cwd),
                environment=self.env,
                log=stdout,
                timeout=self.timeout,
                cancel=self.cancel,
            )
            if self.status != 0:
                raise SystemExit(self.status)

    def _prepare(self, command: Sequence[str], folder: Path) -> None:
        """Do what helps a command that is about to be executed."""

    def initial_state(self, seed: int) -> list[str]:
        """Return the arguments that draw the initial state of the simulation from *seed*."""
        del seed
        return []


class _Verilator(_Mixin, cocotb_runner.Verilator):
    """Verilator with only chosen signals visible, optimised where it matters."""

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(self.tool.program)

    def _build_command(self) -> list[list[str]]:
        self.waves = bool(self.wave_format)
        verilate, make = super()._build_command()
        if any(source.suffix == ".vlt" for source in self.sources):
            verilate.remove("--public-flat-rw")
        make[make.index("-j") + 1] = str(BUILD_JOBS)
        if _HIERARCHICAL in verilate:
            # What makes the blocks, each in a folder of its own, and then the design.
            makefile = make.index("-f") + 1
            make[makefile] = make[makefile].replace(".mk", "_hier.mk")
        # Only the files that simulating spends its time in; -CFLAGS would also optimise big symbol tables.
        optimisation = os.environ.get(OPTIMISATION, USUAL_OPTIMISATION)
        make += [f"OPT_FAST={optimisation}", *self.tool.make_variables]
        if optimisation != USUAL_OPTIMISATION:
            make.append("VM_PARALLEL_BUILDS=0")
        if self.tool.wheel:
            make += [f"{name}={find_compiler()}" for name in ("CXX", "LINK")]
        shape = {
            "recipe": RECIPE,
            "tool": self.tool.label,
            "wheel": self.tool.wheel,
            "waves": self.wave_format,
            "compiler": str(find_compiler()),
            "variables": [word for word in make if "=" in word],
            "machine": platform.machine(),
        }
        self._runtime = RuntimeObjects(shape)
        return [verilate, make]

    def _prepare(self, command: Sequence[str], folder: Path) -> None:
        if command[0] == "make":
            self._runtime.bring(folder)

    def keep_runtime(self, folder: Path) -> None:
        """Keep the compiled runtime for other builds."""
        self._runtime.keep(folder)

    def _test_command(self) -> list[list[str]]:
        self.waves = self.wave_file is not None
        self.test_args = ["--trace-file", str(self.wave_file)] if self.waves else []
        return super()._test_command()

    def initial_state(self, seed: int) -> list[str]:
        return ["+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 1) + 1}"]


class _Icarus(_Mixin, cocotb_runner.Icarus):
    """Icarus, recording waves only when asked for.

    COCOTB_TRUST_INERTIAL_WRITES stays off: with it Icarus 11 lets a write after a rising edge take effect at that same
    edge, where Verilator waits for the next. ``Clock(..., impl="gpi")`` brings the speed without the danger.
    """

    def _build_command(self) -> list[list[str]]:
        self.waves = bool(self.wave_format)
        commands = super()._build_command()
        return [[str(self.tool.program), *command[1:]] for command in commands]

    def _set_env_test(self) -> None:
        super()._set_env_test()
        self.env["COCOTB_TRUST_INERTIAL_WRITES"] = "0"

    def _test_command(self) -> list[list[str]]:
        self.waves = False
        if self.wave_file is not None:
            self.plusargs = [f"+dumpfile_path={self.wave_file}", f"-{self.wave_format}", *self.plusargs]
        (command,) = super()._test_command()
        if self.wave_file is not None:
            command.remove("-none")
        # -n: an interrupt or $stop ends the simulation instead of asking a person what to do.
        command.insert(command.index("-m"), "-n")
        return [command]


_RUNNERS: dict[str, type[_Verilator | _Icarus]] = {"verilator": _Verilator, "icarus": _Icarus}


def _compile(
    tool: Tool,
    toplevel: str,
    folder: Path,
    texts: Sequence[str],
    control: str,
    waves: Waves,
    arguments: Sequence[str],
) -> None:
    """Write the sources into *folder* and compile them there."""
    sources: list[Path] = []
    if control:
        sources.append(folder / "public.vlt")
        sources[0].write_text(control, encoding="utf-8")
    for number, text in enumerate(texts):
        sources.append(folder / f"design{number}.v")
        sources[-1].write_text(text, encoding="utf-8")
    options: list[str] = []
    if tool.name == "verilator":
        find_compiler()
        options = ["-Wno-fatal", "--assert", "--no-timing"]
        if waves:
            # Signals beyond Verilator's limits would silently be missing from the waves.
            options += ["--trace-max-array", "65536", "--trace-max-width", "65536"]
        if waves == "fst":
            _need_fst_headers()
            options.append("--trace-fst")
    log = folder / "build.log"
    compiler = _RUNNERS[tool.name](tool, waves=waves)
    try:
        compiler.build(
            sources=sources,
            hdl_toplevel=toplevel,
            build_dir=folder,
            build_args=[*options, *arguments],
            timescale=("1ns", "1ps"),
            always=True,
            waves=bool(waves),
            log_file=log,
        )
    except SystemExit as error:
        raise BuildFailed(f"{toplevel} does not compile on {tool.label} (status {compiler.status})", log) from error
    if isinstance(compiler, _Verilator):
        compiler.keep_runtime(folder)
        for left in folder.rglob("*"):
            if left.suffix in {".cpp", ".h", ".o", ".a", ".d", ".gch", ".fast", ".slow", ".dat", ".mk"}:
                left.unlink()


def _control_file(tool: Tool, toplevel: str, public: Sequence[tuple[str, str]]) -> str:
    """Return Verilator's control file that shows cocotb the ports of *toplevel* and what *public* names."""
    # Without it all signals of the top module become public, which costs speed only.
    kind = "port" if tuple(map(int, tool.version.split("."))) >= PORT_PATTERN_SINCE else "var"
    lines = ["`verilator_config", f'public_flat_rw -module "{toplevel}" -{kind} "*"']
    lines += [f'public_flat_rw -module "{module}" -var "{signal_name}"' for module, signal_name in public]
    return "\n".join(lines) + "\n"


def _need_fst_headers() -> None:
    """Raise where Verilator's FST writer would not compile."""
    program = "#include <lz4.h>\n#include <zlib.h>\n"
    command = [str(find_compiler()), "-fsyntax-only", "-x", "c++", "-"]
    if subprocess.run(command, input=program, text=True, capture_output=True, check=False).returncode != 0:
        raise ToolError(
            "FST waves on Verilator need the headers of lz4 and zlib; "
            'install the packages "liblz4-dev zlib1g-dev", or record VCD'
        )


def _module_and_path(test_module: str | Path) -> tuple[str, list[str]]:
    """Return the name under which the simulator imports *test_module*, and what its path needs for that."""
    if isinstance(test_module, str) and not test_module.endswith(".py"):
        return test_module, []
    file = Path(test_module).absolute()
    if not file.is_file():
        raise FileNotFoundError(f"test module {file} does not exist")
    return file.stem, [str(file.parent)]


def _passed(results: Path, log: Path, where: str, status: int) -> tuple[str, ...]:
    """Return the names of the tests that ran, all of which passed."""
    ran: list[str] = []
    failed: list[str] = []
    try:
        cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        if any("No tests were discovered" in line for line in end_of(log, LOG_LINES)):
            raise NoTestsRan(f"{where}: no test ran (0 skipped)", log) from error
        raise SimulatorCrashed(f"{where}: {_how_it_ended(status)} and left no results", log) from error
    for case in cases:
        if case.find("skipped") is not None:
            continue
        ran.append(case.get("name", "?"))
        for kind in ("failure", "error"):
            for report in case.findall(kind):
                text = report.get("message") or report.get("error_msg") or (report.text or "").strip() or "no message"
                failed.append(f"{ran[-1]}: {text}")
    if failed:
        raise TestsFailed(f"{where}: {len(failed)} of {len(ran)} tests failed\n" + "\n".join(failed), log)
    if status != 0:
        raise SimulatorCrashed(f"{where}: {_how_it_ended(status)}", log)
    if not ran:
        raise NoTestsRan(f"{where}: no test ran ({len(cases)} skipped)", log)
    return tuple(ran)


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"the simulator was ended by {signal.Signals(-status).name}"
    return f"the simulator ended with status {status}"


def _refuse_assertions(log: Path, where: str) -> None:
    """Raise if *log* holds an assertion of the design that failed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        if re.match(r"\s*(ERROR:|FATAL:|Assert)", line):
            raise AssertionPrinted(f"{where}: an assertion of the design failed: {line.strip()}", log)
