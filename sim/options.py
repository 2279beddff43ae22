"""Options that several commands share, with texts for the ways to get them wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from sim.tools import SIMULATORS

__all__ = ["ENGINES", "MAXIMUM_BITS", "MODES", "add_common", "one_of", "parse_bits", "whole_number"]

ENGINES = ("rtl", "golden", "model", "integer")
"""What can run a network: simulated Verilog, the bit-level tile, the cycle laws, the integer operators."""

MODES = ("auto", "count")
"""How dot products are formed; ``auto`` chooses for each layer."""

MAXIMUM_BITS = 16
"""The widest operand that ``--bits`` takes."""


def one_of(*names: str) -> Callable[[str], str]:
    """Return a type for argparse that takes one of *names*."""

    def take(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, not {text!r}")
        return text

    return take


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a type for argparse that takes an integer in a range."""

    def take(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"must be an integer from {minimum} to {maximum}, not {text!r}")
        return value

    return take


def parse_bits(text: str) -> int | Path:
    """Take the widths of ``--bits``: a number for all layers, or a file with a table of them."""
    if Path(text).is_file():
        return Path(text)
    try:
        bits = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a number from 1 to {MAXIMUM_BITS} or a file with widths, not {text!r}"
        ) from None
    if not 1 <= bits <= MAXIMUM_BITS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAXIMUM_BITS}, not {bits}")
    return bits


def add_common(parser: argparse.ArgumentParser, *names: str, config: str = "cap", engine: str = "rtl") -> None:
    """Add the named options to *parser*; *config* and *engine* are the defaults of those two."""
    for name in names:
        if name == "config":
            parser.add_argument(
                "--config",
                metavar="NAME|FILE",
                default=config,
                help="tile: a name that `bfimna info` lists, or a JSON file",
            )
        elif name == "mode":
            parser.add_argument(
                "--mode", metavar="MODE", type=one_of(*MODES), default="auto", help=f"dot products: {', '.join(MODES)}"
            )
        elif name == "bits":
            parser.add_argument(
                "--bits",
                metavar="N|FILE",
                type=parse_bits,
                help="operand widths: 1 to 16, or a file (default: the model's own)",
            )
        elif name == "engine":
            parser.add_argument(
                "--engine",
                metavar="ENGINE",
                type=one_of(*ENGINES),
                default=engine,
                help=f"what runs: {', '.join(ENGINES)}",
            )
        elif name == "sim":
            parser.add_argument(
                "--sim",
                metavar="SIM",
                type=one_of(*SIMULATORS),
                default=SIMULATORS[0],
                help=f"{' or '.join(SIMULATORS)}",
            )
        elif name == "seed":
            parser.add_argument(
                "--seed", metavar="N", type=whole_number(0, 2**31 - 1), default=1, help="of all random numbers"
            )
        elif name == "json":
            parser.add_argument("--json", metavar="FILE", help="write the result as JSON, '-' for standard output")
        elif name == "jobs":
            parser.add_argument(
                "--jobs", metavar="N", type=whole_number(1, 1024), default=1, help="simulations that run at once"
            )
        else:
            raise ValueError(f"no common option is called {name!r}")
