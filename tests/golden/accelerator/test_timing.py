"""The law of command streams: cases worked out by hand, and what must hold of all."""

from collections import Counter

import pytest

from golden.accelerator.machine import GoldenAccelerator
from golden.accelerator.stream import Fault, Memories, UnknownCommand
from golden.accelerator.timing import law
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write, stream_words
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import TileState, Unit
from hw.isa import Instruction, Opcode
from tests.golden.accelerator.slow_cluster import SlowCluster, random_stream
from tests.golden.accelerator.streams import CAP, MAP, SYNC, TINY, Convolution, arm, arm_sender, store

HEAD = 4  # words of a command on meshtiny
TAPS = Unit.TAPS + CAP


def fill(width: int) -> Instruction:
    return Instruction(Opcode.FILL, d=0, d_width=width)


def test_commands_alone() -> None:
    """A RUN is complete in cycle 4, looks there, and go is in 5; the END's words are 5 .. 8, it looks in 9."""
    run = law([Run(), End()], TINY)
    assert (run.goes, run.end, run.words_in) == ([5], 10, 8)
    assert run.phases[0].states(1, MAP) == {
        TileState.IDLE: 5, TileState.BUSY: 0, TileState.PLANES: 0, TileState.ROOM: 0, TileState.PROGRAM: 0,
    }  # fmt: skip


def test_wide_commands_are_one_word() -> None:
    config = ACCELERATORS["mesh1x1"]
    wide = config.replace(flit_bits=128, cap=config.cap.replace(outputs=128), map=config.map.replace(outputs=128))
    wide = wide.replace(cap=wide.cap.replace(plane_bits=256), map=wide.map.replace(plane_bits=256))
    run = law([Run(), Run(), End()], wide)
    assert (run.goes, run.end) == ([2, 4], 6)


def test_a_run_waits_for_what_was_written() -> None:
    """Words 4 .. 6 of a payload; the last one is in router 0 in 7, in router 1 in 8: all is idle in 9."""
    write = Write(TAPS, 0, [1, 2, 3], 0b10)
    assert law([write, End()], TINY).end == 7 + HEAD + 1  # the END's words take longer
    wide = ACCELERATORS["mesh4x4"]
    # Two words a command. The payload's word is taken in 2; the END is complete in 5; cluster 15 is six hops away.
    assert law([Write(TAPS, 0, [1], 1 << 15), End()], wide).end == 2 + 1 + 6 + 1 + 1
    assert law([Write(TAPS, 0, [1], 0b11), End()], wide).end == 6
    assert law([Write(TAPS, 0, [], 1 << 15), End()], wide).end == 5


def test_a_program_of_a_few_instructions() -> None:
    """Go in g: FILL is decoded in g + 4 and takes 6 cycles, HALT in g + 10, idle in g + 11."""
    commands = [*arm(CAP, [fill(5)]), Run(), End()]
    run = law(commands, TINY)
    written = 3 * 4 + 4 + 2 * HEAD
    assert run.goes == [written + HEAD + 1]
    assert run.end == run.goes[0] + 12
    assert run.tiles[0][0][CAP] == {
        TileState.IDLE: 4, TileState.BUSY: 7, TileState.PLANES: 0, TileState.ROOM: 0, TileState.PROGRAM: 1,
    }  # fmt: skip


def test_what_follows_a_run_is_written_while_the_phase_runs() -> None:
    first, second = arm(CAP, [fill(60)]), arm(CAP, [SYNC])
    run = law([*first, Run(), *second, Run(), End()], TINY)
    assert run.goes[1] - run.goes[0] == 4 + 61 + 1 + 1
    long = [*second, Write(TAPS, 0, [0] * 60, 1)]
    run = law([*first, Run(), *long, Run(), End()], TINY)
    assert run.goes[1] - run.goes[0] == sum(HEAD + len(write.payload) for write in long if isinstance(write, Write)) + 5


def test_words_for_the_host_and_for_gather_memories() -> None:
    """The MAP's words go at g + 5 and g + 6, their flits at g + 6 and g + 7, the last one from router 1 in g + 9.

    The word is offered to the host in g + 10; nothing waits from g + 11 on.
    """
    commands = [*arm(MAP, [store(0, 2)], clusters=2), arm_sender(counts=(2, 1, 1), destinations=0b101, clusters=2)]
    run = law([*commands, Run(), End()], TINY)
    assert run.end - run.goes[0] == 12
    assert run.host_sources == [1, 1]
    from_host = sum(len(write.payload) for write in commands if isinstance(write, Write))
    assert run.link_flits == Counter(
        {(0, "east"): from_host, (1, "local"): from_host, (1, "west"): 2, (0, "north"): 2, (0, "local"): 2}
    )
    assert run.contended == []


