"""Paths of flits through the mesh, their latency, and rounds of transfers that do not meet.

::

    rows -1  host                    a flit goes along its row first:
          0  [0]--[1]--[2]                 3 -> 1:   3 east 4 north 1 local
          1  [3]--[4]--[5]              3 -> {2, 5}:   3 east 4 east 5 north 2 local, 5 local

A source is a cluster's number, or ``config.host``; destinations are a mask of them, as in a flit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hw.accelerator.config import AcceleratorConfig

__all__ = ["Link", "Transfer", "contention_free", "hops", "latency", "links", "schedule"]

Link = tuple[int, str]
"""A router's number and one of its outputs: north, east, south, west, or local to its cluster."""

Transfer = tuple[int, int]
"""A source and a mask of destinations."""


def links(source: int, destinations: int, config: AcceleratorConfig) -> frozenset[Link]:
    """Every link that a flit uses, the last ones to its destinations included.

    Parameters
    ----------
    source : cluster, or ``config.host``.
    destinations : bit for each cluster and the host; at least one.

    Raises
    ------
    ValueError
        If the source or a destination is not there, or there is no destination.
    """
    _check(source, destinations, config)
    return frozenset(
        link
        for destination in range(config.clusters + 1)
        if destinations >> destination & 1
        for link in _path(source, destination, config)
    )


def hops(source: int, destination: int, config: AcceleratorConfig) -> int:
    """Links between routers that a flit to one destination uses; the host is at router 0.

    Raises
    ------
    ValueError
        If the source or the destination is not there.
    """
    _check(source, 1 << destination, config)
    (x, y), (to_x, to_y) = (divmod(_router(place, config), config.width)[::-1] for place in (source, destination))
    return abs(to_x - x) + abs(to_y - y)


def latency(source: int, destination: int, config: AcceleratorConfig) -> int:
    """Cycles from the one in which a flit is taken at its source to the one in which it is offered at its destination.

    Valid where nothing else moves; the same for each destination of a multicast flit.
    """
    return 1 + hops(source, destination, config)


def contention_free(transfers: Iterable[Transfer], config: AcceleratorConfig) -> bool:
    """Whether transfers that stream at the same time share no source and no link, those to destinations included."""
    sources: set[int] = set()
    used: set[Link] = set()
    for source, destinations in transfers:
        tree = links(source, destinations, config)
        if source in sources or not used.isdisjoint(tree):
            return False
        sources.add(source)
        used |= tree
    return True


def schedule(
    transfers: Sequence[Transfer], config: AcceleratorConfig, weights: Sequence[int] | None = None
) -> list[list[int]]:
    """Pack transfers into few rounds that are contention free: the numbers of the transfers of each round.

    Heavier transfers come first and go to the first round with room for them; equal ones keep their order. What is not
    weighed counts the links of its tree. The number of rounds is not always the smallest one.
    """
    trees = [links(source, destinations, config) for source, destinations in transfers]
    weights = [len(tree) for tree in trees] if weights is None else weights
    rounds: list[tuple[list[int], set[int], set[Link]]] = []
    for index in sorted(range(len(transfers)), key=lambda index: -weights[index]):
        source = transfers[index][0]
        free = (
            place
            for place, (_, sources, used) in enumerate(rounds)
            if source not in sources and used.isdisjoint(trees[index])
        )
        place = next(free, len(rounds))
        if place == len(rounds):
            rounds.append(([], set(), set()))
        packed, sources, used = rounds[place]
        packed.append(index)
        sources.add(source)
        used |= trees[index]
    return [packed for packed, _, _ in rounds]


def _router(place: int, config: AcceleratorConfig) -> int:
    """The router that a place is joined to."""
    return 0 if place == config.host else place


def _path(source: int, destination: int, config: AcceleratorConfig) -> list[Link]:
    """The links to one destination, in order."""
    router, target = _router(source, config), _router(destination, config)
    path: list[Link] = []
    while router % config.width != target % config.width:
        step, output = (1, "east") if router % config.width < target % config.width else (-1, "west")
        path.append((router, output))
        router += step
    while router != target:
        step, output = (config.width, "south") if router < target else (-config.width, "north")
        path.append((router, output))
        router += step
    return [*path, (router, "north" if destination == config.host else "local")]


def _check(source: int, destinations: int, config: AcceleratorConfig) -> None:
    if not 0 <= source <= config.host:
        raise ValueError(f"source must be a cluster or the host, 0 to {config.host}, not {source}")
    if not 0 < destinations < 2 << config.host:
        raise ValueError(f"destinations must be a mask with some of the bits 0 to {config.host}, not {destinations:#x}")
