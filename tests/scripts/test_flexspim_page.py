"""The tables of docs/flexspim.md are what the Verilog says now."""

from __future__ import annotations

from scripts.flexspim_page import PAGE
from sim.flexspim.tables import tables
from sim.pages import with_tables


def test_tables_are_fresh() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, tables(), PAGE.name) == text, "run: python scripts/flexspim_page.py"
