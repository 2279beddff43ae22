"""Pages whose tables are measured: tables stand between a comment with their name and ``<!-- end -->``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["update_page", "with_tables"]

Tables = Mapping[str, Sequence[str]]
"""Lines of Markdown by the name of the table."""


def with_tables(text: str, tables: Tables, name: str) -> str:
    """Return a page with these tables.

    Parameters
    ----------
    text : of the page.
    tables : each of which must have its place in it.
    name : of the page, for the error.

    Raises
    ------
    SystemExit
        If a table has no place, or several.
    """
    for table, lines in tables.items():
        inside = "\n".join([f"<!-- {table} -->", *lines, "<!-- end -->"])
        text, count = re.subn(rf"<!-- {table} -->\n.*?<!-- end -->", lambda _, inside=inside: inside, text, flags=re.S)
        if count != 1:
            sys.exit(f"{name} must have one table {table!r}, it has {count}")
    return text


def update_page(page: Path, tables: Callable[[], Tables], description: str) -> int:
    """Write the tables of a page, or with ``--check`` say by the status whether they are fresh."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when a table is stale")
    arguments = parser.parse_args()
    old = page.read_text(encoding="utf-8")
    text = with_tables(old, tables(), page.name)
    if arguments.check:
        return int(text != old)
    page.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{page}\n")
    return 0
