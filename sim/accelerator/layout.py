"""How a feature map is cut into sets of rows and where its words lie in a gather memory: sizes alone, no data."""

from __future__ import annotations

from dataclasses import dataclass

from golden.accelerator.windows import rows_log2
from golden.graph import FeatureMap
from hw.accelerator.config import AcceleratorConfig
from sim.mapping.errors import MappingError

__all__ = ["MapGeometry", "geometry"]


@dataclass(frozen=True)
class MapGeometry:
    """A map of H x W x C numbers, cut into sets of ``rows`` whole rows.

    Parameters
    ----------
    height, width, channels, bits : of the map.
    rows_log2 : r; a set has 2^r rows.
    lanes : L of the accelerator.
    together : channel groups are stored in whole multiples of it.
    """

    height: int
    width: int
    channels: int
    bits: int
    rows_log2: int
    lanes: int
    together: int = 1

    @property
    def rows(self) -> int:
        """Rows of a set."""
        return 1 << self.rows_log2

    @property
    def sets(self) -> int:
        """Sets of the map; the last one may have rows beyond it."""
        return -(-self.height // self.rows)

    @property
    def set_rows(self) -> int:
        """Rows of a set that are worth forming: those of the map where it has a single set."""
        return min(self.rows, self.height)

    @property
    def channel_groups(self) -> int:
        """Groups of L channels."""
        return -(-self.channels // self.lanes)

    @property
    def stored_groups(self) -> int:
        """Groups of L channels that a gather memory has room for; the last ones may be beyond the map."""
        return -(-self.channel_groups // self.together) * self.together

    @property
    def bank_words(self) -> int:
        """Addresses of each bank of a gather memory that the whole map takes."""
        return self.sets * self.bits * self.stored_groups

    def word(self, number: int, plane: int, channel: int) -> int:
        """Word address of a bit of a block in a gather memory, from the map's first one."""
        return (number * self.bits + plane) * self.stored_groups * self.lanes + channel


def geometry(source: FeatureMap, config: AcceleratorConfig, *, whole_tiles: bool = False) -> MapGeometry:
    """How an accelerator cuts a map; with ``whole_tiles`` its channel groups are stored as whole tap tiles.

    Raises
    ------
    MappingError
        If not even one row fits the outputs of a tile.
    """
    height, width, channels = source.shape
    if width > config.outputs:
        raise MappingError(
            f"map {source.name!r} needs outputs of at least its width, {width}, config {config.name} has "
            f"{config.outputs}"
        )
    return MapGeometry(
        height, width, channels, source.bits, rows_log2(width, config), config.lanes, config.beats if whole_tiles else 1
    )
