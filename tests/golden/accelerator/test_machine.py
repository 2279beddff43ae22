"""The golden accelerator against plain NumPy: small streams made by hand, and what stops them."""

from collections.abc import Sequence

import numpy as np
import pytest

from golden.accelerator.machine import AcceleratorOutcome, GoldenAccelerator
from golden.accelerator.stream import Fault, UnknownCommand, parse_words
from golden.accelerator.timing import law
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write, command_word, stream_words
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import AcceleratorError, Command, GatherRegister, SenderRegister, Unit, Waiting
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode
from tests.golden.accelerator.slow_cluster import random_stream
from tests.golden.accelerator.streams import (
    CAP,
    MAP,
    SYNC,
    TINY,
    Convolution,
    arm,
    arm_gather,
    arm_sender,
    load,
    store,
    words_of,
)


def run(*commands: HostCommand | UnknownCommand, machine: GoldenAccelerator | None = None) -> AcceleratorOutcome:
    return (machine or GoldenAccelerator(TINY, seed=5)).run(commands)


def test_a_convolution_is_that_of_numpy() -> None:
    layer = Convolution.random(1)
    outcome = run(*layer.setup(), layer.sender(), Run(), End())
    assert outcome.error is AcceleratorError.NONE
    assert np.array_equal(layer.numbers(outcome.words), layer.result())
    assert outcome.phases[0].host[0] == outcome.words


def test_words_of_a_stream_are_read_as_they_were_meant() -> None:
    layer = Convolution.random(2)
    commands = [*layer.setup(), layer.sender(), Run(), Wait(3), End()]
    words = list(stream_words(commands, TINY))
    assert [*stream_words((c for c in parse_words(words, TINY) if not isinstance(c, UnknownCommand)), TINY)] == words
    assert run(*parse_words(words, TINY)).words == run(*commands).words


@pytest.mark.parametrize("name", ["mesh1x2", "meshtiny"])
def test_command_words_are_put_together_for_each_width_of_a_flit(name: str) -> None:
    config = ACCELERATORS[name]
    commands: list[HostCommand] = [Write(Unit.TILE + 1, 2, [7, 9], 0b11), Wait(1), Run(), Write(0, 0, [], 1), End()]
    assert [*parse_words(stream_words(commands, config), config)] == commands


def test_a_stream_that_ends_within_a_command_is_refused() -> None:
    words = list(stream_words([Write(Unit.GATHER, 0, [1, 2], 1)], TINY))
    with pytest.raises(ValueError, match="a WRITE of 2 words must have as many, not 1"):
        list(parse_words(words[:-1], TINY))
    with pytest.raises(ValueError, match="a command must have 128 bits, not 64"):
        list(parse_words(words[:2], TINY))


def test_cells_and_memories_persist_and_nothing_stays_armed() -> None:
    layer = Convolution.random(3)
    machine = GoldenAccelerator(TINY, seed=8)
    first = run(*layer.setup(), layer.sender(), Run(), End(), machine=machine)
    program = arm(MAP, [store(0, layer.total_bits), store(layer.total_bits, layer.total_bits)])
    second = run(*program, layer.sender(), Run(), Run(), machine=machine)
    assert second.words == first.words
    assert [len(phase.tiles[0]) for phase in first.phases + second.phases] == [3, 1, 0]


def test_a_sender_writes_gather_memories_of_others_by_strides() -> None:
    machine = GoldenAccelerator(TINY, seed=4)
    before = machine.memories.gather[1].copy()
    sender = arm_sender(destinations=0b110, base=10, strides=(2, 20, 1), counts=(3, 2, 2))
    outcome = run(*arm(MAP, [store(0, 12, block=1)]), sender, Run(), End(), machine=machine)
    order = [10 + 2 * i + 20 * j + k for k in range(2) for j in range(2) for i in range(3)]
    columns = machine.tiles[0][MAP].cells[:12, 32:64]
    assert np.array_equal(machine.memories.gather[1][order], columns)
    untouched = np.setdiff1d(np.arange(len(before)), order)
    assert np.array_equal(machine.memories.gather[1][untouched], before[untouched])
    assert outcome.words == [sum(int(bit) << s for s, bit in enumerate(plane)) for plane in columns]


