"""Where the blocks of a feature map lie: which cluster, MAP, batch and row block makes and keeps each of them.

A *block* is one channel of one set.  Clusters form pixel groups, which share the sets, times channel groups, which
share the channels.  A cluster works through its sets, and through *rounds* of channels in each set; a round is made by
all CAPs of the cluster at a time, ``items`` channels by each.  The sums of a *batch* of rounds, as many as fit the row
blocks of a MAP, are requantised together and then stored side by side in the same columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from hw.accelerator.config import AcceleratorConfig
from sim.accelerator.layout import MapGeometry
from sim.mapping.builder import equal_parts

__all__ = ["Batch", "Placement", "Split", "Unit", "make_placement"]


@dataclass(frozen=True)
class Split:
    """How a map is shared out.

    Parameters
    ----------
    pixel_groups, channel_groups : clusters are numbered by pixel group, then channel group.
    granule : channels of each round, those of L inputs of a depthwise layer; 0 where rounds are free.
    items : channels that a CAP makes in a round, at most.
    whole : each round fills all row blocks of the first MAP of a cluster, in the order of its channels; the granule
        is G.
    """

    pixel_groups: int
    channel_groups: int
    granule: int
    items: int
    whole: bool = False


@dataclass(frozen=True)
class Unit:
    """One round of one set: ``number`` of the set and ``turn`` of the round, both within the cluster's share."""

    number: int
    turn: int


@dataclass(frozen=True)
class Batch:
    """Rounds whose sums are requantised together; the same for all MAPs of a cluster."""

    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Placement:
    """Where the blocks of a map lie.

    Parameters
    ----------
    geometry, config : the map and the accelerator.
    split : how it is shared out.
    sets : of each cluster, the sets that it makes; none for a cluster without a share.
    channels : of each cluster, for each round and MAP, the channels in the order of their row blocks.
    items : of each round, the channels that every CAP makes; the same in all clusters that have this round.
    """

    geometry: MapGeometry
    config: AcceleratorConfig
    split: Split
    sets: tuple[range, ...]
    channels: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    items: tuple[int, ...]

    @property
    def caps(self) -> int:
        """CAPs of a MAP."""
        return self.config.caps // self.config.maps

    @property
    def rounds(self) -> int:
        """Rounds of a set in the cluster that has most."""
        return len(self.items)

    @property
    def clusters(self) -> Iterator[int]:
        """Clusters that have a share."""
        return (cluster for cluster, sets in enumerate(self.sets) if sets)

    def width(self, turn: int) -> int:
        """Row blocks that a round takes in each MAP."""
        return self.config.taps if self.split.whole else self.items[turn] * self.caps

    @cached_property
    def batches_of_sets(self) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """Sets whose rounds share a batch, and how the rounds of a set are parted where a set has several batches."""
        widths = [self.width(turn) for turn in range(self.rounds)]
        taps = self.config.taps
        if sum(widths) <= taps:
            return taps // sum(widths), (tuple(range(self.rounds)),)
        parts: list[list[int]] = [[]]
        used = 0
        for turn, width in enumerate(widths):
            if used + width > taps:
                parts.append([])
                used = 0
            parts[-1].append(turn)
            used += width
        return 1, tuple(tuple(part) for part in parts)

    def batches(self, cluster: int) -> tuple[Batch, ...]:
        """The batches of each MAP of a cluster, in the order of time."""
        together, parts = self.batches_of_sets
        count, own = len(self.sets[cluster]), len(self.channels[cluster])
        return tuple(
            Batch(
                tuple(
                    Unit(number, turn)
                    for number in range(first, min(first + together, count))
                    for turn in part
                    if turn < own
                )
            )
            for first in range(0, count, together)
            for part in parts
            if part[0] < own
        )

    @property
    def fields(self) -> int:
        """The most batches that a MAP keeps."""
        return max(len(self.batches(cluster)) for cluster in self.clusters)

    def rows(self, cluster: int, number: int, batch: Batch) -> list[tuple[int, int] | None]:
        """What each used row block of a batch of MAP ``number`` holds: (set, channel), or None for nothing of worth."""
        result: list[tuple[int, int] | None] = []
        for unit in batch.units:
            channels = self.channels[cluster][unit.turn][number]
            position = self.sets[cluster][unit.number]
            blocks = [(position, channel) for channel in channels]
            result += [*blocks, *[None] * (self.width(unit.turn) - len(blocks))]
        return result

    @cached_property
    def places(self) -> dict[tuple[int, int], dict[tuple[int, int], tuple[int, int]]]:
        """For each (cluster, MAP): from (set, channel) to (batch, row block)."""
        return {
            (cluster, number): {
                block: (index, row)
                for index, batch in enumerate(self.batches(cluster))
                for row, block in enumerate(self.rows(cluster, number, batch))
                if block is not None
            }
            for cluster in self.clusters
            for number in range(self.config.maps)
        }


def make_placement(geometry: MapGeometry, split: Split, config: AcceleratorConfig) -> Placement:
    """The placement of a map by a split.

    With a granule each round is one granule, shared by all MAPs or whole in the first one; else each MAP has
    neighbouring channels of its own in all rounds.
    """
    caps, granule = config.caps // config.maps, max(1, split.granule)
    groups = -(-geometry.channels // granule)
    shares = [
        range(part.start * granule, min(part.stop * granule, geometry.channels))
        for part in equal_parts(groups, split.channel_groups)
    ]
    if split.granule:
        rounds = [
            [_granule(range(first, min(first + granule, share.stop)), split, config)
             for first in range(share.start, share.stop, granule)]
            for share in shares
        ]  # fmt: skip
    else:
        own = [_parts(share, config.maps) for share in shares]
        count = -(-max(len(part) for parts in own for part in parts) // (split.items * caps))
        rounds = [
            [tuple(column) for column in zip(*(_parts(part, count) for part in parts), strict=True)] for parts in own
        ]
    most = max(map(len, rounds))
    items = (
        (split.items,) * most
        if split.whole
        else tuple(
            max(-(-len(channels) // caps) for share in rounds if turn < len(share) for channels in share[turn])
            for turn in range(most)
        )
    )
    sets: list[range] = []
    channels: list[tuple[tuple[tuple[int, ...], ...], ...]] = []
    pixels = equal_parts(geometry.sets, split.pixel_groups)
    for cluster in range(config.clusters):
        pixel, channel = divmod(cluster, split.channel_groups)
        sets.append(pixels[pixel] if pixel < split.pixel_groups else range(0))
        channels.append(tuple(rounds[channel]))
    return Placement(geometry, config, split, tuple(sets), tuple(channels), items)


def _granule(channels: range, split: Split, config: AcceleratorConfig) -> tuple[tuple[int, ...], ...]:
    """The channels of a round by MAP."""
    return (tuple(channels), *[()] * (config.maps - 1)) if split.whole else _parts(channels, config.maps)


def _parts(channels: range | tuple[int, ...], count: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(channels[part.start : part.stop]) for part in equal_parts(len(channels), count))
