"""The columns of an evaluation's two tables, as text for a terminal and for a page: cycles by part, and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.evaluate.cost import PARTS, LayerCost
from sim.report import SHORT_NAMES

if TYPE_CHECKING:
    from sim.evaluate.energy import Figures
    from sim.evaluate.results import Results

__all__ = ["OTHER", "Column", "cycle_columns", "figure_columns", "number", "shown_parts"]

OTHER = "other"
"""Heading of the parts that a narrow table has no columns for."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    heading : the quantity.
    unit : its unit; "" for a name or a count.
    cells : one for each layer.
    total : the cell of the whole network.
    text : whether it is words, not numbers.
    rank : columns of the highest rank are the first that a narrow table leaves out; 0 is always there.
    """

    heading: str
    unit: str
    cells: tuple[str, ...]
    total: str
    text: bool = False
    rank: int = 0

    @property
    def width(self) -> int:
        """Characters of a terminal that its longest text takes."""
        from rich.cells import cell_len

        return max(map(cell_len, (self.heading, self.unit, self.total, *self.cells)))


def number(value: float | None) -> str:
    """Return *value* with four digits that count, "" for None and 0: a figure that a layer does not have."""
    if not value:
        return ""
    if not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3e}"
    return f"{value:,.0f}" if abs(value) >= 999.95 else f"{value:.4g}"


def shown_parts(found: Results) -> list[str]:
    """Return the parts of cycles that are not 0 in all layers, in the order of :data:`sim.evaluate.cost.PARTS`."""
    cycles = found.cost.cycles
    return [part for part in PARTS if cycles[part]]


def cycle_columns(found: Results, parts: Sequence[str] | None = None) -> list[Column]:
    """Return the table of cycles: names, widths, all cycles, and cycles by *parts* (default: those that are there).

    Parts that are not asked for are summed up in a column :data:`OTHER`.
    """
    shown = shown_parts(found)
    chosen = shown if parts is None else [part for part in shown if part in parts]
    rest = [part for part in shown if part not in chosen]
    cost = found.cost

    def cycles(heading: str, count: Callable[[LayerCost], int]) -> Column:
        counts = [count(layer) for layer in cost.layers]
        return Column(heading, "[cycles]", tuple(f"{one:,}" if one else "" for one in counts), f"{sum(counts):,}")

    return [
        _text(found, "layer", lambda layer: layer.name, "total"),
        Column("bits", "[a x w]", tuple(_widths(layer) for layer in cost.layers), ""),
        cycles("total", lambda layer: layer.total),
        *(cycles(part, lambda layer, part=part: layer.cycles.get(part, 0)) for part in chosen),
        *([cycles(OTHER, lambda layer: sum(layer.cycles.get(part, 0) for part in rest))] if rest else []),
    ]


def figure_columns(found: Results) -> list[Column]:
    """Return the table of figures: work, time, energy, and what follows from them."""
    cost = found.cost

    def figure(heading: str, unit: str, value: Callable[[Figures], float | None], rank: int) -> Column:
        cells = tuple(number(value(one)) for one in found.layers)
        return Column(heading, unit, cells, number(value(found.total)), rank=rank)

    used = tuple("" if layer.utilisation is None else f"{100 * layer.utilisation:.1f}" for layer in cost.layers)
    modes = {layer.mode for layer in cost.layers if layer.mode}
    return [
        _text(found, "layer", lambda layer: layer.name, "total"),
        _text(found, "op", lambda layer: SHORT_NAMES.get(layer.op, layer.op), "", rank=6),
        *([_text(found, "mode", lambda layer: layer.mode or "", "", rank=5)] if len(modes) > 1 else []),
        Column(
            "MACs", "[M]", tuple(number(layer.macs / 1e6) for layer in cost.layers), number(cost.macs / 1e6), rank=3
        ),
        Column("tiles", "", tuple(f"{layer.tiles:,}" for layer in cost.layers), "", rank=7),
        Column("used", "[%]", used, "", rank=4),
        figure("latency", "[us]", lambda one: 1e6 * one.latency_s, 0),
        figure("energy", "[uJ]", lambda one: 1e-6 * one.total_pj, 0),
        figure("power", "[W]", lambda one: one.power_w, 2),
        figure("throughput", "[GOPS]", lambda one: one.gops, 1),
        figure("efficiency", "[GOPS/W]", lambda one: one.gops_per_w, 1),
        figure("per area", "[GOPS/W/mm2]", lambda one: one.gops_per_w_mm2, 5),
        figure("EDP", "[J s]", lambda one: one.edp_js, 2),
    ]


def _text(found: Results, heading: str, say: Callable[[LayerCost], str], total: str, rank: int = 0) -> Column:
    return Column(heading, "", tuple(say(layer) for layer in found.cost.layers), total, text=True, rank=rank)


def _widths(layer: LayerCost) -> str:
    return f"{layer.activation_bits}" if layer.weight_bits is None else f"{layer.activation_bits}x{layer.weight_bits}"
