"""The counters of a tile: every cycle of a run has one owner, and events are counted where they happen."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component
from hw.config import TileConfig
from hw.counter_map import COUNTER_BITS, COUNTERS, WRAPPED, counter_index
from hw.isa import Owner
from hw.layouts import micro_operation

__all__ = ["EventCounters"]

OWNER_COUNTERS = {
    Owner.LOAD: "cycles.load",
    Owner.COMPUTE: "cycles.compute",
    Owner.REDUCE: "cycles.reduce",
    Owner.REQUANTIZE: "cycles.requantize",
    Owner.STORE: "cycles.store",
}


class EventCounters(Component):
    """All counters of :data:`hw.counter_map.COUNTERS`, read one at a time.

    **Latency**: a value is shown in the cycle in which its index is applied.

    Members
    -------
    clear : a run starts.
    counted, owner : this cycle belongs to the run, and to whom. stalled : the tile stands still in this cycle.
    executed : an instruction was decoded. port_step : the plane port made a step. skipped : a plane was.
    operation : the micro-operation of this cycle. count : responders of each output, plane by plane. other : the
        second tag register, where its rows are counted.
    index, value : the counter port.
    """

    block = "counters"

    def __init__(self, config: TileConfig):
        self.config = config
        self.two_tags = config.activity and config.passes == "two_tags"
        super().__init__(
            {
                "clear": In(1),
                "counted": In(1),
                "owner": In(Owner),
                "stalled": In(1),
                "executed": In(1),
                "port_step": In(1),
                "skipped": In(1),
                "operation": In(micro_operation(config)),
                "count": In(config.outputs * config.count_bits),
                "index": In(bits_for(len(COUNTERS) - 1)),
                "value": Out(COUNTER_BITS),
            }
            | ({"other": In(config.rows)} if self.two_tags else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, operation = self.config, self.operation
        spills = operation.spill_c | operation.spill_f
        written = _population(operation.write_mask.as_value()) + spills
        writes = operation.write | spills
        running = self.counted & ~self.stalled
        increments: dict[str, Value] = {
            name: running & (self.owner == owner) for owner, name in OWNER_COUNTERS.items()
        } | {
            "cycles.stall": self.counted & self.stalled,
            "events.instructions": running & self.executed,
            "events.compares": running & operation.compare,
            "events.compared_columns": Mux(
                running & operation.compare, _population(operation.mask.as_value()), 0
            ),
            "events.writes": running & writes,
            "events.written_columns": Mux(running & writes, written, 0),
            "events.port_steps": running & self.port_step,
        }  # fmt: skip
        if config.zero_skip:
            increments["events.skipped_planes"] = running & self.skipped
        if config.activity:
            increments |= self._activity(m, running, writes, written, spills)

        carries: list[Value] = []
        values: dict[str, Value] = {}
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
            for index, counter in enumerate(COUNTERS):
                if counter.name in values:
                    with m.Case(index):
                        m.d.comb += self.value.eq(values[counter.name])
                if counter.name == "identity.config":
                    with m.Case(index):
                        m.d.comb += self.value.eq(Const(config.hash, COUNTER_BITS))
        if config.counter_bits < COUNTER_BITS:
            wrapped = Signal()
            with m.If(self.clear):
                m.d.sync += wrapped.eq(0)
            with m.Elif(Cat(carries).any()):
                m.d.sync += wrapped.eq(1)
            with m.If(wrapped & (self.index != counter_index("identity.config"))):
                m.d.comb += self.value[WRAPPED].eq(1)
        return m

    def _activity(
        self, m: Module, running: Value, writes: Value, written: Value, spills: Value
    ) -> dict[str, Value]:  # fmt: skip
        """Rows matched and cells written; the tags of a compare are counted in the cycle after it."""
        config, size = self.config, self.config.outputs
        tagged = Signal(range(config.rows + 1))
        planes = [self.count[bit * size : (bit + 1) * size] for bit in range(config.count_bits)]
        m.d.comb += tagged.eq(_add([_population(plane) << bit for bit, plane in enumerate(planes)]))
        compared = Signal()
        second = Signal()
        with m.If(~self.stalled):
            m.d.sync += [compared.eq(self.counted & self.operation.compare), second.eq(self.operation.second)]
        matched: Value = tagged
        written_rows: Value = tagged
        if self.two_tags:
            others = _population(self.other)
            matched = Mux(second, others, tagged)
            written_rows = Mux(self.operation.second, others, tagged)
        rows = Mux(self.operation.all_rows | spills, config.rows, written_rows)
        return {
            "activity.rows_matched": Mux(compared & ~self.stalled, matched, 0),
            "activity.cells_written": Mux(running & writes, rows * written, 0),
        }


def _population(bits: Value) -> Value:
    """Number of ones, as a balanced tree of adders."""
    return _add(list(bits))


def _add(values: list[Value]) -> Value:
    if not values:
        return Const(0)
    while len(values) > 1:
        pairs = [sum(values[i : i + 2], Const(0, 1)) for i in range(0, len(values), 2)]
        values = pairs
    return values[0]
