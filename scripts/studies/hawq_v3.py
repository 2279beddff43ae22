"""HAWQ-V3's widths (arXiv:2011.10680) on our laws: accuracy as published, against energy, delay and their product.

The abstract of the BF-IMNA paper (arXiv:2411.01417) says of ResNet18: with a high latency budget accuracy is closest to
INT8 and the energy-delay product is the highest; with a low one the energy-delay product is closest to INT4, and the
loss of accuracy is larger.  ``tests/sim/evaluate/test_hawq_study.py`` checks that our figures say the same.
"""

from __future__ import annotations

from sim.evaluate.energy import figures
from sim.evaluate.technology import load_technology
from sim.evaluate.widths import hawq_results, parse_widths, sensitivities
from sim.networks.load import load_network
from sim.networks.network import Network

from .evaluations import FIGURES, cost_of, figure_cells, notes_of
from .table import Cell, Column, Table

__all__ = ["CONFIGURATIONS", "LEVELS", "accuracies", "hawq_study", "search_study"]

LEVELS = {
    "INT8": "uniform8",
    "high": "latency-0.75",
    "medium": "latency-0.5",
    "low": "latency-0.25",
    "INT4": "uniform4",
}
"""Configurations of the study, by the budget of latency."""

CONFIGURATIONS = tuple(f"hawq-v3/{name}" for name in LEVELS.values())
"""The same, as for ``--bits``."""

ACCURACY = "Accuracies are those that HAWQ-V3's authors published (arXiv:2011.10680), not measured here."
STRIDE = (
    "HAWQ-V3's ResNet50 has a unit's stride in its first 1x1 convolution, ours (torchvision's) in the 3x3 one; widths "
    "and names of layers are the same."
)


def accuracies(network: Network) -> dict[str, float]:
    """Published top-1 accuracy in percent by configuration, as for ``--bits``."""
    return {f"hawq-v3/{name}": result.top1 for name, result in hawq_results(network).items()}


def hawq_study(network: str, config: str = "lr") -> Table:
    """The five configurations: published accuracy, our figures, and their share of INT8's."""
    loaded = load_network(network)
    technology = load_technology("sram")
    top1 = accuracies(loaded)
    costs = [cost_of(network, name, config) for name in CONFIGURATIONS]
    found = [figures(cost, technology) for cost in costs]
    bits = [_mean_bits(loaded, name) for name in CONFIGURATIONS]
    rows: list[tuple[Cell, ...]] = [
        (level, name, mean, top1[name], *figure_cells(one), one.edp_js / found[0].edp_js)
        for level, name, mean, one in zip(LEVELS, CONFIGURATIONS, bits, found, strict=True)
    ]
    columns = (
        Column("budget", "budget"),
        Column("bits", "bits"),
        Column("mean_bits", "mean bits", 3),
        Column("top1", "top-1 [%], published", 4),
        *FIGURES,
        Column("edp_to_int8", "EDP / INT8", 3),
    )
    notes = (ACCURACY, *((STRIDE,) if network == "resnet50" else ()), *notes_of(costs, [technology]))
    return Table(columns, tuple(rows), notes)


def search_study(config: str = "lr") -> Table:
    """What the search finds within the energy-delay product of HAWQ-V3's configurations."""
    from sim.commands.search import hawq_table, quantities
    from sim.evaluate.evaluate import load_machine
    from sim.evaluate.evaluated_costs import EvaluatedCosts
    from sim.evaluate.search import prepare_search

    technology = load_technology("sram")
    rows: list[tuple[Cell, ...]] = []
    for name in ("resnet18", "resnet50"):
        network = load_network(name)
        table, residual_bits = hawq_table(network)
        costs = EvaluatedCosts(network, load_machine(config), technology, residual_bits=residual_bits)
        search = prepare_search(costs, table, residual_bits)
        for level in ("high", "medium", "low"):
            given = quantities(costs, table, parse_widths(f"hawq-v3/{level}", network))
            found = quantities(costs, table, search.solve("sensitivity", {"edp": given["edp"]}))
            cells = (given["sensitivity"], found["sensitivity"], given["edp"], found["edp"])
            rows.append((name, level, *cells, found["sensitivity"] / given["sensitivity"], found["edp"] / given["edp"]))
    columns = (
        Column("network", "network"),
        Column("budget", "budget"),
        Column("sensitivity_hawq", "sensitivity, HAWQ-V3"),
        Column("sensitivity_found", "sensitivity, found"),
        Column("edp_hawq_js", "EDP, HAWQ-V3 [J s]"),
        Column("edp_found_js", "EDP, found [J s]"),
        Column("sensitivity_ratio", "sensitivity / HAWQ-V3", 3),
        Column("edp_ratio", "EDP / HAWQ-V3", 3),
    )
    notes = (
        "Sensitivities are HAWQ-V3's (arXiv:2011.10680). Its budgets were of latency on a T4 GPU, so its widths are "
        "not made for this machine. Nothing was trained with the widths that are found: their accuracy is not known.",
    )
    return Table(columns, tuple(rows), notes)


def _mean_bits(network: Network, name: str) -> float:
    """Mean width of the layers that HAWQ-V3 may lower: all with weights but the first and the last."""
    widths = parse_widths(name, network)
    lowered = list(sensitivities(network))
    return sum(widths.of(layer)[1] for layer in lowered) / len(lowered)
