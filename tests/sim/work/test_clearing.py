"""A cleared tile: the same in whatever state it was, on the golden tile and on the Verilog."""

from __future__ import annotations

import numpy as np
import pytest

from golden.engine import Engine, Job, Outcome, TileError
from golden.graph import Graph
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Program, StoreKind
from sim.engines import create_engine
from sim.work.clearing import ClearedTile, clearing_program
from sim.work.maps import pack_numbers
from sim.work.units import LayerPart, LayerUnit, Work, Worker
from tests.sim.mapping_graphs import random_graph, random_input

SMALL = CONFIGS["small"]


def unit(graph: Graph, number: int = 0) -> LayerUnit:
    values = random_input(np.random.default_rng(1), graph)
    return LayerUnit(number, 0, range(1), number, (pack_numbers(values, graph.maps[graph.input].bits),))


@pytest.mark.parametrize("engine", ["golden", "turbo", pytest.param("rtl", marks=pytest.mark.slow)])
def test_activity_does_not_depend_on_what_ran_before(engine: str) -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    counters: list[dict[str, int]] = []
    for seed in (1, 2):
        with Worker(Work(graph=graph, config=SMALL, engine=engine, seed=seed)) as worker:
            for number in range(2):
                answer = worker.do(unit(graph, number))
                assert isinstance(answer, LayerPart)
                counters.append(answer.counters)
    assert counters[0]["activity.cells_written"] > 0
    assert counters == [counters[0]] * 4


def test_engines_agree_in_activity() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    found: list[dict[str, int]] = []
    for engine in ("golden", "turbo"):
        with Worker(Work(graph=graph, config=SMALL, engine=engine, seed=1)) as worker:
            answer = worker.do(unit(graph))
            assert isinstance(answer, LayerPart)
            found.append({name: value for name, value in answer.counters.items() if not name.startswith("identity.")})
    assert found[0] == found[1]


@pytest.mark.parametrize("stalls", [0.0, 0.3])
def test_pauses_are_those_of_the_job(stalls: float) -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 5)
    options = {"stall_probability": stalls}
    found: list[dict[str, int]] = []
    for numbers in ((0, 1), (1,)):
        with Worker(Work(graph=graph, config=SMALL, engine="turbo", seed=1, options=options)) as worker:
            answers = [worker.do(unit(graph, number)) for number in numbers]
        assert isinstance(answers[-1], LayerPart)
        found.append(answers[-1].counters)
    assert found[0] == found[1]
    assert (found[0]["cycles.stall"] > 0) is (stalls > 0)


@pytest.mark.parametrize(
    "config", [SMALL, TileConfig(name="t", taps=2, outputs=2, columns=70, plane_bits=4, passes="two_tags")]
)
def test_all_cells_are_zero(config: TileConfig) -> None:
    tile = GoldenTile(config, seed=3)
    assert tile.run(Job(clearing_program(config))).error is ErrorCode.NONE
    columns = range(0, config.columns, 35)
    stores = [
        Instruction(Opcode.STORE, kind=StoreKind.PLANES, a=first, a_width=min(35, config.columns - first))
        for first in columns
    ]
    found = tile.run(Job(Program.build([*stores, Instruction(Opcode.HALT)], config)))
    assert sum(len(planes) for planes in found.planes) == config.columns
    assert not any(planes.any() for planes in found.planes)


class Broken(GoldenTile):
    def run(self, job: Job) -> Outcome:
        return Outcome(error=ErrorCode.TOTAL)


def test_tile_that_cannot_be_cleared() -> None:
    tile: Engine = Broken(SMALL)
    with pytest.raises(TileError, match=r"^the tile raised error TOTAL while it was cleared$"):
        ClearedTile(tile).run(Job(clearing_program(SMALL)))


def test_engine_is_closed() -> None:
    engine = create_engine("turbo", SMALL)
    ClearedTile(engine).close()
    with pytest.raises(TileError, match="closed"):
        engine.run(Job(clearing_program(SMALL)))
