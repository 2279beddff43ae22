"""Runs of spiking networks: what reports say, and that an engine which differs is found out."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from golden.spiking import Spikes, run
from sim.report import Cycles, RunReport, differences, json_text, run_json
from sim.spiking import run as spiking_run
from sim.spiking.energy import load_energy
from sim.spiking.events import picture_events
from sim.spiking.printed import print_spiking
from sim.spiking.run import EngineRun, IntegerEngine, SpikingInput, SpikingRequest, run_spiking
from tests.sim.spiking.made_networks import random_network

NETWORK = random_network(3, weight_bits=8, potential_bits=16)
PICTURES = np.random.default_rng(4).integers(0, 256, (3, 6, 7), dtype=np.uint8)


class Counting(IntegerEngine):
    """An engine with cycles."""

    def run(self, events: Spikes) -> EngineRun:
        cycles = tuple(Cycles(total=10 * number, law=10 * number, compute=10 * number) for number in (1, 2, 3))
        return replace(super().run(events), cycles=cycles, events=tuple({"row_operations": 7} for _ in range(3)))


class Wrong(IntegerEngine):
    """An engine whose first layer has other spikes."""

    def run(self, events: Spikes) -> EngineRun:
        done = super().run(events).network
        return EngineRun(network=replace(done, spikes=(~done.spikes[0], *done.spikes[1:])), energy_pj=(1.0, 2.0, 4.0))


def request(array: str = "flexspim", engine: str = "integer") -> SpikingRequest:
    inputs = [SpikingInput(file=f"{n}.png", picture=one, label=None if n else 2) for n, one in enumerate(PICTURES)]
    return SpikingRequest(model="digits-snn", network=NETWORK, array=array, engine=engine, inputs=inputs)


def printed(report: RunReport) -> str:
    stream = io.StringIO()
    print_spiking(report, stream)
    return stream.getvalue()


def test_counts_are_sums_over_inputs() -> None:
    report = run_spiking(request())
    runs = [run(NETWORK.layers, events) for events in picture_events(PICTURES, NETWORK.saccade)]
    assert report.spiking is not None
    for number, layer in enumerate(report.layers):
        operations = sum(int(one.operations[number].sum()) for one in runs)
        assert layer.events["synaptic_operations"] == operations
        assert layer.events["spikes"] == sum(int(one.spikes[number].sum()) for one in runs)
        assert layer.energy_pj == pytest.approx(operations * 16 * load_energy().operation_bit)
        assert layer.bit_exact is None
    assert report.spiking.synaptic_operations == sum(layer.events["synaptic_operations"] for layer in report.layers)
    assert [one.logits for one in report.inputs] == [one.potentials[-1].ravel().tolist() for one in runs]
    assert [one.top1 for one in report.inputs] == [int(np.argmax(one.potentials[-1])) for one in runs]
    assert (report.spiking.labelled, report.spiking.right) == (1, int(report.inputs[0].top1 == 2))
    assert report.energy_per_operation_pj == pytest.approx(5.7)
    assert differences(report) == []


def test_json_has_what_other_runs_have_and_a_spiking_part() -> None:
    content = json.loads(json_text(run_json(run_spiking(request()))))
    assert set(content["total"]) == {"cycles", "law", "macs", "energy_pj"}
    assert set(content["spiking"]) == {
        "array", "network", "potential_bits", "timesteps", "synaptic_operations", "right", "labelled",
        "energy_per_operation_pj", "energy_source",
    }  # fmt: skip
    assert [layer["bits"] for layer in content["layers"]] == [{"activation": 1, "weight": 8}] * 3


def test_without_published_figures_there_is_no_energy() -> None:
    report = run_spiking(request("ap"))
    assert report.energy_pj is None
    assert report.energy_per_operation_pj is None
    assert "energy:" not in printed(report)


def test_an_engine_counts_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spiking_run.ENGINES, ("flexspim", "made"), Counting)
    report = run_spiking(request(engine="made"))
    assert (report.cycles, report.law) == (180, 180)
    assert [(layer.start, layer.end) for layer in report.layers] == [(0, 30), (30, 90), (90, 180)]
    assert report.layers[0].events["row_operations"] == 21
    assert all(layer.bit_exact for layer in report.layers)
    assert differences(report) == []
    assert " cycles " in printed(report)


def test_an_engine_that_differs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spiking_run.ENGINES, ("flexspim", "made"), Wrong)
    report = run_spiking(request(engine="made"))
    assert [layer.bit_exact for layer in report.layers] == [False, True, True]
    assert report.energy_pj == 21.0
    assert "by events that the array counted" in printed(report)
    assert differences(report) == ["conv1: the output differs from the integer operators"]
    text = printed(report)
    assert "DIFFERENCE conv1" in text
    assert " NO " in text


def test_people_read_classes_of_few_inputs() -> None:
    report = run_spiking(request())
    text = printed(report)
    assert f"0.png: class {report.inputs[0].top1}, its name says 2\n" in text
    assert f"1.png: class {report.inputs[1].top1}\n" in text
    assert "energy: 5.7 pJ a synaptic operation" in text
    assert "by published figures, not measured" in text
    many = replace(report, inputs=report.inputs * 4)
    assert "0.png" not in printed(many)


def test_another_report_is_refused() -> None:
    with pytest.raises(ValueError, match="the report of digits-snn has no spiking part"):
        printed(replace(run_spiking(request()), spiking=None))
