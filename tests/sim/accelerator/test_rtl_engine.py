"""The engine of an accelerator's Verilog: what it refuses, and how a run that goes wrong is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from golden import operators
from golden.accelerator.stream import Fault
from golden.accelerator.timing import RunLaw, law
from golden.engine import TileError
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write, stream_words
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import AcceleratorError, TileRegister, Unit
from hw.accelerator.register_map import register
from sim.accelerator.network import AcceleratorNetwork
from sim.accelerator.rtl_engine import RtlAccelerator
from sim.accelerator.rtl_protocol import AnswerMessage
from tests.golden.accelerator.slow_cluster import random_stream
from tests.sim.accelerator.chains import Chain
from tests.sim.accelerator.counted import assert_law
from tests.sim.mapping_graphs import random_graph, random_input

TINY = ACCELERATORS["meshtiny"]
SEED = 3


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlAccelerator]:
    with RtlAccelerator(TINY, seed=SEED, watchdog=500) as engine:
        yield engine


def test_layers_and_pauses(engine: RtlAccelerator) -> None:
    """Results never depend on the host's pauses, cycles are the law without them; runs follow each other."""
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    graph = random_graph(rng, "conv2d")
    network = AcceleratorNetwork(graph, TINY)
    for pauses in (0.0, 0.3, 0.0):
        values = random_input(rng, graph)
        commands = network.commands(values)
        engine.stall_probability = pauses
        outcome = engine.run(commands)
        expected = law(commands, TINY)
        assert len(outcome.words) == network.words["result"]
        if pauses:
            assert outcome.cycles > expected.end
        else:
            assert (outcome.cycles, outcome.goes) == (expected.end, expected.goes)
    engine.stall_probability = 0.0


def test_max_pools(engine: RtlAccelerator) -> None:
    """Windows go from the gather unit to a MAP, those of channels that are not there too."""
    chain = Chain(np.random.default_rng(SEED), (6, 7, 3), 2)
    chain.maximum(2)
    chain.conv(5)
    chain.maximum(3, stride=2, padding=1, limits=(1, 2))
    values = random_input(np.random.default_rng(SEED), chain.graph)
    network = AcceleratorNetwork(chain.graph, TINY)
    commands = network.commands(values)
    outcome, expected = engine.run(commands), law(commands, TINY)
    assert np.array_equal(network.result(outcome.words), operators.run(chain.graph, values)[chain.graph.output])
    assert (outcome.cycles, outcome.goes) == (expected.end, expected.goes)


def law_or_fault(commands: list[HostCommand]) -> RunLaw | Fault:
    """The law of a stream, or what stops it."""
    try:
        return law(commands, TINY)
    except Fault as fault:
        return fault


@pytest.mark.parametrize("streams", [24, pytest.param(60, marks=pytest.mark.slow)])
def test_random_streams_obey_the_law(engine: RtlAccelerator, streams: int) -> None:
    """Random work of all units, written and started at random.

    Streams that end: cycles, states and links, where no flits contend. Streams in which a unit waits for ever: the
    error and its place.
    """
    place = register("ERROR")
    ended = hung = 0
    for seed in range(streams):
        print(f"seed {seed}")
        commands = random_stream(seed)
        expected = law_or_fault(commands)
        if isinstance(expected, Fault):
            answer = engine.ask(list(stream_words(commands, TINY)))
            found = [place.field(name).of(answer.error) for name in ("code", "cluster", "unit")]
            assert [*found, answer.detail] == [expected.code, expected.cluster, expected.unit, expected.detail]
            hung += expected.code is AcceleratorError.WATCHDOG
            continue
        outcome = engine.run(commands)
        assert (outcome.cycles, outcome.goes) == (expected.end, expected.goes)
        assert len(outcome.words) == expected.words_out
        if not expected.contended:
            assert_law(outcome, expected, TINY)
            ended += 1
    assert ended >= streams // 12
    assert hung >= streams // 4


@pytest.mark.parametrize(
    ("commands", "text"),
    [
        ([Write(0x03, 0, [1], 1), End()], "UNIT: host port: "),
        ([Write(Unit.TAPS, TINY.taps_words - 1, [1, 2], 1), End()], "ADDRESS: host port: "),
        ([Write(Unit.TAPS, 0, [1], 0), End()], "DESTINATION: host port: "),
        ([Wait(1 << 5), End()], "BARRIER: host port: "),
        (
            [
                Write(Unit.PROGRAM + 2, 0, [0] * 4, 2),
                Write(Unit.TILE + 2, TileRegister.PROGRAM_START, [0, 1], 2),
                Run(),
                End(),
            ],
            r"TILE: cluster 1, MAP 0: ",
        ),
    ],
    ids=["unit", "address", "destination", "barrier", "tile"],
)
def test_errors_name_their_place(engine: RtlAccelerator, commands: list[HostCommand], text: str) -> None:
    with pytest.raises(TileError, match=f"^the accelerator stopped: {text}"):
        engine.run(commands)


def test_a_stream_without_end_is_told(engine: RtlAccelerator) -> None:
    with pytest.raises(TileError, match=r"^the accelerator stopped: WATCHDOG: host's stream in: the next word"):
        engine.run([Wait(1)])


def test_the_next_run_after_an_error_works(engine: RtlAccelerator) -> None:
    assert engine.run([End()]).cycles == law([End()], TINY).end


class Answers(RtlAccelerator):
    """An engine whose hardware is made up."""

    def __init__(self, answer: AnswerMessage) -> None:
        self.config, self.answer, self.timeout_cycles, self.counters = TINY, answer, 100, []

    def ask(self, words: list[int]) -> AnswerMessage:
        return self.answer


ANSWER = AnswerMessage(registers={"CYCLES": 1, "PHASES": 0})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"timed_out": True}, r"the accelerator did not end its 4 words within 100 cycles"),
        ({"unsent_words": 2}, r"the accelerator left 2 of 4 words untaken"),
        ({"registers": {"CYCLES": 1, "PHASES": 2000}}, r"a run must have at most 1024 phases to be logged, not 2000"),
    ],
)
def test_what_the_hardware_must_be(changes: dict[str, object], text: str) -> None:
    assert Answers(ANSWER).run([End()]).cycles == 1
    with pytest.raises(TileError, match=f"^{text}$"):
        Answers(dataclasses.replace(ANSWER, **changes)).run([End()])


def test_other_hardware_is_refused(engine: RtlAccelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    other = TINY.replace(buffer_flits=3)
    monkeypatch.setattr(engine, "config", other)
    text = rf"the config hash of the hardware must be {other.hash_text} \(config meshtiny\), not {TINY.hash_text}"
    with pytest.raises(TileError, match=f"^{text}$"):
        engine.run([End()])


def test_waves(tmp_path: Path) -> None:
    target = tmp_path / "mesh.vcd"
    with RtlAccelerator(TINY, "icarus", seed=SEED, waves=target) as engine:
        engine.run([End()])
    assert target.stat().st_size > 1000
