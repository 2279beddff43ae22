"""Energy, area and figures: sums, formulas, and which constant acts on which part."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from sim.evaluate.cost import Events, LayerCost, NetworkCost
from sim.evaluate.energy import (
    AREA_PARTS,
    ENERGY_PARTS,
    FORMULAS,
    OPERATIONS_PER_MAC,
    UNITS,
    Figures,
    area_mm2,
    energy_pj,
    figures,
)
from sim.evaluate.technology import CONSTANTS, TECHNOLOGIES, TIME, Technology, load_technology

EVENT_NAMES = [field.name for field in dataclasses.fields(Events)]
EVENTS = Events(**{name: 1_000_003 * (index + 7) for index, name in enumerate(EVENT_NAMES)})
"""Every event happens, each another number of times."""


def layer(name: str, cycles: int, macs: int, events: Events) -> LayerCost:
    return LayerCost(name, "conv2d", macs, 8, 8, "count", {"convolution": cycles}, 0.5, 12, "", events)


def network(*layers: LayerCost, flits: bool = True) -> NetworkCost:
    sizes = {"flit_bits": 64, "caps": 2} if flits else {}
    return NetworkCost(
        "net", "config", "0", sizes, "8", "count", 1, layers,
        tiles={"cap": 8, "map": 4}, columns={"cap": 16, "map": 128}, rows={"cap": 4800, "map": 4800},
    )  # fmt: skip


COST = network(layer("a", 1000, 5_000_000, EVENTS), layer("b", 500, 3_000_000, EVENTS * 3))


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_the_parts_are_the_total(name: str) -> None:
    technology = load_technology(name)
    found = figures(COST, technology)
    assert list(found.energy_pj) == list(ENERGY_PARTS)
    assert list(found.area_mm2) == list(AREA_PARTS)
    assert found.total_pj == sum(found.energy_pj.values()) > 0
    assert found.total_mm2 == sum(found.area_mm2.values()) > 0


def test_layers_add_up_to_the_network() -> None:
    technology = load_technology("sram")
    whole = figures(COST, technology)
    parts = [figures(one, technology, COST) for one in COST.layers]
    assert sum(one.cycles for one in parts) == whole.cycles == 1500
    assert sum(one.macs for one in parts) == whole.macs
    assert sum(one.latency_s for one in parts) == pytest.approx(whole.latency_s, rel=1e-12)
    for part in ENERGY_PARTS:
        assert sum(one.energy_pj[part] for one in parts) == pytest.approx(whole.energy_pj[part], rel=1e-12)
    assert all(one.area_mm2 == whole.area_mm2 for one in parts)


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_the_formulas_that_are_shown_are_those_that_are_used(name: str) -> None:
    technology = load_technology(name)
    values = {**dataclasses.asdict(EVENTS), **{constant: technology[constant] for constant in CONSTANTS}}
    values |= {"flit_bits": 64, "tiles": 12, "cells": 4800 * (8 * 16 + 4 * 128)}
    found = energy_pj(EVENTS, technology, COST)
    assert list(FORMULAS) == list(ENERGY_PARTS)
    for part, formula in FORMULAS.items():
        # fJ are thousandths of pJ; nW times ns are millionths.
        unit = 1e-6 if part == "leakage" else 1e-3
        assert found[part] == pytest.approx(eval(formula, {}, values) * unit, rel=1e-12), part


@dataclass(frozen=True)
class _Used:
    """Everything that a technology makes of a network, by the names that :data:`CONSTANTS` has for it."""

    values: dict[str, float]

    @classmethod
    def of(cls, technology: Technology) -> _Used:
        found = figures(COST, technology)
        return cls({**found.energy_pj, **found.area_mm2, TIME: found.latency_s})

    def differences(self, other: _Used) -> set[str]:
        return {name for name, value in self.values.items() if value != other.values[name]}


@pytest.mark.parametrize("technology", TECHNOLOGIES)
@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_constant_changes_exactly_the_parts_that_use_it(technology: str, constant: str) -> None:
    before = load_technology(technology)
    step = 0.99 if constant == "minimum_supply" else 1.01
    after = before.with_constants(**{constant: before[constant] * step + (0 if before[constant] else 1)})
    assert _Used.of(before).differences(_Used.of(after)) == set(CONSTANTS[constant].parts)


def test_every_part_is_used_by_a_constant() -> None:
    used = {part for role in CONSTANTS.values() for part in role.parts}
    assert used == {*ENERGY_PARTS, *AREA_PARTS, TIME}


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_every_event_costs_energy(event: str) -> None:
    technology = load_technology("sram").with_constants(**{name: 0.5 for name, role in CONSTANTS.items() if role.share})
    found = energy_pj(Events(**{event: 1000}), technology, COST)
    parts = {part for part, value in found.items() if value}
    assert len(parts) == 1
    assert any(event in FORMULAS[part] for part in parts)


def test_shares_weigh_what_they_are_shares_of() -> None:
    technology = load_technology("sram")
    events = Events(compared_cells=1000, driven_cells=1000)
    for share, compare in ((0.0, technology["compare_mismatch"]), (1.0, technology["compare_match"])):
        found = energy_pj(events, technology.with_constants(matching_rows=share, tagged_rows=share), COST)
        assert found["compare"] == pytest.approx(compare, rel=1e-12)
        assert found["write"] == pytest.approx(technology["write_drive"] + share * technology["write_cell"], rel=1e-12)


def test_figures_by_hand() -> None:
    cost = network(layer("a", 2_000_000, 3_000_000, Events(loaded_cells=10**9)))
    technology = load_technology("sram").with_constants(load_cell=2.0, cycle_time=0.5)
    found = figures(cost, technology)
    assert found.latency_s == pytest.approx(1e-3, rel=1e-12)
    assert found.total_pj == found.energy_pj["load"] == pytest.approx(2e6, rel=1e-12)
    assert found.power_w == pytest.approx(2e-3, rel=1e-12)
    assert OPERATIONS_PER_MAC == 2
    assert found.gops == pytest.approx(6.0, rel=1e-12)
    assert found.gops_per_w == pytest.approx(3000.0, rel=1e-12)
    assert found.gops_per_w_mm2 == pytest.approx(3000.0 / found.total_mm2, rel=1e-12)
    assert found.edp_js == pytest.approx(2e-9, rel=1e-12)
    assert found.gops_per_w == pytest.approx((found.gops or 0) / (found.power_w or 1), rel=1e-12)


def test_area_by_hand() -> None:
    technology = load_technology("sram").with_constants(
        cell_area=1.0, row_area=10.0, column_area=100.0, tile_area=1000.0, router_area=50_000.0
    )
    found = area_mm2(COST, technology)
    assert found == pytest.approx(
        {
            "cap_cells": 8 * 4800 * 16 * 1e-6,
            "cap_periphery": 8 * (48_000 + 1600 + 1000) * 1e-6,
            "map_cells": 4 * 4800 * 128 * 1e-6,
            "map_periphery": 4 * (48_000 + 12_800 + 1000) * 1e-6,
            "routers": 4 * 0.05,
        },
        rel=1e-12,
    )


def test_a_tile_alone_has_no_mesh() -> None:
    cost = NetworkCost(
        "net", "cap", "0", {}, "8", "count", 1, (layer("a", 1, 1, EVENTS),),
        tiles={"cap": 1}, columns={"cap": 128}, rows={"cap": 4800},
    )  # fmt: skip
    found = figures(cost, load_technology("sram"))
    assert found.energy_pj["mesh"] == 0
    assert found.area_mm2["routers"] == found.area_mm2["map_cells"] == found.area_mm2["map_periphery"] == 0
    assert found.energy_pj["leakage"] > 0


def test_no_time_and_no_energy_give_no_ratio() -> None:
    found = figures(network(layer("reshape", 0, 0, Events())), load_technology("sram"))
    assert (found.cycles, found.latency_s, found.total_pj, found.edp_js) == (0, 0.0, 0.0, 0.0)
    assert found.power_w is found.gops is found.gops_per_w is found.gops_per_w_mm2 is None
    nothing = NetworkCost("net", "none", "0", {}, "8", "count", 1, (), tiles={}, columns={}, rows={})
    assert figures(nothing, load_technology("sram")).total_pj == 0
    free = Figures(1, 1, 1.0, {"load": 1.0}, {})
    assert free.gops_per_w is not None
    assert free.gops_per_w_mm2 is None


def test_a_layer_needs_its_network() -> None:
    with pytest.raises(TypeError, match=r"^figures of a layer need the cost of its network$"):
        figures(COST.layers[0], load_technology("sram"))


def test_every_figure_has_a_unit() -> None:
    found = figures(COST, load_technology("sram")).as_dict()
    assert list(found) == list(UNITS)
    assert found["energy_pj"] == figures(COST, load_technology("sram")).energy_pj
