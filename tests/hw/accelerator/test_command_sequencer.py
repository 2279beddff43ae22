"""The command sequencer against a list of what a stream means, and cycle by cycle, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.accelerator.command_sequencer import CommandSequencer
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write, command_word, stream_words
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.protocol import AcceleratorError, Command, Unit

TINY = ACCELERATORS["meshtiny"]
WORDS = {
    flit_bits: TINY.replace(
        name=f"flits{flit_bits}",
        flit_bits=flit_bits,
        cap=TINY.cap.replace(outputs=256, plane_bits=256),
        map=TINY.map.replace(outputs=256, plane_bits=256),
    )
    for flit_bits in (32, 64, 128, 256)
}
"""Commands of four words, of two, and of one that fills its word or half of it."""
GATHER_MEMORY_SIZE = 64 * 2
"""Words of 32 bits in the gather memory of config meshtiny: 64 of 32 bits in each of two lanes."""

Flit = tuple[int, int, int, int]


@dataclass
class Trace:
    """What happened in each cycle from the one in which ``start`` was high, cycle 0."""

    flits: dict[int, Flit] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)
    gos: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    done: int = 0
    error: tuple[AcceleratorError, int, int] = (AcceleratorError.NONE, 0, 0)
    phases: int = 0


@dataclass
class Surroundings:
    """Inputs of the sequencer by cycle; the last value of each stays."""

    clusters_idle: Sequence[int] = (3,)
    mesh_empty: Sequence[int] = (1,)
    host_empty: Sequence[int] = (1,)
    halt: Sequence[int] = (0,)
    start: Sequence[int] = (1, 0)
    ready: Iterator[int] | None = None
    pauses: Iterator[int] | None = None


def execute(config: AcceleratorConfig, words: Sequence[int], cycles: int, around: Surroundings | None = None) -> Trace:
    """Run the sequencer for some cycles with these words on its stream."""
    dut, trace, around = CommandSequencer(config), Trace(), around or Surroundings()

    async def bench(context: Any) -> None:
        waiting, paused = list(words), False
        for cycle in range(cycles):
            for name in ("clusters_idle", "mesh_empty", "host_empty", "halt", "start"):
                values = getattr(around, name)
                context.set(getattr(dut, name), values[min(cycle, len(values) - 1)])
            context.set(dut.flits.ready, next(around.ready) if around.ready else 1)
            # A word that is offered stays.
            paused = bool(next(around.pauses)) if around.pauses else False
            context.set(dut.words.valid, bool(waiting) and not paused)
            context.set(dut.words.payload, waiting[0] if waiting and not paused else 0)
            if context.get(dut.flits.valid) and context.get(dut.flits.ready):
                flit = context.get(dut.flits.payload)
                trace.flits[cycle] = (flit.destinations, flit.unit, flit.address, flit.payload)
            taken = context.get(dut.words.valid) and context.get(dut.words.ready)
            assert context.get(dut.taken) == taken
            if taken:
                waiting.pop(0)
                trace.words.append(cycle)
            if context.get(dut.go):
                trace.gos.append(cycle)
            if context.get(dut.running):
                trace.running.append(cycle)
            if context.get(dut.waiting_words):
                trace.waiting.append(cycle)
            if context.get(dut.done) and not trace.done:
                trace.done = cycle
            await context.tick()
        trace.error = (
            AcceleratorError(context.get(dut.error)),
            context.get(dut.error_unit),
            context.get(dut.error_detail),
        )
        trace.phases = context.get(dut.phases)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return trace


def run(config: AcceleratorConfig, commands: Sequence[HostCommand], cycles: int, **around: Any) -> Trace:
    return execute(config, list(stream_words(commands, config)), cycles, Surroundings(**around))


def bits(seed: int, probability: float) -> Iterator[int]:
    generator = random.Random(seed)
    while True:
        yield int(generator.random() < probability)


@pytest.mark.parametrize("flit_bits", WORDS)
def test_one_word_a_cycle_without_a_pause_between_commands(flit_bits: int) -> None:
    config = WORDS[flit_bits]
    head = {32: 4, 64: 2, 128: 1, 256: 1}[flit_bits]
    top = (1 << flit_bits) - 1
    commands = (
        Write(Unit.TAPS, 5, [7, top, 9], 0b01),
        Write(Unit.GATHER, 3, [], 0b11),
        Write(Unit.PROGRAM + 2, 0, [1], 0b11),
        Write(Unit.SENDER, 9, [2], 0b10),
        End(),
    )
    trace = run(config, commands, 40)
    total = 5 * head + 5
    assert trace.words == list(range(1, 1 + total))
    first, second, third = 1 + head, 1 + 3 * head + 3, 1 + 4 * head + 4
    assert trace.flits == {
        first: (0b01, Unit.TAPS, 5, 7),
        first + 1: (0b01, Unit.TAPS, 6, top),
        first + 2: (0b01, Unit.TAPS, 7, 9),
        second: (0b11, Unit.PROGRAM + 2, 0, 1),
        third: (0b10, Unit.SENDER, 9, 2),
    }
    # END is complete in the cycle after its last word, sees all idle there, and done is high in the next one.
    assert trace.running == list(range(1, total + 2))
    assert trace.done == total + 2
    assert trace.error == (AcceleratorError.NONE, 0, 0)


@pytest.mark.parametrize("flit_bits", WORDS)
def test_run_goes_in_the_cycle_after_all_is_idle(flit_bits: int) -> None:
    config = WORDS[flit_bits]
    head = {32: 4, 64: 2, 128: 1, 256: 1}[flit_bits]
    commands = (Run(), Run(), Write(Unit.TAPS, 0, [3], 1), End())
    trace = run(config, commands, 40)
    # Words 1 .. head, all idle in head + 1, go in head + 2, in which the next word is taken.
    first, second = head + 2, 2 * head + 3
    assert trace.gos == [first, second]
    assert trace.words == [
        *range(1, 1 + head),
        *range(first, first + head),
        *range(second, second + 2 * head + 1),
    ]
    assert trace.phases == 2


@pytest.mark.parametrize("what", ["clusters_idle", "mesh_empty", "host_empty"])
def test_run_and_end_wait_for_each_part(what: str) -> None:
    all_idle = 3 if what == "clusters_idle" else 1
    for busy in {0, all_idle & 2, all_idle & 1} - {all_idle}:
        trace = run(TINY, (Run(), End()), 60, **{what: [busy] * 20 + [all_idle] + [busy] * 20 + [all_idle]})
        assert trace.gos == [21]
        assert trace.words == [1, 2, 3, 4, 21, 22, 23, 24]
        assert trace.done == 42


def test_wait_looks_at_its_clusters_and_the_mesh() -> None:
    commands = (Wait(0b10), Wait(0b01), End())
    trace = run(TINY, commands, 60, clusters_idle=[0] * 10 + [0b10] * 10 + [0b01] * 10 + [0b11])
    assert trace.words == [1, 2, 3, 4, *range(11, 15), *range(21, 25)]
    trace = run(TINY, commands, 60, mesh_empty=[0] * 10 + [1], host_empty=[0] * 40 + [1])
    assert trace.words == [1, 2, 3, 4, *range(11, 15), *range(16, 20)]
    assert trace.done == 41
    # A WAIT for no cluster is for the mesh alone.
    assert run(TINY, (Wait(0), End()), 60, clusters_idle=[0] * 40 + [3]).words == [1, 2, 3, 4, *range(6, 10)]


@pytest.mark.parametrize(
    ("command", "error", "unit", "detail"),
    [
        (command_word(0), AcceleratorError.OPCODE, 0, 0),
        (command_word(0x5A), AcceleratorError.OPCODE, 0, 0x5A),
        (command_word(Command.WRITE, Unit.TAPS, 0, 1, 0), AcceleratorError.DESTINATION, Unit.TAPS, 0),
        (command_word(Command.WRITE, Unit.TAPS, 0, 1, 0b101), AcceleratorError.DESTINATION, Unit.TAPS, 0),
        (command_word(Command.WRITE, Unit.TAPS, 0, 1, 1 | 1 << 63), AcceleratorError.DESTINATION, Unit.TAPS, 0),
        (command_word(Command.WRITE, 0x99, 0, 0, 0), AcceleratorError.DESTINATION, 0x99, 0),
        (command_word(Command.WRITE, 0x03, 0, 1, 1), AcceleratorError.UNIT, 0x03, 0),
        (command_word(Command.WRITE, Unit.TILE + 3, 0, 0, 1), AcceleratorError.UNIT, 0x43, 0),
        (command_word(Command.WRITE, 0, GATHER_MEMORY_SIZE, 1, 3), AcceleratorError.ADDRESS, 0, GATHER_MEMORY_SIZE),
        (command_word(Command.WRITE, 0, 7, 1 << 23, 1), AcceleratorError.ADDRESS, 0, GATHER_MEMORY_SIZE),
        (command_word(Command.WRITE, 0, 0xFFFFFF, 0xFFFFFF, 1), AcceleratorError.ADDRESS, 0, 0xFFFFFF),
        (command_word(Command.WRITE, 0, 0xFFFFFF, 2, 1), AcceleratorError.ADDRESS, 0, 0xFFFFFF),
        (command_word(Command.WRITE, Unit.TILE + 2, 3, 2, 1), AcceleratorError.ADDRESS, 0x42, 4),
        (command_word(Command.WRITE, Unit.GATHER, 23, 1, 1), AcceleratorError.ADDRESS, 1, 23),
        (command_word(Command.WRITE, Unit.SENDER, 10, 1, 1), AcceleratorError.ADDRESS, 2, 10),
        (command_word(Command.WRITE, Unit.PROGRAM + 1, 1024, 1, 1), AcceleratorError.ADDRESS, 0x81, 1024),
        (command_word(Command.WRITE, Unit.TAPS + 1, 60, 5, 1), AcceleratorError.ADDRESS, 0xC1, 64),
        (command_word(Command.WAIT, 0, 0, 0, 0b100), AcceleratorError.BARRIER, 0, 0),
    ],
)
def test_a_command_that_is_refused(command: int, error: AcceleratorError, unit: int, detail: int) -> None:
    words = [command >> position & 0xFFFF_FFFF for position in range(0, 128, 32)]
    trace = execute(TINY, [*stream_words((Write(Unit.TAPS, 0, [1], 1),), TINY), *words, *range(20)], 40)
    assert trace.error == (error, unit, detail)
    assert list(trace.flits.values()) == [(1, Unit.TAPS, 0, 1)]  # that of the command before
    assert trace.words == list(range(1, 10))
    assert trace.running[-1] == 10
    assert not trace.done


@pytest.mark.parametrize(
    ("unit", "address", "count"),
    [
        (Unit.GATHER_MEMORY, GATHER_MEMORY_SIZE - 2, 2),
        (Unit.TILE + 2, 3, 1),
        (Unit.GATHER, 22, 1),
        (Unit.SENDER, 0, 10),
        (Unit.PROGRAM + 2, 1023, 1),
        (Unit.TAPS, 63, 1),
        (Unit.TAPS, 5000, 0),
    ],
)
def test_the_last_address_is_written(unit: int, address: int, count: int) -> None:
    trace = run(TINY, (Write(unit, address, list(range(count)), 2), End()), 60)
    assert [flit[2] for flit in trace.flits.values()] == list(range(address, address + count))
    assert trace.error == (AcceleratorError.NONE, 0, 0)
    assert trace.done


def test_nothing_goes_on_after_an_error() -> None:
    words = [*(0x77, 0, 0, 0), *stream_words((Run(), End()), TINY)]
    trace = execute(TINY, words, 40, Surroundings(start=[1] + [0] * 20 + [1]))
    assert trace.running == [1, 2, 3, 4, 5]
    assert trace.words == [1, 2, 3, 4]
    assert trace.gos == []


@pytest.mark.parametrize("cycle", range(2, 17))
def test_halt_stops_for_good_wherever_it_comes(cycle: int) -> None:
    commands = (Write(Unit.TAPS, 0, [1, 2], 1), Run(), End())
    halt = [int(number == cycle) for number in range(40)]
    trace = run(TINY, commands, 40, halt=halt, start=[1] + [0] * 25 + [1])
    assert trace.running == list(range(1, cycle + 1))
    assert max(trace.words) <= cycle
    assert max(trace.gos, default=0) <= cycle
    assert not trace.done


def test_a_second_run_begins_anew() -> None:
    words = [*stream_words((Run(), Run(), End(), Run(), End()), TINY)]
    trace = execute(TINY, words, 60, Surroundings(start=[1] + [0] * 5 + [1] + [0] * 20 + [1, 0]))
    assert trace.gos == [6, 11, 33]
    assert trace.running == [*range(1, 16), *range(28, 38)]
    assert trace.done == 16
    assert trace.phases == 1


def test_words_wait_for_start() -> None:
    trace = run(TINY, (End(),), 30, start=[0] * 9 + [1, 0])
    assert trace.words == [10, 11, 12, 13]


def test_waiting_for_words_is_told() -> None:
    # After 4 words of the WRITE and two of its three payload words none comes.
    words = list(stream_words((Write(Unit.TAPS, 0, [1, 2, 3], 1),), TINY))[:6]
    assert execute(TINY, words, 20).waiting == list(range(7, 20))
    # While the mesh takes nothing it is the mesh that it waits for.
    assert execute(TINY, words[:4], 20, Surroundings(ready=bits(0, 0.0))).waiting == []
    # In front of a command it waits for words as well, at a RUN for the units.
    assert execute(TINY, [], 10).waiting == list(range(1, 10))
    assert run(TINY, (Run(),), 20, clusters_idle=[0]).waiting == []


@pytest.mark.parametrize("seed", range(6))
def test_random_streams_with_pauses_on_both_sides(seed: int) -> None:
    print(f"seed {seed}")
    generator = random.Random(seed)
    config = WORDS[generator.choice(list(WORDS))]
    commands: list[HostCommand] = []
    expected: list[Flit] = []
    for _ in range(25):
        kind = generator.randrange(4)
        if kind < 2:
            unit = generator.choice((Unit.GATHER_MEMORY, Unit.TAPS + 1, Unit.PROGRAM + 2))
            address, destinations = generator.randrange(40), generator.randrange(1, 4)
            payload = [generator.getrandbits(config.flit_bits) for _ in range(generator.randrange(6))]
            commands.append(Write(unit, address, payload, destinations))
            expected += [(destinations, unit, address + index, word) for index, word in enumerate(payload)]
        else:
            commands.append(Run() if kind == 2 else Wait(generator.randrange(4)))
    trace = run(config, [*commands, End()], 900, ready=bits(seed + 1, 0.6), pauses=bits(seed + 2, 0.3))
    assert list(trace.flits.values()) == expected
    assert len(trace.gos) == trace.phases == sum(isinstance(command, Run) for command in commands)
    assert trace.done
