"""``bfimna run`` on an accelerator: a network as command streams for the Verilog, the golden machine or the law."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from golden import operators
from golden.accelerator.machine import GoldenAccelerator
from golden.accelerator.timing import RunLaw, law
from golden.engine import TileError
from golden.graph import Graph, Integers
from hw.accelerator.commands import HostCommand, Run
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.counters import tile_name
from hw.accelerator.protocol import AcceleratorError, TileState
from sim.accelerator.network import AcceleratorNetwork
from sim.accelerator.phases import PhaseKind
from sim.mapping import layer_shape
from sim.report import AcceleratorReport, Bits, Cycles, LayerReport, PhaseReport

if TYPE_CHECKING:
    from sim.accelerator.rtl_engine import RunOutcome

__all__ = ["SETUP", "AcceleratorResult", "run_inputs", "span_kinds", "spans"]

SETUP = "setup"
"""The time before the first phase, in which the host writes what that phase needs."""

_PARTS = {
    SETUP: "load",
    PhaseKind.EXCHANGE.value: "load",
    PhaseKind.COMPUTE.value: "compute",
    PhaseKind.ELEMENTWISE.value: "requantize",
    PhaseKind.RESULT.value: "store",
}
"""Whose the cycles of a phase are, in a report."""

_STATES = {
    TileState.BUSY: "busy",
    TileState.PLANES: "planes",
    TileState.ROOM: "room",
    TileState.PROGRAM: "program",
    TileState.IDLE: "idle",
}
"""How reports call the states of tiles."""


@dataclass(frozen=True)
class AcceleratorResult:
    """What inputs through a network gave.

    Parameters
    ----------
    outputs : the network's output of each input, (height, width, channels) of stored numbers; empty under the law.
    layers, accelerator : for the report; counts are sums over the inputs.
    """

    outputs: list[Integers]
    layers: list[LayerReport]
    accelerator: AcceleratorReport


@dataclass(frozen=True)
class _Run:
    """One input: the output if there is one, phases and cycles as counted, states of CAPs and MAPs, and, where the
    engine can show them, whether the maps of layers equal those of the integer operators.
    """

    output: Integers | None
    starts: list[int]
    cycles: int
    states: dict[str, dict[str, int]]
    exact: dict[str, bool] = field(default_factory=dict[str, bool])


def run_inputs(
    graph: Graph,
    config: AcceleratorConfig,
    inputs: Sequence[Integers],
    engine: str,
    *,
    seed: int = 1,
    simulator: str = "verilator",
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[AcceleratorResult, float]:
    """Run inputs of stored numbers, one after the other, on one accelerator.

    ``engine`` is ``rtl``, ``golden`` or ``model``. Returns the result and the seconds of making the engine.

    Raises
    ------
    MappingError
        If a layer does not fit the accelerator, or is not supported on it.
    TileError
        If the accelerator raised an error.
    """
    network = AcceleratorNetwork(graph, config)
    blank = np.zeros(graph.maps[graph.input].shape, np.int64)
    expected_time = law(network.commands(blank), config)
    started = time.perf_counter()
    runs: list[_Run] = []
    with ExitStack() as stack:
        machine = _machine(network, config, engine, seed, simulator, expected_time, stack)
        built = time.perf_counter() - started
        for number, values in enumerate(inputs):
            progress(f"input {number}")
            runs.append(machine(values))
    result = AcceleratorResult(
        outputs=[run.output for run in runs if run.output is not None],
        layers=_layers(graph, network, expected_time, runs),
        accelerator=_accelerator(network, expected_time, runs),
    )
    return result, built


def _machine(
    network: AcceleratorNetwork,
    config: AcceleratorConfig,
    engine: str,
    seed: int,
    simulator: str,
    expected: RunLaw,
    stack: ExitStack,
) -> Callable[[Integers], _Run]:
    """What runs an input."""
    by_law = _Run(None, expected.goes, expected.end, _law_states(expected, config))
    if engine == "model":
        return lambda _: by_law
    if engine == "golden":
        machine = GoldenAccelerator(config, seed)
        return lambda values: _run_golden(machine, network, values, by_law)
    from sim.accelerator.rtl_engine import RtlAccelerator

    rtl = stack.enter_context(RtlAccelerator(config, simulator, seed=seed))

    def simulate(values: Integers) -> _Run:
        outcome = rtl.run(network.commands(values))
        output, expected = network.result(outcome.words), operators.run(network.graph, values)
        return _Run(
            output=output,
            starts=outcome.goes,
            cycles=outcome.cycles,
            states=_counted_states(outcome, config),
            exact={_last_layer(network): np.array_equal(output, expected[network.graph.output])},
        )

    return simulate


def _run_golden(machine: GoldenAccelerator, network: AcceleratorNetwork, values: Integers, by_law: _Run) -> _Run:
    """Run phase by phase: what MAPs keep of a layer is compared when the last phase of the layer has ended."""
    graph, config = network.graph, network.config
    expected = operators.run(graph, values)
    outputs = {layer.name: layer.output for layer in graph.layers}
    computes = (PhaseKind.COMPUTE, PhaseKind.ELEMENTWISE)
    ends = {name: number for number, mark in enumerate(network.marks) if mark.kind in computes for name in mark.layers}
    exact: dict[str, bool] = {}
    words: list[int] = []
    for number, commands in enumerate(_by_phase(network.commands(values))):
        outcome = machine.run(commands)
        if outcome.error is not AcceleratorError.NONE:
            raise TileError(f"the golden accelerator raised error {outcome.error.name} in phase {number}")
        words += outcome.words
        cells = [[tile.cells for tile in tiles[config.caps :]] for tiles in machine.tiles]
        for name in (name for name, last in ends.items() if last == number):
            exact[name] = np.array_equal(network.read_map(outputs[name], cells), expected[outputs[name]])
    output = network.result(words)
    exact[_last_layer(network)] = np.array_equal(output, expected[graph.output])
    return replace(by_law, output=output, exact=exact)


def _by_phase(commands: Sequence[HostCommand]) -> Iterator[list[HostCommand]]:
    """The commands up to each RUN, and what comes after the last one."""
    part: list[HostCommand] = []
    for command in commands:
        part.append(command)
        if isinstance(command, Run):
            yield part
            part = []
    yield part


def _last_layer(network: AcceleratorNetwork) -> str:
    """The layer whose output comes to the host."""
    return network.marks[-1].layers[-1]


def _kinds(config: AcceleratorConfig) -> dict[str, list[tuple[int, int]]]:
    """Clusters and tiles of all CAPs, and of all MAPs."""
    numbers = {"cap": range(config.caps), "map": range(config.caps, config.tiles)}
    return {
        kind: [(cluster, tile) for cluster in range(config.clusters) for tile in tiles]
        for kind, tiles in numbers.items()
    }


def _law_states(expected: RunLaw, config: AcceleratorConfig) -> dict[str, dict[str, int]]:
    return {
        kind: {
            name: sum(expected.states(cluster, tile)[state] for cluster, tile in places)
            for state, name in _STATES.items()
        }
        for kind, places in _kinds(config).items()
    }


def _counted_states(outcome: RunOutcome, config: AcceleratorConfig) -> dict[str, dict[str, int]]:
    """From the counters of the clusters; a tile is idle in the cycles that no counter has."""
    result: dict[str, dict[str, int]] = {}
    for kind, places in _kinds(config).items():
        spent = {
            name: sum(outcome.clusters[cluster][f"{tile_name(tile, config)}.{name}"] for cluster, tile in places)
            for state, name in _STATES.items()
            if state != TileState.IDLE
        }
        result[kind] = spent | {"idle": outcome.cycles * len(places) - sum(spent.values())}
    return result


def spans(starts: Sequence[int], cycles: int) -> list[int]:
    """Cycles before the first go, and of each phase."""
    edges = [0, *starts, cycles]
    return [later - earlier for earlier, later in itertools.pairwise(edges)]


def span_kinds(network: AcceleratorNetwork) -> list[tuple[str, tuple[str, ...]]]:
    """What each of :func:`spans` is for, and for which layers."""
    marks = [(mark.kind.value, mark.layers) for mark in network.marks]
    return [(SETUP, marks[0][1][:1]), *marks]


def _layers(graph: Graph, network: AcceleratorNetwork, expected: RunLaw, runs: Sequence[_Run]) -> list[LayerReport]:
    """A row for all layers that phases work on together."""
    laws = spans(expected.goes, expected.end)
    each = [spans(run.starts, run.cycles) for run in runs]
    counted = [sum(one[number] for one in each) for number in range(len(laws))]
    kinds = span_kinds(network)
    groups: dict[str, list[int]] = {}
    for number, (_, names) in enumerate(kinds):
        groups.setdefault(names[0], []).append(number)
    shapes = {layer.name: layer_shape(layer, graph) for layer in graph.layers}
    reports: list[LayerReport] = []
    now = 0
    for phases in groups.values():
        names = max((kinds[number][1] for number in phases), key=len)
        parts = dict.fromkeys(_PARTS.values(), 0)
        for number in phases:
            parts[_PARTS[kinds[number][0]]] += counted[number]
        total = sum(parts.values())
        first = shapes[names[0]]
        reports.append(
            LayerReport(
                name="+".join(names),
                op=first.op,
                macs=sum(shapes[name].macs for name in names) * len(runs),
                bits=Bits(activation=max(first.activation_bits), weight=first.weight_bits),
                cycles=Cycles(total=total, law=sum(laws[number] for number in phases) * len(runs), **parts),
                start=now,
                end=now + total,
                mode="count" if first.macs else None,
                bit_exact=_exact(names, runs),
            )
        )
        now += total
    return reports


def _exact(names: Sequence[str], runs: Sequence[_Run]) -> bool | None:
    """Whether all maps of some layers that were compared were equal, None where none was."""
    known = [run.exact[name] for run in runs for name in names if name in run.exact]
    return all(known) if known else None


def _accelerator(network: AcceleratorNetwork, expected: RunLaw, runs: Sequence[_Run]) -> AcceleratorReport:
    laws = spans(expected.goes, expected.end)
    counted = [spans(run.starts, run.cycles) for run in runs]
    phases = [
        PhaseReport(kind=kind, layers=list(layers), law=laws[number], cycles=[one[number] for one in counted])
        for number, (kind, layers) in enumerate(span_kinds(network))
    ]
    states = {
        kind: {name: sum(run.states[kind][name] for run in runs) for name in _STATES.values()}
        for kind in ("cap", "map")
    }
    law_states = _law_states(expected, network.config)
    wanted = {kind: {name: value * len(runs) for name, value in parts.items()} for kind, parts in law_states.items()}
    return AcceleratorReport(phases=phases, states=states, law_states=wanted, host_words=dict(network.words))
