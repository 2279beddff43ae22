"""The program port: checks a header, keeps instructions for loops, and shows the next one.

A circular buffer of ``program_depth`` instructions. Words are taken as long as none that is still needed would be
overwritten: nothing before the program counter, or before the outermost loop's body, is needed any more.

The buffer is a memory that is read at the clock edge, so that any block RAM will do: with the address of the next
instruction, ahead of the cycle that shows it. A word that arrives too late for that is shown from a register.
"""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
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
    running : the instruction that ``advance`` left behind last.
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
                "running": Out(INSTRUCTION),
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
        shown, left, write = store.read_port(), store.read_port(), store.write_port()
        header = data.View(HEADER, self.program.payload)
        # Addresses differ by less than twice the buffer's length: so many low bits tell them apart.
        bits = bits_for(config.program_depth)
        place, above = self.counter[:bits], self.counter[bits:]
        received = Signal(bits)
        missing = Signal(32, name="words_to_come")

        # A header is taken while nothing runs, and refused by code.
        m.d.comb += self.start.eq(self.idle & self.program.valid)
        with m.If(header.magic != MAGIC):
            m.d.comb += self.header_error.eq(ErrorCode.MAGIC)
        with m.Elif(header.version != VERSION):
            m.d.comb += self.header_error.eq(ErrorCode.VERSION)
        with m.Elif(header.config != config.hash):
            m.d.comb += self.header_error.eq(ErrorCode.CONFIG)

        # Loops, the innermost one first: the low bits of the body's first address, and the rounds that are left.
        depth = Signal(range(config.loop_depth + 1))
        starts = [Signal(bits, name=f"loop_start_{i}") for i in range(config.loop_depth)]
        rounds = [Signal(32, name=f"loop_rounds_{i}") for i in range(config.loop_depth)]
        outermost = Signal(bits)
        again = Signal()
        m.d.comb += [
            self.in_loop.eq(depth != 0),
            self.loops_full.eq(depth == config.loop_depth),
            again.eq(self.loop_end & (rounds[0] != 1)),
        ]

        # Words go into the circular buffer unless they would overwrite one that is still needed.
        full, taken = Signal(name="full"), Signal(name="taken")
        needed = Mux(self.in_loop, outermost, place)
        m.d.comb += [
            full.eq((received - needed)[bits - 1]),
            taken.eq(~self.idle & self.program.valid & self.program.ready),
            self.program.ready.eq(self.idle | ((missing != 0) & ~full)),
            write.addr.eq(received),
            write.data.eq(self.program.payload),
            write.en.eq(taken),
        ]

        # The program counter; a jump back leaves its high bits, or takes 1 from them.
        moves, following, back = Signal(name="moves"), Signal(bits, name="following"), Signal(name="back")
        m.d.comb += [
            moves.eq(self.run & self.advance),
            following.eq(place + 1),
            back.eq(starts[0] > place),
        ]
        with m.If(moves):
            with m.If(again):
                m.d.sync += [place.eq(starts[0]), above.eq(above - back)]
            with m.Else():
                m.d.sync += self.counter.eq(self.counter + 1)

        # The instruction at the program counter: read in time, or kept as it arrives. No place is read in the cycle in
        # which it is written: block RAMs do not agree about that.
        late = Signal(INSTRUCTION_BITS, name="late_word", reset_less=True)
        is_late, arrives, leaves = Signal(name="is_late"), Signal(name="arrives"), Signal(name="leaves")
        m.d.comb += [
            shown.addr.eq(Mux(again, starts[0], following)),
            shown.en.eq(moves & ~arrives),
            self.instruction.eq(Mux(is_late, late, shown.data)),
            arrives.eq(taken & (write.addr == Mux(moves, shown.addr, left.addr))),
            left.addr.eq(place),
            left.en.eq(moves & ~leaves),
            leaves.eq(taken & (write.addr == left.addr)),
            self.running.eq(left.data),
        ]
        with m.If(arrives):
            m.d.sync += [late.eq(self.program.payload), is_late.eq(1)]
        with m.Elif(moves):
            m.d.sync += is_late.eq(0)

        m.d.comb += [
            self.available.eq((received != place) & ~self.overflow),
            self.ended.eq((received == place) & (missing == 0)),
            # A body leaves one place free for what follows the loop, which would else arrive a cycle late.
            self.overflow.eq(self.in_loop & ((place - outermost)[:bits] == config.program_depth - 1)),
        ]

        with m.If(self.start):
            m.d.sync += [missing.eq(header.length), received.eq(0), self.counter.eq(0), depth.eq(0)]
        with m.If(taken):
            m.d.sync += [received.eq(received + 1), missing.eq(missing - 1)]
        with m.If(moves & self.loop):
            m.d.sync += [depth.eq(depth + 1), starts[0].eq(following), rounds[0].eq(self.instruction.constant[:32])]
            m.d.sync += [lower.eq(upper) for stack in (starts, rounds) for upper, lower in pairwise(stack)]
            with m.If(~self.in_loop):
                m.d.sync += outermost.eq(following)
        with m.Elif(moves & self.loop_end):
            m.d.sync += rounds[0].eq(rounds[0] - 1)
            with m.If(~again):
                m.d.sync += depth.eq(depth - 1)
                m.d.sync += [upper.eq(lower) for stack in (starts, rounds) for upper, lower in pairwise(stack)]
        return m
