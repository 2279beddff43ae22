"""A tile with what feeds it: program memory, taps memory, and the registers that say where they begin.

::

    program memory ---> reader ---> program port
    taps memory ------> reader ---> kind TAPS   \\
    gather unit ------------------> kind PLANES  > plane port ---> plane_out
    CAPs (of a MAP) --------------> kind BLOCK  /
"""

from typing import Literal

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import ADDRESS_BITS, REGISTER_BITS, TileRegister
from hw.component import Component
from hw.counter_map import COUNTER_BITS, COUNTERS
from hw.isa import INSTRUCTION_BITS, ErrorCode, LoadKind, TileState
from hw.tile import Tile

__all__ = ["ProgramReader", "TapsReader", "TileSlot"]


class ProgramReader(Component):
    """A program memory and what reads a program out of it.

    **Latency**: the first word is offered two cycles after ``start``. **Throughput**: one word a cycle.

    Members
    -------
    write, write_address, write_data : F bits of a word; ``write_address`` counts such parts.
    start, first, words : read ``words`` words from word ``first`` on.
    program : the words.
    active : words are still to be taken.
    """

    block = "program"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.address_bits = bits_for(config.program_words - 1)
        super().__init__(
            {
                "write": In(1),
                "write_address": In(ADDRESS_BITS),
                "write_data": In(config.flit_bits),
                "start": In(1),
                "first": In(self.address_bits),
                "words": In(REGISTER_BITS),
                "program": Out(stream.Signature(INSTRUCTION_BITS)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, parts = self.config, self.config.flits_per_instruction
        m.submodules.memory = store = memory.Memory(shape=INSTRUCTION_BITS, depth=config.program_words, init=[])
        write = store.write_port(granularity=INSTRUCTION_BITS // parts)
        read = store.read_port()

        # A flit is a part of a word, or has one in its lower bits.
        part_bits = parts.bit_length() - 1
        m.d.comb += [
            write.addr.eq(self.write_address >> part_bits),
            write.data.eq(self.write_data[: INSTRUCTION_BITS // parts].replicate(parts)),
            write.en.eq(Mux(self.write, 1 << self.write_address[:part_bits] if parts > 1 else 1, 0)),
        ]

        # The memory is asked for the word of the next cycle: the same as in this one, or the one after it.
        shown = Signal(self.address_bits)
        left = Signal(REGISTER_BITS)
        valid = Signal()
        taken = Signal()
        m.d.comb += [
            taken.eq(valid & self.program.ready),
            read.en.eq(1),
            read.addr.eq(shown + taken),
            self.program.payload.eq(read.data),
            self.program.valid.eq(valid),
            self.active.eq(left != 0),
        ]
        m.d.sync += [shown.eq(read.addr), left.eq(left - taken), valid.eq((left - taken)[:REGISTER_BITS] != 0)]
        with m.If(self.start):
            m.d.sync += [shown.eq(self.first), left.eq(self.words), valid.eq(0)]
        return m


class TapsReader(Component):
    """A taps memory and what reads planes out of it, again and again.

    **Latency**: the first plane is there two cycles after ``start``. **Throughput**: one plane a cycle.

    Members
    -------
    write, write_address, write_data : an F-bit word.
    start, first, planes : read ``planes`` planes from word ``first`` on, then from there again; none if 0.
    plane, valid, taken : the plane, and that the next one is wanted.
    """

    block = "taps"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.address_bits = bits_for(config.taps_words - 1)
        super().__init__(
            {
                "write": In(1),
                "write_address": In(ADDRESS_BITS),
                "write_data": In(config.flit_bits),
                "start": In(1),
                "first": In(self.address_bits),
                "planes": In(REGISTER_BITS),
                "plane": Out(config.taps),
                "valid": Out(1),
                "taken": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, parts = self.config, self.config.planes_per_flit
        m.submodules.memory = store = memory.Memory(shape=config.flit_bits, depth=config.taps_words, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write),
            read.en.eq(1),
        ]

        # Which plane of the memory's word is shown, and how many follow before the first one comes again.
        shown = Signal(self.address_bits)
        part = Signal(range(parts))
        first = Signal(self.address_bits)
        planes = Signal(REGISTER_BITS)
        left = Signal(REGISTER_BITS)
        moves = Signal()
        last = Signal()
        m.d.comb += [
            moves.eq(self.taken & self.valid),
            last.eq(left == 1),
            read.addr.eq(Mux(moves & last, first, shown + (moves & (part == parts - 1)))),
            self.plane.eq(read.data.word_select(part, config.taps)),
        ]
        m.d.sync += [shown.eq(read.addr), self.valid.eq(planes != 0)]
        with m.If(moves):
            m.d.sync += [part.eq(part + 1), left.eq(left - 1)]
            with m.If(last):
                m.d.sync += [part.eq(0), left.eq(planes)]
        with m.If(self.start):
            m.d.sync += [
                shown.eq(self.first),
                first.eq(self.first),
                planes.eq(self.planes),
                left.eq(self.planes),
                part.eq(0),
                self.valid.eq(0),
            ]
        return m


class TileSlot(Component):
    """A CAP or a MAP with its memories and registers; ``docs/accelerator.md`` says what they mean.

    **Latency**: the tile takes its header two cycles after ``go`` and decodes its first instruction four cycles after
    it; the slot is idle in the cycle after HALT was decoded. **Throughput**: that of the tile: no program word and no
    plane of taps is ever late.

    Members
    -------
    register_write, register_index, register_data : a write to a shadow register. PROGRAM_WORDS arms; a slot of no words
        is not armed.
    program_write, taps_write, write_address, write_data : a flit for one of the memories.
    go : start if armed; only while idle. armed : it would.
    idle : neither does the tile run nor are words of its program left. After an error never again.
    beat, beat_valid, beat_taken : planes of the gather unit.
    block_in : (MAP) stream of S-bit words of the CAPs.
    plane_out, plane_out_last : stream of S-bit words that the tile stores, the low bits of its beats, and that the word
        shown is the last one of its STORE.
    state : :class:`hw.isa.TileState` of this cycle.
    works : the tile does something in this cycle, or takes a word of its program.
    error, error_address : those of the tile.
    counter_index, counter_value : the tile's counter port.
    """

    shared = True

    def __init__(self, config: AcceleratorConfig, kind: Literal["cap", "map"]):
        self.config, self.kind, self.block = config, kind, f"{kind}_slot"
        self.tile = config.cap if kind == "cap" else config.map
        members = {
            "register_write": In(1),
            "register_index": In(range(len(TileRegister))),
            "register_data": In(REGISTER_BITS),
            "program_write": In(1),
            "taps_write": In(1),
            "write_address": In(ADDRESS_BITS),
            "write_data": In(config.flit_bits),
            "go": In(1),
            "armed": Out(1),
            "idle": Out(1),
            "beat": In(self.tile.plane_bits),
            "beat_valid": In(1),
            "beat_taken": Out(1),
            "plane_out": Out(stream.Signature(config.outputs)),
            "plane_out_last": Out(1),
            "state": Out(TileState),
            "works": Out(1),
            "error": Out(ErrorCode),
            "error_address": Out(32),
            "counter_index": In(bits_for(len(COUNTERS) - 1)),
            "counter_value": Out(COUNTER_BITS),
        }
        if kind == "map":
            members["block_in"] = In(stream.Signature(config.outputs))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.tile = tile = Tile(self.tile)
        m.submodules.program = program = ProgramReader(config)
        m.submodules.taps = taps = TapsReader(config)

        # Registers are shadows: nothing that runs looks at them.
        shadows = {register: Signal(REGISTER_BITS, name=register.name.lower()) for register in TileRegister}
        with m.If(self.go):
            m.d.sync += self.armed.eq(0)
        with m.If(self.register_write):
            for register, shadow in shadows.items():
                with m.If(self.register_index == register):
                    m.d.sync += shadow.eq(self.register_data)
            with m.If(self.register_index == TileRegister.PROGRAM_WORDS):
                m.d.sync += self.armed.eq(self.register_data != 0)

        # Memories are written by flits and read by what a go starts.
        start = self.go & self.armed
        for reader in (program, taps):
            m.d.comb += [
                reader.write_address.eq(self.write_address),
                reader.write_data.eq(self.write_data),
                reader.start.eq(start),
            ]
        m.d.comb += [
            program.write.eq(self.program_write),
            program.first.eq(shadows[TileRegister.PROGRAM_START]),
            program.words.eq(shadows[TileRegister.PROGRAM_WORDS]),
            taps.write.eq(self.taps_write),
            taps.first.eq(shadows[TileRegister.TAPS_START]),
            taps.planes.eq(shadows[TileRegister.TAPS_WORDS]),
        ]
        wiring.connect(m, program.program, tile.program)

        # What comes in is chosen by the LOAD that waits for it; nothing comes for other kinds.
        sources: dict[LoadKind, tuple[Value, Value, Value]] = {
            LoadKind.PLANES: (self.beat, self.beat_valid, self.beat_taken),
            LoadKind.TAPS: (taps.plane, taps.valid, taps.taken),
        }
        if self.kind == "map":
            block = self.block_in
            sources[LoadKind.BLOCK] = (block.payload, block.valid, block.ready)
        with m.Switch(tile.plane_in_kind):
            for kind, (payload, valid, _) in sources.items():
                with m.Case(kind):
                    m.d.comb += [tile.plane_in.payload.eq(payload), tile.plane_in.valid.eq(valid)]
        for kind, (_, valid, taken) in sources.items():
            wanted = tile.plane_in.ready & (tile.plane_in_kind == kind)
            m.d.comb += taken.eq(wanted if kind is LoadKind.BLOCK else wanted & valid)

        # What goes out, and what the cluster sees.
        m.d.comb += [
            self.plane_out.payload.eq(tile.plane_out.payload[: config.outputs]),
            self.plane_out.valid.eq(tile.plane_out.valid),
            tile.plane_out.ready.eq(self.plane_out.ready),
            self.plane_out_last.eq(tile.plane_out_last),
            self.state.eq(tile.state),
            self.idle.eq((tile.state == TileState.IDLE) & ~program.active & (tile.error == ErrorCode.NONE)),
            self.works.eq(
                (program.program.valid & program.program.ready)
                | (
                    (tile.state != TileState.IDLE)
                    & (tile.state != TileState.PROGRAM)
                    & (~tile.plane_in.ready | tile.plane_in.valid)
                    & (~tile.plane_out.valid | tile.plane_out.ready)
                )
            ),
            self.error.eq(tile.error),
            self.error_address.eq(tile.error_address),
            tile.counter_index.eq(self.counter_index),
            self.counter_value.eq(tile.counter_value),
        ]
        return m
