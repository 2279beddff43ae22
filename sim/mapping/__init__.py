"""From a layer to programs: shapes, columns, the schedule of dot products, requantisation, pooling, elements."""

from __future__ import annotations

from sim.mapping.errors import MappingError
from sim.mapping.plan import LayerPlan, plan_layer
from sim.mapping.shapes import LayerShape, layer_shape, shape_from_dict

__all__ = ["LayerPlan", "LayerShape", "MappingError", "layer_shape", "plan_layer", "shape_from_dict"]
