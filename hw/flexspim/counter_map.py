"""The counters of a macro: names, unit and meaning, in the order of their index at the counter port."""

from __future__ import annotations

from hw.counter_map import Counter

__all__ = ["MACRO_COUNTERS", "macro_counter_index"]

MACRO_COUNTERS: tuple[Counter, ...] = (
    Counter("cycles.control", "cycle", "decoding instructions, and working out a layer's sizes"),
    Counter("cycles.move", "cycle", "moving rows and planes between streams and the array"),
    Counter("cycles.array", "cycle", "row operations: one in each such cycle"),
    Counter("cycles.scan", "cycle", "looking for events while the array has nothing to do"),
    Counter("cycles.stall", "cycle", "the macro stood still for a stream"),
    Counter("events.instructions", "instruction", "instructions executed"),
    Counter("events.column_operations", "column", "columns that took part in row operations, added up"),
    Counter("events.standby_columns", "column", "columns in standby during row operations, added up"),
    Counter("events.synaptic", "operation", "weights added to potentials"),
    Counter("events.inputs", "event", "input events taken, whether they reach a potential or not"),
    Counter("events.spikes", "event", "operands that spiked"),
    Counter("events.resets", "slice", "slices in which an operand spiked and was reset"),
    Counter("events.saturations", "slice", "slices in which a sum left its range and was clipped"),
    Counter("events.rows_in", "row", "rows and planes that came in"),
    Counter("events.rows_out", "row", "rows that went out"),
    Counter("events.event_words", "word", "words of events that came in"),
    Counter("events.spike_words", "word", "words of spikes that went out, one for each slice compared"),
    Counter("identity.config", "hash", "the config hash of the hardware"),
)
"""Partition of time (``cycles.*`` add up to the cycles of the run), events, identity."""


def macro_counter_index(name: str) -> int:
    """Index of a counter at the counter port."""
    return next(index for index, counter in enumerate(MACRO_COUNTERS) if counter.name == name)
