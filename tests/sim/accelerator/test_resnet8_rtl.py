"""ResNet-8 on the generated Verilog of accelerators: logits, cycles phase by phase, states, links, host traffic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from golden import operators
from golden.accelerator.timing import law
from golden.graph import Conv, Graph, Integers
from hw.accelerator.commands import Write
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import Unit
from sim.accelerator.network import AcceleratorNetwork
from sim.accelerator.rtl_engine import RtlAccelerator
from sim.evaluate.evaluate import evaluate
from sim.evaluate.widths import Widths
from sim.models import MODELS, data_file, load_model
from sim.networks.load import load_network
from sim.pictures import load_inputs
from tests.sim.accelerator.counted import assert_law
from tests.tflite_models import reference_tensors

MODEL = data_file(MODELS["resnet8"])
MESH = ACCELERATORS["mesh2x2"]
SEED = 11


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlAccelerator]:
    with RtlAccelerator(MESH, seed=SEED) as engine:
        yield engine


def picture(graph: Graph, name: str) -> Integers:
    """Stored numbers of a packaged picture."""
    source = graph.maps[graph.input]
    return load_inputs([data_file(f"cifar10/{name}.png")], source)[0].values.astype(np.int64) - source.minimum


def cycles_of_groups(network: AcceleratorNetwork, goes: list[int], cycles: int) -> list[int]:
    """Counted cycles of layers that phases work on together; what comes before the first go belongs to the first."""
    spent: dict[str, int] = {}
    names = [network.marks[0].layers[0], *(mark.layers[0] for mark in network.marks)]
    for name, (first, last) in zip(names, itertools.pairwise([0, *goes, cycles]), strict=True):
        spent[name] = spent.get(name, 0) + last - first
    return list(spent.values())


@pytest.mark.slow
def test_logits_cycles_and_traffic(graph: Graph, engine: RtlAccelerator) -> None:
    network = AcceleratorNetwork(graph, MESH)
    expected = law(network.commands(np.zeros(graph.maps[graph.input].shape, np.int64)), MESH)
    for name, label in (("cifar10_00_3", 3), ("cifar10_02_8", 8)):
        values = picture(graph, name)
        outcome = engine.run(network.commands(values))
        output = network.result(outcome.words)
        logits = reference_tensors(MODEL.read_bytes(), (values - 128).astype(np.int8)[None])[graph.output]
        assert np.array_equal(output.reshape(-1) - 128, logits.reshape(-1))
        assert int(np.argmax(output)) == label
        assert_law(outcome, expected, MESH)
        cost = evaluate(load_network("resnet8"), Widths(), MESH)
        assert cost.total == outcome.cycles
        assert [layer.total for layer in cost.layers] == cycles_of_groups(network, outcome.goes, outcome.cycles)
        words = network.words
        assert outcome.registers["WORDS_IN"] == sum(count for kind, count in words.items() if kind != "result")
        assert outcome.registers["WORDS_OUT"] == words["result"] == len(outcome.words)
        assert (outcome.registers["WAITING_IN"], outcome.registers["WAITING_OUT"]) == (0, 0)


def test_host_writes_input_weights_and_programs_alone(graph: Graph) -> None:
    """What goes into gather memories is the input; each of its words, and each weight, is sent once."""
    network = AcceleratorNetwork(graph, MESH)
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    values = rng.integers(0, 256, graph.maps[graph.input].shape)
    writes = [one for one in network.commands(values) if isinstance(one, Write)]
    into_maps = [one for one in writes if one.unit == Unit.GATHER_MEMORY]
    assert sum(len(one.payload) for one in into_maps) == network.words["input"]
    # Channels are filled up to whole groups of lanes.
    height, width, channels = values.shape
    filled = -(-channels // MESH.lanes) * MESH.lanes
    assert network.words["input"] * MESH.flit_bits == height * width * filled * 8
    weights = sum(layer.weights.size * layer.weight_bits for layer in graph.layers if isinstance(layer, Conv))
    # Taps are filled up to whole tap tiles; nothing is sent twice.
    assert weights <= network.words["weights"] * MESH.flit_bits <= 1.05 * weights
    kinds = {"input", "weights", "constants", "programs", "registers", "commands", "result"}
    assert set(network.words) == kinds


def test_host_only_moves_bits(graph: Graph) -> None:
    """Commands for two inputs differ in the words of the input alone, which hold its bits, each of them once."""
    network = AcceleratorNetwork(graph, MESH)
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    blank, one = np.zeros(graph.maps[graph.input].shape, np.int64), rng.integers(0, 256, graph.maps[graph.input].shape)
    ones = 0
    for empty, full in zip(network.commands(blank), network.commands(one), strict=True):
        if isinstance(full, Write) and full.unit == Unit.GATHER_MEMORY:
            assert isinstance(empty, Write)
            assert not any(empty.payload)
            ones += sum(word.bit_count() for word in full.payload)
        else:
            assert empty == full
    assert ones == sum(int(number).bit_count() for number in one.reshape(-1))
    # A result is made of the bits of the words, wherever they are.
    words = [int(word) for word in rng.integers(0, 1 << 63, network.words["result"])]
    stored = network.result(words)
    alone = [network.result([word if place == kept else 0 for place, word in enumerate(words)]) for kept in range(3)]
    assert np.all(np.bitwise_and(alone[0], alone[1]) == 0)
    assert all(np.array_equal(np.bitwise_and(part, stored), part) for part in alone)


def test_law_does_not_depend_on_weights(graph: Graph) -> None:
    """Shapes and constants of requantisation stay; weights and biases are gone."""
    layers = tuple(
        replace(
            layer,
            weights=np.zeros_like(layer.weights),
            rescale=replace(layer.rescale, bias=np.zeros_like(layer.rescale.bias)),
        )
        if isinstance(layer, Conv)
        else layer
        for layer in graph.layers
    )
    blank = np.zeros(graph.maps[graph.input].shape, np.int64)
    laws = [law(AcceleratorNetwork(one, MESH).commands(blank), MESH) for one in (graph, replace(graph, layers=layers))]
    assert laws[0].goes == laws[1].goes
    assert laws[0].end == laws[1].end


@pytest.mark.slow
def test_random_pauses_of_the_host_change_no_result(graph: Graph, engine: RtlAccelerator) -> None:
    network = AcceleratorNetwork(graph, MESH)
    values = picture(graph, "cifar10_04_6")
    engine.stall_probability = 0.2
    try:
        outcome = engine.run(network.commands(values))
    finally:
        engine.stall_probability = 0.0
    assert np.array_equal(network.result(outcome.words), operators.run(graph, values)[graph.output])
    assert outcome.cycles >= law(network.commands(values), MESH).end
    assert outcome.registers["WAITING_IN"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mesh1x1", "mesh1x2", "mesh2x2-1to1", "mesh4x4"])
def test_other_meshes(graph: Graph, name: str) -> None:
    config = ACCELERATORS[name]
    network = AcceleratorNetwork(graph, config)
    values = picture(graph, "cifar10_00_3")
    commands = network.commands(values)
    with RtlAccelerator(config, seed=SEED) as engine:
        outcome = engine.run(commands)
    assert np.array_equal(network.result(outcome.words), operators.run(graph, values)[graph.output])
    assert_law(outcome, law(commands, config), config)
