"""Compares the ways of making passes: cycles, cells written and the size of the tile, on operations and on ResNet-8.

    python scripts/ablation.py                  everything; half an hour on two cores, most of it synthesis
    python scripts/ablation.py --quick          operations only, without synthesis

Every figure is measured on the generated Verilog under Verilator: cycles and cells written are the tile's own counters.
Cycles must equal the law (for skipped zero planes: the law given the counts of the golden tile), results those of the
golden tile; otherwise the script ends with status 1.  Sizes are generic gates by Yosys of config ``tiny`` with array
``cells``.  Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from golden import operators
from golden.engine import Bits, Job, Outcome
from golden.laws import run_law
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Owner, Program, ReduceKind, reduce_levels
from sim.host import Network
from sim.mapping.bits import from_bits, to_bits
from sim.mapping.zero_skip import with_zero_skip
from sim.models import data_file, load_model
from sim.pictures import load_inputs
from sim.rtl_engine import RtlEngine
from sim.synthesis import synthesise
from sim.tools import ToolError

VARIANTS: dict[str, dict[str, object]] = {
    "classical": {},
    "merged": {"passes": "merged"},
    "two_tags": {"passes": "two_tags"},
    "zero_skip": {"zero_skip": True},
}
"""Options of the config, by the name of the variant."""

PICTURE = "cifar10/cifar10_00_3.png"
WIDTH = 8
COMPARED = ("cycles.load", "cycles.compute", "cycles.reduce", "cycles.requantize", "cycles.store", "cycles.stall")


class DisagreementError(Exception):
    """Verilog, golden tile and law do not agree."""


class CheckedEngine:
    """The Verilog, whose every job is held against the golden tile and the law.

    Parameters
    ----------
    config : the tile.
    everything_loaded : jobs store no cell that they did not write, so results are compared too.
    """

    def __init__(self, config: TileConfig, *, everything_loaded: bool) -> None:
        """Start the simulator and the golden tile."""
        self.config, self.everything_loaded = config, everything_loaded
        self.rtl, self.golden = RtlEngine(config, seed=1), GoldenTile(config, 1)

    def run(self, job: Job) -> Outcome:
        """Run a job on both.

        Raises
        ------
        DisagreementError
            If planes, cycles or the law differ.
        """
        ours, expected = self.rtl.run(job), self.golden.run(job)
        law = run_law(job.program, self.config, skipped=self.golden.skipped_planes)
        if ours.error is not ErrorCode.NONE or expected.error is not ErrorCode.NONE:
            raise DisagreementError(f"config {self.config.name}: error {ErrorCode(ours.error).name}")
        for name in COMPARED:
            if not ours.counters[name] == expected.counters[name] == law[name]:
                raise DisagreementError(
                    f"config {self.config.name}: {name} is {ours.counters[name]} on the Verilog, "
                    f"{expected.counters[name]} on the golden tile, {law[name]} by the law"
                )
        if self.everything_loaded and any(
            not np.array_equal(one, other) for one, other in zip(ours.planes, expected.planes, strict=True)
        ):
            raise DisagreementError(f"config {self.config.name}: results differ from the golden tile")
        return ours

    def close(self) -> None:
        """End the simulator."""
        self.rtl.close()


def operations(config: TileConfig) -> Iterator[tuple[str, Instruction]]:
    """Instructions of 8-bit operands that additions are made of, and others for comparison."""
    a: dict[str, Any] = {"a": 0, "a_width": WIDTH}
    b: dict[str, Any] = {"b": 16, "b_width": WIDTH}
    levels = reduce_levels(config.taps)
    yield "ADD", Instruction(Opcode.ADD, **a, **b, d=40, d_width=1)
    yield "SUB", Instruction(Opcode.SUB, **a, **b, d=40, d_width=1)
    yield "RSUB", Instruction(Opcode.RSUB, **a, **b, d=40, d_width=1)
    yield "SUM", Instruction(Opcode.SUM, **a, **b, d=40, d_width=WIDTH + 1)
    yield "DIFF", Instruction(Opcode.DIFF, **a, **b, d=40, d_width=WIDTH + 1)
    yield "MUL", Instruction(Opcode.MUL, **a, **b, d=40, d_width=2 * WIDTH)
    yield (
        f"REDUCE of {config.taps} words, 1D",
        Instruction(
            Opcode.REDUCE,
            d=40,
            d_width=WIDTH + levels,
            a_width=WIDTH,
            kind=ReduceKind.SHIFT,
            constant=config.taps,
            p=60,
        ),
    )
    yield "MAX", Instruction(Opcode.MAX, **a, **b, d=40, d_width=1)
    yield "DOT, a below 16", Instruction(Opcode.DOT, **a, **b, kind=int(config.zero_skip))


def operation_job(instruction: Instruction, config: TileConfig) -> Job:
    """Random operands (the same for all variants), the instruction alone charged to REDUCE, and all columns stored."""
    bits: Bits = np.random.default_rng(1).integers(0, 2, (config.columns, config.rows), np.uint8)
    bits[40:] = 0
    if instruction.opcode == Opcode.DOT:
        bits[4:WIDTH] = 0
    if instruction.opcode == Opcode.REDUCE:
        bits[40 : 40 + WIDTH] = bits[:WIDTH]
    halves = [(first, min(64, config.columns - first)) for first in range(0, config.columns, 64)]
    program = Program.build(
        [
            *(Instruction(Opcode.LOAD, d=first, d_width=width, owner=Owner.LOAD) for first, width in halves),
            Instruction(Opcode.SYNC),
            dataclasses.replace(instruction, owner=Owner.REDUCE),
            *(Instruction(Opcode.STORE, a=first, a_width=width) for first, width in halves),
            Instruction(Opcode.HALT),
        ],
        config,
    )
    return Job(program, [bits[first : first + width] for first, width in halves])


def compare_operations() -> dict[str, dict[str, tuple[int, int]]]:
    """For every operation and variant the cycles (the decode cycle included) and the cells written."""
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for variant, options in VARIANTS.items():
        config = CONFIGS["small"].replace(name=f"small-{variant}", **options)
        print(f"operations, {variant}", file=sys.stderr)
        engine = CheckedEngine(config, everything_loaded=True)
        for name, instruction in operations(config):
            outcome = engine.run(operation_job(instruction, config))
            counters = outcome.counters
            table.setdefault(name, {})[variant] = counters["cycles.reduce"], counters["activity.cells_written"]
        engine.close()
    return table


def run_network(variant: str) -> tuple[int, int, tuple[int, ...]]:
    """ResNet-8 on one picture: cycles, cells written, logits."""
    config = CONFIGS["cap"].replace(name=f"cap-{variant}", activity=True, **VARIANTS[variant])
    print(f"ResNet-8, {variant}", file=sys.stderr)
    graph = load_model("resnet8")
    picture = graph.maps[graph.input]
    stored = load_inputs([str(data_file(PICTURE))], picture)[0].values.astype(np.int64) - picture.minimum
    network = Network(graph, config)
    engine = CheckedEngine(config, everything_loaded=False)
    cycles = written = 0
    expected = operators.run(graph, stored)
    maps = {graph.input: to_bits(stored, picture.bits)}
    for layer, plan in zip(graph.layers, network.plans, strict=True):
        jobs = tuple(with_zero_skip(job) for job in plan.jobs) if config.zero_skip else plan.jobs
        operands = [maps[name] for name in layer.inputs]
        searching = dataclasses.replace(plan, jobs=jobs)
        maps[layer.output], counters = network.run_layer(layer, searching, operands, engine)
        if not np.array_equal(from_bits(maps[layer.output]), expected[layer.output]):
            raise DisagreementError(f"layer {layer.name}: the map differs from the integer operators")
        cycles += sum(counters.get(name, 0) for name in COMPARED)
        written += counters.get("activity.cells_written", 0)
    engine.close()
    return cycles, written, tuple(from_bits(maps[graph.output]).reshape(-1).tolist())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="operations only")
    arguments = parser.parse_args()
    try:
        print("| operation, 8 bits, 256 rows | " + " | ".join(VARIANTS) + " |")
        print("| --- |" + " --- |" * len(VARIANTS))
        for name, row in compare_operations().items():
            print(
                f"| {name} | "
                + " | ".join(f"{cycles:,} cycles, {cells:,} cells" for cycles, cells in row.values())
                + " |"
            )
        if arguments.quick:
            return 0
        networks = {variant: run_network(variant) for variant in VARIANTS}
    except (DisagreementError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ToolError) else 1
    if len({logits for _, _, logits in networks.values()}) != 1:
        print("error: the logits differ between variants", file=sys.stderr)
        return 1
    print(
        "| ResNet-8, config cap | "
        + " | ".join(f"{cycles:,} cycles, {cells:,} cells" for cycles, cells, _ in networks.values())
        + " |"
    )
    areas = {
        variant: synthesise(CONFIGS["tiny"].replace(name=variant, array="cells", **options))
        for variant, options in VARIANTS.items()
    }
    print(
        "| config tiny, array cells | "
        + " | ".join(f"{area.flip_flops:,} flip-flops, {area.gates:,} gates" for area in areas.values())
        + " |"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
