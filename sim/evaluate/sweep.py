"""Sweeps: many networks, machines, widths and technologies, each combination a point with its figures.

Cycles and events of a point do not depend on technology and supply, so they are found once for a :class:`Case` and then
priced. Results do not depend on how the work is shared out, nor on what an earlier run left in the journal.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw.config import ConfigError
from sim.errors import UserError, one_line
from sim.evaluate.cost import PARTS
from sim.evaluate.energy import ENERGY_PARTS, figures
from sim.evaluate.journal import Journal, content_key, source_hash
from sim.evaluate.workers import finished
from sim.report import json_text, version

if TYPE_CHECKING:
    from sim.evaluate.cost import NetworkCost
    from sim.evaluate.evaluate import Evaluator
    from sim.evaluate.technology import Technology
    from sim.evaluate.widths import Widths
    from sim.networks.network import Network

__all__ = [
    "COLUMNS",
    "SCHEMA",
    "Case",
    "Row",
    "Source",
    "Sweep",
    "cost_of",
    "csv_rows",
    "json_rows",
    "run_sweep",
    "source_of",
]

SCHEMA = 1
"""Version of the JSON; raised when a field changes its meaning or goes away."""

EVALUATORS = 4
"""Evaluators that a process keeps."""

Row = dict[str, Any]

_EVALUATORS: dict[tuple[object, ...], Evaluator] = {}

COLUMNS: dict[str, str] = {
    "network": "its name",
    "config": "the machine's name",
    "config_hash": "the machine's sizes in 16 hexadecimal digits",
    "bits": "widths as given",
    "mode": "how dot products are formed",
    "batch": "inputs that counts, time and energy are for",
    "technology": "its name",
    "supply_v": "supply voltage",
    "constants": "constants of the technology that were given other values, at its nominal supply",
    "weight_bits": "mean width of weights over multiply-accumulates",
    "activation_bits": "mean width of the inputs of layers with weights over multiply-accumulates",
    "macs": "multiply-accumulate operations",
    "cycles": "all cycles",
    "latency_s": "seconds for the batch",
    "energy_pj": "energy of all parts, in picojoules",
    "power_w": "mean power in watts",
    "gops": "achieved throughput in 1e9 operations per second, a multiply-accumulate being two",
    "gops_per_w": "throughput for each watt",
    "gops_per_w_mm2": "throughput for each watt and square millimetre",
    "edp_js": "product of energy and delay in joule seconds",
    "area_mm2": "area of the machine in square millimetres",
    "utilisation": "multiply-accumulates by those that the rows could do in the cycles of dot products",
    **{f"cycles_{part}": f"cycles of: {text}" for part, text in PARTS.items()},
    **{f"energy_{part}_pj": f"picojoules of: {text}" for part, text in ENERGY_PARTS.items()},
    "error": "why the point could not be evaluated; its figures are empty then",
}
"""The columns of a row, in order, and what they are."""


@dataclass(frozen=True)
class Source:
    """A network of a sweep.

    Parameters
    ----------
    network : what is evaluated.
    content : identity of what it was made from: the name of a built-in network, or a hash of a file.
    """

    network: Network
    content: str


@dataclass(frozen=True)
class Case:
    """What cycles and events depend on.

    Parameters
    ----------
    source : the network.
    config : a fabric, a tile or an accelerator.
    bits : widths as given.
    widths : the same for this network, or why it cannot take them.
    mode, batch : as :func:`sim.evaluate.evaluate.evaluate` takes them.
    """

    source: Source
    config: Any
    bits: str
    widths: Widths | str
    mode: str
    batch: int


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What to combine with what; each sequence has at least one entry.

    Parameters
    ----------
    sources, configs : networks and machines.
    bits : widths as given, "" for the default; and for each the widths of every network of ``sources``, or why it
        cannot take them.
    modes, batches : see :class:`Case`.
    technologies : at their nominal supplies.
    supplies : volts; None is the nominal supply.
    constants : values of constants by name, which all technologies can have.
    """

    sources: Sequence[Source]
    configs: Sequence[Any]
    bits: Sequence[tuple[str, Sequence[Widths | str]]]
    modes: Sequence[str]
    batches: Sequence[int]
    technologies: Sequence[Technology]
    supplies: Sequence[float | None] = (None,)
    constants: Sequence[Mapping[str, float]] = ({},)

    def cases(self) -> list[Case]:
        """Return what is to be evaluated, in the order of the output."""
        return [
            Case(source, config, bits or getattr(widths[number], "label", ""), widths[number], mode, batch)
            for (number, source), config, (bits, widths), mode, batch in itertools.product(
                enumerate(self.sources), self.configs, self.bits, self.modes, self.batches
            )
        ]

    @property
    def assumptions(self) -> dict[str, list[str]]:
        """Sentences on what figures rest on that nobody has measured or published, by name of what needs them."""
        found = {source.network.name: list(source.network.assumptions) for source in self.sources}
        found |= {config.name: list(getattr(config, "notes", ())) for config in self.configs}
        found |= {technology.name: list(technology.assumptions) for technology in self.technologies}
        return {name: sentences for name, sentences in found.items() if sentences}


