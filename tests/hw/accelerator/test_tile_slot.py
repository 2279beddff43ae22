"""Slots of tiles on Icarus: time of the first instruction, planes of every kind, shadows, states and errors."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
import numpy as np
import pytest
from amaranth.sim import Simulator
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from golden.engine import Bits, Job
from golden.laws import run_law
from golden.tile import GoldenTile
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import TileRegister, TileState
from hw.accelerator.tile_slot import ProgramReader
from hw.accelerator.verilog import slot_verilog
from hw.counter_map import COUNTERS, counter_index, total_cycles
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Program, StoreKind
from sim.runner import build, run
from sim.streams import Stalls, StreamSink, StreamSource

CONFIG = ACCELERATORS["meshtiny"]
TILE = CONFIG.map
FIRST_DECODE, SLOT_LATENCY = 4, 1
HALT, SYNC = Instruction(Opcode.HALT), Instruction(Opcode.SYNC)


class Slot:
    """Drives a slot and keeps what it shows in every cycle."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.states: list[TileState] = []
        self.idle: list[int] = []
        self.gone: list[int] = []
        Clock(dut.clk, 2, "ns").start()
        for name in ("register_write", "program_write", "taps_write", "go", "beat_valid", "counter_index"):
            getattr(dut, name).value = 0
        for name in ("register_index", "register_data", "write_address", "write_data", "beat"):
            getattr(dut, name).value = 0
        self.blocks = StreamSource(dut.clk, dut, "block_in") if hasattr(dut, "block_in__valid") else None
        self.out = StreamSink(dut.clk, dut, "plane_out")
        self.lasts: list[int] = []

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.states.append(TileState(int(self.dut.state.value)))
            self.idle.append(int(self.dut.idle.value))
            self.gone.append(int(self.dut.go.value))
            if int(self.dut.plane_out__valid.value) and int(self.dut.plane_out__ready.value):
                self.lasts.append(int(self.dut.plane_out_last.value))

    async def write(self, strobe: str, address: int, value: int) -> None:
        self.dut.write_address.value, self.dut.write_data.value = address, value
        await self._strobe(strobe)

    async def _strobe(self, name: str) -> None:
        getattr(self.dut, name).value = 1
        await RisingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0

    async def register(self, register: TileRegister, value: int) -> None:
        self.dut.register_index.value, self.dut.register_data.value = register, value
        await self._strobe("register_write")

    async def load_program(self, program: Program, first: int) -> None:
        """Write a program to the memory, and the registers that name it."""
        parts, mask = CONFIG.flits_per_instruction, (1 << CONFIG.flit_bits) - 1
        for place, word in enumerate(program.words):
            for part in range(parts):
                await self.write(
                    "program_write", (first + place) * parts + part, word >> part * CONFIG.flit_bits & mask
                )
        await self.register(TileRegister.PROGRAM_START, first)
        await self.register(TileRegister.PROGRAM_WORDS, len(program.words))

    async def load_taps(self, planes: Sequence[int], first: int) -> None:
        """Write planes of G bits to the memory, and the registers that name them."""
        parts = CONFIG.planes_per_flit
        for word in range(0, len(planes), parts):
            value = sum(plane << CONFIG.taps * place for place, plane in enumerate(planes[word : word + parts]))
            await self.write("taps_write", first + word // parts, value)
        await self.register(TileRegister.TAPS_START, first)
        await self.register(TileRegister.TAPS_WORDS, len(planes))

    async def go(self) -> int:
        """Start; return the index of the go's cycle in what is kept."""
        await self._strobe("go")
        await RisingEdge(self.dut.clk)
        return max(place for place, gone in enumerate(self.gone) if gone)

    async def until_idle(self, go: int) -> int:
        """Return after how many cycles from the go on the slot was idle again."""
        for _ in range(5000):
            await RisingEdge(self.dut.clk)
            if len(self.idle) > go + 2 and self.idle[-1]:
                return len(self.idle) - 1 - go
        raise AssertionError("the slot does not become idle")

    async def beats(self, beats: Sequence[int], stalls: Stalls) -> None:
        """Show beats as the gather unit does."""
        for beat in beats:
            self.dut.beat_valid.value = 0
            for _ in range(stalls.pauses()):
                await RisingEdge(self.dut.clk)
            self.dut.beat.value, self.dut.beat_valid.value = beat, 1
            await RisingEdge(self.dut.clk)
            while not int(self.dut.beat_taken.value):
                await RisingEdge(self.dut.clk)
        self.dut.beat_valid.value = 0

    def states_from(self, go: int) -> Counter[TileState]:
        """How often the tile was in each state since a go, idle cycles left out."""
        return Counter(state for state in self.states[go:] if state is not TileState.IDLE)


def number(bits: Bits) -> int:
    return int("".join(map(str, reversed(bits.tolist()))), 2)


def beats_of(planes: Bits) -> Iterator[int]:
    """A column's planes as beats of the plane port."""
    for plane in planes:
        for first in range(0, TILE.rows, TILE.plane_bits):
            yield number(plane[first : first + TILE.plane_bits])


def law(program: Program) -> int:
    return total_cycles(run_law(program, TILE))


def block_store(column: int, width: int, block: int) -> Instruction:
    return Instruction(Opcode.STORE, kind=StoreKind.BLOCK, a=column, a_width=width, constant=block)


@pytest.mark.parametrize("kind", ["cap", "map"])
def test_slot(kind: str) -> None:
    assert CONFIG.cap.replace(name="x", columns=TILE.columns) == TILE.replace(name="x")
    text = slot_verilog(CONFIG, "cap" if kind == "cap" else "map")
    cases = [name for name in CASES if name.startswith("cap") == (kind == "cap")]
    result = run(build(text, f"{kind}_slot", "icarus"), __file__, testcase=cases, timeout=200)
    assert set(result.tests) == set(cases)


@pytest.mark.parametrize("flit_bits", [32, 64, 128, 256])
def test_words_of_a_program_in_flits_of_any_width(flit_bits: int) -> None:
    outputs = max(flit_bits, 64)
    tile = ACCELERATORS["mesh1x1"].cap.replace(outputs=outputs, plane_bits=4 * outputs)
    config = ACCELERATORS["mesh1x1"].replace(cap=tile, map=tile, flit_bits=flit_bits, program_words=50)
    dut, rng = ProgramReader(config), random.Random(flit_bits)
    words = [rng.getrandbits(128) for _ in range(config.program_words)]
    parts = max(1, 128 // flit_bits)

    async def bench(context: Any) -> None:
        context.set(dut.write, 1)
        for address in range(len(words) * parts):
            context.set(dut.write_address, address)
            part = words[address // parts] >> address % parts * flit_bits
            context.set(dut.write_data, part & (1 << flit_bits) - 1)
            await context.tick()
        context.set(dut.write, 0)
        for first, count in ((0, 50), (7, 1), (30, 20)):
            context.set(dut.first, first)
            context.set(dut.words, count)
            context.set(dut.start, 1)
            await context.tick()
            context.set(dut.start, 0)
            assert (context.get(dut.active), context.get(dut.program.valid)) == (1, 0)
            await context.tick()
            for word in words[first : first + count]:
                while rng.random() < 0.4:
                    context.set(dut.program.ready, 0)
                    assert (context.get(dut.program.valid), context.get(dut.program.payload)) == (1, word)
                    await context.tick()
                context.set(dut.program.ready, 1)
                assert (context.get(dut.program.valid), context.get(dut.program.payload)) == (1, word)
                await context.tick()
            assert (context.get(dut.active), context.get(dut.program.valid)) == (0, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@cocotb.test()
async def first_decode_and_idle(dut: Any) -> None:
    """Without the port: a header two cycles after go, a decode two later, idle after HALT."""
    slot = Slot(dut)
    await slot.reset()
    program = Program.build(
        [Instruction(Opcode.FILL, d=0, d_width=5), *[Instruction(Opcode.RELU, b=0, b_width=3)] * 4, SYNC, HALT], TILE
    )
    for first in (0, 5, CONFIG.program_words - len(program.words)):
        await slot.load_program(program, first)
        assert slot.idle[-1] == 1
        go = await slot.go()
        assert await slot.until_idle(go) == FIRST_DECODE + law(program) - 1 + SLOT_LATENCY
        assert slot.states[go : go + 4] == [TileState.IDLE] * 3 + [TileState.PROGRAM]
        assert set(slot.states[go + 4 : -1]) == {TileState.BUSY}
        assert slot.idle[go : go + 2] == [1, 0]
        assert slot.idle[go + 1 : -1] == [0] * (len(slot.idle) - go - 2)


@cocotb.test()
async def words_of_one_instruction_each_cycle(dut: Any) -> None:
    """A run of instructions without a body: a word in every cycle."""
    slot = Slot(dut)
    await slot.reset()
    program = Program.build([*[SYNC] * 100, HALT], TILE)
    await slot.load_program(program, 17)
    go = await slot.go()
    assert await slot.until_idle(go) == FIRST_DECODE + 101 - 1 + SLOT_LATENCY
    assert slot.states_from(go) == {TileState.PROGRAM: 1, TileState.BUSY: 101}


@cocotb.test()
async def taps_wrap_without_a_gap(dut: Any) -> None:
    """Planes of taps come in order and again from the first one, also in the middle of a word, and are never late."""
    slot, rng = Slot(dut), random.Random(3)
    await slot.reset()
    slot.out.start()
    for count, first in ((13, 9), (8, 0), (1, 63), (3, 20)):
        planes = [rng.randrange(1 << CONFIG.taps) for _ in range(count)]
        widths = (5, 11, 16, 2)
        program = Program.build(
            [
                *(
                    Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d=sum(widths[:place]), d_width=width)
                    for place, width in enumerate(widths)
                ),
                SYNC,
                *(block_store(0, sum(widths), block) for block in range(CONFIG.taps)),
                HALT,
            ],
            TILE,
        )
        await slot.load_taps(planes, first)
        await slot.load_program(program, 0)
        slot.out.words.clear()
        slot.lasts.clear()
        go = await slot.go()
        assert await slot.until_idle(go) == FIRST_DECODE + law(program) - 1 + SLOT_LATENCY
        ones = (1 << CONFIG.outputs) - 1
        assert slot.out.words == [
            ones * (planes[place % count] >> block & 1) for block in range(CONFIG.taps) for place in range(sum(widths))
        ]
        assert slot.lasts == ([0] * (sum(widths) - 1) + [1]) * CONFIG.taps


@cocotb.test()
async def shadows_while_running(dut: Any) -> None:
    """The next phase's program, taps and registers are written while one runs, and start back to back."""
    slot, rng = Slot(dut), random.Random(4)
    await slot.reset()
    slot.out.start()

    def job(width: int) -> tuple[Program, list[int]]:
        load = Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d=0, d_width=width)
        wait = Instruction(Opcode.FILL, d=64, d_width=60)
        program = Program.build([*[wait] * 5, load, SYNC, block_store(0, width, 0), HALT], TILE)
        return program, [rng.randrange(1 << CONFIG.taps) for _ in range(width)]

    jobs = [job(width) for width in (3, 9, 6)]
    await slot.load_taps(jobs[0][1], 0)
    await slot.load_program(jobs[0][0], 0)
    for place, (program, planes) in enumerate(jobs):
        slot.out.words.clear()
        go = await slot.go()
        if place + 1 < len(jobs):
            await slot.load_taps(jobs[place + 1][1], 10 * (place + 1))
            await slot.load_program(jobs[place + 1][0], 20 * (place + 1))
            assert not slot.idle[-1]
        assert await slot.until_idle(go) == FIRST_DECODE + law(program) - 1 + SLOT_LATENCY
        assert slot.out.words == [(1 << CONFIG.outputs) - 1 if plane & 1 else 0 for plane in planes]
    go = await slot.go()
    for _ in range(10):
        await RisingEdge(dut.clk)
    assert all(slot.idle[go:]), "a slot that is not armed must not start"
    await slot.register(TileRegister.PROGRAM_WORDS, 9)
    await RisingEdge(dut.clk)
    assert int(dut.armed.value) == 1
    await slot.register(TileRegister.PROGRAM_WORDS, 0)
    await RisingEdge(dut.clk)
    assert int(dut.armed.value) == 0


@cocotb.test()
async def planes_blocks_and_stores_with_pauses(dut: Any) -> None:
    """Every kind at once against the golden tile, with pauses on all streams, each of which is a stall."""
    slot, rng = Slot(dut), np.random.default_rng(5)
    await slot.reset()
    loads = {LoadKind.PLANES: TILE.rows, LoadKind.BLOCK: TILE.outputs, LoadKind.TAPS: TILE.taps}
    instructions: list[Instruction] = []
    planes: list[Bits] = []
    for place in range(9):
        kind, width = list(loads)[place % 3], int(rng.integers(1, 8))
        instructions.append(
            Instruction(
                Opcode.LOAD, kind=kind, d=8 * place, d_width=width, constant=place // 3 if kind == LoadKind.BLOCK else 0
            )
        )
        planes.append(rng.integers(0, 2, (width, loads[kind]), np.uint8))
    stores = [
        block_store(8 * place, loaded.shape[0], load.constant if load.kind == LoadKind.BLOCK else place % 4)
        for place, (load, loaded) in enumerate(zip(instructions, planes, strict=True))
    ]
    instructions += [SYNC, Instruction(Opcode.FILL, d=80, d_width=4), *stores]
    program = Program.build([*instructions, HALT], TILE)
    golden = GoldenTile(TILE).run(Job(program, planes))

    taps = [number(plane) for loaded in planes[2::3] for plane in loaded]
    assert slot.blocks is not None
    slot.blocks.stalls, slot.out.stalls = Stalls(0.4, 6), Stalls(0.4, 7)
    slot.blocks.start(number(plane) for loaded in planes[1::3] for plane in loaded)
    slot.out.start()
    await slot.load_taps(taps, 1)
    await slot.load_program(program, 3)
    beats = [beat for loaded in planes[0::3] for beat in beats_of(loaded)]
    cocotb.start_soon(slot.beats(beats, Stalls(0.4, 8)))
    go = await slot.go()
    cycles = await slot.until_idle(go)
    assert slot.out.words == [number(plane) for stored in golden.planes for plane in stored]

    dut.counter_index.value = counter_index("cycles.stall")
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    stalls = int(dut.counter_value.value)
    assert stalls > 10
    assert cycles == FIRST_DECODE + law(program) + stalls - 1 + SLOT_LATENCY
    assert sum(slot.states_from(go).values()) == 1 + law(program) + stalls
    counters: dict[str, int] = {}
    for index, counter in enumerate(COUNTERS):
        dut.counter_index.value = index
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        counters[counter.name] = int(dut.counter_value.value)
    assert counters == {**golden.counters, "cycles.stall": stalls}


@cocotb.test()
async def states_of_waits(dut: Any) -> None:
    """The partition of the time of programs that wait for one thing each."""
    slot = Slot(dut)
    await slot.reset()
    slot.out.start()
    beats = 8 * TILE.beats(TILE.rows)
    cases = (
        ([Instruction(Opcode.LOAD, d=0, d_width=8)], TileState.PLANES, beats),
        ([block_store(0, 7, 0)], TileState.ROOM, 7),
        ([Instruction(Opcode.DRAIN, d=0, d_width=9)], TileState.ROOM, 9),
        ([Instruction(Opcode.RESTORE, a=0, a_width=11)], TileState.PLANES, 11),
    )
    dut.beat_valid.value = 1
    for instructions, state, waits in cases:
        program = Program.build([*instructions, SYNC, HALT], TILE)
        await slot.load_program(program, 0)
        go = await slot.go()
        await slot.until_idle(go)
        assert slot.states_from(go) == {TileState.PROGRAM: 1, TileState.BUSY: 3, state: waits}

    # A beat that is late, and a word that is not taken, add to the same state.
    for late, name, state, instruction in (
        (6, "beat_valid", TileState.PLANES, Instruction(Opcode.LOAD, d=0, d_width=8)),
        (9, "plane_out__ready", TileState.ROOM, block_store(0, beats, 1)),
    ):
        slot.out.stop()
        dut.plane_out__ready.value = 1
        await slot.load_program(Program.build([instruction, HALT], TILE), 0)
        go = await slot.go()
        for _ in range(3):
            await RisingEdge(dut.clk)
        getattr(dut, name).value = 0
        for _ in range(late):
            await RisingEdge(dut.clk)
        getattr(dut, name).value = 1
        await slot.until_idle(go)
        assert slot.states_from(go) == {TileState.PROGRAM: 1, TileState.BUSY: 2, state: beats + late}


@cocotb.test()
async def program_that_is_too_short(dut: Any) -> None:
    """A tile that waits for an instruction is not idle, and says so."""
    slot = Slot(dut)
    await slot.reset()
    program = Program.build([SYNC, SYNC, HALT], TILE)
    await slot.load_program(program, 0)
    await slot.register(TileRegister.PROGRAM_WORDS, 3)
    go = await slot.go()
    for _ in range(30):
        await RisingEdge(dut.clk)
    assert slot.states[go + 4 : go + 7] == [TileState.BUSY] * 2 + [TileState.PROGRAM]
    assert not any(slot.idle[go + 1 :])


@cocotb.test()
async def error_of_the_tile(dut: Any) -> None:
    """An error shows with its address, and the slot is never idle again."""
    slot = Slot(dut)
    await slot.reset()
    program = Program((SYNC, Instruction(Opcode.FILL, d=TILE.columns - 1, d_width=2), HALT), TILE.hash)
    await slot.load_program(program, 0)
    go = await slot.go()
    for _ in range(30):
        await RisingEdge(dut.clk)
    assert (ErrorCode(int(dut.error.value)), int(dut.error_address.value)) == (ErrorCode.COLUMN, 1)
    assert slot.states[-1] is TileState.IDLE
    assert not any(slot.idle[go + 1 :])


async def _waits_for_ever(dut: Any, kind: LoadKind, width: int) -> None:
    slot = Slot(dut)
    await slot.reset()
    dut.beat_valid.value = 1
    if slot.blocks is not None:
        dut.block_in__payload.value, dut.block_in__valid.value = 1, 1
    await slot.load_taps([1, 2, 3], 0)
    await slot.load_program(Program.build([Instruction(Opcode.LOAD, kind=kind, d=0, d_width=width), HALT], TILE), 0)
    go = await slot.go()
    for _ in range(40):
        await RisingEdge(dut.clk)
        assert int(dut.beat_taken.value) == 0
        assert slot.blocks is None or int(dut.block_in__ready.value) == 0
    assert set(slot.states[go + 6 :]) == {TileState.PLANES}


@cocotb.test()
async def totals_wait_for_ever(dut: Any) -> None:
    """Nothing brings totals in."""
    await _waits_for_ever(dut, LoadKind.TOTAL, 3)


@cocotb.test()
async def cap_waits_for_blocks_for_ever(dut: Any) -> None:
    """Nothing brings row blocks to a CAP."""
    slot = Slot(dut)
    await slot.reset()
    dut.beat_valid.value = 1
    program = Program(
        (Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d=0, d_width=2, constant=1), HALT), CONFIG.cap.hash
    )
    await slot.load_taps([1, 2, 3], 0)
    await slot.load_program(program, 0)
    go = await slot.go()
    for _ in range(40):
        await RisingEdge(dut.clk)
        assert int(dut.beat_taken.value) == 0
    assert set(slot.states[go + 6 :]) == {TileState.PLANES}


CASES = (
    "first_decode_and_idle", "words_of_one_instruction_each_cycle", "taps_wrap_without_a_gap", "shadows_while_running",
    "planes_blocks_and_stores_with_pauses", "states_of_waits", "program_that_is_too_short", "error_of_the_tile",
    "totals_wait_for_ever", "cap_waits_for_blocks_for_ever",
)  # fmt: skip
"""The tests for the simulator; those that begin with ``cap`` are for a CAP."""
