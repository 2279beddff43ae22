"""A cluster: tiles that are fed by a gather unit and by flits, and a sender for what comes out.

::

    flits in --> decoder --> gather unit --+--> CAP 0 --+
                    |                      +--> CAP 1 --+--> collector --> MAP --> sender --> flits out
                    +--> programs, taps, registers
"""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.accelerator.collector import Collector
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.counters import COUNTED_STATES, CounterBank, cluster_events
from hw.accelerator.gather import GatherUnit
from hw.accelerator.layouts import flit_layout
from hw.accelerator.protocol import UNIT_BITS, AcceleratorError, Unit, Waiting, unit_size
from hw.accelerator.sender import Sender
from hw.accelerator.tile_slot import TileSlot
from hw.component import Component
from hw.counter_map import COUNTER_BITS, COUNTERS
from hw.isa import ErrorCode, TileState

__all__ = ["COUNTER_INDEX_BITS", "Cluster"]

COUNTER_INDEX_BITS = 16
DETAIL_BITS = 32


class Cluster(Component):
    """Tiles, gather unit and sender of one place of the mesh; ``docs/accelerator.md`` is its contract.

    **Latency**: a flit is written in the cycle in which it is taken; ``go`` is heard in the same cycle by all units.
    An error shows in the cycle after a unit raised it. **Throughput**: a flit a cycle in, and one out.

    Members
    -------
    flit_in, flit_out : streams of flits; ``flit_in`` is always ready.
    go : every armed unit starts; only while ``idle``.
    idle : no unit is at work.
    error, error_unit, error_detail : the first error, kept; :class:`hw.accelerator.protocol.AcceleratorError`.
    waiting_unit, waiting_state : the unit with the lowest number that waits, and for what:
        :class:`hw.accelerator.protocol.Waiting`, NOTHING where none does.
    progress : in the cycle before, a unit worked, or something moved.
    counter_index, counter_value : the counters of :func:`hw.accelerator.counters.cluster_counters`; the value is that
        of the index of the cycle before, 0 beyond the last counter.
    snapshot : the counters that the cluster itself counts are kept for the port as they are now.
    """

    shared = True

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "flit_in": In(stream.Signature(flit_layout(config))),
                "flit_out": Out(stream.Signature(flit_layout(config))),
                "go": In(1),
                "idle": Out(1),
                "error": Out(AcceleratorError),
                "error_unit": Out(UNIT_BITS),
                "error_detail": Out(DETAIL_BITS),
                "waiting_unit": Out(UNIT_BITS),
                "waiting_state": Out(Waiting),
                "progress": Out(1),
                "counter_index": In(COUNTER_INDEX_BITS),
                "counter_value": Out(COUNTER_BITS),
                "snapshot": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.gather = gather = GatherUnit(config)
        m.submodules.sender = sender = Sender(config)
        caps = {f"cap_{number}": TileSlot(config, "cap") for number in range(config.caps)}
        maps = {f"map_{number}": TileSlot(config, "map") for number in range(config.maps)}
        for name, slot in (caps | maps).items():
            m.submodules[name] = slot
        slots = [*caps.values(), *maps.values()]
        self._decode(m, gather, sender, slots)
        self._join(m, gather, sender, slots)
        self._report(m, gather, sender, slots)
        self._count(m, gather, sender, slots)
        return m

    def _decode(self, m: Module, gather: GatherUnit, sender: Sender, slots: list[Any]) -> None:
        """A flit is a write to a unit, if the unit is there and has such an address."""
        flit = self.flit_in.payload
        size = Signal(32)
        writes = Signal()
        strobes: dict[int, Any] = {
            Unit.GATHER_MEMORY: gather.write,
            Unit.GATHER: gather.register_write,
            Unit.SENDER: sender.register_write,
        }
        for number, slot in enumerate(slots):
            strobes[Unit.TILE + number] = slot.register_write
            strobes[Unit.PROGRAM + number] = slot.program_write
            strobes[Unit.TAPS + number] = slot.taps_write
        with m.Switch(flit.unit):
            for unit, strobe in strobes.items():
                with m.Case(unit):
                    m.d.comb += [size.eq(unit_size(unit, self.config)), strobe.eq(writes)]
        self._bad_unit = Signal()
        self._bad_address = Signal()
        m.d.comb += [
            self.flit_in.ready.eq(1),
            writes.eq(self.flit_in.valid & (flit.address < size)),
            self._bad_unit.eq(self.flit_in.valid & (size == 0)),
            self._bad_address.eq(self.flit_in.valid & (size != 0) & (flit.address >= size)),
        ]
        for unit in (gather, *slots):
            m.d.comb += [unit.write_address.eq(flit.address), unit.write_data.eq(flit.payload)]
        for unit in (gather, sender, *slots):
            m.d.comb += [
                unit.register_index.eq(flit.address),
                unit.register_data.eq(flit.payload),
                unit.go.eq(self.go),
            ]

    def _join(self, m: Module, gather: GatherUnit, sender: Sender, slots: list[Any]) -> None:
        """Planes from the gather unit to all tiles, words from CAPs to their MAP, and from MAPs to the sender."""
        config = self.config
        m.d.comb += gather.beat_taken.eq(Cat(slot.beat_taken for slot in slots))
        for number, slot in enumerate(slots):
            m.d.comb += [slot.beat.eq(gather.beat), slot.beat_valid.eq(gather.beat_valid[number])]
        for number, slot in enumerate(slots[config.caps :]):
            caps = [cap for index, cap in enumerate(slots[: config.caps]) if config.map_of(index) == number]
            m.submodules[f"collector_{number}"] = collector = Collector(len(caps), config.outputs)
            m.d.comb += [
                collector.go.eq(self.go),
                collector.armed.eq(Cat(cap.armed for cap in caps)),
                collector.last.eq(Cat(cap.plane_out_last for cap in caps)),
            ]
            for index, cap in enumerate(caps):
                _connect(m, cap.plane_out, getattr(collector, f"words_{index}"))
            _connect(m, collector.words, slot.block_in)
            _connect(m, slot.plane_out, getattr(sender, f"words_{number}"))
        _connect(m, sender.flits, self.flit_out)

    def _report(self, m: Module, gather: GatherUnit, sender: Sender, slots: list[Any]) -> None:
        """What the command sequencer and its watchdog look at; of several units the one with the lowest number."""
        tiles = [(Unit.TILE + number, slot) for number, slot in enumerate(slots)]
        m.d.comb += self.idle.eq(Cat(unit.idle for unit in (gather, sender, *slots)).all())

        flit = self.flit_in.payload
        faults: list[tuple[Value, AcceleratorError, Any, Any]] = [
            (self._bad_unit, AcceleratorError.UNIT, flit.unit, 0),
            (self._bad_address, AcceleratorError.ADDRESS, flit.unit, flit.address),
            (gather.descriptor_error, AcceleratorError.DESCRIPTOR, Unit.GATHER, gather.descriptor_register),
            (sender.descriptor_error, AcceleratorError.DESCRIPTOR, Unit.SENDER, sender.descriptor_register),
            (sender.address_error, AcceleratorError.ADDRESS, Unit.SENDER, sender.error_address),
            *(
                (slot.error != ErrorCode.NONE, AcceleratorError.TILE, unit, slot.error | slot.error_address << 8)
                for unit, slot in tiles
            ),
        ]
        with m.If(self.error == AcceleratorError.NONE):
            for raised, code, unit, detail in reversed(faults):
                with m.If(raised):
                    m.d.sync += [self.error.eq(code), self.error_unit.eq(unit), self.error_detail.eq(detail)]

        waits: list[tuple[Value, int, Any]] = [
            (~gather.idle & ~gather.working, Unit.GATHER, Waiting.TILES),
            (sender.waiting != Waiting.NOTHING, Unit.SENDER, sender.waiting),
            *(
                ((slot.state != TileState.IDLE) & (slot.state != TileState.BUSY), unit, slot.state)
                for unit, slot in tiles
            ),
        ]
        for waiting, unit, state in reversed(waits):
            with m.If(waiting):
                m.d.comb += [self.waiting_unit.eq(unit), self.waiting_state.eq(state)]

        works = [slot.works for slot in slots]
        m.d.sync += self.progress.eq(Cat(*works, gather.working, sender.sent, self.flit_in.valid).any())

    def _count(self, m: Module, gather: GatherUnit, sender: Sender, slots: list[Any]) -> None:
        """The cluster's own counters, copied all at once, and those of the tiles."""
        own = len(cluster_events(self.config))
        m.submodules.counters = bank = CounterBank(own)
        states = Cat(slot.state == state for slot in slots for state in COUNTED_STATES)
        m.d.comb += [
            bank.events.eq(Cat(states, gather.working, gather.blocked, sender.sent, sender.blocked)),
            bank.snapshot.eq(self.snapshot),
            bank.index.eq(self.counter_index),
        ]
        value = Signal(COUNTER_BITS)
        with m.If(self.counter_index < own):
            m.d.comb += value.eq(bank.value)
        for number, slot in enumerate(slots):
            first = own + number * len(COUNTERS)
            index = self.counter_index - first
            m.d.comb += slot.counter_index.eq(index)
            with m.If((self.counter_index >= first) & (self.counter_index < first + len(COUNTERS))):
                m.d.comb += value.eq(slot.counter_value)
        m.d.sync += self.counter_value.eq(value)


def _connect(m: Module, source: Any, sink: Any) -> None:
    """One way."""
    m.d.comb += [sink.payload.eq(source.payload), sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
