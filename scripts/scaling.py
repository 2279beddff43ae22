"""ResNet-8 on meshes of several sizes: cycles, what the tiles did, and what bounds the run, as a Markdown table.

CAPs wait for *windows* (of the gather unit), for *MAPs* (no room for sums, or nothing left to do while MAPs still work
on the layer), and while maps are *exchanged*. Every row is one picture through the Verilog of the accelerator in
Verilator, unless ``--engine model`` asks for the law alone. The logits must equal the integer operators', and all
cycles the law, or the script fails.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from golden import widths
from hw.accelerator.config import ACCELERATORS
from sim.accelerator.run import AcceleratorResult, run_inputs
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.report import LayerReport

CONFIGS = ("mesh1x1", "mesh1x2", "mesh2x2", "mesh2x2-1to1", "mesh4x4")
WORKING = ("compute", "elementwise")
PICTURE = "cifar10/cifar10_00_3.png"

BOUNDS = {
    "windows": "gather units",
    "MAPs": "requantisation and ADD in the MAPs",
    "exchanges": "exchanges of maps",
}
"""What holds the CAPs up, by the part of their time that is largest after computing."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", default=CONFIGS, choices=list(ACCELERATORS), help="rows of the table")
    parser.add_argument("--engine", default="rtl", choices=("rtl", "model"), help="the Verilog, or the law alone")
    parser.add_argument("--bits", type=int, default=8, help="width of all layers")
    arguments = parser.parse_args()
    graph = load_model("resnet8")
    source = graph.maps[graph.input]
    values = load_inputs([data_file(PICTURE)], source)[0].values.astype(np.int64) - source.minimum
    if arguments.bits != 8:
        narrow = widths.apply(graph, arguments.bits)
        values, graph = widths.resample(values, source, narrow.maps[narrow.input].bits), narrow

    print("| config | clusters | CAPs | MAPs | cycles | faster | CAPs busy | windows | MAPs | exchanges | bound by |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    first: int | None = None
    for name in arguments.configs:
        config = ACCELERATORS[name]
        result, _ = run_inputs(graph, config, [values], arguments.engine)
        check(result, name)
        cycles = sum(layer.cycles.total for layer in result.layers)
        first = first or cycles
        parts = shares(result)
        bound = BOUNDS[max(BOUNDS, key=lambda part: parts[part])]
        shown = " | ".join(f"{share:.0%}" for share in parts.values())
        print(
            f"| `{name}` | {config.clusters} | {config.clusters * config.caps} | {config.clusters * config.maps} | "
            f"{cycles:,} | {first / cycles:.2f} | {shown} | {bound} |",
            flush=True,
        )
    return 0


def shares(result: AcceleratorResult) -> dict[str, float]:
    """Parts of the CAPs' time: busy, waiting for windows, for MAPs, and idle while maps are exchanged.

    A CAP waits for MAPs where it has no room for sums, and where it is through while MAPs still work in the same phase.
    """
    states, phases = result.accelerator.states["cap"], result.accelerator.phases
    total = sum(states.values())
    every = sum(cycles for phase in phases for cycles in phase.cycles)
    apart = sum(cycles for phase in phases if phase.kind not in WORKING for cycles in phase.cycles)
    exchanges = apart * total // every
    maps = states["room"] + states["idle"] - exchanges
    return {
        "busy": states["busy"] / total,
        "windows": (states["planes"] + states["program"]) / total,
        "MAPs": maps / total,
        "exchanges": exchanges / total,
    }


def check(result: AcceleratorResult, name: str) -> None:
    """Stop where anything that should be equal is not."""
    layers: list[LayerReport] = result.layers
    wrong = [layer.name for layer in layers if layer.bit_exact is False or layer.cycles.total != layer.cycles.law]
    if wrong or result.accelerator.states != result.accelerator.law_states:
        sys.exit(f"{name}: results or cycles differ in {', '.join(wrong) or 'the states of tiles'}")


if __name__ == "__main__":
    sys.exit(main())
