"""What ``bfimna verilog`` can write: a tile, a macro, a whole accelerator, or one of an accelerator's blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.named import load_system
from hw.config import CONFIGS, TileConfig, read_fields
from hw.flexspim.config import MACROS, MacroConfig, load_macro
from sim.errors import UserError
from sim.options import nearest

if TYPE_CHECKING:
    from hw.component import Component

__all__ = ["PARTS", "Part", "PartConfig", "find_part", "load_part_config"]

PartConfig = TileConfig | MacroConfig | AcceleratorConfig
"""What has parts."""

PARTS = ("tile", "macro", "accelerator", "cluster", "cap", "map")
"""Names of parts: the first two are all of a tile and of a macro, the others are for an accelerator's config."""


@dataclass(frozen=True)
class Part:
    """A part of a config.

    Parameters
    ----------
    name : one of :data:`PARTS`.
    config : of the tile or the macro, or of the accelerator that it is a part of.
    banks : into how many banks of rows a tile's array is cut; :func:`hw.verilog.usual_banks` if not given.
    """

    name: str
    config: PartConfig
    banks: int | None = None

    @property
    def top(self) -> str:
        """Name of its outermost module."""
        return {"cap": "cap_slot", "map": "map_slot"}.get(self.name, self.name)

    @property
    def component(self) -> Component:
        """What it is made from; its members are the ports."""
        if isinstance(self.config, TileConfig):
            from hw.tile import Tile

            return Tile(self.config)
        if isinstance(self.config, MacroConfig):
            from hw.flexspim.macro import Macro

            return Macro(self.config)
        from hw.accelerator.accelerator import Accelerator
        from hw.accelerator.cluster import Cluster
        from hw.accelerator.tile_slot import TileSlot

        if self.name == "accelerator":
            return Accelerator(self.config)
        if self.name == "cluster":
            return Cluster(self.config)
        return TileSlot(self.config, "cap" if self.name == "cap" else "map")

    def verilog(self) -> str:
        """Its Verilog, the same text for the same part."""
        if isinstance(self.config, TileConfig):
            from hw.verilog import tile_verilog

            return tile_verilog(self.config, self.banks)
        if isinstance(self.config, MacroConfig):
            from hw.flexspim.verilog import macro_verilog

            return macro_verilog(self.config)
        from hw.accelerator import verilog

        if self.name == "accelerator":
            return verilog.accelerator_verilog(self.config)
        if self.name == "cluster":
            return verilog.cluster_verilog(self.config)
        return verilog.slot_verilog(self.config, "cap" if self.name == "cap" else "map")


def load_part_config(name_or_file: str) -> PartConfig:
    """A named tile, macro or accelerator, or one read from a JSON file.

    A file is that of a macro where it has ``rows`` and no ``taps``.

    Raises
    ------
    ConfigError
        If there is neither such a name nor such a file, or the file's content is not a valid config.
    """
    if name_or_file in MACROS:
        return MACROS[name_or_file]
    names = (*CONFIGS, *ACCELERATORS, *MACROS)
    fields = {} if name_or_file in names else read_fields(Path(name_or_file), names)
    return load_macro(name_or_file) if "rows" in fields and "taps" not in fields else load_system(name_or_file)


def find_part(config: PartConfig, name: str | None = None, banks: int | None = None) -> Part:
    """The part of a config that is called so; without a name all of it.

    Raises
    ------
    UserError
        If the config has no such part, or cannot have so many banks.
    """
    names = PARTS[2:]
    if not isinstance(config, AcceleratorConfig):
        names = PARTS[:1] if isinstance(config, TileConfig) else PARTS[1:2]
    chosen = names[0] if name is None else name
    if chosen not in names:
        hint = "" if chosen in PARTS else nearest(chosen, names)
        raise UserError(f"--part must be one of {', '.join(names)} for config {config.name}, not {chosen!r}{hint}")
    if isinstance(config, TileConfig):
        if banks is not None and config.taps % banks:
            raise UserError(f"--banks must be a divisor of the taps ({config.taps}), not {banks}")
    elif banks is not None:
        raise UserError(f"--banks is for a tile's array, not for part {chosen} of config {config.name}")
    return Part(chosen, config, banks)