def test_a_stride_may_be_negative() -> None:
    machine = GoldenAccelerator(TINY, seed=3)
    sender = arm_sender(destinations=0b01, base=30, strides=(2**32 - 2, 2**32 - 7, 0), counts=(2, 3, 1))
    assert run(*arm(MAP, [store(0, 6)]), sender, Run(), machine=machine).error is AcceleratorError.NONE
    assert np.array_equal(machine.memories.gather[0][[30, 28, 23, 21, 16, 14]], machine.tiles[0][MAP].cells[:6, :32])


def test_a_phase_reads_what_was_there_at_its_go() -> None:
    """Both clusters send their first planes to each other and gather their own, at once."""
    machine = GoldenAccelerator(TINY, seed=6)
    memories = [memory.copy() for memory in machine.memories.gather]
    commands: list[HostCommand] = []
    for cluster in range(2):
        commands += arm(MAP, [load(8, 1, LoadKind.PLANES), SYNC, store(8, 1)], clusters=1 << cluster)
        commands += [
            arm_gather(clusters=1 << cluster, RECEIVERS=1 << MAP),
            arm_sender(destinations=1 << 1 - cluster, clusters=1 << cluster),
        ]
    assert run(*commands, Run(), End(), machine=machine).error is AcceleratorError.NONE
    for cluster in range(2):
        assert np.array_equal(machine.memories.gather[cluster][0], memories[1 - cluster][0])
        assert np.array_equal(machine.memories.gather[cluster][1:], memories[cluster][1:])


def test_a_map_takes_stores_of_armed_caps_by_turns() -> None:
    machine = GoldenAccelerator(TINY, seed=7)
    program = [load(0, 3, LoadKind.BLOCK), load(3, 3, LoadKind.BLOCK, 1), SYNC, store(0, 3), store(3, 3, 1)]
    stores = [store(0, 2), store(20, 1, 1)]
    words = [[*machine.tiles[0][cap].cells[:2, :32], machine.tiles[0][cap].cells[20, 32:64]] for cap in (0, 1)]
    turns = [*words[0][:2], *words[1][:2], words[0][2], words[1][2]]
    outcome = run(
        *arm(CAP, stores), *arm(CAP + 1, stores), *arm(MAP, program), arm_sender(counts=(6, 1, 1)), Run(), End(),
        machine=machine,
    )  # fmt: skip
    assert outcome.words == [sum(int(bit) << s for s, bit in enumerate(word)) for word in turns]

    # A CAP that is not armed has no turn.
    alone = [load(0, 3, LoadKind.BLOCK), SYNC, store(0, 3)]
    outcome = run(
        *arm(CAP + 1, stores), *arm(MAP, alone), arm_sender(counts=(3, 1, 1)), Run(), End(), machine=machine
    )  # fmt: skip
    assert outcome.words == [sum(int(bit) << s for s, bit in enumerate(word)) for word in words[1]]


def test_taps_come_again_and_again() -> None:
    machine = GoldenAccelerator(TINY, seed=9)
    taps = machine.memories.taps[0][MAP].reshape(-1, TINY.taps)
    program = [load(0, 4, LoadKind.TAPS), load(4, 3, LoadKind.TAPS), SYNC, store(0, 7, block=2)]
    commands = [*arm(MAP, program, taps=(3, 5)), arm_sender(counts=(7, 1, 1)), Run(), End()]
    outcome = run(*commands, machine=machine)
    assert outcome.words == [int(taps[3 * 8 + index % 5, 2]) * (2**32 - 1) for index in range(7)]


def test_a_slot_of_no_words_is_not_armed() -> None:
    empty = Write(Unit.TILE + CAP, 3, [0], 1)
    outcome = run(*arm(CAP, [store(0, 1)]), empty, Run(), *arm(CAP, []), Run(), End())
    assert outcome.error is AcceleratorError.NONE
    assert [list(phase.tiles[0]) for phase in outcome.phases] == [[], [CAP]]


