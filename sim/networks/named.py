"""Networks that come without weights, by name."""

from __future__ import annotations

from collections.abc import Callable

from sim.networks.description import DescribedNetwork
from sim.networks.plain import alexnet, vgg16
from sim.networks.residual import resnet18, resnet50

__all__ = ["NETWORKS"]

NETWORKS: dict[str, Callable[[], DescribedNetwork]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet50": resnet50,
}
"""What makes a network, by its name."""
