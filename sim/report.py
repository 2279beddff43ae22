"""What a run of a network found out: as objects, as JSON and as a table for people.

Every count of a layer is the sum over all inputs. The parts of ``cycles`` are an exclusive attribution: each cycle has
one owner, so they add up to the total; what is hidden behind computing counts as compute.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = [
    "SCHEMA",
    "AcceleratorReport",
    "Bits",
    "Cycles",
    "InputReport",
    "LayerReport",
    "PhaseReport",
    "RunReport",
    "SpikingReport",
    "WallSeconds",
    "differences",
    "print_run",
    "run_json",
    "run_table",
    "version",
]

SCHEMA = 1
"""Version of the JSON; raised when a field changes its meaning or goes away."""

PIPE_WIDTH = 140

LAW_TEXT = (
    "law: the cycles that config, widths and layer shapes alone ask for, computed apart from the run; what is counted, "
    "stalls apart, must equal it"
)

STATE_NAMES = {
    "busy": "busy",
    "planes": "wait for planes",
    "room": "wait for room",
    "program": "wait for program",
    "idle": "idle",
}
"""Headings of what tiles do."""

STATE_TEXT = (
    "columns are phases of the accelerator: load exchanges maps, compute forms dot products and requantises them, "
    "requant is for element-wise layers of their own, store sends the result"
)

PARTS = ("load", "compute", "reduce", "requantize", "store", "stall")
"""The parts of a layer's cycles, as :class:`Cycles` names them."""

ALWAYS_SHOWN = ("load", "compute", "requantize", "store")

SHORT_NAMES = {
    "depthwise_conv2d": "dwconv2d",
    "fully_connected": "dense",
    "average_pool_2d": "avg_pool",
    "max_pool_2d": "max_pool",
    "requantize": "requant",
}
"""Names that a table has no room for."""


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Widths of the operands of a layer; a layer without weights has ``weight=None``."""

    activation: int
    weight: int | None = None


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """Cycles of a layer: counted (*total*), what the cycle law says (*law*), and whose they were."""

    total: int
    law: int
    load: int = 0
    compute: int = 0
    reduce: int = 0
    requantize: int = 0
    store: int = 0
    stall: int = 0

    @property
    def attributed(self) -> int:
        """Sum of the parts, which must be *total*."""
        return self.load + self.compute + self.reduce + self.requantize + self.store + self.stall


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer of a run.

    Parameters
    ----------
    name, op : as in the model.
    macs : multiply-accumulates of the operator, padding left out of no count.
    bits : operand widths.
    cycles : see :class:`Cycles`.
    start, end : cycle in which the layer began and the one after its last.
    mode : how dot products are formed, None for a layer without any.
    utilisation : MACs by those that the tile's rows could have done (:attr:`sim.mapping.LayerPlan.utilisation`), None
        for a layer without products.
    events : schedule and activity events by name.
    energy_pj : energy, None without a technology file.
    bit_exact : whether the output equals the integer operators', None where nothing was computed.
    started_from : whose maps the layer started from: ``rtl`` (layers before it on the Verilog), ``tile`` (on the
        bit-level model), ``golden`` (the integer operators; the layers before were compared with them); None where
        nothing was computed layer by layer.
    """

    name: str
    op: str
    macs: int
    bits: Bits
    cycles: Cycles
    start: int
    end: int
    mode: str | None = None
    utilisation: float | None = None
    events: dict[str, int] = field(default_factory=dict[str, int])
    energy_pj: float | None = None
    bit_exact: bool | None = None
    started_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class InputReport:
    """One input and its result.

    Parameters
    ----------
    file : where it came from.
    top1 : the class with the largest logit, None where nothing was computed.
    logits : as the model's output holds them, before a softmax.
    label : name of class *top1*, if the model has names.
    expected : the class that the file's name ends in (``..._3.png``), for a model with names.
    expected_label : its name.
    """

    file: str
    top1: int | None
    logits: list[int]
    label: str | None = None
    expected: int | None = None
    expected_label: str | None = None


