"""Measures how fast this machine generates, builds and simulates the tile, and prints one table.

    python scripts/benchmark.py                 ResNet-8 on config cap, some minutes with the cold build
    python scripts/benchmark.py --quick         the usual build cache, and one small layer instead of the network

A row's seconds are wall time of its layers, with everything that the host does for them: packing planes, cocotb, and
the transfer to and from the simulator.  Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden import operators
from golden.engine import Engine
from golden.graph import Graph, Integers, Reorder
from hw.config import TileConfig, load_config
from hw.counter_map import total_cycles
from hw.verilog import TOP
from sim.cache import cache_folder
from sim.cli import is_user_error
from sim.engines import create_engine
from sim.errors import one_line
from sim.files import check_output, write_output
from sim.host import Network
from sim.mapping.bits import from_bits, to_bits
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.report import SCHEMA, json_text, version
from sim.runner import build
from sim.tools import ToolError, find_compiler, find_simulator
from sim.verilog_cache import cached_tile_verilog

PICTURE = "cifar10/cifar10_00_3.png"
LAYER = "conv2"
SMALL_LAYER, SMALL_CONFIG = "fc1", "small"
MEBIBYTE = 1 << 20


@dataclass
class Speed:
    """One row: what ran for how long; rates are per second of wall time."""

    what: str
    config: str
    seconds: float
    cycles: int
    row_compares: int
    macs: int

    @property
    def rates(self) -> dict[str, float]:
        counts = {"cycles": self.cycles, "row_compares": self.row_compares, "macs": self.macs}
        return {f"{name}_per_s": count / self.seconds for name, count in counts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--config", metavar="NAME|FILE", default="cap", help="tile (default: cap)")
    parser.add_argument("--quick", action="store_true", help="use the build cache, and run one small layer only")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON as well, '-' for standard output")
    arguments = parser.parse_args()
    try:
        if arguments.json is not None:
            check_output(arguments.json, "--json file")
        config = load_config(arguments.config)
        result = measure(config, quick=arguments.quick)
    except Exception as error:
        if not is_user_error(error):
            raise
        say(f"error: {one_line(error)}")
        return 2
    if arguments.json is not None:
        write_output(arguments.json, json_text(result), "--json file")
    if arguments.json != "-":
        print(table(result))
    return 0


def measure(config: TileConfig, *, quick: bool) -> dict[str, Any]:
    """Measure everything, as JSON writes it."""
    graph = load_model("resnet8")
    picture = graph.maps[graph.input]
    values = load_inputs([str(data_file(PICTURE))], picture)[0].values.astype(np.int64) - picture.minimum
    maps = operators.run(graph, values)
    whole = [layer.name for layer in graph.layers]
    layers = [SMALL_LAYER] if quick else whole
    single = SMALL_LAYER if quick else LAYER

    say("machine")
    result: dict[str, Any] = {"schema": SCHEMA, "bfimna": version(), "config": config.as_dict(), "machine": machine()}
    with build_cache(quick):
        result["generate_s"], result["verilog_bytes"], text = generate(config)
        result["build_s"], result["build_cached_s"] = builds(text)
        speeds: list[Speed] = []
        say(f"rtl on verilator, config {config.name}: {', '.join(layers)}")
        started = time.perf_counter()
        engine = create_engine("rtl", config, simulator="verilator")
        result["start_s"] = time.perf_counter() - started
        try:
            speeds += rows("rtl, Verilator", run_layers(graph, maps, engine, layers), single)
            result["simulator_mib"] = children_peak() / MEBIBYTE
        finally:
            engine.close()
        speeds += icarus(graph, maps)
    say(f"golden, config {config.name}")
    speeds += rows("golden", run_layers(graph, maps, create_engine("golden", config), layers), single)
    say(f"model, config {config.name}")
    speeds += laws(graph, config)
    result["python_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE
    result["speeds"] = [asdict(speed) | speed.rates for speed in speeds]
    return result


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
    tools["load before"] = f"{os.getloadavg()[0]:.1f}"
    return {"cpu": model, "cores": os.cpu_count(), **tools}


def generate(config: TileConfig) -> tuple[float, int, str]:
    """Seconds, size and text of the Verilog, which goes to the cache; where it may be already."""
    say(f"Verilog of config {config.name}")
    started = time.perf_counter()
    text = cached_tile_verilog(config)
    return time.perf_counter() - started, len(text), text


@contextmanager
def build_cache(quick: bool) -> Iterator[None]:
    """A new, empty build cache, or with *quick* the usual one."""
    before = os.environ.get("BFIMNA_CACHE")
    if quick:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="bfimna-benchmark-") as folder:
        os.environ["BFIMNA_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["BFIMNA_CACHE"]
            else:
                os.environ["BFIMNA_CACHE"] = before


def builds(text: str) -> tuple[float | None, float]:
    """Seconds of a build, None where it was in the cache already, and of finding it built."""
    say(f"Verilator build in {cache_folder()}")
    first = build(text, TOP, "verilator")
    started = time.perf_counter()
    build(text, TOP, "verilator")
    return None if first.reused else first.seconds, time.perf_counter() - started


def run_layers(graph: Graph, maps: dict[str, Integers], engine: Engine, names: Sequence[str]) -> dict[str, Speed]:
    """Time layers one by one, each on the right input maps; a wrong result ends the benchmark."""
    network = Network(graph, engine.config)
    speeds: dict[str, Speed] = {}
    for layer, plan in zip(graph.layers, network.plans, strict=True):
        if layer.name not in names or isinstance(layer, Reorder):
            continue
        stored = [to_bits(maps[name], graph.maps[name].bits) for name in layer.inputs]
        started = time.perf_counter()
        output, counters = network.run_layer(layer, plan, stored, engine)
        seconds = time.perf_counter() - started
        if not np.array_equal(from_bits(output), maps[layer.output]):
            raise RuntimeError(f"layer {layer.name!r} differs from the integer operators")
        speeds[layer.name] = speed(layer.name, engine.config, seconds, counters, plan.shape.macs)
    return speeds


def speed(what: str, config: TileConfig, seconds: float, counters: dict[str, int], macs: int) -> Speed:
    return Speed(what, config.name, seconds, total_cycles(counters), counters["events.compares"] * config.rows, macs)


def rows(engine: str, speeds: dict[str, Speed], single: str) -> list[Speed]:
    """One row for a layer, and one for all of them where there are more."""
    one = speeds[single]
    found = [Speed(f"{engine}: {single}", one.config, one.seconds, one.cycles, one.row_compares, one.macs)]
    if len(speeds) > 1:
        found.append(
            Speed(
                f"{engine}: ResNet-8",
                one.config,
                sum(part.seconds for part in speeds.values()),
                sum(part.cycles for part in speeds.values()),
                sum(part.row_compares for part in speeds.values()),
                sum(part.macs for part in speeds.values()),
            )
        )
    return found


def icarus(graph: Graph, maps: dict[str, Integers]) -> list[Speed]:
    """A small layer on a small tile, where Icarus is found."""
    try:
        find_simulator("icarus")
    except ToolError as error:
        say(f"icarus is left out: {one_line(error)}")
        return []
    say(f"rtl on icarus, config {SMALL_CONFIG}: {SMALL_LAYER}")
    engine = create_engine("rtl", load_config(SMALL_CONFIG), simulator="icarus")
    try:
        return rows("rtl, Icarus", run_layers(graph, maps, engine, [SMALL_LAYER]), SMALL_LAYER)
    finally:
        engine.close()


def laws(graph: Graph, config: TileConfig) -> list[Speed]:
    """The cycle laws of the whole network, from its layers to counters, mapping included."""
    started = time.perf_counter()
    network = Network(graph, config)
    counters: dict[str, int] = {}
    for law in network.laws:
        for name, value in law.items():
            counters[name] = counters.get(name, 0) + value
    seconds = time.perf_counter() - started
    macs = sum(plan.shape.macs for plan in network.plans)
    return [speed("model: ResNet-8 (mapping included)", config, seconds, counters, macs)]


def children_peak() -> int:
    """The greatest peak of resident memory, in bytes, of this process's children that run now."""
    peak = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            pairs = (line.partition(":") for line in status.read_text(encoding="utf-8").splitlines())
            fields = {name: value.strip() for name, _, value in pairs}
        except OSError:
            continue  # it has ended
        if fields.get("PPid") == str(os.getpid()) and "VmHWM" in fields:
            peak = max(peak, int(fields["VmHWM"].split()[0]) * 1024)
    return peak


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    facts = result["machine"]
    tools = ", ".join(f"{name} {facts[name]}" for name in ("system", "python", "verilator", "icarus", "c++"))
    cold = result["build_s"]
    lines = [
        f"Machine: {facts['cpu']}, {facts['cores']} cores (load before: {facts['load before']}); {tools}",
        "",
        f"| once, config {result['config']['name']} | |",
        "| --- | ---: |",
        f"| write the Verilog ({result['verilog_bytes']:,} bytes) | {result['generate_s']:.1f} s |",
        f"| Verilator and C++ build, cold | {'cached' if cold is None else f'{cold:.1f} s'} |",
        f"| the same, found in the cache | {result['build_cached_s']:.2f} s |",
        f"| start of the simulator | {result['start_s']:.1f} s |",
        f"| peak memory of the simulator | {result['simulator_mib']:,.0f} MiB |",
        f"| peak memory of this benchmark | {result['python_mib']:,.0f} MiB |",
        "",
        "| engine and work | config | seconds | tile cycles | cycles/s | row-compares/s | MAC/s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["speeds"]:
        rates = " | ".join(f"{row[name]:,.0f}" for name in ("cycles_per_s", "row_compares_per_s", "macs_per_s"))
        lines.append(f"| {row['what']} | {row['config']} | {row['seconds']:.2f} | {row['cycles']:,} | {rates} |")
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
