"""Events that energy follows from: what an evaluation counts by the laws, golden tile and Verilog count as well."""

from __future__ import annotations

import numpy as np
import pytest

from golden.graph import Graph
from golden.laws import LawEngine
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import LoadKind, Opcode
from sim.evaluate.cost import Events
from sim.evaluate.evaluate import evaluate
from sim.evaluate.widths import Widths
from sim.host import LayerResult, NetworkResult, run_graph
from sim.models import data_file, load_model
from sim.networks.load import load_network
from sim.pictures import load_inputs
from sim.rtl_engine import RtlEngine
from tests.sim.reference import assert_same_counters, clear, counted

CAP, SMALL = CONFIGS["cap"], CONFIGS["small"]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("resnet8")


def run(graph: Graph, engine: RtlEngine | GoldenTile | LawEngine) -> NetworkResult:
    """One picture; on tiles that hold anything, all cells are cleared before."""
    (found,) = load_inputs([data_file("cifar10/cifar10_00_3.png")], graph.maps[graph.input])
    if not isinstance(engine, LawEngine):
        clear(engine)
    return run_graph(graph, [found.values.astype(np.int64) + 128], engine)


def counted_events(layer: LayerResult, config: TileConfig) -> Events:
    """Events of a layer from the counters of the tile, and from the programs that ran on it."""
    counters, rows = layer.counters, config.rows
    dots = loaded = stored = weights = 0
    for job in layer.plan.jobs:
        for op in job.program.executed():
            if op.opcode == Opcode.DOT:
                dots += op.a_width * op.b_width
            elif op.opcode == Opcode.LOAD:
                bits = {LoadKind.PLANES: rows, LoadKind.TAG: rows, LoadKind.TAPS: rows}.get(
                    LoadKind(op.kind), config.outputs
                )
                loaded += op.d_width * bits
                weights += op.d_width * config.taps if op.kind == LoadKind.TAPS else 0
            elif op.opcode == Opcode.DRAIN:
                loaded += op.d_width * config.outputs
            elif op.opcode == Opcode.STORE:
                stored += op.a_width * (rows if op.kind in (0, 4) else config.outputs)
    return Events(
        compares=counters["events.compares"],
        compared_rows=counters["events.compares"] * rows,
        compared_cells=counters["events.compared_columns"] * rows,
        counted_rows=dots * rows,
        writes=counters["events.writes"],
        driven_cells=counters["events.written_columns"] * rows,
        loaded_cells=loaded,
        stored_bits=stored,
        memory_bits=weights,
        instructions=counters["events.instructions"],
        tile_cycles=sum(value for name, value in counters.items() if name.startswith("cycles.")),
    )


@pytest.mark.slow
def test_schedule_events_of_the_model_are_those_of_the_verilog(graph: Graph) -> None:
    evaluated = evaluate(load_network("resnet8"), Widths(uniform=8), CAP)
    with RtlEngine(CAP, "verilator") as engine:
        result = run(graph, engine)
    model = run(graph, LawEngine(CAP))
    assert len(result.layers) == len(model.layers) == len(evaluated.layers) == 15
    for ours, law, cost in zip(result.layers, model.layers, evaluated.layers, strict=True):
        name = ours.plan.shape.name
        # The model's counters are all but the activity: compares, writes, columns, instructions and port steps.
        assert counted(ours.counters) == counted(law.counters), name
        assert not ours.plan.jobs or "events.port_steps" in counted(law.counters)
        if ours.plan.jobs:
            assert cost.name == name
            assert cost.events == counted_events(ours, CAP), name
    assert evaluated.events.tile_cycles == evaluated.total == result.cycles


@pytest.mark.slow
def test_activity_of_the_golden_tile_is_that_of_the_verilog(graph: Graph) -> None:
    """Rows matched and cells written of every layer; tests/sim/test_models_rtl.py compares generated networks."""
    with RtlEngine(SMALL, "verilator") as engine:
        result = run(graph, engine)
    assert_same_counters(result, run(graph, GoldenTile(SMALL)))
    for layer in result.layers:
        if layer.plan.jobs:
            assert layer.counters["activity.rows_matched"] + layer.counters["activity.cells_written"] > 0
