"""Verilog of a tile, the same text for the same config."""

import os
import re

from amaranth.back import verilog
from amaranth.lib import wiring

from hw.config import TileConfig
from hw.tile import Tile

__all__ = ["TOP", "module_verilog", "tile_verilog"]

# Yosys gives each module a register that is 0 and in the sensitivity of every combinational process.
_STARTER = re.compile(r"^  reg (\\\$auto\$verilog_backend\S+) += 0;$", re.MULTILINE)

TOP = "tile"
"""Name of the top module."""


def module_verilog(component: wiring.Component, name: str) -> str:
    """Verilog-2005 of a component and its submodules, without source locations: it does not depend on where it is made.

    Ports are the component's members, joined by ``__`` (``plane_in__payload``), plus ``clk`` and ``rst``. Names of
    submodules begin with ``name`` and a dot.
    """
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    # Set where it is declared, that register makes no event: in Icarus a process whose inputs stay as they began would
    # never run, and its output be X. Set at the end of the first time step, it starts them all.
    return _STARTER.sub(r"  reg \1 ;\n  initial \1 <= 0;", text)


def tile_verilog(config: TileConfig) -> str:
    """Verilog-2005 of a tile, as :func:`module_verilog`."""
    return module_verilog(Tile(config), TOP)
