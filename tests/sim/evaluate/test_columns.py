from __future__ import annotations

import pytest

from sim.evaluate.columns import OTHER, Column, cycle_columns, figure_columns, number, shown_parts
from sim.evaluate.cost import PARTS
from sim.evaluate.results import results
from tests.evaluations import TECHNOLOGY, layer_cost, network_cost

FOUND = results(network_cost(layer_cost("conv"), layer_cost("pool", weight_bits=None)), TECHNOLOGY)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (0, ""), (0.0, ""), (1, "1"), (0.12345, "0.1235"), (12.345678, "12.35"), (999.94, "999.9"),
        (999.96, "1,000"), (1234.5, "1,234"), (9999999, "9,999,999"), (1e7, "1.000e+07"), (0.001, "0.001"),
        (0.00099, "9.900e-04"), (-12.5, "-12.5"),
    ],
)  # fmt: skip
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_parts_that_are_not_there_have_no_column() -> None:
    found = results(network_cost(layer_cost("pool", weight_bits=None)), TECHNOLOGY)
    assert shown_parts(found) == ["pooling", "controller"]
    assert [column.heading for column in cycle_columns(found)] == ["layer", "bits", "total", "pooling", "controller"]


def test_parts_without_a_column_are_summed_up() -> None:
    assert shown_parts(FOUND) == list(PARTS)
    columns = {column.heading: column for column in cycle_columns(FOUND, ["load", "store"])}
    assert list(columns) == ["layer", "bits", "total", "load", "store", OTHER]
    cycles = FOUND.cost.layers[0].cycles
    assert columns[OTHER].cells == (f"{sum(cycles.values()) - cycles['load'] - cycles['store']:,}", "80")
    total = FOUND.cost.cycles
    assert columns[OTHER].total == f"{FOUND.cost.total - total['load'] - total['store']:,}"


def test_width_is_that_of_the_longest_text() -> None:
    assert Column("MACs", "[M]", ("1,234.5", ""), "9").width == 7
    assert Column("layer", "", ("層1",), "total").width == 5
    assert Column("op", "", ("畳み込み",), "").width == 8


def test_every_quantity_has_a_unit() -> None:
    unitless = ["layer", "op", "tiles"]
    columns = [*cycle_columns(FOUND), *figure_columns(FOUND)]
    assert [column.heading for column in columns if not column.unit] == ["layer", *unitless]
    assert all(len(column.cells) == 2 for column in columns)
