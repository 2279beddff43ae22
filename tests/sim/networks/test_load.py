"""Networks that users name: built in or files; imported ones keep to the rule of widths that runs keep to."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from golden.graph import Graph
from golden.widths import apply
from sim.errors import UserError
from sim.evaluate.widths import Widths, default_widths
from sim.importers import ModelError
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


def quantised_convolution(file: Path) -> None:
    """A QONNX file of one convolution: 5-bit activations, 3-bit weights, 6-bit outputs."""
    constants = {"weights": np.arange(-3, 3, dtype=np.float32).reshape(3, 2, 1, 1), "zero": np.float32(0)}
    constants |= {"scale": np.float32(0.25)} | {f"bits{bits}": np.float32(bits) for bits in (3, 5, 6)}
    quantiser = {"domain": "qonnx.custom_op.general", "narrow": 0, "rounding_mode": "ROUND"}
    nodes = [
        onnx.helper.make_node("Quant", ["x", "scale", "zero", "bits5"], ["x5"], signed=0, **quantiser),
        onnx.helper.make_node("Quant", ["weights", "scale", "zero", "bits3"], ["w3"], signed=1, **quantiser),
        onnx.helper.make_node("Conv", ["x5", "w3"], ["sum"], name="only"),
        onnx.helper.make_node("Quant", ["sum", "scale", "zero", "bits6"], ["y"], signed=1, **quantiser),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 4, 4])
        for name, channels in (("x", 2), ("y", 3))
    ]
    values = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, "graph", ends[:1], ends[1:], values)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]), file)


def test_an_onnx_file_has_its_own_widths(tmp_path: Path) -> None:
    quantised_convolution(tmp_path / "small.onnx")
    network = load_network(str(tmp_path / "small.onnx"))
    assert (network.name, network.macs, network.weights) == ("small", 96, 6)
    widths = default_widths(network)
    assert widths.label == "own"
    assert network.has_fixed_widths
    shape = network.shapes(widths)[0]
    assert (shape.activation_bits, shape.weight_bits, shape.output_bits) == ((5,), 3, 6)
    with pytest.raises(UserError, match=r"^network small: map .* must have 8 bits before widths change, has "):
        network.shapes(Widths(uniform=8))


def test_files_that_are_not_there() -> None:
    for file in ("none.onnx", "none.tflite"):
        with pytest.raises(ModelError, match=f"^model {file}: no such file"):
            load_network(file)


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
    assert (resnet8.has_fixed_widths, narrow.has_fixed_widths) == (False, True)
    assert narrow.shapes(Widths()) == run_shapes(4)
    with pytest.raises(UserError, match=r"^network narrow: map 'input_1_int8' must have 8 bits before widths change"):
        narrow.shapes(Widths(uniform=8))
