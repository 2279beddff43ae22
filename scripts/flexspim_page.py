"""Writes the tables of docs/flexspim.md; with --check says whether they are fresh."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from sim.flexspim.tables import tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "flexspim.md"


def with_tables(text: str, found: dict[str, list[str]]) -> str:
    """Return the page with these tables after the comments of their names; every name must be there once."""
    for name, lines in found.items():
        inside = f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        text, count = re.subn(rf"<!-- {name} -->\n.*?<!-- end -->", inside, text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"{PAGE.name} must have one table {name!r}, it has {count}")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when a table is stale")
    arguments = parser.parse_args()
    old = PAGE.read_text(encoding="utf-8")
    text = with_tables(old, tables())
    if arguments.check:
        return int(text != old)
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
