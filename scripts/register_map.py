"""Writes docs/registers.md and docs/bfimna_registers.h from the table of registers; --check says if they are fresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.accelerator.register_documents import c_header, register_page

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when a file is stale")
    arguments = parser.parse_args()
    stale = False
    for name, text in (("registers.md", register_page()), ("bfimna_registers.h", c_header())):
        file = DOCS / name
        if arguments.check:
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                print(f"{file.name} is stale; run python scripts/register_map.py", file=sys.stderr)
                stale = True
        else:
            file.write_text(text, encoding="utf-8")
            print(file)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
