"""The network of digits on both arrays: as the integer layers, cycles by the law, energy by events or published."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from golden.spiking import run
from hw.config import CONFIGS
from hw.flexspim.config import MACROS
from sim import cli
from sim.errors import UserError
from sim.spiking.digits import RESOLUTIONS, digits_network, packaged_digits
from sim.spiking.events import picture_events
from sim.spiking.run import ARRAYS, ENGINES, SpikingInput, SpikingRequest, run_spiking

BOTH = pytest.mark.parametrize("array", ARRAYS)


def request(resolution: str, array: str, engine: str, count: int, **fields: Any) -> SpikingRequest:
    digits = packaged_digits()
    inputs = [SpikingInput(file="", picture=picture, label=int(label)) for picture, label in zip(
        digits.pictures[:count], digits.labels, strict=False
    )]  # fmt: skip
    return SpikingRequest(
        model="digits-snn", network=digits_network(resolution), array=array, engine=engine, inputs=inputs, **fields
    )


@BOTH
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_digits_equal_the_integer_layers(array: str, resolution: str) -> None:
    report = run_spiking(request(resolution, array, "turbo", 3))
    whole = run_spiking(request(resolution, array, "integer", 3))
    assert [one.logits for one in report.inputs] == [one.logits for one in whole.inputs]
    for layer, integer in zip(report.layers, whole.layers, strict=True):
        assert layer.bit_exact
        assert layer.cycles.total == layer.cycles.law == layer.cycles.attributed > 0
        assert {name: layer.events[name] for name in integer.events} == integer.events
        assert layer.energy_pj is not None
    config = CONFIGS["cap"] if array == "ap" else MACROS["flexspim"]
    assert report.config_hash == config.hash_text


def test_resolutions_need_no_other_build() -> None:
    """The config hash stands for the Verilog."""
    hashes = {run_spiking(request(one, array, "golden", 1)).config_hash for array in ARRAYS for one in RESOLUTIONS}
    assert len(hashes) == len(ARRAYS)


@BOTH
def test_cycles_and_events(array: str) -> None:
    smaller = {"tile": CONFIGS["small"]} if array == "ap" else {"macro": MACROS["flexspim"].replace(columns=128)}
    asked = request("4x10", array, "golden", 2, **smaller)
    with closing(ENGINES[array, "golden"](asked)) as engine:
        events = [picture_events(one.picture, asked.network.saccade) for one in asked.inputs]
        found = [engine.run(one) for one in (*events, events[0] & False)]
    for one, given in zip(found, events, strict=False):
        assert (one.network.potentials[-1] == run(asked.network.layers, given).potentials[-1]).all()
    assert not found[2].network.potentials[-1].any()
    cycles = [sum(cycles.total for cycles in one.cycles) for one in found]
    assert [sum(cycles.law for cycles in one.cycles) for one in found] == cycles
    if array == "ap":
        assert found[0].cycles == found[1].cycles == found[2].cycles
        assert found[0].energy_pj == found[2].energy_pj
    else:
        operations = [sum(int(layer.sum()) for layer in one.network.operations) for one in found]
        assert (cycles[0] < cycles[1]) == (operations[0] < operations[1])
        assert 5 * cycles[2] < cycles[0]  # shapes, words without events, and firing


@BOTH
def test_what_clips_is_refused(array: str) -> None:
    asked = request("4x10", array, "golden", 1)
    first, *others = asked.network.layers
    clipped = dataclasses.replace(first, overflow="saturate")
    network = dataclasses.replace(asked.network, layers=(clipped, *others))
    with pytest.raises(UserError, match=r"^overflow of layer 'conv1' must be 'wrap'.*, got 'saturate'$"):
        ENGINES[array, "golden"](dataclasses.replace(asked, network=network))


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_one_digit_in_both_simulators(array: str, simulator: str) -> None:
    sizes = {"tile": CONFIGS["small"]} if array == "ap" else {}
    report = run_spiking(request("8x16", array, "rtl", 1, simulator=simulator, **sizes))
    assert all(layer.bit_exact and layer.cycles.total == layer.cycles.law for layer in report.layers)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_all_test_digits(array: str, resolution: str, tmp_path: Path) -> None:
    reports: list[Any] = []
    for engine in ("turbo", "integer"):
        target = tmp_path / f"{engine}.json"
        options = ["--bits", resolution, "--array", array, "--engine", engine, "--json", str(target)]
        assert cli.main(["run", "digits-snn", *options]) == 0
        reports.append(json.loads(target.read_text()))
    verilog, integer = reports
    assert [one["logits"] for one in verilog["inputs"]] == [one["logits"] for one in integer["inputs"]]
    assert verilog["spiking"]["right"] == integer["spiking"]["right"] >= 930
    assert verilog["spiking"]["labelled"] == 1000
