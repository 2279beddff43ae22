"""The plots of an evaluation: each function draws one figure from data; nothing is computed here that a table lacks.

Figures are Matplotlib's, without pyplot. :func:`svg_text` gives them as SVG whose text stays text and that is the same
in every run. Matplotlib is imported late, as it takes longer than an evaluation.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sim.evaluate.cost import PARTS, LayerCost, NetworkCost

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = [
    "COLOURS",
    "RunPoint",
    "accuracy_figure",
    "cycles_figure",
    "energy_figure",
    "precision_figure",
    "roofline_figure",
    "svg_text",
]

COLOURS = {
    "convolution": "#332288",
    "compare": "#332288",
    "requantise": "#cc6677",
    "write": "#cc6677",
    "load": "#88ccee",
    "movement": "#ddcc77",
    "mesh": "#ddcc77",
    "weights": "#999933",
    "memories": "#999933",
    "reduce": "#44aa99",
    "count": "#44aa99",
    "pooling": "#117733",
    "residual": "#aa4499",
    "store": "#882255",
    "relu": "#dddddd",
    "leakage": "#dddddd",
    "controller": "#777777",
}
"""Colours of parts of cycles and of energy: Paul Tol's *muted* scheme, made for colour-blind readers."""

SPARE = "#000000"
"""The colour of a part that has none."""

MARKERS = dict(zip(PARTS, "oPsDXv^<>ph", strict=True))
"""Shapes of points, so that colours are not all that tells them apart."""

LINES = ("#332288", "#cc6677", "#117733", "#aa4499", "#88ccee", "#999933", "#882255", "#44aa99")
"""Colours of runs that belong together."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bfimna",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
}

WIDTH = 9.6
"""Inches of every figure; heights follow from what is drawn."""

LABELLED = 6
"""Points of a roofline that carry the names of their layers: those that take the most cycles."""

OFFSETS = ((6, 3), (-6, 3), (6, -10), (-6, -10), (0, 9), (0, -16), (6, 14), (-6, 14), (6, -22), (-6, -22))
"""Where a label may stand beside its point, in printer's points; the first that is free is taken."""

Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")


@dataclass(frozen=True, kw_only=True)
class RunPoint:
    """What plots of several runs need of one of them.

    Parameters
    ----------
    group : what it is a variant of, such as network, machine and mode; points of a group have one colour.
    label : how its widths were given.
    uniform : whether all layers have the same widths; only such points are joined by a line.
    weight_bits : mean width of weights over the MACs.
    cycles : of the batch.
    energy_j, edp_js : energy, and energy x delay, of the batch.
    accuracy : in percent, None where it is not known.
    """

    group: str
    label: str
    uniform: bool
    weight_bits: float
    cycles: int
    energy_j: float
    edp_js: float
    accuracy: float | None = None