@pytest.mark.parametrize("kind", [LoadKind.TOTAL, LoadKind.TAG])
def test_nothing_comes_for_other_kinds(kind: LoadKind) -> None:
    other = Instruction(Opcode.LOAD, d_width=1, kind=kind)
    commands = [*arm(CAP, [store(0, 1)]), *arm(MAP, [other]), arm_gather(RECEIVERS=1 << MAP), Run()]
    outcome = run(*commands)
    assert place(outcome) == (AcceleratorError.WATCHDOG, 0, Unit.GATHER, Waiting.TILES)


def place(outcome: AcceleratorOutcome) -> tuple[AcceleratorError, int, int, int]:
    return outcome.error, outcome.cluster, outcome.unit, outcome.detail


HOST = TINY.host
STORING = arm(MAP, [store(0, 2)])
ERRORS: list[tuple[Sequence[HostCommand | UnknownCommand], tuple[AcceleratorError, int, int, int]]] = [
    ([UnknownCommand(9)], (AcceleratorError.OPCODE, HOST, 0, 9)),
    ([Write(Unit.GATHER, 0, [1], 0)], (AcceleratorError.DESTINATION, HOST, Unit.GATHER, 0)),
    ([Write(Unit.GATHER, 0, [1], 0b101)], (AcceleratorError.DESTINATION, HOST, Unit.GATHER, 0)),
    ([Write(Unit.TILE + 3, 0, [1], 1)], (AcceleratorError.UNIT, HOST, Unit.TILE + 3, 0)),
    ([Write(Unit.SENDER, 8, [1, 1, 1], 1)], (AcceleratorError.ADDRESS, HOST, Unit.SENDER, 10)),
    ([Write(Unit.TAPS, 70, [1], 1)], (AcceleratorError.ADDRESS, HOST, Unit.TAPS, 70)),
    ([Wait(0b100)], (AcceleratorError.BARRIER, HOST, 0, 0)),
    (
        [*arm(MAP, [store(0, 2)], clusters=2), arm_sender(destinations=1, base=127, counts=(2, 1, 1), clusters=2)],
        (AcceleratorError.ADDRESS, 1, Unit.SENDER, 128),
    ),
    (
        [*arm(MAP, [store(0, 2)]), arm_sender(destinations=1, strides=(2**32 - 1, 0, 0), counts=(2, 1, 1))],
        (AcceleratorError.ADDRESS, 0, Unit.SENDER, 2**32 - 1),
    ),
    (
        [arm_sender(source=1)],
        (AcceleratorError.DESCRIPTOR, 0, Unit.SENDER, SenderRegister.SOURCE),
    ),
    (
        [arm_sender(destinations=0)],
        (AcceleratorError.DESCRIPTOR, 0, Unit.SENDER, SenderRegister.DESTINATIONS_LOW),
    ),
    (
        [arm_sender(destinations=1 << 40)],
        (AcceleratorError.DESCRIPTOR, 0, Unit.SENDER, SenderRegister.DESTINATIONS_HIGH),
    ),
    ([arm_sender(counts=(1, 0, 1))], (AcceleratorError.DESCRIPTOR, 0, Unit.SENDER, SenderRegister.COUNT1)),
    ([arm_sender(counts=(1, 1, 1 << 16))], (AcceleratorError.DESCRIPTOR, 0, Unit.SENDER, SenderRegister.COUNT2)),
    ([arm_gather(STRIDE_X=5)], (AcceleratorError.DESCRIPTOR, 0, Unit.GATHER, GatherRegister.STRIDE_X)),
    (
        [*arm(CAP, [SYNC]), Write(Unit.PROGRAM + CAP, 8, words_of(0, TINY, 4), 1)],
        (AcceleratorError.TILE, 0, Unit.TILE + CAP, ErrorCode.OPCODE | 1 << 8),
    ),
    (
        [*arm(CAP, []), Write(Unit.PROGRAM + CAP, 0, [0], 1)],
        (AcceleratorError.TILE, 0, Unit.TILE + CAP, ErrorCode.MAGIC),
    ),
    (
        [*arm(MAP, []), Write(Unit.PROGRAM + MAP, 2, [0], 1)],
        (AcceleratorError.TILE, 0, Unit.TILE + MAP, ErrorCode.CONFIG),
    ),
    (
        [*arm(CAP, [SYNC]), Write(Unit.TILE + CAP, 0, [0, 0, 0, 2], 1)],
        (AcceleratorError.WATCHDOG, 0, Unit.TILE + CAP, Waiting.PROGRAM),
    ),
    (
        [*arm(CAP, [load(0, 1, LoadKind.BLOCK)])],
        (AcceleratorError.WATCHDOG, 0, Unit.TILE + CAP, Waiting.PLANES),
    ),
    ([*arm(CAP, [store(0, 1)])], (AcceleratorError.WATCHDOG, 0, Unit.TILE + CAP, Waiting.ROOM)),
    (
        [
            *arm(CAP, [store(0, 1)]), *arm(CAP + 1, [store(0, 1), store(0, 1)]),
            *arm(MAP, [load(0, 2, LoadKind.BLOCK)]),
        ],
        (AcceleratorError.WATCHDOG, 0, Unit.TILE + CAP + 1, Waiting.ROOM),
    ),
    (STORING, (AcceleratorError.WATCHDOG, 0, Unit.TILE + MAP, Waiting.ROOM)),
    ([*STORING, arm_sender(counts=(3, 1, 1))], (AcceleratorError.WATCHDOG, 0, Unit.SENDER, Waiting.WORDS)),
    ([arm_gather()], (AcceleratorError.WATCHDOG, 0, Unit.GATHER, Waiting.TILES)),
]  # fmt: skip


