"""A trace of passes made by hand: d = a AND b on one bit, in a tile of four rows."""

from __future__ import annotations

import numpy as np

from hw.config import TileConfig
from sim.waves.passes import Column, Pass, Trace, Write

__all__ = ["example"]

CONFIG = TileConfig(
    name="example", taps=2, outputs=2, columns=8, plane_bits=4, array="cells", fill_bits=24, total_bits=32
)
"""A tile of four rows and eight columns."""


def example() -> Trace:
    """Return the passes of ``AND a=0:1 b=1 d=2``: rows 0 to 3 hold a b = 00, 01, 10, 11, and d = 1."""
    first = np.zeros((8, 4), np.uint8)
    first[0], first[1], first[2] = [0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]
    cleared = first.copy()
    cleared[2] = 0
    last = cleared.copy()
    last[2, 3] = 1
    text = "AND a=0:1 b=1 d=2"
    return Trace(
        config=CONFIG,
        title="AND on example",
        instructions=(text, "HALT"),
        columns=(Column(0, "a[0]"), Column(1, "b[0]"), Column(2, "d[0]")),
        first_cells=first,
        passes=(
            Pass(1, text, 0, "compare", {0: 1, 1: 1}, (), (0, 0, 0, 1), (3,), (), first),
            Pass(
                2, text, 0, "write", {}, (Write(2, 0),), (0, 0, 0, 1), (0, 1, 2, 3), ((2, 0), (2, 1), (2, 2), (2, 3)),
                cleared, all_rows=True,
            ),
            Pass(3, text, 0, "write", {}, (Write(2, 1),), (0, 0, 0, 1), (3,), ((2, 3),), last),
        ),
        cycles=5,
    )  # fmt: skip