@dataclass(frozen=True, kw_only=True)
class WallSeconds:
    """Wall time of a run, in seconds, with all else that may differ between runs with the same results.

    Parameters
    ----------
    build, simulate, total : of making engines, of running, and of both with all before and after.
    jobs : processes that ran units of work.
    cluster : address of the scheduler whose workers ran them, None for this machine.
    resumed_layers : layers that the journal of an earlier run had, each input by itself.
    cycles_per_second : simulated in this run by the seconds of *simulate*, None where no Verilog ran.
    hardware : seconds within the simulated hardware alone, summed over all processes; None where that is not known.
    hardware_cycles_per_second : simulated in this run by the seconds of *hardware*, for one process.
    """

    build: float
    simulate: float
    total: float
    jobs: int = 1
    cluster: str | None = None
    resumed_layers: int = 0
    cycles_per_second: float | None = None
    hardware: float | None = None
    hardware_cycles_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class PhaseReport:
    """One phase of a run on an accelerator: what it is for, its cycles by the law, and as counted for each input.

    The first one, of kind ``setup``, is the time until the first phase begins.
    """

    kind: str
    layers: list[str]
    law: int
    cycles: list[int]


@dataclass(frozen=True, kw_only=True)
class AcceleratorReport:
    """What only an accelerator has.

    Parameters
    ----------
    phases : in the order of time.
    states : cycles of all CAPs (``cap``) and all MAPs (``map``) by what they did: busy, waiting for planes, for room,
        for their program, idle; each sums up to the cycles of the run times the tiles.
    law_states : the same by the law.
    host_words : F-bit words of one input that the host sent and got, by kind.
    """

    phases: list[PhaseReport]
    states: dict[str, dict[str, int]]
    law_states: dict[str, dict[str, int]]
    host_words: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class SpikingReport:
    """What only a spiking network has.

    Parameters
    ----------
    array : what it was mapped to, one of :data:`sim.spiking.run.ARRAYS`.
    network : its name with its widths.
    potential_bits : of each layer.
    timesteps : of each input.
    synaptic_operations : weights that were added to potentials, of all layers and inputs.
    right, labelled : inputs whose class is their label, and inputs with a label.
    energy_source : what the energy is from, empty without energy.
    """

    array: str
    network: str
    potential_bits: list[int]
    timesteps: int
    synaptic_operations: int
    right: int
    labelled: int
    energy_source: str


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run of a network on an engine; *simulator* is None where none was used, *mode* may be ``auto``.

    ``accelerator`` is None for a single tile, ``spiking`` for a network without spikes; ``note`` says why the class
    means nothing, or is empty. ``journal`` is the file to be removed when the report is safe.
    """

    model: str
    engine: str
    simulator: str | None
    seed: int
    config_hash: str
    config: dict[str, Any]
    mode: str
    inputs: list[InputReport]
    layers: list[LayerReport]
    wall_s: WallSeconds
    accelerator: AcceleratorReport | None = None
    spiking: SpikingReport | None = None
    note: str = ""
    journal: Path | None = None

    @property
    def cycles(self) -> int:
        """The makespan: from the first cycle of a layer to the last one."""
        if not self.layers:
            return 0
        return max(layer.end for layer in self.layers) - min(layer.start for layer in self.layers)

    @property
    def law(self) -> int:
        """Cycles that the laws give to all layers."""
        return sum(layer.cycles.law for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def energy_pj(self) -> float | None:
        """Energy of all layers, None if a layer has none."""
        energies = [layer.energy_pj for layer in self.layers if layer.energy_pj is not None]
        return sum(energies) if energies and len(energies) == len(self.layers) else None

    @property
    def energy_per_operation_pj(self) -> float | None:
        """Energy by synaptic operations, None without energy or without operations."""
        if self.spiking is None or self.energy_pj is None or not self.spiking.synaptic_operations:
            return None
        return self.energy_pj / self.spiking.synaptic_operations


def version() -> str:
    """Return the version of bfimna: the checkout's where it runs from one, else that of the installed package."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    if project.is_file():
        found = re.search(r'^name = "bfimna"\nversion = "([^"]+)"$', project.read_text(encoding="utf-8"), re.MULTILINE)
        if found is not None:
            return found[1]
    try:
        return importlib.metadata.version("bfimna")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def run_json(report: RunReport) -> dict[str, Any]:
    """Return *report* as the object that ``bfimna run --json`` writes."""
    accelerator = {} if report.accelerator is None else {"accelerator": dataclasses.asdict(report.accelerator)}
    spiking = {}
    if report.spiking is not None:
        energy = {"energy_per_operation_pj": report.energy_per_operation_pj}
        spiking = {"spiking": dataclasses.asdict(report.spiking) | energy}
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "model": report.model,
        "engine": report.engine,
        "simulator": report.simulator,
        "seed": report.seed,
        "config_hash": report.config_hash,
        "config": report.config,
        "mode": report.mode,
        "inputs": [dataclasses.asdict(one) for one in report.inputs],
        "layers": [dataclasses.asdict(layer) for layer in report.layers],
        "total": {
            "cycles": report.cycles,
            "law": report.law,
            "macs": report.macs,
            "energy_pj": report.energy_pj,
        },
        "wall_s": dataclasses.asdict(report.wall_s),
        **({"note": report.note} if report.note else {}),
        **accelerator,
        **spiking,
    }


