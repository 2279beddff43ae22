"""The tables of docs/spiking.md are what the code says now."""

from __future__ import annotations

import pytest

from scripts.spiking_page import PAGE
from sim.pages import with_tables
from sim.spiking import tables
from sim.spiking.described import load_described
from sim.spiking.digits import RESOLUTIONS, digits_network


def test_tables_of_formulas_are_fresh() -> None:
    """Accuracy takes longer: it is in the slow test."""
    digits, gesture = tables.digits_demands(digits_network(RESOLUTIONS[0])), load_described().demands()
    found = {
        "formats": tables.format_table(digits_network(RESOLUTIONS[0])),
        "digits layers": tables.layer_table(digits),
        "digits traffic": tables.traffic_table(digits, tables.DIGITS_CAPACITIES),
        "digits energy": tables.energy_table(digits, tables.DIGITS_CAPACITIES),
        "gesture layers": tables.layer_table(gesture),
        "gesture traffic": tables.traffic_table(gesture, tables.GESTURE_CAPACITIES),
        "gesture energy": tables.energy_table(gesture, tables.GESTURE_CAPACITIES),
    }
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, found, PAGE.name) == text, "run: python scripts/spiking_page.py"


@pytest.mark.slow
def test_all_tables_are_fresh() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, tables.tables(), PAGE.name) == text, "run: python scripts/spiking_page.py"
