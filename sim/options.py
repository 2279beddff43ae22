"""Options that several commands share, with texts for the ways to get them wrong."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

from sim.tools import SIMULATORS

__all__ = [
    "ENGINES",
    "MAXIMUM_BATCH",
    "MAXIMUM_BITS",
    "MODES",
    "add_common",
    "nearest",
    "one_of",
    "parse_bits",
    "whole_number",
]

ENGINES = ("rtl", "turbo", "golden", "model", "integer")
"""What can run a network: the Verilog in a simulator or compiled, the bit-level tile, the cycle laws, the integer
operators."""

MODES = ("count", "lut", "constant", "auto")
"""How dot products are formed, the default first; ``auto`` chooses for each layer."""

MAXIMUM_BITS = 16
"""The widest operand that ``--bits`` takes."""


MAXIMUM_BATCH = 4096
"""The most inputs that ``--batch`` takes."""

ENGINE_HELP = """\
engines:
  rtl      the tile's Verilog in a simulator: what the hardware does, cycle by cycle (the default)
  turbo    the same Verilog compiled into a library: the same results and cycles, many times faster
  golden   the tile as a bit-level model: the same cells and cycles, faster
  model    the cycle laws alone: cycles of every layer from shapes and config, no data
  integer  the integer operators that all others are compared with: classes, no cycles
"""
"""What the engines are, for the help of commands."""

MODE_HELP = """\
modes, ways to form the dot products of convolutions and fully connected layers:
  count     compares AND bit planes, and the matching rows of each output are counted (the default)
  lut       a product in every row by passes of a look-up table, then a REDUCE over rows, as in the BF-IMNA paper
  constant  weights are the constants of instructions; zero bits of weights take no time
  auto      for each layer the mode that takes the fewest cycles by the laws
"""
"""What the modes are, for the help of commands."""


def nearest(given: str, names: Iterable[str]) -> str:
    """Return a hint at the name that *given* may have meant, ``"; the nearest is 'rtl'"``, or nothing."""
    found = difflib.get_close_matches(given, list(names), n=1)
    return f"; the nearest is {found[0]!r}" if found else ""


def one_of(*names: str) -> Callable[[str], str]:
    """Return a type for argparse that takes one of *names*."""

    def take(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, not {text!r}{nearest(text, names)}")
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


def add_common(
    parser: argparse.ArgumentParser,
    *names: str,
    config: str = "cap",
    engine: str = "rtl",
    simulator: str = SIMULATORS[0],
) -> None:
    """Add the named options to *parser*; *config*, *engine* and *simulator* are the defaults of those three."""
    for name in names:
        if name == "config":
            parser.add_argument(
                "--config",
                metavar="NAME|FILE",
                default=config,
                help=f"hardware: a name that `bfimna info` lists, or a JSON file (default: {config})",
            )
        elif name == "mode":
            parser.add_argument(
                "--mode",
                metavar="MODE",
                type=one_of(*MODES),
                default=MODES[0],
                help=f"how dot products are formed: {', '.join(MODES)} (default: {MODES[0]})",
            )
        elif name == "engine":
            parser.add_argument(
                "--engine",
                metavar="ENGINE",
                type=one_of(*ENGINES),
                default=engine,
                help=f"what runs: {', '.join(ENGINES)} (default: {engine})",
            )
        elif name == "sim":
            parser.add_argument(
                "--sim",
                metavar="SIM",
                type=one_of(*SIMULATORS),
                default=simulator,
                help=f"{' or '.join(SIMULATORS)}, for engine rtl (default: {simulator})",
            )
        elif name == "seed":
            parser.add_argument(
                "--seed",
                metavar="N",
                type=whole_number(0, 2**31 - 1),
                default=1,
                help="of all random numbers (default: 1)",
            )
        elif name == "json":
            parser.add_argument("--json", metavar="FILE", help="write the result as JSON, '-' for standard output")
        elif name == "batch":
            parser.add_argument(
                "--batch",
                metavar="N",
                type=whole_number(1, MAXIMUM_BATCH),
                default=1,
                help="inputs that go through each layer before the next one (default: 1)",
            )
        elif name == "technology":
            parser.add_argument(
                "--technology",
                metavar="NAME|FILE",
                default="sram",
                help="energies and areas: a name that `bfimna info` lists, or a JSON file (default: sram)",
            )
        elif name == "jobs":
            parser.add_argument(
                "--jobs",
                metavar="N",
                type=whole_number(1, 1024),
                default=1,
                help="what runs at once, each in a process of its own (default: 1)",
            )
        else:
            raise ValueError(f"no common option is called {name!r}")
