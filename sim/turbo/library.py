"""A tile as a compiled library: what its harness is given and gives back."""

from __future__ import annotations

import ctypes
from pathlib import Path

from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.verilog import TOP
from sim.beats import beat_bytes
from sim.turbo.compiled import Design, Library, compiled

__all__ = ["Job", "Outcome", "library"]

HARNESS = Path(__file__).with_name("harness.cpp")


class Job(ctypes.Structure):
    """A program with its beats; see ``harness.cpp``, whose segments are pairs of 64-bit numbers."""

    _fields_ = (
        ("words", ctypes.c_void_p),
        ("word_count", ctypes.c_uint64),
        ("beats", ctypes.c_void_p),
        ("segments", ctypes.c_void_p),
        ("segment_count", ctypes.c_uint64),
        ("stall_probability", ctypes.c_double),
        ("seed", ctypes.c_uint64),
        ("reset_after", ctypes.c_uint64),
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
        ("taken", ctypes.c_uint64),
        ("stored", ctypes.c_uint64),
        ("beats", ctypes.c_void_p),
        ("counters", ctypes.c_uint64 * len(COUNTERS)),
    )


def library(verilog: str, config: TileConfig) -> Library:
    """Compile a tile, or find it compiled; errors are those of :func:`sim.turbo.compiled.compiled`.

    Parameters
    ----------
    verilog : text of the tile.
    config : whose ports it has.
    """
    constants = {"COUNTER_COUNT": len(COUNTERS), "PLANE_BYTES": beat_bytes(config)}
    return compiled(
        Design(verilog=verilog, top=TOP, harness=HARNESS, constants=constants, job=Job, outcome=Outcome)
    )  # fmt: skip
