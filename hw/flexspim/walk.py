"""From an event to rows: which places of the output a layer's event reaches, and where they and its weights are."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hw.component import Component
from hw.flexspim.config import MacroConfig
from hw.flexspim.layouts import EVENT, event_walk, layer_layout

__all__ = ["EventWalk"]


class EventWalk(Component):
    """The places that an event reaches, from the one with the largest coordinates down; combinational.

    Members
    -------
    layer : sizes and rows of the layer.
    event : its place in the line is a column and, in the bits below ``channel_shift``, a channel.
    walk : see :func:`hw.flexspim.layouts.event_walk`.
    channel : of the event.
    outside : the event is not in the input.
    """

    block = "walk"

    def __init__(self, config: MacroConfig):
        self.config = config
        super().__init__(
            {
                "layer": In(layer_layout(config)),
                "event": In(EVENT),
                "walk": Out(event_walk(config)),
                "channel": Out(16),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, event, walk, row = self.layer, self.event, self.walk, len(self.walk.weight)
        x, above = Signal(len(event.position), name="x"), Signal(len(event.position), name="x_in_place")
        group = Signal(16, name="group")
        m.d.comb += [
            x.eq(event.position >> layer.channel_shift),
            above.eq(x << layer.channel_shift),
            self.channel.eq(event.position ^ above),
            group.eq(self.channel >> layer.output_group_shift),
            self.outside.eq((x >= layer.width) | (event.y >= layer.height) | (self.channel >= layer.channels)),
        ]
        last_x, places, tap_x = self._axis(
            m, "x", x[:12], layer.padding_x, layer.kernel_width, layer.stride_x, 0, layer.output_width
        )
        end = (layer.output_first + layer.output_lines)[:12]
        last_y, lines, tap_y = self._axis(
            m, "y", event.y[:12], layer.padding_y, layer.kernel_height, layer.stride_y, layer.output_first, end
        )
        channel = Mux(layer.output_fetch, 0, self.channel)
        m.d.comb += [
            walk.reached.eq((places != 0) & (lines != 0)),
            walk.places.eq(places),
            walk.lines.eq(lines),
            walk.weight.eq(
                layer.output_weights[:row]
                + channel[:row] * layer.channel_rows[:row]
                + tap_y[:row] * layer.tap_line_rows[:row]
                + tap_x[:row] * layer.tap_rows[:row]
            ),
            walk.potential.eq(
                layer.output_potentials[:row]
                + (last_y - layer.output_first)[:row] * layer.line_rows[:row]
                + last_x[:row] * layer.place_rows[:row]
                + Mux(layer.output_groups == 1, 0, group)[:row] * layer.slice_rows[:row]
            ),
        ]
        return m

    def _axis(
        self, m: Module, name: str, position: Value, padding: Value, kernel: Value, stride: Value, first: Value | int,
        end: Value,
    ) -> tuple[Signal, Signal, Signal]:  # fmt: skip
        """The last place on an axis that is reached, how many there are, and the tap at the last one."""
        padded, last, low = (Signal(13, name=f"{name}_{part}") for part in ("padded", "last", "low"))
        count, tap = Signal(13, name=f"{name}_count"), Signal(13, name=f"{name}_tap")
        m.d.comb += [
            padded.eq(position + padding),
            last.eq(Mux((padded >> stride) < end, padded >> stride, end - 1)),
            tap.eq(padded - (last << stride)),
        ]
        beyond = Signal(13, name=f"{name}_beyond")
        m.d.comb += [
            beyond.eq(Mux(padded < kernel, 0, ((padded - kernel)[:13] >> stride) + 1)),
            low.eq(Mux(beyond > first, beyond, first)),
            count.eq(Mux(last < low, 0, last - low + 1)),
        ]
        return last, count, tap
