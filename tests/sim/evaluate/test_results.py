from __future__ import annotations

import dataclasses

from sim.evaluate.energy import figures
from sim.evaluate.results import results
from tests.evaluations import TECHNOLOGY, layer_cost, network_cost

WIDE = dataclasses.replace(layer_cost("wide"), macs=300)
NARROW = dataclasses.replace(layer_cost("narrow", weight_bits=4), macs=100)
POOL = layer_cost("pool", weight_bits=None)
COST = network_cost(WIDE, POOL, NARROW)


def test_figures_of_layers_and_network() -> None:
    found = results(COST, TECHNOLOGY)
    assert found.layers == tuple(figures(layer, TECHNOLOGY, COST) for layer in COST.layers)
    assert found.total == figures(COST, TECHNOLOGY)
    assert found.inputs_per_s == 2 / found.total.latency_s
    assert found.machine == "4 CAPs of 4,800 rows x 16 columns, 1 MAP of 4,800 rows x 128 columns"


def test_widths() -> None:
    assert results(COST, TECHNOLOGY).weight_bits == 7
    assert not results(COST, TECHNOLOGY).uniform
    assert results(network_cost(WIDE, POOL), TECHNOLOGY).uniform
    nothing = results(network_cost(POOL), TECHNOLOGY)
    assert (nothing.weight_bits, nothing.uniform) == (0, True)
    assert results(network_cost(), TECHNOLOGY).inputs_per_s is None


def test_supply() -> None:
    assert results(COST, TECHNOLOGY).supply_v == 0.9
    assert results(COST, TECHNOLOGY.at(1.0)).supply_v == 1.0


def test_assumptions() -> None:
    technology = TECHNOLOGY.at(1.0)
    found = results(COST, technology)
    assert found.assumptions == ("sizes are recalled", *technology.assumptions)
    first, constants, *rest = found.brief_assumptions
    assert first == "sizes are recalled"
    assert constants.startswith("paper has no source for write_cell 0.6173 fJ, tagged_rows 0.5, cell_area 0.5 um2")
    assert rest == [one for one in technology.assumptions if " is an assumption: " not in one]
    assert [one.split()[0] for one in rest] == ["matching_rows", "Values"]


def test_technology_without_assumptions() -> None:
    constants = {name: dataclasses.replace(one, certainty="published") for name, one in TECHNOLOGY.constants.items()}
    found = results(COST, dataclasses.replace(TECHNOLOGY, constants=constants))
    assert found.brief_assumptions == found.assumptions == ("sizes are recalled",)
