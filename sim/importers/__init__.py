"""Importers: from a model file to the integer graph of :mod:`golden.graph`."""

from __future__ import annotations

__all__ = ["ModelError"]


class ModelError(ValueError):
    """A model file that cannot be imported; the text is one line that says what is wrong and what would be right."""
