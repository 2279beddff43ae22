"""The plane port: moves planes between streams, columns, totals and tags while the sequencer goes on.

Requests queue up; the head works one step (a beat, or a plane that needs no stream) in each *open* cycle::

    plane_in  -> beats gathered -> planes -> column | row block | all rows of a tap | total | tag
    plane_out <- beats          <- planes <- column | row block | snapshot of the totals    | tag
"""

from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import RUN, Component, spread
from hw.config import TileConfig
from hw.isa import LoadKind
from hw.layouts import port_request

__all__ = ["PlanePort"]


class PlanePort(Component):
    """Queue and engine of the plane port.

    **Latency**: a request pushed in one cycle makes its first step in the next open one.
    **Throughput**: one step per open cycle; P bits per step.

    Members
    -------
    plane_in, plane_out : streams of P bits. The port never waits by itself: ``needs_in`` and ``needs_out`` say that
        this cycle moves a beat, and the tile stands still until it can.
    run : the port moves in this cycle.
    push, request : a new request; the sequencer pushes only while ``outstanding`` is below the queue's length.
    open : the array is free for the port in this cycle.
    outstanding : requests in the queue, the head included.
    snapshot_busy : one of them drains the snapshot of the totals.
    head_stores : the head moves planes out (STORE, DRAIN).
    head_kind : kind of the LOAD or STORE at the head.
    last_out : the beat that goes out in this cycle is the last one of its STORE.
    step : a step is made in this cycle.
    column, read, write, blocks, planes, data : the array's side, see :class:`hw.array.ArraySignature`.
    load_total, total_index, total_plane, drain, drain_plane : the responder counters' side.
    load_tag : the tags become ``planes``.
    tag : the tag register.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        self.layout = port_request(config)
        super().__init__(
            {
                "run": RUN,
                "plane_in": In(stream.Signature(config.plane_bits)),
                "plane_out": Out(stream.Signature(config.plane_bits)),
                "push": In(1),
                "request": In(self.layout),
                "open": In(1),
                "outstanding": Out(bits_for(config.port_queue)),
                "snapshot_busy": Out(1),
                "head_stores": Out(1),
                "head_kind": Out(LoadKind),
                "last_out": Out(1),
                "needs_in": Out(1),
                "needs_out": Out(1),
                "step": Out(1),
                "column": Out(self.layout["column"].shape),
                "read": Out(1),
                "write": Out(1),
                "blocks": Out(config.taps),
                "planes": Out(config.rows),
                "data": In(config.rows),
                "load_total": Out(1),
                "total_index": Out(7),
                "total_plane": Out(config.outputs),
                "drain": Out(1),
                "drain_plane": In(config.outputs),
                "load_tag": Out(1),
                "tag": In(config.rows),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        config = self.config
        head = Signal(self.layout)
        queue = [head, *(Signal(self.layout, name=f"queue_{i}") for i in range(1, config.port_queue))]
        finished = Signal()

        # A short queue of registers, the head at index 0.
        with m.If(finished):
            for index, entry in enumerate(queue[:-1]):
                m.d.sync += entry.eq(queue[index + 1])
        with m.If(self.push):
            slot = self.outstanding - finished
            for index, entry in enumerate(queue):
                with m.If(slot == index):
                    m.d.sync += entry.eq(self.request)
        m.d.sync += self.outstanding.eq(self.outstanding + self.push - finished)

        # What the head is; STORE TOTAL and DRAIN share the snapshot register.
        active = Signal()
        drains = [Mux(entry.to_array, ~entry.stream, entry.stream & (entry.kind == LoadKind.TOTAL)) for entry in queue]
        m.d.comb += [
            active.eq(self.outstanding != 0),
            self.snapshot_busy.eq(Cat(drain & (self.outstanding > i) for i, drain in enumerate(drains)).any()),
            self.head_stores.eq(head.to_array ^ head.stream),
            self.head_kind.eq(head.kind),
        ]

        # Steps: beats within a plane, planes within the request.
        beat = Signal(range(config.beats(config.rows) + 1))
        plane = Signal(7)
        last_beat = Signal()
        last_plane = Signal()
        wide = (head.kind == LoadKind.PLANES) | (head.kind == LoadKind.TAG)
        taps = head.to_array & (head.kind == LoadKind.TAPS)
        beats = Mux(wide, config.beats(config.rows), Mux(taps, config.beats(config.taps), config.beats(config.outputs)))
        m.d.comb += [
            self.step.eq(active & self.open),
            last_beat.eq(~head.stream | (beat == beats - 1)),
            last_plane.eq(plane == head.planes - 1),
            finished.eq(self.step & last_beat & last_plane),
            self.needs_in.eq(self.step & head.stream & head.to_array),
            self.needs_out.eq(self.step & head.stream & ~head.to_array),
            self.last_out.eq(last_beat & last_plane),
        ]
        with m.If(self.step):
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
            with m.If(last_beat):
                m.d.sync += plane.eq(Mux(last_plane, 0, plane + 1))

        # The array, totals and tags are written with the last beat of a plane.
        done = Signal()
        off_column = head.stream & ((head.kind == LoadKind.TOTAL) | (head.kind == LoadKind.TAG))
        m.d.comb += [
            done.eq(self.step & last_beat),
            self.column.eq(head.column + plane),
            self.read.eq(self.step),
            self.write.eq(done & head.to_array & ~off_column),
            self.load_total.eq(done & Mux(head.stream, head.to_array & (head.kind == LoadKind.TOTAL), ~head.to_array)),
            self.load_tag.eq(done & head.stream & head.to_array & (head.kind == LoadKind.TAG)),
            self.total_index.eq(plane),
            self.drain.eq(done & drains[0]),
        ]

        # One row block of the column that the array shows.
        block = Signal(config.outputs)
        with m.Switch(head.block):
            for tap in range(config.taps):
                with m.Case(tap):
                    m.d.comb += block.eq(self.data[tap * config.outputs : (tap + 1) * config.outputs])
        self._move_in(m, head, beat, block)
        self._move_out(m, head, beat, wide, block)
        return EnableInserter(self.run)(m)

    def _move_in(self, m: Module, head: "data.View[Any]", beat: Signal, block: Signal) -> None:
        """Beats to a plane, and a plane to the rows that its kind means."""
        config, size = self.config, self.config.outputs
        chunks: list[Value] = []
        for index in range(config.beats(config.rows)):
            # Only the beats before the last one need a register.
            kept = Signal(config.plane_bits, name=f"beat_{index}", reset_less=True)
            chunks.append(Mux(beat == index, self.plane_in.payload, kept))
            with m.If(self.needs_in & (beat == index)):
                m.d.sync += kept.eq(self.plane_in.payload)
        gathered = Signal(config.rows)
        narrow = Signal(size)
        broadcast = Signal(config.rows)
        m.d.comb += [
            gathered.eq(Cat(chunks)),
            narrow.eq(Mux(head.stream, gathered[:size], self.drain_plane)),
            broadcast.eq(spread(gathered[: config.taps], size)),
        ]

        whole = Signal()
        taps = Signal()
        m.d.comb += [
            whole.eq(head.stream & ((head.kind == LoadKind.PLANES) | (head.kind == LoadKind.TAG))),
            taps.eq(head.stream & (head.kind == LoadKind.TAPS)),
            self.planes.eq(Mux(whole, gathered, Mux(taps, broadcast, narrow.replicate(config.taps)))),
            self.blocks.eq(Cat(whole | taps | (head.block == tap) for tap in range(config.taps))),
            self.total_plane.eq(Mux(head.stream, gathered[:size], block)),
        ]

    def _move_out(self, m: Module, head: "data.View[Any]", beat: Signal, wide: Value, block: Signal) -> None:
        """The plane that the head shows, beat by beat."""
        config = self.config
        source = Signal(config.rows)
        with m.If(head.kind == LoadKind.TAG):
            m.d.comb += source.eq(self.tag)
        with m.Elif(wide):
            m.d.comb += source.eq(self.data)
        with m.Elif(head.kind == LoadKind.TOTAL):
            m.d.comb += source.eq(self.drain_plane)
        with m.Else():
            m.d.comb += source.eq(block)
        with m.Switch(beat):
            for index in range(config.beats(config.rows)):
                with m.Case(index):
                    m.d.comb += self.plane_out.payload.eq(
                        source[index * config.plane_bits : (index + 1) * config.plane_bits]
                    )
