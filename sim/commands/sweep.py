"""``bfimna sweep``: many networks, machines, widths and technologies by the cycle laws."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.evaluate import lists
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import MAXIMUM_BATCH, MODE_HELP, MODES, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.evaluate.sweep import Row, Source, Sweep
    from sim.evaluate.technology import Technology
    from sim.evaluate.widths import Widths

__all__ = ["add_parser", "add_workers", "available_jobs", "check_table_output", "journal_of", "main"]

DESCRIPTION = """\
Evaluate every combination of networks, configs, widths, modes, batches and technologies by the
cycle laws, and write a row of figures for each. Lists are parted by commas: --bits 1-8,16.
Finished points are kept in FILE.journal, so that the same command goes on where it was interrupted.
A point that does not fit a config is a row that says why; status 2 means that all are such.
"""

FORMATS = (".csv", ".json")


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "sweep",
        help="evaluate many combinations by the laws",
        description=DESCRIPTION,
        epilog=MODE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("networks", metavar="NETWORK", nargs="+", help="names, or .tflite and .onnx files")
    parser.add_argument(
        "--config",
        metavar="LIST",
        type=lists.names,
        default=("lr",),
        help="hardware: names that `bfimna info` lists, or JSON files (default: lr)",
    )
    parser.add_argument(
        "--bits",
        metavar="LIST",
        type=lists.widths,
        default=("",),
        help="widths: numbers and ranges from 1 to 16, hawq-v3/NAME, or files (default: 8, or those of a file)",
    )
    parser.add_argument(
        "--mode",
        metavar="LIST",
        type=lists.choices(*MODES),
        default=MODES[:1],
        help=f"how dot products are formed: {', '.join(MODES)} (default: {MODES[0]})",
    )
    parser.add_argument(
        "--batch",
        metavar="LIST",
        type=lists.whole_numbers(1, MAXIMUM_BATCH),
        default=(1,),
        help="inputs that go through each layer before the next one: numbers and ranges (default: 1)",
    )
    parser.add_argument(
        "--technology",
        metavar="LIST",
        type=lists.names,
        default=("sram",),
        help="kinds of memory cells: names that `bfimna info` lists, or JSON files (default: sram)",
    )
    parser.add_argument(
        "--supply",
        metavar="LIST",
        type=lists.positive_numbers,
        help="supply voltages in volts (default: that of each technology)",
    )
    parser.add_argument(
        "--constant",
        metavar="NAME=V,V",
        action="append",
        default=[],
        type=lists.setting,
        help="values for a constant of every technology; may be given again for another one",
    )
    parser.add_argument(
        "--output", metavar="FILE", required=True, help="a .csv or .json file, '-' for CSV on standard output"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with plots that needs no other file")
    parser.add_argument("--fresh", action="store_true", help="ignore what an earlier run left in FILE.journal")
    add_workers(parser, "points")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Evaluate all points and write them; 0 when at least one could be."""
    from sim.evaluate.journal import Journal
    from sim.evaluate.sweep import csv_rows, json_rows, run_sweep
    from sim.progress import progress

    target: str = arguments.output
    check_table_output(target, *FORMATS)
    if arguments.html is not None:
        check_output(arguments.html, "--html file")
        if arguments.html == target == STANDARD_OUTPUT:
            raise UserError("only one of --output, --html can be '-'")
    sweep = _prepare(arguments)
    with (
        Journal(journal_of(target), fresh=arguments.fresh) as journal,
        progress("sweep", len(sweep.cases())) as advance,
    ):
        rows, known = run_sweep(
            sweep,
            journal=journal,
            jobs=arguments.jobs or available_jobs(),
            cluster=arguments.cluster,
            advance=advance,
        )
    refused = _refused(rows)
    text = json_rows(rows, sweep.assumptions) if target.lower().endswith(".json") else csv_rows(rows)
    write_output(target, text, "--output file")
    if arguments.html is not None:
        from sim.evaluate.sweep_page import sweep_page

        write_output(arguments.html, sweep_page(rows, sweep.assumptions), "--html file")
    if refused:
        sys.stderr.write(
            f"bfimna: {len(refused)} of {len(rows)} points could not be evaluated, column error says why; the first: "
            f"{_of(refused[0])}\n"
        )
    if STANDARD_OUTPUT not in (target, arguments.html):
        kept = f", {known} of them from {journal_of(target)}" if known else ""
        sys.stdout.write(f"{len(rows)} points in {target}{kept}\n")
    return 0