@dataclass(frozen=True)
class _Point:
    """One row to be: a case on a technology, and the key of its result."""

    case: Case
    technology: Technology
    supply_v: float | None
    constants: Mapping[str, float]
    key: str

    def row(self, found: Row) -> Row:
        """The row with all columns in order."""
        case = self.case
        supply_v = self.constants.get("supply", self.technology["supply"]) if self.supply_v is None else self.supply_v
        identity = {
            "network": case.source.network.name,
            "config": case.config.name,
            "config_hash": case.config.hash_text,
            "bits": case.bits,
            "mode": case.mode,
            "batch": case.batch,
            "technology": self.technology.name,
            "supply_v": supply_v,
            "constants": " ".join(f"{name}={value!r}" for name, value in self.constants.items()) or None,
        }
        return {column: (identity | found).get(column) for column in COLUMNS}


def kind_of(case: Case) -> tuple[object, ...]:
    """What cases that differ in widths only have in common: one evaluator does for them."""
    config = case.config
    return case.source.network.name, case.source.content, config.name, config.hash_text, case.mode, case.batch


def cost_of(case: Case) -> NetworkCost | str:
    """Return the cost of a case, or why it has none."""
    if isinstance(case.widths, str):
        return case.widths
    try:
        return _evaluator(case, case.widths.residual_bits).cost(case.widths)
    except (UserError, ConfigError) as error:
        return one_line(error)


def run_sweep(
    sweep: Sweep,
    *,
    journal: Journal,
    jobs: int = 1,
    cluster: str | None = None,
    cost: Callable[[Case], NetworkCost | str] = cost_of,
    advance: Callable[[str], None] = lambda _: None,
) -> tuple[list[Row], int]:
    """Return a row with all :data:`COLUMNS` for each point, and the number of points that the journal had.

    Rows are in the order of network, config, bits, mode, batch, technology, supply and constants: the last changes
    first.

    Parameters
    ----------
    sweep : what to combine.
    journal : where results are kept as soon as they are there.
    jobs, cluster : as :func:`sim.evaluate.workers.finished` takes them.
    cost : what gives the cost of a case, or says why it has none.
    advance : is called with a few words when a case begins to be waited for.

    Raises
    ------
    UserError, TileError
        As :func:`sim.evaluate.workers.finished` does; a point that cannot be evaluated is a row that says why.
    """
    points = [list(_points(sweep, case)) for case in sweep.cases()]
    known = sum(journal.get(point.key) is not None for group in points for point in group)
    missing = [group for group in points if any(journal.get(point.key) is None for point in group)]
    kinds: dict[object, int] = {}
    missing.sort(key=lambda group: kinds.setdefault(kind_of(group[0].case), len(kinds)))
    cases = [group[0].case for group in missing]
    advance("started")
    for number, outcome in finished(cost, cases, kind=kind_of, jobs=jobs, cluster=cluster):
        for point in missing[number]:
            if journal.get(point.key) is None:
                journal.add(point.key, _priced(outcome, point))
        case = cases[number]
        advance(f"{case.source.network.name} {case.config.name} {case.bits}")
    return [point.row(journal.results[point.key]) for group in points for point in group], known


