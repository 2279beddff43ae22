"""Derives the technology ``open-cells``: the tile in the public standard cells OSU 180 nm, synthesised and simulated.

    apt-get install -y qflow-tech-osu018        Debian's package of the library; or give a Liberty file by --library
    python scripts/open_cells.py                prints the constants, in about two minutes
    python scripts/open_cells.py --write        puts them into sim/data/technologies/open-cells.json

How each constant follows is in its note; what is left out is in docs/energy.md. Needs Yosys (the one of
``pip install 'bfimna[synthesis]'`` made the file) and Icarus.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sim.errors import UserError, one_line
from sim.evaluate.liberty import parse_liberty
from sim.evaluate.open_cells import derive, map_tiles, run_programs
from sim.evaluate.technology import CONSTANTS, FOLDER
from sim.files import write_output
from sim.tools import ToolError, find_simulator

LIBRARY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
FILE = FOLDER / "open-cells.json"

ASSUMED = {
    "minimum_supply": (1.2, "as far as OSU 180 nm cells are thought to work"),
    "maximum_supply": (1.98, "a tenth above nominal"),
    "threshold": (0.5, "typical of 180 nm logic"),
}
"""What the library does not say."""


def technology(found: dict[str, tuple[float, str]], library: str) -> dict[str, Any]:
    """The content of the file."""
    source = f"python scripts/open_cells.py, our Verilog in the library {library}"
    constants: dict[str, dict[str, Any]] = {}
    for name, role in CONSTANTS.items():
        if name in found:
            value, note = found[name]
            certainty = "published" if name == "supply" else "derived"
            constants[name] = {
                "value": float(f"{value:.4g}"), "unit": role.unit, "source": source, "certainty": certainty,
                "note": note,
            }  # fmt: skip
        elif name in ASSUMED:
            value, why = ASSUMED[name]
            constants[name] = {"value": value, "unit": role.unit, "source": why, "certainty": "assumption"}
    return {
        "name": "open-cells",
        "description": "the tile as it is, in public standard cells of 180 nm: flip-flops as cells; an upper bound",
        "base": "sram",
        "constants": constants,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--library", metavar="FILE", type=Path, default=LIBRARY, help=f"Liberty file (default: {LIBRARY})"
    )
    parser.add_argument("--write", action="store_true", help=f"update {FILE.name}")
    arguments = parser.parse_args()
    try:
        if not arguments.library.is_file():
            raise UserError(f"{arguments.library} does not exist: apt-get install -y qflow-tech-osu018 brings it")
        find_simulator("icarus")
        text = arguments.library.read_text(encoding="utf-8")
        library = parse_liberty(text, f"library {arguments.library}")
        print("mapping the tile to cells", file=sys.stderr)
        mapped = map_tiles(library, text)
        print(f"running programs on {len(mapped.gates.gates):,} gates", file=sys.stderr)
        content = technology(derive(mapped, run_programs(mapped)), library.name)
    except (UserError, ToolError) as error:
        print(f"open_cells: error: {one_line(error)}", file=sys.stderr)
        return 2
    for name, constant in content["constants"].items():
        unit = "" if constant["unit"] == "1" else constant["unit"]
        print(f"{name:18}{constant['value']:>12,g} {unit:4} {constant['certainty']:11} {constant.get('note', '')}")
    if arguments.write:
        write_output(str(FILE), json.dumps(content, indent=2) + "\n", FILE.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
