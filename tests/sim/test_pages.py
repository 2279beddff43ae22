"""Pages with measured tables: tables come to their places, and a page can be checked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sim.pages import update_page, with_tables

PAGE = "<!-- a -->\nold\n<!-- end -->\nwords\n<!-- b c -->\n<!-- end -->\n"


def test_tables_come_to_their_places() -> None:
    tables = {"a": ["| 1 |", r"| \1 |"], "b c": ["| 2 |"]}
    text = with_tables(PAGE, tables, "x.md")
    assert text == "<!-- a -->\n| 1 |\n| \\1 |\n<!-- end -->\nwords\n<!-- b c -->\n| 2 |\n<!-- end -->\n"
    assert with_tables(text, tables, "x.md") == text


def test_a_page_without_the_table_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"^x.md must have one table 'd', it has 0$"):
        with_tables(PAGE, {"d": ["| a |"]}, "x.md")
    with pytest.raises(SystemExit, match=r"^x.md must have one table 'a', it has 2$"):
        with_tables(PAGE * 2, {"a": ["| a |"]}, "x.md")


def test_writing_and_checking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "x.md"
    page.write_text(PAGE)
    monkeypatch.setattr(sys, "argv", ["x", "--check"])
    assert update_page(page, lambda: {"a": ["new"]}, "about") == 1
    assert page.read_text() == PAGE
    monkeypatch.setattr(sys, "argv", ["x"])
    assert update_page(page, lambda: {"a": ["new"]}, "about") == 0
    monkeypatch.setattr(sys, "argv", ["x", "--check"])
    assert update_page(page, lambda: {"a": ["new"]}, "about") == 0
