"""Studies of whole networks by the laws: precision, arrays, technologies, supplies, batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from sim.evaluate.cost import NetworkCost
from sim.evaluate.energy import Figures, figures
from sim.evaluate.evaluate import Evaluator, evaluator, load_machine
from sim.evaluate.technology import TECHNOLOGIES, Technology, load_technology
from sim.evaluate.widths import Widths, parse_widths
from sim.networks.load import load_network
from sim.networks.network import Network

from .table import Cell, Column, Table

__all__ = [
    "FIGURES", "NETWORKS", "batches", "cost_of", "figure_cells", "notes_of", "parts", "precision", "supplies",
    "technologies", "widths_of",
]  # fmt: skip

NETWORKS = ("alexnet", "vgg16", "resnet50")
"""Those of the paper's abstract."""

FIXED = range(2, 9)
SUPPLIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BATCHES = (1, 2, 4, 8, 16, 32)
ENDS = "first and last "
"""Begins the names of widths that are 8 in the first and the last layer, and another number between them."""

WIDTH_NOTES = (
    "Fixed widths are those of all layers, the first and the last one too. The paper's mixed ones are not known.",
    "With HAWQ-V3's widths residual maps have 16 bits, with the others those that their readers ask for.",
)

FIGURES = (
    Column("cycles", "cycles"),
    Column("latency_ms", "latency [ms]"),
    Column("energy_mj", "energy [mJ]"),
    Column("gops", "GOPS"),
    Column("gops_per_w", "GOPS/W"),
    Column("gops_per_w_mm2", "GOPS/W/mm2"),
    Column("edp_js", "EDP [J s]"),
)
"""Achieved figures of a network; a MAC is two operations."""


def figure_cells(found: Figures) -> tuple[Cell, ...]:
    """The cells of :data:`FIGURES`."""
    return (
        found.cycles,
        1e3 * found.latency_s,
        1e-9 * found.total_pj,
        found.gops,
        found.gops_per_w,
        found.gops_per_w_mm2,
        found.edp_js,
    )


def widths_of(network: Network, name: str) -> Widths:
    """Widths by name: as for ``--bits``, or ``first and last 8, else N``."""
    if not name.startswith(ENDS):
        return parse_widths(name, network)
    outer, inner = (int(part.split()[-1]) for part in name.removeprefix(ENDS).split(","))
    names = [layer.name for layer in network.weight_layers]
    bits = {layer: outer if layer in (names[0], names[-1]) else inner for layer in names}
    return Widths(layers={layer: (width, width) for layer, width in bits.items()}, label=name)


@cache
def cost_of(network: str, widths: str, config: str, batch: int = 1) -> NetworkCost:
    """A network on a config, by the laws."""
    loaded = load_network(network)
    chosen = widths_of(loaded, widths)
    return _evaluator(network, config, batch, chosen.residual_bits).cost(chosen)


@cache
def _evaluator(network: str, config: str, batch: int, residual_bits: int | None) -> Evaluator:
    return evaluator(load_network(network), load_machine(config), batch=batch, residual_bits=residual_bits)


def notes_of(costs: Iterable[NetworkCost], technologies: Iterable[Technology]) -> tuple[str, ...]:
    """What figures rest on: assumptions of networks and machines, and how many constants are assumptions."""
    found = [note for cost in costs for note in cost.assumptions]
    found += [
        f"technology {one.label}: {len(one.assumptions)} assumptions, which `bfimna evaluate` lists"
        for one in technologies
        if one.assumptions
    ]
    return tuple(dict.fromkeys(found))


def _mixed(network: str) -> tuple[str, ...]:
    """Mixed widths of a network: HAWQ-V3's where there are any, and 8 bits at both ends."""
    hawq = ("hawq-v3/latency-0.75", "hawq-v3/latency-0.5", "hawq-v3/latency-0.25") if network == "resnet50" else ()
    return (*hawq, f"{ENDS}8, else 4", f"{ENDS}8, else 2")


