"""What an evaluation found out: as JSON, as CSV and as tables for people.

Every count is of the whole batch. Keys and headings carry units; a multiply-accumulate counts as two operations.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from sim.evaluate.columns import Column, cycle_columns, figure_columns, number, shown_parts
from sim.evaluate.cost import PARTS
from sim.evaluate.energy import OPERATIONS_PER_MAC, Figures
from sim.evaluate.results import Results, results
from sim.report import version

if TYPE_CHECKING:
    from rich.table import Table

    from sim.evaluate.cost import NetworkCost
    from sim.evaluate.technology import Technology

__all__ = ["SCHEMA", "csv_text", "evaluation_json", "print_evaluation", "summary"]

SCHEMA = 1
"""Version of the JSON; raised when a field changes its meaning or goes away."""

PIPE_WIDTH = 160


def evaluation_json(cost: NetworkCost, technology: Technology) -> dict[str, Any]:
    """Return *cost* with its figures on *technology* as the object that ``bfimna evaluate --json`` writes.

    Units are in the names of fields; a figure that a layer without cycles does not have is None. Every object of parts
    has their sum in ``total``. Total figures are of the network as a whole: ``edp_js`` is its energy x its time, not a
    sum over layers.
    """
    found = results(cost, technology)
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "network": cost.network,
        "config_hash": cost.config_hash,
        "config": {**cost.sizes, "name": cost.config},
        "tiles": {
            kind: {"count": count, "rows": cost.rows[kind], "columns": cost.columns[kind]}
            for kind, count in cost.tiles.items()
        },
        "bits": cost.bits,
        "mode": cost.mode,
        "batch": cost.batch,
        "technology": {**technology.as_dict(), "supply_v": found.supply_v},
        "operations_per_mac": OPERATIONS_PER_MAC,
        "assumptions": list(found.assumptions),
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "macs": layer.macs,
                "bits": {"activation": layer.activation_bits, "weight": layer.weight_bits},
                "mode": layer.mode,
                "mapping": layer.mapping,
                "tiles": layer.tiles,
                "utilisation": layer.utilisation,
                "bound": layer.bound,
                "cycles": _with_total({part: layer.cycles.get(part, 0) for part in PARTS}),
                "events": dataclasses.asdict(layer.events),
                **_figures(figures),
            }
            for layer, figures in zip(cost.layers, found.layers, strict=True)
        ],
        "total": {
            "macs": cost.macs,
            "cycles": _with_total(cost.cycles),
            "events": dataclasses.asdict(cost.events),
            **_figures(found.total),
        },
        "area_mm2": _with_total(found.total.area_mm2),
    }


def csv_text(cost: NetworkCost, technology: Technology) -> str:
    """Return *cost* with its figures as CSV: a row for each layer and one named ``total``.

    Headings are the paths of the same numbers in the JSON, such as ``cycles.load`` and ``energy_pj.total``, and numbers
    have all their digits. What a row does not have is empty.
    """
    content = evaluation_json(cost, technology)
    rows = [_flat(layer) for layer in content["layers"]]
    rows.append({"name": "total", **_flat(content["total"])})
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, headings, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def print_evaluation(cost: NetworkCost, technology: Technology, stream: TextIO) -> None:
    """Print what a person wants to know: cycles and figures of each layer, the totals, and what they rest on.

    In a pipe lines have up to 160 characters. A narrower terminal gets fewer columns: small parts of cycles are summed
    up, figures that follow from others are left out.
    """
    from rich.console import Console

    found = results(cost, technology)
    width = None if stream.isatty() else PIPE_WIDTH
    console = Console(file=stream, highlight=False, markup=False, soft_wrap=False, width=width)

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    line(f"{cost.network} on config {cost.config}: {found.machine}")
    how = f"widths {cost.bits}, mode {cost.mode}, batch {cost.batch}"
    line(f"{how}, technology {technology.name} at {found.supply_v:g} V")
    if cost.layers:
        console.print(_table(_fitting_cycles(found, console.width)))
        console.print(_table(_fitting_figures(found, console.width)))
    totals = ", ".join(" ".join(total) for total in summary(found))
    line(f"total: {totals}; a MAC is {OPERATIONS_PER_MAC} operations")
    for assumption in found.brief_assumptions:
        line(f"assumption: {assumption}")


def summary(found: Results) -> tuple[tuple[str, str, str], ...]:
    """Return the totals: name, value as text, unit; a value that is not there is "-"."""
    cost, total = found.cost, found.total
    return (
        ("work", number(cost.macs / 1e6) or "0", "M MACs"),
        ("time", f"{cost.total:,}", "cycles"),
        ("latency", number(1e3 * total.latency_s) or "0", "ms"),
        ("rate", number(found.inputs_per_s) or "-", "inputs/s"),
        ("energy", number(1e-9 * total.total_pj) or "0", "mJ"),
        ("power", number(total.power_w) or "-", "W"),
        ("throughput", number(total.gops) or "-", "GOPS"),
        ("efficiency", number(total.gops_per_w) or "-", "GOPS/W"),
        ("per area", number(total.gops_per_w_mm2) or "-", "GOPS/W/mm2"),
        ("EDP", number(total.edp_js) or "0", "J s"),
        ("area", number(total.total_mm2) or "0", "mm2"),
    )


def _with_total(parts: Mapping[str, float]) -> dict[str, float]:
    return {"total": sum(parts.values()), **parts}


def _figures(found: Figures) -> dict[str, Any]:
    return {
        "latency_us": 1e6 * found.latency_s,
        "energy_pj": _with_total(found.energy_pj),
        "power_mw": None if found.power_w is None else 1e3 * found.power_w,
        "gops": found.gops,
        "gops_per_w": found.gops_per_w,
        "gops_per_w_mm2": found.gops_per_w_mm2,
        "edp_js": found.edp_js,
    }


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested objects by their paths."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        leaves.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return leaves


def _fitting_cycles(found: Results, width: int) -> list[Column]:
    """The columns of cycles with as many parts of their own as there is room for, the largest ones."""
    totals = found.cost.cycles
    parts = sorted(shown_parts(found), key=lambda part: -totals[part])
    columns = cycle_columns(found, parts)
    while parts and not _fits(columns, width):
        parts.pop()
        columns = cycle_columns(found, parts)
    return columns


def _fitting_figures(found: Results, width: int) -> list[Column]:
    """The columns of figures without those that there is no room for."""
    columns = figure_columns(found)
    while any(column.rank for column in columns) and not _fits(columns, width):
        columns.remove(max(reversed(columns), key=lambda column: column.rank))
    return columns


def _fits(columns: list[Column], width: int) -> bool:
    """Whether the columns, two characters between them and one at each end fit."""
    return sum(column.width + 2 for column in columns) <= width


def _table(columns: list[Column]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        heading = f"{column.heading}\n{column.unit}".rstrip()
        table.add_column(heading, justify="left" if column.text else "right", no_wrap=True, width=column.width)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    table.add_section()
    table.add_row(*(column.total for column in columns))
    return table
