"""Verilog of a tile, the same text for the same config."""

from hw.config import TileConfig
from hw.hierarchy import design_text
from hw.tile import Tile

__all__ = ["TOP", "tile_verilog"]

TOP = "tile"
"""Name of the top module."""


def tile_verilog(config: TileConfig, banks: int = 1) -> str:
    """Verilog-2005 of a tile, see :func:`hw.hierarchy.design_text`."""
    return design_text(Tile(config), TOP, banks)
