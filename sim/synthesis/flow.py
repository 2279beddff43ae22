"""Maps a tile or a macro to a target with its hierarchy kept, and looks for its speed."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from hw.config import TileConfig
from hw.flexspim.config import MacroConfig
from hw.flexspim.verilog import TOP as MACRO_TOP
from hw.flexspim.verilog import macro_verilog
from hw.verilog import TOP, tile_verilog
from sim.evaluate.liberty import Library, parse_liberty
from sim.files import read_input
from sim.progress import progress
from sim.synthesis.blocks import read_blocks
from sim.synthesis.counts import Counts
from sim.synthesis.packing import logic_cells
from sim.synthesis.place_and_route import (
    DEVICE,
    LOGIC_CELLS,
    NEXTPNR,
    NEXTPNR_REMEDY,
    PlaceAndRoute,
    place_and_route,
)
from sim.synthesis.reports import Report
from sim.synthesis.targets import Target, find_target
from sim.synthesis.timing import OPENSTA_REMEDY, Timing, longest_path
from sim.synthesis.yosys import find_program, find_yosys, run_yosys, version_of

__all__ = ["LIBERTY", "LIBERTY_REMEDY", "read_statistics", "report"]

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""The library that target ``gates`` takes where it is installed."""

LIBERTY_REMEDY = 'install the package "qflow-tech-osu018" (OSU standard cells, 180 nm) for areas and the critical path'

DELAY_PS = 5000
"""The delay that ABC is asked for."""

TRIED = 1.1
"""Up to so many times the logic cells of the device a tile is placed; the estimate may be too high."""

_MODULE = re.compile(r"^module \\?([^\s(]+)", re.MULTILINE)
_LIMITS = "set_driving_cell INVX4\nset_load 0.05 [all_outputs]\n"
_TO_LIBRARY = f"dfflibmap -liberty cells.lib\nabc -liberty cells.lib -constr limits -D {DELAY_PS}\n"
_TO_GENERIC = "abc -g AND,OR,XOR,MUX\n"
_MACRO = "memory_macro"
_NETLIST = f"""design -load mapped
setattr -set submod "{_MACRO}" t:$mem*
submod
blackbox *_{_MACRO}
write_verilog -noattr -noexpr netlist.v
"""


def report(
    config: TileConfig | MacroConfig,
    target: str,
    *,
    map_memories: bool = False,
    liberty: Path | None = None,
    seed: int = 1,
) -> Report:
    """Map a tile or a macro with its hierarchy kept, and count what each block takes.

    For ``ice40`` it is placed and routed as well if it may fit, and for ``gates`` its longest path is looked for.
    Where a tool for these two is missing, a note of the report says what to install.

    Parameters
    ----------
    config : of the tile or the macro.
    target : one of :data:`~sim.synthesis.targets.TARGETS`.
    map_memories : for ``gates``: memories become flip-flops and gates as well; otherwise their bits are counted.
    liberty : for ``gates``: a library other than :data:`LIBERTY`.
    seed : of the placer.

    Raises
    ------
    UserError
        If the target is unknown, or the library cannot be read.
    ToolError
        If Yosys is missing, or a tool fails.
    """
    chosen = find_target(target)
    top = MACRO_TOP if isinstance(config, MacroConfig) else TOP
    gates, ice40 = chosen.name == "gates", chosen.name == "ice40"
    library = _library(liberty) if gates else None
    tool = version_of(find_yosys())
    notes = list(chosen.notes)
    placed = timing = None
    with (
        tempfile.TemporaryDirectory(prefix="bfimna-") as folder,
        progress(f"{config.name} for {chosen.name}", 1 + (ice40 or library is not None)) as advance,
    ):
        place = Path(folder)
        advance("mapping")
        if library is not None:
            (place / "cells.lib").write_bytes(read_input(liberty or LIBERTY, "library"))
            (place / "limits").write_text(_LIMITS, encoding="utf-8")
        hierarchy, statistics = _map(place, config, top, chosen, library is not None, map_memories)
        tile = read_blocks(hierarchy, top, _modules(hierarchy, statistics, chosen, library))
        if ice40:
            advance("placing")
            placed, note = _place(place, hierarchy["modules"][top]["ports"], tile.counts.logic_cells, top, seed)
            notes.append(note)
        if gates:
            notes += _gate_notes(library, map_memories)
        if library is not None:
            advance("timing")
            timing, note = _time(place, top)
            notes.append(note)
    return Report(
        config=config,
        target=chosen,
        tool=tool,
        tile=tile,
        library=None if library is None else library.name,
        timing=timing,
        placed=placed,
        notes=tuple(notes),
    )


def _library(liberty: Path | None) -> Library | None:
    """The library for gates; None where the default one is not installed."""
    path = liberty or LIBERTY
    if liberty is None and not path.is_file():
        return None
    return parse_liberty(read_input(path, "library").decode("utf-8", errors="replace"), f"library {path}")


