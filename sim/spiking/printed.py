"""Prints the report of a spiking network for people."""

from __future__ import annotations

from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from sim.report import SHORT_NAMES, RunReport, differences

__all__ = ["print_spiking"]

WIDTH = 140
"""Columns where no terminal says another number."""

FEW = 10
"""Inputs whose classes are printed one by one."""


def print_spiking(report: RunReport, stream: TextIO) -> None:
    """Print what a person wants to know of *report*, which has a spiking part.

    Raises
    ------
    ValueError
        If it has none.
    """
    spiking = report.spiking
    if spiking is None:
        raise ValueError(f"the report of {report.model} has no spiking part")
    console = Console(
        file=stream, highlight=False, markup=False, soft_wrap=False, width=None if stream.isatty() else WIDTH
    )

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    line(
        f"{spiking.network} on {report.engine}, array {spiking.array}: {spiking.timesteps} timesteps, "
        f"seed {report.seed}"
    )
    if len(report.inputs) > 1:
        line(f"all counts are sums over {len(report.inputs):,} inputs")
    console.print(_table(report, spiking.potential_bits))
    energy = report.energy_per_operation_pj
    if energy is not None:
        total = (report.energy_pj or 0) / 1000 / len(report.inputs)
        line(f"energy: {energy:.3g} pJ a synaptic operation, {total:,.1f} nJ an input, by {spiking.energy_source}")
    if len(report.inputs) <= FEW:
        for one in report.inputs:
            told = "" if one.expected is None else f", its name says {one.expected}"
            line(f"{one.file}: class {one.top1}{told}")
    if spiking.labelled > 1:
        line(f"{spiking.right:,} of {spiking.labelled:,} classes are right: {spiking.right / spiking.labelled:.1%}")
    wall = report.wall_s
    line(f"time: {wall.total:.1f} s, of it {wall.build:.1f} s building and {wall.simulate:.1f} s running")
    for difference in differences(report):
        line(f"DIFFERENCE {difference}")


def _table(report: RunReport, potential_bits: list[int]) -> Table:
    """The layers."""
    timed = report.cycles > 0 or report.law > 0
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("layer", "op"):
        table.add_column(heading, no_wrap=True)
    headings = ["bits", "events", "synaptic operations", "spikes", *(["cycles", "law"] if timed else []), "energy [nJ]"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("exact", justify="center", no_wrap=True)
    for layer, bits in zip(report.layers, potential_bits, strict=True):
        counts = [layer.events[name] for name in ("events", "synaptic_operations", "spikes")]
        table.add_row(
            layer.name,
            SHORT_NAMES.get(layer.op, layer.op),
            f"{layer.bits.weight}x{bits}",
            *(f"{count:,}" for count in counts),
            *([f"{layer.cycles.total:,}", f"{layer.cycles.law:,}"] if timed else []),
            _energy(layer.energy_pj),
            {None: "-", True: "yes", False: "NO"}[layer.bit_exact],
        )
    table.add_section()
    operations = sum(layer.events["synaptic_operations"] for layer in report.layers)
    exact = [layer.bit_exact for layer in report.layers]
    table.add_row(
        "total",
        "",
        "",
        "",
        f"{operations:,}",
        "",
        *([f"{report.cycles:,}", f"{report.law:,}"] if timed else []),
        _energy(report.energy_pj),
        "-" if None in exact else "yes" if all(exact) else "NO",
    )
    return table


def _energy(picojoule: float | None) -> str:
    return "-" if picojoule is None else f"{picojoule / 1000:,.1f}"
