"""What runs units: this process, others of this machine, or a cluster."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from sim.work.units import Answer, Unit, Worker

__all__ = ["Here", "Pool"]


class Pool(Protocol):
    """Runs units for one piece of work."""

    @property
    def workers(self) -> int:
        """Units that can run at once."""
        ...

    @property
    def built(self) -> float:
        """Seconds of making the engine that took longest."""
        ...

    @property
    def room(self) -> int:
        """Units that can be given now."""
        ...

    def give(self, unit: Unit) -> None:
        """Have a unit done; there must be room."""
        ...

    def take(self) -> tuple[Unit, Answer]:
        """Wait for the next unit that is done; one at least must be under way.

        Raises
        ------
        UserError, TileError, SimulationError
            As :meth:`sim.work.units.Worker.do`, and if a worker has ended.
        """
        ...

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        ...


class Here:
    """A pool of this process alone: a unit is done when its answer is taken."""

    workers = 1

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._given: deque[Unit] = deque()

    @property
    def built(self) -> float:
        """Seconds of making the engine."""
        return self._worker.built

    @property
    def room(self) -> int:
        """One unit at a time."""
        return 1 - len(self._given)

    def give(self, unit: Unit) -> None:
        """Keep a unit until its answer is taken."""
        self._given.append(unit)

    def take(self) -> tuple[Unit, Answer]:
        """Do the unit."""
        unit = self._given.popleft()
        return unit, self._worker.do(unit)

    def close(self) -> None:
        """Release the engine."""
        self._worker.close()
