"""``bfimna verilog``: a tile, a macro or an accelerator as Verilog, with what flows and readers need; its size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import add_common, nearest, whole_number

if TYPE_CHECKING:
    from sim.verilog.parts import PartConfig

__all__ = ["add_parser", "main"]

PERIOD_NS = 10.0
MAXIMUM_BANKS = 4096
SUFFIX = ".v"
REPORTS = ("ice40", "ecp5", "xilinx", "gates")
"""Targets of ``--report``."""

FILES = """\
With -o x.v these are written beside x.v:
  x.json                 ports with their meaning, config, counters, codes, modules, versions of tools
  x.sdc                  timing constraints; the clock's period is that of --period
  x.pcf, x.lpf, x.xdc    the same clock, and pins to fill in, for iCE40, ECP5 and Xilinx
  x.core                 a FuseSoC core: lint, simulation, synthesis
  x_tb.v, x_tb_*.hex     a test bench that checks itself, and its vectors (for whole tiles and accelerators)
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verilog",
        help="write a tile, a macro or an accelerator as Verilog, or report its size",
        description="Write a tile, a macro or an accelerator as Verilog-2005, with what simulators and synthesis need "
        "beside it; or report what it takes on a target. The same config always gives the same text.",
        epilog=FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output", "-o", metavar="FILE", default=STANDARD_OUTPUT, help="Verilog file, x.v (default: standard output)"
    )
    add_common(parser, "config", config="small")
    parser.add_argument(
        "--part",
        metavar="PART",
        help="accelerator, cluster, cap or map of an accelerator's config; tile of a tile's, macro of a macro's "
        "(default: all of it)",
    )
    parser.add_argument(
        "--banks",
        metavar="N",
        type=whole_number(1, MAXIMUM_BANKS),
        help="banks of rows, each an instance of one module, that a tile's array is made of (default: 1; of array "
        "cells as few as have at most 512 rows each)",
    )
    parser.add_argument(
        "--period",
        metavar="NS",
        type=_period,
        default=PERIOD_NS,
        help=f"period of the clock in constraints, in ns (default: {PERIOD_NS:g})",
    )
    parser.add_argument(
        "--report", metavar="TARGET", help=f"instead of Verilog, what a tile or a macro takes on {', '.join(REPORTS)}"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="description or report, '-' for standard output (default: beside the Verilog file)",
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Write the Verilog and what belongs to it, or report."""
    from sim.verilog.parts import load_part_config

    if arguments.report is not None:
        return _report(arguments)
    if arguments.output == STANDARD_OUTPUT:
        return _to_standard_output(arguments)
    check_output(arguments.output, "--output file")
    target = Path(arguments.output)
    if target.suffix != SUFFIX or not _is_plain(target.stem):
        raise UserError(
            f"--output file must end in {SUFFIX} and be named by letters, digits, '-', '_' and '.', "
            f"not {arguments.output!r}"
        )
    description = str(target.with_suffix(".json")) if arguments.json is None else arguments.json
    _check_description(arguments.output, description)
    part = _part(load_part_config(arguments.config), arguments)

    from sim.report import json_text
    from sim.verilog.package import make_package, write_files

    package = make_package(part, target.stem, arguments.period)
    files = [(target, package.verilog), *((target.with_name(name), text) for name, text in package.files.items())]
    if description != STANDARD_OUTPUT:
        files.append((Path(description), json_text(package.description)))
    write_files(files, "--output file")
    if description == STANDARD_OUTPUT:
        write_output(description, json_text(package.description), "--json file")
        return 0
    config = part.config
    sys.stdout.write(
        f"{target}: {package.verilog.count(chr(10)):,} lines of Verilog, {part.top} of config {config.name} "
        f"{config.hash_text}\n{description}: its description\n"
        f"beside it: {', '.join(name for name in package.files if not name.endswith('.hex'))}\n"
    )
    bench = f"{target.stem}_tb"
    if f"{bench}.v" in package.files:
        compiled = f"iverilog -g2005 -o {bench}.vvp {target.name} {bench}.v"
        sys.stdout.write(f"to check it, in its folder: {compiled} && vvp -n {bench}.vvp\n")
    else:
        sys.stdout.write(f"no test bench is written for part {part.name} alone\n")
    return 0


def _to_standard_output(arguments: argparse.Namespace) -> int:
    """The Verilog alone, and the description where it is asked for."""
    from sim.verilog.parts import load_part_config

    if arguments.json is not None:
        _check_description(arguments.output, arguments.json)
    part = _part(load_part_config(arguments.config), arguments)
    text = part.verilog()
    write_output(STANDARD_OUTPUT, text, "--output file")
    if arguments.json is not None:
        from sim.report import json_text
        from sim.verilog.description import describe

        write_output(arguments.json, json_text(describe(part, text)), "--json file")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    """What a tile takes on a target, as a table, as JSON, or both."""
    from hw.accelerator.config import AcceleratorConfig
    from sim.verilog.parts import load_part_config

    if arguments.report not in REPORTS:
        hint = nearest(arguments.report, REPORTS)
        raise UserError(f"--report must be one of {', '.join(REPORTS)}, not {arguments.report!r}{hint}")
    if arguments.output != STANDARD_OUTPUT:
        raise UserError(f"--report writes no Verilog: leave out --output {arguments.output}, or give --json FILE")
    if arguments.json is not None:
        check_output(arguments.json, "--json file")
    config = load_part_config(arguments.config)
    _part(config, arguments)
    if isinstance(config, AcceleratorConfig):
        raise UserError(
            f"--report is for tiles and macros, not for accelerator config {config.name}; give the config of a tile"
        )

    from sim.report import json_text
    from sim.synthesis import print_report, report

    found = report(config, arguments.report)
    if arguments.json != STANDARD_OUTPUT:
        print_report(found, sys.stdout)
    if arguments.json is not None:
        write_output(arguments.json, json_text(found.as_dict()), "--json file")
    return 0


def _part(config: PartConfig, arguments: argparse.Namespace) -> Any:
    from sim.verilog.parts import find_part

    return find_part(config, arguments.part, arguments.banks)


def _check_description(output: str, description: str) -> None:
    """Refuse what cannot be written beside the Verilog."""
    if output == STANDARD_OUTPUT == description:
        raise UserError("--json and --output must not both be standard output")
    if output == description:
        raise UserError(f"--json and --output must be two files, not both {output}")
    check_output(description, "--json file")


def _period(text: str) -> float:
    try:
        period = float(text)
    except ValueError:
        period = 0.0
    if not 0.001 <= period <= 1e6:
        raise argparse.ArgumentTypeError(f"must be a number of ns from 0.001 to 1000000, not {text!r}")
    return period


def _is_plain(name: str) -> bool:
    return bool(name) and all(letter.isalnum() or letter in "-_." for letter in name) and name.isascii()
