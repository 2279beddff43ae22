"""Measures the simulation speed of this machine in one run, as rates and as ratios.

    python scripts/bench.py                    everything, with cold builds: about ten minutes
    python scripts/bench.py --quick            the usual build cache, fewer rounds, no scaling over rows and columns
    python scripts/bench.py --turbo-only       the compiled engine alone
    python scripts/bench.py --markdown         the tables as Markdown, as the README has them

Simulators run the same work: the DOTs of ResNet-8's second convolution on config cap, with all LOADs of planes, DRAINs
of sums and a STORE. The slow ones run its first outputs. Before anything is timed, counters and stored sums of each
simulator must equal the golden tile's.

Machines have other work: measurements take turns, a figure is the median of the rounds, and the best round is beside
it. A ratio is the median of the rounds' ratios. Seconds are wall time. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from golden import operators
from golden.engine import Bits, Engine, Job, Outcome, PackedPlanes
from golden.graph import Graph, Integers
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import Instruction, Opcode, Owner, Program
from sim.amaranth_engine import AmaranthEngine
from sim.cli import is_user_error
from sim.errors import one_line
from sim.files import check_output, write_output
from sim.host import Network, run_graph
from sim.mapping.bits import to_bits
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.report import SCHEMA, json_text, version
from sim.rtl_engine import RtlEngine
from sim.tools import ToolError, find_compiler, find_simulator
from sim.turbo.engine import TurboEngine
from sim.verilog_cache import cached_tile_verilog

ROOT = Path(__file__).resolve().parent.parent
PICTURES = "cifar10"
LAYER = "conv2"
CONFIG = "cap"
MEBIBYTE = 1 << 20

TURBO, COCOTB, ICARUS, AMARANTH = "turbo", "cocotb, Verilator", "cocotb, Icarus", "Amaranth's simulator"

PROCESSOR = "turbo, by processor time"

SHORT_DRAINS = 2
"""Outputs of a row block that slow simulators compute."""

ROUNDS, QUICK_ROUNDS = 5, 2

LEAST_SECONDS = 0.5
"""Work is repeated until a measurement takes so long."""

MARK_ROW_COMPARES = 4e9
MARK_RATIO = 5.0

TAPS = (4, 16, 75)
COLUMNS = (96, 128, 256)
"""Sizes of the scaling, with 64 outputs and a plane port as wide as the tile has rows."""


class WrongResultError(Exception):
    """A simulator differs from the golden tile, or a command fails."""


@dataclass(frozen=True)
class Work:
    """Jobs of the same tile, what the golden tile makes of them, and the products of numbers that they form."""

    config: TileConfig
    jobs: Sequence[Job]
    macs: int
    expected: Sequence[Outcome]

    @property
    def cycles(self) -> int:
        return sum(outcome.cycles for outcome in self.expected)

    @property
    def row_compares(self) -> int:
        return self.config.rows * sum(outcome.counters["events.compares"] for outcome in self.expected)


@dataclass
class Measured:
    """Rates of one simulator on some work, one for each round.

    Parameters
    ----------
    rates : simulated cycles per second of wall time.
    processor_rates : the same per second of this process's processor time, which other work on the machine takes
        nothing from; of use where the simulator is in this process.
    """

    what: str
    work: Work
    rates: list[float] = field(default_factory=list[float])
    processor_rates: list[float] = field(default_factory=list[float])

    def as_dict(self, ratios: Sequence[float] = (), *, processor: bool = False) -> dict[str, Any]:
        found = self.processor_rates if processor else self.rates
        per_cycle = {
            "cycles": 1.0,
            "row_compares": self.work.row_compares / self.work.cycles,
            "macs": self.work.macs / self.work.cycles,
        }
        rates = {
            f"{name}_per_s": {"median": factor * statistics.median(found), "best": factor * max(found)}
            for name, factor in per_cycle.items()
        }
        config = self.work.config
        return {
            "what": PROCESSOR if processor else self.what,
            "rows": config.rows,
            "columns": config.columns,
            "cycles": self.work.cycles,
            "rounds": found,
            **rates,
            "ratio": statistics.median(ratios) if ratios else None,
        }


@dataclass(frozen=True)
class Table:
    """A table: the first column is words, the others are numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


