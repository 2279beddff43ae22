"""Writes docs/energy.md from the energy model and the technology files; with --check says whether it is fresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.evaluate.energy_page import energy_page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "energy.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when the page is stale")
    arguments = parser.parse_args()
    text = energy_page()
    if arguments.check:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
