"""A mesh with a generator and a checker of flits at each cluster and at the host, for long random traffic.

::

    random numbers --> generator --> mesh --> checker <-- random pauses
                           |                     |
                         due[d] --- equal? --- received[d]         number of flits, and a sum of their hashes

Flits carry their source, a number that rises with each flit of that source, all their destinations and a hash. So a
checker sees by itself what comes twice, too early, changed or at the wrong place; what is lost is missing in its sums.
"""

from enum import IntEnum
from functools import reduce
from operator import add
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.accelerator.mesh import Mesh
from hw.component import Component
from hw.hierarchy import design_text

__all__ = ["Error", "Pattern", "Traffic", "traffic_verilog"]


class Pattern(IntEnum):
    """Where flits go; a node whose destination would be itself keeps silent."""

    UNIFORM = 0
    """Each to any other cluster."""
    TRANSPOSE = 1
    """Cluster (x, y) to cluster (y, x); in a mesh that is no square, number n to the n-th from the end."""
    HOT_SPOT = 2
    """A quarter to the cluster in the middle, others uniform."""
    MULTICAST = 3
    """To random sets, a quarter of all clusters and the host on average."""
    TO_HOST = 4
    """All clusters to the host."""
    FROM_HOST = 5
    """The host to all clusters at once."""
    MIXED = 6
    """Any of the others."""


class Error(IntEnum):
    """Bits of the checkers' errors."""

    STRANGER = 0
    """A flit that was not sent here."""
    DESTINATIONS = 1
    """A copy whose destinations are not this node alone."""
    CONTENT = 2
    """A flit that is not as it was sent."""
    ORDER = 3
    """A flit that came before, or after a later one of its source."""
    UNSTABLE = 4
    """An offer that changed or went away before it was taken."""


def _payload(config: AcceleratorConfig) -> data.StructLayout:
    """What a flit's payload says."""
    rest = config.flit_bits - 40
    assert rest > config.clusters, "the payload must have room for the destinations"
    return data.StructLayout({"number": 32, "source": 8, "destinations": rest})


def _hash(payload: "data.View[data.StructLayout]") -> Value:
    """32 bits that depend on the number and the source."""
    product = (payload.number * Const(0x9E37_79B1, 32) + payload.source * Const(0x85EB_CA6B, 32))[:32]
    return product ^ product[15:]


def _random(m: Module, load: Value, seed: Value, place: Value) -> Signal:
    """A register with 64 random bits in each cycle (xorshift)."""
    state, first, second = (Signal(64, name=name, init=1) for name in ("state", "first", "second"))
    m.d.comb += [first.eq(state ^ (state << 13)), second.eq(first ^ (first >> 7))]
    start = Cat(seed, Const(1, 1), place)
    m.d.sync += state.eq(Mux(load, start, second ^ (second << 17)))
    return state


