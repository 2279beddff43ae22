"""Words to flits: addresses, times, destinations and errors of the sender, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.protocol import SenderRegister, Unit, Waiting
from hw.accelerator.sender import LARGEST_COUNT, Sender

MESH = ACCELERATORS["mesh2x2-1to1"]
HALVES = MESH.replace(flit_bits=32)
QUARTERS = MESH.replace(flit_bits=16 * 2, cap=MESH.cap.replace(outputs=128, plane_bits=512),
                        map=MESH.map.replace(outputs=128, plane_bits=512))  # fmt: skip
GOOD = {
    SenderRegister.SOURCE: 0, SenderRegister.DESTINATIONS_LOW: 0b10001, SenderRegister.DESTINATIONS_HIGH: 0,
    SenderRegister.BASE: 0, SenderRegister.STRIDE0: 1, SenderRegister.COUNT0: 4, SenderRegister.STRIDE1: 0,
    SenderRegister.COUNT1: 1, SenderRegister.STRIDE2: 0, SenderRegister.COUNT2: 1,
}  # fmt: skip


class Bench:
    """Drives a sender cycle by cycle, and keeps what the router took."""

    def __init__(self, config: AcceleratorConfig, context: Any, dut: Sender) -> None:
        self.config, self.context, self.dut = config, context, dut
        self.flits: list[tuple[int, Any]] = []
        self.taken: list[int] = []
        self.cycle = 0

    async def start(self, registers: dict[SenderRegister, int]) -> None:
        context, dut = self.context, self.dut
        context.set(dut.register_write, 1)
        for register in SenderRegister:
            context.set(dut.register_index, register)
            context.set(dut.register_data, registers[register] & 0xFFFFFFFF)
            await context.tick()
        context.set(dut.register_write, 0)
        assert context.get(dut.idle) == 1
        context.set(dut.go, 1)
        await context.tick()
        context.set(dut.go, 0)
        self.cycle = 1

    async def step(self, source: int, word: int | None, ready: bool) -> bool:
        """One cycle in which a MAP offers a word; return whether it was taken."""
        context, dut = self.context, self.dut
        for number in range(self.config.maps):
            stream = getattr(dut, f"words_{number}")
            context.set(stream.valid, word is not None)
            context.set(stream.payload, (word or 0) if number == source else 0x5A)
        context.set(dut.flits.ready, ready)
        for number in range(self.config.maps):
            assert number == source or not context.get(getattr(dut, f"words_{number}").ready)
        taken = word is not None and bool(context.get(getattr(dut, f"words_{source}").ready))
        if taken:
            self.taken.append(self.cycle)
        offered = bool(context.get(dut.flits.valid))
        assert (context.get(dut.sent), context.get(dut.blocked)) == (offered and ready, offered and not ready)
        if offered and ready:
            self.flits.append((self.cycle, context.get(dut.flits.payload)))
        await context.tick()
        self.cycle += 1
        return taken


def simulate(config: AcceleratorConfig, bench: Any) -> None:
    dut = Sender(config)

    async def process(context: Any) -> None:
        await bench(Bench(config, context, dut))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()


def addresses(registers: dict[SenderRegister, int]) -> list[int]:
    base, counts = registers[SenderRegister.BASE], [registers[SenderRegister[f"COUNT{level}"]] for level in range(3)]
    strides = [registers[SenderRegister[f"STRIDE{level}"]] for level in range(3)]
    return [
        base + outer * strides[2] + middle * strides[1] + inner * strides[0]
        for outer in range(counts[2])
        for middle in range(counts[1])
        for inner in range(counts[0])
    ]


PATTERNS = {
    "one": {},
    "loops": {"BASE": 100, "STRIDE0": 7, "COUNT0": 5, "STRIDE1": 1, "COUNT1": 3, "STRIDE2": 200, "COUNT2": 2},
    "backwards": {"BASE": 300, "STRIDE0": -3, "COUNT0": 6, "STRIDE1": 40, "COUNT1": 2},
    "host": {"DESTINATIONS_LOW": 0b10000, "BASE": 1 << 31, "COUNT0": 1, "COUNT1": 1, "COUNT2": 9, "STRIDE2": 77},
    "multicast": {"SOURCE": 1, "DESTINATIONS_LOW": 0b01111, "COUNT1": 4, "STRIDE1": 64},
    "last place": {"BASE": 4095, "COUNT0": 1},
}


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("config", [MESH, HALVES, QUARTERS], ids=["one flit", "two flits", "four flits"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_flits_of_a_pattern(pattern: str, config: AcceleratorConfig, pauses: float) -> None:
    changes = {SenderRegister[name]: value for name, value in PATTERNS[pattern].items()}
    registers, parts = {**GOOD, **changes}, config.flits_per_word
    rng = np.random.default_rng(len(pattern))
    places = addresses(registers)
    words = [int.from_bytes(rng.bytes(config.outputs // 8), "little") for _ in places]

    async def run(bench: Bench) -> None:
        await bench.start(registers)
        waiting = list(words)
        while len(bench.flits) < len(words) * parts:
            assert bench.cycle < 2000
            assert bench.context.get(bench.dut.idle) == 0
            offered = waiting[0] if waiting and rng.random() >= pauses else None
            if await bench.step(registers[SenderRegister.SOURCE], offered, rng.random() >= pauses):
                waiting.pop(0)
        assert bench.context.get(bench.dut.idle) == 1
        assert not await bench.step(registers[SenderRegister.SOURCE], 1, ready=True), "only what was asked for is taken"
        destinations = registers[SenderRegister.DESTINATIONS_LOW]
        for (_, flit), (word, place, part) in zip(
            bench.flits,
            [(word, place, part) for word, place in zip(words, places, strict=True) for part in range(parts)],
            strict=True,
        ):
            assert (flit.destinations, flit.unit) == (destinations, Unit.GATHER_MEMORY)
            assert flit.payload == word >> part * config.flit_bits & (1 << config.flit_bits) - 1
            if destinations & 0b1111:
                assert flit.address == place * parts + part
        if not pauses:
            # The first word in the cycle after go, its flits from the next cycle on, one in each.
            assert bench.taken == [1 + parts * place for place in range(len(words))]
            assert [cycle for cycle, _ in bench.flits] == list(range(2, 2 + len(bench.flits)))

    simulate(config, run)


@pytest.mark.parametrize(
    ("changes", "register"),
    [
        ({"SOURCE": 2}, "SOURCE"),
        ({"DESTINATIONS_LOW": 0}, "DESTINATIONS_LOW"),
        ({"DESTINATIONS_LOW": 0b100001}, "DESTINATIONS_LOW"),
        ({"DESTINATIONS_HIGH": 1}, "DESTINATIONS_HIGH"),
        ({"COUNT0": 0}, "COUNT0"),
        ({"COUNT1": LARGEST_COUNT + 1}, "COUNT1"),
        ({"COUNT2": 0}, "COUNT2"),
        ({"COUNT2": 0, "COUNT1": 0, "SOURCE": 9}, "SOURCE"),
    ],
)
def test_register_out_of_its_range(changes: dict[str, int], register: str) -> None:
    async def run(bench: Bench) -> None:
        await bench.start({**GOOD, **{SenderRegister[name]: value for name, value in changes.items()}})
        assert bench.context.get(bench.dut.descriptor_error) == 1
        assert SenderRegister(bench.context.get(bench.dut.descriptor_register)) is SenderRegister[register]
        for _ in range(5):
            assert not await bench.step(0, 1, ready=True)
            assert bench.context.get(bench.dut.idle) == 0
        assert not bench.flits

    simulate(MESH, run)


@pytest.mark.parametrize("config", [MESH, HALVES], ids=["one flit", "two flits"])
@pytest.mark.parametrize(("base", "stride", "good"), [(4094, 1, 2), (4096, -1, 0), (1, -1, 2), (0, 5000, 1)])
def test_word_past_the_end(config: AcceleratorConfig, base: int, stride: int, good: int) -> None:
    assert config.gather_words * config.lanes == 4096
    parts = config.flits_per_word

    async def run(bench: Bench) -> None:
        await bench.start({**GOOD, SenderRegister.BASE: base, SenderRegister.STRIDE0: stride})
        for _ in range(12):
            await bench.step(0, 0x77, ready=True)
        assert len(bench.flits) == good * parts
        assert bench.context.get(bench.dut.address_error) == 1
        assert bench.context.get(bench.dut.error_address) == (base + good * stride) * parts % (1 << 32)
        assert bench.context.get(bench.dut.idle) == 0

    simulate(config, run)


def test_what_it_waits_for() -> None:
    async def run(bench: Bench) -> None:
        def waiting() -> Waiting:
            return Waiting(bench.context.get(bench.dut.waiting))

        assert waiting() is Waiting.NOTHING
        await bench.start(GOOD)
        assert waiting() is Waiting.WORDS
        await bench.step(0, 1, ready=False)
        await bench.step(0, None, ready=False)
        assert waiting() is Waiting.MESH
        await bench.step(0, None, ready=True)
        assert waiting() is Waiting.WORDS

    simulate(MESH, run)


def test_a_go_without_registers_starts_nothing_and_shadows_do_not_change_what_runs() -> None:
    async def run(bench: Bench) -> None:
        context, dut = bench.context, bench.dut
        await bench.start(GOOD)
        context.set(dut.register_write, 1)
        for register in (SenderRegister.BASE, SenderRegister.STRIDE0, SenderRegister.DESTINATIONS_LOW):
            context.set(dut.register_index, register)
            context.set(dut.register_data, 3)
            await bench.step(0, 1, ready=True)
        context.set(dut.register_write, 0)
        await bench.step(0, 1, ready=True)
        await bench.step(0, None, ready=True)
        assert [(flit.address, flit.destinations) for _, flit in bench.flits] == [(i, 0b10001) for i in range(4)]
        assert context.get(dut.idle) == 1
        context.set(dut.go, 1)
        await context.tick()
        context.set(dut.go, 0)
        assert context.get(dut.idle) == 1
        assert not await bench.step(0, 1, ready=True)

    simulate(MESH, run)
