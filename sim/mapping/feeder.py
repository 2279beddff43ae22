"""What turns the sources of a plan into planes, and its results into a feature map, by moving bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from golden.graph import Integers
from sim.mapping.bits import Symbols
from sim.mapping.builder import JobPlan, Source

__all__ = ["Feeder"]


class Feeder(ABC):
    """Planes of one layer; constants are prepared once, activations for every input."""

    @abstractmethod
    def begin(self, stored: Sequence[Symbols]) -> None:
        """Take the input maps of the layer for one input of the network, each (height, width, channels, bits)."""

    @abstractmethod
    def planes(self, job: JobPlan, source: Source) -> Symbols:
        """The planes of one LOAD of a job: (planes, bits)."""

    def job_planes(self, job: JobPlan) -> Sequence[Symbols]:
        """The planes of every LOAD of a job, in the order of execution."""
        return [self.planes(job, source) for source in job.loads]

    @abstractmethod
    def rows(self, job: JobPlan) -> Integers:
        """Which element of the output map (flat index) each row of the job's results is; -1 for none."""
