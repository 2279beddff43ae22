from __future__ import annotations

import dataclasses
import itertools
import random
import re
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from sim.evaluate.cost import PARTS, Events, NetworkCost
from sim.evaluate.energy import ENERGY_PARTS
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
from tests.evaluations import layer_cost, network_cost

LARGE = network_cost(*(layer_cost(f"stage{seed}.block.conv", seed=seed) for seed in range(24)))
SMALL = network_cost(layer_cost("conv", seed=1), layer_cost("pool", weight_bits=None), layer_cost("fc", weight_bits=4))
NOTHING = network_cost()
IDLE = network_cost(dataclasses.replace(layer_cost("idle"), cycles={}, events=Events()))


def point(
    label: str, bits: float, *, uniform: bool = True, group: str = "net", accuracy: float | None = None
) -> RunPoint:
    return RunPoint(
        group=group, label=label, uniform=uniform, weight_bits=bits, cycles=int(100 * bits**2), energy_j=1e-3 * bits,
        edp_js=1e-9 * bits**3, accuracy=accuracy,
    )  # fmt: skip


STUDY = [
    point("8", 8, accuracy=71.56),
    point("table/latency-0.75", 7.9, uniform=False, accuracy=71.2),
    point("table/latency-0.5", 7.8, uniform=False, accuracy=71.19),
    point("table/latency-0.25", 7.7, uniform=False, accuracy=71.1),
    point("4", 4, accuracy=68.45),
]


def energies(cost: NetworkCost) -> Figure:
    values = [{part: 10.0 * place for place, part in enumerate(ENERGY_PARTS)} for _ in cost.layers]
    return energy_figure([layer.name for layer in cost.layers], values)


FIGURES: dict[str, Callable[[], Figure]] = {
    **{
        f"{kind} {cost_name}": lambda draw=draw, cost=cost: draw(cost)
        for kind, draw in (("cycles", cycles_figure), ("energy", energies), ("roofline", roofline_figure))
        for cost_name, cost in (("large", LARGE), ("small", SMALL), ("nothing", NOTHING), ("idle", IDLE))
    },
    "precision": lambda: precision_figure(STUDY),
    "precision of one": lambda: precision_figure(STUDY[:1]),
    "precision of none": lambda: precision_figure([]),
    "precision 1..16": lambda: precision_figure([point(str(bits), bits) for bits in range(1, 17)]),
    "accuracy": lambda: accuracy_figure(STUDY),
    "accuracy of none": lambda: accuracy_figure([point("8", 8)]),
}


def axes_of(figure: Figure) -> Axes:
    return figure.axes[0]


def bars_of(figure: Figure) -> list[list[Rectangle]]:
    return [bars.patches for bars in axes_of(figure).containers if isinstance(bars, BarContainer)]


@pytest.mark.parametrize("name", FIGURES)
def test_svg_is_well_formed_and_the_same_each_time(name: str) -> None:
    text = svg_text(FIGURES[name](), "one", "A <title>")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["aria-label"] == "A <title>"
    assert text == svg_text(FIGURES[name](), "one", "A <title>")
    assert not re.search(r"<\?xml|<!DOCTYPE|<metadata|matplotlib\.org|\b20\d\d-\d\d-\d\d", text)
    assert all(one.startswith("one-") for one in re.findall(r'\bid="([^"]*)"', text))
    identifiers = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    used = re.findall(r'href="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)", text)
    assert {reference.removeprefix("#") for reference in used} <= identifiers


def test_matplotlib_is_imported_late() -> None:
    code = "import sys, sim.evaluate.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bars_are_in_the_order_of_parts() -> None:
    parts = list(reversed(PARTS))
    layer = dataclasses.replace(layer_cost("conv"), cycles=dict.fromkeys(parts, 5))
    axes = axes_of(cycles_figure(network_cost(layer)))
    assert [bars.get_label() for bars in axes.containers] == list(PARTS)


def test_text_is_text() -> None:
    text = svg_text(cycles_figure(SMALL), "cycles", "Cycles")
    assert {"conv", "pool", "fc", *PARTS} <= {"".join(one.itertext()) for one in ElementTree.fromstring(text).iter()}


def test_settings_of_the_user_do_not_matter() -> None:
    wanted = svg_text(roofline_figure(SMALL), "one", "Roofline")
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "svg.hashsalt": "x"}):
        assert svg_text(roofline_figure(SMALL), "one", "Roofline") == wanted
        assert matplotlib.rcParams["font.size"] == 20


