"""HAWQ-V3's widths on our laws: what the abstract of arXiv:2411.01417 says of ResNet18, and the search against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from scripts.studies.hawq_v3 import CONFIGURATIONS, LEVELS, hawq_study, search_study
from scripts.studies.table import Table
from sim.commands.search import hawq_table, quantities
from sim.evaluate.evaluate import load_machine
from sim.evaluate.evaluated_costs import EvaluatedCosts
from sim.evaluate.search import WidthSearch, prepare_search
from sim.evaluate.sensitivity import Sensitivities
from sim.evaluate.technology import load_technology
from sim.evaluate.widths import hawq_results, parse_widths
from sim.networks.load import load_network

MIXED = ("high", "medium", "low")


def by_level(table: Table) -> dict[str, Any]:
    """The rows of the study."""
    return {str(row["budget"]): row for row in table.records()}


@pytest.fixture(scope="module")
def resnet18() -> dict[str, Any]:
    return by_level(hawq_study("resnet18"))


def test_high_budget_is_the_most_accurate_and_the_dearest(resnet18: dict[str, Any]) -> None:
    """With a high latency budget: accuracy closest to INT8, and the highest energy-delay product of the mixed ones."""
    loss = {level: resnet18["INT8"]["top1"] - resnet18[level]["top1"] for level in MIXED}
    assert min(loss, key=lambda level: abs(loss[level])) == "high"
    edp = {level: resnet18[level]["edp_js"] for level in MIXED}
    assert max(edp, key=lambda level: edp[level]) == "high"


def test_low_budget_is_near_int4_and_loses_more(resnet18: dict[str, Any]) -> None:
    """With a low one: energy-delay product closest to INT4, and a larger loss of accuracy."""
    distance = {level: abs(resnet18[level]["edp_js"] - resnet18["INT4"]["edp_js"]) for level in MIXED}
    assert min(distance, key=lambda level: distance[level]) == "low"
    loss = {level: resnet18["INT8"]["top1"] - resnet18[level]["top1"] for level in MIXED}
    assert loss["low"] == max(loss.values())


@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
def test_everything_falls_with_the_budget(network: str) -> None:
    """From INT8 to INT4 cycles, energy and their product get smaller; accuracies are the published ones."""
    rows = by_level(hawq_study(network))
    assert list(rows) == list(LEVELS) == ["INT8", "high", "medium", "low", "INT4"]
    assert [row["bits"] for row in rows.values()] == list(CONFIGURATIONS)
    for quantity in ("cycles", "energy_mj", "edp_js", "mean_bits"):
        values = [row[quantity] for row in rows.values()]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == len(values)
    published = hawq_results(load_network(network))
    assert [row["top1"] for row in rows.values()] == [published[name].top1 for name in LEVELS.values()]


@dataclass(frozen=True)
class Searched:
    """A network's search, and what evaluates it."""

    costs: EvaluatedCosts
    table: Sensitivities
    search: WidthSearch


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def searched(request: pytest.FixtureRequest) -> Searched:
    network = load_network(request.param)
    table, residual_bits = hawq_table(network)
    costs = EvaluatedCosts(network, load_machine("lr"), load_technology("sram"), residual_bits=residual_bits)
    return Searched(costs, table, prepare_search(costs, table, residual_bits))


@pytest.mark.parametrize("level", MIXED)
def test_search_is_no_worse_than_hawq(searched: Searched, level: str) -> None:
    """In the sum of sensitivities and in the energy-delay product, of the whole network as it is evaluated."""
    widths = parse_widths(f"hawq-v3/{level}", searched.costs.network)
    hawq = quantities(searched.costs, searched.table, widths)
    for quantity in ("edp", "latency", "energy"):
        found = searched.search.solve("sensitivity", {quantity: hawq[quantity]})
        ours = quantities(searched.costs, searched.table, found)
        assert ours["sensitivity"] <= hawq["sensitivity"] * (1 + 1e-9)
        assert ours[quantity] <= hawq[quantity] * (1 + 1e-9)
    cheapest = searched.search.solve("edp", {"sensitivity": hawq["sensitivity"]})
    ours = quantities(searched.costs, searched.table, cheapest)
    assert ours["edp"] <= hawq["edp"] * (1 + 1e-9)
    assert ours["sensitivity"] <= hawq["sensitivity"] * (1 + 1e-9)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_predicted_is_evaluated(searched: Searched, name: str) -> None:
    """For the published configurations as for what is found: the sum over layers is the network's cost."""
    widths = parse_widths(name, searched.costs.network)
    predicted, cost = searched.search.predicted(widths), searched.costs.network_cost(widths)
    assert round(predicted["latency"] / searched.costs.cycle_s) == cost.total
    evaluated = quantities(searched.costs, searched.table, widths)
    assert predicted == pytest.approx(evaluated, rel=1e-12)


@pytest.mark.slow
def test_table_of_the_search() -> None:
    table = search_study()
    assert len(table.rows) == 2 * len(MIXED)
    for row in table.records():
        for quantity in ("sensitivity_ratio", "edp_ratio"):
            ratio = row[quantity]
            assert isinstance(ratio, float)
            assert 0 < ratio <= 1 + 1e-9
