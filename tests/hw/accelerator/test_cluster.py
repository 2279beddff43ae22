"""A cluster on Icarus, fed with flits: a convolution, the law of random phases, counters, waits and errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from golden.accelerator.cluster_law import ClusterTimes, cluster_times
from golden.accelerator.machine import GoldenAccelerator
from golden.accelerator.stream import Fault, Memories
from hw.accelerator.commands import HostCommand, Run, Write
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.counters import cluster_counters, cluster_events
from hw.accelerator.protocol import ADDRESS_BITS, UNIT_BITS, AcceleratorError, Unit, Waiting, unit_size
from hw.accelerator.verilog import cluster_verilog
from hw.counter_map import COUNTERS
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Program
from sim.runner import build, run
from tests.golden.accelerator.slow_cluster import random_cluster
from tests.golden.accelerator.streams import CAP, MAP, TINY, Convolution, arm, arm_gather, arm_sender, load, words_of

RANDOM_PHASES = "RANDOM_PHASES"
"""Environment variable: how many phases of random work the simulation runs."""
STILL = 300  # cycles after which what waits for ever does
LIMIT = 700
NAMES = [counter.name for counter in cluster_counters(TINY)]
OWN = [counter.name for counter in cluster_events(TINY)]
TILE_NAMES = ("cap0", "cap1", "map0")


@pytest.mark.parametrize("random_phases", [8, pytest.param(24, marks=pytest.mark.slow)])
def test_cluster(random_phases: int) -> None:
    text = cluster_verilog(TINY)
    environment = {RANDOM_PHASES: str(random_phases)}
    result = run(build(text, "cluster", "icarus"), __file__, testcase=CASES, timeout=300, environment=environment)
    assert set(result.tests) == set(CASES)


def test_every_counter_has_a_name_of_its_own() -> None:
    for config in ACCELERATORS.values():
        names = [counter.name for counter in cluster_counters(config)]
        assert len(set(names)) == len(names) == config.tiles * (4 + len(COUNTERS)) + 4
        assert names[: len(cluster_events(config))] == [counter.name for counter in cluster_events(config)]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("mesh2x2-1to1", {}, marks=pytest.mark.slow),
        pytest.param("mesh2x2-1to1", {"maps": 1}, marks=pytest.mark.slow),
        pytest.param("mesh1x1", {"flit_bits": 32}, marks=pytest.mark.slow),
    ],
)
def test_other_shapes_become_verilog(name: str, changes: dict[str, int]) -> None:
    config = ACCELERATORS[name].replace(**changes)
    text = cluster_verilog(config)
    assert [len(re.findall(rf"^  {slot} ", text, re.MULTILINE)) for slot in ("cap_slot", "map_slot")] == [
        config.caps, config.maps,
    ]  # fmt: skip
    assert len(re.findall(r"^  cluster_collector collector_\d ", text, re.MULTILINE)) == config.maps


class Bench:
    """Drives a cluster and keeps what it sends, with the cycle in which it does."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        Clock(dut.clk, 2, "ns").start()
        for name in ("flit_in__valid", "flit_in__payload", "go", "snapshot", "counter_index"):
            getattr(dut, name).value = 0
        dut.flit_out__ready.value = 1
        self.sent: list[tuple[int, int]] = []
        self.idle: list[int] = []
        self.progress: list[int] = []

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def write(self, commands: Iterable[HostCommand]) -> None:
        for command in commands:
            assert isinstance(command, Write)
            for place, word in enumerate(command.payload):
                await self.flit(command.unit, command.address + place, word)
        self.dut.flit_in__valid.value = 0

    async def flit(self, unit: int, address: int, word: int) -> None:
        value, position = 1, TINY.clusters + 1
        for field, bits in ((unit, UNIT_BITS), (address, ADDRESS_BITS), (word, TINY.flit_bits)):
            value |= (field & (1 << bits) - 1) << position
            position += bits
        self.dut.flit_in__payload.value = value
        self.dut.flit_in__valid.value = 1
        await RisingEdge(self.dut.clk)
        assert int(self.dut.flit_in__ready.value) == 1

    async def cycle(self, number: int) -> None:
        """See one cycle through."""
        dut = self.dut
        await RisingEdge(dut.clk)
        self.idle.append(int(dut.idle.value))
        self.progress.append(int(dut.progress.value))
        if int(dut.flit_out__valid.value) and int(dut.flit_out__ready.value):
            self.sent.append((number, int(dut.flit_out__payload.value)))

    async def phase(self, limit: int = LIMIT) -> int | None:
        """Run a phase whose go is cycle 0; return the first idle cycle, or None at the limit."""
        self.sent, self.idle, self.progress = [], [], []
        self.dut.go.value = 1
        await self.cycle(0)
        self.dut.go.value = 0
        for number in range(1, limit):
            await self.cycle(number)
            if self.idle[-1]:
                return number
        return None

    async def counters(self, names: list[str] | None = None) -> dict[str, int]:
        """Counters after a snapshot: the cluster's own, or those named."""
        dut, values = self.dut, dict[str, int]()
        dut.snapshot.value = 1
        await RisingEdge(dut.clk)
        dut.snapshot.value = 0
        for name in OWN if names is None else names:
            values[name] = await self.counter(NAMES.index(name))
        return values

    async def counter(self, index: int) -> int:
        """What the counter port shows for an index."""
        self.dut.counter_index.value = index
        await RisingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)
        return int(self.dut.counter_value.value)

    def words(self) -> list[int]:
        """Payloads of what was sent."""
        return [flit >> TINY.clusters + 1 + UNIT_BITS + ADDRESS_BITS for _, flit in self.sent]

    def error(self) -> tuple[AcceleratorError, int, int]:
        dut = self.dut
        return AcceleratorError(int(dut.error.value)), int(dut.error_unit.value), int(dut.error_detail.value)


