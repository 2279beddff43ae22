"""The host: turns a network into jobs, feeds an engine with planes, and puts feature maps together from what comes
back.

Between the quantised input and the logits the host only moves and re-orders bits (:mod:`sim.mapping.bits`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from golden import operators, widths
from golden.engine import Engine, Job, TileError
from golden.graph import FeatureMap, Graph, Integers, Layer, Reorder
from golden.laws import LawEngine
from golden.rescale import NoExactRescaleError
from hw.config import MAXIMUM_COLUMNS, TileConfig
from hw.counter_map import total_cycles
from hw.isa import ErrorCode
from sim.errors import UserError
from sim.mapping import LayerPlan, LayerShape, MappingError, layer_shape, plan_layer
from sim.mapping.bits import PLAIN, Alphabet, Symbols, from_bits, to_bits
from sim.mapping.feeder import Feeder
from sim.mapping.kept_laws import LayerLaw, laws_of_shapes
from sim.mapping.plan import MODES, check_fit, feeder, reorder

if TYPE_CHECKING:
    from sim.commands.run import RunRequest
    from sim.report import AcceleratorReport, Cycles, InputReport, LayerReport, RunReport, WallSeconds
    from sim.tools import Tool
    from sim.work.schedule import Outcome

__all__ = [
    "LayerResult",
    "Network",
    "NetworkResult",
    "add_counters",
    "check_input",
    "cycles_of",
    "events_of",
    "run_graph",
    "run_integer",
    "run_network",
]

Progress = Callable[[str], None]
"""Called at the start of each layer of each input, with a few words."""

_EVENTS = ("events.", "activity.")


@dataclass
class LayerResult:
    """What a layer did, summed over all inputs.

    Parameters
    ----------
    plan : shape and jobs of the layer.
    counters : read from the engine; empty for a layer without jobs.
    law : the same by the laws, from shape and config only.
    bit_exact : whether the output maps equal those of the integer operators; None where that is not known.
    """

    plan: LayerPlan
    counters: dict[str, int] = field(default_factory=dict[str, int])
    law: dict[str, int] = field(default_factory=dict[str, int])
    bit_exact: bool | None = None

    @property
    def cycles(self) -> int:
        """All cycles of the layer, stalls included."""
        return total_cycles(self.counters)

    @property
    def law_cycles(self) -> int:
        """Cycles of the layer by the laws, without stalls."""
        return total_cycles(self.law)


@dataclass
class NetworkResult:
    """What a run of a network gave.

    Parameters
    ----------
    maps : for every input, every feature map by name, (height, width, channels) of stored numbers; empty under the
    laws. layers : in the order of the network. seconds : wall time of preparing constants, and of everything after it.
    """

    maps: list[dict[str, Integers]]
    layers: list[LayerResult]
    prepare_seconds: float = 0.0
    run_seconds: float = 0.0

    @property
    def cycles(self) -> int:
        """Cycles of all layers, stalls included."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def law_cycles(self) -> int:
        """Cycles of all layers by the laws."""
        return sum(layer.law_cycles for layer in self.layers)


