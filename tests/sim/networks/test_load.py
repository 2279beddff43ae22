"""Networks that users name: built in or files; imported ones keep to the rule of widths that runs keep to."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from golden.graph import Graph
from golden.widths import apply
from sim.errors import UserError
from sim.evaluate.widths import Widths
from sim.mapping import layer_shape
from sim.mapping.shapes import LayerShape
from sim.models import data_file, load_model
from sim.networks.imported import ImportedNetwork
from sim.networks.load import load_network
from sim.networks.named import NETWORKS


@pytest.fixture(scope="module")
def resnet8() -> ImportedNetwork:
    network = load_network("resnet8")
    assert isinstance(network, ImportedNetwork)
    return network


@cache
def model() -> Graph:
    return load_model("resnet8")


def run_shapes(bits: int | dict[str, int | dict[str, int]]) -> tuple[LayerShape, ...]:
    """What `bfimna run` maps."""
    graph = apply(model(), bits)
    return tuple(layer_shape(layer, graph) for layer in graph.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_names(name: str) -> None:
    assert load_network(name) == NETWORKS[name]()
    assert load_network(name).name == name


def test_counts_of_resnet8(resnet8: ImportedNetwork) -> None:
    assert resnet8.name == "resnet8"
    assert resnet8.macs == 12_501_632
    convolutions = [(3, 3, 16), (3, 16, 16), (3, 16, 16), (3, 16, 32), (3, 32, 32), (1, 16, 32), (3, 32, 64),
                    (3, 64, 64), (1, 32, 64), (1, 64, 10)]  # fmt: skip
    weights = [kernel**2 * before * channels for kernel, before, channels in convolutions]
    assert [layer.weights for layer in resnet8.weight_layers] == weights
    assert resnet8.weights == sum(weights)
    assert resnet8.parameters == sum(weights) + sum(channels for *_, channels in convolutions)
    assert resnet8.weight_layers[3].gemm == (32, 144, 256)
    assert resnet8.weight_layers[-1].op == "fully_connected"
    assert resnet8.other_layers == ("add1", "add2", "add3", "avgpool1", "reshape1")
    assert resnet8.assumptions == ()


def test_widths_of_an_imported_network_are_those_of_a_run(resnet8: ImportedNetwork) -> None:
    names = [layer.name for layer in resnet8.weight_layers]
    assert resnet8.shapes(Widths()) == run_shapes(8)
    assert resnet8.shapes(Widths(uniform=8)) == run_shapes(8)
    assert resnet8.shapes(Widths(uniform=3)) == run_shapes(3)
    pairs = {name: (4 + index % 3, 2 + index % 5) for index, name in enumerate(names)}
    table: dict[str, int | dict[str, int]] = {
        name: {"activation": activation, "weight": weight} for name, (activation, weight) in pairs.items()
    }
    assert resnet8.shapes(Widths(layers=pairs)) == run_shapes(table)
    assert resnet8.shapes(Widths(layers={**pairs, "add1": (5, 5)})) == run_shapes({**table, "add1": 5})
    mixed = Widths(uniform=6, layers={"conv2": (4, 3), "add2": (7, 7)})
    others = dict.fromkeys((*names, *resnet8.other_layers), 6)
    assert resnet8.shapes(mixed) == run_shapes({**others, "conv2": {"activation": 4, "weight": 3}, "add2": 7})


def test_a_file(tmp_path: Path, resnet8: ImportedNetwork) -> None:
    file = tmp_path / "mine.tflite"
    shutil.copy(data_file("resnet8_int8.tflite"), file)
    network = load_network(str(file))
    assert network.name == "mine"
    assert network.shapes(Widths()) == resnet8.shapes(Widths())


def test_unknown_names() -> None:
    known = "alexnet, vgg16, resnet18, resnet50, resnet8"
    with pytest.raises(UserError) as refused:
        load_network("resnet51")
    assert str(refused.value) == (
        f"network must be one of {known}, or a .tflite or .onnx file, not 'resnet51'; the nearest is 'resnet50'"
    )
    with pytest.raises(UserError) as refused:
        load_network("x.pb")
    assert str(refused.value) == f"network must be one of {known}, or a .tflite or .onnx file, not 'x.pb'"


def test_a_graph_that_widths_are_not_for(resnet8: ImportedNetwork) -> None:
    """A graph at other widths than 8 bits has its own, and no others."""
    narrow = ImportedNetwork("narrow", apply(resnet8.graph, 4))
    assert narrow.shapes(Widths()) == run_shapes(4)
    with pytest.raises(UserError, match=r"^network narrow: map 'input_1_int8' must have 8 bits before widths change"):
        narrow.shapes(Widths(uniform=8))
