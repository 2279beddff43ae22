"""How well moving planes and requantising hide behind dot products: a 3x3 convolution in steady state.

Runs the second convolution of ResNet-8 (16 to 16 channels, maps 32 columns wide) on one cluster, on the Verilog, with
maps of four and of eight sets of rows. What eight take more than four is the steady state: no filling, no last
requantisation. The table shows how the CAPs and MAPs spent these cycles, by their counters, for several ratios of CAPs
to MAPs, port widths P and widths of numbers, and what bounds the layer.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

import numpy as np

from golden import widths
from golden.graph import Graph
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from sim.accelerator.run import run_inputs
from sim.models import load_model

LAYER = 1
SETS = (4, 8)
BASE = ACCELERATORS["mesh1x1"]
BUSY_ENOUGH = 0.8
BOUNDS = {"planes": "movement (gather unit)", "room": "requantisation (MAP)", "program": "programs", "idle": "nothing"}


def one_layer(graph: Graph, rows: int) -> Graph:
    """The layer alone, on maps of so many rows."""
    layer = graph.layers[LAYER]
    maps = {
        name: dataclasses.replace(graph.maps[name], shape=(rows, *graph.maps[name].shape[1:]))
        for name in (*layer.inputs, layer.output)
    }
    return Graph(layer.name, layer.inputs[0], layer.output, maps, (layer,))


def variant(maps: int, plane_bits: int) -> AcceleratorConfig:
    """One cluster of two CAPs with so many MAPs and a port of so many bits; its memories hold all in one phase."""
    cap, memory = (tile.replace(plane_bits=plane_bits) for tile in (BASE.cap, BASE.map))
    return BASE.replace(name=f"overlap-{maps}-{plane_bits}", maps=maps, cap=cap, map=memory, program_words=8192)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="rtl", choices=("rtl", "model"), help="the Verilog, or the law alone")
    arguments = parser.parse_args()
    network = load_model("resnet8")
    print("| CAPs : MAPs | P | bits | cycles for a set | CAPs busy | planes | room | idle | MAPs busy | bound by |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for maps in (2, 1):
        for plane_bits in (256, 64):
            config = variant(maps, plane_bits)
            for bits in (8, 4):
                row(config, network if bits == 8 else widths.apply(network, bits), bits, arguments.engine)
    return 0


def row(config: AcceleratorConfig, network: Graph, bits: int, engine: str) -> None:
    """Measure and print one row."""
    rng = np.random.default_rng(1)
    rows_of_set = config.outputs // network.maps[network.layers[LAYER].output].shape[1]
    states: list[dict[str, dict[str, int]]] = []
    cycles: list[int] = []
    for sets in SETS:
        graph = one_layer(network, sets * rows_of_set)
        source = graph.maps[graph.input]
        values = rng.integers(0, 1 << source.bits, source.shape)
        result, _ = run_inputs(graph, config, [values], engine)
        compute = [phase for phase in result.accelerator.phases if phase.kind == "compute"]
        if len(compute) != 1:
            sys.exit(f"{config.name}: the layer must be one phase, not {len(compute)}")
        for layer in result.layers:
            if layer.bit_exact is False or layer.cycles.total != layer.cycles.law:
                sys.exit(f"{config.name}: results or cycles differ from integer operators and law")
        states.append(result.accelerator.states)
        cycles += compute[0].cycles
    spent = {
        kind: {name: states[1][kind][name] - states[0][kind][name] for name in states[0][kind]} for kind in states[0]
    }
    longer = cycles[1] - cycles[0]
    # CAPs work in compute phases alone, so the rest of such a phase is their idle time.
    spent["cap"]["idle"] = longer * config.caps - sum(value for name, value in spent["cap"].items() if name != "idle")
    parts = {name: value / (longer * config.caps) for name, value in spent["cap"].items()}
    bound = "compute" if parts["busy"] >= BUSY_ENOUGH else BOUNDS[max(BOUNDS, key=lambda name: parts[name])]
    memory = spent["map"]["busy"] / (longer * config.maps)
    ratio, each = config.caps // config.maps, longer / (SETS[1] - SETS[0])
    shown = " | ".join(f"{parts[name]:.1%}" for name in ("busy", "planes", "room", "idle"))
    print(
        f"| {ratio} : 1 | {config.cap.plane_bits} | {bits} | {each:,.0f} | {shown} | {memory:.1%} | {bound} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