class Network:
    """A network mapped to a tile, with its constants prepared; serves any number of inputs.

    Parameters
    ----------
    graph : the network.
    config : the tile.
    alphabet : how constant bits are written.
    mode : how dot products are formed, one of :data:`sim.mapping.plan.MODES` or ``auto``, which chooses for each layer.
    laws : gives counters of shapes, as :mod:`sim.mapping.kept_laws` does.

    Attributes
    ----------
    plans : one per layer.
    laws : counters of every layer by the laws, from programs made of shapes only; in mode ``constant`` of weights.
    job_cycles : cycles of every job of every layer by the laws.

    Raises
    ------
    MappingError
        If a layer does not fit the tile.
    """

    def __init__(
        self,
        graph: Graph,
        config: TileConfig,
        alphabet: Alphabet = PLAIN,
        mode: str = MODES[0],
        laws: Callable[[Sequence[LayerShape], Sequence[str], TileConfig], list[LayerLaw]] = laws_of_shapes,
    ) -> None:
        """Map all layers."""
        self.graph, self.config, self.alphabet = graph, config, alphabet
        self.plans: list[LayerPlan] = []
        shapes = [layer_shape(layer, graph) for layer in graph.layers]
        try:
            for shape, layer in zip(shapes, graph.layers, strict=True):
                self.plans.append(plan_layer(shape, config, layer, mode))
        except MappingError as error:
            columns = _columns_that_do(shapes, graph.layers, config, mode)
            if columns is None:
                raise
            raise MappingError(f"{error}; {columns} columns would do for the whole network") from error
        by_shape = [plan for plan in self.plans if plan.mode != "constant"]
        found = iter(laws([plan.shape for plan in by_shape], [plan.mode or MODES[0] for plan in by_shape], config))
        all_laws = [LayerLaw.of(plan) if plan.mode == "constant" else next(found) for plan in self.plans]
        self.laws = [law.counters for law in all_laws]
        self.job_cycles = [law.job_cycles for law in all_laws]
        self._feeders: dict[str, Feeder] = {}

    def run_layer(
        self,
        layer: Layer,
        plan: LayerPlan,
        stored: Sequence[Symbols] | None,
        engine: Engine,
        part: range | None = None,
    ) -> tuple[Symbols, dict[str, int]]:
        """Run one layer on an engine: from its input maps to its output map, each (height, width, channels, bits).

        Parameters
        ----------
        layer, plan : of the network.
        stored : the input maps; None for those of the call before, which was for the same layer.
        engine : the tile.
        part : numbers of the jobs to run, neighbours; None for all.

        Returns the map, with constant 0 where the jobs write nothing, and the counters of the jobs.

        Raises
        ------
        TileError
            If the tile raised its error port.
        """
        if isinstance(layer, Reorder):
            return reorder(layer, plan.shape, stored or (), self.alphabet), {}
        if layer.name not in self._feeders:
            self._feeders[layer.name] = feeder(plan, layer, self.alphabet)
        planes = self._feeders[layer.name]
        if stored is not None:
            planes.begin(stored)
        bits = plan.shape.output_bits
        height, width, channels = plan.shape.output_size
        output = self.alphabet.zeros(height * width * channels, bits)
        counters: dict[str, int] = {}
        for number in range(len(plan.jobs)) if part is None else part:
            job = plan.jobs[number]
            outcome = engine.run(Job(job.program, planes.job_planes(job)))
            if outcome.error is not ErrorCode.NONE:
                raise TileError(
                    f"layer {layer.name!r}, job {number}: the tile raised error {ErrorCode(outcome.error).name} at "
                    f"instruction {outcome.address}"
                )
            add_counters(counters, outcome.counters)
            rows = planes.rows(job)
            for sink, result in zip(job.stores, outcome.planes, strict=True):
                targets = rows[sink.first_row : sink.first_row + sink.rows]
                known = targets >= 0
                if known.all():
                    output[targets] = result.T
                else:
                    output[targets[known]] = result[:, known].T
        return output.reshape(height, width, channels, bits), counters


def _columns_that_do(
    shapes: Sequence[LayerShape], layers: Sequence[Layer], config: TileConfig, mode: str
) -> int | None:
    """The smallest number of columns with which a tile as *config* holds all layers, None where more do not help."""

    def fits(shape: LayerShape, layer: Layer, columns: int) -> bool:
        try:
            check_fit(shape, config.replace(columns=columns), layer, mode)
        except MappingError:
            return False
        return True

    least = config.columns
    for shape, layer in zip(shapes, layers, strict=True):
        if fits(shape, layer, least):
            continue
        if not fits(shape, layer, MAXIMUM_COLUMNS):
            return None
        refused, least = least, MAXIMUM_COLUMNS
        while least - refused > 1:
            middle = (refused + least) // 2
            refused, least = (refused, middle) if fits(shape, layer, middle) else (middle, least)
    return least


