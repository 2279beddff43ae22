"""The command line of studies: runs them, prints tables, writes JSON and a page, renews generated tables."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.errors import UserError, one_line
from sim.files import check_output, write_output
from sim.options import nearest
from sim.report import SCHEMA, json_text, version

from .comparison import relative
from .studies import README_TABLES, STUDIES, Study, list_markdown
from .table import Table

__all__ = ["generated", "main", "replaced", "study_json"]

ALL = "all"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def study_json(study: Study, table: Table) -> dict[str, Any]:
    """A study and what it has found, as JSON values."""
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "study": study.name,
        "title": study.title,
        "repeats": study.repeats,
        "config": study.config,
        "command": study.command,
        "citation": study.citation,
        "notes": list(table.notes),
        "rows": table.records(),
    }


def replaced(text: str, name: str, table: str) -> str:
    """A page with the table between ``<!-- name -->`` and ``<!-- end -->`` replaced.

    Raises
    ------
    UserError
        If the page has no such place.
    """
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(\n?<!-- end -->)", re.DOTALL)
    if not place.search(text):
        raise UserError(f"the page has no place for table {name!r}: <!-- {name} --> and <!-- end -->")
    return place.sub(lambda match: f"{match[1]}{table}\n<!-- end -->", text)


def main(given: Sequence[str] | None = None) -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Run studies of networks by the laws and print their tables as Markdown.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME|all", nargs="?", help=f"one of {', '.join(STUDIES)}, or {ALL}")
    parser.add_argument("--json", metavar="FILE", help="what was found as JSON, '-' for standard output alone")
    parser.add_argument("--page", metavar="FILE", help="with hawq-resnet18 or hawq-resnet50: an HTML page with plots")
    parser.add_argument(
        "--update", action="store_true", help="renew the generated tables of README.md, docs/comparison.md and here"
    )
    arguments = parser.parse_args(given)
    try:
        if arguments.update:
            _update()
            return 0
        _run(_chosen(arguments.name), arguments.json, arguments.page)
    except UserError as error:
        print(f"run.py: error: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


def _chosen(name: str | None) -> list[Study]:
    if name is None:
        print(list_markdown())
        return []
    if name == ALL:
        return list(STUDIES.values())
    if name not in STUDIES:
        raise UserError(f"study must be one of {', '.join(STUDIES)}, or {ALL}, not {name!r}{nearest(name, STUDIES)}")
    return [STUDIES[name]]


def _run(studies: Sequence[Study], json_file: str | None, page: str | None) -> None:
    for target, option in ((json_file, "--json file"), (page, "--page file")):
        if target is not None:
            check_output(target, option)
    networks = [study.name.removeprefix("hawq-") for study in studies if study.name.startswith("hawq-")]
    if page is not None and len(networks) != 1:
        raise UserError("--page is for one of the studies hawq-resnet18 and hawq-resnet50")
    found: list[dict[str, Any]] = []
    for study in studies:
        started = time.perf_counter()
        table = study.run()
        found.append(study_json(study, table))
        if json_file != "-":
            print(f"## {study.name}: {study.title}\n\n{table.markdown()}\n")
            print("\n".join(f"- {note}" for note in (f"Cite {study.citation}", *table.notes)) + "\n", flush=True)
        print(f"{study.name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    if json_file is not None:
        write_output(json_file, json_text(found[0] if len(found) == 1 else found), "--json file")
    if page is not None:
        write_output(page, _page(networks[0]), "--page file")


def _page(network: str) -> str:
    from sim.evaluate.page import html_page
    from sim.evaluate.technology import load_technology
    from sim.networks.load import load_network

    from .evaluations import cost_of
    from .hawq_v3 import CONFIGURATIONS, accuracies

    runs = [cost_of(network, name, "lr") for name in CONFIGURATIONS]
    top1 = {(network, name): value for name, value in accuracies(load_network(network)).items()}
    return html_page(runs, load_technology("sram"), accuracy=top1, accuracy_source="HAWQ-V3, arXiv:2011.10680")


def generated() -> dict[Path, str]:
    """The pages with tables of studies, as they should be; a page has a table where it has a place for it."""
    tables = {
        "list": list_markdown,
        "comparison": lambda: STUDIES["comparison"].run().markdown(),
        "relative": lambda: relative().markdown(),
        **README_TABLES,
    }
    pages: dict[Path, str] = {}
    for page in (HERE / "README.md", ROOT / "README.md", ROOT / "docs" / "comparison.md"):
        text = page.read_text(encoding="utf-8")
        for name, table in tables.items():
            if f"<!-- {name} -->" in text:
                text = replaced(text, name, table())
        pages[page] = text
    return pages


def _update() -> None:
    """Write the pages that are not as they should be."""
    for page, text in generated().items():
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(page.relative_to(ROOT))
