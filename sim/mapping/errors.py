"""The error of a layer that a tile cannot hold."""

from __future__ import annotations

from sim.errors import UserError

__all__ = ["MappingError"]


class MappingError(UserError, ValueError):
    """A layer that does not fit a config; the text names the layer, the quantity, what would do and what was given."""
