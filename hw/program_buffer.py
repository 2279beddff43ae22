"""The program port: checks a header, keeps instructions for loops, and shows the next one.

A circular buffer of ``program_depth`` instructions. Words are taken as long as none that is still needed would be
overwritten: nothing before the program counter, or before the outermost loop's body, is needed any more.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component
from hw.config import TileConfig
from hw.isa import INSTRUCTION_BITS, MAGIC, VERSION, ErrorCode
from hw.layouts import HEADER, INSTRUCTION

__all__ = ["ProgramBuffer"]


class ProgramBuffer(Component):
    """Header check, circular instruction buffer, program counter and loop stack.

    **Latency**: an instruction is shown from the cycle after its word was taken. **Throughput**: one per cycle.

    Members
    -------
    program : stream of 128-bit words: a header, then as many instructions as it announces.
    idle : no program runs; the next word is a header.
    start : in this cycle a header was taken.
    header_error : with ``start``: the code that refuses it, or NONE.
    advance : the shown instruction is done with decoding; ``run`` gates what this component changes.
    loop, loop_end : with ``advance``: it was a LOOP or an END.
    instruction, available : the instruction at the program counter.
    ended : the program counter is past the last instruction.
    overflow : the shown instruction is beyond what a loop body may hold, ``program_depth - 1`` instructions.
    counter : address of the shown instruction.
    in_loop, loops_full : whether a loop is open, and whether no further one may be opened.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "idle": In(1),
                "start": Out(1),
                "header_error": Out(ErrorCode),
                "run": In(1),
                "advance": In(1),
                "loop": In(1),
                "loop_end": In(1),
                "instruction": Out(INSTRUCTION),
                "available": Out(1),
                "ended": Out(1),
                "overflow": Out(1),
                "counter": Out(32),
                "in_loop": Out(1),
                "loops_full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.store = store = memory.Memory(shape=INSTRUCTION_BITS, depth=config.program_depth, init=[])
        read, write = store.read_port(domain="comb"), store.write_port()
        header = data.View(HEADER, self.program.payload)
        length = Signal(32)
        received = Signal(32)

        # A header is taken while nothing runs, and refused by code.
        m.d.comb += self.start.eq(self.idle & self.program.valid)
        with m.If(header.magic != MAGIC):
            m.d.comb += self.header_error.eq(ErrorCode.MAGIC)
        with m.Elif(header.version != VERSION):
            m.d.comb += self.header_error.eq(ErrorCode.VERSION)
        with m.Elif(header.config != config.hash):
            m.d.comb += self.header_error.eq(ErrorCode.CONFIG)

        # Loops: the body's first address and the rounds that are left.
        depth = Signal(range(config.loop_depth + 1))
        starts = Array(Signal(32, name=f"loop_start_{i}") for i in range(config.loop_depth))
        rounds = Array(Signal(32, name=f"loop_rounds_{i}") for i in range(config.loop_depth))
        innermost = Signal(range(config.loop_depth))
        again = Signal()
        m.d.comb += [
            innermost.eq(depth - 1),
            self.in_loop.eq(depth != 0),
            self.loops_full.eq(depth == config.loop_depth),
            again.eq(self.loop_end & (rounds[innermost] != 1)),
        ]
        following = self.counter + 1

        # Words go into the circular buffer unless they would overwrite one that is still needed.
        needed = Signal(32)
        full = Signal()
        taken = Signal()
        m.d.comb += [
            needed.eq(Mux(self.in_loop, starts[0], self.counter)),
            full.eq(received - needed >= config.program_depth),
            taken.eq(~self.idle & self.program.valid & self.program.ready),
            self.program.ready.eq(self.idle | ((received != length) & ~full)),
            write.addr.eq(received),
            write.data.eq(self.program.payload),
            write.en.eq(taken),
        ]

        # The instruction at the program counter.
        m.d.comb += [
            read.addr.eq(self.counter),
            self.instruction.eq(read.data),
            self.available.eq((received > self.counter) & ~self.overflow),
            self.ended.eq(self.counter == length),
            # A body leaves one place free for what follows the loop, which would else arrive a cycle late.
            self.overflow.eq(self.in_loop & (self.counter - starts[0] >= config.program_depth - 1)),
        ]

        with m.If(self.start):
            m.d.sync += [length.eq(header.length), received.eq(0), self.counter.eq(0), depth.eq(0)]
        with m.If(taken):
            m.d.sync += received.eq(received + 1)
        with m.If(self.run & self.advance):
            m.d.sync += self.counter.eq(Mux(again, starts[innermost], following))
            with m.If(self.loop):
                m.d.sync += [
                    depth.eq(depth + 1),
                    starts[depth[: bits_for(config.loop_depth - 1)]].eq(following),
                    rounds[depth[: bits_for(config.loop_depth - 1)]].eq(self.instruction.constant[:32]),
                ]
            with m.Elif(self.loop_end):
                m.d.sync += rounds[innermost].eq(rounds[innermost] - 1)
                with m.If(~again):
                    m.d.sync += depth.eq(depth - 1)
        return m
