"""Writes docs/area.md: what tiles take on FPGAs and in standard cells, by Yosys, nextpnr and OpenSTA.

python scripts/area.py                     everything; about an hour
python scripts/area.py arrays              one study
python scripts/area.py arrays xilinx       one study on one target
python scripts/area.py --check [...]       writes nothing; status 1 when what would be written is not there
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.errors import UserError, one_line
from sim.files import write_output
from sim.synthesis.study import STUDIES, area_page, find_study, read_tables, run_study
from sim.synthesis.targets import TARGETS, find_target

PAGE = Path(__file__).resolve().parent.parent / "docs" / "area.md"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("study", nargs="?", help=f"one of {', '.join(STUDIES)} (default: all)")
    parser.add_argument(
        "target", nargs="?", help=f"one of {', '.join(TARGETS)} (default: all of the page); others are printed only"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when the page is stale")
    arguments = parser.parse_args()
    try:
        return _run(arguments.study, arguments.target, arguments.check)
    except UserError as error:
        print(f"area.py: error: {one_line(error)}", file=sys.stderr)
        return 2


def _run(name: str | None, target: str | None, check: bool) -> int:
    studies = [find_study(name)] if name else list(STUDIES.values())
    if target is not None and find_target(target).name not in studies[0].targets:
        print(run_study(studies[0], target))
        return 0
    stale = False
    for study in studies:
        for chosen in [target] if target else study.targets:
            table = run_study(study, chosen)
            print(f"{table}\n", flush=True)
            # Read anew, as another run may have written a table meanwhile.
            page = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
            text = area_page(read_tables(page) | {(study.name, chosen): table})
            stale |= text != page
            if not check:
                write_output(str(PAGE), text)
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main())