def law_of(commands: Iterable[HostCommand], memories: Memories) -> ClusterTimes | Fault:
    for command in commands:
        assert isinstance(command, Write)
        memories.write(command)
    try:
        return cluster_times(memories.go()[0], 0, 0, TINY)
    except Fault as fault:
        return fault


def compare(times: ClusterTimes, before: dict[str, int], after: dict[str, int]) -> None:
    """The cluster's own counters are those of the law."""
    expected = dict.fromkeys(OWN, 0)
    for tile, states in times.tiles.items():
        expected |= {f"{TILE_NAMES[tile]}.{state.name.lower()}": cycles for state, cycles in states.items()}
    expected |= {"gather.working": times.gather_working, "gather.blocked": times.gather_blocked}
    expected |= {"sender.flits": len(times.sent), "sender.blocked": 0}
    assert {name: after[name] - before[name] for name in expected} == expected


@cocotb.test()
async def convolution(dut: Any) -> None:
    """Windows, dot products, row blocks and words to the host, twice, against NumPy and the golden accelerator."""
    bench = Bench(dut)
    await bench.reset()
    machine, memories = GoldenAccelerator(TINY), Memories(TINY, 1)
    after = await bench.counters()
    for seed in (1, 2):
        work = Convolution.random(seed)
        commands = [*work.setup(), work.sender()]
        await bench.write(commands)
        end, times = await bench.phase(), law_of(commands, memories)
        assert isinstance(times, ClusterTimes)
        words = bench.words()
        outcome = machine.run([*commands, Run()])
        assert words == outcome.words
        assert np.array_equal(work.numbers(words), work.result())
        assert {flit & 7 for _, flit in bench.sent} == {1 << TINY.host}

        assert end == times.idle
        assert [cycle for cycle, _ in bench.sent] == times.sent
        before, after = after, await bench.counters()
        compare(times, before, after)
        assert all(bench.progress[5:-2])
        for tile, ran in outcome.phases[0].tiles[0].items():
            ours = await bench.counters([f"{TILE_NAMES[tile]}.{counter.name}" for counter in COUNTERS])
            ours = {name.partition(".")[2]: value for name, value in ours.items()}
            assert {**ours, "cycles.stall": 0} == {**ran.counters, "cycles.stall": 0}
    assert await bench.counter(len(NAMES)) == 0
    assert bench.error() == (AcceleratorError.NONE, 0, 0)


