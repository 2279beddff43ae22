"""What all engines with Verilog make of a run: words into rows, counters into names, and checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from golden.flexspim.engine import MacroEngineError, MacroJob, MacroOutcome, Rows
from hw.counter_map import WRAPPED
from hw.flexspim.config import MacroConfig
from hw.flexspim.counter_map import MACRO_COUNTERS
from hw.flexspim.isa import MacroError

__all__ = ["TIMEOUT_CYCLES", "checked_outcome", "packed_rows", "unpacked_rows"]

TIMEOUT_CYCLES = 1_000_000_000
"""A run that lasts longer is given up, unless told otherwise."""


def packed_rows(rows: Rows) -> NDArray[np.uint8]:
    """Rows as bytes, the first column in the lowest bit: (rows, bytes)."""
    return np.packbits(rows, axis=1, bitorder="little")


def unpacked_rows(content: NDArray[np.uint8], config: MacroConfig) -> Rows:
    """The rows of bytes, shape (rows, bytes)."""
    return np.unpackbits(content, axis=1, count=config.columns, bitorder="little")


def checked_outcome(
    job: MacroJob,
    config: MacroConfig,
    rows: Rows,
    spikes: Rows,
    values: Sequence[int],
    error: int,
    address: int,
    untaken: tuple[int, int],
) -> MacroOutcome:
    """The outcome of a run that ended, with an error or without.

    Parameters
    ----------
    values : of the counters, by index.
    untaken : rows and words of events that the macro did not take.

    Raises
    ------
    MacroEngineError
        If words are left of a run that ended well, the hardware is of another config, or a counter wrapped.
    """
    named = {counter.name: value for counter, value in zip(MACRO_COUNTERS, values, strict=True)}
    identity = named.pop("identity.config")
    if identity != config.hash:
        raise MacroEngineError(f"the hardware must have config hash {config.hash_text}, not {identity:016x}")
    if any(value >> WRAPPED & 1 for value in named.values()):
        raise MacroEngineError(f"the run must fit counters of {config.counter_bits} bits, but one of them wrapped")
    if error == MacroError.NONE and any(untaken):
        raise MacroEngineError(
            f"the macro left {untaken[0]} of {len(job.rows)} rows and {untaken[1]} of {len(job.events)} words of events"
        )
    return MacroOutcome(rows, spikes, named, MacroError(error), address)