def _map(
    place: Path, config: TileConfig | MacroConfig, top: str, target: Target, to_library: bool, map_memories: bool
) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """Run Yosys in a folder; the hierarchy and the numbers of cells that it wrote."""
    verilog = macro_verilog(config) if isinstance(config, MacroConfig) else tile_verilog(config)
    (place / "tile.v").write_text(verilog, encoding="utf-8")
    script = target.script.format(
        top=top,
        memories="memory_map\n" if map_memories else "",
        map=_TO_LIBRARY if to_library else _TO_GENERIC,
    )
    # The cells of an iCE40 are looked at one by one; of others only the hierarchy, which is much smaller.
    instances = " ".join(f"t:{name} %d" for name in _MODULE.findall(verilog))
    reduced = "" if target.name == "ice40" else f"delete c:* {instances} t:$mem* %d\n"
    run_yosys(
        f"read_verilog tile.v\nhierarchy -check -top {top}\n{script}\ntee -q -o counts.json stat -json\n"
        f"design -save mapped\n{reduced}write_json hierarchy.json\n{_NETLIST if to_library else ''}",
        place,
        f"config {config.name}",
    )
    hierarchy = json.loads((place / "hierarchy.json").read_text(encoding="utf-8"))
    return hierarchy, read_statistics((place / "counts.json").read_text(encoding="utf-8"))


def read_statistics(text: str) -> dict[str, dict[str, int]]:
    """Numbers of cells by module and type, from what ``stat -json`` wrote.

    Only the part about modules is read: Yosys 0.23 writes lines into what follows that are no JSON.
    """
    modules, _ = json.JSONDecoder().raw_decode(text, text.index("{", text.index('"modules"')))
    return {name.removeprefix("\\"): module["num_cells_by_type"] for name, module in modules.items()}


def _modules(
    hierarchy: Mapping[str, Any], statistics: Mapping[str, Mapping[str, int]], target: Target, library: Library | None
) -> dict[str, Counts]:
    """What each module is made of, without the modules in it."""

    def one(kind: str) -> Counts:
        if library is not None and kind in library.cells:
            cell = library.cells[kind]
            return Counts(cells=1, flip_flops=int(bool(cell.state)), area_um2=cell.area_um2)
        return target.count(kind)

    found: dict[str, Counts] = {}
    for name, numbers in statistics.items():
        module = hierarchy["modules"][name]
        counts = reduce(
            add, (one(kind) * number for kind, number in numbers.items() if kind not in statistics), Counts()
        )
        counts += Counts(memory_bits=sum(map(_memory_bits, module["cells"].values())))
        if target.name == "ice40":
            counts += Counts(logic_cells=logic_cells(module))
        found[name] = counts
    return found


def _memory_bits(cell: Mapping[str, Any]) -> int:
    if not cell["type"].startswith("$mem"):
        return 0
    return int(cell["parameters"]["SIZE"], 2) * int(cell["parameters"]["WIDTH"], 2)


def _place(place: Path, ports: Mapping[str, Any], cells: int, top: str, seed: int) -> tuple[PlaceAndRoute | None, str]:
    """Place and route where that may succeed, and a note about it."""
    if cells > TRIED * LOGIC_CELLS:
        return None, f"not placed: the tile takes about {cells:,} logic cells, and the {DEVICE} has {LOGIC_CELLS:,}"
    if find_program(*NEXTPNR) is None:
        return None, f"not placed: nextpnr-ice40 was not found; {NEXTPNR_REMEDY}"
    placed = place_and_route(place, ports, top, seed)
    return placed, (
        "placed flat, between two shift registers in place of pins, whose flip-flops take logic cells as well; "
        "the clock period is the longest path between flip-flops"
    )


def _time(place: Path, top: str) -> tuple[Timing | None, str]:
    """The longest path where OpenSTA is there, and a note about it."""
    if find_program("sta") is None:
        return None, f"no critical path: OpenSTA (sta) was not found; {OPENSTA_REMEDY}"
    return longest_path(place, top), (
        "critical path with ideal wires: only pins load a net; inputs come at the clock edge; no path goes through a "
        "memory that is not mapped"
    )


def _gate_notes(library: Library | None, map_memories: bool) -> list[str]:
    """What gates are, and what became of memories."""
    cells = (
        f"generic gates (AND, OR, XOR, NOT, MUX) without areas; {LIBERTY_REMEDY}"
        if library is None
        else f"cells of {library.name} at {library.supply_v} V, mapped by ABC for {DELAY_PS / 1000:g} ns, "
        "without wires, clock tree and scan"
    )
    memories = (
        "memories are mapped to flip-flops and gates as well"
        if map_memories
        else "memories (program buffer, arrays 4r2w and 3r1w) are macros: their bits are counted, not their area"
    )
    return [cells, memories]
