"""Writes the tables of docs/spiking.md; with --check says whether they are fresh."""

from __future__ import annotations

import sys
from pathlib import Path

from sim.pages import update_page
from sim.spiking.tables import tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "spiking.md"

if __name__ == "__main__":
    sys.exit(update_page(PAGE, tables, __doc__ or ""))
