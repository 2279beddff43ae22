"""``bfimna evaluate``: a whole network on a machine by the laws, with energy and area of a technology."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.evaluate.lists import positive_number
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import MODE_HELP, add_common

if TYPE_CHECKING:
    from sim.evaluate.cost import NetworkCost
    from sim.evaluate.technology import Technology

__all__ = ["add_parser", "main"]

DESCRIPTION = """\
Evaluate a network by the cycle laws: cycles, utilisation, events, energy, power, throughput and
area, layer by layer, on a fabric of tiles, a single tile or an accelerator. Nothing is simulated.
"""

FILES = {
    "json": "the evaluation as JSON",
    "csv": "a row for each layer",
    "html": "a page with plots that needs no other file",
    "actions": "action counts as YAML, for Accelergy and tools like it",
}
"""What can be written, by option."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "evaluate",
        help="cycles and energy of a network by the laws",
        description=DESCRIPTION,
        epilog=MODE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "network", metavar="NETWORK", help="a name that `bfimna info` lists, a .tflite or an .onnx file"
    )
    add_common(parser, "config", config="lr")
    parser.add_argument(
        "--bits",
        metavar="N|NAME|FILE",
        help="widths: 1 to 16, hawq-v3/NAME, or a JSON or YAML file by layer (default: 8, or those of a file)",
    )
    add_common(parser, "mode", "batch", "technology")
    parser.add_argument(
        "--supply", metavar="V", type=positive_number, help="supply voltage in volts (default: the technology's)"
    )
    parser.add_argument(
        "--constant",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_setting,
        help="another value for a constant of the technology; may be given again",
    )
    for option, what in FILES.items():
        parser.add_argument(f"--{option}", metavar="FILE", help=f"write {what}, '-' for standard output")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Evaluate and show; 0 unless something is refused."""
    targets = {option: getattr(arguments, option) for option in FILES if getattr(arguments, option) is not None}
    for option, target in targets.items():
        check_output(target, f"--{option} file")
    on_standard_output = [f"--{option}" for option, target in targets.items() if target == STANDARD_OUTPUT]
    if len(on_standard_output) > 1:
        raise UserError(f"only one of {', '.join(on_standard_output)} can be '-'")
    technology = _technology(arguments)
    cost = _cost(arguments)
    for option, target in targets.items():
        write_output(target, _WRITERS[option](cost, technology), f"--{option} file")
    from sim.evaluate.report import print_evaluation

    # With a file on standard output, people read on standard error.
    print_evaluation(cost, technology, sys.stderr if on_standard_output else sys.stdout)
    return 0


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE with a number, not {text!r}") from None


def _technology(arguments: argparse.Namespace) -> Technology:
    from sim.evaluate.technology import load_technology

    technology = load_technology(arguments.technology).with_constants(**dict(arguments.constant))
    return technology if arguments.supply is None else technology.at(arguments.supply)


def _cost(arguments: argparse.Namespace) -> NetworkCost:
    from sim.evaluate.evaluate import evaluate, load_machine
    from sim.evaluate.widths import default_widths, parse_widths
    from sim.networks.load import load_network

    config = load_machine(arguments.config)
    network = load_network(arguments.network)
    widths = default_widths(network) if arguments.bits is None else parse_widths(arguments.bits, network)
    return evaluate(network, widths, config, mode=arguments.mode, batch=arguments.batch)


def _json(cost: NetworkCost, technology: Technology) -> str:
    from sim.evaluate.report import evaluation_json
    from sim.report import json_text

    return json_text(evaluation_json(cost, technology))


def _csv(cost: NetworkCost, technology: Technology) -> str:
    from sim.evaluate.report import csv_text

    return csv_text(cost, technology)


def _html(cost: NetworkCost, technology: Technology) -> str:
    from sim.evaluate.page import html_page

    return html_page([cost], technology)


def _actions(cost: NetworkCost, _: Technology) -> str:
    from sim.evaluate.actions import actions_yaml

    return actions_yaml(cost)


_WRITERS: dict[str, Callable[[NetworkCost, Technology], str]] = {
    "json": _json,
    "csv": _csv,
    "html": _html,
    "actions": _actions,
}
"""What writes each of :data:`FILES`."""