def json_text(content: object) -> str:
    """Return *content* as JSON text that ends in a line feed."""
    return json.dumps(content, indent=1) + "\n"


def differences(report: RunReport) -> list[str]:
    """Return what should be equal and is not, one line each; an empty list is success."""
    lines: list[str] = []
    for layer in report.layers:
        if layer.bit_exact is False:
            lines.append(f"{layer.name}: the output differs from the integer operators")
        counted = layer.cycles.total - layer.cycles.stall
        if counted != layer.cycles.law:
            lines.append(f"{layer.name}: {counted:,} cycles without stalls, the law says {layer.cycles.law:,}")
        if layer.cycles.attributed != layer.cycles.total:
            lines.append(
                f"{layer.name}: the parts add up to {layer.cycles.attributed:,} cycles, not {layer.cycles.total:,}"
            )
    if report.accelerator is not None:
        lines += _accelerator_differences(report.accelerator)
    return lines


def _accelerator_differences(report: AcceleratorReport) -> list[str]:
    lines = [
        f"phase {number} ({phase.kind} of {'+'.join(phase.layers)}): {cycles:,} cycles, the law says {phase.law:,}"
        for number, phase in enumerate(report.phases)
        for cycles in phase.cycles
        if cycles != phase.law
    ]
    for kind, states in report.states.items():
        for name, cycles in states.items():
            wanted = report.law_states[kind][name]
            if cycles != wanted:
                lines.append(f"{kind.upper()}s: {cycles:,} cycles {name}, the law says {wanted:,}")
    return lines


def run_table(report: RunReport, *, parts: bool = True) -> Table:
    """Return the table of layers, with their modes where the run chose them.

    If *parts*, also whose the cycles were, as far as that is not always 0.
    """
    shown = [name for name in PARTS if name in ALWAYS_SHOWN or any(_part(layer, name) for layer in report.layers)]
    shown = shown if parts else []
    several = report.mode == "auto"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("layer", "op", *(["mode"] if several else [])):
        table.add_column(heading, no_wrap=True)
    for heading in ("MACs", "bits", "cycles", *(SHORT_NAMES.get(name, name) for name in shown), "law", "used"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("exact", justify="center", no_wrap=True)
    for layer in report.layers:
        weight = "" if layer.bits.weight is None else f"x{layer.bits.weight}"
        table.add_row(
            layer.name,
            SHORT_NAMES.get(layer.op, layer.op),
            *([layer.mode or ""] if several else []),
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.bits.activation}{weight}",
            f"{layer.cycles.total:,}",
            *(f"{_part(layer, name):,}" for name in shown),
            f"{layer.cycles.law:,}",
            "" if layer.utilisation is None else f"{layer.utilisation:.0%}",
            _yes_or_no(layer.bit_exact),
        )
    table.add_section()
    exact = [layer.bit_exact for layer in report.layers if layer.bit_exact is not None]
    table.add_row(
        "total",
        "",
        *([""] if several else []),
        f"{report.macs:,}",
        "",
        f"{report.cycles:,}",
        *(f"{sum(_part(layer, name) for layer in report.layers):,}" for name in shown),
        f"{report.law:,}",
        "",
        _yes_or_no(all(exact) if exact else None),
    )
    return table


