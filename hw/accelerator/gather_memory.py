"""The gather memory: words of feature maps, as many side by side as the accelerator has lanes."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import ADDRESS_BITS
from hw.component import Component

__all__ = ["GatherMemory"]


class GatherMemory(Component):
    """L banks of ``gather_words`` words of S bits; word address a is at bank address a // L of lane a mod L.

    **Latency**: data comes in the cycle after ``read``, and stays until the next one. A flit is there for reads of the
    next cycle.
    **Throughput**: one address of all banks, and one flit, a cycle.

    Members
    -------
    write, write_address, write_data : a flit, at word address * S/F + part, an address that the unit has.
    read, read_address, data : the words of all lanes at one bank address, lane 0 lowest.
    """

    block = "memory"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "write": In(1),
                "write_address": In(ADDRESS_BITS),
                "write_data": In(config.flit_bits),
                "read": In(1),
                "read_address": In(ceil_log2(config.gather_words)),
                "data": Out(config.lanes * config.outputs),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, parts = self.config, self.config.flits_per_word

        # Where a flit goes: lanes are a power of two, parts of a word need not be.
        part = Signal(range(parts))
        lane = Signal(range(config.lanes))
        word = Signal(ADDRESS_BITS)
        address = Signal(ceil_log2(config.gather_words))
        m.d.comb += [
            part.eq(self.write_address % parts),
            word.eq(self.write_address // parts),
            lane.eq(word),
            address.eq(word >> ceil_log2(config.lanes)),
        ]

        # One bank for each lane; they are written apart and read together.
        data: list[Value] = []
        for index in range(config.lanes):
            bank = memory.Memory(shape=unsigned(config.outputs), depth=config.gather_words, init=[])
            m.submodules[f"bank_{index}"] = bank
            write = bank.write_port(granularity=config.flit_bits if parts > 1 else None)
            read = bank.read_port()
            data.append(read.data)
            here = self.write & (lane == index)
            m.d.comb += [
                write.addr.eq(address),
                write.data.eq(self.write_data.replicate(parts)),
                write.en.eq(Cat(here & (part == p) for p in range(parts))),
                read.addr.eq(self.read_address),
                read.en.eq(self.read),
            ]
        m.d.comb += self.data.eq(Cat(data))
        return m