def run_graph(
    graph: Graph,
    inputs: Sequence[NDArray[np.integer[Any]]],
    engine: Engine,
    *,
    network: Network | None = None,
    mode: str = MODES[0],
    check: bool = True,
    progress: Progress | None = None,
) -> NetworkResult:
    """Run inputs through a network on a tile engine.

    Parameters
    ----------
    graph : the network.
    inputs : stored numbers 0..2**bits-1, each of the (height, width, channels) of the network's input.
    engine : a tile, or the laws (then no maps are computed).
    network : the graph mapped to the engine's tile, where that was done before.
    mode : as :class:`Network` takes it; of no account with ``network``.
    check : whether every map is compared with the integer operators.
    progress : see :data:`Progress`.

    Raises
    ------
    MappingError
        If a layer does not fit the engine's tile.
    TileError
        If the tile raised its error port.
    ValueError
        If an input has another shape or numbers out of range.
    """
    started = time.perf_counter()
    network = Network(graph, engine.config, mode=mode) if network is None else network
    results = [LayerResult(plan) for plan in network.plans]
    for result, law in zip(results, network.laws, strict=True):
        for _ in inputs:
            add_counters(result.law, law)
    prepared = time.perf_counter()
    outcome = NetworkResult([], results, prepared - started)
    for values in inputs:
        wanted = graph.maps[graph.input]
        check_input(values, wanted)
        if isinstance(engine, LawEngine):
            _run_laws(graph, results, engine, progress)
            continue
        expected = operators.run(graph, values) if check else {}
        stored: dict[str, Symbols] = {graph.input: to_bits(values.astype(np.int64), wanted.bits)}
        maps: dict[str, Integers] = {graph.input: values.astype(np.int64)}
        for layer, result in zip(graph.layers, results, strict=True):
            if progress is not None:
                progress(layer.name)
            operands = [stored[name] for name in layer.inputs]
            stored[layer.output], counters = network.run_layer(layer, result.plan, operands, engine)
            add_counters(result.counters, counters)
            maps[layer.output] = from_bits(stored[layer.output])
            if check:
                exact = np.array_equal(maps[layer.output], expected[layer.output])
                result.bit_exact = exact and result.bit_exact is not False
        outcome.maps.append(maps)
    outcome.run_seconds = time.perf_counter() - prepared
    return outcome


def run_network(request: RunRequest) -> RunReport:
    """Do what ``bfimna run`` asks for: widths, inputs, engine, report.

    Raises
    ------
    UserError
        If widths, config or engine do not fit the network.
    TileError
        If the hardware raised an error.
    """
    from sim.progress import progress
    from sim.report import RunReport
    from sim.tools import find_simulator

    started = time.perf_counter()
    source = request.graph.maps[request.graph.input]
    graph = request.graph if request.bits is None else _at_widths(request.graph, request.bits)
    inputs = [values.values.astype(np.int64) - source.minimum for values in request.inputs]
    if graph is not request.graph:
        inputs = [widths.resample(values, source, graph.maps[graph.input].bits) for values in inputs]
    simulator = None
    if request.engine in ("rtl", "turbo"):
        simulator = find_simulator(request.simulator if request.engine == "rtl" else "verilator")
    if isinstance(request.config, TileConfig) or request.engine == "integer":
        done = _run_on_tile(request, graph, inputs, simulator)
    else:
        from sim.accelerator.run import run_inputs

        begun = time.perf_counter()
        with progress(graph.name, len(inputs)) as advance:
            result, built = run_inputs(
                graph,
                request.config,
                inputs,
                request.engine,
                seed=request.seed,
                simulator=request.simulator,
                progress=advance,
            )
        maps = [{graph.output: output} for output in result.outputs]
        done = _Done(maps, result.layers, built, time.perf_counter() - begun - built, result.accelerator)
    return RunReport(
        model=request.model,
        engine=request.engine,
        simulator=None if simulator is None or request.engine == "turbo" else simulator.label,
        seed=request.seed,
        config_hash=request.config.hash_text,
        config=request.config.as_dict(),
        mode=request.mode,
        inputs=_input_reports(request, graph, done.maps),
        layers=done.layers,
        wall_s=_wall_seconds(request, done, time.perf_counter() - started),
        accelerator=done.accelerator,
        note=request.note,
        journal=done.journal,
    )


