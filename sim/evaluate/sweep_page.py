"""One HTML page for a sweep: a plot over widths for each network, all points, and what the figures rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING

from sim.evaluate.page import CAPTIONS, TEMPLATE
from sim.models import data_file
from sim.report import version

if TYPE_CHECKING:
    from sim.evaluate.plots import RunPoint
    from sim.evaluate.sweep import Row

__all__ = ["sweep_page"]

VARIANTS = {
    "config": "{}",
    "mode": "mode {}",
    "batch": "batch {}",
    "technology": "{}",
    "supply_v": "{:g} V",
    "constants": "{}",
}
"""What points of a network may differ in beside widths, and how their names are put together."""

SHOWN = {
    "network": "network",
    "bits": "widths",
    "cycles": "cycles",
    "latency_s": "latency [s]",
    "energy_pj": "energy [pJ]",
    "gops": "speed [GOPS]",
    "gops_per_w": "efficiency [GOPS/W]",
    "gops_per_w_mm2": "per area [GOPS/W/mm2]",
    "edp_js": "EDP [J s]",
}
"""Columns of the table of points, and their headings."""

NAMES = ("network", "bits")
"""Those of them that are words."""


def sweep_page(rows: Sequence[Row], assumptions: Mapping[str, Sequence[str]]) -> str:
    """Return a self-contained page, the same text for the same arguments.

    Parameters
    ----------
    rows : of :func:`sim.evaluate.sweep.run_sweep`; those with an error are listed, not drawn.
    assumptions : of the :class:`~sim.evaluate.sweep.Sweep`.
    """
    networks = dict.fromkeys(row["network"] for row in rows)
    title = escape(f"Sweep of {', '.join(networks)}")
    page = Template(data_file(TEMPLATE).read_text(encoding="utf-8"))
    return page.substitute(
        title=title,
        heading=title,
        subtitle=f"{len(rows)} points by the cycle laws, nothing was run; a MAC is two operations. bfimna {version()}.",
        totals="",
        sections="\n".join([*_plots(rows, list(networks)), *_table(rows), *_assumptions(assumptions)]),
    )


def _plots(rows: Sequence[Row], networks: Sequence[str]) -> Iterable[str]:
    """Cycles and energy over widths, network by network."""
    from sim.evaluate.plots import precision_figure, svg_text

    for number, network in enumerate(networks):
        points = [_point(row, _variant(row, rows)) for row in rows if row["network"] == network and not row["error"]]
        if points:
            svg = svg_text(precision_figure(points), f"network{number}", f"Cycles and energy of {network} over widths")
            caption = f"<figcaption>{escape(CAPTIONS['precision'])}</figcaption>"
            yield f'<h2>{escape(network)}</h2>\n<figure class="wide">{svg}{caption}</figure>'


def _point(row: Row, variant: str) -> RunPoint:
    from sim.evaluate.plots import RunPoint

    return RunPoint(
        group=variant,
        label=row["bits"],
        uniform=row["bits"].isdecimal(),
        weight_bits=row["weight_bits"],
        cycles=row["cycles"],
        energy_j=1e-12 * row["energy_pj"],
        edp_js=row["edp_js"],
    )


def _variant(row: Row, rows: Sequence[Row]) -> str:
    """The name of what is swept beside widths; the machine when nothing is."""
    swept = [name for name in VARIANTS if len({other[name] for other in rows}) > 1]
    return ", ".join(VARIANTS[name].format(row[name]) for name in swept or ["config"] if row[name] is not None)


def _table(rows: Sequence[Row]) -> Iterable[str]:
    """All points; why one has no figures is in their place."""
    yield "<h2>Points</h2>"
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("variant", *SHOWN.values()))
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
    for row in rows:
        names = [_variant(row, rows), *(_text(row[name]) for name in NAMES)]
        cells = "".join(f'<td class="words">{escape(name)}</td>' for name in names)
        if row["error"]:
            cells += f'<td class="words" colspan="{len(SHOWN) - len(NAMES)}">{escape(row["error"])}</td>'
        else:
            cells += "".join(f"<td>{_text(row[name])}</td>" for name in SHOWN if name not in NAMES)
        yield f"<tr>{cells}</tr>"
    yield "</table></div>"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _assumptions(assumptions: Mapping[str, Sequence[str]]) -> Iterable[str]:
    yield "<h2>Assumptions</h2>"
    for name, sentences in assumptions.items():
        yield f"<p>{escape(name)}</p><ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"
    if not assumptions:
        yield "<p>None.</p>"
