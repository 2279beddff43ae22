"""The mesh's Verilog: latency and paths of every flit, long random traffic, and no cycle of waiting flits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.accelerator.transport import Transfer
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.mesh import Mesh
from hw.accelerator.router import PORTS, Router
from tests.hw.accelerator.mesh_checks import (
    difference,
    every_pair,
    multicasts,
    period,
    run_latency,
    run_traffic,
    wrong_latencies,
    wrong_sums,
)
from tests.hw.accelerator.traffic import Pattern

SEED = 31
LARGE = ACCELERATORS["mesh4x4"]


def sized(width: int, height: int, buffer_flits: int = 2) -> AcceleratorConfig:
    return LARGE.replace(width=width, height=height, buffer_flits=buffer_flits)


@pytest.mark.parametrize(
    "config",
    [LARGE, sized(1, 1), sized(1, 2), sized(3, 2), ACCELERATORS["meshtiny"]],
    ids=lambda c: f"{c.width}x{c.height}",
)
def test_latencies_and_links_are_those_of_the_law(config: AcceleratorConfig) -> None:
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    nodes = config.clusters + 1
    some = [(int(rng.integers(nodes)), int(rng.integers(1, 1 << nodes))) for _ in range(60)]
    flits: list[Transfer] = [*every_pair(config), *multicasts(config), *some]
    assert wrong_latencies(flits, run_latency(flits, config, "icarus"), config) == []


def test_a_mesh_runs_in_amaranths_simulator() -> None:
    dut = Mesh(sized(2, 1))

    async def bench(context: Any) -> None:
        context.set(dut.host_in.payload, {"destinations": 0b10, "unit": 1, "address": 2, "payload": 3})
        context.set(dut.host_in.valid, 1)
        context.set(dut.cluster_out_1.ready, 1)
        for cycle in range(4):
            assert context.get(dut.cluster_out_1.valid) == (cycle == 2)
            assert context.get(dut.moved_0) == (1 << PORTS.index("east") if cycle == 1 else 0)
            assert context.get(dut.empty) == (cycle in (0, 3))
            if cycle == 2:
                assert context.get(dut.cluster_out_1.payload.payload) == 3
            await context.tick()
            context.set(dut.host_in.valid, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


MILLION = [
    period(Pattern.UNIFORM, 40_000, rate=160, stall=60, seed=1),
    period(Pattern.UNIFORM, 20_000, seed=2),
    period(Pattern.TRANSPOSE, 40_000, rate=200, stall=60, seed=3),
    period(Pattern.HOT_SPOT, 60_000, rate=60, stall=30, seed=4),
    period(Pattern.MULTICAST, 40_000, rate=40, stall=60, seed=5),
    period(Pattern.MULTICAST, 30_000, stall=0, seed=6),
    period(Pattern.TO_HOST, 40_000, rate=250, stall=60, seed=7),
    period(Pattern.FROM_HOST, 30_000, rate=250, stall=60, seed=8),
    period(Pattern.MIXED, 60_000, rate=120, stall=100, seed=9),
    period(Pattern.MIXED, 30_000, seed=10),
]
"""More than a million flits, at rates from a few to all that the mesh can take, with and without pauses."""


def check_traffic(config: AcceleratorConfig) -> None:
    counts = run_traffic(MILLION, config, "verilator")
    assert wrong_sums(counts) == []
    sent = sum(counts[-1]["end"]["sent"])
    received = sum(counts[-1]["end"]["received"])
    print(f"{sent} flits, {received} copies")
    assert sent > 1_000_000
    for one, count in zip(MILLION, counts, strict=True):
        assert sum(difference(count, "sent")) > 1000, one


@pytest.mark.slow
def test_a_million_flits() -> None:
    check_traffic(sized(4, 4))


@pytest.mark.slow
def test_a_million_flits_with_longer_queues() -> None:
    check_traffic(LARGE)


Buffer = tuple[int, str]
"""A router, and the input whose queue it is."""


def waits_for(config: AcceleratorConfig) -> dict[Buffer, set[Buffer]]:
    """Which queues the heads of each queue wait for, by following every flit through real routers.

    A multicast flit waits for all of its outputs, and asks for no other one than flits to one of its destinations do;
    so the flits with one destination show every queue that any flit waits for.
    """
    edges: dict[Buffer, set[Buffer]] = {}
    nodes = range(config.clusters + 1)
    starts = [((0, "north") if node == config.host else (node, "local")) for node in nodes]
    waiting = [(start, destination) for start in starts for destination in nodes]
    dut = Router(config)

    async def bench(context: Any) -> None:
        for port in PORTS:
            context.set(getattr(dut, f"{port}_out").ready, 1)
        seen = set(waiting)
        while waiting:
            (cluster, port), destination = waiting.pop()
            row, column = divmod(cluster, config.width)
            arriving = getattr(dut, f"{port}_in")
            context.set(dut.column, column)
            context.set(dut.row, row)
            context.set(arriving.payload.destinations, 1 << destination)
            context.set(arriving.valid, 1)
            await context.tick()
            context.set(arriving.valid, 0)
            (output,) = (name for bit, name in enumerate(PORTS) if context.get(dut.moved) >> bit & 1)
            assert context.get(getattr(dut, f"{output}_out").payload.destinations) == 1 << destination
            await context.tick()
            assert context.get(dut.empty)
            step, entry = {
                "north": (-config.width, "south"),
                "south": (config.width, "north"),
                "east": (1, "west"),
                "west": (-1, "east"),
                "local": (0, ""),
            }[output]
            if output == "local":
                assert cluster == destination
            elif (cluster, output) == (0, "north"):
                assert destination == config.host
            else:
                following = (cluster + step, entry)
                edges.setdefault((cluster, port), set()).add(following)
                if (following, destination) not in seen:
                    seen.add((following, destination))
                    waiting.append((following, destination))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return edges


def in_a_cycle(edges: dict[Buffer, set[Buffer]]) -> set[Buffer]:
    """Queues in a cycle or waiting for one: what is left after taking away, over and over, what waits for none left."""
    left = set(edges)
    while True:
        free = {buffer for buffer in left if not edges[buffer] & left}
        if not free:
            return left
        left -= free


@pytest.mark.parametrize("height", range(1, 5))
@pytest.mark.parametrize("width", range(1, 5))
def test_no_queues_wait_for_each_other(width: int, height: int) -> None:
    edges = waits_for(sized(width, height))
    assert in_a_cycle(edges) == set()
    # Every link between two routers is waited for, both ways.
    links = 2 * ((width - 1) * height + width * (height - 1))
    assert len(set().union(*edges.values())) == links


def test_turns_from_columns_into_rows_would_let_queues_wait_for_each_other() -> None:
    edges = waits_for(sized(2, 2))
    edges[3, "north"] = {(2, "east")}
    assert in_a_cycle(edges) == set()
    edges[0, "south"] = {(1, "west")}
    assert in_a_cycle(edges) >= {(1, "west"), (3, "north"), (2, "east"), (0, "south")}