@dataclass(frozen=True)
class _Done:
    """What a run left for its report: maps, layers, seconds of building and of running, and how it was done."""

    maps: Sequence[dict[str, Integers]]
    layers: list[LayerReport]
    built: float
    seconds: float
    accelerator: AcceleratorReport | None = None
    outcome: Outcome | None = None
    journal: Path | None = None


def _run_on_tile(
    request: RunRequest, graph: Graph, inputs: Sequence[NDArray[np.integer[Any]]], simulator: Tool | None
) -> _Done:
    """Run inputs layer by layer on one tile, or by the integer operators."""
    from sim.progress import progress
    from sim.work.run import run_inputs
    from sim.work.units import Work

    tile = request.config if isinstance(request.config, TileConfig) else request.config.cap
    started = time.perf_counter()
    if request.engine == "integer":
        with progress(graph.name, len(inputs)) as advance:
            maps = run_integer(graph, inputs, advance)
        results = [LayerResult(LayerPlan(layer_shape(layer, graph), tile, ())) for layer in graph.layers]
        return _Done(maps, _layer_reports(results, len(inputs)), 0.0, time.perf_counter() - started)
    if request.engine == "model":
        law = run_graph(graph, inputs, LawEngine(tile), mode=request.mode)
        return _Done(law.maps, _layer_reports(law.layers, len(inputs)), 0.0, law.run_seconds)
    work = Work(
        graph=graph,
        config=tile,
        engine=request.engine,
        seed=request.seed,
        mode=request.mode,
        options={} if simulator is None or request.engine == "turbo" else {"simulator": simulator.name},
    )
    outcome, built, journal = run_inputs(work, inputs, request.way, "" if simulator is None else simulator.label)
    chained = "tile" if request.engine == "golden" else "rtl"
    layers = _layer_reports(outcome.layers, len(inputs), "golden" if request.way.independent else chained)
    return _Done(
        [{graph.output: output} for output in outcome.outputs],
        layers,
        built,
        outcome.seconds,
        outcome=outcome,
        journal=None if journal is None else journal.path,
    )


def _wall_seconds(request: RunRequest, done: _Done, total: float) -> WallSeconds:
    """How long a run took, and how it was done."""
    from sim.report import WallSeconds

    outcome = done.outcome
    if outcome is None:
        return WallSeconds(build=done.built, simulate=done.seconds, total=total)
    verilog = request.engine in ("rtl", "turbo") and outcome.simulated > 0
    hardware = outcome.hardware_seconds
    return WallSeconds(
        build=done.built,
        simulate=done.seconds,
        total=total,
        jobs=outcome.workers,
        cluster=request.way.cluster,
        resumed_layers=outcome.resumed,
        cycles_per_second=outcome.simulated / done.seconds if verilog and done.seconds else None,
        hardware=hardware,
        hardware_cycles_per_second=outcome.simulated / hardware if verilog and hardware else None,
    )


def run_integer(
    graph: Graph, inputs: Sequence[NDArray[np.integer[Any]]], progress: Progress | None = None
) -> list[dict[str, Integers]]:
    """Every feature map of every input by the integer operators alone."""
    maps: list[dict[str, Integers]] = []
    for number, values in enumerate(inputs):
        if progress is not None:
            progress(f"input {number}")
        maps.append(operators.run(graph, values))
    return maps


