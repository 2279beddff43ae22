"""How a map is divided among the clusters of a fabric, and what it takes to bring it to those that need it.

Clusters are numbered along a snake through the mesh, so that neighbours in number are neighbours in the mesh.  A part
of a map lies in the cluster that has the part's share of the numbers.  Times are those of the built accelerator:
senders run in phases, the host writes its input before the first one.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from golden.accelerator.cluster_law import FIRST_DECODE, SENDER_IDLE, SENDER_LATENCY
from golden.accelerator.timing import GO_LATENCY, HOST_CYCLES
from sim.fabric.geometry import MapCut, WindowCut
from sim.mapping.builder import equal_parts

__all__ = [
    "EXCHANGE_CYCLES", "Exchange", "Mesh", "Path", "Placement", "Transfer", "exchange", "least_words", "path",
    "receive", "rounds", "send_out", "transfers",
]  # fmt: skip

EXCHANGE_CYCLES = FIRST_DECODE + 1 + SENDER_LATENCY + SENDER_IDLE + GO_LATENCY
"""Cycles of a phase of senders besides its flits and its hops."""


@dataclass(frozen=True)
class Mesh:
    """Clusters in rows of ``width``; ``clusters`` in all, the last row may be cut short."""

    width: int
    clusters: int

    @property
    def height(self) -> int:
        """Rows."""
        return -(-self.clusters // self.width)

    def place(self, number: int) -> tuple[int, int]:
        """Row and column of a cluster of the snake."""
        row, column = divmod(number, self.width)
        return row, self.width - 1 - column if row % 2 else column

    def number(self, row: int, column: int) -> int:
        """The inverse of :meth:`place`."""
        return row * self.width + (self.width - 1 - column if row % 2 else column)

    @property
    def farthest(self) -> int:
        """The most hops between two clusters."""
        return self.width - 1 + self.height - 1


@dataclass(frozen=True)
class Placement:
    """A map in parts: its sets in ``sets`` runs, its channels in ``channels`` runs, a cluster for each pair.

    Parameters
    ----------
    maps : MAPs of each of these clusters that hold some of it, nearly equal runs of its channels.
    unit : channels that are not parted.
    """

    sets: int
    channels: int
    maps: int
    unit: int = 1

    @property
    def clusters(self) -> int:
        """Clusters that hold a part."""
        return self.sets * self.channels

    def where(self, part: int, run: int, mesh: Mesh) -> int:
        """The cluster, by its number along the snake, of a run of sets and a run of channels."""
        return (part * self.channels + run) * mesh.clusters // self.clusters

    def set_parts(self, cut: MapCut) -> Sequence[range]:
        """The sets of each run."""
        return equal_parts(cut.sets, self.sets)

    def channel_runs(self, cut: MapCut) -> Sequence[range]:
        """The channels of each run."""
        units = equal_parts(-(-cut.channels // self.unit), self.channels)
        return [range(*(min(edge * self.unit, cut.channels) for edge in (run.start, run.stop))) for run in units]

    def map_words(self, sets: int, channels: int, bits: int) -> tuple[int, ...]:
        """Words of sets of a run of channels in each MAP of a cluster."""
        return tuple(sets * len(own) * bits for own in equal_parts(channels, self.maps))


@dataclass(frozen=True)
class Exchange:
    """What it takes to bring a map to where it is needed.

    Parameters
    ----------
    cycles : of all phases.
    flit_hops : flits x links that they cross, those into clusters included.
    phases : of senders.
    """

    cycles: int
    flit_hops: int
    phases: int

    def __add__(self, other: Exchange) -> Exchange:
        return Exchange(self.cycles + other.cycles, self.flit_hops + other.flit_hops, self.phases + other.phases)


@dataclass(frozen=True)
class Path:
    """The tree of links from a cluster to others.

    Parameters
    ----------
    first, last : the stretch of the snake in which all its routers are.
    links : that a flit crosses, those into clusters included.
    hops : between routers, to the farthest receiver.
    """

    first: int
    last: int
    links: int
    hops: int


@dataclass(frozen=True)
class Transfer:
    """What one cluster sends to some clusters, all the same words to each.

    Parameters
    ----------
    sender, receivers : numbers along the snake.
    sets, channels : of the map.
    words : S-bit words of each of the sender's MAPs, sent in a phase each.
    path : from the sender to the receivers.
    """

    sender: int
    receivers: tuple[int, ...]
    sets: range
    channels: range
    words: tuple[int, ...]
    path: Path


def path(sender: int, receivers: Sequence[int], mesh: Mesh) -> Path:
    """Flits go along the sender's row first, then along columns; the corners belong to the stretch."""
    row, column = mesh.place(sender)
    reached = _columns(tuple(receivers), mesh)
    corners = [mesh.number(row, corner) for corner, _, _ in reached]
    passed = [sender, min(receivers), max(receivers), *corners]
    links = max(column, reached[-1][0]) - min(column, reached[0][0]) + len(receivers)
    links += sum(max(high, row) - min(low, row) for _, low, high in reached)
    hops = max(max(abs(low - row), abs(high - row)) + abs(corner - column) for corner, low, high in reached)
    return Path(min(passed), max(passed), links, hops)


@lru_cache(maxsize=4096)
def _columns(receivers: tuple[int, ...], mesh: Mesh) -> tuple[tuple[int, int, int], ...]:
    """The columns of the mesh that some clusters are in, ascending, each with its lowest and its highest row."""
    rows: dict[int, list[int]] = {}
    for receiver in receivers:
        row, column = mesh.place(receiver)
        rows.setdefault(column, []).append(row)
    return tuple((column, min(rows[column]), max(rows[column])) for column in sorted(rows))


