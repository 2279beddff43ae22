"""The cycle laws of a macro: exactly how long an instruction, an event and a program take.

``LAWS`` has them as texts. An instruction takes a cycle to be decoded, then its body. Besides its fields a body may
depend on data, by counts that a run tells: slices that are clipped (their sum left its range) or reset.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hw.flexspim.isa import MacroOpcode

__all__ = [
    "CALIBRATIONS",
    "LAWS",
    "TERMS",
    "Calibration",
    "event_slices",
    "events_cycles",
    "fire_cycles",
    "layer_cycles",
]

SETTLE = 8
"""Cycles in which an OUTPUT works out numbers of rows."""

TERMS: dict[str, str] = {
    "N_R": "rows of a potential: its bits by the columns of an operand, rounded up",
    "slices": "operands side by side in N_R rows are a slice; how many the instruction works on",
    "rows": "rows that the instruction moves",
    "clips": "slices in which a sum left its range; 0 where sums wrap",
    "resets": "slices in which an operand spiked, where there is a reset",
    "reached": "slices that the events reach, see event_slices",
    "fetched": "rows of weights that come in for the events, where they are not in the array",
    "waits": "cycles in which the array waits for the scanner, see events_cycles",
}
"""What the laws are made of."""

LAWS: dict[MacroOpcode, dict[str, str]] = {
    MacroOpcode.HALT: {},
    MacroOpcode.LOOP: {},
    MacroOpcode.END: {},
    MacroOpcode.SHAPE: {"control": "1", "move": "4"},
    MacroOpcode.LOAD: {"move": "rows"},
    MacroOpcode.STORE: {"move": "rows"},
    MacroOpcode.ACCUMULATE: {"array": "N_R*(slices + clips)"},
    MacroOpcode.ADD: {"array": "N_R*(slices + clips)"},
    MacroOpcode.COMPARE: {"array": "N_R"},
    MacroOpcode.RESET: {"array": "N_R*(1 + clips)"},
    MacroOpcode.FIRE: {"array": "N_R*(slices + resets + clips)"},
    MacroOpcode.INPUT: {},
    MacroOpcode.OUTPUT: {"control": f"{SETTLE}"},
    MacroOpcode.EVENTS: {"array": "N_R*(reached + clips)", "move": "fetched", "scan": "waits"},
}
"""Cycles of each opcode by owner, besides the one of its decoding, which is control."""


@dataclass(frozen=True)
class Calibration:
    """What a publication says about its silicon; an input of ours, never a result.

    Parameters
    ----------
    clock_hz, watts : clock and power of the macro.
    source : which publication.
    """

    clock_hz: float
    watts: float
    source: str

    def joules_per_operation(self, operations_per_second: float) -> float:
        """Energy of a synaptic operation at a rate that was measured."""
        return self.watts / operations_per_second


CALIBRATIONS: tuple[Calibration, ...] = (
    Calibration(75.5e6, 6.8e-3, "arXiv:2410.23082, 0.9 V"),
    Calibration(157e6, 17.9e-3, "arXiv:2410.23082, 1.1 V"),
)
"""The two ends of the published range: calibration inputs, not ours."""


def event_slices(places: int, channels: int, parallel: int) -> int:
    """Slices that an event reaches.

    Parameters
    ----------
    places : of the output, borders taken off; 1 for a fully connected layer.
    channels : neurons at each place.
    parallel : operands side by side.
    """
    return places * -(-channels // parallel)


def events_cycles(events: Iterable[tuple[int, int]], empty: int) -> int:
    """Cycles of an EVENTS after its decoding; the scanner looks ahead by one event.

    Parameters
    ----------
    events : for each, words without events before it, and cycles in which array and rows work for it, maybe 0.
    empty : words without events (and the end of addresses) after the last one.
    """
    taken, works = -1, 0  # the cycle in which the last event was taken, and how long it works from the next one on
    for skipped, cycles in events:
        found = max(taken, 0) + skipped
        taken, works = max(found + 1, taken + works), cycles
    scanned = max(taken, 0) + empty
    return max(scanned, taken + 1 + works) + 1


def fire_cycles(rows: int, slices: int, resets: int, clips: int = 0) -> int:
    """Row operations of a FIRE: a compare of every slice, and a second pass for those in which a neuron spiked."""
    return rows * (slices + resets + clips)


def layer_cycles(rows: int, reached: int, slices: int, resets: int, clips: int = 0) -> int:
    """Row operations of a layer in a timestep.

    Parameters
    ----------
    rows : N_R.
    reached : slices that its events reach, summed over the events.
    slices : of the layer.
    resets, clips : of the timestep.
    """
    return rows * (reached + clips) + fire_cycles(rows, slices, resets)
