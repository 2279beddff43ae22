"""``bfimna search``: widths of a network's layers within budgets of latency, energy or their product."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.evaluate.budget import QUANTITIES, Budget, parse_budget, quantity_text
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import add_common, one_of, whole_number

if TYPE_CHECKING:
    from sim.evaluate.evaluated_costs import EvaluatedCosts
    from sim.evaluate.search import WidthSearch
    from sim.evaluate.sensitivity import Bits, Sensitivities
    from sim.evaluate.widths import Widths
    from sim.networks.network import Network

__all__ = ["add_parser", "hawq_table", "main", "quantities", "search_report", "widths_json"]

HAWQ = "hawq-v3"
"""The published table of sensitivities."""

FIXED_BITS, HAWQ_RESIDUAL_BITS = 8, 16
"""What HAWQ-V3 gives its first and last layer, and the maps that units add to, in all its configurations."""

EPILOG = """\
budgets, of one or more quantities:
  latency=1.5ms, energy=2mJ, edp=3uJs     a number with its unit
  edp=0.75x                               a share of what 8 bits everywhere take
  edp=hawq-v3/latency-0.5                 what these widths take, given as for --bits of `bfimna evaluate`
  sensitivity=0.5                         with --minimise latency, energy or edp

a table of sensitivities is a JSON or YAML file; a layer has one for each width, or a width that it keeps:
  {"conv1": 8, "conv2": {"4": 0.21, "8": 0.0016}, "conv3": {"4x8": 0.05, "8x8": 0.001}}
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "search",
        help="choose widths of layers within a budget",
        description="Choose the widths of a network's layers with the least sum of sensitivities within budgets, or "
        "the cheapest of a sensitivity, by an integer program over the cycle laws. What it predicts is compared with "
        "an evaluation of the whole network.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("network", metavar="NETWORK", help="a name that `bfimna info` lists, or a file")
    parser.add_argument(
        "--budget",
        metavar="QUANTITY=LIMIT",
        type=parse_budget,
        action="append",
        required=True,
        help=f"a limit of {', '.join(QUANTITIES)}; may be given several times",
    )
    parser.add_argument(
        "--minimise",
        metavar="QUANTITY",
        type=one_of(*QUANTITIES),
        default="sensitivity",
        help="what is to be least (default: sensitivity)",
    )
    parser.add_argument(
        "--sensitivity",
        metavar=f"FILE|{HAWQ}",
        default=HAWQ,
        help=f"table of sensitivities (default: {HAWQ}, for resnet18 and resnet50)",
    )
    parser.add_argument(
        "--widths",
        metavar="N,N..",
        type=_width_list,
        help="widths to choose from, such as 4,8 or 4x8,8x8 (default: all of the table)",
    )
    parser.add_argument(
        "--residual-bits",
        metavar="N",
        type=whole_number(1, 16),
        help=f"width of the maps that units add to (default: 16 with {HAWQ}, else as wide as their readers ask)",
    )
    add_common(parser, "config", config="lr")
    add_common(parser, "technology", "mode", "batch")
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="widths as JSON, for --bits of `bfimna evaluate`; '-' for standard output",
    )
    add_common(parser, "json")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Search, compare, print."""
    from sim.evaluate.evaluate import load_machine
    from sim.evaluate.evaluated_costs import EvaluatedCosts
    from sim.evaluate.search import prepare_search
    from sim.evaluate.technology import load_technology
    from sim.networks.load import load_network
    from sim.progress import progress
    from sim.report import json_text

    outputs = {"--output": arguments.output, "--json": arguments.json}
    if arguments.output == arguments.json and arguments.output is not None:
        raise UserError(f"--output and --json must be two files, not both {arguments.output}")
    for option, target in outputs.items():
        if target is not None:
            check_output(target, f"{option} file")
    quantities_given = [budget.quantity for budget in arguments.budget]
    if arguments.minimise in quantities_given:
        raise UserError(f"--budget must be of another quantity than --minimise, not {arguments.minimise}")
    for quantity in quantities_given:
        if quantities_given.count(quantity) > 1:
            raise UserError(f"--budget must be given once for each quantity, not twice for {quantity}")
    network = load_network(arguments.network)
    table, residual_bits = _table(network, arguments)
    machine, technology = load_machine(arguments.config), load_technology(arguments.technology)
    costs = EvaluatedCosts(
        network, machine, technology, mode=arguments.mode, batch=arguments.batch, residual_bits=residual_bits
    )
    limits = {budget.quantity: _limit(budget, network, costs, table) for budget in arguments.budget}
    with progress("costs of layers", 1 + len(table)) as advance:
        search = prepare_search(costs, table, residual_bits, advance)
    widths = search.solve(arguments.minimise, limits)
    report = search_report(search, costs, table, widths, arguments.minimise, limits)
    if arguments.output is not None:
        write_output(arguments.output, json_text(widths_json(widths)), "--output file")
    if arguments.json is not None:
        write_output(arguments.json, json_text(report), "--json file")
    if STANDARD_OUTPUT not in outputs.values():
        _print(report, arguments.budget)
    return 0 if report["agrees"] else 1


def search_report(
    search: WidthSearch,
    costs: EvaluatedCosts,
    table: Sensitivities,
    widths: Widths,
    minimise: str,
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """What was found, as JSON writes it: widths, and what they cost as predicted and as evaluated.

    ``agrees`` says that the evaluation of the whole network gave the prediction: the same cycles, and the same energy
    but for the last digits of its sum.
    """
    from sim.report import SCHEMA, version

    cost = costs.network_cost(widths)
    predicted, evaluated = search.predicted(widths), quantities(costs, table, widths)
    agrees = round(predicted["latency"] / costs.cycle_s) == cost.total and all(
        math.isclose(predicted[quantity], value, rel_tol=1e-9) for quantity, value in evaluated.items()
    )
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "network": cost.network,
        "config": cost.config,
        "config_hash": cost.config_hash,
        "technology": costs.technology.label,
        "mode": cost.mode,
        "batch": cost.batch,
        "residual_bits": widths.residual_bits,
        "minimise": minimise,
        "limits": dict(limits),
        "layers": [
            {
                "name": name,
                "activation_bits": widths.of(name)[0],
                "weight_bits": widths.of(name)[1],
                "sensitivity": values[widths.of(name)],
                "choices": len(values),
            }
            for name, values in table.items()
        ],
        "predicted": predicted,
        "evaluated": evaluated,
        "cycles": cost.total,
        "uniform8": _uniform(costs, table),
        "agrees": agrees,
        "assumptions": [*cost.assumptions, *costs.technology.assumptions],
    }


def quantities(costs: EvaluatedCosts, table: Sensitivities, widths: Widths) -> dict[str, float]:
    """Each quantity of the whole network at some widths, in s, J and Js; no sensitivity where the table has none."""
    found = costs.figures(widths)
    sensitivities = [values.get(widths.of(name)) for name, values in table.items()]
    known = [one for one in sensitivities if one is not None]
    total = {"sensitivity": math.fsum(known)} if len(known) == len(sensitivities) else {}
    return {**total, "latency": found.latency_s, "energy": found.total_pj * 1e-12, "edp": found.edp_js}


def widths_json(widths: Widths) -> dict[str, Any]:
    """Widths as a file for ``--bits`` has them."""
    residual = {} if widths.residual_bits is None else {"residual": widths.residual_bits}
    layers = {
        name: weight if activation == weight else {"activation": activation, "weight": weight}
        for name, (activation, weight) in widths.layers.items()
    }
    return {**layers, **residual}


def _uniform(costs: EvaluatedCosts, table: Sensitivities) -> dict[str, float]:
    from sim.evaluate.widths import Widths

    return quantities(costs, table, Widths(uniform=8, residual_bits=costs.residual_bits))


def hawq_table(network: Network) -> tuple[Sensitivities, int]:
    """HAWQ-V3's sensitivities of a network whose first and last layer keep 8 bits, and its residual width.

    Raises
    ------
    UserError
        If HAWQ-V3 has none for this network.
    """
    from sim.evaluate.widths import sensitivities

    published = sensitivities(network)
    table: dict[str, dict[Bits, float]] = {
        layer.name: {(bits, bits): value for bits, value in published.get(layer.name, {FIXED_BITS: 0.0}).items()}
        for layer in network.weight_layers
    }
    return table, HAWQ_RESIDUAL_BITS


def _table(network: Network, arguments: argparse.Namespace) -> tuple[Sensitivities, int | None]:
    """Sensitivities at the widths that may be chosen, and the residual width."""
    from sim.evaluate.sensitivity import only_widths, read_sensitivities

    residual_bits: int | None = None
    if arguments.sensitivity == HAWQ:
        table, residual_bits = hawq_table(network)
    else:
        table = read_sensitivities(arguments.sensitivity, [layer.name for layer in network.weight_layers])
    if arguments.widths is not None:
        table = only_widths(table, arguments.widths, f"sensitivities {arguments.sensitivity}")
    return table, arguments.residual_bits or residual_bits


def _limit(budget: Budget, network: Network, costs: EvaluatedCosts, table: Sensitivities) -> float:
    """The limit of a budget in s, J or Js."""
    from sim.evaluate.widths import parse_widths

    if budget.value is not None:
        return budget.value
    found = (
        _uniform(costs, table)
        if budget.widths is None
        else quantities(costs, table, parse_widths(budget.widths, network))
    )
    if budget.quantity not in found:
        raise UserError(f"--budget {budget.text}: the table of sensitivities has none for all of these widths")
    return found[budget.quantity] * (1.0 if budget.share is None else budget.share)


def _width_list(text: str) -> list[Bits]:
    from sim.evaluate.sensitivity import parse_width

    try:
        return [parse_width(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, in {text!r}") from None


def _print(report: Mapping[str, Any], budgets: Sequence[Budget]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from sim.evaluate.sensitivity import width_text

    console = Console(
        file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else 140, soft_wrap=False
    )
    console.print(
        f"{report['network']} on {report['config']}, {report['technology']}, mode {report['mode']}, batch "
        f"{report['batch']}: least {report['minimise']} within {', '.join(budget.text for budget in budgets)}"
    )
    layers = Table(box=box.SIMPLE_HEAD)
    layers.add_column("layer", no_wrap=True)
    for heading in ("bits [a x w]", "sensitivity", "choices"):
        layers.add_column(heading, justify="right", no_wrap=True)
    for layer in report["layers"]:
        bits = width_text((layer["activation_bits"], layer["weight_bits"]))
        layers.add_row(layer["name"], bits, f"{layer['sensitivity']:.4g}", str(layer["choices"]))
    console.print(layers)
    totals = Table(box=box.SIMPLE_HEAD)
    totals.add_column("quantity", no_wrap=True)
    for heading in ("budget", "found", "8 bits everywhere", "found / 8 bits"):
        totals.add_column(heading, justify="right", no_wrap=True)
    for quantity, value in report["evaluated"].items():
        limit, uniform = report["limits"].get(quantity), report["uniform8"].get(quantity)
        shown = ["" if one is None else quantity_text(quantity, one) for one in (limit, value, uniform)]
        totals.add_row(quantity, *shown, f"{value / uniform:.3f}" if uniform else "")
    console.print(totals)
    for assumption in report["assumptions"]:
        console.print(f"assumed: {assumption}", soft_wrap=True)
    if report["agrees"]:
        console.print(
            f"the whole network, evaluated: {report['cycles']:,} cycles, as the search predicted", soft_wrap=True
        )
    else:
        predicted, evaluated = report["predicted"], report["evaluated"]
        console.print(f"DIFFERS: the search predicted {predicted}, the evaluation gives {evaluated}", soft_wrap=True)
