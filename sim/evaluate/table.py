"""What each layer of a network costs at each width of weights and activations: a table for quantisation search.

An entry (layer, w, a) is the cost of the layer in the network all of whose weights have w bits and all of whose
activations have a bits: the layer's input, and its output as well; only the network's output keeps 8 bits. So entries
of the same widths, summed over all layers, are exactly what :mod:`sim.evaluate.evaluate` says of the whole network. For
mixed widths a sum is an estimate: a layer's output is really as wide as the next layer asks, which changes its
requantisation, and maps with several readers are as wide as the widest asks. :mod:`sim.evaluate.search` knows this.

Layers without weights are in the table too. Their entries do not depend on the width of weights.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import UserError
from sim.evaluate.energy import figures
from sim.evaluate.sweep import Case, Source, cost_of
from sim.evaluate.widths import Widths
from sim.evaluate.workers import finished
from sim.report import version

if TYPE_CHECKING:
    from sim.evaluate.cost import NetworkCost
    from sim.evaluate.technology import Technology
    from sim.networks.network import Network

__all__ = ["COLUMNS", "SCHEMA", "LayerTable", "csv_table", "layer_table", "npz_table"]

SCHEMA = 1
"""Version of the NPZ; raised when an array changes its meaning or goes away."""

COLUMNS = (
    "layer", "op", "macs", "weight_bits", "activation_bits", "cycles", "latency_s", "energy_pj", "edp_js", "error",
)  # fmt: skip
"""Columns of the CSV; figures of a width that the machine cannot run are empty, and the error says why."""

ARRAYS = (
    "layers", "ops", "macs", "has_weights", "weight_bits", "activation_bits", "cycles", "latency_s", "energy_pj",
)  # fmt: skip
"""Arrays of the NPZ, fields of the table."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTable:
    """Costs by layer, width of weights and width of activations.

    Parameters
    ----------
    identity : what the table is of, as texts and numbers: network, config, config_hash, mode, batch, technology,
        supply_v.
    layers, ops, macs : of each layer, in the order of the network; multiply-accumulates of the whole batch.
    has_weights : whether it has any.
    weight_bits, activation_bits : the widths, the second and the third axis of all figures.
    cycles : integers, shape (layers, weight bits, activation bits); -1 where the machine cannot run the widths.
    latency_s, energy_pj : likewise, NaN there.
    errors : why not, by (weight bits, activation bits).
    """

    identity: dict[str, Any]
    layers: tuple[str, ...]
    ops: tuple[str, ...]
    macs: tuple[int, ...]
    has_weights: tuple[bool, ...]
    weight_bits: tuple[int, ...]
    activation_bits: tuple[int, ...]
    cycles: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    energy_pj: NDArray[np.float64]
    errors: dict[tuple[int, int], str]


