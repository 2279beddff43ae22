"""One router against its contract, in Amaranth's simulator: routing, time, queues, turns, copies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.accelerator.transport import links
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.router import PORTS, TURNS, Router

SEED = 21
MESH = ACCELERATORS["mesh4x4"]
NEIGHBOURS = {"north": (0, -1), "east": (1, 0), "south": (0, 1), "west": (-1, 0)}


def simulate(config: AcceleratorConfig, bench: Callable[[Any, Router], Any]) -> None:
    """Run a test bench on a router; times are cycles since the last reset."""
    dut = Router(config)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def run(context: Any) -> None:
        await bench(context, dut)

    simulator.add_testbench(run)
    simulator.run()


def place(context: Any, dut: Router, cluster: int) -> None:
    row, column = divmod(cluster, dut.config.width)
    context.set(dut.column, column)
    context.set(dut.row, row)


def offer(context: Any, dut: Router, port: str, destinations: int, payload: int = 0) -> None:
    stream = getattr(dut, f"{port}_in")
    flit = {"destinations": destinations, "unit": payload & 0xFF, "address": payload * 3 & 0xFFFF, "payload": payload}
    context.set(stream.payload, flit)
    context.set(stream.valid, 1)


def withdraw(context: Any, dut: Router, *ports: str) -> None:
    for port in ports or PORTS:
        context.set(getattr(dut, f"{port}_in").valid, 0)


def ready(context: Any, dut: Router, *ports: str) -> None:
    for port in PORTS:
        context.set(getattr(dut, f"{port}_out").ready, port in ports)


def offered(context: Any, dut: Router) -> dict[str, tuple[int, int]]:
    """Destinations and payload at each output that offers a flit."""
    found = {}
    for port in PORTS:
        stream = getattr(dut, f"{port}_out")
        if context.get(stream.valid):
            flit = context.get(stream.payload)
            assert (flit.unit, flit.address) == (flit.payload & 0xFF, flit.payload * 3 & 0xFFFF)
            found[port] = (flit.destinations, flit.payload)
    return found


def arrivals(cluster: int, config: AcceleratorConfig) -> Iterator[tuple[str, int]]:
    """Inputs of a router, and the destinations of flits that come there from the clusters and the host."""
    yield from (("local", destination) for destination in range(config.clusters + 1))
    if cluster == 0:
        yield from (("north", destination) for destination in range(config.clusters + 1))
    seen = set()
    for source in range(config.clusters + 1):
        for destination in range(config.clusters + 1):
            if source == destination:
                continue
            tree = links(source, 1 << destination, config)
            for port, (right, down) in NEIGHBOURS.items():
                opposite = next(name for name, step in NEIGHBOURS.items() if step == (-right, -down))
                column, row = cluster % config.width + right, cluster // config.width + down
                inside = 0 <= column < config.width and 0 <= row < config.height
                if inside and (row * config.width + column, opposite) in tree:
                    seen.add((port, destination))
    yield from sorted(seen)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 2), (4, 4)], ids=lambda size: "x".join(map(str, size)))
def test_routes_are_those_of_the_golden_model(size: tuple[int, int]) -> None:
    config = MESH.replace(width=size[0], height=size[1])

    async def bench(context: Any, dut: Router) -> None:
        ready(context, dut, *PORTS)
        for cluster in range(config.clusters):
            place(context, dut, cluster)
            for port, destination in arrivals(cluster, config):
                offer(context, dut, port, 1 << destination, payload=destination)
                await context.tick()
                withdraw(context, dut)
                ((router, output),) = (link for link in links(cluster, 1 << destination, config) if link[0] == cluster)
                assert router == cluster
                assert offered(context, dut) == {output: (1 << destination, destination)}, (cluster, port)
                await context.tick()
                assert context.get(dut.empty)

    simulate(config, bench)


def test_multicast_flits_are_cut_into_what_lies_behind_each_output() -> None:
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")

    async def bench(context: Any, dut: Router) -> None:
        ready(context, dut, *PORTS)
        for cluster in range(MESH.clusters):
            place(context, dut, cluster)
            for mask in (2 * (1 << MESH.clusters) - 1, *rng.integers(1, 2 << MESH.clusters, 20)):
                offer(context, dut, "local", int(mask), payload=5)
                await context.tick()
                withdraw(context, dut)
                expected: dict[str, tuple[int, int]] = {}
                for destination in range(MESH.clusters + 1):
                    if int(mask) >> destination & 1:
                        tree = links(cluster, 1 << destination, MESH)
                        (output,) = (output for router, output in tree if router == cluster)
                        expected[output] = (expected.get(output, (0, 0))[0] | 1 << destination, 5)
                assert offered(context, dut) == expected
                assert context.get(dut.moved) == sum(1 << PORTS.index(output) for output in expected)
                await context.tick()
                assert context.get(dut.empty)

    simulate(MESH, bench)


@pytest.mark.parametrize("buffer_flits", [2, 3, 4])
def test_a_queue_takes_its_length_and_keeps_the_order(buffer_flits: int) -> None:
    async def bench(context: Any, dut: Router) -> None:
        place(context, dut, 0)
        ready(context, dut)
        for number in range(2 * buffer_flits):
            assert context.get(dut.west_in.ready) == (number < buffer_flits)
            offer(context, dut, "west", 1, number)
            await context.tick()
            assert offered(context, dut) == {"local": (1, 0)}
            assert (context.get(dut.stalled), context.get(dut.moved)) == (1 << PORTS.index("local"), 0)
        ready(context, dut, "local")
        assert not context.get(dut.west_in.ready)  # only the next cycle knows that there is room
        for number in range(20):
            flit = number if number < buffer_flits else 7
            assert offered(context, dut) == {"local": (1, flit)}
            assert (context.get(dut.stalled), context.get(dut.moved)) == (0, 1 << PORTS.index("local"))
            offer(context, dut, "west", 1, 7)
            await context.tick()
        withdraw(context, dut)

    simulate(MESH.replace(buffer_flits=buffer_flits), bench)


@pytest.mark.parametrize("output", TURNS)
def test_inputs_take_turns(output: str) -> None:
    cluster = 0 if output == "north" else 5
    beyond = {"north": MESH.host, "east": 6, "south": 9, "west": 4, "local": 5}[output]

    async def bench(context: Any, dut: Router) -> None:
        place(context, dut, cluster)
        ready(context, dut, output)
        for port in TURNS[output]:
            offer(context, dut, port, 1 << beyond, PORTS.index(port))
        await context.tick()
        served = []
        for _ in range(3 * len(TURNS[output])):
            ((port, (_, source)),) = offered(context, dut).items()
            assert port == output
            served.append(PORTS[source])
            await context.tick()
        assert served == [*TURNS[output]] * 3
        # One that comes late is served before any other one is served twice.
        withdraw(context, dut, *TURNS[output][1:])
        for _ in range(40):
            await context.tick()
        late = TURNS[output][-1]
        offer(context, dut, late, 1 << beyond, PORTS.index(late))
        await context.tick()
        assert offered(context, dut)[output][1] == PORTS.index(late)

    simulate(MESH, bench)


def test_what_is_offered_stays_until_it_is_taken() -> None:
    async def bench(context: Any, dut: Router) -> None:
        place(context, dut, 5)
        for first in PORTS:
            ready(context, dut)
            offer(context, dut, first, 1 << 5, 1)
            await context.tick()
            withdraw(context, dut)
            for port in PORTS:
                if port != first:
                    offer(context, dut, port, 1 << 5, 2)
            for _ in range(4):
                assert offered(context, dut) == {"local": (1 << 5, 1)}
                await context.tick()
            ready(context, dut, "local")
            assert offered(context, dut) == {"local": (1 << 5, 1)}
            await context.tick()
            assert offered(context, dut) == {"local": (1 << 5, 2)}
            withdraw(context, dut)
            for _ in range(20):
                await context.tick()
            assert context.get(dut.empty)

    simulate(MESH, bench)


def test_a_multicast_flit_leaves_each_output_when_that_is_free() -> None:
    async def bench(context: Any, dut: Router) -> None:
        place(context, dut, 5)
        parts = {"north": 1 << 1, "east": 1 << 6, "south": 1 << 13, "west": 1 << 0 | 1 << MESH.host, "local": 1 << 5}
        ready(context, dut)
        offer(context, dut, "local", sum(parts.values()), 1)
        await context.tick()
        offer(context, dut, "local", sum(parts.values()), 2)
        await context.tick()
        withdraw(context, dut)
        waiting = dict(parts)
        for output in ("south", "local", "north", "west", "east"):
            assert offered(context, dut) == {port: (mask, 1) for port, mask in waiting.items()}
            ready(context, dut, output)
            await context.tick()
            del waiting[output]
            ready(context, dut)
        # Only now does the next one come, to all outputs at once.
        assert offered(context, dut) == {port: (mask, 2) for port, mask in parts.items()}
        ready(context, dut, *PORTS)
        await context.tick()
        assert context.get(dut.empty)

    simulate(MESH, bench)


def test_a_flit_to_nobody_vanishes() -> None:
    async def bench(context: Any, dut: Router) -> None:
        ready(context, dut, *PORTS)
        offer(context, dut, "local", 0, 1)
        await context.tick()
        withdraw(context, dut)
        assert (offered(context, dut), context.get(dut.empty)) == ({}, 0)
        await context.tick()
        assert context.get(dut.empty)

    simulate(MESH, bench)


@pytest.mark.parametrize("buffer_flits", [2, 4])
def test_random_streams(buffer_flits: int) -> None:
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    behind = {
        "north": 1 << 1,
        "east": 1 << 6 | 1 << 2,
        "south": 1 << 9 | 1 << 13,
        "west": 1 << 4 | 1 << MESH.host,
        "local": 1 << 5,
    }

    async def bench(context: Any, dut: Router) -> None:
        place(context, dut, 5)
        due: dict[tuple[str, str], deque[tuple[int, int]]] = {(i, o): deque() for o in PORTS for i in TURNS[o]}
        offers: dict[str, tuple[int, int] | None] = dict.fromkeys(PORTS)
        held: dict[str, tuple[int, int]] = {}
        number = 0
        for cycle in range(1600):
            for port in PORTS:
                if offers[port] is None and cycle < 1500 and rng.random() < 0.6:
                    mask = 0
                    for output in PORTS:
                        if port in TURNS[output] and rng.random() < 0.4:
                            mask |= int(rng.integers(1, 1 << 17)) & behind[output]
                    number += 1
                    offers[port] = flit = (mask, number << 3 | PORTS.index(port))
                    offer(context, dut, port, *flit)
            takers = [port for port in PORTS if cycle >= 1500 or rng.random() < 0.7]
            ready(context, dut, *takers)
            shown = offered(context, dut)
            assert all(shown.get(port) == flit for port, flit in held.items())
            held = {port: flit for port, flit in shown.items() if port not in takers}
            moved = sum(1 << PORTS.index(port) for port in shown if port in takers)
            stalled = sum(1 << PORTS.index(port) for port in held)
            assert (context.get(dut.moved), context.get(dut.stalled)) == (moved, stalled)
            for output, flit in shown.items():
                if output in takers:
                    assert due[PORTS[flit[1] & 7], output].popleft() == flit
            for port, flit in offers.items():
                if flit is not None and context.get(getattr(dut, f"{port}_in").ready):
                    for output in PORTS:
                        if flit[0] & behind[output]:
                            due[port, output].append((flit[0] & behind[output], flit[1]))
                    offers[port] = None
            await context.tick()
            for port in PORTS:
                if offers[port] is None:
                    withdraw(context, dut, port)
        assert not any(due.values())
        assert context.get(dut.empty)
        assert number > 1000

    simulate(MESH.replace(buffer_flits=buffer_flits), bench)
