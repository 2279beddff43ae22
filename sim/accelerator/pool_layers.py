"""Max pools, as the gather unit and the MAPs see them.

A tap tile is one window position of G channels, plane by plane as a MAP keeps them: its rows are those of the output's
blocks.  So the input's channel groups are stored as whole tap tiles, and one MAP of a cluster makes all of its share.
"""

from __future__ import annotations

from dataclasses import dataclass

from golden.graph import MaxPool
from hw.accelerator.config import AcceleratorConfig
from hw.isa import LoadKind, Opcode, Owner
from sim.accelerator.layout import MapGeometry
from sim.accelerator.window_layers import WindowLayer, WindowLoop, check_window
from sim.mapping.builder import Builder, Source
from sim.mapping.errors import MappingError
from sim.mapping.shapes import MaxPoolShape

__all__ = ["PoolLayer", "PoolStep", "PositionLoad", "pool_columns", "pool_layer"]

_BUFFERS = 2


@dataclass(frozen=True)
class PoolLayer(WindowLayer):
    """A max pool; fields beside those of a layer of windows:

    Parameters
    ----------
    beats : channel groups of a tap tile.
    low, high : the maximum is limited to ``low`` .. ``low + high``.
    """

    beats: int
    low: int
    high: int

    @property
    def positions(self) -> int:
        """Elements of a window."""
        return self.kernel[0] * self.kernel[1]

    def loop(self, channel: int) -> WindowLoop:
        """One tap tile for each window position."""
        return WindowLoop(
            first_group=channel // self.source.lanes, group_step=self.beats, groups=self.beats, tiles=self.positions
        )


@dataclass(frozen=True)
class PositionLoad(Source):
    """One window position of G channels, next in the gather unit's order."""


@dataclass(frozen=True)
class PoolStep:
    """A max pool in a MAP.

    Parameters
    ----------
    layer : what is done.
    columns : first column of the fields of the output.
    """

    layer: PoolLayer
    columns: int

    def load_first(self, builder: Builder, batch: int) -> int:
        """Issue the LOAD of a batch's first window position, into the field of the output; returns its ticket."""
        return self._load(builder, self._field(batch))

    def emit(self, builder: Builder, work: int, batch: int, first: int, *, more: bool) -> int:
        """The maxima of a batch whose first LOAD has ticket ``first``.

        ``work`` is the first column of :func:`pool_columns`.  Each LOAD is under way while the one before it is worked
        on; with ``more`` the last one is the first of the next batch, whose ticket is returned.
        """
        bits, field, flag = self.layer.source.bits, self._field(batch), work + _BUFFERS * self.layer.source.bits
        builder.owner = Owner.COMPUTE
        ticket, column = first, field
        for position in range(1, self.layer.positions + 1):
            following, buffer = -1, work + position % _BUFFERS * bits
            if position < self.layer.positions:
                following = self._load(builder, buffer)
            elif more:
                following = self.load_first(builder, batch + 1)
            builder.sync(ticket)
            if column != field:
                builder.emit(Opcode.MAX, a=column, a_width=bits, b=field, b_width=bits, d=flag, d_width=1)
            ticket, column = following, buffer
        low, high = self.layer.low, self.layer.low + self.layer.high
        if low or high < (1 << bits) - 1:
            builder.limit(field, bits, low, high, signed=False)
        return ticket

    def _field(self, batch: int) -> int:
        return self.columns + batch * self.layer.target.bits

    def _load(self, builder: Builder, column: int) -> int:
        return builder.load(LoadKind.PLANES, column, self.layer.source.bits, PositionLoad())


def pool_columns(config: AcceleratorConfig, layer: PoolLayer, reserved: int) -> int:
    """The first column that a MAP works in for a max pool, above ``reserved`` ones.

    Raises
    ------
    MappingError
        If a MAP has too few columns.
    """
    size = _BUFFERS * layer.source.bits + 1
    if reserved + size > config.map.columns:
        raise MappingError(
            f"layer {layer.name!r} needs columns of at least {reserved + size}, config {config.map.name} has "
            f"{config.map.columns}"
        )
    return config.map.columns - size


def pool_layer(
    shape: MaxPoolShape, layer: MaxPool, source: MapGeometry, target: MapGeometry, config: AcceleratorConfig
) -> PoolLayer:
    """A max pool.  Outside of the map there are zeros, the least stored numbers, which never win.

    Raises
    ------
    MappingError
        If a gather unit of ``config`` cannot form its windows.
    """
    return PoolLayer(
        name=shape.name,
        source=source,
        target=target,
        kernel=shape.window,
        stride=check_window(shape.name, shape.window, shape.stride, shape.padding, shape.output_size[:2]),
        padding=shape.padding,
        pad_value=0,
        beats=config.beats,
        low=layer.low,
        high=layer.high,
    )