class Generator(Component):
    """Sends the flits of one node; the inputs below ``flits`` are constants that tell nodes apart."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.nodes = config.clusters + 1
        super().__init__(
            {
                "load": In(1),
                "seed": In(32),
                "run": In(1),
                "pattern": In(Pattern),
                "rate": In(9),
                "flits": Out(stream.Signature(flit_layout(config))),
                "node": In(8),
                "others": In(8),
                "opposite": In(self.nodes),
                "middle": In(self.nodes),
                "taken": Out(1),
                "hash": Out(32),
                "sent": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = _random(m, self.load, self.seed, self.node)
        fresh, mask, payload = Signal(self.nodes), Signal(self.nodes), Signal(_payload(self.config))
        m.d.comb += [
            fresh.eq(self._destinations(m, bits)),
            payload.number.eq(self.sent),
            payload.source.eq(self.node),
            payload.destinations.eq(mask),
            self.hash.eq(_hash(payload)),
            self.flits.payload.destinations.eq(mask),
            Cat(self.flits.payload.unit, self.flits.payload.address).eq(self.hash),
            self.flits.payload.payload.eq(payload),
            self.taken.eq(self.flits.valid & self.flits.ready),
        ]
        with m.If(~self.flits.valid | self.flits.ready):
            m.d.sync += [self.flits.valid.eq(self.run & (bits[:8] < self.rate) & fresh.any()), mask.eq(fresh)]
        m.d.sync += self.sent.eq(self.sent + self.taken)
        return m

    def _destinations(self, m: Module, bits: Signal) -> Signal:
        """The next flit's destinations; none where the node has nothing to send."""
        config, chosen, uniform = self.config, Signal(self.nodes), Signal(self.nodes)
        clusters, host = (1 << config.clusters) - 1, 1 << config.host
        is_host = self.node == config.host

        index = Signal(8)
        m.d.comb += [
            index.eq((bits[8:24] * self.others) >> 16),
            uniform.eq(Mux(self.others > 0, 1 << (index + (index >= self.node)), 0)),
        ]
        choices: dict[Pattern, Any] = {
            Pattern.UNIFORM: uniform,
            Pattern.TRANSPOSE: self.opposite,
            Pattern.HOT_SPOT: Mux(bits[24:26] == 0, self.middle, uniform),
            Pattern.MULTICAST: bits[26:43] & bits[43:60],
            Pattern.TO_HOST: Mux(is_host, 0, host),
            Pattern.FROM_HOST: Mux(is_host, clusters, 0),
        }
        choice = Signal(unsigned(3))
        m.d.comb += choice.eq(Mux(self.pattern == Pattern.MIXED, bits[60:63], Value.cast(self.pattern)))
        with m.Switch(choice):
            for pattern, destinations in choices.items():
                with m.Case(pattern.value):
                    m.d.comb += chosen.eq(destinations)
            with m.Default():
                m.d.comb += chosen.eq(clusters | host)
        return chosen


