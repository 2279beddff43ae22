"""The laws of a network's layers, from their shapes alone; kept, as they take as long as mapping the layers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hw.config import TileConfig
from sim.kept import kept
from sim.mapping.plan import plan_layer
from sim.mapping.shapes import LayerShape

__all__ = ["Laws", "kept_laws", "laws_of_shapes"]

Laws = list[dict[str, int]]
"""Counters of layers by the laws, by name."""


def laws_of_shapes(shapes: Sequence[LayerShape], modes: Sequence[str], config: TileConfig) -> Laws:
    """Counters of layers by the laws, without their weights.

    Parameters
    ----------
    shapes : of the layers.
    modes : how each forms dot products, ``count`` or ``lut``.
    config : the tile.

    Raises
    ------
    MappingError
        If a layer does not fit the tile.
    """
    return [plan_layer(shape, config, mode=mode).law for shape, mode in zip(shapes, modes, strict=True)]


def kept_laws(shapes: Sequence[LayerShape], modes: Sequence[str], config: TileConfig) -> Laws:
    """The same as :func:`laws_of_shapes`, found in the cache if they were asked for before.

    Raises
    ------
    MappingError
        If a layer does not fit the tile.
    UserError
        If the cache cannot be written, or its limit is no size.
    """
    layers = [[shape.as_dict(), mode] for shape, mode in zip(shapes, modes, strict=True)]
    source = json.dumps([config.hash_text, layers])
    return kept("laws", source, lambda: laws_of_shapes(shapes, modes, config), _encoded, json.loads)


def _encoded(laws: Laws) -> bytes:
    return json.dumps(laws).encode()
