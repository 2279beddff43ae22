"""The engine protocol: a program and planes in, planes and counters out.

The Verilog in a simulator, the bit-level golden tile and the cycle laws are engines; the host knows nothing else of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import ErrorCode, Program

__all__ = ["Bits", "Engine", "Job", "Outcome", "PackedPlanes", "TileError"]

Bits = NDArray[np.uint8]
"""Planes of one LOAD or STORE: 0/1, shape (planes, bits of a plane)."""


class PackedPlanes(Sequence[Bits]):
    """The planes of all LOADs of a run in one array of bytes, which takes much less time than an array for each.

    As a sequence, it has the planes of each LOAD.

    Parameters
    ----------
    content : bytes, plane after plane, each beginning with a new byte, the lowest bit first.
    shapes : planes and bits of a plane of every LOAD, in the order of execution: (LOADs, 2).

    Raises
    ------
    ValueError
        If there are more or fewer bytes than the shapes ask for.
    """

    def __init__(self, content: NDArray[np.uint8], shapes: NDArray[np.int64]) -> None:
        """Take the bytes and what they mean."""
        self.content, self.shapes = content, shapes
        sizes = shapes[:, 0] * -(-shapes[:, 1] // 8)
        self._ends = np.cumsum(sizes)
        if sizes.sum() != content.size:
            raise ValueError(f"planes must have {sizes.sum()} bytes in all, not {content.size}")

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, index: int) -> Bits: ...

    @overload
    def __getitem__(self, index: slice) -> list[Bits]: ...

    def __getitem__(self, index: int | slice) -> Bits | list[Bits]:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        number = range(len(self))[index]
        planes, bits = (int(size) for size in self.shapes[number])
        end = int(self._ends[number])
        size = -(-bits // 8)
        packed = np.reshape(self.content[end - planes * size : end], (planes, size))
        return np.unpackbits(packed, axis=1, count=bits, bitorder="little")


class TileError(RuntimeError):
    """The tile raised its error port."""


@dataclass(frozen=True)
class Job:
    """One run of a tile.

    Parameters
    ----------
    program : what it executes.
    planes : for every LOAD, in the order of execution, its planes: shape (d_width, R, S or G). Engines may look for
        :class:`PackedPlanes`.
    """

    program: Program
    planes: Sequence[Bits] = ()


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Parameters
    ----------
    planes : for every STORE, in the order of execution, its planes; empty under the laws.
    counters : by the names of :data:`hw.counter_map.COUNTERS`; activity counters are absent where they are not counted.
    error, address : the error port and the address of the instruction that raised it.
    """

    planes: Sequence[Bits] = ()
    counters: dict[str, int] = field(default_factory=dict[str, int])
    error: ErrorCode = ErrorCode.NONE
    address: int = 0

    @property
    def cycles(self) -> int:
        """All cycles of the run, stalls included."""
        return total_cycles(self.counters)


class Engine(Protocol):
    """Runs jobs on one tile, whose cells, tags and totals persist from job to job."""

    config: TileConfig

    def run(self, job: Job) -> Outcome:
        """Run one job; an error of the tile is reported in the outcome, not raised."""
        ...

    def close(self) -> None:
        """Release what the engine holds (a simulator process)."""
        ...
