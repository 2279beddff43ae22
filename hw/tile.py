"""One associative-processor tile (a compute AP)::

    program ---> buffer ---> sequencer ---> array <---> plane port <--- plane_in
                                 |            |match         |---------> plane_out
                                 |           tags            |
                                 |            |              |
                              counters <- responder counters-+

The tile is a lockstep machine: in a cycle in which it needs a word that a stream does not have, or has a word that a
stream does not take, nothing in it moves.  So the cycles of a run are its law plus its stalls, exactly.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.array import create_array
from hw.component import Component
from hw.config import TileConfig
from hw.counter_map import COUNTER_BITS, COUNTERS
from hw.event_counters import EventCounters
from hw.isa import INSTRUCTION_BITS, ErrorCode, LoadKind, TileState
from hw.plane_port import PlanePort
from hw.program_buffer import ProgramBuffer
from hw.responders import Responders
from hw.sequencer import Sequencer
from hw.tag_unit import TagUnit

__all__ = ["Tile"]


class Tile(Component):
    """An associative-processor tile: cells that compute on themselves; ``docs/isa.md`` is its contract.

    **Latency**: the first instruction is decoded two cycles after the header was taken; ``done`` rises one cycle after
    HALT was decoded. **Throughput**: one compare or write per cycle, and ``plane_bits`` bits of a plane beside it.

    Members
    -------
    program : stream of 128-bit words, a header and its instructions.
    plane_in, plane_out : streams of ``plane_bits`` bits.
    plane_in_kind : :class:`hw.isa.LoadKind` of the LOAD for which ``plane_in`` is ready.
    plane_out_last : the beat that ``plane_out`` shows is the last one of its STORE.
    state : what the tile does in this cycle, :class:`hw.isa.TileState`.
    done : a program has ended and none has begun since.
    error, error_address : sticky code (:class:`hw.isa.ErrorCode`) and address of the instruction that raised it; only a
        reset clears them.
    counter_index, counter_value : the counter port, see :mod:`hw.counter_map`.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "plane_in": In(stream.Signature(config.plane_bits)),
                "plane_out": Out(stream.Signature(config.plane_bits)),
                "plane_in_kind": Out(LoadKind),
                "plane_out_last": Out(1),
                "state": Out(TileState),
                "done": Out(1),
                "error": Out(ErrorCode),
                "error_address": Out(32),
                "counter_index": In(bits_for(len(COUNTERS) - 1)),
                "counter_value": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        run = Signal()
        m.submodules.program_buffer = buffer = ProgramBuffer(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.plane_port = port = PlanePort(config)
        m.submodules.array = array = create_array(config)
        m.submodules.tags = tag_unit = TagUnit(config)
        m.submodules.responders = responders = Responders(config)
        m.submodules.counters = counters = EventCounters(config)

        # Lockstep: every stream that this cycle needs must move, or nothing does.
        m.d.comb += [
            *(part.run.eq(run) for part in (buffer, sequencer, port, array, tag_unit, responders)),
            run.eq(
                ~sequencer.starved
                & (~port.needs_in | self.plane_in.valid)
                & (~port.needs_out | self.plane_out.ready)
            ),
            port.plane_in.payload.eq(self.plane_in.payload),
            self.plane_in.ready.eq(port.needs_in),
            self.plane_out.payload.eq(port.plane_out.payload),
            self.plane_out.valid.eq(port.needs_out),
            self.plane_in_kind.eq(port.head_kind),
            self.plane_out_last.eq(port.last_out),
        ]  # fmt: skip

        # Program to sequencer.
        wiring.connect(m, wiring.flipped(self.program), buffer.program)
        for name in ("start", "header_error", "instruction", "running", "available", "ended", "overflow", "counter",
                     "in_loop", "loops_full"):  # fmt: skip
            m.d.comb += getattr(sequencer, name).eq(getattr(buffer, name))
        for name in ("idle", "advance", "loop", "loop_end"):
            m.d.comb += getattr(buffer, name).eq(getattr(sequencer, name))

        # Tags: a compare sets them, MOVE and REDUCE shift them by row blocks, the plane port loads them.
        m.d.comb += [
            tag_unit.match.eq(array.bus.match),
            tag_unit.set.eq(sequencer.set_tag),
            tag_unit.shift_up.eq(sequencer.shift_tag_up),
            tag_unit.shift_down.eq(sequencer.shift_tag_down),
            tag_unit.load.eq(port.load_tag),
            tag_unit.plane.eq(port.planes),
            *(getattr(tag_unit, name).eq(sequencer.operation[name]) for name in ("keep", "ones", "remove", "second")),
        ]

        # Sequencer and plane port to the array.
        m.d.comb += [
            array.bus.operation.eq(sequencer.operation),
            array.bus.tag.eq(tag_unit.rows),
            array.bus.port_column.eq(port.column),
            array.bus.port_read.eq(port.read),
            array.bus.port_write.eq(port.write),
            array.bus.port_blocks.eq(port.blocks),
            array.bus.port_planes.eq(port.planes),
            port.data.eq(array.bus.port_data),
            port.tag.eq(tag_unit.tag),
            port.push.eq(sequencer.push),
            port.request.eq(sequencer.request),
            port.open.eq(sequencer.open),
            sequencer.outstanding.eq(port.outstanding),
            sequencer.snapshot_busy.eq(port.snapshot_busy),
            sequencer.head_stores.eq(port.head_stores),
            sequencer.any_match.eq(array.bus.match.any() if config.zero_skip else 0),
        ]

        # Responder counters: the sequencer counts and sets, the plane port loads and drains.
        m.d.comb += [
            responders.tag.eq(tag_unit.tag),
            responders.control.eq(sequencer.count),
            responders.set.eq(sequencer.set_total),
            responders.constant.eq(sequencer.total_constant),
            responders.snapshot.eq(sequencer.snapshot),
            responders.load.eq(port.load_total),
            responders.load_index.eq(port.total_index),
            responders.load_plane.eq(port.total_plane),
            responders.drain.eq(port.drain),
            port.drain_plane.eq(responders.drain_plane),
            sequencer.total_overflow.eq(responders.overflow),
        ]

        # What a host sees.
        m.d.comb += [
            counters.clear.eq(buffer.start),
            counters.counted.eq(sequencer.counted | sequencer.starved),
            counters.owner.eq(sequencer.owner),
            counters.stalled.eq(~run),
            counters.executed.eq(sequencer.executed),
            counters.skipped.eq(sequencer.skipped),
            counters.port_step.eq(port.step),
            counters.operation.eq(sequencer.operation),
            counters.count.eq(responders.count),
            *([counters.other.eq(tag_unit.other)] if config.activity and config.passes == "two_tags" else []),
            counters.index.eq(self.counter_index),
            self.counter_value.eq(counters.value),
            self.done.eq(sequencer.done),
            self.error.eq(sequencer.error),
            self.error_address.eq(sequencer.error_address),
        ]

        # Every cycle is in one state. A wait in decode is for the head of the port's queue, as a beat that stalls is.
        with m.If(sequencer.idle | sequencer.failed):
            m.d.comb += self.state.eq(TileState.IDLE)
        with m.Elif(sequencer.starting | sequencer.starved):
            m.d.comb += self.state.eq(TileState.PROGRAM)
        with m.Elif(~run | sequencer.waiting):
            m.d.comb += self.state.eq(Mux(port.head_stores, TileState.ROOM, TileState.PLANES))
        with m.Else():
            m.d.comb += self.state.eq(TileState.BUSY)
        return m
