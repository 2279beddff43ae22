"""The router of a cluster: five ports, a short queue at each input, copies of multicast flits.

::

                     north
                   in     out
                    |      ^             in --> queue --> head --+--> turn --> out
                    v      |                               |     +--> turn --> out
        west  in -->+------+--> out  east                  |     :
             out <--+      +<-- in                         +-- outputs that took it already
                    |      ^
                    v      |             each output: inputs by turns, one flit each
                   out     in
                     south       and ``local``, to and from the cluster

A flit goes along its row, then along its column. Its destinations are cut into five regions as seen from here: columns
to the east and to the west, its own column to the north and to the south, and this cluster. The host is north of
column 0. The flit is asked for by the output of each region that holds a destination, and each copy keeps those alone.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.component import Component

__all__ = ["PORTS", "TURNS", "FlitBuffer", "Router"]

PORTS = ("north", "east", "south", "west", "local")
"""Ports of a router; the order of the bits of its counters' outputs."""

TURNS = {
    "north": ("north", "east", "south", "west", "local"),
    "east": ("north", "west", "local"),
    "south": ("north", "east", "west", "local"),
    "west": ("east", "local"),
    "local": ("north", "east", "south", "west", "local"),
}
"""Outputs, and the inputs whose flits may ask for them.

From a column into a row only what the host sends may turn, and back to the north only what it sends to itself.
"""


class FlitBuffer(Component):
    """A queue of ``buffer_flits`` flits.

    **Latency**: a flit taken in one cycle is offered in the next. **Throughput**: one flit a cycle. ``ready`` is a
    function of registers alone.

    Members
    -------
    flits_in, flits_out : streams of flits.
    empty : no flit is kept.
    """

    block = "buffer"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.layout = flit_layout(config)
        super().__init__(
            {
                "flits_in": In(stream.Signature(self.layout)),
                "flits_out": Out(stream.Signature(self.layout)),
                "empty": Out(1),
            }
        )
        self.count = Signal(range(config.buffer_flits + 1))
        self.first = Signal(range(config.buffer_flits))
        self.next = Signal(range(config.buffer_flits))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = self.config.buffer_flits - 1

        # Full and empty come from a counter, so no wire leads from one side to the other.
        m.d.comb += [
            self.flits_in.ready.eq(self.count != self.config.buffer_flits),
            self.flits_out.valid.eq(self.count != 0),
            self.empty.eq(self.count == 0),
        ]

        # A ring: the places of the first flit and of the next one that comes.
        push = Signal()
        pop = Signal()
        m.d.comb += [
            push.eq(self.flits_in.valid & self.flits_in.ready),
            pop.eq(self.flits_out.valid & self.flits_out.ready),
        ]
        m.d.sync += self.count.eq(self.count + push - pop)
        for place, moves in ((self.next, push), (self.first, pop)):
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == last, 0, place + 1))

        m.d.comb += Value.cast(self.flits_out.payload).eq(self._store(m, push))
        return m

    def _store(self, m: Module, push: Value) -> Value:
        """Keep what is pushed at ``next``; return what is at ``first``."""
        m.submodules.memory = memory = Memory(shape=self.layout.size, depth=self.config.buffer_flits, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(push),
            write.addr.eq(self.next),
            write.data.eq(Value.cast(self.flits_in.payload)),
            read.addr.eq(self.first),
        ]
        return read.data