def test_bars_are_the_counts() -> None:
    stacks = bars_of(cycles_figure(SMALL))
    widths = [[bar.get_width() for bar in bars] for bars in stacks]
    assert widths == [[layer.cycles.get(part, 0) for layer in SMALL.layers] for part in PARTS]
    ends = [max(bars[place].get_x() + bars[place].get_width() for bars in stacks) for place in range(3)]
    assert ends == [layer.total for layer in SMALL.layers]


def test_energy_is_in_joules() -> None:
    stacks = bars_of(energy_figure(["a"], [{"compare": 4.0, "write": 0.0, "new": 4.0}]))
    assert [bar.get_width() for (bar,) in stacks] == [4e-12, 4e-12]


def test_roofline_is_where_the_definitions_say() -> None:
    axes = axes_of(roofline_figure(SMALL))
    found = {tuple(place) for one in axes.collections for place in np.asarray(one.get_offsets()).tolist()}
    with_macs = [layer for layer in SMALL.layers if layer.macs]
    assert found == {(layer.macs / layer.events.loaded_cells, layer.macs / layer.total) for layer in with_macs}
    rows, cells = 4 * 4800, 5 * 4800
    narrow, wide, ports = axes.lines
    assert np.asarray(narrow.get_xydata())[0].tolist() == [rows / 32 / cells, rows / 32]
    assert np.asarray(wide.get_xydata())[0].tolist() == [rows / 64 / cells, rows / 64]
    (left, low), (right, high) = np.asarray(ports.get_xydata()).tolist()
    assert (low, high) == (left * cells, right * cells)
    assert high == rows / 32
    notes = {child.get_text() for child in axes.get_children() if isinstance(child, Annotation)}
    assert {"all rows, 8x8 bits", "all rows, 8x4 bits", "all plane ports", "conv", "fc"} == notes


def test_every_part_has_a_colour() -> None:
    for parts in (PARTS, ENERGY_PARTS):
        assert len({COLOURS[part] for part in parts}) == len(parts)


@pytest.mark.parametrize("name", ["accuracy", "precision", "roofline small"])
def test_labels_do_not_overlap(name: str) -> None:
    figure = FIGURES[name]()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    for axes in figure.axes:
        notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
        boxes = [note.get_window_extent(renderer) for note in notes]
        assert notes
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_labels_find_room_among_many_points() -> None:
    source = random.Random(5)
    points = [
        point(f"widths/{number}", source.uniform(4, 8), uniform=False, accuracy=source.uniform(68, 72))
        for number in range(12)
    ]
    figure = accuracy_figure(points)
    (axes,) = figure.axes
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    assert [note.get_text() for note in notes] == [one.label for one in points]


def test_long_names_are_shortened() -> None:
    axes = axes_of(cycles_figure(network_cost(layer_cost("a" * 30 + "b" * 30))))
    (label,) = axes.get_yticklabels()
    assert label.get_text() == "a" * 19 + "..." + "b" * 18


def test_mixed_widths_are_not_on_the_line() -> None:
    axes = axes_of(precision_figure(STUDY))
    line, mixed = axes.lines
    assert np.asarray(line.get_xydata()).tolist() == [[4, 1600], [8, 6400]]
    assert np.asarray(mixed.get_xydata())[:, 0].tolist() == [7.9, 7.8, 7.7]
