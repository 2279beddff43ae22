"""The counters of a tile: names, meaning and unit, in the order of their index at the counter port.

A counter of 64 bits lasts for centuries at 1 GHz. Those of a config with fewer ``counter_bits`` may wrap: then all but
the identity are read with the bit :data:`WRAPPED` set, until the next program starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COUNTERS", "COUNTER_BITS", "WRAPPED", "Counter", "counter_index", "total_cycles"]

COUNTER_BITS = 64
"""Bits of the counter port, and the most that a counter has."""

WRAPPED = COUNTER_BITS - 1
"""The bit of the counter port that says that a counter has wrapped since the program started."""


@dataclass(frozen=True)
class Counter:
    """One counter: dotted name, unit and definition."""

    name: str
    unit: str
    description: str


COUNTERS: tuple[Counter, ...] = (
    Counter("cycles.load", "cycle", "moving planes in: LOAD's own cycles and waits for one"),
    Counter("cycles.compute", "cycle", "owned by instructions marked COMPUTE"),
    Counter("cycles.reduce", "cycle", "owned by instructions marked REDUCE"),
    Counter("cycles.requantize", "cycle", "owned by instructions marked REQUANTIZE"),
    Counter("cycles.store", "cycle", "moving planes out: STORE's own cycles and waits for one"),
    Counter("cycles.stall", "cycle", "the tile stood still for a stream"),
    Counter("events.instructions", "instruction", "instructions executed"),
    Counter("events.compares", "cycle", "cycles with a compare"),
    Counter("events.compared_columns", "column", "columns that the compares looked at"),
    Counter("events.writes", "cycle", "cycles with a write by the sequencer"),
    Counter("events.written_columns", "column", "columns that the writes wrote"),
    Counter("events.port_steps", "step", "beats and planes that the plane port moved"),
    Counter("events.skipped_planes", "plane", "leading zero planes that searches found and DOTs skipped"),
    Counter("activity.rows_matched", "row", "tagged rows after each compare, added up"),
    Counter("activity.cells_written", "cell", "rows written times columns written, added up"),
    Counter("identity.config", "hash", "the config hash of the hardware"),
)
"""Partition of time (``cycles.*`` add up to the cycles of the run), schedule events, activity events, identity."""


def total_cycles(counters: Mapping[str, int]) -> int:
    """Cycles of a run by its counters: the sum of their ``cycles.*``, stalls included where they are counted."""
    return sum(value for name, value in counters.items() if name.startswith("cycles."))


def counter_index(name: str) -> int:
    """Index of a counter at the counter port."""
    return next(index for index, counter in enumerate(COUNTERS) if counter.name == name)
