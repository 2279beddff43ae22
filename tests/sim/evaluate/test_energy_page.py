"""The page ``docs/energy.md`` is what the code and the technology files say."""

from __future__ import annotations

from pathlib import Path

from sim.evaluate.energy_page import COMMAND, energy_page, event_meanings
from sim.evaluate.technology import CONSTANTS, TECHNOLOGIES

PAGE = Path(__file__).parents[3] / "docs" / "energy.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == energy_page(), f"run: {COMMAND}"


def test_the_page_has_everything() -> None:
    page = energy_page()
    assert all(f"| `{name}` |" in page for name in (*CONSTANTS, *event_meanings()))
    assert all(f"### {name}\n" in page for name in TECHNOLOGIES)
