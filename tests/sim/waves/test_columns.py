"""Names of columns, as a person says them."""

from __future__ import annotations

import pytest

from hw.config import CONFIGS
from sim.assembler import assemble
from sim.waves.columns import column_names, common_names

CONFIG = CONFIGS["tiny"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ADD a=0:2 b=2:2 d=4", {0: "a[0]", 1: "a[1]", 2: "b[0]", 3: "b[1]", 4: "carry"}),
        ("SUB a=0:1 b=2:1 d=4 where=7", {0: "a[0]", 2: "b[0]", 4: "borrow", 7: "p"}),
        ("MAX a=0:1 b=2:1 d=4", {0: "a[0]", 2: "b[0]", 4: "taken"}),
        ("CMP lt a=0:1 b=2:1 d=4", {0: "a[0]", 2: "b[0]", 4: "d[0]"}),
        ("NOT a=3:2 d=3", {3: "a[0]", 4: "a[1]"}),
        ("AND a=0:1 b=3:1 d=3", {0: "a[0]", 3: "b[0]"}),
        ("NEG a=0:1 d=8 p=12", {0: "a[0]", 8: "d[0]", 12: "p"}),
        ("MUL a=0:1 b=1:1 d=4 signed=a p=9", {0: "a[0]", 1: "b[0]", 4: "d[0]", 5: "d[1]", 9: "p"}),
        ("STORE tag", {}),
        ("LOAD planes d=5:1", {5: "d[0]"}),
    ],
)
def test_column_names(text: str, names: dict[int, str]) -> None:
    assert column_names(assemble(f"{text}\nHALT\n", CONFIG).instructions[0]) == names


def test_common_names() -> None:
    """Where instructions do not agree on a column, it has no name."""
    program = assemble("CLEAR d=8:2\nMUL a=0:1 b=1:1 d=8\nCOPY a=9:1 d=0\nHALT\n", CONFIG)
    assert common_names(program.instructions) == {8: "d[0]", 9: "", 0: "", 1: "b[0]"}
