"""When a gather unit shows its beats."""

from __future__ import annotations

from collections import deque

__all__ = ["GATHER_LATENCY", "GatherClock"]

GATHER_LATENCY = 2
"""Cycles between *go* and the first beat, besides the one for each output row."""


class GatherClock:
    """The cycles in which beats show, one after the other; O(1) for each.

    A beat goes into the queue ``rows`` cycles after the one before it, or in the cycle after a beat left the full
    queue, whichever is later. It shows in the next cycle, unless another one is still before it.

    Parameters
    ----------
    go : the cycle in which the unit sees *go*.
    rows : OUT_ROWS of the job.
    queue : ``gather_queue`` of the accelerator.
    """

    def __init__(self, go: int, rows: int, queue: int):
        self._rows = rows
        self._beat = 0
        self._ready = go + GATHER_LATENCY + rows - 1
        self._pushed = self._ready
        self._pops: deque[int] = deque(maxlen=queue)
        self._blocked = 0

    @property
    def blocked(self) -> int:
        """Cycles in which the unit stood still before the beats that were popped were in the queue."""
        return self._blocked

    def pushed(self, k: int) -> int:
        """The cycle in which beat ``k`` goes into the queue; all before it, and no other, must have been popped.

        Raises
        ------
        ValueError
            If it is not the next beat.
        """
        if k != self._beat:
            raise ValueError(f"beats of a gather unit go one after the other: {self._beat} is next, not {k}")
        return self._pushed

    def shown(self, k: int) -> int:
        """The first cycle in which beat ``k`` shows; all before it, and no other, must have been popped.

        Raises
        ------
        ValueError
            If it is not the next beat.
        """
        pushed = self.pushed(k)
        return max(pushed, self._pops[-1]) + 1 if self._pops else pushed + 1

    def popped(self, k: int, cycle: int) -> None:
        """Tell the clock that the last receiver takes beat ``k`` in ``cycle``.

        Raises
        ------
        ValueError
            If it is not the next beat, or does not show yet.
        """
        shown = self.shown(k)
        if cycle < shown:
            raise ValueError(f"beat {k} of a gather unit shows in cycle {shown}, it cannot be taken in {cycle}")
        self._blocked += self._pushed - self._ready
        self._pops.append(cycle)
        self._beat += 1
        self._ready = self._pushed + self._rows
        full = len(self._pops) == self._pops.maxlen
        self._pushed = max(self._ready, self._pops[0] + 1) if full else self._ready
