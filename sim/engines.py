"""Engines by name: what runs the programs of a network."""

from __future__ import annotations

from typing import Any

from golden.engine import Engine
from golden.laws import LawEngine
from golden.tile import GoldenTile
from hw.config import TileConfig
from sim.errors import UserError

__all__ = ["TILE_ENGINES", "create_engine"]

TILE_ENGINES = ("rtl", "turbo", "golden", "model")
"""Engines that run programs: the Verilog in a simulator, the Verilog compiled, the bit-level tile, the cycle laws.

The integer operators (``integer``) run whole networks and no programs, so they are not an engine in this sense.
"""


def create_engine(name: str, config: TileConfig, *, seed: int = 0, **options: Any) -> Engine:
    """An engine for one tile, to be closed after use.

    ``seed`` is that of the random cells that a tile starts with; ``options`` go to the engines ``rtl`` (the simulator)
    and ``turbo``.

    Raises
    ------
    UserError
        If the name is unknown or the engine is not there.
    """
    if name == "golden":
        return GoldenTile(config, seed)
    if name == "model":
        return LawEngine(config)
    if name == "turbo":
        from sim.turbo.engine import TurboEngine

        return TurboEngine(config, seed=seed, **options)
    if name != "rtl":
        raise UserError(f"engine must be one of {', '.join(TILE_ENGINES)}, not {name!r}")
    try:
        from sim.rtl_engine import RtlEngine
    except ModuleNotFoundError as error:
        raise UserError(f"engine rtl needs the module {error.name}, which is not installed") from error
    return RtlEngine(config, seed=seed, **options)
