"""A spiking network with its weights, and the NPZ file that it is kept in.

The file holds ``description``, a JSON text with everything but the weights, and an array ``weights.N`` for layer N.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.spiking import SpikingLayer
from golden.synapses import SpikingError, Synapses
from sim.errors import UserError, one_line
from sim.files import read_input, write_output
from sim.spiking.events import Saccade

__all__ = ["FORMAT", "SpikingNetwork", "load", "save"]

FORMAT = 1
"""Version of the file."""

SYNAPSE_FIELDS = ("name", "input_shape", "channels", "kernel", "stride", "padding")
NEURON_FIELDS = ("weight_bits", "potential_bits", "threshold", "reset", "leak", "overflow")


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingNetwork:
    """A chain of spiking layers, the last of which may be without threshold.

    Parameters
    ----------
    name : that reports print.
    layers : at least one; each takes what the one before gives.
    saccade : how pictures become events.

    Raises
    ------
    UserError
        If layers do not fit together.
    """

    name: str
    layers: tuple[SpikingLayer, ...]
    saccade: Saccade

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError(f"network {self.name!r} must have at least one layer")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise UserError(f"network {self.name!r}: layers must have different names, got {', '.join(names)}")
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            if before.synapses.output_shape != layer.synapses.input_shape:
                raise UserError(
                    f"layer {layer.name!r}: the input's shape must be that of the output of {before.name!r}, "
                    f"{before.synapses.output_shape}, got {layer.synapses.input_shape}"
                )
            if before.threshold is None:
                raise UserError(f"layer {before.name!r}: only the last layer may be without threshold")

    def class_of(self, potentials: NDArray[np.int64]) -> int:
        """Return the class of the last layer's potentials: the largest, the first of equals."""
        return int(np.argmax(potentials.ravel()))


def save(network: SpikingNetwork, target: str | Path) -> None:
    """Write *network* to an ``.npz`` file; raises :class:`UserError` where that fails."""
    description = {
        "format": FORMAT,
        "name": network.name,
        "saccade": dataclasses.asdict(network.saccade),
        "layers": [
            {field: getattr(layer.synapses, field) for field in SYNAPSE_FIELDS}
            | {field: getattr(layer, field) for field in NEURON_FIELDS}
            for layer in network.layers
        ],
    }
    arrays: dict[str, Any] = {
        f"weights.{number}": layer.weights.astype(np.min_scalar_type(-1 << (layer.weight_bits - 1)))
        for number, layer in enumerate(network.layers)
    }
    content = io.BytesIO()
    arrays["description"] = np.array(json.dumps(description))
    np.savez_compressed(content, **arrays)
    write_output(str(target), content.getvalue(), "spiking network")


def load(source: str | Path) -> SpikingNetwork:
    """Return the network that :func:`save` wrote.

    Raises
    ------
    UserError
        If the file cannot be read, is of another kind, or its layers cannot be.
    """
    content = read_input(source, "spiking network")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            description: dict[str, Any] = json.loads(str(file["description"]))
            if description["format"] != FORMAT:
                raise UserError(f"spiking network {source} must be of format {FORMAT}, got {description['format']!r}")
            return SpikingNetwork(
                name=str(description["name"]),
                layers=tuple(
                    _layer(entry, file[f"weights.{number}"]) for number, entry in enumerate(description["layers"])
                ),
                saccade=Saccade(**description["saccade"]),
            )
    except SpikingError as error:
        raise UserError(f"spiking network {source}: {error}") from error
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"spiking network {source} is no network of ours: {one_line(error)}") from error


def _layer(entry: dict[str, Any], weights: NDArray[Any]) -> SpikingLayer:
    """A layer as the file describes it."""
    if set(entry) != {*SYNAPSE_FIELDS, *NEURON_FIELDS}:
        raise ValueError(f"a layer has the fields {', '.join(sorted(entry))}")
    height, width, channels = entry["input_shape"]
    pairs = {field: (int(entry[field][0]), int(entry[field][1])) for field in ("kernel", "stride", "padding")}
    if not np.issubdtype(weights.dtype, np.integer):
        raise SpikingError(f"layer {entry['name']!r}: weights must be whole numbers, got {weights.dtype}")
    return SpikingLayer(
        synapses=Synapses(
            name=str(entry["name"]),
            input_shape=(int(height), int(width), int(channels)),
            channels=int(entry["channels"]),
            **pairs,
        ),
        weights=weights.astype(np.int64),
        **{field: entry[field] for field in NEURON_FIELDS},
    )
