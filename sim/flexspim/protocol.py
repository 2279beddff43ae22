"""What an engine and the test bench of a macro tell each other."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MacroJobMessage", "MacroOutcomeMessage"]


@dataclass(frozen=True)
class MacroJobMessage:
    """One program with its words.

    Parameters
    ----------
    words, rows, events : words of the three streams, in order.
    seed, stall_probability : of the random pauses on all streams; 0.0 for none.
    timeout_cycles : a run that lasts longer is given up.
    """

    words: list[int]
    rows: list[int]
    events: list[int]
    seed: int
    stall_probability: float
    timeout_cycles: int


@dataclass(frozen=True)
class MacroOutcomeMessage:
    """What the ports showed after a run: words that went out, words that are left, error port, counters by index."""

    rows: list[int]
    spikes: list[int]
    untaken: tuple[int, int]
    error: int
    address: int
    counters: list[int]
    timed_out: bool