def transfers(
    windows: WindowCut, source: Placement, target: Placement, mesh: Mesh, *, local: bool = False
) -> Iterator[Transfer]:
    """What each cluster sends; parameters as of :func:`exchange`."""
    needs = [windows.input_sets(sets) for sets in target.set_parts(windows.target)]
    multiplier = max(1, windows.target.channels // windows.source.channels)
    wanted_channels = [
        range(run.start // multiplier, -(-run.stop // multiplier)) if local else range(windows.source.channels)
        for run in target.channel_runs(windows.target)
    ]
    channels = source.channel_runs(windows.source)
    takers_of = [
        tuple(number for number, own_channels in enumerate(wanted_channels) if _overlap(owned, own_channels))
        for owned in channels
    ]
    # What later sets need begins and ends later, so those that need some of a run are neighbours.
    numbers = [number for number, need in enumerate(needs) if need]
    starts, stops = [needs[number].start for number in numbers], [needs[number].stop for number in numbers]
    for part, own in enumerate(source.set_parts(windows.source)):
        first, end = bisect_right(stops, own.start), bisect_left(starts, own.stop)
        if first >= end or not own:
            continue
        wanted = numbers[first:end]
        sent = range(max(starts[first], own.start), min(stops[end - 1], own.stop))
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        for run, (owned, takers) in enumerate(zip(channels, takers_of, strict=True)):
            if takers not in known:
                places = {target.where(number, taker, mesh) for number in wanted for taker in takers}
                known[takers] = tuple(sorted(places))
            receivers = known[takers]
            if receivers:
                sender = source.where(part, run, mesh)
                words = source.map_words(len(sent), len(owned), windows.source.bits)
                yield Transfer(sender, receivers, sent, owned, words, path(sender, receivers, mesh))


def rounds(wanted: Iterator[Transfer] | Sequence[Transfer]) -> list[list[Transfer]]:
    """Transfers whose stretches of the snake do not meet together, in as few rounds as the most that do meet."""
    found: list[list[Transfer]] = []
    for one in sorted(wanted, key=lambda one: (one.path.first, one.path.last)):
        members = next((members for members in found if members[-1].path.last < one.path.first), None)
        if members is None:
            found.append([one])
        else:
            members.append(one)
    return found


def least_words(windows: WindowCut, target: Placement) -> int:
    """Words that some cluster needs at least, and so cycles that an exchange of a whole map takes at least."""
    most = max((len(windows.input_sets(sets)) for sets in target.set_parts(windows.target)), default=0)
    return most * windows.source.channels * windows.source.bits


@lru_cache(maxsize=4096)
def exchange(
    windows: WindowCut, source: Placement, target: Placement, mesh: Mesh, flits_per_word: int, *, local: bool = False
) -> Exchange:
    """Bring the input map of a layer to the clusters that make its output.

    A sender takes words of one of a cluster's MAPs in a phase and multicasts them.  Transfers run at once
    where their stretches of the snake do not meet: then they share no link.

    Parameters
    ----------
    windows : the layer.
    source, target : where its input lies and its output will lie.
    local : an output channel needs the input channel of the same number only, or the one that it is made of.
    """
    cycles = phases = flit_hops = 0
    for members in rounds(transfers(windows, source, target, mesh, local=local)):
        for number in range(source.maps):
            sent = [one.words[number] * flits_per_word + one.path.hops for one in members if one.words[number]]
            if sent:
                cycles += EXCHANGE_CYCLES + max(sent)
                phases += 1
        flit_hops += sum(sum(one.words) * one.path.links for one in members) * flits_per_word
    return Exchange(cycles, flit_hops, phases)


@lru_cache(maxsize=4096)
def receive(windows: WindowCut, target: Placement, mesh: Mesh, flits_per_word: int, command_flits: int) -> Exchange:
    """Bring the input map of a layer from the host, which sits at the first cluster, to the clusters that need it.

    The host writes each run of sets that the same clusters need at once, and then starts the first phase.

    Parameters
    ----------
    command_flits : flits of a command.
    """
    needs = [windows.input_sets(sets) for sets in target.set_parts(windows.target)]
    edges = sorted({edge for need in needs if need for edge in (need.start, need.stop)})
    cycles = flit_hops = 0
    empty = 0
    for start, stop in itertools.pairwise(edges):
        wanted = [number for number, need in enumerate(needs) if need.start <= start < need.stop]
        if not wanted:
            continue
        places = {target.where(number, run, mesh) for number in wanted for run in range(target.channels)}
        receivers = tuple(sorted(places))
        words = (stop - start) * windows.source.channels * windows.source.bits * flits_per_word
        tree = path(0, receivers, mesh)
        cycles += command_flits + words
        flit_hops += words * tree.links
        empty = max(empty, cycles + tree.hops + 1)
    return Exchange(max(cycles + command_flits, empty) + GO_LATENCY, flit_hops, 0)


def send_out(cut: MapCut, source: Placement, mesh: Mesh, flits_per_word: int) -> Exchange:
    """Send a whole map to the host, which sits at the first cluster; one MAP after the other."""
    result = Exchange(0, 0, 0)
    for part, sets in enumerate(source.set_parts(cut)):
        for run, channels in enumerate(source.channel_runs(cut)):
            hops = sum(mesh.place(source.where(part, run, mesh)))
            for words in source.map_words(len(sets), len(channels), cut.bits):
                if words:
                    flits = words * flits_per_word
                    result += Exchange(EXCHANGE_CYCLES + HOST_CYCLES + hops + flits, flits * (hops + 1), 1)
    return result


def _overlap(one: range, other: range) -> range:
    """What two runs have in common."""
    return range(max(one.start, other.start), min(one.stop, other.stop))
