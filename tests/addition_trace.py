"""The passes of ADD in a tile, made without hardware: the step tables on cells in NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hw.config import CONFIGS, TileConfig
from hw.passes import Step, tables
from sim.waves.passes import Column, Pass, Trace, Write

__all__ = ["addition"]


ROWS_32 = CONFIGS["tiny"].replace(outputs=8)


def addition(config: TileConfig = ROWS_32, bits: int = 4, seed: int = 0, title: str = "") -> Trace:
    """Return the passes of ``b = a + b``: a in the lowest columns, b above, the carry above b."""
    cells = np.random.default_rng(seed).integers(0, 2, (config.columns, config.rows)).astype(np.uint8)
    tag = np.zeros(config.rows, np.uint8)
    text = f"ADD a=0:{bits} b={bits}:{bits} d={2 * bits}"
    columns = [
        *(Column(bit, f"a[{bit}]") for bit in range(bits)),
        *(Column(bits + bit, f"b[{bit}]") for bit in range(bits)),
        Column(2 * bits, "carry"),
    ]
    first, passes = cells.copy(), list[Pass]()
    for cycle, (step, slots) in enumerate(_steps(bits), 4):
        before = cells.copy()
        key = {slots[slot]: bit for slot, bit in step.compare.items()}
        writes = tuple(Write(slots[slot], bit) for slot, bit in step.write.items())
        if key:
            tag = np.all([cells[column] == bit for column, bit in key.items()], axis=0).astype(np.uint8)
        rows = np.arange(config.rows) if step.all_rows else np.flatnonzero(tag)
        for write in writes:
            cells[write.column, rows] = write.value
        changed = tuple((int(column), int(row)) for column, row in np.argwhere(before != cells))
        passes.append(
            Pass(
                cycle, text, 2, "compare" if key else "write", key, writes, tuple(map(int, tag)),
                tuple(map(int, rows)), changed, cells.copy(), all_rows=step.all_rows,
            )
        )  # fmt: skip
    return Trace(
        config=config,
        title=title or f"{text} on {config.name}",
        instructions=("LOAD planes d=0:8", "SYNC 0", text, "HALT"),
        columns=tuple(columns),
        first_cells=first,
        passes=tuple(passes),
        cycles=passes[-1].cycle + 2,
    )


def _steps(bits: int) -> Iterator[tuple[Step, dict[str, int]]]:
    """Return the steps in their order, with the column of each slot."""
    carry = 2 * bits
    yield Step({}, {"c": 0}, all_rows=True), {"c": carry}
    for bit in range(bits):
        for step in tables("classical")["add"]:
            yield step, {"x": bit, "y": bits + bit, "c": carry}
