"""The counters of a macro: every cycle of a run has one owner, and events are counted where they happen."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component
from hw.counter_map import COUNTER_BITS, WRAPPED
from hw.flexspim.config import MacroConfig
from hw.flexspim.counter_map import MACRO_COUNTERS, macro_counter_index

__all__ = ["MacroCounters", "population"]


class MacroCounters(Component):
    """All counters of :data:`hw.flexspim.counter_map.MACRO_COUNTERS`, read one at a time.

    **Latency**: a value is shown in the cycle in which its index is applied.

    Members
    -------
    clear : a run starts.
    counted, stalled : this cycle belongs to the run; the macro stands still in it.
    decoding, moving, operates : what the cycle is spent on.
    last_row : with ``operates``, of the potential.
    plane, load_plane : a control plane, and which of the four it is: their ones are counted as they come.
    spikes, spiked : spikes of this cycle, and whether there are any to count.
    instruction, taken, resets, clips, synaptic, row_in, row_out, event_word, spike_word : what is counted one by one.
    index, value : the counter port.
    """

    block = "counters"

    def __init__(self, config: MacroConfig):
        self.config = config
        flags = (
            "clear", "counted", "stalled", "decoding", "moving", "operates", "last_row", "spiked", "instruction",
            "taken", "resets", "clips", "synaptic", "row_in", "row_out", "event_word", "spike_word",
        )  # fmt: skip
        super().__init__(
            {
                **{name: In(1) for name in flags},
                "plane": In(config.columns),
                "load_plane": In(4),
                "spikes": In(config.columns),
                "index": In(bits_for(len(MACRO_COUNTERS) - 1)),
                "value": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        running = Signal(name="counts")
        counted, ones = Signal(config.columns, name="plane_to_count"), Signal(range(config.columns + 1), name="ones")
        operands, full, last = (
            Signal(range(config.columns + 1), name=f"{name}_count", reset_less=True)
            for name in ("operand", "full", "last")
        )
        active = Signal.like(ones, name="active")
        m.d.comb += [
            running.eq(self.counted & ~self.stalled),
            counted.eq(Mux(self.load_plane.any(), self.plane, Mux(self.spiked, self.spikes, 0))),
            ones.eq(population(m, counted)),
            active.eq(Mux(self.last_row, last, full)),
        ]
        for number, count in enumerate((operands, full, last)):
            with m.If(running & self.load_plane[number]):
                m.d.sync += count.eq(ones)
        operates = running & self.operates
        increments: dict[str, Value] = {
            "cycles.control": running & self.decoding,
            "cycles.move": running & self.moving,
            "cycles.array": operates,
            "cycles.scan": running & ~self.decoding & ~self.moving & ~self.operates,
            "cycles.stall": self.counted & self.stalled,
            "events.instructions": running & self.instruction,
            "events.column_operations": Mux(operates, active, 0),
            "events.standby_columns": Mux(operates, config.columns - active, 0),
            "events.synaptic": Mux(running & self.synaptic, operands, 0),
            "events.inputs": running & self.taken,
            "events.spikes": Mux(running & self.spiked, ones, 0),
            "events.resets": running & self.resets,
            "events.saturations": running & self.clips,
            "events.rows_in": running & self.row_in,
            "events.rows_out": running & self.row_out,
            "events.event_words": running & self.event_word,
            "events.spike_words": running & self.spike_word,
        }
        carries: list[Value] = []
        values: dict[str, Value] = {"identity.config": Const(config.hash, COUNTER_BITS)}
        for name, increment in increments.items():
            value = Signal(config.counter_bits, name=name.replace(".", "_"))
            total = value + increment
            carries.append(total[config.counter_bits])
            with m.If(self.clear):
                m.d.sync += value.eq(0)
            with m.Else():
                m.d.sync += value.eq(total)
            values[name] = value
        with m.Switch(self.index):
            for index, counter in enumerate(MACRO_COUNTERS):
                with m.Case(index):
                    m.d.comb += self.value.eq(values[counter.name])
        if config.counter_bits < COUNTER_BITS:
            wrapped = Signal(name="wrapped")
            with m.If(self.clear):
                m.d.sync += wrapped.eq(0)
            with m.Elif(Cat(carries).any()):
                m.d.sync += wrapped.eq(1)
            with m.If(wrapped & (self.index != macro_counter_index("identity.config"))):
                m.d.comb += self.value[WRAPPED].eq(1)
        return m


def population(m: Module, bits: Value) -> Value:
    """Number of ones, added in fields of 1, 2, 4, ... bits, all fields of a size in one addition."""
    width, size = len(bits), 1
    while size < width:
        mask = sum(((1 << size) - 1) << place for place in range(0, width, 2 * size))
        fields = Signal(width, name=f"ones_in_{2 * size}")
        m.d.comb += fields.eq((bits & mask) + ((bits >> size) & mask))
        bits, size = fields, size * 2
    return bits
