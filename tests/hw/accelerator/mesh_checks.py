"""Checks of a mesh's Verilog by name: what each sends through it, and what it finds wrong."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from golden.accelerator.transport import Transfer, latency, links
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.mesh import Mesh
from hw.accelerator.router import PORTS
from hw.hierarchy import design_text
from sim.runner import build, run
from tests.hw.accelerator.traffic import Error, Pattern, traffic_verilog

__all__ = [
    "CHECKS", "Edit", "difference", "every_pair", "mesh_verilog", "multicasts", "period", "run_latency", "run_traffic",
    "wrong_latencies", "wrong_sums",
]  # fmt: skip

FOLDER = Path(__file__).parent
SEED = 5

Edit = Callable[[str], str]
"""Changes the Verilog of a design."""

Counts = dict[str, Any]
"""What the harness counted before, after and at the end of a period."""


@functools.cache
def mesh_verilog(config: AcceleratorConfig) -> str:
    """The Verilog of a mesh alone."""
    return design_text(Mesh(config), "mesh")


def run_latency(
    flits: Iterable[Transfer], config: AcceleratorConfig, simulator: str, edit: Edit = str
) -> list[dict[str, Any]]:
    """Send flits one at a time; see ``bench_latency.py``."""
    built = build(edit(mesh_verilog(config)), "mesh", simulator)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        environment = {
            "LATENCY_FLITS": json.dumps(list(flits)),
            "LATENCY_CLUSTERS": str(config.clusters),
            "LATENCY_RESULTS": str(results),
        }
        run(built, FOLDER / "bench_latency.py", environment=environment, timeout=300)
        return json.loads(results.read_text(encoding="utf-8"))


def wrong_latencies(flits: Sequence[Transfer], seen: Sequence[dict[str, Any]], config: AcceleratorConfig) -> list[str]:
    """In what an idle mesh differs from the golden model: arrivals, links, and what the bench found."""
    wrong: list[str] = []
    for (source, destinations), flit in zip(flits, seen, strict=True):
        name = f"{source} to {destinations:#x}: "
        wrong += [name + text for text in flit["wrong"]]
        nodes = [node for node in range(config.clusters + 1) if destinations >> node & 1]
        expected = {str(node): latency(source, node, config) for node in nodes}
        if flit["arrivals"] != expected:
            wrong.append(f"{name}arrivals {flit['arrivals']}, not {expected}")
        used = sorted((router, PORTS[port]) for router, port in flit["links"])
        if used != sorted(links(source, destinations, config)):
            wrong.append(f"{name}links {used}")
        if flit["cycles"] != max(expected.values()) + 1:
            wrong.append(f"{name}empty after {flit['cycles']} cycles")
    return wrong


@functools.cache
def harness_verilog(config: AcceleratorConfig) -> str:
    """The Verilog of a mesh under traffic."""
    return traffic_verilog(config)


def period(
    pattern: Pattern,
    cycles: int,
    *,
    rate: int = 256,
    stall: int = 0,
    senders: int = -1,
    seed: int = SEED,
    warm: int = 1,
    drain: int = 1000,
) -> dict[str, int]:
    """A period of traffic: ``warm`` cycles, ``cycles`` that are counted, and ten times ``drain`` at most to end.

    ``rate`` and ``stall`` are 256ths of the cycles; ``senders`` has a bit for each node.
    """
    settings = {"rate": rate, "stall": stall, "senders": senders, "seed": seed, "warm": warm, "drain": drain}
    return {"pattern": pattern.value, "cycles": cycles, **settings}


def run_traffic(
    periods: Sequence[dict[str, int]], config: AcceleratorConfig, simulator: str, edit: Edit = str
) -> list[Counts]:
    """Run periods one after the other; see ``bench_traffic.py``."""
    nodes = (1 << config.clusters + 1) - 1
    built = build(edit(harness_verilog(config)), "traffic", simulator)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        environment = {
            "TRAFFIC_PERIODS": json.dumps([{**one, "senders": one["senders"] & nodes} for one in periods]),
            "TRAFFIC_RESULTS": str(results),
        }
        run(built, FOLDER / "bench_traffic.py", environment=environment, timeout=600)
        return json.loads(results.read_text(encoding="utf-8"))


def wrong_sums(counts: Sequence[Counts]) -> list[str]:
    """What was lost, doubled, changed, out of order, or never came."""
    wrong: list[str] = []
    for index, one in enumerate(counts):
        end, name = one["end"], f"period {index}: "
        if not one["idle"]:
            wrong.append(f"{name}flits that never arrive")
        for node, bits in enumerate(one["errors"]):
            wrong += [f"{name}{error.name} at {node}" for error in Error if bits >> error & 1]
        for what in ("", "_sums"):
            if end[f"due{what}"] != end[f"received{what}"]:
                wrong.append(f"{name}received{what} {end[f'received{what}']}, not {end[f'due{what}']}")
    return wrong


def difference(one: Counts, name: str) -> list[int]:
    """By how much a number rose in a period's counted cycles, for each node."""
    return [after - before for before, after in zip(one["before"][name], one["after"][name], strict=True)]


