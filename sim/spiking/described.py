"""Spiking networks of which only the shapes are known, as JSON files: for the formulas of stationarity and energy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.spiking import MAXIMUM_BITS
from golden.synapses import SpikingError, Synapses
from sim.errors import UserError, one_line
from sim.files import read_input
from sim.models import data_file
from sim.spiking.stationarity import Demand, expected_demand

__all__ = ["GESTURE_LIKE", "DescribedNetwork", "load_described"]

GESTURE_LIKE = "spiking/gesture_like.json"
"""A network like FlexSpIM's for gestures, in the package's data."""


@dataclass(frozen=True, kw_only=True)
class DescribedNetwork:
    """Shapes, widths and how many events there are.

    Parameters
    ----------
    name : that reports print.
    note : where the shapes are from.
    weight_bits, potential_bits : of all layers, 1..32.
    density : part of the inputs of each layer that have an event in a timestep, 0..1.
    layers : their shapes; each takes what the one before gives.
    """

    name: str
    note: str
    weight_bits: int
    potential_bits: int
    density: float
    layers: tuple[Synapses, ...]

    def demands(self) -> tuple[Demand, ...]:
        """Return the mean demand of each layer."""
        return tuple(
            expected_demand(layer, self.weight_bits, self.potential_bits, self.density) for layer in self.layers
        )


def load_described(source: str | Path | None = None) -> DescribedNetwork:
    """Return the network of a JSON file, :data:`GESTURE_LIKE` by default.

    Raises
    ------
    UserError
        If the file is of another kind, or its layers cannot be or do not fit together.
    """
    path = data_file(GESTURE_LIKE) if source is None else Path(source)
    content = read_input(path, "spiking network")
    try:
        found: dict[str, Any] = json.loads(content)
        found["layers"] = tuple(Synapses(**_tuples(layer)) for layer in found["layers"])
        network = DescribedNetwork(**found)
    except SpikingError as error:
        raise UserError(f"spiking network {path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"spiking network {path} is no description of ours: {one_line(error)}") from error
    for what, bits in (("weight", network.weight_bits), ("potential", network.potential_bits)):
        if not 1 <= bits <= MAXIMUM_BITS:
            raise UserError(f"spiking network {path}: {what} bits must be 1..{MAXIMUM_BITS}, got {bits}")
    if not 0 <= network.density <= 1:
        raise UserError(f"spiking network {path}: density must be 0..1, got {network.density}")
    for before, layer in zip(network.layers, network.layers[1:], strict=False):
        if before.output_shape != layer.input_shape:
            raise UserError(
                f"spiking network {path}: layer {layer.name!r} must take what {before.name!r} gives, "
                f"{before.output_shape}, got {layer.input_shape}"
            )
    return network


def _tuples(layer: dict[str, Any]) -> dict[str, Any]:
    """Fields with tuples in place of JSON's lists."""
    return {field: tuple(value) if isinstance(value, list) else value for field, value in layer.items()}