def precision(config: str, networks: Sequence[str] = NETWORKS) -> Table:
    """Networks at fixed widths from 2 to 8 bits and at mixed ones, on SRAM."""
    technology = load_technology("sram")
    runs = [
        (network, widths, cost_of(network, widths, config))
        for network in networks
        for widths in (*map(str, FIXED), *_mixed(network))
    ]
    rows = [(network, widths, *figure_cells(figures(cost, technology))) for network, widths, cost in runs]
    head = (Column("network", "network"), Column("bits", "bits"))
    mixed = (
        "Fixed widths are those of all layers, the first and the last one too; the paper's mixed ones are not known."
    )
    return Table((*head, *FIGURES), tuple(rows), (mixed, *notes_of((run[2] for run in runs), [technology])))


def technologies(config: str = "lr", networks: Sequence[str] = NETWORKS, bits: str = "8") -> Table:
    """Networks on every packaged technology."""
    found = [load_technology(name) for name in TECHNOLOGIES]
    costs = [cost_of(network, bits, config) for network in networks]
    rows: list[tuple[Cell, ...]] = []
    for cost in costs:
        for technology in found:
            one = figures(cost, technology)
            sram = figures(cost, found[0])
            area = one.total_mm2 / sram.total_mm2
            energy = one.total_pj / sram.total_pj
            rows.append((cost.network, technology.name, *figure_cells(one), one.total_mm2, energy, area))
    columns = (
        Column("network", "network"),
        Column("technology", "technology"),
        *FIGURES,
        Column("area_mm2", "area [mm2]"),
        Column("energy_to_sram", f"energy / {found[0].name}", 3),
        Column("area_to_sram", f"area / {found[0].name}", 3),
    )
    return Table(columns, tuple(rows), notes_of(costs, found))


def supplies(config: str = "lr", networks: Sequence[str] = NETWORKS, bits: str = "8") -> Table:
    """Networks on SRAM at several supplies, from the lowest that the technology has."""
    technology = load_technology("sram")
    low, high = technology["minimum_supply"], technology["maximum_supply"]
    volts = sorted({volt for volt in (*SUPPLIES, technology["supply"]) if low <= volt <= high})
    costs = [cost_of(network, bits, config) for network in networks]
    rows = [(cost.network, volt, *figure_cells(figures(cost, technology.at(volt)))) for cost in costs for volt in volts]
    head = (Column("network", "network"), Column("supply_v", "supply [V]", 2))
    return Table((*head, *FIGURES), tuple(rows), notes_of(costs, [technology]))


def batches(config: str = "lr", networks: Sequence[str] = NETWORKS, bits: str = "8") -> Table:
    """Networks with several inputs at once: figures of the batch, and time and energy of an input."""
    technology = load_technology("sram")
    runs = [(batch, cost_of(network, bits, config, batch)) for network in networks for batch in BATCHES]
    rows = [
        (cost.network, batch, *figure_cells(found), 1e3 * found.latency_s / batch, 1e-9 * found.total_pj / batch)
        for batch, cost in runs
        for found in [figures(cost, technology)]
    ]
    columns = (
        Column("network", "network"),
        Column("batch", "batch"),
        *FIGURES,
        Column("latency_of_input_ms", "latency / batch [ms]"),
        Column("energy_of_input_mj", "energy / batch [mJ]"),
    )
    return Table(columns, tuple(rows), notes_of((run[1] for run in runs), [technology]))


def parts(config: str = "lr", networks: Sequence[str] = NETWORKS, bits: str = "8") -> Table:
    """Where cycles and energy go."""
    technology = load_technology("sram")
    costs = [cost_of(network, bits, config) for network in networks]
    rows = tuple(row for cost in costs for row in _parts(cost, figures(cost, technology)))
    columns = (
        Column("network", "network"),
        Column("of", "of"),
        Column("part", "part"),
        Column("share", "share [%]", 3),
    )
    return Table(columns, rows, notes_of(costs, [technology]))


def _parts(cost: NetworkCost, found: Figures) -> Iterator[tuple[Cell, ...]]:
    for what, shares in (("cycles", cost.cycles), ("energy", found.energy_pj)):
        total = sum(shares.values())
        for part, value in shares.items():
            if value:
                yield cost.network, what, part, 100 * value / total
