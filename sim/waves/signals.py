"""Which signals of a tile a person looks at, in which order, and how their values are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hw.counter_map import COUNTERS

__all__ = ["ALIASES", "DERIVED", "FORMATS", "GROUPS", "SLOTS", "TRANSLATED", "kept_signals"]

DERIVED = "passes"
"""Scope of what is worked out from the signals of the tile: its passes. It stands beside the tile, not in it."""

SLOTS = "xycf"
"""Slots of an operation: each names a column that is compared or written."""

_PORTS = ("payload", "valid", "ready")

GROUPS: Mapping[str, Sequence[str]] = {
    "clock": ("clk", "rst", "run"),
    "passes": tuple(
        f"{DERIVED}.{name}" for name in ("number", "kind", "instruction", "key", "written", "rows", "changed")
    ),
    "key": (
        "sequencer.operation_compare",
        "sequencer.operation_key",
        "sequencer.operation_write",
        "sequencer.operation_write_key",
        "array.bank_0.key",
        "array.bank_0.write_key",
    ),
    "mask": (
        "sequencer.operation_mask",
        "sequencer.operation_write_mask",
        *(f"{DERIVED}.slot_{slot}" for slot in SLOTS),
        "array.mask",
        "array.write_mask",
    ),
    "tags": (
        "array.bus__match",
        "sequencer.set_tag",
        "sequencer.operation_keep",
        "sequencer.operation_remove",
        "sequencer.operation_all_rows",
        "sequencer.shift_tag_up",
        "sequencer.shift_tag_down",
        "tags.load",
        "tags.tag",
        "tags.other",
    ),
    "touched columns": tuple(f"{DERIVED}.column_{slot}" for slot in SLOTS),
    "sequencer": (
        "sequencer.counter",
        "sequencer.instruction",
        "sequencer.running",
        "sequencer.state_state",
        "sequencer.owner",
        "sequencer.outer_bit",
        "sequencer.inner_bit",
        "sequencer.phase",
        "sequencer.steps_index",
        "sequencer.executed",
        "sequencer.waiting",
        "sequencer.starved",
    ),
    "streams": (
        *(f"{stream}__{port}" for stream in ("program", "plane_in", "plane_out") for port in _PORTS),
        "plane_in_kind",
        "plane_out_last",
    ),
    "plane port": tuple(
        f"plane_port.{name}" for name in ("outstanding", "step", "column", "read", "write", "blocks", "planes")
    ),
    "status": ("state", "done", "error", "error_address"),
    "counters": tuple(
        f"counters.{counter.name.replace('.', '_')}" for counter in COUNTERS if not counter.name.startswith("identity.")
    ),
}
"""Signals of the tile by group, as paths below it (those of :data:`DERIVED` beside it).

One that a simulator or a config does not have is left out.
"""

TRANSLATED: Mapping[str, str] = {
    "sequencer.instruction": "instructions",
    "sequencer.running": "instructions",
    "sequencer.state_state": "states",
    "sequencer.owner": "owners",
    "plane_in_kind": "kinds",
    "state": "tile_states",
    "error": "errors",
}
"""Signals whose values have texts, and which (:func:`sim.waves.gtkwave.translations`)."""

ALIASES: Mapping[str, str] = {
    "array.bus__match": "match",
    "array.bank_0.key": "array_key",
    "array.bank_0.write_key": "array_write_key",
    "array.mask": "array_mask",
    "array.write_mask": "array_write_mask",
    "sequencer.state_state": "state",
    "state": "tile_state",
    "tags.load": "load_tag",
    "tags.other": "second_tag",
}
"""What signals are called where the last part of their path does not say it."""

_BINARY = (
    "sequencer.operation_mask",
    "sequencer.operation_key",
    "sequencer.operation_write_mask",
    "sequencer.operation_write_key",
)
_TEXTS = tuple(f"{DERIVED}.{name}" for name in ("kind", "instruction", "key", "written"))
_DECIMAL = (
    *(f"{DERIVED}.{name}" for name in ("number", "rows", "changed", *(f"slot_{slot}" for slot in SLOTS))),
    "sequencer.counter",
    "sequencer.outer_bit",
    "sequencer.inner_bit",
    "sequencer.steps_index",
    "sequencer.steps_index",
    "plane_port.column",
    "plane_port.outstanding",
    "error_address",
    *GROUPS["counters"],
)

FORMATS: Mapping[str, str] = {
    **dict.fromkeys(_BINARY, "bin"),
    **dict.fromkeys(_TEXTS, "ascii"),
    **dict.fromkeys(_DECIMAL, "dec"),
}
"""How GTKWave writes the values of signals; those that are not named are hexadecimal."""

_REPLAYED = ("sequencer.operation", "sequencer.counted", "sequencer.starting")
"""What :mod:`sim.waves.replay` reads beside what is shown."""


def kept_signals() -> frozenset[str]:
    """Return the paths below the tile of all signals that small waves keep."""
    return frozenset(_REPLAYED).union(*GROUPS.values())
