"""The tables of docs/flexspim.md are what the Verilog says now."""

from __future__ import annotations

import pytest

from scripts.flexspim_page import PAGE, with_tables
from sim.flexspim.tables import tables


def test_tables_are_fresh() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, tables()) == text, "run: python scripts/flexspim_page.py"


def test_a_page_without_the_table_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"^flexspim.md must have one table 'layers', it has 0$"):
        with_tables("words", {"layers": ["| a |"]})
    assert with_tables("<!-- a -->\nold\n<!-- end -->\n", {"a": ["new"]}) == "<!-- a -->\nnew\n<!-- end -->\n"
