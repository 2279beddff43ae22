"""The loops of the gather unit: which row of the map each output row reads, and where it goes in its beat."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.gather_registers import COUNT_LIMIT, job_layout
from hw.accelerator.protocol import LARGEST_KERNEL, LARGEST_STRIDE
from hw.component import Component

__all__ = ["GatherAddress", "row_layout"]

HIGHEST_ROW = COUNT_LIMIT * LARGEST_STRIDE + LARGEST_KERNEL


def row_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What the lanes must know of an output row, besides the words that they read.

    Members
    -------
    live : its tap group is one of the kernel's.
    inside : its row of the map is there.
    pad : the bit of the pad value.
    offset : bits of the word below the row of the map.
    kernel_column : its column of the kernel.
    place : bits of the beat below the output row.
    first, last : of its beat.
    """
    return data.StructLayout(
        {
            "live": 1,
            "inside": 1,
            "pad": 1,
            "offset": range(config.outputs),
            "kernel_column": bits_for(LARGEST_KERNEL),
            "place": range(config.outputs),
            "first": 1,
            "last": 1,
        }
    )


class GatherAddress(Component):
    """Loop nest and address generator: one output row a cycle.

    **Latency**: the first row is there in the cycle after ``start``.
    **Throughput**: one row in each cycle with ``step``.

    Members
    -------
    start, shadow : begin; the registers that ``job`` will be from the next cycle on.
    job, set_words : the running job, and its words of a set in a bank, cut to an address.
    cancel : end at once.
    step : take the row that is shown.
    running : a row is shown.
    address : bank address of its words.
    row : the rest of it, see :func:`row_layout`.
    """

    block = "address"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        layout = job_layout(config)
        super().__init__(
            {
                "start": In(1),
                "shadow": In(layout),
                "job": In(layout),
                "set_words": In(ceil_log2(config.gather_words)),
                "cancel": In(1),
                "step": In(1),
                "running": Out(1),
                "address": Out(ceil_log2(config.gather_words)),
                "row": Out(row_layout(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, job = self.config, self.job

        # The loops, the innermost first; each one that ends takes the next one a step on.
        limits: dict[str, Value] = {
            "row": job.out_rows,
            "beat": Value.cast(config.beats),
            "plane": job.planes,
            "tile": job.tiles,
            "round": job.rounds,
            "set": job.sets,
        }
        counters: dict[str, Signal] = {}
        ends: dict[str, Signal] = {}
        turn: Value = self.running & self.step
        for name, limit in limits.items():
            counter = counters[name] = Signal(len(limit), name=name)
            end = ends[name] = Signal(name=f"{name}_ends")
            m.d.comb += end.eq(turn & (counter + 1 == limit))
            with m.If(turn):
                m.d.sync += counter.eq(Mux(end, 0, counter + 1))
            with m.If(self.start):
                m.d.sync += counter.eq(0)
            turn = end
        with m.If(ends["set"] | self.cancel):
            m.d.sync += self.running.eq(0)
        with m.If(self.start):
            m.d.sync += self.running.eq(1)

        tap_group = self._tap_groups(m, ends)
        y = self._rows(m, ends, tap_group.kernel_row)

        # What grows with planes and rounds.
        plane_words = Signal(len(self.address))
        round_group = Signal(len(job.first_group))
        with m.If(ends["beat"]):
            m.d.sync += plane_words.eq(Mux(ends["plane"], 0, plane_words + job.channel_groups))
        with m.If(ends["tile"]):
            m.d.sync += round_group.eq(Mux(ends["round"], job.first_group, round_group + job.group_step))
        with m.If(self.start):
            m.d.sync += [plane_words.eq(0), round_group.eq(self.shadow.first_group)]

        # A set has 2^r rows: the address comes from the rest of y, the place in a word from its low bits.
        q = Signal(len(self.address))
        within = Signal(range(config.outputs))
        m.d.comb += [
            q.eq(y[: len(job.height)] >> job.rows_log2),
            within.eq(y & ((1 << job.rows_log2) - 1)),
            self.address.eq(job.base + q * self.set_words + plane_words + round_group + tap_group.channel),
            self.row.inside.eq((y >= 0) & (y < job.height)),
            self.row.offset.eq(within * job.width),
            self.row.live.eq(tap_group.live),
            self.row.kernel_column.eq(tap_group.kernel_column),
            self.row.pad.eq(job.pad_value.bit_select(counters["plane"], 1)),
            self.row.first.eq(counters["row"] == 0),
            self.row.last.eq(ends["row"]),
        ]
        return m

    def _tap_groups(self, m: Module, ends: dict[str, Signal]) -> "data.View[data.StructLayout]":
        """Kernel row, kernel column and channel group of the beat, and whether the kernel has them."""
        job = self.job
        layout = data.StructLayout(
            {
                "live": 1,
                "kernel_row": len(job.kernel_height),
                "kernel_column": len(job.kernel_width),
                "channel": len(job.groups),
            }
        )
        now = Signal(layout)
        following = Signal(layout)
        tile_first = Signal(layout)
        last_channel = Signal()
        last_column = Signal()
        last_row = Signal()
        m.d.comb += [
            last_channel.eq(now.channel + 1 == job.groups),
            last_column.eq(last_channel & (now.kernel_column + 1 == job.kernel_width)),
            last_row.eq(last_column & (now.kernel_row + 1 == job.kernel_height)),
            following.channel.eq(Mux(last_channel, 0, now.channel + 1)),
            following.kernel_column.eq(Mux(last_column, 0, now.kernel_column + last_channel)),
            following.kernel_row.eq(Mux(last_row, 0, now.kernel_row + last_column)),
            following.live.eq(now.live & ~last_row),
        ]

        # Every plane of a tap tile has the same tap groups; the next tile goes on after them, a round begins anew.
        with m.If(ends["row"]):
            m.d.sync += now.eq(following)
        with m.If(ends["beat"]):
            m.d.sync += now.eq(tile_first)
        with m.If(ends["plane"]):
            m.d.sync += [now.eq(following), tile_first.eq(following)]
        with m.If(ends["tile"] | self.start):
            m.d.sync += [now.eq(layout.const({"live": 1})), tile_first.eq(layout.const({"live": 1}))]
        return now

    def _rows(self, m: Module, ends: dict[str, Signal], kernel_row: Value) -> Signal:
        """The row of the map, where it would have that many; sums instead of products."""
        config, job = self.config, self.job
        set_row = Signal(signed(bits_for(HIGHEST_ROW) + 1))
        row_distance = Signal(bits_for(config.outputs * LARGEST_STRIDE))
        y = Signal.like(set_row)
        place = Signal.like(self.row.place)
        m.d.comb += [y.eq(set_row + row_distance + kernel_row), self.row.place.eq(place)]
        with m.If(self.running & self.step):
            m.d.sync += [
                row_distance.eq(Mux(ends["row"], 0, row_distance + job.stride_y)),
                place.eq(Mux(ends["row"], 0, place + job.out_width)),
            ]
        with m.If(ends["round"]):
            m.d.sync += set_row.eq(set_row + job.out_rows * job.stride_y)
        with m.If(self.start):
            shadow = self.shadow
            m.d.sync += [
                set_row.eq(shadow.first_row * shadow.stride_y - shadow.pad_top),
                row_distance.eq(0),
                place.eq(0),
            ]
        return y