def _styled(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """Let *draw* work with our settings, whatever the user's are."""

    @functools.wraps(draw)
    def styled(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return styled


@_styled
def svg_text(figure: Figure, name: str, title: str) -> str:
    """Return *figure* as an SVG element to stand in HTML: without prologue and dates, and the same in every run.

    Parameters
    ----------
    figure : what one of the functions of this module drew.
    name : begins all identifiers, so that several figures can stand on one page.
    title : what a screen reader says.
    """
    from html import escape

    content = io.StringIO()
    figure.savefig(content, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = content.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


@_styled
def cycles_figure(cost: NetworkCost) -> Figure:
    """Draw the cycles of each layer, stacked by :data:`sim.evaluate.cost.PARTS`."""
    cycles = [{part: layer.cycles.get(part, 0) for part in PARTS} for layer in cost.layers]
    return _stacked([layer.name for layer in cost.layers], cycles, "cycles", "", 1)


@_styled
def energy_figure(names: Sequence[str], energies_pj: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the energy of each layer, stacked by what it goes into.

    Parameters
    ----------
    names : of the layers.
    energies_pj : of each layer by part, in picojoules.
    """
    return _stacked(names, energies_pj, "energy", "J", 1e-12)


def _stacked(
    names: Sequence[str], values: Sequence[Mapping[str, float]], quantity: str, unit: str, scale: float
) -> Figure:
    """Draw a bar for each layer, from the top down, so that names of any length and number stay readable."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    shown = [
        part for part in dict.fromkeys(key for one in values for key in one) if any(one.get(part) for one in values)
    ]
    figure = Figure(
        figsize=(WIDTH, 1.1 + 0.19 * max(len(names), 1) + 0.2 * (-(-len(shown) // 6))), layout="constrained"
    )
    axes = figure.subplots()
    places = range(len(names))
    left = [0.0] * len(names)
    for part in shown:
        widths = [scale * one.get(part, 0) for one in values]
        colour = COLOURS.get(part, SPARE)
        axes.barh(places, widths, left=left, color=colour, height=0.8, label=part)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(places, [_short(name) for name in names])
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.tick_params(axis="x", top=True, labeltop=len(names) > 20)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0, right=None if any(left) else 1)
    axes.xaxis.set_major_formatter(EngFormatter(unit))
    axes.set_xlabel(quantity)
    if shown:
        figure.legend(loc="outside upper center", ncols=6)
    return figure


@_styled
def roofline_figure(cost: NetworkCost) -> Figure:
    """Draw what bounds each layer with products: MACs per cycle against MACs per cell that plane ports write.

    The flat roofs are the rows of all CAPs over the compares of a product, Ma * Mw, for each pair of widths; the
    sloped one is a plane of all rows in every cycle in every tile, the most that plane ports can write.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    layers = [layer for layer in cost.layers if layer.macs and layer.total and layer.events.loaded_cells]
    points = [(layer.macs / layer.events.loaded_cells, layer.macs / layer.total) for layer in layers]
    _roofs(axes, cost, layers, [x for x, _ in points])
    for part in PARTS:
        chosen = [point for point, layer in zip(points, layers, strict=True) if layer.bound == part]
        if chosen:
            x, y = zip(*chosen, strict=True)
            style: dict[str, Any] = {
                "c": COLOURS[part],
                "marker": MARKERS[part],
                "edgecolors": "#333333",
                "linewidths": 0.4,
            }
            axes.scatter(x, y, label=part, **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.set_xlabel("intensity [MACs per cell loaded]")
    axes.set_ylabel("attained [MACs per cycle]")
    if layers:
        figure.legend(loc="outside upper center", ncols=6, title="most cycles of the layer are spent on")
        largest = sorted(range(len(layers)), key=lambda place: -layers[place].total)[:LABELLED]
        _label(axes, points, {place: _short(layers[place].name) for place in largest})
    return figure


def _roofs(axes: Axes, cost: NetworkCost, layers: Sequence[LayerCost], intensities: Sequence[float]) -> None:
    """Draw the bounds of *layers* and name them at the right end."""
    rows = cost.tiles.get("cap", 0) * cost.rows.get("cap", 0)
    cells = sum(count * cost.rows.get(kind, 0) for kind, count in cost.tiles.items())
    widths = sorted({(layer.activation_bits, layer.weight_bits) for layer in layers if layer.weight_bits})
    if not (rows and cells and widths and intensities):
        return
    peaks: dict[int, list[str]] = {}
    for activation, weight in widths:
        peaks.setdefault(activation * (weight or 1), []).append(f"{activation}x{weight}")
    right = 3 * max(*intensities, rows / min(peaks) / cells)
    for compares, names in peaks.items():
        peak = rows / compares
        axes.plot((peak / cells, right), (peak, peak), color="#555555", linewidth=1)
        axes.annotate(f"all rows, {', '.join(names)} bits", (right, peak), (0, 2), textcoords="offset points",
                      ha="right", va="bottom", color="#555555", fontsize=8)  # fmt: skip
    top = rows / min(peaks)
    left = min(*intensities, rows / max(peaks) / cells) / 2
    axes.plot((left, top / cells), (left * cells, top), color="#555555", linewidth=1, linestyle="--")
    axes.annotate("all plane ports", (top / cells, top), (-4, -2), textcoords="offset points",
                  ha="right", va="bottom", color="#555555", fontsize=8)  # fmt: skip


@_styled
def precision_figure(points: Sequence[RunPoint]) -> Figure:
    """Draw cycles and energy against the width of weights; runs with mixed widths stand at their mean."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    quantities: tuple[tuple[str, str, Callable[[RunPoint], float]], ...] = (
        ("cycles", "", lambda point: point.cycles),
        ("energy", "J", lambda point: point.energy_j),
    )
    for axes, (quantity, unit, value) in zip(panels, quantities, strict=True):
        for group, colour, members in _groups(points):
            line = sorted((point for point in members if point.uniform), key=lambda point: point.weight_bits)
            mixed = [point for point in members if not point.uniform]
            axes.plot([point.weight_bits for point in line], [value(point) for point in line],
                      color=colour, marker="o", markersize=4, linewidth=1.2, label=group)  # fmt: skip
            axes.plot([point.weight_bits for point in mixed], [value(point) for point in mixed],
                      color=colour, marker="D", markersize=5, linestyle="", markeredgecolor="#333333")  # fmt: skip
        axes.set_xlabel("weights [bits], mean over MACs")
        axes.set_ylabel(quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _magnitudes(axes, [value(point) for point in points], unit)
        places = [(point.weight_bits, value(point)) for point in points]
        _label(axes, places, {place: point.label for place, point in enumerate(points) if not point.uniform})
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@_styled
def accuracy_figure(points: Sequence[RunPoint]) -> Figure:
    """Draw accuracy against energy x delay for the points that have an accuracy."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    known = [(point, point.accuracy) for point in points if point.accuracy is not None]
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    for group, colour, members in _groups([point for point, _ in known]):
        accuracies = [point.accuracy or 0.0 for point in members]
        axes.scatter([point.edp_js for point in members], accuracies, color=colour, marker="o", label=group)
    axes.set_xlabel("energy x delay")
    axes.set_ylabel("top-1 accuracy [%]")
    axes.xaxis.set_major_formatter(EngFormatter("J s"))
    axes.margins(x=0.12, y=0.12)
    _label(
        axes,
        [(point.edp_js, accuracy) for point, accuracy in known],
        {place: point.label for place, (point, _) in enumerate(known)},
    )
    if known:
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def _groups(points: Sequence[RunPoint]) -> list[tuple[str, str, list[RunPoint]]]:
    """The groups in their order, with a colour for each."""
    names = list(dict.fromkeys(point.group for point in points))
    return [
        (name, LINES[place % len(LINES)], [point for point in points if point.group == name])
        for place, name in enumerate(names)
    ]


def _magnitudes(axes: Axes, values: Sequence[float], unit: str) -> None:
    """Scale the y axis: from 0, or by powers where the largest value would hide the smallest."""
    from matplotlib.ticker import EngFormatter, LogLocator

    positive = [value for value in values if value > 0]
    if positive and max(positive) > 20 * min(positive):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.minorticks_off()
    else:
        axes.set_ylim(bottom=0, top=1.08 * max(positive, default=1))
    axes.yaxis.set_major_formatter(EngFormatter(unit))


def _label(axes: Axes, points: Sequence[tuple[float, float]], labels: Mapping[int, str]) -> None:
    """Write *labels* beside their points where they cover neither points nor each other, as far as there is room.

    Parameters
    ----------
    axes : with scales and limits set.
    points : all points, in data coordinates.
    labels : text for some of them by their place in *points*.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = axes.figure.get_figure(root=True)
    if figure is None or not labels:
        return
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    shapes = [_around(axes, point) for point in points]
    taken: list[Bbox] = []
    for place, text in labels.items():
        note = axes.annotate(text, points[place], OFFSETS[0], textcoords="offset points", fontsize=8)
        best = (len(points) + len(labels) + 1, OFFSETS[0])
        for offset in OFFSETS:
            _put(note, offset)
            box = note.get_window_extent(renderer)
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            covered = sum(box.overlaps(other) for other in (*shapes, *taken)) + 3 * (not inside)
            best = min(best, (covered, offset), key=lambda found: found[0])
            if not covered:
                break
        _put(note, best[1])
        taken.append(note.get_window_extent(renderer))


def _put(note: object, offset: tuple[int, int]) -> None:
    """Move a label, on the side of its point that it goes away from."""
    from matplotlib.text import Annotation

    assert isinstance(note, Annotation)
    note.set_position(offset)
    note.set_horizontalalignment("left" if offset[0] > 0 else "right" if offset[0] < 0 else "center")


def _around(axes: Axes, point: tuple[float, float]) -> Bbox:
    """What a point covers, in pixels."""
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform(point)
    return Bbox.from_extents(x - 4, y - 4, x + 4, y + 4)


def _short(name: str, longest: int = 40) -> str:
    """A name that leaves room for the plot."""
    return name if len(name) <= longest else f"{name[: longest // 2 - 1]}...{name[-longest // 2 + 2 :]}"
