"""One HTML page for a run: totals, plots, tables and assumptions, in a single file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING

from sim.evaluate.columns import Column, cycle_columns, figure_columns, number
from sim.evaluate.cost import PARTS
from sim.evaluate.energy import AREA_PARTS, ENERGY_PARTS, OPERATIONS_PER_MAC
from sim.evaluate.plots import (
    COLOURS,
    RunPoint,
    accuracy_figure,
    cycles_figure,
    energy_figure,
    precision_figure,
    roofline_figure,
    svg_text,
)
from sim.evaluate.report import summary
from sim.evaluate.results import Results, results
from sim.models import data_file
from sim.report import version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.evaluate.cost import NetworkCost
    from sim.evaluate.technology import Technology

__all__ = ["html_page", "run_point"]

TEMPLATE = "evaluation.html"

CAPTIONS = {
    "cycles": "Each cycle has one owner, so the parts of a bar add up to the cycles of the layer.",
    "energy": "Events of the layer times the energies of the technology.",
    "roofline": (
        "MACs per cycle against MACs per cell that plane ports write; a broadcast plane counts in every row. "
        "Flat roofs: all rows of all CAPs compare in every cycle, and a MAC takes activation x weight bits of them. "
        "Sloped roof: a whole plane into every tile in every cycle. Colour and shape say what most cycles of a layer "
        "are spent on; the layers with the most cycles are named. In mode constant zero bits cost nothing, so a layer "
        "may lie above its roof."
    ),
    "precision": "Circles: all layers have the same widths. Diamonds: mixed widths, at the mean over MACs.",
    "accuracy": "Energy x delay of the batch by our laws and the technology.",
}


def html_page(
    runs: Sequence[NetworkCost],
    technology: Technology,
    *,
    accuracy: Mapping[tuple[str, str], float] | None = None,
    accuracy_source: str = "",
) -> str:
    """Return a self-contained page on *runs*: the first in full, the others compared with it.

    The same arguments always give the same text.

    Parameters
    ----------
    runs : at least one; several widths give plots of cycles and energy against them.
    technology : what all figures are for.
    accuracy : top-1 accuracy in percent by network and widths as in :class:`NetworkCost`; gives a plot against EDP.
    accuracy_source : who published it, for the caption.
    """
    found = [results(run, technology) for run in runs]
    first = found[0]
    points = [run_point(one, accuracy or {}) for one in found]
    cost = first.cost
    page = Template(data_file(TEMPLATE).read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(f"{cost.network} on {cost.config}"),
        heading=escape(f"{cost.network} on {cost.config}"),
        subtitle=escape(
            f"Widths {cost.bits}, mode {cost.mode}, batch {cost.batch}, technology {technology.name} at "
            f"{first.supply_v:g} V; {first.machine}. By the cycle laws, nothing was run; a MAC is {OPERATIONS_PER_MAC} "
            f"operations. bfimna {version()}."
        ),
        totals=_totals(first),
        sections="\n".join([*_comparison(points, accuracy_source), *_plots(first), *_tables(first), *_basis(first)]),
    )


def run_point(found: Results, accuracy: Mapping[tuple[str, str], float]) -> RunPoint:
    """Return what plots of several runs need of one; *accuracy* as in :func:`html_page`."""
    cost = found.cost
    batch = f", batch {cost.batch}" if cost.batch > 1 else ""
    return RunPoint(
        group=f"{cost.network} on {cost.config}, mode {cost.mode}{batch}",
        label=cost.bits,
        uniform=found.uniform,
        weight_bits=found.weight_bits,
        cycles=cost.total,
        energy_j=1e-12 * found.total.total_pj,
        edp_js=found.total.edp_js,
        accuracy=accuracy.get((cost.network, cost.bits)),
    )


def _totals(found: Results) -> str:
    """The totals, as a list of terms."""
    terms = "".join(
        f"<div><dt>{escape(name)} [{escape(unit)}]</dt><dd>{escape(text)}</dd></div>"
        for name, text, unit in summary(found)
    )
    return f"<dl>{terms}</dl>"


def _comparison(points: Sequence[RunPoint], source: str) -> Iterable[str]:
    """Plots and the table of several runs, and accuracies where they are known."""
    if len(points) > 1:
        yield "<h2>Runs</h2>"
        yield _figure("precision", "Cycles and energy against the width of weights", precision_figure(points))
        rows = [
            [
                escape(point.group), escape(point.label), f"{point.weight_bits:.3g}", f"{point.cycles:,}",
                number(1e3 * point.energy_j), number(point.edp_js),
                "" if point.accuracy is None else f"{point.accuracy:g}",
            ]
            for point in points
        ]  # fmt: skip
        yield _table(
            ["run", "widths", "mean weight [bits]", "cycles", "energy [mJ]", "EDP [J s]", "top-1 [%]"], rows, words=2
        )
    if any(point.accuracy is not None for point in points):
        yield "<h2>Accuracy against energy x delay</h2>"
        told = f"Accuracy: {source}." if source else ""
        yield _figure("accuracy", "Accuracy against energy x delay", accuracy_figure(points), told)


def _plots(found: Results) -> Iterable[str]:
    """The plots of one run, as far as there is something to draw."""
    cost = found.cost
    if cost.total:
        yield "<h2>Cycles of each layer</h2>"
        yield _figure("cycles", "Cycles of each layer by part", cycles_figure(cost))
    if found.total.total_pj:
        yield "<h2>Energy of each layer</h2>"
        names, energies = [layer.name for layer in cost.layers], [one.energy_pj for one in found.layers]
        yield _figure("energy", "Energy of each layer by part", energy_figure(names, energies))
    if any(layer.macs and layer.total for layer in cost.layers):
        yield "<h2>What bounds each layer</h2>"
        yield _figure("roofline", "MACs per cycle against MACs per cell loaded", roofline_figure(cost))


def _tables(found: Results) -> Iterable[str]:
    """All layers, and the sums by part."""
    cost = found.cost
    if cost.layers:
        yield "<h2>Layers: cycles</h2>"
        yield _columns(cycle_columns(found))
        yield "<h2>Layers: time and energy</h2>"
        yield _columns(figure_columns(found))
        yield "<h2>Layers: mapping</h2>"
        rows = [[escape(text) for text in (layer.name, layer.bound, layer.mapping)] for layer in cost.layers]
        yield _table(["layer", "most cycles", "mapping"], rows, words=3)
    yield "<h2>Parts of the cycles</h2>"
    yield _parts(cost.cycles, "cycles", PARTS, "{:,.0f}".format)
    yield "<h2>Parts of the energy</h2>"
    microjoules = {part: 1e-6 * value for part, value in found.total.energy_pj.items()}
    yield _parts(microjoules, "energy [uJ]", ENERGY_PARTS, lambda value: number(value) or "0")


def _basis(found: Results) -> Iterable[str]:
    """What the figures rest on: assumptions, machine and technology."""
    cost, technology = found.cost, found.technology
    yield "<h2>Assumptions</h2>"
    told = "".join(f"<li>{escape(one)}</li>" for one in found.assumptions)
    yield f"<ul>{told}</ul>" if told else "<p>None.</p>"
    yield f"<h2>Technology: {escape(technology.name)}</h2>"
    constants = [
        [
            escape(name),
            escape(f"{one.value:g}{'' if one.unit == '1' else f' {one.unit}'}"),
            escape(one.certainty),
            escape("; ".join(text for text in (one.source, one.note) if text)),
        ]
        for name, one in technology.constants.items()
    ]
    yield _table(["constant", "value", "certainty", "source"], constants, words=4)
    yield "<h2>Area</h2>"
    yield _parts(found.total.area_mm2, "area [mm2]", AREA_PARTS, lambda value: number(value) or "0")
    yield "<h2>Machine</h2>"
    yield f"<p>{escape(found.machine)}; hash {escape(cost.config_hash)}</p>"
    sizes = escape(json.dumps(dict(cost.sizes), indent=1))
    yield f"<details><summary>config {escape(cost.config)}</summary><pre>{sizes}</pre></details>"


def _figure(name: str, title: str, figure: Figure, more: str = "") -> str:
    caption = escape(" ".join(text for text in (CAPTIONS[name], more) if text))
    return f'<figure class="wide">{svg_text(figure, name, title)}<figcaption>{caption}</figcaption></figure>'


def _columns(columns: Sequence[Column]) -> str:
    """A table of columns with the total as its last row."""
    kinds = [' class="words name"' if column.text else "" for column in columns]
    heads = "".join(
        f'<th scope="col"{kind}>{escape(column.heading)}<br><span>{escape(column.unit)}</span></th>'
        for kind, column in zip(kinds, columns, strict=True)
    )
    rows = zip(*(column.cells for column in columns), strict=True)
    body = "\n".join(_row(row, kinds) for row in rows)
    foot = _row([column.total for column in columns], kinds)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody>\n<tfoot>{foot}</tfoot>'
        "</table></div>"
    )


def _row(cells: Iterable[str], kinds: Sequence[str]) -> str:
    first, *rest = (f"{kind}>{escape(cell)}" for cell, kind in zip(cells, kinds, strict=True))
    return f'<tr><th scope="row"{first}</th>' + "".join(f"<td{cell}</td>" for cell in rest) + "</tr>"


def _parts(values: Mapping[str, float], heading: str, sentences: Mapping[str, str], say: Callable[[float], str]) -> str:
    """A table of parts with their colours, shares and meanings."""
    total = sum(values.values())
    rows = [
        [
            _swatch(part) + escape(part),
            say(value),
            f"{value / total:.1%}" if total else "",
            escape(sentences.get(part, "")),
        ]
        for part, value in values.items()
    ]
    return _table(["part", heading, "share", "what"], rows, words=1, last=True)


def _swatch(part: str) -> str:
    """The colour of a part that plots have."""
    return f'<i class="swatch" style="background:{COLOURS[part]}"></i>' if part in COLOURS else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1, last: bool = False) -> str:
    """A table of HTML cells whose first *words* columns, and the last one if *last*, are words."""

    def kind(place: int) -> str:
        return ' class="words"' if place < words or (last and place == len(headings) - 1) else ""

    heads = "".join(f'<th scope="col"{kind(place)}>{escape(text)}</th>' for place, text in enumerate(headings))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind(place)}>{cell}</td>" for place, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>'
