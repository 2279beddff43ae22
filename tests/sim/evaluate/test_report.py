from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from sim.evaluate.columns import number
from sim.evaluate.cost import PARTS, Events, NetworkCost
from sim.evaluate.energy import AREA_PARTS, ENERGY_PARTS, figures
from sim.evaluate.report import csv_text, evaluation_json, print_evaluation
from sim.evaluate.results import results
from sim.report import json_text, version
from tests.evaluations import TECHNOLOGY, layer_cost, network_cost

COST = network_cost(layer_cost("conv1", seed=1), layer_cost("pool", weight_bits=None, seed=2), layer_cost("fc", seed=3))
IDLE = dataclasses.replace(layer_cost("idle"), cycles={}, events=Events(), utilisation=None)
DEGENERATE = {
    "no layers": network_cost(),
    "one layer": network_cost(layer_cost("only")),
    "no cycles": network_cost(IDLE),
}
FIGURES = ["latency_us", "energy_pj", "power_mw", "gops", "gops_per_w", "gops_per_w_mm2", "edp_js"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(cost: NetworkCost) -> str:
    stream = io.StringIO()
    print_evaluation(cost, TECHNOLOGY, stream)
    return stream.getvalue()


def leaves(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def test_json_has_the_documented_shape() -> None:
    found = json.loads(json_text(evaluation_json(COST, TECHNOLOGY)))
    assert list(found) == [
        "schema", "bfimna", "network", "config_hash", "config", "tiles", "bits", "mode", "batch", "technology",
        "operations_per_mac", "assumptions", "layers", "total", "area_mm2",
    ]  # fmt: skip
    assert found["schema"] == 1
    assert found["bfimna"] == version()
    assert found["network"] == "net"
    assert found["config_hash"] == "0123456789abcdef"
    assert found["config"] == {"name": "mesh", "caps": 4, "flit_bits": 64}
    assert found["tiles"] == {
        "cap": {"count": 4, "rows": 4800, "columns": 16},
        "map": {"count": 1, "rows": 4800, "columns": 128},
    }
    assert (found["bits"], found["mode"], found["batch"], found["operations_per_mac"]) == ("8", "count", 2, 2)
    assert list(found["total"]) == ["macs", "cycles", "events", *FIGURES]
    assert list(found["layers"][0]) == [
        "name", "op", "macs", "bits", "mode", "mapping", "tiles", "utilisation", "bound", "cycles", "events", *FIGURES,
    ]  # fmt: skip
    assert [layer["bits"] for layer in found["layers"]] == [
        {"activation": 8, "weight": 8},
        {"activation": 8, "weight": None},
        {"activation": 8, "weight": 8},
    ]
    assert found["layers"][1]["bound"] == "pooling"
    assert found["layers"][1]["mapping"] == "pool in 4 tiles, 2 fills"


def test_json_tells_what_constants_rest_on() -> None:
    found = evaluation_json(COST, TECHNOLOGY.at(0.8))
    assert found["technology"]["name"] == "paper"
    assert found["technology"]["supply_v"] == 0.8
    assert set(found["technology"]["constants"]) == set(TECHNOLOGY.constants)
    assert found["technology"]["constants"]["cell_area"] == {
        "value": 0.5, "unit": "um2", "source": "https://example.org/cells <1>", "certainty": "assumption",
    }  # fmt: skip
    assert found["assumptions"] == [*COST.assumptions, *TECHNOLOGY.at(0.8).assumptions]
    assert evaluation_json(COST, TECHNOLOGY)["technology"]["supply_v"] == 0.9


def test_parts_sum_up_to_totals() -> None:
    found = evaluation_json(COST, TECHNOLOGY)
    for one in (*found["layers"], found["total"]):
        assert list(one["cycles"]) == ["total", *PARTS]
        assert list(one["energy_pj"]) == ["total", *ENERGY_PARTS]
        for key in ("cycles", "energy_pj"):
            parts = {part: value for part, value in one[key].items() if part != "total"}
            assert one[key]["total"] == sum(parts.values())
    assert list(found["area_mm2"]) == ["total", *AREA_PARTS]
    assert found["area_mm2"]["total"] == sum(found["area_mm2"][part] for part in AREA_PARTS)
    for path in ("macs", *(f"cycles.{part}" for part in ("total", *PARTS))):
        assert leaves(found["total"])[path] == sum(leaves(layer)[path] for layer in found["layers"])
    for event in found["total"]["events"]:
        assert found["total"]["events"][event] == sum(layer["events"][event] for layer in found["layers"])
    energies = sum(layer["energy_pj"]["total"] for layer in found["layers"])
    assert found["total"]["energy_pj"]["total"] == pytest.approx(energies, rel=1e-12)


def test_figures_are_in_their_units() -> None:
    found = evaluation_json(COST, TECHNOLOGY)
    expected = [figures(layer, TECHNOLOGY, COST) for layer in COST.layers]
    for one, wanted in zip((*found["layers"], found["total"]), (*expected, figures(COST, TECHNOLOGY)), strict=True):
        assert wanted.power_w is not None
        assert one["latency_us"] == 1e6 * wanted.latency_s
        assert one["energy_pj"]["total"] == wanted.total_pj
        assert one["power_mw"] == 1e3 * wanted.power_w
        assert [one[name] for name in FIGURES[3:]] == [getattr(wanted, name) for name in FIGURES[3:]]
    assert found["total"]["edp_js"] == pytest.approx(
        1e-18 * found["total"]["energy_pj"]["total"] * found["total"]["latency_us"], rel=1e-12
    )


def test_csv_read_back_equals_the_json() -> None:
    content = evaluation_json(COST, TECHNOLOGY)
    rows = list(csv.DictReader(io.StringIO(csv_text(COST, TECHNOLOGY))))
    assert [row["name"] for row in rows] == ["conv1", "pool", "fc", "total"]
    for row, wanted in zip(rows, (*content["layers"], {"name": "total", **content["total"]}), strict=True):
        flat = leaves(wanted)
        assert {key for key, text in row.items() if text} == {key for key, value in flat.items() if value is not None}
        for key, value in flat.items():
            if value is not None:
                assert type(value)(row[key]) == value


def test_csv_quotes_names() -> None:
    name = 'a,"b"\nc'
    rows = list(csv.DictReader(io.StringIO(csv_text(network_cost(layer_cost(name)), TECHNOLOGY), newline="")))
    assert [row["name"] for row in rows] == [name, "total"]


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_networks(name: str) -> None:
    cost = DEGENERATE[name]
    found = json.loads(json_text(evaluation_json(cost, TECHNOLOGY)), parse_constant=pytest.fail)
    assert found["total"]["cycles"]["total"] == cost.total
    assert len(csv_text(cost, TECHNOLOGY).splitlines()) == len(cost.layers) + 2
    assert "\ntotal: work " in printed(cost)
    if not cost.total:
        assert found["total"]["power_mw"] is None
        assert "power - W" in printed(cost)


def test_table() -> None:
    lines = printed(COST).splitlines()
    assert lines[0] == "net on config mesh: 4 CAPs of 4,800 rows x 16 columns, 1 MAP of 4,800 rows x 128 columns"
    assert lines[1] == "widths 8, mode count, batch 2, technology paper at 0.9 V"
    words = [line.split() for line in lines]
    assert ["bits", "total", *PARTS] in words
    assert ["layer", "[a", "x", "w]", *["[cycles]"] * (1 + len(PARTS))] in words
    pool = COST.layers[1]
    assert ["pool", "8", "80", "77", "3"] in words
    first = COST.layers[0]
    assert ["conv1", "8x8", f"{first.total:,}", *(f"{first.cycles[part]:,}" for part in PARTS)] in words
    assert ["total", f"{COST.total:,}", *(f"{COST.cycles[part]:,}" for part in PARTS)] in words
    assert ["MACs", "used", "latency", "energy", "power", "throughput", "efficiency", "per", "area", "EDP"] in words
    units = [
        "layer",
        "op",
        "[M]",
        "tiles",
        "[%]",
        "[us]",
        "[uJ]",
        "[W]",
        "[GOPS]",
        "[GOPS/W]",
        "[GOPS/W/mm2]",
        "[J",
        "s]",
    ]
    assert units in words
    figure = figures(pool, TECHNOLOGY, COST)
    energy, power, edp = number(1e-6 * figure.total_pj), number(figure.power_w), number(figure.edp_js)
    assert ["pool", "avg_pool", "4", "0.04", energy, power, edp] in words
    assumptions = results(COST, TECHNOLOGY).brief_assumptions
    assert lines[-len(assumptions) :] == [f"assumption: {one}" for one in assumptions]
    assert lines[-len(assumptions)] == "assumption: sizes are recalled"
    assert "\x1b" not in printed(COST)


def test_modes_are_told_where_they_differ() -> None:
    assert " mode " not in printed(COST).partition("─")[2].partition("\ntotal: ")[0]
    other = dataclasses.replace(layer_cost("other"), mode="lut")
    lines = printed(network_cost(layer_cost("conv"), other)).splitlines()
    assert any(line.split()[:3] == ["layer", "op", "mode"] for line in lines)
    assert any(line.split()[:3] == ["other", "conv2d", "lut"] for line in lines)


@pytest.mark.parametrize("width", [60, *range(76, 84), 100, 120, 140, 200])
def test_tables_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    print_evaluation(COST, TECHNOLOGY, stream)
    tables = stream.getvalue().partition("\ntotal: ")[0].splitlines()[2:]
    assert "…" not in stream.getvalue()
    assert max(len(line) for line in map(plain, tables)) <= width
    words = [plain(line).split() for line in tables]
    heads = next(row for row in words if row[:2] == ["bits", "total"])
    assert ("other" in heads) == (width < 200)
    cycles = next(row for row in words if row[:2] == ["conv1", "8x8"])
    counts = [int(word.replace(",", "")) for word in cycles[2:]]
    assert counts[0] == sum(counts[1:]) == COST.layers[0].total
    assert len([row for row in words if row[:1] == ["conv1"]]) == 2


def plain(line: str) -> str:
    return line.replace("\x1b[1m", "").replace("\x1b[0m", "")
