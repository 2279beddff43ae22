"""The gather unit of a cluster: forms the windows of a convolution from the feature map in its memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.gather_address import GatherAddress, row_layout
from hw.accelerator.gather_align import GatherAlign
from hw.accelerator.gather_memory import GatherMemory
from hw.accelerator.gather_queue import GatherQueue
from hw.accelerator.gather_registers import GatherRegisters
from hw.accelerator.protocol import ADDRESS_BITS, REGISTER_BITS, UNIT_BITS, GatherRegister
from hw.component import Component

__all__ = ["GatherUnit"]


class GatherUnit(Component):
    """Memory, registers, address generator, lanes and queue of a gather unit.

    **Latency**: the first beat shows GATHER_LATENCY + OUT_ROWS cycles after ``go``; see
    :mod:`golden.accelerator.gather_law`. A wrong register is told two cycles after ``go``.
    **Throughput**: one output row a cycle, a beat every OUT_ROWS cycles.

    Members
    -------
    write, write_address, write_data : a flit for the memory.
    register_write, register_index, register_data : a write to a shadow register; RECEIVERS arms.
    go : start if armed; only while idle.
    beat, beat_valid, beat_taken : the beat, which tiles may take it, and which do. A tile is shown each beat until it
        took it, and nothing from then on until all others have.
    idle : no job runs, and no beat waits.
    working : an output row is formed in this cycle.
    blocked : none is, as the queue is full.
    descriptor_error, descriptor_register : the job that was to start has this register out of its range; for a cycle.
    """

    block = "gather"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "write": In(1),
                "write_address": In(ADDRESS_BITS),
                "write_data": In(config.flit_bits),
                "register_write": In(1),
                "register_index": In(range(len(GatherRegister))),
                "register_data": In(REGISTER_BITS),
                "go": In(1),
                "beat": Out(config.lanes * config.outputs),
                "beat_valid": Out(config.tiles),
                "beat_taken": In(config.tiles),
                "idle": Out(1),
                "working": Out(1),
                "blocked": Out(1),
                "descriptor_error": Out(1),
                "descriptor_register": Out(UNIT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.memory = memory = GatherMemory(config)
        m.submodules.registers = registers = GatherRegisters(config)
        m.submodules.address = address = GatherAddress(config)
        m.submodules.align = align = GatherAlign(config)
        m.submodules.queue = queue = GatherQueue(config)

        # What comes from outside.
        m.d.comb += [
            memory.write.eq(self.write),
            memory.write_address.eq(self.write_address),
            memory.write_data.eq(self.write_data),
            registers.register_write.eq(self.register_write),
            registers.register_index.eq(self.register_index),
            registers.register_data.eq(self.register_data),
            registers.go.eq(self.go),
            self.descriptor_error.eq(registers.descriptor_error),
            self.descriptor_register.eq(registers.descriptor_register),
        ]

        # First stage: the address. It begins before the registers were checked, and is called back if one is wrong.
        cancel = registers.descriptor_error
        advance = Signal()
        m.d.comb += [
            address.start.eq(registers.start),
            address.shadow.eq(registers.shadow),
            address.job.eq(registers.job),
            address.set_words.eq(registers.set_words),
            address.cancel.eq(cancel),
            address.step.eq(advance),
            memory.read.eq(advance & address.running),
            memory.read_address.eq(address.address),
        ]

        # Second stage: the words are here; it stands still, and the first one with it, while its beat has no room.
        here = Signal()
        row = Signal(row_layout(config))
        assembled = Signal(config.lanes * config.outputs)
        with m.If(advance):
            m.d.sync += [here.eq(address.running & ~cancel), row.eq(address.row)]
        m.d.comb += [
            self.blocked.eq(here & row.last & queue.full),
            advance.eq(~self.blocked),
            self.working.eq(here & advance & ~cancel),
            align.job.eq(registers.job),
            align.row.eq(row),
            align.words.eq(memory.data),
        ]

        # Rows of a beat are put together; the last one goes right into the queue.
        merged = Signal.like(assembled)
        m.d.comb += [
            merged.eq(Mux(row.first, 0, assembled) | align.placed),
            queue.push.eq(self.working & row.last),
            queue.pushed.eq(merged),
            queue.receivers.eq(registers.job.receivers),
            queue.beat_taken.eq(self.beat_taken),
            self.beat.eq(queue.beat),
            self.beat_valid.eq(queue.beat_valid),
            self.idle.eq(~(address.running | here) & ~queue.occupied),
        ]
        with m.If(self.working):
            m.d.sync += assembled.eq(merged)
        return m
