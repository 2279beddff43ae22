from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from sim.evaluate.sweep import COLUMNS
from sim.evaluate.sweep_page import sweep_page


def row(bits: str, **changes: Any) -> dict[str, Any]:
    found = {
        "network": "net",
        "config": "lr",
        "bits": bits,
        "mode": "count",
        "batch": 1,
        "technology": "sram",
        "supply_v": 1.0,
        "weight_bits": float(bits) if bits.isdecimal() else 5.5,
        "cycles": 12345,
        "energy_pj": 1e6,
        "edp_js": 1e-9,
        "gops": 3.0,
    }
    return dict.fromkeys(COLUMNS) | found | changes


REFUSED = row("7", cycles=None, energy_pj=None, weight_bits=None, error="7 bits <do> not fit")
ROWS = [row("4"), row("8"), row("hawq-v3/low"), REFUSED]


def body(page: str) -> str:
    return page[page.index("<body>") :]


def test_one_plot_for_each_network() -> None:
    rows = [*ROWS, row("4", network="other"), dict(REFUSED, network="third")]
    page = sweep_page(rows, {})
    assert page == sweep_page(rows, {})
    assert re.findall("<h2>(.*?)</h2>", page) == ["net", "other", "Points", "Assumptions"]
    assert page.count("<svg") == 2
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert "http-equiv" not in page
    assert "Sweep of net, other, third" in page


def test_page_is_well_formed() -> None:
    text = re.sub(r"<meta[^>]*>|<!DOCTYPE html>", "", sweep_page(ROWS, {"lr": ["sizes are <recalled>"]}))
    text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    tree = ElementTree.fromstring(text)
    cells = [[cell.text for cell in line] for line in tree.iter("tr")]
    assert cells[0][:4] == ["variant", "network", "widths", "cycles"]
    assert cells[1][:4] == ["lr", "net", "4", "12,345"]
    assert cells[4] == ["lr", "net", "7", "7 bits <do> not fit"]
    assert [entry.text for entry in tree.iter("li")] == ["sizes are <recalled>"]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["lr", "lr"]),
        ({"technology": "reram"}, ["sram", "reram"]),
        ({"config": "ir", "supply_v": 0.75, "batch": 4}, ["lr, batch 1, 1 V", "ir, batch 4, 0.75 V"]),
        ({"constants": "write_cell=2.0", "mode": "lut"}, ["mode count", "mode lut, write_cell=2.0"]),
    ],
)
def test_names_say_what_is_swept(changes: dict[str, Any], names: list[str]) -> None:
    page = sweep_page([row("4"), row("8", **changes)], {})
    assert re.findall(r'<tr><td class="words">(.*?)</td>', page) == names


def test_no_assumptions() -> None:
    assert body(sweep_page(ROWS, {})).endswith("<h2>Assumptions</h2>\n<p>None.</p>\n</body>\n</html>\n")