class Checker(Component):
    """Takes the flits of one node and looks at them."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "load": In(1),
                "seed": In(32),
                "stall": In(8),
                "flits": In(stream.Signature(flit_layout(config))),
                "node": In(8),
                "received": Out(32),
                "received_sum": Out(32),
                "errors": Out(len(Error)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, flit = self.config, self.flits.payload
        bits = _random(m, self.load, ~self.seed, self.node)
        payload, word, taken = Signal(_payload(config)), Signal(32), Signal()
        m.d.comb += [
            self.flits.ready.eq(bits[:8] >= self.stall),
            Value.cast(payload).eq(flit.payload),
            word.eq(_hash(payload)),
            taken.eq(self.flits.valid & self.flits.ready),
        ]
        m.d.sync += self.received.eq(self.received + taken)
        with m.If(taken):
            m.d.sync += self.received_sum.eq(self.received_sum + word)

        # The lowest number that may still come from each source.
        m.submodules.numbers = memory = Memory(shape=32, depth=256, init=[])
        read, write = memory.read_port(domain="comb"), memory.write_port()
        m.d.comb += [
            read.addr.eq(payload.source),
            write.addr.eq(payload.source),
            write.data.eq(payload.number + 1),
            write.en.eq(taken),
        ]

        waiting, before = Signal(), Signal(flit_layout(config))
        m.d.sync += [waiting.eq(self.flits.valid & ~self.flits.ready), before.eq(flit)]
        changed = ~self.flits.valid | (Value.cast(flit) != Value.cast(before))
        here = Signal(config.clusters + 1)
        m.d.comb += here.eq(1 << self.node)
        found = {
            Error.STRANGER: taken & ~(payload.destinations & here).any(),
            Error.DESTINATIONS: taken & (flit.destinations != here),
            Error.CONTENT: taken & (Cat(flit.unit, flit.address) != word),
            Error.ORDER: taken & (payload.number < read.data),
            Error.UNSTABLE: waiting & changed,
        }
        m.d.sync += self.errors.eq(self.errors | Cat(found[error] for error in Error))
        return m


class Account(Component):
    """Adds up what one node will have to receive, from what all nodes send."""

    def __init__(self, config: AcceleratorConfig):
        self.nodes = config.clusters + 1
        super().__init__(
            {
                "sent": In(self.nodes),
                "hashes": In(data.ArrayLayout(32, self.nodes)),
                "due": Out(32),
                "due_sum": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        hashes = (Mux(self.sent[node], self.hashes[node], 0) for node in range(self.nodes))
        m.d.sync += [
            self.due.eq(self.due + reduce(add, iter(self.sent))),
            self.due_sum.eq(self.due_sum + reduce(add, hashes)),
        ]
        return m


class Traffic(Component):
    """A mesh under random traffic. Numbers and sums go on from period to period; a reset is for the start alone.

    Members
    -------
    load, seed : start the random numbers anew; a few cycles later they are well mixed.
    run : generators make flits; each node in ``senders`` with probability ``rate`` / 256 in a cycle in which it could.
    pattern : one of :class:`Pattern`.
    stall : checkers take nothing with probability ``stall`` / 256.
    idle : nothing is on its way.
    sent : flits that each node sent.
    due, due_sums, received, received_sums : flits, and the sum of their hashes, for and at each node.
    errors : bits of :class:`Error` of each node, kept.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.nodes = config.clusters + 1
        numbers = data.ArrayLayout(32, self.nodes)
        super().__init__(
            {
                "load": In(1),
                "seed": In(32),
                "run": In(1),
                "pattern": In(Pattern),
                "senders": In(self.nodes),
                "rate": In(9),
                "stall": In(8),
                "idle": Out(1),
                "sent": Out(numbers),
                "due": Out(numbers),
                "due_sums": Out(numbers),
                "received": Out(numbers),
                "received_sums": Out(numbers),
                "errors": Out(data.ArrayLayout(len(Error), self.nodes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.mesh = mesh = Mesh(config)
        generators = []
        for node in range(self.nodes):
            host = node == config.host
            m.submodules[f"generator_{node}"] = generator = Generator(config)
            m.submodules[f"checker_{node}"] = checker = Checker(config)
            wiring.connect(m, generator.flits, mesh.host_in if host else getattr(mesh, f"cluster_in_{node}"))
            wiring.connect(m, mesh.host_out if host else getattr(mesh, f"cluster_out_{node}"), checker.flits)
            column, row = node % config.width, node // config.width
            square = config.width == config.height
            opposite = column * config.width + row if square else config.clusters - 1 - node
            middle = config.height // 2 * config.width + config.width // 2
            m.d.comb += [
                generator.node.eq(node),
                generator.others.eq(config.clusters - (not host)),
                generator.opposite.eq(0 if host or opposite == node else 1 << opposite),
                generator.middle.eq(0 if middle == node else 1 << middle),
                generator.run.eq(self.run & self.senders[node]),
                generator.pattern.eq(self.pattern),
                generator.rate.eq(self.rate),
                checker.node.eq(node),
                checker.stall.eq(self.stall),
                self.sent[node].eq(generator.sent),
                self.received[node].eq(checker.received),
                self.received_sums[node].eq(checker.received_sum),
                self.errors[node].eq(checker.errors),
            ]
            m.d.comb += [unit.load.eq(self.load) for unit in (generator, checker)]
            m.d.comb += [unit.seed.eq(self.seed) for unit in (generator, checker)]
            generators.append(generator)

        for node in range(self.nodes):
            m.submodules[f"account_{node}"] = account = Account(config)
            m.d.comb += [
                account.sent.eq(Cat(g.taken & g.flits.payload.destinations[node] for g in generators)),
                Value.cast(account.hashes).eq(Cat(g.hash for g in generators)),
                self.due[node].eq(account.due),
                self.due_sums[node].eq(account.due_sum),
            ]
        m.d.comb += self.idle.eq(mesh.empty & ~self.run & ~Cat(g.flits.valid for g in generators).any())
        return m


def traffic_verilog(config: AcceleratorConfig) -> str:
    """The Verilog of the harness, whose top module is ``traffic``."""
    return design_text(Traffic(config), "traffic")