class Recorder:
    """An engine that keeps its jobs."""

    def __init__(self, config: TileConfig) -> None:
        self.config = config
        self.jobs: list[Job] = []
        self._golden = GoldenTile(config)

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return self._golden.run(job)

    def close(self) -> None:
        self._golden.close()


Contender = tuple[Callable[[], Engine], Work]
"""How to make a simulator, and its work."""


# ---- work


def picture_maps(graph: Graph) -> tuple[Integers, dict[str, Integers]]:
    """The stored numbers of a packaged picture, and all maps of the network by the integer operators."""
    picture = graph.maps[graph.input]
    values = load_inputs([str(pictures()[0])], picture)[0].values.astype(np.int64) - picture.minimum
    return values, operators.run(graph, values)


def pictures() -> list[Path]:
    return sorted(data_file(PICTURES).glob("*.png"))


def layer_jobs(graph: Graph, maps: Mapping[str, Integers], config: TileConfig) -> tuple[list[Job], int]:
    """Jobs of the layer on a tile, and its MACs."""
    layer = next(layer for layer in graph.layers if layer.name == LAYER)
    names = (*layer.inputs, layer.output)
    alone = dataclasses.replace(
        graph,
        input=layer.inputs[0],
        output=layer.output,
        maps={name: graph.maps[name] for name in names},
        layers=(layer,),
    )
    network = Network(alone, config)
    recorder = Recorder(config)
    stored = [to_bits(maps[name], graph.maps[name].bits) for name in layer.inputs]
    network.run_layer(layer, network.plans[0], stored, recorder)
    return recorder.jobs, network.plans[0].shape.macs