@cocotb.test()
async def random_phases(dut: Any) -> None:
    """Phases of random work take the cycles of the law, or wait for ever where it says so."""
    bench, ends, phases = Bench(dut), [0, 0], int(os.environ[RANDOM_PHASES])
    await bench.reset()
    before = await bench.counters()
    for seed in range(phases):
        commands = random_cluster(seed)
        await bench.write(commands)
        expected = law_of(commands, Memories(TINY, None))
        end = await bench.phase(STILL if isinstance(expected, Fault) else LIMIT)
        ends[end is None] += 1
        if isinstance(expected, Fault):
            assert end is None, seed
            assert expected.code is AcceleratorError.WATCHDOG
            assert (int(dut.waiting_unit.value), int(dut.waiting_state.value)) == (expected.unit, expected.detail), seed
            assert not any(bench.progress[-50:])
            await bench.reset()
            before = await bench.counters()
            continue
        assert end == expected.idle, seed
        assert [cycle for cycle, _ in bench.sent] == expected.sent, seed
        after = await bench.counters()
        compare(expected, before, after)
        before = after
    assert min(ends) > phases // 10, ends


@cocotb.test()
async def flits_that_wait(dut: Any) -> None:
    """A mesh that takes nothing stops the MAP, then the CAPs; nothing is lost."""
    bench, work = Bench(dut), Convolution.random(3)
    await bench.reset()
    await bench.write([*work.setup(), work.sender()])
    dut.flit_out__ready.value = 0
    assert await bench.phase() is None
    assert (int(dut.waiting_unit.value), int(dut.waiting_state.value)) == (Unit.SENDER, Waiting.MESH)
    assert not any(bench.progress[-50:])
    blocked = (await bench.counters())["sender.blocked"]
    assert blocked > LIMIT // 2
    bench.sent, number = [], 0
    while not int(dut.idle.value):
        dut.flit_out__ready.value = number % 3 == 0
        await bench.cycle(number)
        number += 1
    words = bench.words()
    assert np.array_equal(work.numbers(words), work.result())


@cocotb.test()
async def flits_to_no_place(dut: Any) -> None:
    """A flit beyond a unit, or to none, writes nothing and is an error; the first one is kept."""
    bench = Bench(dut)
    units = [unit for unit in range(1 << UNIT_BITS) if unit_size(unit, TINY)]
    assert len(units) == 3 + 3 * TINY.tiles
    for unit in units:
        await bench.reset()
        size = unit_size(unit, TINY)
        await bench.write([Write(unit, 0, [1], 1), Write(unit, size - 1, [1], 1)])
        await RisingEdge(dut.clk)
        assert bench.error() == (AcceleratorError.NONE, 0, 0)
        await bench.write([Write(unit, size, [1], 1), Write(unit, size + 7, [1], 1), Write(0x77, 0, [1], 1)])
        await RisingEdge(dut.clk)
        assert bench.error() == (AcceleratorError.ADDRESS, unit, size)
    for unit in (0x03, Unit.TILE + TINY.tiles, Unit.PROGRAM + TINY.tiles, 0xFF):
        await bench.reset()
        await bench.write([Write(unit, 5, [1], 1)])
        await RisingEdge(dut.clk)
        assert bench.error() == (AcceleratorError.UNIT, unit, 0)


