"""Networks with random weights: deterministic, exercised over their whole range, and of the evaluator's shapes."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from golden import operators
from golden.graph import Conv, Graph, Integers
from golden.tile import GoldenTile
from hw.config import CONFIGS
from hw.counter_map import total_cycles
from sim.errors import UserError
from sim.evaluate.widths import Widths, parse_widths
from sim.host import Network, run_graph
from sim.mapping import layer_shape, plan_layer
from sim.mapping.shapes import ElementwiseShape
from sim.models import PICTURE, data_file, load_described
from sim.networks.description import (
    Addition,
    AveragePooling,
    Convolution,
    DescribedNetwork,
    Flattening,
    MaxPooling,
    Quantisation,
)
from sim.networks.named import NETWORKS
from sim.networks.weights import PRODUCTS, weighted_graph
from sim.pictures import stored_pixels

CASES = [
    ("resnet18", "hawq-v3/low"),
    pytest.param("resnet18", "8", marks=pytest.mark.slow),
    pytest.param("alexnet", "4", marks=pytest.mark.slow),
    pytest.param("resnet50", "4", marks=pytest.mark.slow),
]

SMALL = DescribedNetwork(
    "small",
    (12, 12, 3),
    (
        Convolution("conv1", ("input",), (3, 3), (1, 1), (1, 1), channels=8),
        MaxPooling("maxpool", ("conv1",), (3, 3), (2, 2), (1, 1)),
        Quantisation("quantize", ("maxpool",)),
        Convolution("conv2", ("quantize",), (3, 3), (1, 1), (1, 1), channels=8),
        Convolution("conv3", ("conv2",), (3, 3), (1, 1), (1, 1), channels=8, relu=False),
        Addition("add", ("maxpool", "conv3")),
        AveragePooling("avgpool", ("add",)),
        Flattening("flatten", ("avgpool",)),
        Convolution("fc", ("flatten",), channels=10, relu=False, op="fully_connected"),
    ),
)


@cache
def described(name: str, bits: str) -> Graph:
    return load_described(name, bits)


def hopper() -> NDArray[np.uint8]:
    return np.asarray(Image.open(data_file(PICTURE)).convert("RGB"))


def stored(graph: Graph, pixels: NDArray[np.uint8]) -> Integers:
    return stored_pixels(pixels, graph.maps[graph.input].bits)


def small(widths: Widths) -> Graph:
    return weighted_graph(SMALL, widths, hopper()[::19, ::19])


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_maps_neither_saturate_nor_vanish(name: str, bits: str) -> None:
    graph = described(name, bits)
    for map_name, values in operators.run(graph, stored(graph, hopper())).items():
        target = graph.maps[map_name]
        nothing = float(np.mean(values == target.zero))
        ends = [(1 << target.bits) - 1, *([0] if target.zero else [])]
        saturated = float(np.mean(np.isin(values, ends)))
        assert nothing <= 0.65, (map_name, nothing)
        assert saturated <= 0.21, (map_name, saturated)
        pooled = "pool" in map_name or map_name in ("flatten", "stage1.unit1.quantize", "input")
        assert pooled or saturated <= 0.08, (map_name, saturated)


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_shapes_are_the_evaluators(name: str, bits: str) -> None:
    graph = described(name, bits)
    network = NETWORKS[name]()
    for layer, wanted in zip(graph.layers, network.shapes(parse_widths(bits, network)), strict=True):
        shape = layer_shape(layer, graph)
        if isinstance(shape, ElementwiseShape) and isinstance(wanted, ElementwiseShape):
            assert 0 <= wanted.sum_bits - shape.sum_bits <= 2
            assert 0 <= wanted.constant_bits - shape.constant_bits <= 2
            shape = dataclasses.replace(shape, sum_bits=wanted.sum_bits, constant_bits=wanted.constant_bits)
        assert shape == wanted


def test_weights_are_of_their_whole_range() -> None:
    graph = described("resnet18", "hawq-v3/low")
    for layer in graph.layers:
        if isinstance(layer, Conv):
            limit = 1 << (layer.weight_bits - 1)
            assert np.array_equal(np.unique(layer.weights), np.arange(-limit, limit)), layer.name
            assert abs(layer.weights.mean()) < limit / 16
            products = layer.weights[0].size
            left = np.count_nonzero(layer.weights) / layer.weights.size * products
            assert left <= PRODUCTS * 1.01
            assert left >= min(products, PRODUCTS) * (1 - 2 / (2 * limit)) * 0.99


def test_weights_are_always_the_same() -> None:
    graph = small(Widths(uniform=4))
    text = hashlib.sha256()
    for layer in graph.layers:
        if isinstance(layer, Conv):
            for numbers in (layer.weights, layer.rescale.bias, layer.rescale.multiplier):
                text.update(numbers.astype("<i8").tobytes())
    assert text.hexdigest() == "77a21ca152599a34a40b5ef026143661cbd761d7f989fb399cf152938e87fbb8"


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8, 11, 16])
@pytest.mark.parametrize("residual", [None, 16])
def test_small_networks_are_exact_on_the_tile(bits: int, residual: int | None) -> None:
    graph = small(Widths(uniform=bits, residual_bits=residual))
    result = run_graph(graph, [stored(graph, hopper()[::19, 5::19])], GoldenTile(CONFIGS["cap256"]))
    assert all(layer.bit_exact for layer in result.layers)
    assert result.cycles == result.law_cycles


def test_widths_must_be_those_of_the_network() -> None:
    with pytest.raises(UserError, match="no widths for layer 'conv2' and 2 more of network small, and no default"):
        small(Widths(layers={"conv1": (8, 8)}))
    with pytest.raises(UserError, match="hawq-v3 has widths for resnet18, resnet50, not for alexnet"):
        load_described("alexnet", "hawq-v3/low")


def test_cycles_that_the_how_to_page_states() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to.md").read_text(encoding="utf-8")
    found = re.search(r"takes ([\d,]+) cycles on `cap` by the first command above, and ([\d,]+) by", page)
    assert found is not None
    stated, evaluated = (int(figure.replace(",", "")) for figure in found.groups())
    network, tile = NETWORKS["resnet18"](), CONFIGS["cap"]
    shapes = network.shapes(parse_widths("hawq-v3/low", network))
    assert sum(plan_layer(shape, tile).law_cycles for shape in shapes) == evaluated
    graph = described("resnet18", "hawq-v3/low")
    assert sum(total_cycles(law) for law in Network(graph, tile).laws) == stated
