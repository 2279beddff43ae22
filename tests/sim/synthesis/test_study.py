"""The page ``docs/area.md``: its tables are those of the studies, and a table can be measured alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.errors import UserError
from sim.synthesis.study import COMMAND, STUDIES, area_page, find_study, read_tables, run_study
from tests.sim.synthesis.made_reports import made_report

PAGE = Path(__file__).parents[3] / "docs" / "area.md"
TABLES = [(study, target) for study in STUDIES.values() for target in study.targets]


def heads_of(table: str) -> tuple[str, list[str]]:
    """The head and the first cells of the rows of a table in Markdown."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return lines[0], [line.split("|")[1].strip() for line in lines[2:]]


def made(study: str) -> dict[tuple[str, str], str]:
    return {(one.name, target): run_study(one, target, made_report) for one, target in TABLES if one.name == study}


def test_every_table_of_the_page_is_that_of_its_study() -> None:
    tables = read_tables(PAGE.read_text(encoding="utf-8"))
    for study, target in TABLES:
        table = tables[study.name, target]
        if not table:
            continue
        head, labels = heads_of(run_study(study, target, made_report))
        found, measured = heads_of(table)
        assert found == head
        if study.name in ("arrays", "scale"):
            assert measured == labels == list(study.configs)
        else:
            assert measured[0] == "array"
            assert measured[-2:] == labels[-2:] == ["top", "sum"]
        assert re.match(rf"`{COMMAND} {study.name} {target}`, \S+ \d+\.\d+", table)


def test_the_page_is_what_its_tables_make() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert area_page(read_tables(text)) == text


def test_tables_are_read_back() -> None:
    tables = {(study.name, target): run_study(study, target, made_report) for study, target in TABLES}
    assert read_tables(area_page(tables)) == tables


def test_a_table_that_is_missing_is_said_to_be() -> None:
    page = area_page({})
    assert page.count("\nNot measured yet: `python scripts/area.py ") == len(TABLES)
    assert set(read_tables(page).values()) == set(read_tables("").values()) == {""}


def test_arrays_are_compared_per_cam_bit() -> None:
    table = made("arrays")["arrays", "xilinx"]
    assert "| `cells`" not in table
    assert "| cells | 1,500 | 80 | 254 | 0.0916 | 0.0964 | 1 | 1 |" in table


def test_a_change_is_split_in_array_and_beside() -> None:
    table = made("scale")["scale", "gates"]
    assert "| tiny | 512 | 0 | 51,000 | 50 | 4,096 | 2,000 | 99.6 | 8.00 |" in table


def test_an_unknown_study_is_told_the_nearest() -> None:
    message = "^study must be one of placed, tiny, small, arrays, scale, not 'array'; the nearest is 'arrays'$"
    with pytest.raises(UserError, match=message):
        find_study("array")
