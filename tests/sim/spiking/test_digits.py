"""Digits: parts of the data set that share nothing, the packaged ones, and what the packaged networks make of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden.spiking import run
from sim.errors import UserError
from sim.spiking.digits import (
    RESOLUTIONS,
    Digits,
    accuracy,
    classify,
    digits_network,
    load_digits,
    packaged_digits,
    save_digits,
    split,
)
from sim.spiking.events import picture_events
from sim.spiking.mapped import run_mapped
from sim.spiking.stationarity import KEPT, Kept

LEAST = 0.93


@pytest.fixture(scope="module")
def digits() -> Digits:
    return packaged_digits()


def some(digits: Digits, every: int) -> Digits:
    """Every so many digits, which are of all classes."""
    return Digits(pictures=digits.pictures[::every], labels=digits.labels[::every], positions=digits.positions[::every])


def test_the_split_is_disjoint_and_whole() -> None:
    labels = np.repeat(np.arange(10), 500)
    parts = split(labels)
    assert {part: len(positions) for part, positions in parts.items()} == {
        "training": 3500, "validation": 500, "test": 1000
    }  # fmt: skip
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(5000))
    for positions in parts.values():
        assert len(set(np.bincount(labels[positions]).tolist())) == 1
        assert (np.diff(positions) > 0).all()


def test_the_split_goes_by_the_place_in_the_class() -> None:
    labels = np.array([1, 0] * 10)
    parts = split(labels)
    assert parts["validation"].tolist() == [14, 15]
    assert parts["test"].tolist() == [16, 17, 18, 19]


def test_the_packaged_digits_are_the_test_digits(digits: Digits) -> None:
    assert digits.pictures.shape == (1000, 28, 28)
    assert np.array_equal(digits.positions, split(np.repeat(np.arange(10), 500))["test"])
    assert np.array_equal(digits.labels, digits.positions // 500)
    assert len(np.unique(digits.pictures.reshape(1000, -1), axis=0)) == 1000


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_accuracy_on_some_digits(resolution: str, digits: Digits) -> None:
    assert accuracy(digits_network(resolution), some(digits, 10)) >= LEAST


@pytest.mark.slow
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_accuracy_on_all_digits(resolution: str, digits: Digits) -> None:
    assert accuracy(digits_network(resolution), digits) >= LEAST


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_widths_are_those_of_the_name(resolution: str) -> None:
    network = digits_network(resolution)
    widths = {f"{layer.weight_bits}x{layer.potential_bits}" for layer in network.layers}
    assert widths == {resolution}
    assert network.layers[0].synapses.input_shape == (28, 28, 2)
    assert network.layers[-1].synapses.neurons == 10


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_no_potential_overflows(resolution: str, digits: Digits) -> None:
    """So that all overflow policies and orders of events agree."""
    network = digits_network(resolution)
    saturating = [replace(layer, overflow="saturate") for layer in network.layers]
    for events in picture_events(some(digits, 10).pictures, network.saccade):
        wrapped, saturated = run(network.layers, events), run(saturating, events)
        for left, right in zip(
            wrapped.spikes + wrapped.potentials, saturated.spikes + saturated.potentials, strict=True
        ):
            assert np.array_equal(left, right)


def test_mappings_of_the_packaged_network_agree(digits: Digits) -> None:
    network = digits_network(RESOLUTIONS[0])
    (events,) = picture_events(digits.pictures[:1], network.saccade)
    wanted = run(network.layers, events)
    mappings: list[tuple[Kept, ...]] = [KEPT[1:2] * 4, KEPT[2:3] * 4, ("weights", "both", "nothing", "potentials")]
    for kept in mappings:
        found = run_mapped(network.layers, kept, events)
        assert all(np.array_equal(left, right) for left, right in zip(found.spikes, wanted.spikes, strict=True))
        assert found.operations == tuple(int(one.sum()) for one in wanted.operations)
        assert network.class_of(found.potentials[-1]) == network.class_of(wanted.potentials[-1])


def test_classes_are_those_of_single_digits(digits: Digits) -> None:
    network = digits_network(RESOLUTIONS[1])
    pictures = digits.pictures[:1000:200]
    assert classify(network, pictures).tolist() == [int(classify(network, one[np.newaxis])[0]) for one in pictures]


def test_digits_come_back_from_their_file(tmp_path: Path, digits: Digits) -> None:
    few = some(digits, 100)
    save_digits(few, tmp_path / "digits.npz")
    found = load_digits(tmp_path / "digits.npz")
    for field in ("pictures", "labels", "positions"):
        assert np.array_equal(getattr(found, field), getattr(few, field))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "digits.npz"
    with pytest.raises(UserError, match=f"^digits {path} does not exist$"):
        load_digits(path)
    path.write_bytes(b"words")
    with pytest.raises(UserError, match=f"^digits {path} are no digits of ours: "):
        load_digits(path)
    np.savez(path, pictures=np.zeros((2, 3, 3)), labels=[1, 2], positions=[0, 1])
    with pytest.raises(
        UserError, match=r"must be 8-bit pictures with a label and a position each, got float64 of shape \(2, 3, 3\), 2"
    ):
        load_digits(path)


def test_another_resolution_is_refused() -> None:
    with pytest.raises(UserError, match=r"^resolution must be one of 8x16, 4x10, got '2x4'$"):
        digits_network("2x4")
