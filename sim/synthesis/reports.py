"""What mapping a tile to a target found out: what each block takes, how fast it is, and by which tools."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from hw.config import TileConfig
from hw.flexspim.config import MacroConfig
from sim.synthesis.blocks import Block
from sim.synthesis.counts import Counts
from sim.synthesis.place_and_route import PlaceAndRoute
from sim.synthesis.targets import Target
from sim.synthesis.timing import Timing

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A tile or a macro mapped to a target.

    Parameters
    ----------
    config : of the tile or the macro.
    target : what it was mapped to.
    tool : Yosys, with its version.
    library : name of the library of standard cells, None without one.
    tile : the blocks of the tile, ``array``, ``sequencer`` and so on; its own cells are those beside all blocks.
    timing : the longest path in standard cells, None where it was not looked for.
    placed : place and route, None where it was not tried.
    notes : what was counted how, and what was left out and why.
    """

    config: TileConfig | MacroConfig
    target: Target
    tool: str
    tile: Block
    library: str | None = None
    timing: Timing | None = None
    placed: PlaceAndRoute | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def cam_bits(self) -> int:
        """Cells of the array, rows x columns."""
        return self.config.rows * self.config.columns

    @property
    def is_macro(self) -> bool:
        """Whether it is a macro, whose array is no CAM."""
        return isinstance(self.config, MacroConfig)

    @property
    def total(self) -> Counts:
        """The whole tile."""
        return self.tile.counts

    @property
    def array(self) -> Block:
        """The array, with its banks; of a macro its bank, as the adders below the bit lines are beside it."""
        return self.tile.part("bank" if self.is_macro else "array")

    @property
    def bank(self) -> Counts:
        """The banks of the array alone; without any cell if they are no modules of their own."""
        return self.array.part("bank").counts

    @property
    def flip_flops_beside(self) -> int:
        """Flip-flops beside the array."""
        return self.total.flip_flops - self.array.counts.flip_flops

    @property
    def share_beside(self) -> float:
        """Flip-flops beside the array, of these and the R x C cells of the array, whatever those became."""
        return self.flip_flops_beside / (self.flip_flops_beside + self.cam_bits)

    def per_bit(self, name: str) -> dict[str, float]:
        """A field of :class:`~sim.synthesis.counts.Counts` for each cell of the array: of tile, array and banks."""
        parts = {"macro" if self.is_macro else "tile": self.total, "array": self.array.counts, "bank": self.bank}
        return {part: getattr(counts, name) / self.cam_bits for part, counts in parts.items() if counts != Counts()}

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        shown = [name for name in self.target.columns if name not in ("memory_bits", "memories", "carries")]
        return {
            "config": self.config.as_dict(),
            "config_hash": self.config.hash_text,
            "target": self.target.name,
            "tool": self.tool,
            "library": self.library,
            "cam_bits": self.cam_bits,
            "total": self._counted(self.total),
            "blocks": [self._block(block) for block in (*self.tile.parts, Block("top", self.tile.own))],
            "per_cam_bit": {name: self.per_bit(name) for name in shown},
            "flip_flops_beside_array": self.flip_flops_beside,
            "share_beside_array": self.share_beside,
            "timing": None if self.timing is None else dataclasses.asdict(self.timing),
            "place_and_route": None if self.placed is None else dataclasses.asdict(self.placed),
            "notes": list(self.notes),
        }

    def _counted(self, counts: Counts) -> dict[str, float]:
        return {name: getattr(counts, name) for name in self.target.columns}

    def _block(self, block: Block) -> dict[str, Any]:
        parts = [self._block(part) for part in block.parts]
        return {"name": block.name, **self._counted(block.counts), **({"parts": parts} if parts else {})}
