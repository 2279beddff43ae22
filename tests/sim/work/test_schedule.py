"""Units given to pools: the same results in whatever order they come back, chained or from the integer operators."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from golden import operators
from golden.graph import Graph, Integers
from golden.tile import GoldenTile
from hw.config import CONFIGS
from sim.host import Network, run_graph
from sim.models import load_model
from sim.work import schedule
from sim.work.journal import RunJournal
from sim.work.maps import PackedMap
from sim.work.pool import Here
from sim.work.schedule import Outcome, run_units
from sim.work.units import Answer, LayerPart, LayerUnit, ReferenceUnit, Unit, Work, Worker

CAP = CONFIGS["cap"]


class Shuffled:
    """A pool that answers in any order, from a worker for each place."""

    built = 0.0

    def __init__(self, work: Work, workers: int, seed: int) -> None:
        self.workers = workers
        self.random = random.Random(seed)
        self.places = [Worker(work) for _ in range(workers)]
        self.given: list[Unit] = []
        self.done: list[Unit] = []

    @property
    def room(self) -> int:
        return self.workers - len(self.given)

    def give(self, unit: Unit) -> None:
        assert self.room > 0
        self.given.append(unit)

    def take(self) -> tuple[Unit, Answer]:
        unit = self.given.pop(self.random.randrange(len(self.given)))
        self.done.append(unit)
        return unit, self.random.choice(self.places).do(unit)

    def close(self) -> None:
        pass


class Wrong(Here):
    """Changes an output of one layer."""

    def __init__(self, worker: Worker, layer: int) -> None:
        super().__init__(worker)
        self.layer = layer

    def take(self) -> tuple[Unit, Answer]:
        unit, answer = super().take()
        if isinstance(unit, LayerUnit) and isinstance(answer, LayerPart) and unit.layer == self.layer:
            numbers = answer.output.numbers.copy()
            numbers[0, 0, 0] ^= 1
            return unit, LayerPart(PackedMap(numbers, answer.output.bits), answer.counters, None)
        return unit, answer


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def network(resnet8: Graph) -> Network:
    return Network(resnet8, CAP)


@pytest.fixture(scope="module")
def inputs(resnet8: Graph) -> list[Integers]:
    return [np.random.default_rng(seed).integers(0, 256, resnet8.maps[resnet8.input].shape) for seed in range(2)]


@pytest.fixture(scope="module")
def alone(network: Network, inputs: list[Integers]) -> Outcome:
    return run_units(network, inputs, Here(Worker(work(network.graph), network)))


def work(graph: Graph) -> Work:
    return Work(graph=graph, config=CAP, engine="golden", seed=1)


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two runs found the same."""
    maps = zip(one.outputs, other.outputs, strict=True)
    layers = zip(one.layers, other.layers, strict=True)
    return all(np.array_equal(*pair) for pair in maps) and all(
        (a.counters, a.law, a.bit_exact) == (b.counters, b.law, b.bit_exact) for a, b in layers
    )


def test_alone_as_in_one_go(network: Network, inputs: list[Integers], alone: Outcome) -> None:
    whole = run_graph(network.graph, inputs, GoldenTile(CAP))
    for values, found, maps in zip(inputs, alone.outputs, whole.maps, strict=True):
        assert np.array_equal(found, maps[network.graph.output])
        assert np.array_equal(found, operators.run(network.graph, values)[network.graph.output])
    assert [(one.counters, one.law, one.bit_exact) for one in alone.layers] == [
        (one.counters, one.law, one.bit_exact) for one in whole.layers
    ]
    assert alone.simulated == whole.cycles
    assert (alone.resumed, alone.workers, alone.hardware_seconds) == (0, 1, None)


@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("independent", [False, True])
def test_any_pool(
    network: Network,
    inputs: list[Integers],
    alone: Outcome,
    workers: int,
    independent: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "LEAST_CYCLES", 5_000)
    pool = Shuffled(work(network.graph), workers, workers)
    told: list[tuple[str, int]] = []
    found = run_units(
        network, inputs, pool, independent=independent, advance=lambda name, cycles: told.append((name, cycles))
    )
    assert same(found, alone)
    assert sum(cycles for _, cycles in told) == alone.simulated
    assert {name for name, _ in told} == {layer.name for layer in network.graph.layers}
    units = [unit for unit in pool.done if isinstance(unit, LayerUnit)]
    assert workers < 5 or len(units) > 30  # parts of layers, as there are not inputs enough
    assert jobs(units) == list(range(2 * sum(len(plan.jobs) for plan in network.plans)))
    if independent:
        assert {type(unit) for unit in pool.done[: len(inputs)]} >= {ReferenceUnit}


def jobs(units: Sequence[LayerUnit]) -> list[int]:
    """Numbers of all jobs, in order."""
    return sorted(unit.number + place for unit in units for place in range(len(unit.jobs)))


@pytest.mark.parametrize("independent", [False, True])
def test_a_wrong_layer_is_found(network: Network, inputs: list[Integers], independent: bool) -> None:
    pool = Wrong(Worker(work(network.graph), network), 4)
    found = run_units(network, inputs[:1], pool, independent=independent)
    exact = [layer.bit_exact for layer in found.layers]
    assert exact[:5] == [True, True, True, True, False]
    # What follows starts from the wrong map, or from the one that should have been there.
    assert all(exact[5:]) is independent


def test_what_a_journal_has_is_not_done_again(
    network: Network, inputs: list[Integers], alone: Outcome, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    with RunJournal(path, "key", resume=False) as journal:
        first = run_units(network, inputs, Here(Worker(work(network.graph), network)), journal=journal)
        assert same(first, alone)
        del journal.finished[0, 3], journal.finished[1, 0], journal.finished[1, 14]
        pool = Shuffled(work(network.graph), 2, 1)
        second = run_units(network, inputs, pool, journal=journal)
    assert same(second, alone)
    assert second.resumed == 27
    units = {(unit.input, unit.layer) for unit in pool.done if isinstance(unit, LayerUnit)}
    assert units == {(0, 3), (1, 0), (1, 14)}
    assert {place for place, count in journal.starts.items() if count == 2} == units


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.zeros((32, 32, 1), np.int64), "must have shape"),
        (np.full((32, 32, 3), 256), "must have stored numbers from 0 to 255, not 256 to 256"),
    ],
)
def test_unfit_inputs_are_refused_before_anything_runs(
    network: Network, inputs: list[Integers], values: Integers, text: str
) -> None:
    pool = Shuffled(work(network.graph), 1, 1)
    with pytest.raises(ValueError, match=text):
        run_units(network, [inputs[0], values], pool)
    assert pool.done == []
