"""Verilog of a tile, the same text for the same config."""

import os
import re

from amaranth.back import verilog

from hw.config import TileConfig
from hw.tile import Tile

__all__ = ["TOP", "tile_verilog"]

# Yosys gives each module a register that is 0 and in the sensitivity of every combinational process.
_STARTER = re.compile(r"^  reg (\\\$auto\$verilog_backend\S+) += 0;$", re.MULTILINE)

TOP = "tile"
"""Name of the top module."""


def tile_verilog(config: TileConfig) -> str:
    """Verilog-2005 of a tile, without source locations, so that it does not depend on where it was made.

    Ports are those of :class:`hw.tile.Tile`, joined by ``__`` (``plane_in__payload``), plus ``clk`` and ``rst``.
    """
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    text = verilog.convert(Tile(config), name=TOP, emit_src=False, strip_internal_attrs=True)
    # Set where it is declared, that register makes no event: in Icarus a process whose inputs stay as they began would
    # never run, and its output be X. Set at the end of the first time step, it starts them all.
    return _STARTER.sub(r"  reg \1 ;\n  initial \1 <= 0;", text)
