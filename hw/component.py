"""What the tile's components share: a base, whose ports are made from a config, and a constant."""

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Const
from amaranth.lib import wiring

__all__ = ["Component", "all_ones"]


def all_ones(width: int) -> Const:
    """A constant of 1 in every bit, unsigned: ``Const(-1, width)`` is signed, and makes what it meets a bit wider."""
    return Const((1 << width) - 1, width)


class Component(wiring.Component):
    """A component with ports that only a config knows; to a type checker each of them may be anything."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
