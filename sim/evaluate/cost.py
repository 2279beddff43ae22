"""What a network costs on a machine, as objects: cycles by what they are spent on, and events that energy follows from.

No technology is in here: cycles become time and events become energy in :mod:`sim.evaluate.energy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PARTS", "Events", "LayerCost", "NetworkCost"]

PARTS: dict[str, str] = {
    "movement": "maps through the mesh and the gather units, as far as tiles wait for them",
    "weights": "weights through the host's port, as far as tiles wait for them",
    "load": "planes into tiles, as far as the tile does nothing else",
    "convolution": "dot products of convolutions and fully connected layers",
    "reduce": "sums over rows and over parts of words",
    "requantise": "sums to stored numbers",
    "relu": "clamps of stored numbers, ReLU among them",
    "pooling": "maxima and means of windows",
    "residual": "additions of maps",
    "store": "sums from CAPs to MAPs, and the result to the host",
    "controller": "decode cycles, and starts and barriers of phases",
}
"""What cycles are spent on; each cycle of a layer has one owner, so the parts of a layer add up to its cycles."""


@dataclass(frozen=True)
class Events:
    """Schedule events of a layer, summed over all tiles: exact, whatever the data is.

    Parameters
    ----------
    compares : compare cycles.
    compared_rows : compare cycles x rows.
    compared_cells : compare cycles x rows x unmasked columns.
    counted_rows : rows whose tags responder counters take: compare cycles of DOTs x rows.
    writes : write cycles.
    driven_cells : write cycles x rows x columns; those in tagged rows are written.
    loaded_cells : cells that plane ports write, all rows of a plane.
    stored_bits : bits that plane ports take out.
    memory_bits : bits read from the memories of gather units and from taps memories.
    flit_hops : flits x links that they cross, the one into a unit included.
    instructions : instructions decoded.
    tile_cycles : cycles x tiles that are there.
    """

    compares: int = 0
    compared_rows: int = 0
    compared_cells: int = 0
    counted_rows: int = 0
    writes: int = 0
    driven_cells: int = 0
    loaded_cells: int = 0
    stored_bits: int = 0
    memory_bits: int = 0
    flit_hops: int = 0
    instructions: int = 0
    tile_cycles: int = 0

    def __add__(self, other: Events) -> Events:
        return Events(*(one + more for one, more in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, count: int) -> Events:
        """The events of so many like it."""
        return Events(*(count * value for value in vars(self).values()))


@dataclass(frozen=True)
class LayerCost:
    """One layer.

    Parameters
    ----------
    name, op : as in the network.
    macs : multiply-accumulate operations of the whole batch.
    activation_bits, weight_bits : widths; None for a layer without weights.
    mode : how dot products are formed; None without any.
    cycles : by :data:`PARTS`, of the whole batch; parts that are not there are 0.
    utilisation : MACs by those that the rows of all CAPs could do in the DOTs or MULs of this layer; None without any.
    tiles : tiles that work.
    mapping : how the layer is divided, for people: one line.
    events : of the whole batch.
    bound : what most of its cycles are spent on: one of :data:`PARTS`.
    """

    name: str
    op: str
    macs: int
    activation_bits: int
    weight_bits: int | None
    mode: str | None
    cycles: Mapping[str, int]
    utilisation: float | None
    tiles: int
    mapping: str
    events: Events

    @property
    def total(self) -> int:
        """All cycles."""
        return sum(self.cycles.values())

    @property
    def bound(self) -> str:
        """What most of its cycles are spent on; "-" for a layer without any."""
        return max(self.cycles, key=lambda part: self.cycles[part]) if self.total else "-"


@dataclass(frozen=True)
class NetworkCost:
    """A network, layer after layer.

    Parameters
    ----------
    network : its name.
    config, config_hash : of the machine.
    sizes : the machine's config, as plain JSON values.
    bits : how widths were given, as on the command line.
    mode : likewise.
    batch : inputs that the counts are for.
    layers : in order.
    tiles : compute tiles (CAPs) and memory tiles (MAPs) of the machine: ``{"cap": .., "map": ..}``.
    columns, rows : of both kinds of tiles: ``{"cap": 16, "map": 128}`` and so on.
    assumptions : sentences on what the figures rest on that nobody has measured or published.
    """

    network: str
    config: str
    config_hash: str
    sizes: Mapping[str, Any]
    bits: str
    mode: str
    batch: int
    layers: tuple[LayerCost, ...]
    tiles: Mapping[str, int]
    columns: Mapping[str, int]
    rows: Mapping[str, int]
    assumptions: tuple[str, ...] = field(default=())

    @property
    def cycles(self) -> dict[str, int]:
        """Cycles of all layers by :data:`PARTS`."""
        return {part: sum(layer.cycles.get(part, 0) for layer in self.layers) for part in PARTS}

    @property
    def total(self) -> int:
        """All cycles: the time of the batch, layer after layer."""
        return sum(layer.total for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of the batch."""
        return sum(layer.macs for layer in self.layers)

    @property
    def events(self) -> Events:
        """Events of all layers."""
        return sum((layer.events for layer in self.layers), Events())
