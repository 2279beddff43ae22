"""What a block is made of, as numbers that can be added."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

__all__ = ["HEADINGS", "Counts"]


@dataclass(frozen=True)
class Counts:
    """Cells of a block after mapping; a block without cells is ``Counts()``.

    Parameters
    ----------
    cells : cells of the target of any kind, flip-flops included.
    luts : LUTs that they take, those of LUT memories included.
    lut_memories : cells that are memories made of LUTs.
    flip_flops : flip-flops and latches.
    carries : cells of carry chains.
    memories : block memories.
    logic_cells : of an iCE40; see :mod:`sim.synthesis.packing`.
    memory_bits : bits of memories that are not mapped.
    area_um2 : of standard cells.
    """

    cells: int = 0
    luts: int = 0
    lut_memories: int = 0
    flip_flops: int = 0
    carries: int = 0
    memories: int = 0
    logic_cells: int = 0
    memory_bits: int = 0
    area_um2: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        mine, its = dataclasses.asdict(self), dataclasses.asdict(other)
        return Counts(**{name: value + its[name] for name, value in mine.items()})

    def __mul__(self, times: int) -> Counts:
        return Counts(**{name: value * times for name, value in dataclasses.asdict(self).items()})

    @property
    def state_bits(self) -> int:
        """Flip-flops, and bits of memories that are not mapped."""
        return self.flip_flops + self.memory_bits


HEADINGS = {
    "cells": "cells",
    "luts": "LUTs",
    "lut_memories": "LUTRAMs",
    "flip_flops": "flip-flops",
    "carries": "carries",
    "memories": "memories",
    "logic_cells": "logic cells",
    "memory_bits": "memory bits",
    "area_um2": "um2",
}
"""What tables call the fields."""
