"""``bfimna table``: what each layer costs at each width of weights and activations, for quantisation search."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sim.commands.sweep import add_workers, available_jobs, check_table_output
from sim.evaluate import lists
from sim.files import STANDARD_OUTPUT, write_output
from sim.options import MAXIMUM_BITS, MODE_HELP, add_common

__all__ = ["add_parser", "main"]

DESCRIPTION = """\
Write cycles, latency and energy of each layer at each width of its weights and activations.
An entry is the cost of the layer in the network all of whose weights and all of whose activations
have these widths. CSV has a line for each entry, NPZ has arrays of shape (layers, weight bits,
activation bits).
"""

FORMATS = (".csv", ".npz")


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "table",
        help="costs of layers at all widths, for quantisation search",
        description=DESCRIPTION,
        epilog=MODE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("network", metavar="NETWORK", help="a name, or a .tflite or .onnx file")
    add_common(parser, "config", "mode", config="lr")
    for operand in ("weight", "activation"):
        parser.add_argument(
            f"--{operand}-bits",
            metavar="LIST",
            type=lists.whole_numbers(1, MAXIMUM_BITS),
            default=tuple(range(1, MAXIMUM_BITS + 1)),
            help=f"widths of {operand}s: numbers and ranges (default: 1-{MAXIMUM_BITS})",
        )
    add_common(parser, "batch", "technology")
    parser.add_argument(
        "--supply", metavar="V", type=lists.positive_number, help="supply voltage in volts (default: the technology's)"
    )
    parser.add_argument(
        "--output", metavar="FILE", required=True, help="a .csv or .npz file, '-' for CSV on standard output"
    )
    add_workers(parser, "widths")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Evaluate the network at all widths and write the table."""
    check_table_output(arguments.output, *FORMATS)
    from sim.evaluate.evaluate import load_machine
    from sim.evaluate.sweep import source_of
    from sim.evaluate.table import csv_table, layer_table, npz_table
    from sim.evaluate.technology import load_technology
    from sim.progress import progress

    config = load_machine(arguments.config)
    technology = load_technology(arguments.technology)
    if arguments.supply is not None:
        technology = technology.at(arguments.supply)
    source = source_of(arguments.network)
    combinations = len(arguments.weight_bits) * len(arguments.activation_bits)
    with progress("table", combinations) as advance:
        table = layer_table(
            source,
            config,
            technology,
            weight_bits=arguments.weight_bits,
            activation_bits=arguments.activation_bits,
            mode=arguments.mode,
            batch=arguments.batch,
            jobs=arguments.jobs or available_jobs(),
            cluster=arguments.cluster,
            advance=advance,
        )
    archive = arguments.output.lower().endswith(".npz")
    write_output(arguments.output, npz_table(table) if archive else csv_table(table), "--output file")
    for (weight_bits, activation_bits), error in list(table.errors.items())[:1]:
        sys.stderr.write(
            f"bfimna: {len(table.errors)} of {combinations} combinations of widths could not be evaluated; the first, "
            f"{weight_bits} x {activation_bits} bits: {error}\n"
        )
    if arguments.output != STANDARD_OUTPUT:
        sys.stdout.write(f"{len(table.layers)} layers at {combinations} combinations of widths in {arguments.output}\n")
    return 0