def add_workers(parser: argparse.ArgumentParser, items: str) -> None:
    """Add the options that say who evaluates *items*."""
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=whole_number(1, 1024),
        help=f"{items} that are evaluated at once, where that is quicker (default: as many as this machine has cores)",
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="let the workers of a Dask scheduler do it, such as tcp://host:8786"
    )


def check_table_output(target: str, *formats: str) -> None:
    """Raise when a table cannot be written to *target*, or has none of the *formats* by its suffix.

    Raises
    ------
    UserError
        As said.
    """
    if target != STANDARD_OUTPUT and Path(target).suffix.lower() not in formats:
        raise UserError(f"--output must end in {' or '.join(formats)}, or be '-' for CSV, not {target!r}")
    check_output(target, "--output file")


def journal_of(target: str) -> Path | None:
    """Return the journal's file beside the output; none for standard output and for devices."""
    path = Path(target)
    if target == STANDARD_OUTPUT or (path.exists() and not path.is_file()):
        return None
    return path.with_name(f"{path.name}.journal")


def available_jobs() -> int:
    """Return how many processes this machine has cores for."""
    import joblib

    return joblib.cpu_count()


def _prepare(arguments: argparse.Namespace) -> Sweep:
    """Read all that the command line names, quickest first."""
    from sim.evaluate.evaluate import load_machine
    from sim.evaluate.sweep import Sweep, source_of
    from sim.evaluate.technology import load_technology

    configs = [load_machine(name) for name in arguments.config]
    technologies = [load_technology(name) for name in arguments.technology]
    sources = [source_of(name) for name in dict.fromkeys(arguments.networks)]
    return Sweep(
        sources=sources,
        configs=configs,
        bits=[(text, _widths(text, sources)) for text in arguments.bits],
        modes=arguments.mode,
        batches=arguments.batch,
        technologies=technologies,
        supplies=arguments.supply or (None,),
        constants=_constants(arguments.constant, technologies),
    )


def _constants(
    settings: Sequence[tuple[str, Sequence[float]]], technologies: Sequence[Technology]
) -> list[dict[str, float]]:
    """All combinations of values of constants; raises when a technology cannot have them."""
    values = dict(settings)
    found = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    for technology, chosen in itertools.product(technologies, found):
        technology.with_constants(**chosen)
    return found


def _widths(text: str, sources: Sequence[Source]) -> list[Widths | str]:
    """The widths for each network, or why they are not for it; raises when they are for none. No text: the default."""
    from sim.evaluate.widths import default_widths, parse_widths

    found: list[Widths | str] = []
    refusals: list[UserError] = []
    for source in sources:
        try:
            found.append(parse_widths(text, source.network) if text else default_widths(source.network))
        except UserError as error:
            refusals.append(error)
            found.append(str(error))
    if len(refusals) == len(sources):
        raise refusals[0]
    return found


def _refused(rows: Sequence[Row]) -> list[Row]:
    """The rows without figures; raises when there are no others."""
    refused = [row for row in rows if row["error"] is not None]
    if len(refused) == len(rows):
        raise UserError(f"none of the {len(rows)} points can be evaluated; the first: {_of(refused[0])}")
    return refused


def _of(row: Row) -> str:
    return f"{row['network']}, {row['config']}, bits {row['bits']}: {row['error']}"
