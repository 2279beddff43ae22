"""What an engine and the test bench of a tile tell each other, and what an engine makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from golden.engine import Job, TileError
from hw.config import TileConfig
from hw.counter_map import COUNTERS, WRAPPED
from hw.isa import ErrorCode

__all__ = ["TIMEOUT_CYCLES", "JobMessage", "OutcomeMessage", "checked_counters"]

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


def checked_counters(
    answer: OutcomeMessage, job: Job, config: TileConfig, beats: int, timeout_cycles: int
) -> dict[str, int]:
    """The counters of a run that an outcome has.

    Parameters
    ----------
    answer : what the ports showed.
    beats : of ``plane_in`` that the run was given.
    timeout_cycles : that it was given.

    Raises
    ------
    TileError
        If the tile did not end, did not take every beat of a run that ended well, is of another config, or counted
        further than its counters go.
    """
    if answer.timed_out:
        raise TileError(
            f"the tile did not end a program of {len(job.program.instructions)} instructions "
            f"within {timeout_cycles} cycles"
        )
    if answer.error == ErrorCode.NONE and not answer.was_reset and answer.unread_beats:
        raise TileError(f"the tile left {answer.unread_beats} of {beats} beats of plane_in untaken")
    identity = answer.counters["identity.config"]
    if identity != config.hash:
        raise TileError(f"the hardware must have config hash {config.hash_text}, not {identity:016x}")
    if any(value >> WRAPPED & 1 for name, value in answer.counters.items() if name != "identity.config"):
        raise TileError(f"the run must fit counters of {config.counter_bits} bits, but one of them wrapped")
    return {
        counter.name: answer.counters[counter.name]
        for counter in COUNTERS
        if not counter.name.startswith("identity.") and (config.activity or not counter.name.startswith("activity."))
    }
