from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from hw.fabric import FABRICS
from sim.errors import UserError
from sim.evaluate.energy import figures
from sim.evaluate.evaluate import evaluate
from sim.evaluate.sweep import Case, cost_of, source_of
from sim.evaluate.table import COLUMNS, SCHEMA, LayerTable, csv_table, layer_table, npz_table
from sim.evaluate.technology import load_technology
from sim.evaluate.widths import Widths
from sim.networks.network import Network
from sim.report import version

LR = FABRICS["lr"]
SRAM = load_technology("sram")


def table_of(name: str, weight_bits: tuple[int, ...], activation_bits: tuple[int, ...], **options: Any) -> LayerTable:
    return layer_table(source_of(name), LR, SRAM, weight_bits=weight_bits, activation_bits=activation_bits, **options)


@pytest.fixture(scope="module", params=["resnet8", "alexnet"])
def network(request: pytest.FixtureRequest) -> Network:
    return source_of(request.param).network


@pytest.fixture(scope="module")
def table(network: Network) -> LayerTable:
    return table_of(network.name, (4, 8), (8, 3, 4))


def test_equal_widths_are_the_evaluation(table: LayerTable, network: Network) -> None:
    for bits, (w, a) in {4: (0, 2), 8: (1, 0)}.items():
        cost = evaluate(network, Widths(uniform=bits), LR)
        assert table.layers == tuple(layer.name for layer in cost.layers)
        assert table.cycles[:, w, a].tolist() == [layer.total for layer in cost.layers]
        found = [figures(layer, SRAM, cost) for layer in cost.layers]
        assert table.latency_s[:, w, a].tolist() == [one.latency_s for one in found]
        assert table.energy_pj[:, w, a].tolist() == [one.total_pj for one in found]


def test_different_widths(table: LayerTable, network: Network) -> None:
    widths = Widths(
        layers={layer.name: (3, 8) for layer in network.weight_layers} | dict.fromkeys(network.other_layers, (3, 3))
    )
    cost = evaluate(network, widths, LR)
    assert table.cycles[:, 1, 1].tolist() == [layer.total for layer in cost.layers]
    assert {(layer.activation_bits, layer.weight_bits) for layer in cost.layers if layer.weight_bits} == {(3, 8)}


def test_layers(table: LayerTable, network: Network) -> None:
    names = [layer.name for layer in network.weight_layers]
    assert [name for name, has in zip(table.layers, table.has_weights, strict=True) if has] == names
    without = ~np.array(table.has_weights)
    assert without.any()
    assert (table.cycles[without, 0] == table.cycles[without, 1]).all()
    assert table.errors == {}
    assert table.identity == {
        "network": network.name,
        "config": "lr",
        "config_hash": LR.hash_text,
        "mode": "count",
        "batch": 1,
        "technology": "sram",
        "supply_v": SRAM["supply"],
    }


def test_npz(table: LayerTable) -> None:
    content = npz_table(table)
    assert content == npz_table(table)
    arrays = dict(np.load(io.BytesIO(content), allow_pickle=False))
    assert arrays["cycles"].dtype == np.int64
    for name in ("cycles", "latency_s", "energy_pj"):
        assert arrays[name].shape == (len(table.layers), 2, 3)
        assert (arrays[name] == getattr(table, name)).all()
    for name in ("layers", "ops", "macs", "has_weights", "weight_bits", "activation_bits"):
        assert tuple(arrays[name].tolist()) == getattr(table, name)
    assert {name: arrays[name].item() for name in table.identity} == table.identity
    assert (arrays["schema"].item(), arrays["bfimna"].item()) == (SCHEMA, version())
    assert len(arrays) == 9 + len(table.identity) + 2


def test_csv(table: LayerTable) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table(table))))
    assert tuple(rows[0]) == COLUMNS
    places = [(n, w, a) for n in range(len(table.layers)) for w in range(2) for a in range(3)]
    assert len(rows) == len(places)
    for place, row in zip(places, rows, strict=True):
        n, w, a = place
        assert (row["layer"], row["op"], int(row["macs"])) == (table.layers[n], table.ops[n], table.macs[n])
        assert (int(row["weight_bits"]), int(row["activation_bits"])) == ((4, 8)[w], (8, 3, 4)[a])
        assert int(row["cycles"]) == table.cycles[place]
        assert (float(row["latency_s"]), float(row["energy_pj"])) == (table.latency_s[place], table.energy_pj[place])
        assert float(row["edp_js"]) == table.latency_s[place] * table.energy_pj[place] * 1e-12
        assert row["error"] == ""


def refusing(*refused: str) -> Any:
    return lambda case: f"{case.bits} does not fit" if case.bits in refused else cost_of(case)


def test_refused_widths() -> None:
    steps: list[str] = []
    table = table_of("alexnet", (2, 3), (4, 5), cost=refusing("2x4", "3x5"), advance=steps.append)
    assert table.errors == {(2, 4): "2x4 does not fit", (3, 5): "3x5 does not fit"}
    assert ((table.cycles == -1) == [[True, False], [False, True]]).all()
    assert (np.isnan(table.latency_s) == [[True, False], [False, True]]).all()
    assert (np.isnan(table.energy_pj) == [[True, False], [False, True]]).all()
    rows = list(csv.DictReader(io.StringIO(csv_table(table))))
    assert [row["error"] for row in rows[:4]] == ["2x4 does not fit", "", "", "3x5 does not fit"]
    assert [row["cycles"] == row["energy_pj"] == "" for row in rows[:4]] == [True, False, False, True]
    assert steps == ["started", "2 x 4 bits", "2 x 5 bits", "3 x 4 bits", "3 x 5 bits"]


def test_nothing_fits() -> None:
    text = "^network alexnet cannot be evaluated at any of the widths: 2x4 does not fit$"
    with pytest.raises(UserError, match=text):
        table_of("alexnet", (2,), (4,), cost=refusing("2x4"))


def test_supply_batch_and_mode() -> None:
    cases: list[Case] = []

    def cost(case: Case) -> Any:
        cases.append(case)
        return cost_of(case)

    table = layer_table(
        source_of("alexnet"), LR, SRAM.at(0.9), weight_bits=[2], activation_bits=[4], mode="lut", batch=3, cost=cost
    )
    assert [(case.mode, case.batch, case.bits) for case in cases] == [("lut", 3, "2x4")]
    assert (table.identity["supply_v"], table.identity["batch"], table.identity["mode"]) == (0.9, 3, "lut")
