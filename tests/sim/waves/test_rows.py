from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sim.waves.passes import Column, Write
from sim.waves.rows import column_name, example_rows, fields, runs, touched_columns
from tests.addition_trace import addition
from tests.traces import example

ADD = addition()


def test_only_touched_columns_are_shown() -> None:
    assert touched_columns(ADD, ADD.passes) == ADD.columns
    assert [column.name for column in touched_columns(ADD, ADD.passes[:9])] == ["a[0]", "b[0]", "carry"]
    assert touched_columns(ADD, []) == ()


def test_columns_without_a_name_have_a_number() -> None:
    one = dataclasses.replace(ADD.passes[0], writes=(Write(20, 1),), changed=(), partner_key={21: 0})
    columns = touched_columns(ADD, [one])
    assert columns == (Column(20, ""), Column(21, ""))
    assert [column_name(column) for column in (*columns, Column(3, "b[1]"))] == ["column 20", "column 21", "b[1]"]


def test_fields_are_neighbours_of_one_name() -> None:
    assert [len(group) for group in fields(ADD.columns)] == [4, 4, 1]
    assert fields([]) == ()
    columns = [
        (0, "a[0]"),
        (2, "a[2]"),
        (3, "a[0]"),
        (4, "a[1]"),
        (5, "b[2]"),
        (6, "p"),
        (9, ""),
        (20, ""),
        (21, "p"),
        (22, ""),
    ]
    groups = fields([Column(index, name) for index, name in columns])
    assert [[column.index for column in group] for group in groups] == [[0, 2], [3, 4], [5], [6], [9, 20], [21], [22]]


@pytest.mark.parametrize(
    ("kinds", "addresses", "stretches"),
    [
        ("", "", []),
        ("ccc", "001", [(0, 2), (2, 3)]),
        ("cpcpc", "01011", [(0, 3), (3, 5)]),
        ("cppc", "0120", [(0, 4)]),
        ("cpp", "011", [(0, 1), (1, 3)]),
        ("pcp", "010", [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_stretches_of_instructions(kinds: str, addresses: str, stretches: list[tuple[int, int]]) -> None:
    names = {"c": "compare", "p": "plane"}
    passes = [
        dataclasses.replace(ADD.passes[0], kind=names[kind], address=int(address))
        for kind, address in zip(kinds, addresses, strict=True)
    ]
    assert [(run.start, run.stop) for run in runs(passes)] == stretches


@pytest.mark.parametrize("most", [1, 3, 6, 16, 100])
def test_examples_stand_for_rows_that_do_the_same(most: int) -> None:
    examples, kinds = example_rows(ADD, ADD.passes, ADD.columns, most)
    # The rows of an addition differ when what they start with does, but for the carry, which is cleared unseen.
    starts = [tuple(ADD.first_cells[:9, row]) for row in range(32)]
    assert kinds == len({*starts})
    assert len(examples) == min(most, kinds)
    assert [one.alike for one in examples] == [starts.count(starts[one.row]) for one in examples]
    assert [starts.index(starts[one.row]) for one in examples] == [one.row for one in examples]
    assert sorted(one.row for one in examples) == [one.row for one in examples]


def test_few_examples_show_every_pass() -> None:
    examples, _ = example_rows(ADD, ADD.passes, ADD.columns, 8)
    rows = {one.row for one in examples}
    for one in ADD.passes:
        assert not one.matched or rows & {*one.matched}


def test_rows_that_tags_alone_tell_apart_are_of_two_kinds() -> None:
    trace = example()
    same = np.zeros_like(trace.first_cells)
    one = dataclasses.replace(trace.passes[0], matched=(), tag=(0, 0, 0, 1), cells=same, changed=())
    trace = dataclasses.replace(trace, first_cells=same, passes=(one,))
    examples, kinds = example_rows(trace, trace.passes, trace.columns, 9)
    assert kinds == 2
    assert [(one.row, one.alike) for one in examples] == [(0, 3), (3, 1)]