def test_a_multicast_ends_where_it_goes_farthest() -> None:
    """Cluster 3 sends a word to clusters 0 and 1 and to the host: router 3 in g + 7, 1 and 2 in g + 8, 0 in g + 9."""
    config = ACCELERATORS["mesh2x2"]
    commands = [
        *arm(MAP, [store(0, 1)], config, clusters=8),
        arm_sender(counts=(1, 1, 1), destinations=0b10011, clusters=8),
        Run(),
        End(),
    ]
    run = law(commands, config)
    assert run.end - run.goes[0] == 12
    tree = [(3, "west"), (3, "north"), (2, "north"), (0, "north"), (0, "local"), (1, "local")]
    assert run.phases[0].link_flits == Counter(tree)
    # To clusters 0 and 1 alone it ends a cycle earlier, as no word waits for the host.
    commands[2] = arm_sender(counts=(1, 1, 1), destinations=0b00011, clusters=8)
    assert law(commands, config).phases[0].cycles == 11


def test_a_wait_does_not_wait_for_others() -> None:
    """Cluster 0 is idle in g + 11, cluster 1 in g + 67."""
    commands = [*arm(CAP, [fill(5)]), *arm(CAP, [fill(61)], clusters=2), Run()]
    assert law([*commands, End()], TINY).phases[0].cycles == 67 + 1
    write = Write(TAPS, 0, [0] * 60, 1)
    # The WAIT sees cluster 0 idle in g + 11 and the write's head begins in g + 12, so all is late by three.
    run = law([*commands, Wait(1), write, End()], TINY)
    assert run.phases[0].cycles == 12 + HEAD + 60 + HEAD + 1
    run = law([*commands, Wait(2), write, End()], TINY)
    assert run.phases[0].cycles == 68 + HEAD + 60 + HEAD + 1
    run = law([*commands, Wait(0), write, End()], TINY)
    assert run.phases[0].cycles == HEAD + 1 + HEAD + 60 + HEAD + 1


def test_a_wait_sees_the_mesh_empty_between_flits() -> None:
    """Cluster 0 is idle in g + 11; cluster 1 works for n cycles, then its words are in the mesh in g + n + 7 .. + 9."""
    send = arm_sender(counts=(2, 1, 1), destinations=1, clusters=2)
    for work, following in ((0, 12), (2, 13), (3, 14), (4, 15), (5, 12), (20, 12)):
        late = [fill(work - 1), store(0, 2)] if work else [store(0, 2)]
        commands = [*arm(CAP, [fill(5)]), *arm(MAP, late, clusters=2), send, Run(), Wait(1)]
        run = law([*commands, Write(TAPS, 0, [0] * 60, 2), End()], TINY)
        assert run.phases[0].cycles == following + HEAD + 60 + HEAD + 1, work
        assert run.contended == []


def test_contention_is_told() -> None:
    program = [*arm(MAP, [fill(20), store(0, 30)], clusters=3)]
    alone = arm_sender(counts=(30, 1, 1), destinations=1, clusters=2)
    assert (
        law([*program[:1], *arm(MAP, [fill(20), store(0, 30)], clusters=2), alone, Run(), End()], TINY).contended == []
    )
    # Both to cluster 0, or the host writes there meanwhile.
    both = [alone, arm_sender(counts=(30, 1, 1), destinations=1, clusters=1)]
    assert law([*program, *both, Run(), End()], TINY).contended == [0]
    one: list[HostCommand] = [*arm(MAP, [fill(20), store(0, 30)], clusters=2), alone, Run()]
    assert law([*one, End()], TINY).contended == []
    assert law([*one, Write(TAPS, 0, [0] * 60, 1), Run(), End()], TINY).contended == [0]
    assert law([*one, Write(TAPS, 0, [0] * 60, 2), Run(), End()], TINY).contended == []
    assert law([*one, Write(TAPS, 0, [0] * 5, 1), Run(), End()], TINY).contended == []


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_sum_up_and_words_are_those_of_the_machine(seed: int) -> None:
    layer = Convolution.random(seed)
    commands: list[HostCommand] = [*layer.setup(), layer.sender(), Run(), *layer.setup(), layer.sender(), Run(), End()]
    run = law(commands, TINY)
    assert run.contended == []
    for phase, (go, end) in enumerate(zip(run.goes, [*run.goes[1:], run.end], strict=True)):
        for cluster in range(TINY.clusters):
            for tile in range(TINY.tiles):
                states = run.tiles[phase][cluster][tile]
                assert sum(states.values()) == end - go
                assert min(states.values()) >= 0
    assert all(sum(run.states(cluster, tile).values()) == run.end for cluster in range(2) for tile in range(3))
    outcome = GoldenAccelerator(TINY, seed).run(commands)
    assert run.words_out == len(outcome.words) == 48
    assert set(run.host_sources) == {0}
    assert run.words_in == len(list(stream_words(commands, TINY)))
    # The CAPs are busy as long as their programs' laws say, but for what they wait.
    for cap in (CAP, CAP + 1):
        counters = outcome.phases[0].tiles[0][cap].counters
        cycles = sum(count for name, count in counters.items() if name.startswith("cycles."))
        states = run.tiles[0][0][cap]
        assert states[TileState.BUSY] <= cycles <= sum(states.values()) - states[TileState.IDLE]


