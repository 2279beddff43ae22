"""The laws of a network's layers, from their shapes alone; kept, as they take as long as mapping the layers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from hw.config import TileConfig
from hw.counter_map import total_cycles
from sim.kept import kept
from sim.mapping.plan import LayerPlan, plan_layer
from sim.mapping.shapes import LayerShape

__all__ = ["LayerLaw", "kept_laws", "laws_of_shapes"]


class LayerLaw(NamedTuple):
    """What the laws say of one layer."""

    counters: dict[str, int]
    job_cycles: list[int]

    @classmethod
    def of(cls, plan: LayerPlan) -> LayerLaw:
        """The law of a layer that is mapped."""
        return cls(plan.law, [total_cycles(job.routine.law) for job in plan.jobs])


def laws_of_shapes(shapes: Sequence[LayerShape], modes: Sequence[str], config: TileConfig) -> list[LayerLaw]:
    """What the laws say of layers, without their weights.

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
    return [LayerLaw.of(plan_layer(shape, config, mode=mode)) for shape, mode in zip(shapes, modes, strict=True)]


def kept_laws(shapes: Sequence[LayerShape], modes: Sequence[str], config: TileConfig) -> list[LayerLaw]:
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
    return kept("laws", source, lambda: laws_of_shapes(shapes, modes, config), _encoded, _decoded)


def _encoded(laws: list[LayerLaw]) -> bytes:
    return json.dumps(laws).encode()


def _decoded(content: bytes) -> list[LayerLaw]:
    return [LayerLaw(*law) for law in json.loads(content)]
