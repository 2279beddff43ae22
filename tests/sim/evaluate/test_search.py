"""The search for widths on a small network whose costs are made up: maps that are shared, budgets, refusals."""

from __future__ import annotations

import itertools
import random
from collections.abc import Hashable, Sequence

import pytest

from sim.errors import UserError
from sim.evaluate.search import WidthSearch, prepare_search
from sim.evaluate.sensitivity import Bits, Sensitivities
from sim.evaluate.widths import Widths

READERS = {"input": ("a",), "a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}
"""Who reads the map of each layer; b and c share theirs, and d reads the sum of both."""

MACS = {"a": 7000, "b": 90001, "c": 1003, "d": 50}


class Made:
    """Costs by a formula: of a layer by the widths of its maps and weights, of an addition by that of its map."""

    cycle_s = 2e-9

    def __init__(self) -> None:
        self.asked = 0

    def parts(self, widths: Widths) -> Sequence[Hashable]:
        bits = {name: max([widths.of(one)[0] for one in readers] or [8]) for name, readers in READERS.items()}
        source = {"a": "input", "b": "a", "c": "a", "d": "b"}
        layers = [(name, bits[source[name]], widths.of(name)[1], bits[name]) for name in MACS]
        return [*layers, ("add", bits["b"], widths.residual_bits), ("fixed",)]

    def cost(self, part: Hashable) -> tuple[int, float]:
        self.asked += 1
        assert isinstance(part, tuple)
        name, *numbers = part
        if name == "fixed":
            return 1000, 10.5
        if name == "add":
            return 100 * numbers[0] + (numbers[1] or 0), 33.3 * numbers[0]
        activation, weight, output = numbers
        return MACS[name] * activation * weight + 3000 * output, 0.37 * MACS[name] * (activation + weight) * output


def table(seed: int) -> Sensitivities:
    rng = random.Random(seed)
    widths: list[Bits] = [(8, 8), (4, 4), (4, 8), (2, 6)]
    return {name: {bits: rng.random() / bits[1] for bits in widths} for name in ("a", "b", "c")} | {"d": {(8, 8): 0.0}}


def every(search: WidthSearch) -> list[Widths]:
    """All that can be chosen."""
    return [
        Widths(layers=dict(zip(search.layers, chosen, strict=True)), residual_bits=search.residual_bits)
        for chosen in itertools.product(*search.options)
    ]


def whole(costs: Made, widths: Widths, values: Sensitivities) -> dict[str, float]:
    """Quantities of the whole network, evaluated layer after layer."""
    each = [costs.cost(part) for part in costs.parts(widths)]
    latency, energy = sum(c for c, _ in each) * costs.cycle_s, sum(e for _, e in each) * 1e-12
    sensitivity = sum(values[name][widths.of(name)] for name in values)
    return {"sensitivity": sensitivity, "latency": latency, "energy": energy, "edp": latency * energy}


@pytest.mark.parametrize("residual_bits", [None, 16])
def test_predicted_is_evaluated(residual_bits: int | None) -> None:
    costs, values = Made(), table(0)
    search = prepare_search(costs, values, residual_bits)
    for widths in every(search):
        assert search.predicted(widths) == pytest.approx(whole(costs, widths, values), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limited", ["latency", "energy", "edp"])
def test_equals_all_choices(seed: int, limited: str) -> None:
    costs, values = Made(), table(seed)
    search = prepare_search(costs, values)
    all_of_them = [whole(costs, widths, values) for widths in every(search)]
    for limit in [one * (1 + 1e-12) for one in sorted({one[limited] for one in all_of_them})[::9]]:
        least = min(one["sensitivity"] for one in all_of_them if one[limited] <= limit)
        found = whole(costs, search.solve("sensitivity", {limited: limit}), values)
        assert found["sensitivity"] == pytest.approx(least, rel=1e-9)
        assert found[limited] <= limit
        cheapest = min(one[limited] for one in all_of_them if one["sensitivity"] <= least * (1 + 1e-12))
        back = whole(costs, search.solve(limited, {"sensitivity": least}), values)
        assert back[limited] == pytest.approx(cheapest, rel=1e-9)


def test_each_cost_is_asked_once() -> None:
    costs, steps = Made(), list[str]()
    search = prepare_search(costs, table(0), progress=steps.append)
    assert costs.asked == len({part for widths in every(search) for part in costs.parts(widths)})
    assert steps == [f"{step} of 3" for step in (1, 2, 3)]


def test_infeasible_budgets() -> None:
    costs, values = Made(), table(0)
    search = prepare_search(costs, values)
    all_of_them = [whole(costs, widths, values) for widths in every(search)]
    with pytest.raises(UserError) as raised:
        search.solve("sensitivity", {"energy": 1e-12})
    least = min(one["energy"] for one in all_of_them)
    assert str(raised.value) == (
        f"budget of energy must be at least {least * 1e6:.6g} uJ, the smallest with these widths, not 1 pJ"
    )
    limits = {name: min(one[name] for one in all_of_them) for name in ("sensitivity", "latency")}
    with pytest.raises(UserError) as raised:
        search.solve("energy", limits)
    assert str(raised.value) == (
        "no widths keep the budgets of sensitivity and latency together, though each of them alone"
    )
