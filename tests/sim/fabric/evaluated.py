"""What the evaluator asks of phases: the sums, shapes and counts for which it takes the time of programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from hw.fabric import FABRICS
from sim.evaluate.cost import LayerCost
from sim.evaluate.evaluate import FabricEvaluator, evaluator
from sim.evaluate.widths import Widths
from sim.fabric import layers
from sim.fabric.flatten import flattened
from sim.mapping.shapes import LayerShape
from sim.networks.load import load_network

FABRIC = FABRICS["lr"]
NETWORKS = ("alexnet", "vgg16", "resnet18", "resnet50")

Asked = Mapping[str, Any]
"""Arguments of a phase by name."""


@dataclass(frozen=True)
class Evaluated:
    """A layer as the evaluator sees it.

    Parameters
    ----------
    shape, cost : of the layer.
    phases : what phases it asked for, in order; those of MAPs alone come again, as their events are asked for.
    """

    shape: LayerShape
    cost: LayerCost
    phases: tuple[Asked, ...]


@cache
def fabric_evaluator(network: str, mode: str) -> FabricEvaluator:
    """What ``bfimna evaluate`` evaluates a network with."""
    found = evaluator(load_network(network), FABRIC, mode=mode)
    assert isinstance(found, FabricEvaluator)
    return found


@cache
def shapes(network: str, bits: tuple[int, int]) -> dict[str, LayerShape]:
    """The layers of a network whose activations and weights all have so many bits."""
    described = load_network(network)
    widths = Widths(layers={layer.name: bits for layer in described.weight_layers})
    return {shape.name: shape for shape in flattened(described.shapes(widths))}


@cache
def evaluated(network: str, layer: str, bits: tuple[int, int], mode: str = "count") -> Evaluated:
    """A layer, and the phases that the evaluator times for it."""
    asked: list[Asked] = []

    def recording(phase: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(phase)

        def record(*arguments: Any, **options: Any) -> Any:
            asked.append(signature.bind(*arguments, **options).arguments)
            return phase(*arguments, **options)

        return record

    shape, evaluating = shapes(network, bits)[layer], fabric_evaluator(network, mode)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("dot_phase", "pool_phase", "element_phase"):
            patch.setattr(layers, name, recording(getattr(layers, name)))
        cost = evaluating.layer(shape)
    return Evaluated(shape, cost, tuple(asked))