def csv_rows(rows: Sequence[Row]) -> str:
    """Return rows as CSV with a heading; what a row does not have is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def json_rows(rows: Sequence[Row], assumptions: Mapping[str, Sequence[str]]) -> str:
    """Return rows as a JSON object with the list ``points``; what a row does not have is null.

    Parameters
    ----------
    rows : with all :data:`COLUMNS`.
    assumptions : of the :class:`Sweep`.
    """
    about = {"schema": SCHEMA, "bfimna": version(), "columns": COLUMNS, "assumptions": assumptions}
    return json_text({**about, "points": list(rows)})


def source_of(name_or_file: str) -> Source:
    """Return a network by name, or from a file.

    Raises
    ------
    UserError, ModelError
        As :func:`sim.networks.load.load_network`.
    """
    import hashlib

    from sim.networks.load import load_network

    network = load_network(name_or_file)
    path = Path(name_or_file)
    return Source(network, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else name_or_file)


def _evaluator(case: Case, residual_bits: int | None) -> Evaluator:
    """What evaluates a case; kept for cases that differ in widths only."""
    from sim.evaluate.evaluate import evaluator

    key = (kind_of(case), residual_bits)
    if key not in _EVALUATORS:
        if len(_EVALUATORS) >= EVALUATORS:
            del _EVALUATORS[next(iter(_EVALUATORS))]
        _EVALUATORS[key] = evaluator(
            case.source.network, case.config, mode=case.mode, batch=case.batch, residual_bits=residual_bits
        )
    return _EVALUATORS[key]


def _points(sweep: Sweep, case: Case) -> Iterator[_Point]:
    """The points of a case, with keys of all that their results depend on."""
    about = content_key(
        sources=source_hash(),
        network=(case.source.network.name, case.source.content),
        config=(case.config.name, case.config.hash_text, case.config.as_dict()),
        widths=(case.bits, case.widths),
        mode=case.mode,
        batch=case.batch,
    )
    for given in itertools.product(sweep.technologies, sweep.supplies, sweep.constants):
        yield _Point(case, *given, content_key(case=about, priced=given))


def _priced(outcome: NetworkCost | str, point: _Point) -> Row:
    """The columns that are no identity."""
    if isinstance(outcome, str):
        return {"error": outcome}
    try:
        technology = point.technology.with_constants(**point.constants)
        if point.supply_v is not None:
            technology = technology.at(point.supply_v)
    except UserError as error:
        return {"error": one_line(error)}
    found = figures(outcome, technology)
    return {
        "weight_bits": _mean_bits(outcome, "weight_bits"),
        "activation_bits": _mean_bits(outcome, "activation_bits"),
        "macs": outcome.macs,
        "cycles": found.cycles,
        "latency_s": found.latency_s,
        "energy_pj": found.total_pj,
        "power_w": found.power_w,
        "gops": found.gops,
        "gops_per_w": found.gops_per_w,
        "gops_per_w_mm2": found.gops_per_w_mm2,
        "edp_js": found.edp_js,
        "area_mm2": found.total_mm2,
        "utilisation": _utilisation(outcome),
        **{f"cycles_{part}": cycles for part, cycles in outcome.cycles.items()},
        **{f"energy_{part}_pj": energy for part, energy in found.energy_pj.items()},
    }


def _mean_bits(cost: NetworkCost, name: str) -> float | None:
    """The mean of a width over the MACs of layers with weights; None without any."""
    weighted = [layer for layer in cost.layers if layer.weight_bits]
    macs = sum(layer.macs for layer in weighted)
    return sum(layer.macs * getattr(layer, name) for layer in weighted) / macs if macs else None


def _utilisation(cost: NetworkCost) -> float | None:
    """MACs of all layers by those that the rows could do in their dot products; None without any."""
    used = [(layer.macs, layer.utilisation) for layer in cost.layers if layer.utilisation]
    possible = sum(macs / share for macs, share in used)
    return sum(macs for macs, _ in used) / possible if possible else None
