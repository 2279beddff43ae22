"""Channels whose scales lie too far apart: the layer is split, and still equals the reference kernels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from golden import operators
from golden.graph import Conv, Graph, Reorder
from golden.tile import GoldenTile
from hw.config import CONFIGS
from sim.host import run_graph
from sim.importers import split, tflite
from tests.tflite_models import Int8, RandomLayers, reference_tensors

NARROW = 18  # bits of a multiplier that ordinary random layers exceed


def one_layer(kind: str, seed: int) -> tuple[Graph, bytes, Int8]:
    layers = RandomLayers(seed)
    shape = (1, 1, 1, 9) if kind == "fully_connected" else (1, 5, 4, 4)
    source = layers.activation_tensor(shape)
    if kind == "fully_connected":
        target = layers.fully_connected(layers.reshape(source, (1, 9)))
    else:
        target = layers.convolution(source, depthwise=kind == "depthwise")
    model = layers.model.finish([source], [target])
    values = np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)
    return tflite.parse(model, "far"), model, values


def kinds(graph: Graph) -> Counter[str]:
    return Counter(layer.op for layer in graph.layers if isinstance(layer, Conv | Reorder))


@pytest.mark.parametrize("kind", ["conv", "depthwise", "fully_connected"])
def test_split_layers_equal_the_reference(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MAXIMUM_MULTIPLIER", NARROW)
    splits = 0
    for seed in range(8):
        print(f"seed {seed}")
        graph, model, values = one_layer(kind, seed)
        parts = [layer for layer in graph.layers if isinstance(layer, Conv)]
        splits += len(parts) > 1
        for part in parts:
            assert part.rescale.multiplier_bits <= NARROW or part.weights.shape[0] == 1
        stored = values[0].astype(np.int64) + 128
        wanted = reference_tensors(model, values)[graph.output].astype(np.int64) + 128
        assert np.array_equal(operators.run(graph, stored)[graph.output].reshape(-1), wanted.reshape(-1))
        result = run_graph(graph, [stored], GoldenTile(CONFIGS["small"], seed))
        assert all(layer.bit_exact for layer in result.layers)
        assert result.cycles == result.law_cycles
    assert splits > 0 or kind == "fully_connected"  # whose generated layers have one scale


def test_a_split_layer_is_joined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = one_layer("depthwise", 1)
    monkeypatch.setattr(split, "MAXIMUM_MULTIPLIER", NARROW)
    parts, _, _ = one_layer("depthwise", 1)
    assert kinds(whole) == Counter(depthwise_conv2d=1)
    count = kinds(parts)["depthwise_conv2d"]
    assert count > 1
    assert kinds(parts) == Counter(depthwise_conv2d=count, select=count, concatenate=1)
    assert parts.maps[parts.output] == whole.maps[whole.output]
