"""The law of a cluster against a cluster that works cycle by cycle, and cases worked out by hand."""

from collections.abc import Sequence

import pytest

from golden.accelerator.cluster_law import ClusterTimes, cluster_times
from golden.accelerator.stream import ClusterStart, Fault, Memories
from hw.accelerator.commands import HostCommand, Write
from hw.accelerator.protocol import AcceleratorError, TileState, Unit, Waiting
from hw.isa import Instruction, LoadKind, Opcode
from tests.golden.accelerator.slow_cluster import SlowCluster, random_cluster
from tests.golden.accelerator.streams import CAP, MAP, SYNC, TINY, arm, arm_gather, arm_sender, load, store

GO = 100


def start_of(commands: Sequence[HostCommand]) -> ClusterStart:
    memories = Memories(TINY, seed=None)
    for command in commands:
        assert isinstance(command, Write)
        memories.write(command)
    return memories.go()[0]


def check(start: ClusterStart) -> ClusterTimes | None:
    """Compare law and slow cluster; None where units wait for ever."""
    slow = SlowCluster(start, GO)
    if not slow.run():
        with pytest.raises(Fault) as raised:
            cluster_times(start, GO, 0, TINY)
        assert raised.value.code is AcceleratorError.WATCHDOG
        return None
    times = cluster_times(start, GO, 0, TINY)
    for number, tile in slow.tiles.items():
        tile.states.pop(TileState.IDLE)
        assert times.tiles[number] == tile.states, number
    assert times.sent == slow.sent
    assert times.gather_blocked == slow.blocked
    assert times.idle == slow.idle
    return times


def test_random_clusters() -> None:
    ends = [check(start_of(random_cluster(seed))) for seed in range(150)]
    assert 30 < sum(end is not None for end in ends) < 145  # both what ends and what waits for ever


def test_a_word_from_cap_to_map_by_hand() -> None:
    """The CAP decodes STORE at 104, stores at 105 if the MAP loads then; the MAP comes at 104 + 1 + 8 + 1."""
    fill = Instruction(Opcode.FILL, d=8, d_width=7)
    start = start_of(
        [
            *arm(CAP, [store(0, 1)]),
            *arm(MAP, [fill, load(0, 1, LoadKind.BLOCK), SYNC, store(0, 1)]),
            arm_sender(counts=(1, 1, 1)),
        ]
    )
    times = check(start)
    assert times is not None
    # MAP: 104 FILL .. 111, 112 LOAD, 113 SYNC waits for the word, 114 SYNC, 115 STORE, 116 HALT waits, 117 HALT.
    assert times.tiles[MAP] == {
        TileState.BUSY: 12, TileState.PLANES: 1, TileState.ROOM: 1, TileState.PROGRAM: 1,
    }  # fmt: skip
    # CAP: 104 STORE, 105 .. 113 HALT waits for the word to be taken, 114 HALT.
    assert times.tiles[CAP] == {
        TileState.BUSY: 2, TileState.PLANES: 0, TileState.ROOM: 9, TileState.PROGRAM: 1,
    }  # fmt: skip
    assert times.sent == [117]
    assert times.idle == 118


def test_windows_by_hand() -> None:
    """Beats of five rows show at 107, 112, ..; the CAP is there at 105."""
    start = start_of([*arm(CAP, [load(0, 2, LoadKind.PLANES)]), arm_gather(TILES=2, OUT_ROWS=5, OUT_WIDTH=6)])
    times = check(start)
    assert times is not None
    # 104 LOAD, then HALT waits until the fourth beat: shown at 107 + 15; 123 HALT.
    assert times.tiles[CAP][TileState.PLANES] == 122 - 104
    assert (times.idle, times.gather_working, times.gather_blocked) == (124, 20, 0)


WAITS: list[tuple[Sequence[HostCommand], int, Waiting]] = [
    (arm(CAP, [load(0, 1, LoadKind.BLOCK)]), Unit.TILE + CAP, Waiting.PLANES),
    (arm(CAP, [load(0, 1, LoadKind.PLANES)]), Unit.TILE + CAP, Waiting.PLANES),
    (arm(MAP, [Instruction(Opcode.LOAD, d_width=1, kind=LoadKind.TAG)]), Unit.TILE + MAP, Waiting.PLANES),
    (arm(CAP, [store(0, 1)]), Unit.TILE + CAP, Waiting.ROOM),
    (arm(MAP, [store(0, 1)]), Unit.TILE + MAP, Waiting.ROOM),
    ([arm_sender()], Unit.SENDER, Waiting.WORDS),
    ([arm_gather()], Unit.GATHER, Waiting.TILES),
    ([*arm(CAP, [SYNC]), Write(Unit.TILE + CAP, 0, [0, 0, 0, 2], 1)], Unit.TILE + CAP, Waiting.PROGRAM),
]


@pytest.mark.parametrize(("commands", "unit", "state"), WAITS)
def test_who_waits_for_ever_is_told(commands: Sequence[HostCommand], unit: int, state: Waiting) -> None:
    with pytest.raises(Fault, match=f"WATCHDOG in cluster 0, unit 0x{unit:02x}, detail {state.value}"):
        cluster_times(start_of(commands), GO, 0, TINY)


def test_a_refused_program_is_told() -> None:
    commands = [*arm(CAP, [SYNC]), Write(Unit.PROGRAM + CAP, 8, [0], 1)]
    with pytest.raises(Fault, match="TILE in cluster 0, unit 0x40, detail 260"):
        cluster_times(start_of(commands), GO, 0, TINY)
