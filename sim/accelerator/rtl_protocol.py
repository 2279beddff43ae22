"""What the accelerator's ``rtl`` engine and its cocotb test bench send each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from hw.accelerator.config import AcceleratorConfig

__all__ = ["TIMEOUT_CYCLES", "AnswerMessage", "StreamMessage"]

TIMEOUT_CYCLES = 1_000_000_000
"""A run that lasts longer is given up, unless told otherwise."""


@dataclass(frozen=True)
class StreamMessage:
    """One run: a command stream.

    Parameters
    ----------
    words : of the stream, F bits each.
    config : what the hardware must be.
    counters : how many each cluster has.
    seed, stall_probability : of the random pauses on both streams; 0.0 for none.
    watchdog : cycles without progress after which the hardware gives up; 0 for never.
    timeout_cycles : a run that lasts longer is given up by the test bench.
    """

    words: list[int]
    config: AcceleratorConfig
    counters: int
    seed: int = 0
    stall_probability: float = 0.0
    watchdog: int = 1 << 20
    timeout_cycles: int = TIMEOUT_CYCLES


@dataclass(frozen=True)
class AnswerMessage:
    """What the host port showed after a run.

    Parameters
    ----------
    refused : why the driver did not begin, or nothing; then there is nothing else.
    words : that came out for the host.
    registers : cycles, phases and words of the run, by the register's name.
    goes : the cycle of the run in which each phase began.
    clusters : counters of each cluster, in the order of their numbers.
    links : flits and stalls of each output of each router.
    error, detail : what the error registers hold.
    unsent_words : words of the stream that were not taken.
    timed_out : the test bench gave up.
    """

    refused: str = ""
    words: list[int] = field(default_factory=list[int])
    registers: dict[str, int] = field(default_factory=dict[str, int])
    goes: list[int] = field(default_factory=list[int])
    clusters: list[list[int]] = field(default_factory=list[list[int]])
    links: list[list[tuple[int, int]]] = field(default_factory=list[list[tuple[int, int]]])
    error: int = 0
    detail: int = 0
    unsent_words: int = 0
    timed_out: bool = False