@cocotb.test()
async def errors_of_units(dut: Any) -> None:
    """Tiles, gather unit and sender: code, place and detail; the unit with the lowest number comes first."""
    bench = Bench(dut)
    wide = Instruction(Opcode.FILL, d=TINY.map.columns - 1, d_width=2)
    refused = Program((Instruction(Opcode.SYNC), wide), TINY.map.hash).words
    parts = TINY.flits_per_instruction
    program = Write(Unit.PROGRAM + MAP, 0, [part for word in refused for part in words_of(word, TINY, parts)], 1)
    broken_tile = [program, Write(Unit.TILE + MAP, 0, [0, 0, 0, len(refused)], 1)]
    other_config = [*arm(CAP, []), Write(Unit.PROGRAM + CAP, 2, [0xBAD], 1)]
    store = [*arm(MAP, [Instruction(Opcode.STORE, kind=1, a=0, a_width=3)])]
    cases: tuple[tuple[list[HostCommand], tuple[AcceleratorError, int, int]], ...] = (
        ([*broken_tile], (AcceleratorError.TILE, Unit.TILE + MAP, ErrorCode.COLUMN | 1 << 8)),
        ([*other_config], (AcceleratorError.TILE, Unit.TILE + CAP, ErrorCode.CONFIG)),
        (
            [*other_config, *arm(MAP, []), Write(Unit.PROGRAM + MAP, 2, [0xBAD], 1)],
            (AcceleratorError.TILE, Unit.TILE + CAP, ErrorCode.CONFIG),
        ),
        ([arm_gather(STRIDE_X=9)], (AcceleratorError.DESCRIPTOR, Unit.GATHER, 9)),
        ([arm_sender(counts=(1, 0, 1))], (AcceleratorError.DESCRIPTOR, Unit.SENDER, 7)),
        ([arm_sender(counts=(1, 0, 1)), *other_config], (AcceleratorError.DESCRIPTOR, Unit.SENDER, 7)),
        (
            [*store, arm_sender(destinations=2, base=127, counts=(3, 1, 1))],
            (AcceleratorError.ADDRESS, Unit.SENDER, 128),
        ),
    )
    assert TINY.gather_words * TINY.lanes == 128
    for commands, expected in cases:
        await bench.reset()
        await bench.write(commands)
        await bench.phase(60)
        assert bench.error() == expected


@cocotb.test()
async def what_units_wait_for(dut: Any) -> None:
    """The lowest unit that waits, and for what."""
    bench = Bench(dut)
    cases: tuple[tuple[list[HostCommand], tuple[int, Waiting]], ...] = (
        (arm(CAP + 1, [load(0, 2, LoadKind.PLANES)]), (Unit.TILE + CAP + 1, Waiting.PLANES)),
        (arm(CAP, [Instruction(Opcode.STORE, kind=1, a=0, a_width=3)]), (Unit.TILE + CAP, Waiting.ROOM)),
        ([*arm(MAP, []), Write(Unit.TILE + MAP, 3, [1], 1)], (Unit.TILE + MAP, Waiting.PROGRAM)),
        ([arm_sender(), *arm(MAP, [load(0, 1, LoadKind.PLANES)])], (Unit.SENDER, Waiting.WORDS)),
        ([arm_gather(RECEIVERS=2), arm_sender()], (Unit.GATHER, Waiting.TILES)),
        ([], (0, Waiting.NOTHING)),
    )
    for commands, (unit, state) in cases:
        await bench.reset()
        await bench.write(commands)
        await bench.phase(60)
        assert (int(dut.waiting_unit.value), Waiting(int(dut.waiting_state.value))) == (unit, state)
        assert not bench.progress[-1]


@cocotb.test()
async def a_go_with_nothing_armed(dut: Any) -> None:
    """Nothing starts, and the cluster is idle at once."""
    bench = Bench(dut)
    await bench.reset()
    before = await bench.counters()
    assert await bench.phase() == 1
    after = await bench.counters()
    assert before == after


CASES = (
    "convolution", "random_phases", "flits_that_wait", "flits_to_no_place", "errors_of_units", "what_units_wait_for",
    "a_go_with_nothing_armed",
)  # fmt: skip
"""The tests for the simulator."""
