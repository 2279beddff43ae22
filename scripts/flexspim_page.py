"""Writes the tables of docs/flexspim.md; with --check says whether they are fresh."""

from __future__ import annotations

import sys
from pathlib import Path

from sim.flexspim.tables import tables
from sim.pages import update_page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "flexspim.md"

if __name__ == "__main__":
    sys.exit(update_page(PAGE, tables, __doc__ or ""))
