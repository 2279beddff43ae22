"""The law of a command stream: how many cycles it takes, from programs and descriptors alone.

Cycle 0 is the first one of the run.  The host has a word whenever one can be taken, and takes one whenever it is
offered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.accelerator.cluster_law import (
    FIRST_DECODE,
    GATHER_IDLE,
    SENDER_FIRST,
    SENDER_IDLE,
    SENDER_LATENCY,
    SLOT_LATENCY,
    ClusterTimes,
    cluster_times,
)
from golden.accelerator.gather_law import GATHER_LATENCY
from golden.accelerator.stream import Memories, SenderJob, UnknownCommand, check_command
from golden.accelerator.transport import Link, hops, links
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import COMMAND_BITS, TileState

__all__ = [
    "FIRST_DECODE", "GATHER_IDLE", "GATHER_LATENCY", "GO_LATENCY", "HOST_CYCLES", "SENDER_FIRST", "SENDER_IDLE",
    "SENDER_LATENCY", "SLOT_LATENCY", "WRITE_LATENCY", "PhaseLaw", "RunLaw", "law",
]  # fmt: skip

GO_LATENCY = 1
"""Cycles from the one in which a RUN, WAIT or END sees what it waits for to *go*, the next word, or ``done``."""

WRITE_LATENCY = 0
"""Cycles from the one in which a word of a WRITE is taken to the one in which the first router takes its flit."""

HOST_CYCLES = 1
"""Cycles that a word waits for the host after it left the mesh."""

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class PhaseLaw:
    """What lies between one go and the next one, or the end.

    Parameters
    ----------
    go : the cycle in which units see it.
    end : the next go, or the end of the run.
    clusters : the units of each cluster.
    link_flits : flits that leave routers by each link, those of the host's words included.
    contended : flits of this phase want a link in the same cycle: times of flits, and all that follows, are no law.
    """

    go: int
    end: int
    clusters: tuple[ClusterTimes, ...]
    link_flits: Counter[Link]
    contended: bool

    @property
    def cycles(self) -> int:
        """How long it takes."""
        return self.end - self.go

    def states(self, cluster: int, tile: int) -> dict[TileState, int]:
        """The cycles of a tile by state: they sum up to :attr:`cycles`."""
        spent = dict.fromkeys(TileState, 0) | self.clusters[cluster].tiles.get(tile, {})
        return spent | {TileState.IDLE: self.cycles - sum(spent.values())}


@dataclass
class RunLaw:
    """The law of a run.

    Parameters
    ----------
    config : of the accelerator.
    phases : by go, in order.
    end : the cycle in which ``done`` is first seen: so many cycles does the run take.
    words_in, words_out : of the host's streams.
    host_sources : for each word to the host, in their order on the stream, the cluster that sent it.
    link_flits : flits that leave routers by each link, those before the first phase included.
    """

    config: AcceleratorConfig
    phases: list[PhaseLaw] = field(default_factory=list[PhaseLaw])
    end: int = 0
    words_in: int = 0
    host_sources: list[int] = field(default_factory=list[int])
    link_flits: Counter[Link] = field(default_factory=Counter[Link])

    @property
    def goes(self) -> list[int]:
        """The cycle of each go."""
        return [phase.go for phase in self.phases]

    @property
    def words_out(self) -> int:
        """Words that the host gets."""
        return len(self.host_sources)

    @property
    def contended(self) -> list[int]:
        """The numbers of the phases whose traffic is not free of contention."""
        return [number for number, phase in enumerate(self.phases) if phase.contended]

    @property
    def tiles(self) -> list[list[list[dict[TileState, int]]]]:
        """Cycles by state of every phase, cluster and tile."""
        clusters, tiles = range(self.config.clusters), range(self.config.tiles)
        return [[[phase.states(cluster, tile) for tile in tiles] for cluster in clusters] for phase in self.phases]

    def states(self, cluster: int, tile: int) -> dict[TileState, int]:
        """The cycles of a tile by state over the whole run: they sum up to :attr:`end`."""
        spent = dict.fromkeys(TileState, 0)
        for phase in self.phases:
            for state, cycles in phase.states(cluster, tile).items():
                spent[state] += cycles
        spent[TileState.IDLE] += self.end - sum(spent.values())
        return spent


class _Traffic:
    """Flits of one phase: the cycles in which they move, link by link, and in which they are in the mesh."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self._links: dict[Link, list[Cycles]] = {}
        self._first: list[Cycles] = []
        self._last: list[Cycles] = []
        self.host: list[tuple[int, Cycles]] = []

    def send(self, source: int, destinations: int, taken: Cycles) -> None:
        """Add flits that the source's router takes in the cycles ``taken``."""
        config = self.config
        if not len(taken):
            return
        farthest = 0
        for link in links(source, destinations, config):
            depth = hops(source, link[0], config)
            farthest = max(farthest, depth)
            self._links.setdefault(link, []).append(taken + 1 + depth)
            if destinations >> config.host & 1 and link == (0, "north"):
                self.host.append((source, taken + 1 + depth))
        self._first.append(taken + 1)
        self._last.append(taken + 1 + farthest)

    def flits(self) -> Counter[Link]:
        return Counter({link: sum(map(len, cycles)) for link, cycles in self._links.items()})

    @property
    def contended(self) -> bool:
        """Whether two flits want a link in the same cycle."""
        return any(
            len(cycles) > 1 and len(np.unique(np.concatenate(cycles))) < sum(map(len, cycles))
            for cycles in self._links.values()
        )

    def empty(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which no flit is in a router."""
        if not self._first:
            return cycle
        first, last = np.concatenate(self._first), np.concatenate(self._last)
        order = np.argsort(first, kind="stable")
        first, ends = first[order], np.maximum.accumulate(last[order])
        # Stretches without a gap between them.
        gaps = np.flatnonzero(first[1:] > ends[:-1] + 1)
        begins, stops = first[np.append(0, gaps + 1)], ends[np.append(gaps, len(ends) - 1)]
        covering = np.flatnonzero((begins <= cycle) & (cycle <= stops))
        return int(stops[covering[0]]) + 1 if len(covering) else cycle

    @property
    def host_idle(self) -> int:
        """The first cycle from which on no word waits for the host."""
        return max((int(cycles[-1]) + HOST_CYCLES + 1 for _, cycles in self.host), default=0)

    def host_sources(self) -> list[int]:
        """Who sent the words to the host, in order."""
        if not self.host:
            return []
        sources = np.concatenate([np.full(len(cycles), source) for source, cycles in self.host])
        order = np.argsort(np.concatenate([cycles for _, cycles in self.host]), kind="stable")
        return sources[order].tolist()


class _Run:
    """A stream on its way."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.law = RunLaw(config)
        self.memories = Memories(config, seed=None)
        self.head_words = max(1, COMMAND_BITS // config.flit_bits)
        self.cycle = 0  # in which the next word is taken
        self.traffic = _Traffic(config)
        self.go: int | None = None
        self.clusters: tuple[ClusterTimes, ...] = ()

    def execute(self, command: HostCommand) -> None:
        self.cycle += self.head_words
        self.law.words_in += self.head_words
        if isinstance(command, Write):
            self.memories.write(command)
            count = len(command.payload)
            taken = np.arange(self.cycle, self.cycle + count) + WRITE_LATENCY
            self.traffic.send(self.config.host, command.destinations, taken)
            self.cycle += count
            self.law.words_in += count
        elif isinstance(command, Wait):
            self.cycle = self._idle(command.destinations, host=False) + GO_LATENCY
        else:
            self.cycle = self._idle((1 << self.config.clusters) - 1, host=True) + GO_LATENCY
            self._end_phase()
            if isinstance(command, Run):
                self._begin_phase()
            else:
                self.law.end = self.cycle

    def _idle(self, clusters: int, *, host: bool) -> int:
        """The first cycle from now on in which the clusters are idle, the mesh is empty and no word waits."""
        idle = max([self.cycle, *(times.idle for number, times in enumerate(self.clusters) if clusters >> number & 1)])
        return max(self.traffic.empty(idle), self.traffic.host_idle if host else 0)

    def _end_phase(self) -> None:
        traffic = self.traffic
        flits = traffic.flits()
        self.law.link_flits.update(flits)
        self.law.host_sources.extend(traffic.host_sources())
        if self.go is not None:
            self.law.phases.append(PhaseLaw(self.go, self.cycle, self.clusters, flits, traffic.contended))
        self.traffic = _Traffic(self.config)

    def _begin_phase(self) -> None:
        config = self.config
        self.go = self.cycle
        starts = self.memories.go()
        self.clusters = tuple(cluster_times(start, self.go, cluster, config) for cluster, start in enumerate(starts))
        for cluster, (start, times) in enumerate(zip(starts, self.clusters, strict=True)):
            if start.sender is not None:
                self._send(cluster, start.sender, times)

    def _send(self, cluster: int, sender: SenderJob, times: ClusterTimes) -> None:
        parts = np.arange(self.config.flits_per_word)
        flits = np.ravel(np.array(times.sent, np.int64)[:, None] + parts)
        self.traffic.send(cluster, sender.destinations, flits)


def law(commands: Iterable[HostCommand | UnknownCommand], config: AcceleratorConfig) -> RunLaw:
    """The law of a command stream that ends with END.

    Weights and maps do not matter: payloads of WRITEs to gather and taps memories count by their length alone. A DOT of
    kind SKIP is taken to skip nothing.

    Raises
    ------
    Fault
        If the accelerator stops with an error that programs and descriptors tell.
    ValueError
        If the stream does not end with its first END, or a slot's program does not fit its words or its memory.
    """
    run = _Run(config)
    ended = False
    for command in commands:
        if ended:
            raise ValueError(f"END must be the last command of a run, not followed by {type(command).__name__}")
        check_command(command, config)
        if not isinstance(command, UnknownCommand):
            run.execute(command)
        ended = isinstance(command, End)
    if not ended:
        raise ValueError("a run must end with END")
    return run.law
