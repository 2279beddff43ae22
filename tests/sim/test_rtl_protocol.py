"""What an engine makes of the ports of a tile: counters, or why a run says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golden.engine import Job, TileError
from hw.counter_map import COUNTERS, WRAPPED
from sim.rtl_protocol import OutcomeMessage, checked_counters
from tests.rtl import TINY, store_program

CONFIG = TINY["4r2w"]
JOB = Job(store_program(CONFIG))
GOOD = OutcomeMessage(
    beats=[],
    error=0,
    address=0,
    counters={counter.name: place for place, counter in enumerate(COUNTERS)} | {"identity.config": CONFIG.hash},
)


def test_counters_without_identity() -> None:
    counters = checked_counters(GOOD, JOB, CONFIG, 8, 100)
    assert counters == {name: value for name, value in GOOD.counters.items() if name != "identity.config"}


def test_activity_is_there_only_where_it_is_counted() -> None:
    config = CONFIG.replace(activity=False)
    answer = replace(GOOD, counters=GOOD.counters | {"identity.config": config.hash})
    names = checked_counters(answer, JOB, config, 8, 100).keys()
    assert names == {counter.name for counter in COUNTERS if counter.name.split(".")[0] in ("cycles", "events")}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (replace(GOOD, timed_out=True), r"the tile did not end a program of 4 instructions within 100 cycles"),
        (replace(GOOD, unread_beats=3), r"the tile left 3 of 8 beats of plane_in untaken"),
        (
            replace(GOOD, counters=GOOD.counters | {"identity.config": 17}),
            rf"the hardware must have config hash {CONFIG.hash_text}, not 0000000000000011",
        ),
        (
            replace(GOOD, counters=GOOD.counters | {"cycles.load": 5 | 1 << WRAPPED}),
            rf"the run must fit counters of {CONFIG.counter_bits} bits, but one of them wrapped",
        ),
    ],
)
def test_what_says_nothing(answer: OutcomeMessage, text: str) -> None:
    with pytest.raises(TileError, match=f"^{text}$"):
        checked_counters(answer, JOB, CONFIG, 8, 100)


def test_planes_left_after_an_error_or_a_reset() -> None:
    for answer in (replace(GOOD, unread_beats=3, error=7), replace(GOOD, unread_beats=3, was_reset=True)):
        assert checked_counters(answer, JOB, CONFIG, 8, 100)
