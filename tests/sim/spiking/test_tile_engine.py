"""The network of digits on the associative processor: as the integer layers, cycles by the law, energy by events."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from golden.spiking import run
from hw.config import CONFIGS
from sim import cli
from sim.spiking.digits import RESOLUTIONS, digits_network, packaged_digits
from sim.spiking.events import picture_events
from sim.spiking.run import ENGINES, SpikingInput, SpikingRequest, run_spiking


def request(resolution: str, engine: str, count: int, **fields: Any) -> SpikingRequest:
    digits = packaged_digits()
    inputs = [SpikingInput(file="", picture=picture, label=int(label)) for picture, label in zip(
        digits.pictures[:count], digits.labels, strict=False
    )]  # fmt: skip
    return SpikingRequest(
        model="digits-snn", network=digits_network(resolution), array="ap", engine=engine, inputs=inputs, **fields
    )


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_digits_equal_the_integer_layers(resolution: str) -> None:
    asked = request(resolution, "turbo", 3)
    report, whole = run_spiking(asked), run_spiking(request(resolution, "integer", 3))
    assert [one.logits for one in report.inputs] == [one.logits for one in whole.inputs]
    for layer, integer in zip(report.layers, whole.layers, strict=True):
        assert layer.bit_exact
        assert layer.cycles.total == layer.cycles.law == layer.cycles.attributed > 0
        assert {name: layer.events[name] for name in integer.events} == integer.events
        assert layer.energy_pj is not None
    assert report.config_hash == CONFIGS["cap"].hash_text


def test_cycles_do_not_depend_on_events() -> None:
    asked = request("4x10", "golden", 2, tile=CONFIGS["small"])
    with closing(ENGINES["ap", "golden"](asked)) as engine:
        events = [picture_events(one.picture, asked.network.saccade) for one in asked.inputs]
        found = [engine.run(one) for one in (*events, events[0] & False)]
    assert found[0].cycles == found[1].cycles == found[2].cycles
    assert found[0].energy_pj == found[2].energy_pj
    for one, given in zip(found, events, strict=False):
        assert (one.network.potentials[-1] == run(asked.network.layers, given).potentials[-1]).all()
    assert not found[2].network.potentials[-1].any()


@pytest.mark.slow
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_all_test_digits(resolution: str, tmp_path: Path) -> None:
    reports: list[Any] = []
    for engine in ("turbo", "integer"):
        target = tmp_path / f"{engine}.json"
        options = ["--bits", resolution, "--array", "ap", "--engine", engine, "--json", str(target)]
        assert cli.main(["run", "digits-snn", *options]) == 0
        reports.append(json.loads(target.read_text()))
    verilog, integer = reports
    assert [one["logits"] for one in verilog["inputs"]] == [one["logits"] for one in integer["inputs"]]
    assert verilog["spiking"]["right"] == integer["spiking"]["right"] >= 930
    assert verilog["spiking"]["labelled"] == 1000
