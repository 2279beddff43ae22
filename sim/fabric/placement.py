"""How a map is divided among the clusters of a fabric, and what it takes to bring it to those that need it.

Clusters are numbered along a snake through the mesh, so that neighbours in number are neighbours in the mesh.  A part
of a map lies in the cluster that has the part's share of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from golden.accelerator.cluster_law import FIRST_DECODE, SENDER_IDLE, SENDER_LATENCY
from golden.accelerator.timing import GO_LATENCY
from sim.fabric.geometry import MapCut, WindowCut
from sim.mapping.builder import equal_parts

__all__ = ["EXCHANGE_CYCLES", "Exchange", "Mesh", "Placement", "exchange", "send_out"]

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
    maps : MAPs of each of these clusters that hold some of it.
    """

    sets: int
    channels: int
    maps: int

    @property
    def clusters(self) -> int:
        """Clusters that hold a part."""
        return self.sets * self.channels

    def where(self, part: int, run: int, mesh: Mesh) -> int:
        """The cluster, by its number along the snake, of a run of sets and a run of channels."""
        return (part * self.channels + run) * mesh.clusters // self.clusters


@dataclass(frozen=True)
class Exchange:
    """What it takes to bring a map to where it is needed.

    Parameters
    ----------
    cycles : of all phases.
    flit_hops : flits x links that they cross, those into clusters included.
    phases : rounds of senders.
    """

    cycles: int
    flit_hops: int
    phases: int

    def __add__(self, other: Exchange) -> Exchange:
        return Exchange(self.cycles + other.cycles, self.flit_hops + other.flit_hops, self.phases + other.phases)


@dataclass(frozen=True)
class _Transfer:
    """One sender's words to some clusters: the stretch of the snake that they need, and links of the tree."""

    first: int
    last: int
    words: int
    links: int
    hops: int


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
    local : an output channel needs the input channel of the same number only.
    """
    needs = [windows.input_sets(sets) for sets in _parts(windows.target, target.sets)]
    channels = equal_parts(windows.source.channels, source.channels)
    transfers: list[_Transfer] = []
    for part, own in enumerate(_parts(windows.source, source.sets)):
        wanted = [number for number, need in enumerate(needs) if max(need.start, own.start) < min(need.stop, own.stop)]
        if not wanted or not own:
            continue
        start = min(max(needs[number].start, own.start) for number in wanted)
        stop = max(min(needs[number].stop, own.stop) for number in wanted)
        runs = [{target.where(number, run, mesh) for number in wanted} for run in range(target.channels)]
        everybody = sorted(set().union(*runs))
        for run, owned in enumerate(channels):
            receivers = everybody
            if local:
                first, last = (_run_of(channel, windows, target) for channel in (owned.start, max(owned.stop - 1, 0)))
                receivers = sorted(set().union(*runs[first : last + 1]))
            words = (stop - start) * len(owned) * windows.source.bits
            if words:
                transfers.append(_transfer(source.where(part, run, mesh), receivers, words, mesh))
    return _rounds(transfers, source.maps, flits_per_word)


def send_out(cut: MapCut, source: Placement, mesh: Mesh, flits_per_word: int) -> Exchange:
    """Send a whole map to the host, which sits at the first cluster; one sender after the other."""
    words = cut.words * flits_per_word
    hops = mesh.farthest
    phases = source.clusters * source.maps
    return Exchange(words + phases * (EXCHANGE_CYCLES + hops), words * (hops + 1), phases)


def _run_of(channel: int, windows: WindowCut, target: Placement) -> int:
    """The run of output channels that belongs to an input channel."""
    return min(channel * target.channels // windows.source.channels, target.channels - 1)


def _parts(cut: MapCut, count: int) -> Sequence[range]:
    return equal_parts(cut.sets, count)


def _transfer(sender: int, receivers: Sequence[int], words: int, mesh: Mesh) -> _Transfer:
    """Flits go along the sender's row first, then along columns; the corners belong to the stretch."""
    row, column = mesh.place(sender)
    columns: dict[int, tuple[int, int]] = {}
    first, last = min(sender, receivers[0]), max(sender, receivers[-1])
    hops = 0
    for receiver in receivers:
        to_row, to_column = mesh.place(receiver)
        low, high = columns.get(to_column, (row, row))
        columns[to_column] = (min(low, to_row), max(high, to_row))
        hops = max(hops, abs(to_row - row) + abs(to_column - column))
    for corner in columns:
        number = mesh.number(row, corner)
        first, last = min(first, number), max(last, number)
    across = max(column, *columns) - min(column, *columns)
    links = across + sum(high - low for low, high in columns.values()) + len(receivers)
    return _Transfer(first, last, words, links, hops)


def _rounds(transfers: Sequence[_Transfer], maps: int, flits_per_word: int) -> Exchange:
    """Stretches in as few rounds as the most that meet in one place: each goes to the round that is free first."""
    rounds: list[list[_Transfer]] = []
    for transfer in sorted(transfers, key=lambda one: (one.first, one.last)):
        for members in rounds:
            if members[-1].last < transfer.first:
                members.append(transfer)
                break
        else:
            rounds.append([transfer])
    cycles = 0
    for members in rounds:
        words = max(one.words for one in members)
        hops = max(one.hops for one in members)
        cycles += words * flits_per_word + min(maps, words) * (EXCHANGE_CYCLES + hops)
    flit_hops = sum(one.words * one.links for one in transfers) * flits_per_word
    return Exchange(cycles, flit_hops, len(rounds) * maps)
