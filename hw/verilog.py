"""Verilog of a tile, the same text for the same config."""

from hw.config import TileConfig

__all__ = ["CAM_ROWS", "TOP", "tile_verilog", "usual_banks"]

TOP = "tile"
"""Name of the top module."""


CAM_ROWS = 512
"""Rows that one bank of cells has at most, where nobody says how many banks there are."""


def usual_banks(config: TileConfig) -> int:
    """Banks of a tile's array where nobody says how many: one memory, or as few CAMs as :data:`CAM_ROWS` allows.

    Row blocks are not divided: one of more rows than that is a bank of its own.
    """
    if config.array != "cells":
        return 1
    divisors = (count for count in range(1, config.taps) if config.taps % count == 0)
    return next((count for count in divisors if config.rows // count <= CAM_ROWS), config.taps)


def tile_verilog(config: TileConfig, banks: int | None = None) -> str:
    """Verilog-2005 of a tile, see :func:`hw.hierarchy.design_text`.

    Parameters
    ----------
    config : the tile.
    banks : that its array is made of, a divisor of the taps; :func:`usual_banks` if not given.
    """
    from hw.hierarchy import design_text  # a moment of imports that the name of the top module does not need
    from hw.tile import Tile

    return design_text(Tile(config), TOP, usual_banks(config) if banks is None else banks)