def dots_alone(job: Job, config: TileConfig, drains: int | None = None) -> Job:
    """A job up to its requantisation, or up to so many DRAINs, and a STORE of the columns that were drained to."""
    kept: list[Instruction] = []
    fields: dict[tuple[int, int], None] = {}
    left = drains
    for instruction in job.program.instructions:
        if instruction.owner in (Owner.REQUANTIZE, Owner.STORE) or left == 0:
            break
        kept.append(instruction)
        if instruction.opcode == Opcode.DRAIN:
            fields[instruction.d, instruction.d_width] = None
            left = None if left is None else left - 1
    kept += [Instruction(Opcode.STORE, a=first, a_width=width, owner=Owner.STORE) for first, width in fields]
    program = Program.build([*kept, Instruction(Opcode.HALT, owner=Owner.STORE)], config)
    loads = sum(instruction.opcode == Opcode.LOAD for instruction in kept)
    planes = job.planes
    if isinstance(planes, PackedPlanes):
        shapes = planes.shapes[:loads]
        size = int((shapes[:, 0] * -(-shapes[:, 1] // 8)).sum())
        return Job(program, PackedPlanes(planes.content[:size], shapes))
    return Job(program, planes[:loads])


def drains_of(jobs: Sequence[Job]) -> int:
    return sum(instruction.opcode == Opcode.DRAIN for job in jobs for instruction in job.program.instructions)


def dot_work(graph: Graph, maps: Mapping[str, Integers], config: TileConfig, *, short: bool = False) -> Work:
    """The layer's DOTs on a tile; the first ones of its first job if *short*."""
    jobs, macs = layer_jobs(graph, maps, config)
    whole = drains_of(jobs)
    chosen = [dots_alone(job, config, SHORT_DRAINS if short else None) for job in (jobs[:1] if short else jobs)]
    golden = GoldenTile(config)
    return Work(config, chosen, macs * drains_of(chosen) // whole, [golden.run(job) for job in chosen])


def check(what: str, engine: Engine, work: Work) -> None:
    """Run the work once; a simulator whose counters or drained sums differ from the golden tile's ends everything."""
    for job, expected in zip(work.jobs, work.expected, strict=True):
        found = engine.run(job)
        counters = {name: value for name, value in expected.counters.items() if not name.startswith("identity.")}
        if {name: found.counters.get(name) for name in counters} != counters:
            raise WrongResultError(f"{what}: counters {found.counters} must be {counters}")
        rows = drained_rows(job.program, work.config)
        if not same_planes(found.planes, expected.planes, rows):
            raise WrongResultError(f"{what}: stored sums differ from the golden tile's")


def drained_rows(program: Program, config: TileConfig) -> list[int]:
    """Rows that DRAINs wrote; other rows of their columns hold what the tile began with."""
    blocks = {instruction.constant for instruction in program.instructions if instruction.opcode == Opcode.DRAIN}
    return [block * config.outputs + output for block in sorted(blocks) for output in range(config.outputs)]


def same_planes(ours: Sequence[Bits], theirs: Sequence[Bits], rows: Sequence[int]) -> bool:
    return len(ours) == len(theirs) > 0 and all(
        np.array_equal(our[:, rows], their[:, rows]) for our, their in zip(ours, theirs, strict=True)
    )


# ---- measurements


def run_once(measured: Measured, engine: Engine) -> None:
    """Measure one round: the work, repeated for a while."""
    cycles, started, processor = 0, time.perf_counter(), time.process_time()
    while True:
        for job in measured.work.jobs:
            cycles += engine.run(job).cycles
        seconds = time.perf_counter() - started
        if seconds >= LEAST_SECONDS:
            break
    measured.rates.append(cycles / seconds)
    measured.processor_rates.append(cycles / (time.process_time() - processor))


def by_turns(contenders: Sequence[tuple[Measured, Engine]], rounds: int) -> None:
    """Measure all of them in each round."""
    for measured, engine in contenders:
        check(measured.what, engine, measured.work)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: {', '.join(measured.what for measured, _ in contenders)}")
        for measured, engine in contenders:
            run_once(measured, engine)


def simulators(graph: Graph, maps: Mapping[str, Integers], *, turbo_only: bool) -> dict[str, Contender]:
    """How to make each simulator that is there, and its work."""
    config = CONFIGS[CONFIG]
    whole = dot_work(graph, maps, config)
    made: dict[str, Contender] = {TURBO: (lambda: TurboEngine(config), whole)}
    if turbo_only:
        return made
    short = dot_work(graph, maps, config, short=True)
    made[COCOTB] = (lambda: RtlEngine(config), whole)
    try:
        find_simulator("icarus")
    except ToolError as error:
        say(f"Icarus is left out: {one_line(error)}")
    else:
        made[ICARUS] = (lambda: RtlEngine(config, "icarus"), short)
    made[AMARANTH] = (lambda: AmaranthEngine(config), short)
    return made


def compare(made: Mapping[str, Contender], rounds: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Build all simulators, then time them; returns builds and speeds.

    Each must give what the golden tile does for the smallest work of all, and for its own.
    """
    smallest = min((work for _, work in made.values()), key=lambda work: work.cycles)
    builds: list[dict[str, Any]] = []
    with ExitStack() as stack:
        contenders: list[tuple[Measured, Engine]] = []
        for what, (make, work) in made.items():
            say(f"build: {what}")
            started = time.perf_counter()
            engine = make()
            whole = time.perf_counter() - started
            stack.callback(engine.close)
            builds.append({"what": what, **build_seconds(engine, whole), "peak_mib": children_peak()})
            contenders.append((Measured(what, work), engine))
            check(what, engine, smallest)
        by_turns(contenders, rounds)
    first = contenders[0][0].rates
    speeds: list[dict[str, Any]] = []
    for measured, _ in contenders:
        ratios = [fast / slow for fast, slow in zip(first, measured.rates, strict=True)]
        speeds.append(measured.as_dict(ratios))
        if measured.what == TURBO:
            speeds.append(measured.as_dict(processor=True))
    return builds, speeds


def build_seconds(engine: Engine, whole: float) -> dict[str, float | None]:
    """Seconds of a build, None where it was found in the cache, and of what came after it."""
    if isinstance(engine, TurboEngine):
        made = engine.library.seconds
    elif isinstance(engine, RtlEngine):
        made = engine.build.seconds
    else:
        made = whole
    return {"build_s": made or None, "start_s": whole - made}


def scaling(graph: Graph, maps: Mapping[str, Integers], rounds: int) -> list[dict[str, Any]]:
    """The compiled engine on tiles of other rows and columns."""
    usual = CONFIGS[CONFIG]
    sizes = [(taps, usual.columns) for taps in TAPS] + [(usual.taps, columns) for columns in COLUMNS]
    with ExitStack() as stack:
        contenders: list[tuple[Measured, Engine]] = []
        for taps, columns in dict.fromkeys(sizes):
            rows = taps * usual.outputs
            config = usual.replace(name=f"{rows}x{columns}", taps=taps, columns=columns, plane_bits=rows)
            say(f"build: {TURBO}, {rows:,} rows x {columns} columns")
            engine = stack.enter_context(TurboEngine(config))
            contenders.append((Measured(TURBO, dot_work(graph, maps, config)), engine))
        by_turns(contenders, rounds)
    return [measured.as_dict() for measured, _ in contenders]


def shares(graph: Graph, values: Integers, rounds: int) -> dict[str, Any]:
    """Where the time of ResNet-8 on the compiled engine goes, with everything built and loaded."""
    config = CONFIGS[CONFIG]
    started = time.perf_counter()
    network = Network(graph, config)
    plan_seconds = time.perf_counter() - started
    found: list[dict[str, float]] = []
    cycles = 0
    with TurboEngine(config) as engine:
        run_graph(graph, [values], engine, network=network)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: ResNet-8")
            started = time.perf_counter()
            operators.run(graph, values)  # what a run compares with; comparing takes next to nothing
            checking = time.perf_counter() - started
            before = engine.seconds
            started = time.perf_counter()
            result = run_graph(graph, [values], engine, network=network)
            whole = time.perf_counter() - started
            simulated = engine.seconds - before
            if not all(layer.bit_exact and layer.cycles == layer.law_cycles for layer in result.layers):
                raise WrongResultError("ResNet-8 on turbo differs from the integer operators or the laws")
            cycles = result.cycles
            found.append(
                {
                    "seconds": whole,
                    "simulation": simulated / whole,
                    "checking": checking / whole,
                    "data_movement": 1.0 - (simulated + checking) / whole,
                    "cycles_per_s": cycles / whole,
                }
            )
    medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {"cycles": cycles, "plan_s": plan_seconds, **medians, "rounds": found}


def commands(rounds: int, *, quick: bool, turbo_only: bool) -> list[dict[str, Any]]:
    """Wall time and peak memory of whole commands, by turns, with warm caches."""
    many = [str(path) for path in pictures()[: 2 if quick else None]]
    # A seed of its own: two runs that are the same would share a journal, which only one of them may write.
    usual = ["run", "resnet8", "--config", CONFIG, "--seed", str(os.getpid())]
    lines = {f"one picture, {TURBO}": [*usual, "--engine", "turbo", "--input", many[0]]}
    if not turbo_only:
        lines[f"one picture, {COCOTB}"] = [*usual, "--engine", "rtl", "--input", many[0]]
    for jobs in (1, 2):
        line = [*usual, "--engine", "turbo", "--jobs", str(jobs), "--input", *many]
        lines[f"{len(many)} pictures, {TURBO}, --jobs {jobs}"] = line
    seconds: dict[str, list[float]] = {what: [] for what in lines}
    peaks = dict.fromkeys(lines, 0.0)
    for number in range(rounds):
        for what, line in lines.items():
            say(f"round {number + 1} of {rounds}: bfimna run resnet8, {what}")
            elapsed, peak = command(line)
            seconds[what].append(elapsed)
            peaks[what] = max(peaks[what], peak)
    return [
        {
            "what": what,
            "median_s": statistics.median(seconds[what]),
            "best_s": min(seconds[what]),
            "rounds": seconds[what],
            "peak_mib": peaks[what],
        }
        for what in lines
    ]


LAUNCHER = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""
"""Runs a command: a process counts as large as the one that starts it was, so that one must be small."""


def command(words: Sequence[str]) -> tuple[float, float]:
    """Seconds of a command of bfimna, and MiB of the largest of its processes."""
    line = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, "-m", "sim", *words]
    done = subprocess.run(line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WrongResultError(f"bfimna {shlex.join(words)} failed: {' '.join(done.stderr.split()[-40:])}")
    seconds, kibibytes = map(float, done.stdout.split())
    return seconds, kibibytes * 1024 / MEBIBYTE


def children_peak() -> float | None:
    """MiB of the largest process that this one started and that has ended, None if none was larger than this one."""
    own, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return others * 1024 / MEBIBYTE if others > own else None


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        named = [line for line in cpus.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    tools: dict[str, str] = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in ("verilator", "icarus"):
        try:
            tools[name] = find_simulator(name).version
        except ToolError as error:
            tools[name] = f"missing ({one_line(error)})"
    compiler = subprocess.run([str(find_compiler()), "--version"], capture_output=True, text=True, check=False)
    tools["c++"] = compiler.stdout.partition("\n")[0].partition(" ")[2]
    return {"cpu": model, "cores": os.cpu_count(), **tools, "load_before": os.getloadavg()[0]}


@contextmanager
def build_cache(*, usual: bool) -> Iterator[None]:
    """A new, empty cache, or the usual one."""
    before = os.environ.get("BFIMNA_CACHE")
    if usual:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="bfimna-bench-") as folder:
        os.environ["BFIMNA_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["BFIMNA_CACHE"]
            else:
                os.environ["BFIMNA_CACHE"] = before


def measure(*, quick: bool, turbo_only: bool, rounds: int) -> dict[str, Any]:
    """Measure everything, as JSON writes it."""
    result: dict[str, Any] = {"schema": SCHEMA, "bfimna": version(), "machine": machine(), "rounds": rounds}
    graph = load_model("resnet8")
    values, maps = picture_maps(graph)
    with build_cache(usual=quick):
        say(f"Verilog of config {CONFIG}")
        started = time.perf_counter()
        text = cached_tile_verilog(CONFIGS[CONFIG])
        result["verilog"] = {"seconds": time.perf_counter() - started, "bytes": len(text), "cold": not quick}
        made = simulators(graph, maps, turbo_only=turbo_only)
        result["builds"], result["speeds"] = compare(made, rounds)
        result["scaling"] = [] if quick else scaling(graph, maps, rounds)
        result["resnet8"] = shares(graph, values, rounds)
        result["commands"] = commands(rounds, quick=quick, turbo_only=turbo_only)
    result["marks"] = marks(result)
    return result


def marks(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was to be reached, and what was, by medians."""
    speeds = {row["what"]: row for row in result["speeds"]}
    reached = speeds[TURBO]["row_compares_per_s"]["median"]
    found = [{"what": f"row-compares/s, {TURBO}", "mark": MARK_ROW_COMPARES, "measured": reached}]
    if COCOTB in speeds:
        ratio = speeds[COCOTB]["ratio"]
        found.append({"what": f"cycles/s, {TURBO} to {COCOTB}", "mark": MARK_RATIO, "measured": ratio})
    return [{**mark, "reached": mark["measured"] >= mark["mark"]} for mark in found]


# ---- tables


def tables(result: Mapping[str, Any]) -> list[Table]:
    """What is shown."""
    shown = [speed_table(result["speeds"]), build_table(result)]
    if result["scaling"]:
        shown.append(scaling_table(result["scaling"]))
    shown += [share_table(result["resnet8"]), command_table(result["commands"]), mark_table(result["marks"])]
    return shown


def speed_table(speeds: Sequence[Mapping[str, Any]]) -> Table:
    headings = ("DOTs of conv2", "cycles", "cycles/s", "best", "row-compares/s", "MAC/s", "turbo is faster")
    return Table(headings, [(row["what"], *rates(row), times(row["ratio"])) for row in speeds])


def scaling_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    headings = ("turbo, rows x columns", "cycles", "cycles/s", "best", "row-compares/s", "MAC/s")
    return Table(headings, [(f"{row['rows']:,} x {row['columns']}", *rates(row)) for row in rows])


def rates(row: Mapping[str, Any]) -> list[str]:
    cycles = row["cycles_per_s"]
    others = [f"{row[name]['median']:.3g}" for name in ("row_compares_per_s", "macs_per_s")]
    return [f"{row['cycles']:,}", f"{cycles['median']:,.0f}", f"{cycles['best']:,.0f}", *others]


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.2f} x" if ratio < 100 else f"{ratio:,.0f} x"


def build_table(result: Mapping[str, Any]) -> Table:
    verilog = result["verilog"]
    rows = [(f"Verilog ({verilog['bytes']:,} bytes)", f"{verilog['seconds']:.1f} s", "")]
    for build in result["builds"]:
        made = "in the cache" if build["build_s"] is None else f"{build['build_s']:.1f} s"
        rows.append((build["what"], made, f"{build['start_s']:.2f} s"))
    peak = max((build["peak_mib"] or 0.0 for build in result["builds"]), default=0.0)
    if peak:
        rows.append(("largest process of these", f"{peak:,.0f} MiB", ""))
    return Table((f"once, config {CONFIG}", "build, cold" if verilog["cold"] else "build", "start"), rows)


def share_table(found: Mapping[str, Any]) -> Table:
    rows = [
        ("simulation", f"{found['simulation']:.0%}"),
        ("data movement", f"{found['data_movement']:.0%}"),
        ("checking", f"{found['checking']:.0%}"),
        ("all", f"{found['seconds']:.2f} s"),
        ("cycles/s of all", f"{found['cycles_per_s']:,.0f}"),
        ("mapping, once before", f"{found['plan_s']:.2f} s"),
    ]
    return Table(("ResNet-8 on turbo, in a process that runs", "share"), rows)


def command_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    headings = ("`bfimna run resnet8 --config cap`, warm cache", "seconds", "best", "largest process")
    cells = [
        (row["what"], f"{row['median_s']:.2f}", f"{row['best_s']:.2f}", f"{row['peak_mib']:,.0f} MiB") for row in rows
    ]
    return Table(headings, cells)


def mark_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        (row["what"], f"{row['mark']:.3g}", f"{row['measured']:.3g}", "yes" if row["reached"] else "no") for row in rows
    ]
    return Table(("mark", "at least", "measured", "reached"), cells)


def machine_line(result: Mapping[str, Any]) -> str:
    facts = result["machine"]
    tools = ", ".join(f"{name} {facts[name]}" for name in ("system", "python", "verilator", "icarus", "c++"))
    rounds = f"{result['rounds']} rounds"
    return f"{facts['cpu']}, {facts['cores']} cores (load before: {facts['load_before']:.1f}); {tools}; {rounds}"


def as_markdown(result: Mapping[str, Any]) -> str:
    lines = textwrap.wrap(f"`{result['command']}` on {machine_line(result)}", 120, break_on_hyphens=False)
    for table in tables(result):
        lines += ["", line_of(table.headings), line_of(["---", *(["---:"] * (len(table.headings) - 1))])]
        lines += [line_of(row) for row in table.rows]
    return "\n".join(lines)


def line_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def print_tables(result: Mapping[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    console.print(result["command"], soft_wrap=True)
    console.print(machine_line(result), soft_wrap=True)
    for table in tables(result):
        drawn = RichTable(box=box.SIMPLE_HEAD)
        for number, heading in enumerate(table.headings):
            drawn.add_column(heading, justify="right" if number else "left", no_wrap=True)
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)


def command_line(arguments: argparse.Namespace) -> str:
    """The command, without what changes no figure."""
    chosen = [f"--{name.replace('_', '-')}" for name in ("quick", "turbo_only") if getattr(arguments, name)]
    return shlex.join(["python", "scripts/bench.py", *chosen])


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="use the build cache, fewer rounds, no scaling over sizes")
    parser.add_argument("--turbo-only", action="store_true", help="leave the other simulators out")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON as well, '-' for standard output")
    parser.add_argument("--markdown", action="store_true", help="print tables as Markdown")
    arguments = parser.parse_args(words)
    try:
        if arguments.json is not None:
            check_output(arguments.json, "--json file")
        rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
        result = measure(quick=arguments.quick, turbo_only=arguments.turbo_only, rounds=rounds)
    except WrongResultError as error:
        say(f"error: {one_line(error)}")
        return 1
    except Exception as error:
        if not is_user_error(error):
            raise
        say(f"error: {one_line(error)}")
        return 2
    result["command"] = command_line(arguments)
    if arguments.json is not None:
        write_output(arguments.json, json_text(result), "--json file")
    if arguments.json != "-":
        if arguments.markdown:
            print(as_markdown(result))
        else:
            print_tables(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
