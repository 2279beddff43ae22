"""A report as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from sim.synthesis.blocks import Block
from sim.synthesis.counts import HEADINGS, Counts
from sim.synthesis.reports import Report

__all__ = ["figures", "print_report", "rows"]

OWN = "own logic"
"""What a table calls the cells of a block beside the blocks in it."""

_WIDTH = 120


def rows(report: Report) -> Iterator[tuple[str, Counts]]:
    """Each block of the tile and what is in it, indented; then the tile's own cells and the sum."""
    for block in report.tile.parts:
        yield from _rows(block, "")
    yield "top", report.tile.own
    yield "sum", report.total


def _rows(block: Block, indent: str) -> Iterator[tuple[str, Counts]]:
    yield f"{indent}{block.name}", block.counts
    for part in block.parts:
        yield from _rows(part, f"{indent}  ")
    if block.parts and block.own != Counts():
        yield f"{indent}  {OWN}", block.own


def cell(counts: Counts, name: str) -> str:
    """A field of counts as tables show it."""
    return f"{getattr(counts, name):,.0f}"


def figures(report: Report) -> Iterator[str]:
    """What follows from the table, one sentence each."""
    config = report.config
    bit = "bit of the array" if report.is_macro else "CAM bit"
    for name in ("cells", "luts", "area_um2"):
        if name in report.target.columns and report.total.area_um2 + (name != "area_um2"):
            shares = ", ".join(f"{part} {value:.3g}" for part, value in report.per_bit(name).items())
            yield f"{HEADINGS[name]} per {bit} ({config.rows} x {config.columns} = {report.cam_bits:,}): {shares}"
    yield (
        f"flip-flops beside the array: {report.flip_flops_beside:,}, "
        f"{report.share_beside:.1%} of these and the cells of the array"
    )
    if report.timing is not None:
        timing = report.timing
        yield (
            f"clock period: {timing.period_ns:.2f} ns ({1000 / timing.period_ns:.1f} MHz), from {timing.start} to "
            f"{timing.end}, {timing.tool}"
        )
    if report.placed is not None:
        placed = report.placed
        used = f"{placed.logic_cells:,} of {placed.available:,} logic cells ({placed.pin_cells} for pins)"
        speed = "does not fit" if placed.frequency_mhz is None else f"{placed.frequency_mhz:.2f} MHz"
        yield f"placed and routed, {placed.device}: {used}, {speed}, seed {placed.seed}, {placed.tool}"


def print_report(report: Report, stream: TextIO) -> None:
    """Print what each block takes, what follows from that, and the notes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False, markup=False, width=None if stream.isatty() else _WIDTH)
    columns = [name for name in report.target.columns if any(getattr(counts, name) for _, counts in rows(report))]
    library = f", {report.library}" if report.library else ""
    console.print(f"config {report.config.name} for {report.target.title}, {report.tool}{library}", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("block", no_wrap=True)
    for name in columns:
        table.add_column(HEADINGS[name], justify="right", no_wrap=True)
    for name, counts in rows(report):
        if name == "sum":
            table.add_section()
        table.add_row(name, *(cell(counts, field) for field in columns))
    console.print(table)
    for line in (*figures(report), *report.notes):
        console.print(line, soft_wrap=True)
