"""Phases of a run: what every unit of the accelerator starts with at a *go*, before addresses in memories are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from golden.accelerator.windows import GatherJob

__all__ = ["HostWords", "Phase", "PhaseKind", "TileWork"]


class PhaseKind(Enum):
    """What a phase is for."""

    EXCHANGE = "exchange"
    COMPUTE = "compute"
    ELEMENTWISE = "elementwise"
    RESULT = "result"

    @property
    def quiet(self) -> bool:
        """Whether the host must not write while the phase runs, as flits of senders need the mesh for themselves."""
        return self in (PhaseKind.EXCHANGE, PhaseKind.RESULT)


@dataclass(frozen=True)
class TileWork:
    """What a tile does in a phase.

    Parameters
    ----------
    program : its 128-bit words, header first.
    taps : F-bit words of its taps memory.
    planes : planes of G bits in them, which come again and again.
    """

    program: tuple[int, ...]
    taps: tuple[int, ...]
    planes: int


@dataclass(frozen=True)
class HostWords:
    """Words of the network's input that the host writes before a phase: ``sets`` of it to clusters of a mask.

    ``first`` is the word address of the map in their gather memories.
    """

    sets: range
    destinations: int
    first: int


@dataclass(frozen=True)
class Phase:
    """What lies between two goes.

    Parameters
    ----------
    kind, layers : what it is for; the names of layers that it works on.
    tiles : of (cluster, tile).
    gather : of a cluster, its gather unit's job.
    senders : of a cluster, its sender's registers.
    host : what the host writes right before it.
    """

    kind: PhaseKind
    layers: tuple[str, ...]
    tiles: Mapping[tuple[int, int], TileWork]
    gather: Mapping[int, GatherJob] = field(default_factory=dict[int, GatherJob])
    senders: Mapping[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])
    host: tuple[HostWords, ...] = ()
