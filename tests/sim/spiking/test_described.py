"""Networks as shapes alone: the packaged one, and files that cannot be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.errors import UserError
from sim.models import data_file
from sim.spiking.described import GESTURE_LIKE, load_described


def test_the_packaged_network_is_like_the_published_one() -> None:
    """Six convolutions and three fully connected layers, 8-bit weights, 16-bit potentials, ten classes."""
    network = load_described()
    assert [layer.op for layer in network.layers] == ["conv2d"] * 6 + ["fully_connected"] * 3
    assert (network.weight_bits, network.potential_bits, network.layers[-1].neurons) == (8, 16, 10)
    demands = network.demands()
    assert demands[0].smaller == "weights"
    assert demands[-1].smaller == "potentials"
    assert all(0 < demand.operations <= layer.synapses for demand, layer in zip(demands, network.layers, strict=True))


def no_density(network: dict[str, Any]) -> None:
    del network["density"]


def too_dense(network: dict[str, Any]) -> None:
    network["density"] = 1.5


def too_wide(network: dict[str, Any]) -> None:
    network["potential_bits"] = 40


def another_shape(network: dict[str, Any]) -> None:
    network["layers"][1]["input_shape"] = [32, 32, 8]


def large_kernel(network: dict[str, Any]) -> None:
    network["layers"][8]["kernel"] = [2, 1]


def another_field(network: dict[str, Any]) -> None:
    network["layers"][0]["bias"] = 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (no_density, "FILE is no description of ours: .*'density'"),
        (too_dense, r"FILE: density must be 0\.\.1, got 1\.5"),
        (too_wide, r"FILE: potential bits must be 1\.\.32, got 40"),
        (another_shape, r"FILE: layer 'conv2' must take what 'conv1' gives, \(32, 32, 16\), got \(32, 32, 8\)"),
        (large_kernel, "FILE: layer 'fc3': kernel height must be at most that of the padded input, 1, got 2"),
        (another_field, "FILE is no description of ours: .*'bias'"),
    ],
)
def test_impossible_files_are_refused(change: Callable[[dict[str, Any]], None], text: str, tmp_path: Path) -> None:
    network = json.loads(data_file(GESTURE_LIKE).read_text(encoding="utf-8"))
    change(network)
    path = tmp_path / "network.json"
    path.write_text(json.dumps(network), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        load_described(path)
    assert re.fullmatch("spiking network " + text.replace("FILE", re.escape(str(path))), str(refused.value))


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=f"^spiking network {path} is no description of ours: "):
        load_described(path)
