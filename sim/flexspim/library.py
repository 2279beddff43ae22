"""A macro as a compiled library: what its harness is given and gives back."""

from __future__ import annotations

import ctypes
from pathlib import Path

from hw.flexspim.config import MacroConfig
from hw.flexspim.counter_map import MACRO_COUNTERS
from hw.flexspim.verilog import TOP
from sim.turbo.compiled import Design, Library, compiled

__all__ = ["Job", "Outcome", "event_bytes", "macro_library", "row_bytes"]

HARNESS = Path(__file__).with_name("harness.cpp")


class Job(ctypes.Structure):
    """A program with its rows and events; see ``harness.cpp``."""

    _fields_ = (
        ("words", ctypes.c_void_p * 3),
        ("counts", ctypes.c_uint64 * 3),
        ("stall_probability", ctypes.c_double),
        ("seed", ctypes.c_uint64),
        ("timeout", ctypes.c_uint64),
    )


class Outcome(ctypes.Structure):
    """What the ports showed after a run; see ``harness.cpp``."""

    _fields_ = (
        ("state", ctypes.c_uint32),
        ("error", ctypes.c_uint32),
        ("error_address", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("cycles", ctypes.c_uint64),
        ("taken", ctypes.c_uint64 * 3),
        ("given", ctypes.c_uint64 * 2),
        ("words", ctypes.c_void_p * 2),
        ("counters", ctypes.c_uint64 * len(MACRO_COUNTERS)),
    )


def row_bytes(config: MacroConfig) -> int:
    """Bytes of a row."""
    return -(-config.columns // 8)


def event_bytes(config: MacroConfig) -> int:
    """Bytes of a word of events."""
    return -(-config.event_bits // 8)


def macro_library(verilog: str, config: MacroConfig) -> Library:
    """Compile a macro, or find it compiled; errors are those of :func:`sim.turbo.compiled.compiled`.

    Parameters
    ----------
    verilog : text of the macro.
    config : whose ports it has.
    """
    constants = {
        "COUNTER_COUNT": len(MACRO_COUNTERS),
        "ROW_BYTES": row_bytes(config),
        "EVENT_BYTES": event_bytes(config),
    }
    return compiled(
        Design(verilog=verilog, top=TOP, harness=HARNESS, constants=constants, job=Job, outcome=Outcome)
    )  # fmt: skip
