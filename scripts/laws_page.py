"""Writes docs/laws.md from the cycle laws and from the Verilog; with --check says whether it is fresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.laws_page import TILES, laws_page, measure
from sim.rtl_engine import RtlEngine

PAGE = Path(__file__).resolve().parent.parent / "docs" / "laws.md"


def page() -> str:
    measured = {}
    for name, config in TILES.items():
        with RtlEngine(config) as engine:
            measured[name] = measure(engine)
    return laws_page(measured)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when the page is stale")
    arguments = parser.parse_args()
    text = page()
    if arguments.check:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
