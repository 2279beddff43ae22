"""Verilog of a tile, the same text for the same config."""

import os

from amaranth.back import verilog

from hw.config import TileConfig
from hw.tile import Tile

__all__ = ["TOP", "tile_verilog"]

TOP = "tile"
"""Name of the top module."""


def tile_verilog(config: TileConfig) -> str:
    """Verilog-2005 of a tile, without source locations, so that it does not depend on where it was made.

    Ports are those of :class:`hw.tile.Tile`, joined by ``__`` (``plane_in__payload``), plus ``clk`` and ``rst``.
    """
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    return verilog.convert(Tile(config), name=TOP, emit_src=False, strip_internal_attrs=True)
