"""The base of the tile's components, whose ports are made from a config."""

from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

__all__ = ["Component"]


class Component(wiring.Component):
    """A component with ports that only a config knows; to a type checker each of them may be anything."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