def _at_widths(graph: Graph, bits: int | Path) -> Graph:
    """The network at other widths: one for all layers, or those of a file."""
    try:
        return widths.apply(graph, widths.read_table(bits) if isinstance(bits, Path) else bits)
    except (widths.WidthError, NoExactRescaleError) as error:
        raise UserError(str(error)) from error


def _input_reports(request: RunRequest, graph: Graph, maps: Sequence[dict[str, Integers]]) -> list[InputReport]:
    """Logits, as the signed numbers of the network's output, and the class of each input."""
    from sim.report import InputReport

    if not maps:
        return [InputReport(file=one.file, top1=None, logits=[]) for one in request.inputs]
    classes = request.graph.classes
    output = graph.maps[graph.output]
    reports: list[InputReport] = []
    for one, found in zip(request.inputs, maps, strict=True):
        logits = [int(value) + output.minimum for value in found[graph.output].reshape(-1)]
        top = int(np.argmax(logits))
        expected = _expected_class(one.file, len(classes))
        reports.append(
            InputReport(
                file=one.file,
                top1=top,
                logits=logits,
                label=classes[top] if top < len(classes) else None,
                expected=expected,
                expected_label=None if expected is None else classes[expected],
            )
        )
    return reports


def _expected_class(file: str, classes: int) -> int | None:
    """The class that a file's name ends in, as the built-in pictures' do (``cifar10_00_3.png``)."""
    found = re.search(r"_(\d+)\.\w+$", file)
    return int(found[1]) if found is not None and int(found[1]) < classes else None


def _layer_reports(results: Sequence[LayerResult], inputs: int, started_from: str | None = None) -> list[LayerReport]:
    """Layers one after the other in time; counts are sums over the *inputs*."""
    from sim.report import Bits, LayerReport

    reports: list[LayerReport] = []
    now = 0
    for result in results:
        shape, counters = result.plan.shape, result.counters
        reports.append(
            LayerReport(
                name=shape.name,
                op=shape.op,
                macs=shape.macs * inputs,
                bits=Bits(activation=max(shape.activation_bits), weight=shape.weight_bits),
                cycles=cycles_of(counters, result.law_cycles),
                start=now,
                end=now + result.cycles,
                mode=result.plan.mode,
                utilisation=result.plan.utilisation,
                events=events_of(counters),
                bit_exact=result.bit_exact,
                started_from=started_from,
            )
        )
        now += result.cycles
    return reports


def _run_laws(graph: Graph, results: Sequence[LayerResult], engine: Engine, progress: Progress | None) -> None:
    for layer, result in zip(graph.layers, results, strict=True):
        if progress is not None:
            progress(layer.name)
        for routine, count in result.plan.routines:
            add_counters(result.counters, engine.run(Job(routine.program)).counters, count)


def cycles_of(counters: Mapping[str, int], law: int) -> Cycles:
    """Cycles of a layer by counters, and by its law."""
    from sim.report import Cycles

    parts = {name.split(".")[1]: value for name, value in counters.items() if name.startswith("cycles.")}
    return Cycles(total=sum(parts.values()), law=law, **parts)


def events_of(counters: Mapping[str, int]) -> dict[str, int]:
    """Schedule and activity events of a layer by counters."""
    return {name.split(".")[1]: value for name, value in counters.items() if name.startswith(_EVENTS)}


def add_counters(total: dict[str, int], counters: dict[str, int], times: int = 1) -> None:
    """Add counters of so many equal runs; an identity is not a sum."""
    for name, value in counters.items():
        total[name] = value if name.startswith("identity.") else total.get(name, 0) + times * value


def check_input(values: NDArray[np.integer[Any]], source: FeatureMap) -> None:
    """Refuse an input of a network that is not of its shape or width, with ``ValueError``."""
    if values.shape != source.shape:
        raise ValueError(f"input {source.name!r} must have shape {source.shape}, not {values.shape}")
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << source.bits:
        raise ValueError(
            f"input {source.name!r} must have stored numbers from 0 to {(1 << source.bits) - 1}, not {values.min()} to "
            f"{values.max()}"
        )
