"""Gives the units of a run to a pool, as soon as what they need is there, and puts together what comes back.

A layer of an input is ready when the maps are there that it starts from. Units of the first inputs come first, so that
inputs are finished one after the other; the integer operators come when there is nothing else to do.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from golden.graph import Integers
from hw.counter_map import total_cycles
from sim.host import LayerResult, Network, add_counters, check_input
from sim.work.journal import FinishedLayer, RunJournal
from sim.work.maps import PackedMap, pack_numbers
from sim.work.parts import parts
from sim.work.pool import Pool
from sim.work.units import LayerPart, LayerUnit, Reference, ReferenceUnit, Unit

__all__ = ["Advance", "Outcome", "run_units"]

PARTS = 3
"""Parts of a layer for each worker that has no other input to work on: small ones, so that all end together."""

LEAST_CYCLES = 20_000
"""Parts are not much shorter than this: handing one over takes as long as hundreds of cycles."""

MOST_CYCLES = 1_000_000
"""Parts are not much longer than this, so that progress is seen."""

_Place: TypeAlias = tuple[int, int, int, int]
"""Of a ready unit, the most urgent first: its class, input, layer and first job."""

Advance = Callable[[str, int], None]
"""Called with the name of a layer, and the cycles by the laws that were simulated since the call before."""


@dataclass
class Outcome:
    """What a run of a network gave.

    Parameters
    ----------
    outputs : for every input, the network's output map of stored numbers.
    layers : in the order of the network, summed over all inputs.
    workers : of the pool.
    resumed : layers of inputs that a journal had.
    simulated : cycles of the others.
    seconds : wall time.
    hardware_seconds : within the simulated hardware, summed over the workers; None where the engine does not know.
    """

    outputs: list[Integers]
    layers: list[LayerResult]
    workers: int = 1
    resumed: int = 0
    simulated: int = 0
    seconds: float = 0.0
    hardware_seconds: float | None = None


@dataclass
class _Pending:
    """A layer of an input whose parts are under way: how many are left, and what the others gave."""

    left: int
    output: NDArray[Any] | None = None
    counters: dict[str, int] = field(default_factory=dict[str, int])


@dataclass
class _Input:
    """An input that is worked on.

    Parameters
    ----------
    maps : what the tile gave, by name, and the input.
    golden : what the integer operators gave, by name, and the input; None until they have run.
    waiting : layers that have not begun.
    unchecked : layers whose output was not yet compared.
    """

    maps: dict[str, PackedMap]
    golden: dict[str, PackedMap] | None
    waiting: set[int]
    unchecked: set[int]


def run_units(
    network: Network,
    inputs: Sequence[NDArray[np.integer[Any]]],
    pool: Pool,
    *,
    independent: bool = False,
    journal: RunJournal | None = None,
    advance: Advance = lambda _name, _cycles: None,
) -> Outcome:
    """Run inputs through a network; results do not depend on the pool.

    Parameters
    ----------
    network : mapped to the tile that the pool has.
    inputs : stored numbers, each of the (height, width, channels) of the network's input.
    pool : what runs the units; its work is that of the network.
    independent : whether each layer starts from the maps of the integer operators, else from those of the tile.
    journal : layers that it has are not run again, others are added.
    advance : called when a part of a layer is done.

    Raises
    ------
    UserError, TileError, SimulationError
        As :meth:`sim.work.pool.Pool.take`, and if the journal cannot be written.
    ValueError
        If an input has another shape, or numbers out of range.
    """
    return _Run(network, inputs, pool, independent, journal, advance).outcome()


class _Run:
    """One run, from its first unit to its last."""

    def __init__(
        self,
        network: Network,
        inputs: Sequence[NDArray[np.integer[Any]]],
        pool: Pool,
        independent: bool,
        journal: RunJournal | None,
        advance: Advance,
    ) -> None:
        self.network, self.graph = network, network.graph
        self.inputs, self.pool, self.independent = inputs, pool, independent
        self.journal, self.advance = journal, advance
        self.cycles = network.job_cycles
        self.results = [LayerResult(plan) for plan in network.plans]
        self.outputs: dict[int, Integers] = {}
        self.active: dict[int, _Input] = {}
        self.pending: dict[tuple[int, int], _Pending] = {}
        self.ready: list[_Place] = []
        self.units: dict[_Place, Unit] = {}
        self.begun = 0
        self.under_way = 0
        self.found = Outcome([], self.results, pool.workers)
        self._jobs_before = [0]
        for plan in network.plans:
            self._jobs_before.append(self._jobs_before[-1] + len(plan.jobs))

    def outcome(self) -> Outcome:
        """Run everything."""
        started = time.perf_counter()
        for values in self.inputs:
            check_input(values, self.graph.maps[self.graph.input])
        for result, law in zip(self.results, self.network.laws, strict=True):
            add_counters(result.law, law, len(self.inputs))
        self._hand_out()
        while self.under_way:
            unit, answer = self.pool.take()
            self.under_way -= 1
            self._hand_out()  # who is idle goes on while this answer is looked at
            if isinstance(unit, LayerUnit):
                assert isinstance(answer, LayerPart)
                self._part_done(unit, answer)
            else:
                assert isinstance(answer, Reference)
                self._reference_done(unit, answer)
            self._hand_out()
        self.found.outputs = [self.outputs[number] for number in range(len(self.inputs))]
        self.found.seconds = time.perf_counter() - started
        return self.found

    def _hand_out(self) -> None:
        """Give the pool as much as it has room for, and begin inputs that keep it busy."""
        while self.begun < len(self.inputs) and len(self.active) <= self.pool.workers:
            self._begin(self.begun)
            self.begun += 1
        while self.ready and self.pool.room:
            unit = self.units.pop(heapq.heappop(self.ready))
            if isinstance(unit, LayerUnit) and self.journal is not None and unit.jobs.start == 0:
                self.journal.start(unit.input, unit.layer)
            self.pool.give(unit)
            self.under_way += 1

    def _begin(self, number: int) -> None:
        """Begin an input: what the journal has is there at once."""
        values = self.inputs[number]
        source = self.graph.maps[self.graph.input]
        given = {source.name: pack_numbers(values, source.bits)}
        layers = set(range(len(self.graph.layers)))
        self.active[number] = _Input(given, None, set(layers), layers)
        self._push(0 if self.independent else 2, ReferenceUnit(number, given[source.name]))
        if self.journal is not None:
            for layer in sorted(layers):
                kept = self.journal.finished.get((number, layer))
                if kept is not None:
                    self.active[number].waiting.discard(layer)
                    self.found.resumed += 1
                    self._layer_done(number, layer, kept)
        self._start_ready(number)

    def _start_ready(self, number: int) -> None:
        """Make units of the layers of an input that can begin."""
        one = self.active[number]
        maps = one.golden if self.independent else one.maps
        if maps is None:
            return
        for layer in sorted(one.waiting):
            names = self.graph.layers[layer].inputs
            if all(name in maps for name in names):
                one.waiting.discard(layer)
                self._split(number, layer, tuple(maps[name] for name in names))

    def _split(self, number: int, layer: int, operands: tuple[PackedMap, ...]) -> None:
        """Make units of a layer, more than one where there are not inputs enough for all workers."""
        cycles = self.cycles[layer]
        alone = len(self.active) < self.pool.workers
        shared = min(PARTS * self.pool.workers, sum(cycles) // LEAST_CYCLES) if alone else 1
        pieces = parts(cycles, max(1, shared, sum(cycles) // MOST_CYCLES))
        self.pending[number, layer] = _Pending(len(pieces))
        first = number * self._jobs_before[-1] + self._jobs_before[layer]
        for piece in pieces:
            self._push(1, LayerUnit(number, layer, piece, first + piece.start, operands))

    def _push(self, urgency: int, unit: Unit) -> None:
        layer, job = (unit.layer, unit.jobs.start) if isinstance(unit, LayerUnit) else (0, 0)
        place = (urgency, unit.input, layer, job)
        self.units[place] = unit
        heapq.heappush(self.ready, place)

    def _part_done(self, unit: LayerUnit, answer: LayerPart) -> None:
        """Add a part to its layer."""
        pending = self.pending[unit.input, unit.layer]
        numbers = answer.output.numbers
        # Each element is of one part; the others have 0 there.
        pending.output = numbers if pending.output is None else pending.output | numbers
        pending.left -= 1
        add_counters(pending.counters, answer.counters)
        self.found.simulated += total_cycles(answer.counters) if answer.counters else 0
        if answer.seconds is not None:
            self.found.hardware_seconds = (self.found.hardware_seconds or 0.0) + answer.seconds
        if not pending.left:
            del self.pending[unit.input, unit.layer]
            found = FinishedLayer(PackedMap(pending.output, answer.output.bits), pending.counters)
            self._layer_done(unit.input, unit.layer, found)
            if unit.input in self.active:
                self._start_ready(unit.input)
            self._hand_out()  # before anything that may take time
            if self.journal is not None:
                self.journal.finish(unit.input, unit.layer, found)
        cycles = self.cycles[unit.layer]
        self.advance(self.graph.layers[unit.layer].name, sum(cycles[job] for job in unit.jobs))

    def _layer_done(self, number: int, layer: int, found: FinishedLayer) -> None:
        """Take what a layer gave."""
        add_counters(self.results[layer].counters, found.counters)
        self.active[number].maps[self.graph.layers[layer].output] = found.output
        self._compare(number)

    def _reference_done(self, unit: ReferenceUnit, answer: Reference) -> None:
        """Take what the integer operators gave."""
        outputs = (layer.output for layer in self.graph.layers)
        one = self.active[unit.input]
        one.golden = {self.graph.input: unit.values, **dict(zip(outputs, answer.outputs, strict=True))}
        self._start_ready(unit.input)
        self._hand_out()
        self._compare(unit.input)

    def _compare(self, number: int) -> None:
        """Compare outputs of an input with the integer operators, and end with it after the last one."""
        one = self.active[number]
        if one.golden is None:
            return
        for layer in sorted(one.unchecked):
            name = self.graph.layers[layer].output
            if name in one.maps:
                one.unchecked.discard(layer)
                exact = np.array_equal(one.maps[name].numbers, one.golden[name].numbers)
                self.results[layer].bit_exact = exact and self.results[layer].bit_exact is not False
        if not one.unchecked:
            self.outputs[number] = one.maps[self.graph.output].numbers.astype(np.int64)
            del self.active[number]
