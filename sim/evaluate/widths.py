"""Widths of a network's layers, and how a user gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Widths"]


@dataclass(frozen=True)
class Widths:
    """Bits of activations and weights, layer by layer; nothing given: those that an imported network has.

    Parameters
    ----------
    uniform : bits of all activations and weights, 1..16; None when they differ.
    layers : (activation bits, weight bits) by the name of a layer, each 1..16; they go before ``uniform``.
    residual_bits : width of the maps that units of a residual network add to, 1..16; None: as wide as their widest
        reader asks.
    label : how reports name these widths.
    """

    uniform: int | None = None
    layers: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    residual_bits: int | None = None
    label: str = ""

    def of(self, layer: str) -> tuple[int, int]:
        """(activation bits, weight bits) of a layer; raises ``KeyError`` when none are given."""
        if layer in self.layers or self.uniform is None:
            return self.layers[layer]
        return self.uniform, self.uniform
