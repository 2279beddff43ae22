"""Runs ResNet-8 in every mode on the generated Verilog and prints what each costs.

    python scripts/modes.py                  modes count, lut and constant with P = R and P = 64
    python scripts/modes.py --ternary        ternary weights in mode constant, with and without shared sums
    python scripts/modes.py --engine golden  the same on the golden tile, without a simulator

The first table runs all modes on the same tile, config ``cap2d``; the ternary network runs on config ``cap256``.  Every
map must equal the integer operators and every layer's cycles its law, else the script ends with status 1.  On Verilator
the first table takes about 15 minutes, the second about two.  Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from golden.engine import Engine
from golden.graph import Graph, Integers
from golden.ternary import ternarise
from hw.config import CONFIGS
from sim.engines import create_engine
from sim.errors import UserError, one_line
from sim.host import NetworkResult, run_graph
from sim.mapping.constant import additions
from sim.models import data_file, load_model
from sim.pictures import load_inputs

MODES = ("count", "lut", "constant")
PICTURE = "cifar10/cifar10_00_3.png"
ARRAY_CYCLES = ("cycles.compute", "cycles.reduce", "cycles.requantize")


class DisagreementError(Exception):
    """A map differs from the integer operators, cycles from the law, or logits between modes."""


def run(graph: Graph, values: Integers, engine: Engine, mode: str) -> NetworkResult:
    """One picture in one mode.

    Raises
    ------
    DisagreementError
        If a map or the cycles of a layer are not what they must be.
    """
    say(f"{graph.name}, mode {mode}, config {engine.config.name}")
    started = time.perf_counter()
    result = run_graph(graph, [values], engine, mode=mode)
    say(f"  {time.perf_counter() - started:.0f} s")
    for layer in result.layers:
        if layer.bit_exact is False:
            raise DisagreementError(f"layer {layer.plan.shape.name}: the map differs from the integer operators")
        if layer.cycles - layer.counters.get("cycles.stall", 0) != layer.law_cycles:
            raise DisagreementError(
                f"layer {layer.plan.shape.name}: {layer.cycles} cycles, the law says {layer.law_cycles}"
            )
    return result


def array_cycles(result: NetworkResult) -> int:
    """Cycles in which the array worked: all but loads, stores and stalls."""
    return sum(layer.counters.get(name, 0) for layer in result.layers for name in ARRAY_CYCLES)


def compare_modes(graph: Graph, values: Integers, engine_name: str) -> None:
    """Print the table of the modes.

    Raises
    ------
    DisagreementError
        As :func:`run`, and if the logits of two modes differ.
    """
    wide = CONFIGS["cap2d"]
    narrow = wide.replace(name="cap2d64", plane_bits=64)
    results = {(mode, config.plane_bits): NetworkResult([], []) for mode in MODES for config in (wide, narrow)}
    for config in (wide, narrow):
        engine = create_engine(engine_name, config)
        try:
            for mode in MODES:
                results[mode, config.plane_bits] = run(graph, values, engine, mode)
        finally:
            engine.close()
    if len({tuple(result.maps[0][graph.output].reshape(-1).tolist()) for result in results.values()}) != 1:
        raise DisagreementError("the logits differ between modes")
    rows = [
        (
            mode,
            array_cycles(results[mode, wide.plane_bits]),
            results[mode, wide.plane_bits].cycles,
            results[mode, narrow.plane_bits].cycles,
        )
        for mode in MODES
    ]
    print_table(("mode", "array cycles without loads", "total, P = R", "total, P = 64"), rows)


def show_ternary(graph: Graph, values: Integers, engine_name: str) -> None:
    """Print additions of every layer with and without shared sums, and its cycles."""
    engine = create_engine(engine_name, CONFIGS["cap256"])
    try:
        result = run(ternarise(graph), values, engine, "constant")
    finally:
        engine.close()
    rows: list[tuple[str, int, int, str, int]] = []
    for layer in result.layers:
        if layer.plan.mode == "constant":
            made, unshared = additions(layer.plan.jobs)
            rows.append((layer.plan.shape.name, unshared, made, saved(made, unshared), layer.cycles))
    before, after = sum(row[1] for row in rows), sum(row[2] for row in rows)
    rows.append(("all", before, after, saved(after, before), sum(row[4] for row in rows)))
    print_table(("layer", "additions of taps", "with shared sums", "saved", "cycles"), rows)


def saved(made: int, unshared: int) -> str:
    """The share of additions that are not made."""
    return f"{1 - made / unshared:.1%}" if unshared else "0.0%"


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print Markdown."""
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in row) + " |")


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--ternary", action="store_true", help="ternary weights in mode constant")
    parser.add_argument("--engine", choices=("rtl", "golden"), default="rtl", help="default: rtl")
    arguments = parser.parse_args()
    graph = load_model("resnet8")
    picture = graph.maps[graph.input]
    values = load_inputs([str(data_file(PICTURE))], picture)[0].values.astype(np.int64) - picture.minimum
    try:
        (show_ternary if arguments.ternary else compare_modes)(graph, values, arguments.engine)
    except DisagreementError as error:
        say(f"error: {one_line(error)}")
        return 1
    except UserError as error:
        say(f"error: {one_line(error)}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
