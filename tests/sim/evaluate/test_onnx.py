"""ONNX files on machines: at the widths that come with them, the cycles of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden import operators
from golden.laws import LawEngine
from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS
from sim.accelerator.run import run_inputs
from sim.errors import UserError
from sim.evaluate.cost import NetworkCost
from sim.evaluate.evaluate import evaluate, load_machine
from sim.evaluate.widths import Widths, default_widths
from sim.host import run_graph
from sim.mapping.errors import MappingError
from sim.networks.imported import ImportedNetwork
from sim.networks.load import load_network
from tests.onnx_models import Onnx


def imported(path: Path) -> ImportedNetwork:
    network = load_network(str(path))
    assert isinstance(network, ImportedNetwork)
    return network


def own(network: ImportedNetwork, machine: str) -> NetworkCost:
    return evaluate(network, default_widths(network), load_machine(machine))


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> ImportedNetwork:
    """Widths of 2 to 7 bits, a residual sum, and no map that is moved: an accelerator takes it."""
    rng = np.random.default_rng(1)
    model = Onnx((1, 3, 8, 8))
    source = model.quant("input", 0.25, 5, signed=True)
    kernels = [model.quant(model.constant(rng.normal(size=(6, depth, 3, 3))), 0.25, 3, signed=True) for depth in (3, 6)]
    first = model.quant(model.node("Relu", model.node("Conv", source, kernels[0], pads=[1, 1, 1, 1])), 0.5, 5)
    second = model.quant(model.node("Relu", model.node("Conv", first, kernels[1], pads=[1, 1, 1, 1])), 0.5, 6)
    added = model.quant(model.node("Relu", model.node("Add", first, second)), 1.0, 4)
    means = model.quant(model.node("GlobalAveragePool", added), 0.5, 5)
    matrix = model.quant(model.constant(rng.normal(size=(6, 10))), 0.25, 2, signed=True)
    logits = model.quant(model.node("MatMul", model.node("Flatten", means), matrix), 0.5, 7, signed=True)
    return imported(model.save(tmp_path_factory.mktemp("onnx") / "residual.onnx", logits))


@pytest.fixture(scope="module")
def flattened(tmp_path_factory: pytest.TempPathFactory) -> ImportedNetwork:
    """A map of 4 x 4 that is flattened before its fully connected layer."""
    rng = np.random.default_rng(2)
    model = Onnx((1, 3, 8, 8))
    source = model.quant("input", 0.25, 5, signed=True)
    kernels = model.quant(model.constant(rng.normal(size=(6, 3, 3, 3))), 0.25, 3, signed=True)
    convolved = model.quant(model.node("Relu", model.node("Conv", source, kernels, pads=[1, 1, 1, 1])), 0.5, 5)
    pooled = model.node("MaxPool", convolved, kernel_shape=[2, 2], strides=[2, 2])
    matrix = model.quant(model.constant(rng.normal(size=(96, 10))), 0.25, 4, signed=True)
    logits = model.quant(model.node("MatMul", model.node("Flatten", pooled), matrix), 0.5, 7, signed=True)
    return imported(model.save(tmp_path_factory.mktemp("onnx") / "flattened.onnx", logits))


@pytest.mark.parametrize("machine", ["lr", "lr-streamed", "ir"])
def test_own_widths_on_fabrics(machine: str, residual: ImportedNetwork, flattened: ImportedNetwork) -> None:
    cost = own(residual, machine)
    assert (cost.bits, cost.macs) == ("own", residual.macs)
    assert [(layer.name, layer.activation_bits, layer.weight_bits) for layer in cost.layers] == [
        ("conv1", 5, 3), ("conv2", 5, 3), ("add1", 5, None), ("avgpool1", 4, None), ("fc1", 5, 2),
    ]  # fmt: skip
    cost = own(flattened, machine)
    assert [layer.name for layer in cost.layers] == ["conv1", "maxpool1", "fc1"]  # the reshape moves nothing
    assert [layer.macs for layer in cost.layers] == [3 * 9 * 6 * 64, 0, 960]


def test_other_widths_are_refused(residual: ImportedNetwork) -> None:
    text = r"^network residual: map 'quant_4' must have 8 bits before widths change, has 5$"
    for machine in ("lr", "cap", "mesh1x1"):
        with pytest.raises(UserError, match=text):
            evaluate(residual, Widths(uniform=8), load_machine(machine))


def test_a_tile_takes_the_cycles_of_a_run(residual: ImportedNetwork, flattened: ImportedNetwork) -> None:
    for network in (residual, flattened):
        blank = np.zeros(network.graph.maps[network.graph.input].shape, np.int64)
        counted = run_graph(network.graph, [blank], LawEngine(CONFIGS["cap"]))
        assert {layer.name: layer.total for layer in own(network, "cap").layers} == {
            layer.plan.shape.name: layer.cycles for layer in counted.layers
        }


def test_an_accelerator_takes_the_cycles_of_a_run(residual: ImportedNetwork) -> None:
    values = np.random.default_rng(3).integers(0, 32, residual.graph.maps[residual.graph.input].shape)
    (result, _) = run_inputs(residual.graph, ACCELERATORS["mesh1x1"], [values], "golden")
    assert np.array_equal(result.outputs[0], operators.run(residual.graph, values)[residual.graph.output])
    assert all(layer.bit_exact is not False for layer in result.layers)
    assert own(residual, "mesh1x1").total == sum(phase.cycles[0] for phase in result.accelerator.phases)


def test_an_accelerator_does_not_flatten_maps(flattened: ImportedNetwork) -> None:
    text = (
        r"^layer 'reshape1' must leave numbers where they are on an accelerator; it makes \(1, 1, 96\) of \(4, 4, 6\)"
    )
    with pytest.raises(MappingError, match=text):
        own(flattened, "mesh1x1")