def layer_table(
    source: Source,
    config: Any,
    technology: Technology,
    *,
    weight_bits: Sequence[int],
    activation_bits: Sequence[int],
    mode: str = "count",
    batch: int = 1,
    jobs: int = 1,
    cluster: str | None = None,
    cost: Callable[[Case], NetworkCost | str] = cost_of,
    advance: Callable[[str], None] = lambda _: None,
) -> LayerTable:
    """Evaluate a network at all combinations of widths.

    Parameters
    ----------
    source, config, mode, batch : as :class:`~sim.evaluate.sweep.Case` has them.
    technology : at the supply that is wanted.
    weight_bits, activation_bits : widths from 1 to 16, at least one of each.
    jobs, cluster, cost, advance : as :func:`sim.evaluate.sweep.run_sweep` takes them.

    Raises
    ------
    UserError
        If no widths can be evaluated.
    TileError
        As :func:`sim.evaluate.workers.finished` does.
    """
    pairs = list(itertools.product(weight_bits, activation_bits))
    cases = [Case(source, config, f"{w}x{a}", _uniform(source.network, w, a), mode, batch) for w, a in pairs]
    found: dict[tuple[int, int], NetworkCost] = {}
    errors: dict[tuple[int, int], str] = {}
    advance("started")
    for number, outcome in finished(cost, cases, jobs=jobs, cluster=cluster):
        if isinstance(outcome, str):
            errors[pairs[number]] = outcome
        else:
            found[pairs[number]] = outcome
        advance("{} x {} bits".format(*pairs[number]))
    if not found:
        raise UserError(f"network {source.network.name} cannot be evaluated at any of the widths: {errors[pairs[0]]}")
    first = next(found[pair] for pair in pairs if pair in found).layers
    shape = (len(first), len(weight_bits), len(activation_bits))
    cycles, latency_s, energy_pj = np.full(shape, -1), np.full(shape, np.nan), np.full(shape, np.nan)
    for (w, a), one in found.items():
        place = (slice(None), weight_bits.index(w), activation_bits.index(a))
        each = [figures(layer, technology, one) for layer in one.layers]
        cycles[place] = [layer.cycles for layer in each]
        latency_s[place] = [layer.latency_s for layer in each]
        energy_pj[place] = [layer.total_pj for layer in each]
    return LayerTable(
        identity={
            "network": source.network.name,
            "config": config.name,
            "config_hash": config.hash_text,
            "mode": mode,
            "batch": batch,
            "technology": technology.name,
            "supply_v": technology["supply"] if technology.supply_v is None else technology.supply_v,
        },
        layers=tuple(layer.name for layer in first),
        ops=tuple(layer.op for layer in first),
        macs=tuple(layer.macs for layer in first),
        has_weights=tuple(layer.weight_bits is not None for layer in first),
        weight_bits=tuple(weight_bits),
        activation_bits=tuple(activation_bits),
        cycles=cycles,
        latency_s=latency_s,
        energy_pj=energy_pj,
        errors=dict(sorted(errors.items())),
    )


def csv_table(table: LayerTable) -> str:
    """Return the table as CSV, a line for each entry: layers first, then widths of weights, then of activations."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    widths = list(itertools.product(enumerate(table.weight_bits), enumerate(table.activation_bits)))
    for number, layer in enumerate(zip(table.layers, table.ops, table.macs, strict=True)):
        for (row, weight_bits), (column, activation_bits) in widths:
            error = table.errors.get((weight_bits, activation_bits))
            place = number, row, column
            latency_s, energy_pj = float(table.latency_s[place]), float(table.energy_pj[place])
            found = (int(table.cycles[place]), latency_s, energy_pj, latency_s * energy_pj * 1e-12)
            writer.writerow([*layer, weight_bits, activation_bits, *(found if error is None else [None] * 4), error])
    return text.getvalue()


def npz_table(table: LayerTable) -> bytes:
    """Return the table as a NumPy archive, to be read with ``numpy.load``, without pickles.

    Arrays ``cycles``, ``latency_s``, ``energy_pj`` have the shape (layers, weight bits, activation bits); ``layers``,
    ``weight_bits`` and ``activation_bits`` name their axes; ``ops``, ``macs`` and ``has_weights`` are by layer. What
    the table is of, and ``schema`` and ``bfimna``, are scalars.
    """
    content = io.BytesIO()
    arrays: dict[str, Any] = {name: np.array(getattr(table, name)) for name in ARRAYS}
    np.savez_compressed(content, schema=SCHEMA, bfimna=version(), **table.identity, **arrays)
    return content.getvalue()


def _uniform(network: Network, weight_bits: int, activation_bits: int) -> Widths:
    """The same widths for all layers, those without weights included."""
    layers = {layer.name: (activation_bits, weight_bits) for layer in network.weight_layers}
    others = dict.fromkeys(network.other_layers, (activation_bits, activation_bits))
    return Widths(layers=layers | others, label=f"{weight_bits}x{activation_bits}")
