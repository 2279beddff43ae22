"""Exchanges: blocks of a map from the MAPs that hold them to the gather memories that need them, or to the host."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from golden.accelerator.transport import schedule
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import REGISTER_BITS
from sim.accelerator.layout import MapGeometry
from sim.accelerator.placement import Placement

__all__ = ["Transfer", "rounds", "sender_registers", "to_host", "transfers"]

_STEPS_TRIED = 8


@dataclass(frozen=True)
class Transfer:
    """What one sender does in one phase: ``sets`` times ``channels``, all planes of each block.

    Parameters
    ----------
    cluster, number : the MAP that holds the blocks.
    sets, channels : ranges, the channels with a step.
    destinations : mask as in a flit.
    """

    cluster: int
    number: int
    sets: range
    channels: range
    destinations: int

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """(set, channel) of every block, in the order of the words."""
        return [(number, channel) for number in self.sets for channel in self.channels]


def transfers(placement: Placement, missing: Sequence[Collection[int]]) -> list[Transfer]:
    """What must be sent so that each cluster gets the sets of a map that it misses."""
    result: list[Transfer] = []
    for (cluster, number), places in placement.places.items():
        channels = _runs(sorted({channel for _, channel in places}))
        masks = [
            (position, sum(1 << target for target, sets in enumerate(missing) if position in sets))
            for position in placement.sets[cluster]
        ]
        for mask, members in itertools.groupby(masks, key=lambda item: item[1]):
            if mask:
                positions = [position for position, _ in members]
                sets = range(positions[0], positions[-1] + 1)
                result += [Transfer(cluster, number, sets, run, mask) for run in channels]
    return result


def to_host(placement: Placement) -> list[Transfer]:
    """What sends a whole map to the host, one after the other."""
    return [
        Transfer(cluster, number, placement.sets[cluster], run, 1 << placement.config.host)
        for (cluster, number), places in placement.places.items()
        for run in _runs(sorted({channel for _, channel in places}))
    ]


def rounds(wanted: Sequence[Transfer], config: AcceleratorConfig) -> list[list[Transfer]]:
    """Pack transfers into few rounds in which no two share a sender or a link; long ones together."""
    packed = schedule(
        [(transfer.cluster, transfer.destinations) for transfer in wanted],
        config,
        [len(transfer.sets) * len(transfer.channels) for transfer in wanted],
    )
    return [sorted((wanted[number] for number in one), key=lambda transfer: transfer.cluster) for one in packed]


def sender_registers(transfer: Transfer, geometry: MapGeometry, first: int) -> tuple[int, ...]:
    """The registers of a sender; ``first`` is the word address of the map in the gather memories."""
    mask = (1 << REGISTER_BITS) - 1
    return (
        transfer.number,
        transfer.destinations & mask,
        transfer.destinations >> REGISTER_BITS,
        first + geometry.word(transfer.sets.start, 0, transfer.channels.start),
        geometry.word(0, 1, 0),
        geometry.bits,
        transfer.channels.step,
        len(transfer.channels),
        geometry.word(1, 0, 0),
        len(transfer.sets),
    )


def _runs(numbers: Sequence[int]) -> list[range]:
    """Ascending numbers as few ranges with steps, each the longest from the lowest number that is left."""
    left = list(numbers)
    result: list[range] = []
    while left:
        first, remaining = left[0], set(left)
        best = range(first, first + 1)
        for second in left[1 : 1 + _STEPS_TRIED]:
            step, end = second - first, second
            while end in remaining:
                end += step
            run = range(first, end, step)
            best = run if len(run) > len(best) else best
        result.append(best)
        left = [number for number in left if number not in best]
    return result
