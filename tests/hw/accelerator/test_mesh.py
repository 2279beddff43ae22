"""The mesh's Verilog: latency and paths of every flit, long random traffic, and no cycle of waiting flits."""

from __future__ import annotations

import numpy as np
import pytest

from golden.accelerator.transport import Transfer
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
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
    "config", [LARGE, sized(1, 1), sized(1, 2), sized(3, 2)], ids=lambda c: f"{c.width}x{c.height}"
)
def test_latencies_and_links_are_those_of_the_law(config: AcceleratorConfig) -> None:
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    nodes = config.clusters + 1
    some = [(int(rng.integers(nodes)), int(rng.integers(1, 1 << nodes))) for _ in range(60)]
    flits: list[Transfer] = [*every_pair(config), *multicasts(config), *some]
    assert wrong_latencies(flits, run_latency(flits, config, "icarus"), config) == []


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


def test_a_million_flits() -> None:
    check_traffic(sized(4, 4))


@pytest.mark.slow
def test_a_million_flits_with_longer_queues() -> None:
    check_traffic(LARGE)