class Router(Component):
    """One router of a mesh; all of them are the same.

    **Latency**: a flit that an input takes in cycle t is offered at its outputs in t + 1, unless flits before it wait
    there or another input has its turn. **Throughput**: one flit a cycle at each output and each input. An offered flit
    stays until it is taken. Inputs get an output by turns, for one flit each: one that asks waits for at most one flit
    of each other input. A multicast flit leaves each output when that is free, and its input when all have taken it. A
    flit without destinations is taken and vanishes.

    Members
    -------
    column, row : place in the mesh; constants.
    north_in, north_out, east_in, .. local_out : streams of flits, see :data:`PORTS`.
    empty : no flit waits at an input.
    moved, stalled : a bit for each output, a flit was handed over, or was offered and not taken, in this cycle.
    """

    shared = True
    buffer = FlitBuffer
    """The queue at each input."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.layout = flit_layout(config)
        super().__init__(
            {
                "column": In(bits_for(config.width - 1)),
                "row": In(bits_for(config.height - 1)),
                **{f"{port}_in": In(stream.Signature(self.layout)) for port in PORTS},
                **{f"{port}_out": Out(stream.Signature(self.layout)) for port in PORTS},
                "empty": Out(1),
                "moved": Out(len(PORTS)),
                "stalled": Out(len(PORTS)),
            }
        )
        self.taken = {port: Signal(len(PORTS), name=f"{port}_taken") for port in PORTS}
        self.turn = {port: Signal(len(inputs), init=1, name=f"{port}_turn") for port, inputs in TURNS.items()}
        self.kept = {port: Signal(len(inputs), name=f"{port}_kept") for port, inputs in TURNS.items()}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        buffers = {port: self.buffer(self.config) for port in PORTS}
        for port, buffer in buffers.items():
            m.submodules[f"{port}_buffer"] = buffer
            arriving = getattr(self, f"{port}_in")
            m.d.comb += [
                buffer.flits_in.payload.eq(arriving.payload),
                buffer.flits_in.valid.eq(arriving.valid),
                arriving.ready.eq(buffer.flits_in.ready),
            ]
        m.d.comb += self.empty.eq(Cat(buffer.empty for buffer in buffers.values()).all())

        # What each head still asks for: the outputs with a destination in their region that have not taken it.
        regions, asked = self._regions(m), {port: Signal(len(PORTS), name=f"{port}_asked") for port in PORTS}
        for port, buffer in buffers.items():
            wanted = Cat(
                (buffer.flits_out.payload.destinations & regions[output]).any() & (port in TURNS[output])
                for output in PORTS
            )
            m.d.comb += asked[port].eq(wanted & ~self.taken[port] & buffer.flits_out.valid.replicate(len(PORTS)))

        # Each output serves one input; what it hands over is told to that input.
        handed = {port: Signal(len(PORTS), name=f"{port}_handed") for port in PORTS}
        for index, output in enumerate(PORTS):
            leaving = getattr(self, f"{output}_out")
            grant = self._grant(m, output, Cat(asked[port][index] for port in TURNS[output]))
            head = Signal(self.layout, name=f"{output}_head")
            with m.Switch(grant):
                for place, port in enumerate(TURNS[output]):
                    with m.Case(1 << place):
                        m.d.comb += head.eq(buffers[port].flits_out.payload)
                    m.d.comb += handed[port][index].eq(grant[place] & leaving.ready)
            m.d.comb += [leaving.payload.eq(head), leaving.payload.destinations.eq(head.destinations & regions[output])]
            m.d.comb += [
                self.moved[index].eq(leaving.valid & leaving.ready),
                self.stalled[index].eq(leaving.valid & ~leaving.ready),
            ]

        # A head leaves once every output that it asks for has it.
        for port, buffer in buffers.items():
            left = Signal(name=f"{port}_left")
            m.d.comb += [left.eq((asked[port] & ~handed[port]) == 0), buffer.flits_out.ready.eq(left)]
            m.d.sync += self.taken[port].eq(Mux(left, 0, self.taken[port] | handed[port]))
        return m

    def _regions(self, m: Module) -> dict[str, Signal]:
        """Destinations that lie behind each output; every destination lies behind one."""
        config = self.config
        host, columns, rows = 1 << config.host, range(config.width), range(config.height)
        in_column = [sum(1 << row * config.width + column for row in rows) for column in columns]
        in_row = [sum(1 << row * config.width + column for column in columns) for row in rows]
        regions = {port: Signal(config.clusters + 1, name=f"{port}_region") for port in PORTS}
        own_column, above, own_row, below = (
            Signal(config.clusters + 1, name=name) for name in ("own_column", "above", "own_row", "below")
        )

        # Tables by column and by row; the host lies in column 0, above the first row.
        with m.Switch(self.column):
            for column in columns:
                with m.Case(column):
                    m.d.comb += [
                        own_column.eq(in_column[column] | (0 if column else host)),
                        regions["west"].eq(sum(in_column[:column]) | (host if column else 0)),
                        regions["east"].eq(sum(in_column[column + 1 :])),
                    ]
        with m.Switch(self.row):
            for row in rows:
                with m.Case(row):
                    m.d.comb += [
                        above.eq(sum(in_row[:row]) | host),
                        own_row.eq(in_row[row]),
                        below.eq(sum(in_row[row + 1 :])),
                    ]
        m.d.comb += [
            regions["north"].eq(own_column & above),
            regions["south"].eq(own_column & below),
            regions["local"].eq(own_column & own_row),
        ]
        return regions

    def _grant(self, m: Module, output: str, requests: Value) -> Signal:
        """Which of the inputs that ask for an output it serves, as one bit for each of them."""
        leaving, inputs = getattr(self, f"{output}_out"), len(TURNS[output])
        asked, grant = (Signal(inputs, name=f"{output}_{name}") for name in ("requests", "grant"))
        turn, kept = self.turn[output], self.kept[output]

        # The first one that asks, from the one whose turn it is: subtracting its bit stops at the first 1 above.
        twice, first = Cat(asked, asked), Signal(2 * inputs, name=f"{output}_first")
        m.d.comb += [
            asked.eq(requests),
            first.eq(twice & ~(twice - turn)),
            # What was offered and not taken is offered again.
            grant.eq(Mux(kept.any(), kept, first[:inputs] | first[inputs:])),
            leaving.valid.eq(asked.any()),
        ]
        m.d.sync += kept.eq(Mux(leaving.ready, 0, grant))
        with m.If(leaving.valid):
            m.d.sync += turn.eq(grant.rotate_left(1))
        return grant
