from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim.waves.passes import KINDS, MODES, Write
from sim.waves.rows import ExampleRow
from sim.waves.words import about_examples, numbered, sentence
from tests.traces import example

TRACE = example()
COMPARE, WRITE_ALL, WRITE = TRACE.passes


@pytest.mark.parametrize(
    ("one", "changes", "says"),
    [
        (COMPARE, {}, "compare: rows with a[0] = 1, b[0] = 1 are tagged; 1 of 4 rows matches"),
        (COMPARE, {"mode": "add", "matched": ()},
         "compare: rows with a[0] = 1, b[0] = 1 are tagged as well; 0 of 4 rows match"),
        (COMPARE, {"mode": "remove", "second": True, "key": {7: 0}},
         "compare: rows with column 7 = 0 lose their tag in the second register; 1 of 4 rows matches"),
        (COMPARE, {"mode": "others"},
         "compare: rows with a[0] = 1, b[0] = 1 are not tagged, all others are; 1 of 4 rows matches"),
        (COMPARE, {"mode": "all", "key": {0: 1}},
         "compare: all rows are tagged, not only rows with a[0] = 1; 1 of 4 rows matches"),
        (COMPARE, {"mode": "none", "key": {}, "matched": (0, 1, 2, 3)},
         "compare: no row is tagged, not even rows of any content; 4 of 4 rows match"),
        (COMPARE, {"partner_key": {0: 0}, "distance": 2, "key": {2: 1}},
         "compare: rows with d[0] = 1, and a[0] = 0 in the row 2 blocks higher are tagged; 1 of 4 rows matches"),
        (COMPARE, {"partner_key": {0: 0}, "distance": 1, "key": {}},
         "compare: rows with a[0] = 0 in the row 1 block higher are tagged; 1 of 4 rows matches"),
        (WRITE_ALL, {}, "write: d[0] <- 0 in all 4 rows; 4 cells change"),
        (WRITE, {}, "write: d[0] <- 1 in 1 tagged row; 1 cell changes"),
        (WRITE, {"writes": (Write(2, 0), Write(0, 1)), "second": True, "matched": (0, 1), "changed": ()},
         "write: a[0] <- 1, d[0] <- 0 in 2 rows tagged by the second register; 0 cells change"),
        (WRITE, {"kind": "shift", "distance": -1, "tag": (1, 0, 0, 1)},
         "shift: tags move by 1 block to lower rows; 2 rows tagged"),
        (WRITE, {"kind": "shift", "distance": 2}, "shift: tags move by 2 blocks to higher rows; 1 row tagged"),
        (WRITE, {"kind": "plane", "writes": (), "changed": ((1, 0), (1, 2)), "matched": (0, 1, 2, 3)},
         "plane: the plane port writes into b[0] in 4 rows; 2 cells change"),
        (WRITE, {"kind": "plane", "writes": (), "changed": (), "matched": (0, 1, 2, 3)},
         "plane: the plane port writes in 4 rows; 0 cells change"),
        (WRITE, {"kind": "plane", "writes": (), "changed": (), "matched": (), "tag": (0, 1, 1, 1)},
         "plane: the plane port writes the tags; 3 rows tagged"),
    ],
)  # fmt: skip
def test_sentences(one: Any, changes: dict[str, Any], says: str) -> None:
    changed = dataclasses.replace(one, **changes)
    assert changed.kind in KINDS
    assert changed.mode in MODES
    assert sentence(TRACE, changed) == says


@pytest.mark.parametrize(
    ("examples", "kinds", "says"),
    [
        ([(0, 1), (1, 1), (2, 1), (3, 1)], 4, "All rows are shown."),
        ([(0, 4)], 1, "The row shown stands for all 4, which do the same in these passes."),
        ([(0, 2)], 3, "The row shown stands for 2 of 4; 3 kinds of rows differ in these passes."),
        ([(0, 1), (1, 2)], 3, "The 2 rows shown stand for 3 of 4; 3 kinds of rows differ in these passes."),
    ],
)
def test_what_examples_stand_for(examples: list[tuple[int, int]], kinds: int, says: str) -> None:
    assert about_examples([ExampleRow(row, alike) for row, alike in examples], kinds, 4) == says


@pytest.mark.parametrize(
    ("first", "shown", "says"),
    [
        (1, 3, "3 passes"), (1, 2, "passes 1 to 2 of 3"), (1, 1, "pass 1 of 3"), (9, 3, "passes 9 to 11"),
        (9, 2, "passes 9 to 10 of 9 to 11"), (1001, 3, "passes 1,001 to 1,003"),
    ],
)  # fmt: skip
def test_which_passes_are_shown(first: int, shown: int, says: str) -> None:
    assert numbered(dataclasses.replace(TRACE, first_number=first), shown) == says


def test_a_single_pass() -> None:
    assert numbered(dataclasses.replace(TRACE, passes=(COMPARE,)), 1) == "1 pass"
    assert numbered(dataclasses.replace(TRACE, passes=(COMPARE,), first_number=9), 1) == "pass 9"
    assert numbered(dataclasses.replace(TRACE, passes=()), 0) == "0 passes"
