"""The accelerator: clusters on a mesh, and the host's port.

::

    s_axis --> command sequencer --> mesh --> queue --> m_axis
                    | go              ^|
                    +-------------> clusters
                                       |
    s_axi <--> registers <-- counters, watchdog, first error

Two reset domains share the clock: ``sync`` for the registers, ``core`` for all else, which the host can reset as well.
"""

from typing import Any

from amaranth.hdl import Cat, ClockDomain, DomainRenamer, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from hw.accelerator.cluster import Cluster
from hw.accelerator.command_sequencer import CommandSequencer
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.host_queue import HostQueue
from hw.accelerator.link_counters import LinkCounters
from hw.accelerator.mesh import Mesh
from hw.accelerator.protocol import AcceleratorError, Waiting
from hw.accelerator.register_map import STREAM_IN, STREAM_OUT, register
from hw.accelerator.registers import AXI_LITE, RegisterPort
from hw.accelerator.run_counters import RunCounters
from hw.accelerator.watchdog import Watchdog
from hw.component import Component

__all__ = ["Accelerator"]

CLUSTER_BITS, UNIT_BITS, DETAIL_BITS = 8, 8, 32

_CORE = DomainRenamer("core")
"""Puts a component into the reset domain that the host can reset."""


class Accelerator(Component):
    """A whole accelerator; ``docs/accelerator.md`` is its contract, ``docs/registers.md`` that of its registers.

    **Latency**: a word of a WRITE's payload that is taken in cycle t is in the first router in t + 1. A word for the
    host is offered in the cycle after it left the mesh. An error stops the command sequencer in the cycle after it was
    raised. **Throughput**: one word a cycle on each of the host's streams.

    Members
    -------
    clk, rst : the clock, and a synchronous reset of everything.
    s_axi_* : AXI4-Lite slave of 32 bits, see :class:`hw.accelerator.registers.RegisterPort`.
    s_axis_* : AXI4-Stream slave of F bits, the command stream. Words are taken while a run is under way. TLAST is not
        looked at: commands say how long they are.
    m_axis_* : AXI4-Stream master of F bits, words for the host. TLAST comes with every PACKET_WORDS-th word since the
        last reset or stop. A stop drops a word that waits.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                **AXI_LITE,
                "s_axis_tdata": In(config.flit_bits),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(config.flit_bits),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        # The host's stop resets everything but the registers, for one cycle.
        sync: Any = ClockDomain("sync")
        core_domain: Any = ClockDomain("core")
        sync.clk, sync.rst, core_domain.clk = self.clk, self.rst, self.clk
        m.domains += [sync, core_domain]
        m.submodules.registers = registers = RegisterPort(config)
        control = register("CONTROL")
        stop = Signal()
        m.d.sync += stop.eq(registers.control[control.field("stop").low])
        m.d.comb += core_domain.rst.eq(self.rst | stop)
        for name in AXI_LITE:
            ours, theirs = getattr(self, name), getattr(registers, name)
            m.d.comb += ours.eq(theirs) if self.signature.members[name].flow == Out else theirs.eq(ours)
        self._build_core(m, registers)
        return m

    def _build_core(self, m: Module, registers: RegisterPort) -> None:
        """All that a stop resets."""
        config, control = self.config, register("CONTROL")
        sequencer, mesh, queue = CommandSequencer(config), Mesh(config), HostQueue(config)
        counters, watchdog = RunCounters(), Watchdog()
        clusters = [Cluster(config) for _ in range(config.clusters)]
        parts = {"sequencer": sequencer, "mesh": mesh, "queue": queue, "counters": counters, "watchdog": watchdog}
        for name, part in (parts | {f"cluster_{number}": cluster for number, cluster in enumerate(clusters)}).items():
            m.submodules[name] = _CORE(part)

        # Streams of the host.
        m.d.comb += [
            sequencer.words.payload.eq(self.s_axis_tdata),
            sequencer.words.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(sequencer.words.ready),
            self.m_axis_tdata.eq(queue.words.payload),
            self.m_axis_tvalid.eq(queue.words.valid),
            self.m_axis_tlast.eq(queue.last),
            queue.words.ready.eq(self.m_axis_tready),
            queue.packet_words.eq(registers.packet_words),
        ]

        # The mesh.
        _connect(m, sequencer.flits, mesh.host_in)
        _connect(m, mesh.host_out, queue.flits)
        for number, cluster in enumerate(clusters):
            _connect(m, getattr(mesh, f"cluster_out_{number}"), cluster.flit_in)
            _connect(m, cluster.flit_out, getattr(mesh, f"cluster_in_{number}"))

        # Runs and phases.
        idle = Cat(cluster.idle for cluster in clusters)
        m.d.comb += [
            sequencer.start.eq(registers.control[control.field("start").low]),
            sequencer.clusters_idle.eq(idle),
            sequencer.mesh_empty.eq(mesh.empty),
            sequencer.host_empty.eq(queue.empty),
        ]
        for cluster in clusters:
            m.d.comb += [
                cluster.go.eq(sequencer.go),
                cluster.snapshot.eq(registers.control[control.field("snapshot").low]),
                cluster.counter_index.eq(registers.counter_select),
            ]

        self._count(m, registers, sequencer, counters, queue)
        self._show_counters(m, registers, sequencer, mesh, clusters)
        self._watch(m, registers, sequencer, mesh, clusters, watchdog, queue)

    def _count(
        self, m: Module, registers: RegisterPort, sequencer: CommandSequencer, counters: RunCounters, queue: HostQueue
    ) -> None:
        """What the host port counts, and its registers."""
        m.d.comb += [
            counters.begins.eq(sequencer.begins),
            counters.running.eq(sequencer.running),
            counters.go.eq(sequencer.go),
            counters.phase.eq(sequencer.phases),
            counters.word_in.eq(sequencer.taken),
            counters.waits_in.eq(sequencer.waiting_words),
            counters.word_out.eq(queue.words.valid & queue.words.ready),
            counters.waits_out.eq(queue.words.valid & ~queue.words.ready),
            counters.phase_select.eq(registers.phase_select),
            registers.phases.eq(sequencer.phases),
            *(
                getattr(registers, name).eq(getattr(counters, name))
                for name in ("cycles", "phase_cycle", "words_in", "words_out", "waiting_in", "waiting_out")
            ),
        ]

    def _show_counters(
        self,
        m: Module,
        registers: RegisterPort,
        sequencer: CommandSequencer,
        mesh: Mesh,
        clusters: list[Any],
    ) -> None:
        """The chosen counter of a cluster, and the chosen link of a router."""
        select = register("LINK_SELECT")
        router, port = (_part(registers.link_select, select.field(name).low, select.field(name).width) for name in
                        ("router", "port"))  # fmt: skip
        for number, cluster in enumerate(clusters):
            with m.If(registers.counter_cluster == number):
                m.d.comb += registers.counter.eq(cluster.counter_value)
            links = LinkCounters()
            m.submodules[f"links_{number}"] = _CORE(links)
            m.d.comb += [
                links.begins.eq(sequencer.begins),
                links.running.eq(sequencer.running),
                links.moved.eq(getattr(mesh, f"moved_{number}")),
                links.stalled.eq(getattr(mesh, f"stalled_{number}")),
                links.port.eq(port),
            ]
            with m.If(router == number):
                m.d.comb += [registers.link_flits.eq(links.flits), registers.link_stalls.eq(links.stalls)]

    def _watch(
        self,
        m: Module,
        registers: RegisterPort,
        sequencer: CommandSequencer,
        mesh: Mesh,
        clusters: list[Any],
        watchdog: Watchdog,
        queue: HostQueue,
    ) -> None:
        """The first error, with its place, and what it stops."""
        host = self.config.host
        word_taken = queue.words.valid & queue.words.ready
        moved = Cat(getattr(mesh, f"moved_{number}") for number in range(self.config.clusters)).any()
        working = Cat(cluster.progress for cluster in clusters).any()
        m.d.comb += [
            watchdog.running.eq(sequencer.running),
            watchdog.limit.eq(registers.watchdog),
            watchdog.progress.eq(sequencer.taken | word_taken | moved | working),
        ]

        # What is waited for: the host to take a word, a unit of the first cluster in which one waits, the next word.
        cluster = Signal(CLUSTER_BITS)
        unit = Signal(UNIT_BITS)
        state = Signal(Waiting)
        m.d.comb += [cluster.eq(host), unit.eq(STREAM_IN)]
        for number, candidate in reversed(list(enumerate(clusters))):
            with m.If(candidate.waiting_state != Waiting.NOTHING):
                m.d.comb += [cluster.eq(number), unit.eq(candidate.waiting_unit), state.eq(candidate.waiting_state)]
        with m.If(~queue.empty):
            m.d.comb += [cluster.eq(host), unit.eq(STREAM_OUT), state.eq(Waiting.ROOM)]

        # Where several errors come in one cycle the clusters are first, the lowest before the others.
        raised: list[tuple[Value, Value | int, Value, Value]] = [
            (each.error, number, each.error_unit, each.error_detail) for number, each in enumerate(clusters)
        ]
        raised.append((sequencer.error, host, sequencer.error_unit, sequencer.error_detail))
        bite = Signal(AcceleratorError)
        with m.If(watchdog.bites):
            m.d.comb += bite.eq(AcceleratorError.WATCHDOG)
        raised.append((bite, cluster, unit, state))
        error = Signal(AcceleratorError)
        sizes = {"cluster": CLUSTER_BITS, "unit": UNIT_BITS, "detail": DETAIL_BITS}
        place = [Signal(bits, name=f"error_{part}") for part, bits in sizes.items()]
        first = Signal(AcceleratorError)
        seen = [Signal(bits, name=f"first_{part}") for part, bits in sizes.items()]
        for code, *where in reversed(raised):
            with m.If(code != AcceleratorError.NONE):
                m.d.comb += [first.eq(code), *(part.eq(value) for part, value in zip(seen, where, strict=True))]
        with m.If(error == AcceleratorError.NONE):
            m.d.core += [error.eq(first), *(kept.eq(part) for kept, part in zip(place, seen, strict=True))]
        m.d.comb += sequencer.halt.eq(first != AcceleratorError.NONE)

        # Registers of the run.
        fields, status = register("ERROR"), register("STATUS")
        bits = {
            "running": sequencer.running,
            "done": sequencer.done,
            "error": error != AcceleratorError.NONE,
            "idle": sequencer.clusters_idle.all() & mesh.empty & queue.empty,
        }
        for name, value in bits.items():
            m.d.comb += registers.status[status.field(name).low].eq(value)
        for name, value in zip(("code", "cluster", "unit"), (error, *place[:2]), strict=True):
            field = fields.field(name)
            m.d.comb += _part(registers.error, field.low, field.width).eq(value)
        m.d.comb += registers.error_detail.eq(place[2])


def _part(value: Value, low: int, width: int) -> Value:
    """Some bits."""
    return value[low : low + width]


def _connect(m: Module, source: Any, sink: Any) -> None:
    """One way."""
    m.d.comb += [sink.payload.eq(source.payload), sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
