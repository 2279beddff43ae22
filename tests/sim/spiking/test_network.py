"""Spiking networks come back from their files as they were; other files are refused."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.synapses import Synapses
from sim.errors import UserError
from sim.spiking.network import SpikingNetwork, load, save
from tests.sim.spiking.made_networks import random_network


@pytest.mark.parametrize("seed", range(8))
def test_a_file_keeps_the_network(seed: int, tmp_path: Path) -> None:
    network = random_network(seed)
    save(network, tmp_path / "network.npz")
    found = load(tmp_path / "network.npz")
    assert (found.name, found.saccade) == (network.name, network.saccade)
    for wanted, layer in zip(network.layers, found.layers, strict=True):
        for field in dataclasses.fields(wanted):
            assert np.array_equal(getattr(layer, field.name), getattr(wanted, field.name)), field.name


def test_the_same_network_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        save(random_network(1), tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_class_is_the_first_of_the_largest() -> None:
    network = random_network(1)
    assert network.class_of(np.array([[[-3, 5, 5, 0]]])) == 1


def test_layers_that_do_not_fit_are_refused() -> None:
    first, second, third = random_network(1).layers
    saccade = random_network(1).saccade

    def refused(text: str, *layers: Any) -> None:
        with pytest.raises(UserError) as error:
            SpikingNetwork(name="made", layers=layers, saccade=saccade)
        assert str(error.value) == text

    refused("network 'made' must have at least one layer")
    refused(
        "layer 'fc': the input's shape must be that of the output of 'conv1', (3, 4, 3), got (1, 3, 4)", first, third
    )
    refused("layer 'conv1': only the last layer may be without threshold", replace(first, threshold=None), second)
    same = replace(third, synapses=Synapses.fully_connected("conv2", (1, 3, 4), 5))
    refused("network 'made': layers must have different names, got conv1, conv2, conv2", first, second, same)


def without_weights(file: dict[str, Any]) -> None:
    del file["weights.1"]


def another_format(file: dict[str, Any]) -> None:
    file["description"]["format"] = 2


def another_field(file: dict[str, Any]) -> None:
    file["description"]["layers"][0]["bias"] = 1


def narrower(file: dict[str, Any]) -> None:
    file["description"]["layers"][0]["weight_bits"] = 1


def floats(file: dict[str, Any]) -> None:
    file["weights.0"] = file["weights.0"] / 2


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (without_weights, "FILE is no network of ours: .*weights.1.*"),
        (another_format, "FILE must be of format 1, got 2"),
        (another_field, "FILE is no network of ours: a layer has the fields bias, channels, .*"),
        (narrower, r"FILE: layer 'conv1': weights must be -1\.\.0 with 1 bits, got .*"),
        (floats, "FILE: layer 'conv1': weights must be whole numbers, got float64"),
    ],
)
def test_damaged_files_are_refused(change: Callable[[dict[str, Any]], None], text: str, tmp_path: Path) -> None:
    path = tmp_path / "network.npz"
    save(random_network(1), path)
    with np.load(path) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    arrays["description"] = json.loads(str(arrays["description"]))
    change(arrays)
    arrays["description"] = np.array(json.dumps(arrays["description"]))
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.write_bytes(content.getvalue())
    with pytest.raises(UserError) as refused:
        load(path)
    assert re.fullmatch("spiking network " + text.replace("FILE", re.escape(str(path))), str(refused.value))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.npz"
    with pytest.raises(UserError, match=f"^spiking network {path} does not exist$"):
        load(path)
    for content in (b"", b"words", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"^spiking network {path} is no network of ours: "):
            load(path)