def slow_law(commands: list[HostCommand]) -> tuple[list[int], int] | None:
    """Goes and end of a run, one cycle after the other; None if a cluster waits for ever."""
    memories, goes = Memories(TINY, seed=None), list[int]()
    idle, flits, host_until = [0] * TINY.clusters, list[tuple[int, int]](), 0
    cycle = 0

    def mesh_is_empty() -> bool:
        return not any(first <= cycle <= last for first, last in flits)

    for command in commands:
        cycle += HEAD
        if isinstance(command, Write):
            memories.write(command)
            for _ in command.payload:
                # In router 0 in the next cycle, in router 1 in the one after it.
                flits.append((cycle + 1, cycle + 1 + (command.destinations >> 1)))
                cycle += 1
            continue
        named = command.destinations if isinstance(command, Wait) else 0b11
        while not (
            all(cycle >= until for number, until in enumerate(idle) if named >> number & 1)
            and mesh_is_empty()
            and (isinstance(command, Wait) or cycle > host_until)
        ):
            cycle += 1
        cycle += 1
        if not isinstance(command, Run):
            continue
        goes.append(cycle)
        for number, start in enumerate(memories.go()):
            cluster = SlowCluster(start, cycle)
            if not cluster.run():
                return None
            idle[number] = cluster.idle
            flits += [(sent + 1, sent + 1 + number) for sent in cluster.sent]
            host_until = max([host_until, *(sent + 2 + number for sent in cluster.sent)])
    return goes, cycle


def test_random_streams() -> None:
    """Runs of some phases with random work, writes and waits; all senders send to the host."""
    ended = 0
    for seed in range(60):
        commands = random_stream(seed)
        expected = slow_law(commands)
        if expected is None:
            with pytest.raises(Fault, match="WATCHDOG"):
                law(commands, TINY)
            continue
        run = law(commands, TINY)
        assert (run.goes, run.end) == expected, seed
        ended += 1
    assert ended > 10


def test_payloads_of_weights_and_maps_do_not_matter() -> None:
    layer = Convolution.random(1)
    commands = [*layer.setup(), layer.sender(), Run(), End()]
    empty = [
        Write(command.unit, command.address, [0] * len(command.payload), command.destinations)
        if isinstance(command, Write) and command.unit in (Unit.GATHER_MEMORY, Unit.TAPS, Unit.TAPS + 1)
        else command
        for command in commands
    ]
    assert law(empty, TINY) == law(commands, TINY)


def test_streams_that_have_no_law() -> None:
    with pytest.raises(ValueError, match="a run must end with END"):
        law([Run()], TINY)
    with pytest.raises(ValueError, match="END must be the last command of a run, not followed by Run"):
        law([End(), Run()], TINY)
    with pytest.raises(Fault, match="OPCODE in cluster 2, unit 0x00, detail 9"):
        law([UnknownCommand(9)], TINY)
    with pytest.raises(Fault, match="BARRIER in cluster 2, unit 0x00, detail 0"):
        law([Wait(0b100), End()], TINY)
    with pytest.raises(Fault, match="WATCHDOG in cluster 1, unit 0x42, detail 3"):
        law([*arm(MAP, [store(0, 1)], clusters=2), Run(), End()], TINY)
