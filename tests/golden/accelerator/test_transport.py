"""Paths, latency and rounds of transfers, against walks on a grid and pictures."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from golden.accelerator.transport import Transfer, contention_free, hops, latency, links, schedule
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig

SEED = 17
LARGE = ACCELERATORS["mesh4x4"]
GRID = LARGE.replace(width=3, height=2)
STEPS = {"north": (0, -1), "east": (1, 0), "south": (0, 1), "west": (-1, 0)}


def test_the_pictures() -> None:
    host = GRID.host
    assert links(3, 1 << 1, GRID) == {(3, "east"), (4, "north"), (1, "local")}
    assert links(3, 1 << 2 | 1 << 5, GRID) == {(3, "east"), (4, "east"), (5, "north"), (2, "local"), (5, "local")}
    assert links(5, 1 << host, GRID) == {(5, "west"), (4, "west"), (3, "north"), (0, "north")}
    assert links(host, 1 << 4 | 1 << 0, GRID) == {(0, "local"), (0, "east"), (1, "south"), (4, "local")}
    assert links(host, 1 << host, GRID) == {(0, "north")}
    assert links(4, 1 << 4, GRID) == {(4, "local")}


@pytest.mark.parametrize(
    "config", [GRID, LARGE, LARGE.replace(width=1, height=1)], ids=lambda c: f"{c.width}x{c.height}"
)
def test_links_are_a_tree_that_goes_along_the_row_first(config: AcceleratorConfig) -> None:
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    for _ in range(200):
        source, mask = int(rng.integers(config.clusters + 1)), int(rng.integers(1, 2 << config.clusters))
        tree = links(source, mask, config)
        start = (0, 0) if source == config.host else (source % config.width, source // config.width)
        reached, ends, waiting = set[tuple[int, int]](), set[int](), [(start, False)]
        while waiting:
            (column, row), in_column = waiting.pop()
            assert (column, row) not in reached, "two ways to a router"
            reached.add((column, row))
            router = row * config.width + column
            for output in (output for number, output in tree if number == router):
                if output == "local":
                    ends.add(router)
                elif (output, router) == ("north", 0):
                    ends.add(config.host)
                else:
                    right, down = STEPS[output]
                    assert not (in_column and right), "a turn from a column into a row"
                    waiting.append(((column + right, row + down), bool(down)))
        assert ends == {node for node in range(config.clusters + 1) if mask >> node & 1}
        assert {number for number, _ in tree} == {row * config.width + column for column, row in reached}


def test_latency_counts_routers() -> None:
    for source, destination in itertools.product(range(LARGE.clusters + 1), repeat=2):
        assert latency(source, destination, LARGE) == len(links(source, 1 << destination, LARGE))
        assert hops(source, destination, LARGE) == latency(source, destination, LARGE) - 1
    assert hops(3, LARGE.host, LARGE) == 3
    assert hops(LARGE.host, 15, LARGE) == 6


@pytest.mark.parametrize(
    ("transfers", "free"),
    [
        ([], True),
        ([(0, 1 << 1), (1, 1 << 0)], True),  # both ways of one link
        ([(0, 1 << 2), (1, 1 << 2)], False),  # one link
        ([(0, 1 << 1), (2, 1 << 1)], False),  # one destination
        ([(0, 1 << 1), (0, 1 << 3)], False),  # one source
        ([(3, 1 << 6), (4, 1 << 6)], False),  # the host
        ([(6, 1 << 3), (0, 1 << 2), (4, 1 << 5)], True),
    ],
)
def test_contention(transfers: list[Transfer], free: bool) -> None:
    assert contention_free(transfers, GRID) == free


def test_schedules() -> None:
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    for _ in range(30):
        transfers = [
            (int(rng.integers(LARGE.clusters + 1)), 1 << int(rng.integers(LARGE.clusters + 1))) for _ in range(24)
        ]
        numbers = schedule(transfers, LARGE)
        rounds = [[transfers[number] for number in packed] for packed in numbers]
        assert all(rounds)
        assert all(contention_free(packed, LARGE) for packed in rounds)
        assert Counter(itertools.chain.from_iterable(rounds)) == Counter(transfers)
        assert numbers == schedule(list(transfers), LARGE)
        # As many rounds as the busiest link, or source, needs, and not many more.
        used = Counter(link for source, mask in transfers for link in links(source, mask, LARGE))
        least = max(*used.values(), *Counter(source for source, _ in transfers).values())
        assert least <= len(rounds) <= least + 2


def test_heavy_transfers_share_rounds() -> None:
    """Two heavy ones and two light ones of the same two sources: rounds of one weight each."""
    transfers = [(0, 1 << 1), (0, 1 << 1), (4, 1 << 5), (4, 1 << 5)]
    assert schedule(transfers, LARGE, [1, 9, 9, 1]) == [[1, 2], [0, 3]]


def test_what_need_not_wait_is_one_round() -> None:
    ring = [(cluster, 1 << (cluster + 1 if cluster % 4 < 3 else cluster - 3)) for cluster in range(16)]
    assert len(schedule(ring, LARGE)) == 1
    to_host = [(cluster, 1 << LARGE.host) for cluster in range(16)]
    assert len(schedule(to_host, LARGE)) == 16
    assert schedule([], LARGE) == []


@pytest.mark.parametrize(
    ("source", "mask", "text"),
    [
        (7, 1, "source must be a cluster or the host, 0 to 6, not 7"),
        (-1, 1, "source must be a cluster or the host, 0 to 6, not -1"),
        (0, 0, "destinations must be a mask with some of the bits 0 to 6, not 0x0"),
        (0, 1 << 7, "destinations must be a mask with some of the bits 0 to 6, not 0x80"),
    ],
)
def test_errors(source: int, mask: int, text: str) -> None:
    for ask in (lambda: links(source, mask, GRID), lambda: schedule([(source, mask)], GRID)):
        with pytest.raises(ValueError, match=f"^{text}$"):
            ask()
