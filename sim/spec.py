"""A network as shapes and widths: enough to evaluate the cycle laws, for somebody who never sees its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.graph import Graph
from hw.config import TileConfig
from sim.errors import UserError
from sim.mapping import LayerShape, layer_shape, plan_layer, shape_from_dict
from sim.mapping.plan import MODES

__all__ = ["SPEC_MODES", "SPEC_SCHEMA", "evaluate", "layers_from_spec", "network_spec"]

SPEC_SCHEMA = 1
"""Version of the specification; raised when a field changes its meaning or goes away."""

SPEC_MODES = ("count", "lut", "auto")
"""Modes whose law depends on shapes only, and the choice among them."""


def network_spec(graph: Graph) -> dict[str, Any]:
    """Name and layer shapes of a network as plain JSON values."""
    layers = [layer_shape(layer, graph).as_dict() for layer in graph.layers]
    return {"schema": SPEC_SCHEMA, "name": graph.name, "layers": layers}


def layers_from_spec(spec: Mapping[str, Any]) -> tuple[LayerShape, ...]:
    """The layer shapes of :func:`network_spec`, after a way through JSON.

    Raises
    ------
    UserError
        If the schema is another one or a layer is not one of ours.
    """
    if spec.get("schema") != SPEC_SCHEMA:
        raise UserError(f"schema of a network specification must be {SPEC_SCHEMA}, not {spec.get('schema')!r}")
    try:
        return tuple(shape_from_dict(layer) for layer in spec["layers"])
    except (KeyError, ValueError) as error:
        raise UserError(f"network specification does not fit: {error}") from error


def evaluate(spec: Mapping[str, Any], config: TileConfig, mode: str = MODES[0]) -> dict[str, dict[str, int]]:
    """Counters of every layer, by name, as the laws give them; empty for a layer without programs.

    ``mode`` is how dot products are formed: ``count``, ``lut``, or ``auto`` for the faster of these two; the law of
    ``constant`` needs weights, which a specification does not hold.

    Raises
    ------
    MappingError
        If a layer does not fit the tile.
    UserError
        If the mode is another one.
    """
    if mode not in SPEC_MODES:
        raise UserError(
            f"mode must be one of {', '.join(SPEC_MODES)} for a network specification, which holds no weights, not "
            f"{mode!r}"
        )
    return {shape.name: plan_layer(shape, config, mode=mode).law for shape in layers_from_spec(spec)}
