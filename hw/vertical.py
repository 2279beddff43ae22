"""The vertical lines of a 2D tile: a row is compared together with the row at the same place of another row block.

::

    block i + 2 distance  ----+
                              |  vertical line: slot x of the upper block ...
    block i + distance    ----+----+
                                   |  ... meets slots y, c and f of the lower one
    block i               ---------+

The vertical key is the x bit of the compare's key; the vertical mask says which row blocks take part. *Segments* cut
the lines, so that pairs of all segments are compared in the same cycle.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from hw.component import Component
from hw.config import TileConfig
from hw.layouts import vertical_control

__all__ = ["VerticalLines"]


class VerticalLines(Component):
    """Brings column x down by a distance and chooses the row blocks that take part.

    **Latency**: none.

    Members
    -------
    control : see :func:`hw.layouts.vertical_control`.
    column : ``In(R)``, slot x as it is.
    partner : ``Out(R)``, what the compare sees of it; what is beyond is 0.
    active : ``Out(R)``, rows that may match; all of them when the lines are not on.
    """

    block = "vertical"

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {
                "control": In(vertical_control(config)),
                "column": In(config.rows),
                "partner": Out(config.rows),
                "active": Out(config.rows),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, control = self.config, self.control

        # One distance at a time: the levels of a REDUCE are powers of two apart.
        lowered = Signal(config.rows)
        m.d.comb += lowered.eq(self.column)
        with m.If(control.on), m.Switch(control.distance):
            for level in range(len(control.distance)):
                with m.Case(1 << level):
                    m.d.comb += lowered.eq(self.column.shift_right(config.outputs << level))

        size = config.outputs
        for block in range(config.taps):
            place = Signal(len(control.segment), name=f"place_{block}")
            active, present = Signal(name=f"active_{block}"), Signal(name=f"present_{block}")
            rows = slice(block * size, (block + 1) * size)
            m.d.comb += [
                place.eq(control.segment & block),
                active.eq(~control.on | ((place >= control.first) & (place < control.limit))),
                present.eq(~control.on | (place < control.partners)),
                self.active[rows].eq(active.replicate(size)),
                self.partner[rows].eq(lowered[rows] & present.replicate(size)),
            ]
        return m
