"""Published accelerators and ours, side by side: rows of others are data, ours are made by the laws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hw.fabric import FabricConfig
from sim.evaluate.energy import OPERATIONS_PER_MAC, figures
from sim.evaluate.evaluate import load_machine
from sim.evaluate.technology import load_technology

from .evaluations import cost_of
from .peak import peak_figures
from .table import Cell, Column, Table

__all__ = ["comparison", "peers", "relative"]

FILE = Path(__file__).resolve().parent / "peers.json"

PEAK_BITS = (1, 4, 8, 16)
ACHIEVED = (("resnet50", "8"), ("resnet50", "hawq-v3/latency-0.25"), ("vgg16", "8"))

COLUMNS = (
    Column("name", "accelerator"),
    Column("process", "process"),
    Column("bits", "bits"),
    Column("what", "peak or achieved"),
    Column("operations_per_mac", "operations of a MAC"),
    Column("gops", "GOPS"),
    Column("gops_per_w", "GOPS/W"),
    Column("gops_per_mm2", "GOPS/mm2"),
    Column("reading", "reading"),
    Column("source", "source"),
    Column("note", "note"),
)


def peers() -> list[dict[str, Any]]:
    """The rows of others."""
    return _data()["rows"]


def relative() -> Table:
    """What others say of themselves only in relation to something else."""
    columns = (Column("name", "accelerator"), Column("says", "what its authors say"), Column("source", "source"))
    return Table(columns, tuple(tuple(row[column.name] for column in columns) for row in _data()["relative"]))


def comparison(config: str = "lr") -> Table:
    """Ours, then the others."""
    machine, technology = load_machine(config), load_technology("sram")
    assert isinstance(machine, FabricConfig)
    name, process = f"bfimna {config}", technology.name
    rows: list[tuple[Cell, ...]] = []
    for bits in PEAK_BITS:
        found = peak_figures(machine, bits, technology)
        values = (found["gops"], found["gops_per_w"], found["gops_per_mm2"])
        rows.append((name, process, str(bits), "peak", OPERATIONS_PER_MAC, *values, "by the laws", "study `peak`", ""))
    for network, widths in ACHIEVED:
        one = figures(cost_of(network, widths, config), technology)
        per_area = (one.gops or 0.0) / one.total_mm2
        what, source = f"achieved, {network}, batch 1", f"`bfimna evaluate {network} --bits {widths}`"
        values = (one.gops, one.gops_per_w, per_area)
        rows.append((name, process, widths, what, OPERATIONS_PER_MAC, *values, "by the laws", source, ""))
    rows += [tuple(row[column.name] for column in COLUMNS) for row in peers()]
    return Table(COLUMNS, tuple(rows), (*machine.notes, *technology.assumptions))


def _data() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
