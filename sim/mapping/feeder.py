"""What turns the sources of a plan into planes, and its results into a feature map, by moving bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from golden.graph import Integers
from sim.mapping.bits import Symbols
from sim.mapping.builder import JobPlan, Source

__all__ = ["Feeder"]


class Feeder(Protocol):
    """Planes of one layer; constants are prepared once, activations for every input."""

    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input maps of the layer for one input of the network, each (height, width, channels, bits)."""
        ...

    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD of a job: (planes, bits)."""
        ...

    def rows(self, job: JobPlan) -> Integers:
        """Which element of the output map (flat index) each row of the job's results is; -1 for none."""
        ...