@pytest.mark.parametrize(("commands", "expected"), ERRORS)
def test_an_error_ends_the_stream_with_its_place(
    commands: Sequence[HostCommand | UnknownCommand], expected: tuple[AcceleratorError, int, int, int]
) -> None:
    assert place(run(*commands, Run(), End())) == expected


def test_what_waits_for_ever_by_its_order_is_told_as_by_the_law() -> None:
    """All words are there in random streams, but tiles may ask for them in orders that wait for each other."""
    waiting = 0
    for seed in range(20):
        commands = random_stream(seed)
        outcome = run(*commands)
        if outcome.error is AcceleratorError.NONE:
            assert law(commands, TINY).words_out == len(outcome.words), seed
            continue
        with pytest.raises(Fault) as raised:
            law(commands, TINY)
        fault = raised.value
        assert place(outcome) == (fault.code, fault.cluster, fault.unit, fault.detail), seed
        waiting += 1
    assert waiting > 5


def test_an_opcode_of_the_stream_is_not_known() -> None:
    head = words_of(command_word(7), TINY, 4)
    assert [*parse_words([*head, 1, 2, 3], TINY)] == [UnknownCommand(7)]
    assert 7 not in list(Command)


def test_a_total_that_overflows_stops_the_accelerator() -> None:
    program = [
        Instruction(Opcode.FILL, d=0, d_width=1, constant=1),
        Instruction(Opcode.INIT, constant=(1 << 31) - 1),
        Instruction(Opcode.DOT, a=0, a_width=1, b=0, b_width=1),
    ]
    expected = (AcceleratorError.TILE, 1, Unit.TILE + CAP + 1, ErrorCode.TOTAL | 2 << 8)
    assert place(run(*arm(CAP + 1, program, clusters=2), Run())) == expected


def test_programs_that_no_slot_can_feed_are_refused() -> None:
    with pytest.raises(ValueError, match="PROGRAM_WORDS must be 2, header and instructions, not 3"):
        run(*arm(CAP, []), Write(Unit.TILE + CAP, 0, [0, 0, 0, 3], 1), Run())
    with pytest.raises(ValueError, match=r"PROGRAM_START \+ PROGRAM_WORDS must be at most 256, not 255\+2"):
        run(*arm(CAP, []), Write(Unit.TILE + CAP, 0, [0, 0, 255, 2], 1), Run())
