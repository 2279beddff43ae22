"""Networks on machines by the laws: against the engine ``model``, and what refuses to run."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from golden.laws import LawEngine
from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS, ConfigError
from hw.fabric import FABRICS, FabricConfig
from sim.errors import UserError
from sim.evaluate.cost import PARTS, NetworkCost
from sim.evaluate.evaluate import evaluate, evaluator, load_machine
from sim.evaluate.widths import Widths, parse_widths
from sim.host import run_graph
from sim.mapping.errors import MappingError
from sim.networks.imported import ImportedNetwork
from sim.networks.load import load_network

CAP = CONFIGS["cap"]
LR = FABRICS["lr"]
NAMED = ("alexnet", "vgg16", "resnet18", "resnet50")


def named(network: str, bits: str = "8", machine: str = "lr", **options: int | str) -> NetworkCost:
    """A network by name on a machine by name."""
    found = load_network(network)
    mode, batch = str(options.get("mode", "count")), int(options.get("batch", 1))
    return evaluate(found, parse_widths(bits, found), load_machine(machine), mode=mode, batch=batch)


@pytest.fixture(scope="module")
def resnet8() -> ImportedNetwork:
    network = load_network("resnet8")
    assert isinstance(network, ImportedNetwork)
    return network


@pytest.mark.parametrize("widths", [Widths(), Widths(uniform=5)])
def test_resnet8_on_a_tile_is_what_engine_model_counts(resnet8: ImportedNetwork, widths: Widths) -> None:
    cost = evaluate(resnet8, widths, CAP)
    graph = resnet8.at(widths)
    blank = np.zeros(graph.maps[graph.input].shape, np.int64)
    counted = run_graph(graph, [blank], LawEngine(CAP))
    assert {layer.name: layer.total for layer in cost.layers} == {
        layer.plan.shape.name: layer.cycles for layer in counted.layers
    }
    assert cost.tiles == {"cap": 1, "map": 0}


@pytest.mark.slow
def test_a_tile_takes_modes_that_need_weights(resnet8: ImportedNetwork) -> None:
    wide = CONFIGS["cap256"]
    auto = evaluate(resnet8, Widths(), wide, mode="auto")
    count = evaluate(resnet8, Widths(), wide)
    assert auto.total <= count.total


@pytest.mark.parametrize("network", NAMED)
def test_parts_add_up_and_counts_are_those_of_the_network(network: str) -> None:
    cost = named(network)
    assert cost.macs == load_network(network).macs
    assert cost.total == sum(cost.cycles.values()) == sum(layer.total for layer in cost.layers)
    for layer in cost.layers:
        assert layer.total > 0
        assert set(layer.cycles) <= set(PARTS)
        assert layer.utilisation is None or 0 < layer.utilisation <= 1
        assert layer.events.compares > 0
    assert cost.assumptions[-len(LR.notes) :] == LR.notes


def test_narrower_words_take_fewer_compares_and_cycles() -> None:
    costs = [named("resnet18", str(bits)) for bits in range(1, 17)]
    for narrow, wide in itertools.pairwise(costs):
        assert narrow.total < wide.total
        assert narrow.events.compared_cells < wide.events.compared_cells


def test_switching_widths_costs_nothing() -> None:
    """A layer costs what it costs, whatever widths other layers have, as far as they leave its input and output."""
    network = load_network("resnet18")
    machine = evaluator(network, LR, residual_bits=16)
    uniform = {layer.name: layer for layer in machine.cost(parse_widths("hawq-v3/uniform8", network)).layers}
    mixed = machine.cost(parse_widths("hawq-v3/latency-0.5", network))
    alike = [layer for layer in mixed.layers if layer.activation_bits == 8 and layer.weight_bits == 8]
    assert len(alike) > 5
    for layer in alike:
        own, other = dict(layer.cycles), dict(uniform[layer.name].cycles)
        # The width of the output is the next layer's; it shows where stored numbers are made, and nowhere else.
        for part in ("requantise", "relu", "load"):
            own.pop(part, None)
            other.pop(part, None)
        assert own == other


def test_batches_share_weights_and_phases() -> None:
    one, many = named("resnet18"), named("resnet18", batch=8)
    assert one.total < many.total < 8 * one.total
    assert many.macs == 8 * one.macs
    streamed, more = named("resnet18", machine="lr-streamed"), named("resnet18", machine="lr-streamed", batch=8)
    assert more.cycles["weights"] <= streamed.cycles["weights"]
    assert streamed.cycles["weights"] > streamed.total // 2


def test_words_that_do_not_fit_are_split_and_charged() -> None:
    wide = named("resnet18", "16")
    conv = next(layer for layer in wide.layers if layer.name == "stage1.unit1.conv1")
    assert "activations in 2 digits of up to 8 bits, weights in 2 digits of up to 8 bits" in conv.mapping
    assert conv.cycles["reduce"] > 0
    assert conv.cycles["convolution"] >= 4 * next(
        layer.cycles["convolution"] for layer in named("resnet18").layers if layer.name == conv.name
    )


def test_lut_takes_longer_than_count_and_auto_takes_the_better() -> None:
    count, lut, auto = (named("resnet18", "4", mode=mode) for mode in ("count", "lut", "auto"))
    assert auto.total == count.total < lut.total
    assert {layer.mode for layer in lut.layers} == {"lut", None}


def test_an_unlimited_fabric_has_room_for_the_largest_layer() -> None:
    cost = named("vgg16", machine="ir")
    assert cost.tiles["cap"] > LR.clusters * LR.caps
    assert cost.cycles["convolution"] < named("vgg16").cycles["convolution"]


@pytest.mark.parametrize(
    ("network", "machine", "mode", "text"),
    [
        ("resnet18", "lr", "constant", "--mode must be one of count, lut, auto on fabric lr, not 'constant': its CAPs"),
        ("resnet18", "mesh2x2", "count", "network resnet18 must come with weights to be evaluated on the accelerator"),
        ("resnet8", "mesh2x2", "lut", "--mode must be count for an accelerator (mesh2x2), not lut"),
    ],
)
def test_what_a_machine_cannot_run_is_refused(network: str, machine: str, mode: str, text: str) -> None:
    with pytest.raises(UserError, match="^" + re.escape(text)):
        named(network, machine=machine, mode=mode)


def test_mode_constant_without_weights_is_refused() -> None:
    with pytest.raises(MappingError, match=r"^layer 'conv1' needs its weights in mode constant"):
        named("resnet18", machine="cap256", mode="constant")


def test_machines_by_name_and_from_files(tmp_path: Path) -> None:
    assert load_machine("lr") is FABRICS["lr"]
    assert load_machine("cap") is CAP
    assert load_machine("mesh2x2") is ACCELERATORS["mesh2x2"]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"fabric": "lr", "caps": 32, "cap": {"columns": 24}}))
    mine = load_machine(str(file))
    assert isinstance(mine, FabricConfig)
    assert (mine.name, mine.caps, mine.cap.columns, mine.width) == ("mine", 32, 24, LR.width)
    assert mine.hash != LR.hash
    assert mine.notes[0] == "sizes of the fabric come from a config file"
    with pytest.raises(UserError, match=r"^config must be one of lr, .* not 'lrr'; the nearest is 'lr'$"):
        load_machine("lrr")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"fabric": "x"}, "must name one of lr, lr-streamed, ir as its fabric, not 'x'"),
        ({"fabric": "lr", "cap": 3}, "must have an object for cap, not 3"),
        ({"fabric": "lr", "rows": 3}, "must name fields of a fabric, not 'rows'"),
        ({"fabric": "lr", "cap": {"rowz": 3}}, "must name fields of a tile, not 'rowz'"),
    ],
)
def test_files_of_fabrics_are_checked(tmp_path: Path, fields: dict[str, object], text: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(fields))
    with pytest.raises(ConfigError, match=re.escape(text) + "$"):
        load_machine(str(file))
