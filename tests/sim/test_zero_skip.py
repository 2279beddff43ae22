"""Programs that search for zero planes: the same maps, in the time that the law gives for what they found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from golden import operators
from golden.graph import Conv
from golden.laws import run_law, searches
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import Opcode
from sim.host import Network
from sim.mapping.bits import from_bits, to_bits
from sim.mapping.zero_skip import with_zero_skip
from tests.sim.mapping_graphs import random_graph, random_input

TILE = TileConfig(name="tall", taps=32, outputs=4, columns=128, plane_bits=128, activity=False, zero_skip=True)
KINDS = ("conv2d", "depthwise", "fully_connected")


@pytest.mark.parametrize("kind", KINDS)
def test_small_activations_take_fewer_compares(kind: str) -> None:
    skipped = 0
    for seed in range(6):
        drawn = random_graph(np.random.default_rng([seed, 5]), kind, 8)
        (conv,) = drawn.layers
        assert isinstance(conv, Conv)
        graph = dataclasses.replace(drawn, layers=(dataclasses.replace(conv, pad_value=0),))
        values = random_input(np.random.default_rng(seed), graph) >> 5
        network, (layer,) = Network(graph, TILE), graph.layers
        plan = network.plans[0]
        searching = dataclasses.replace(plan, jobs=tuple(with_zero_skip(job) for job in plan.jobs))
        dots = [op for job in searching.jobs for op in job.instructions if op.opcode == Opcode.DOT]
        assert dots
        assert all(searches(op) for op in dots)

        tile = GoldenTile(TILE, seed)
        stored = to_bits(values, graph.maps["in"].bits)
        found, counters = network.run_layer(layer, searching, [stored], tile)
        assert np.array_equal(from_bits(found), operators.run(graph, values)["out"])
        skipped += counters["events.skipped_planes"]
        if len(searching.jobs) == 1:
            law = run_law(searching.jobs[0].program, TILE, skipped=tile.skipped_planes)
            assert {name: counters[name] for name in law if name != "identity.config"} == {
                name: value for name, value in law.items() if name != "identity.config"
            }
            saved = plan.law["events.compares"] - law["events.compares"]
            assert saved > 0 or not counters["events.skipped_planes"]
    assert skipped


def test_a_search_that_can_save_nothing_is_not_made() -> None:
    graph = random_graph(np.random.default_rng(1), "average_pool", 8)
    (plan,) = Network(graph, TILE).plans
    assert tuple(with_zero_skip(job) for job in plan.jobs) == plan.jobs
