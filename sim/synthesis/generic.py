"""Flip-flops and gates of a tile by Yosys, from its Verilog mapped to generic gates."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hw.config import TileConfig
from hw.verilog import TOP, tile_verilog
from sim.synthesis.yosys import find_yosys, run_yosys

__all__ = ["Area", "synthesise"]

_SCRIPT = f"""
read_verilog tile.v
synth -flatten -top {TOP}
abc -g AND,OR,XOR,MUX
opt_clean
tee -q -o area.json stat -json
"""
_NO_GATES = ("$scopeinfo",)


@dataclass(frozen=True)
class Area:
    """What a tile is made of.

    Parameters
    ----------
    flip_flops : all of them, the cells of the array included.
    gates : two-input AND, OR, XOR, inverters and two-to-one multiplexers.
    """

    flip_flops: int
    gates: int


def synthesise(config: TileConfig) -> Area:
    """Map a tile to generic gates and count them; a ``columns`` array becomes flip-flops and multiplexers too.

    Raises
    ------
    ToolError
        If Yosys is missing or fails.
    """
    find_yosys()
    with tempfile.TemporaryDirectory(prefix="bfimna-") as folder:
        place = Path(folder)
        (place / "tile.v").write_text(tile_verilog(config), encoding="utf-8")
        run_yosys(_SCRIPT, place, f"config {config.name}")
        report = json.loads((place / "area.json").read_text(encoding="utf-8"))
    by_type: dict[str, int] = report["design"]["num_cells_by_type"]
    flip_flops = sum(count for kind, count in by_type.items() if "DFF" in kind or "DLATCH" in kind)
    others = sum(by_type.get(kind, 0) for kind in _NO_GATES)
    return Area(flip_flops, sum(by_type.values()) - flip_flops - others)