def every_pair(config: AcceleratorConfig) -> list[Transfer]:
    """All flits with one destination, the host's to itself included."""
    nodes = range(config.clusters + 1)
    return [(source, 1 << destination) for source in nodes for destination in nodes]


def multicasts(config: AcceleratorConfig) -> list[Transfer]:
    """From each node: to all, to all others, to every second one."""
    nodes = range(config.clusters + 1)
    everything = (1 << config.clusters + 1) - 1
    masks = (everything, 0x5555_5555_5555_5555 & everything, 0x3333_3333_3333_3333 & everything)
    return [(node, mask) for node in nodes for mask in (*masks, everything & ~(1 << node))]


def _routes(config: AcceleratorConfig, edit: Edit) -> list[str]:
    flits = [*every_pair(config), *multicasts(config)]
    return wrong_latencies(flits, run_latency(flits, config, "icarus", edit), config)


def _traffic(config: AcceleratorConfig, edit: Edit) -> list[str]:
    periods = [
        period(Pattern.MIXED, 400, stall=100, drain=80),
        period(Pattern.MULTICAST, 200, rate=60, stall=30, drain=80),
    ]
    return wrong_sums(run_traffic(periods, config, "icarus", edit))


def _full_speed(config: AcceleratorConfig, edit: Edit) -> list[str]:
    """A source alone sends in every cycle, to every node at once and to one."""
    periods = [
        period(Pattern.FROM_HOST, 100, warm=20, drain=50),
        period(Pattern.TRANSPOSE, 100, warm=20, drain=50, senders=1 << 0),
    ]
    counts = run_traffic(periods, config, "icarus", edit)
    sent = [sum(difference(one, "sent")) for one in counts]
    return [*wrong_sums(counts), *(f"{number} flits in 100 cycles" for number in sent if number != 100)]


def _turns(config: AcceleratorConfig, edit: Edit) -> list[str]:
    """All send to the host; nobody waits for ever, and the host takes one flit in each cycle."""
    counts = run_traffic([period(Pattern.TO_HOST, 400, warm=100, drain=200)], config, "icarus", edit)
    sent, received = difference(counts[0], "sent")[: config.clusters], difference(counts[0], "received")
    wrong = wrong_sums(counts)
    if received[config.host] != 400:
        wrong.append(f"the host received {received[config.host]} of 400")
    # With three to choose from at most two times on the way, and two at most two times.
    return [*wrong, *(f"{cluster} sent {n}" for cluster, n in enumerate(sent) if n < 400 // 36)]


CHECKS: dict[str, Callable[[AcceleratorConfig, Edit], list[str]]] = {
    "routes": _routes,
    "traffic": _traffic,
    "full speed": _full_speed,
    "turns": _turns,
}
"""Short checks, in Icarus: what is wrong with the mesh of a config whose Verilog was edited."""
