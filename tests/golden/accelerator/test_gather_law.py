"""The clock of the gather unit against cycles counted by hand; tests of the hardware compare it with the unit."""

import pytest

from golden.accelerator.gather_law import GATHER_LATENCY, GatherClock


def test_beats_that_are_taken_at_once_come_every_rows_cycles() -> None:
    clock = GatherClock(go=10, rows=3, queue=2)
    for k in range(5):
        shown = clock.shown(k)
        assert shown == 10 + GATHER_LATENCY + 3 * (k + 1)
        clock.popped(k, shown)
    assert clock.blocked == 0


def test_full_queue_stops_the_unit() -> None:
    clock = GatherClock(go=0, rows=2, queue=2)
    # Beats 0 and 1 wait in the queue from cycle 4 and 6 on; the last row of beat 2 would be formed in cycle 7.
    assert clock.shown(0) == 4
    clock.popped(0, 20)
    assert clock.shown(1) == 21
    clock.popped(1, 21)
    # Beat 2 found room in 21, beat 3 comes two cycles later.
    assert (clock.pushed(2), clock.shown(2)) == (21, 22)
    clock.popped(2, 22)
    assert clock.blocked == 21 - 7
    assert (clock.pushed(3), clock.shown(3)) == (23, 24)


def test_beats_of_one_row_follow_each_other() -> None:
    clock = GatherClock(go=0, rows=1, queue=2)
    for k in range(4):
        assert clock.shown(k) == GATHER_LATENCY + 1 + k
        clock.popped(k, clock.shown(k))


def test_beats_come_in_order() -> None:
    clock = GatherClock(go=0, rows=1, queue=2)
    with pytest.raises(ValueError, match="beats of a gather unit go one after the other: 0 is next, not 1"):
        clock.shown(1)
    with pytest.raises(ValueError, match="beat 0 of a gather unit shows in cycle 3, it cannot be taken in 2"):
        clock.popped(0, 2)
