"""What the ``rtl`` engine and its cocotb test bench send each other."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["TIMEOUT_CYCLES", "JobMessage", "OutcomeMessage"]

TIMEOUT_CYCLES = 1_000_000_000
"""A run that lasts longer is given up, unless told otherwise."""


@dataclass(frozen=True)
class JobMessage:
    """One program with its words and beats.

    Parameters
    ----------
    words : header and instructions.
    beats : words of ``plane_in``, in order.
    seed, stall_probability : of the random pauses on all three streams; 0.0 for none.
    reset_after : cycles after which the tile is reset in the middle of the run; 0 for never.
    timeout_cycles : a run that lasts longer is given up.
    """

    words: list[int]
    beats: list[int]
    seed: int = 0
    stall_probability: float = 0.0
    reset_after: int = 0
    timeout_cycles: int = TIMEOUT_CYCLES


@dataclass(frozen=True)
class OutcomeMessage:
    """What the ports showed after a run."""

    beats: list[int]
    error: int
    address: int
    counters: dict[str, int] = field(default_factory=dict[str, int])
    was_reset: bool = False
    timed_out: bool = False
    unread_beats: int = 0