def print_run(report: RunReport, stream: TextIO) -> None:
    """Print what a person wants to know of *report*: the engine, the table, the classes, the time, the differences."""
    console = Console(file=stream, highlight=False, markup=False, soft_wrap=False, width=_width(stream))

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    engine = f"{report.engine} ({report.simulator})" if report.simulator else report.engine
    name = report.config.get("name", report.config_hash)
    line(f"{report.model} on {engine}, config {name}: {_sizes(report.config)}, mode {report.mode}, seed {report.seed}")
    if report.note:
        line(report.note)
    several = len(report.inputs) > 1
    if several:
        line(f"MACs and cycles are sums over {len(report.inputs)} inputs")
    if report.cycles or report.law:
        table = run_table(report)
        if table.__rich_measure__(console, console.options.update_width(PIPE_WIDTH)).maximum > console.width:
            table = run_table(report, parts=False)
        console.print(table)
        line(LAW_TEXT)
    if report.accelerator is not None and report.cycles:
        console.print(_state_table(report.accelerator))
        line(STATE_TEXT)
        words = ", ".join(f"{kind} {count:,}" for kind, count in report.accelerator.host_words.items())
        line(f"words of the host for one input: {words}")
    for one in report.inputs:
        if one.top1 is not None:
            told = "" if one.expected is None else f", its name says {_class(one.expected, one.expected_label)}"
            told += ", which means nothing" if report.note else ""
            line(f"{one.file}: class {_class(one.top1, one.label)}{told}")
    named = [one for one in report.inputs if one.top1 is not None and one.expected is not None]
    if several and named:
        line(f"{sum(one.top1 == one.expected for one in named)} of {len(named)} classes as the files' names say")
    wall = report.wall_s
    doing = "simulating" if report.engine in ("rtl", "turbo") else "running"
    line(f"time: {wall.total:.1f} s, of it {wall.build:.1f} s building and {wall.simulate:.1f} s {doing}")
    if wall.cycles_per_second is not None:
        alone = wall.hardware_cycles_per_second
        within = "" if alone is None else f"; {alone:,.0f} in each process while the Verilog alone ran"
        line(f"rate: {wall.cycles_per_second:,.0f} cycles/s with {wall.jobs} at once{within}")
    if wall.resumed_layers:
        line(f"{wall.resumed_layers} layers were finished by an earlier run")
    if any(layer.started_from == "golden" for layer in report.layers):
        line("each layer started from the maps of the integer operators, with which the layers before were compared")
    for difference in differences(report):
        line(f"DIFFERENCE {difference}")


def _sizes(config: dict[str, Any]) -> str:
    """The sizes of a tile or of an accelerator, from its config."""
    if "cap" not in config:
        return f"{config.get('rows'):,} rows x {config.get('columns')} columns, P={config.get('plane_bits')}"
    caps, maps = (
        f"{config[count]} {kind.upper()}{'s' * (config[count] != 1)} ({config[kind]['rows']:,} x "
        f"{config[kind]['columns']})"
        for count, kind in (("caps", "cap"), ("maps", "map"))
    )
    size, width = f"{config['width']} x {config['height']}", config["cap"]["plane_bits"]
    return f"{size} clusters of {caps} and {maps}, P={width}"


def _state_table(report: AcceleratorReport) -> Table:
    """What the tiles did, in parts of their time."""
    names = list(next(iter(report.states.values())))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("tiles", no_wrap=True)
    for name in names:
        table.add_column(STATE_NAMES[name], justify="right", no_wrap=True)
    for kind, states in report.states.items():
        total = sum(states.values())
        table.add_row(f"{kind.upper()}s", *(f"{states[name] / total:.1%}" for name in names))
    return table


def _part(layer: LayerReport, name: str) -> int:
    return int(getattr(layer.cycles, name))


def _class(number: int, name: str | None) -> str:
    return f"{number} ({name})" if name else str(number)


def _yes_or_no(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "NO"


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() else PIPE_WIDTH
