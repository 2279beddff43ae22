"""Constants of a technology from the tile itself, synthesised to a public library of standard cells.

The tile's Verilog is mapped by Yosys. Areas come from differences between sizes. Energies come from programs that run
on the netlist in Icarus: their changes of nets, block by block, are fitted to the events of the programs. What a
flip-flop takes for its clock is added where its register would be clocked behind a clock gate.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.engine import Job
from golden.tile import GoldenTile
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.router import Router
from hw.config import TileConfig
from hw.hierarchy import design_text
from hw.isa import INSTRUCTION_BITS, Opcode, Program
from hw.verilog import TOP, tile_verilog
from sim.assembler import assemble
from sim.evaluate.gates import Gates, changes, read_netlist
from sim.evaluate.liberty import Library, verilog_models
from sim.rtl_engine import RtlEngine
from sim.synthesis import find_yosys
from sim.tools import ToolError

__all__ = [
    "BLOCKS", "FITS", "GATES", "MESH", "PREPARE", "PROGRAMS", "SHOW", "SIZES", "Fit", "Mapped", "Run", "derive",
    "energies", "events_of", "map_tiles", "random_job", "run_programs",
]  # fmt: skip

GATES = TileConfig(
    name="gates", taps=16, outputs=4, columns=16, plane_bits=64, array="cells", fill_bits=12, total_bits=16,
    program_depth=8, port_queue=2, loop_depth=1, activity=False,
)  # fmt: skip
"""The tile whose netlist is simulated."""

_SMALL = TileConfig(
    name="small-gates", taps=4, outputs=4, columns=8, plane_bits=16, array="cells", program_depth=2, port_queue=2,
    loop_depth=1, activity=False,
)  # fmt: skip

SIZES = {
    "small": _SMALL,
    "columns": _SMALL.replace(columns=16),
    "taps": _SMALL.replace(taps=8, plane_bits=32),
    "both": _SMALL.replace(taps=8, plane_bits=32, columns=16),
    "tall": _SMALL.replace(taps=32, plane_bits=128),
    "outputs": _SMALL.replace(outputs=8, plane_bits=32),
}
"""Tiles whose areas are compared, by what is larger than in the first."""

BLOCKS = {
    "small": ("array", "tags", "responders", "plane_port"),
    "taps": ("array",),
    "columns": ("array",),
    "both": ("array",),
    "tall": ("tags", "responders", "plane_port"),
    "outputs": ("responders",),
}
"""Blocks of the tile that grow with rows and columns, as far as their sizes are needed."""

MESH = ACCELERATORS["mesh2x2"]
"""The accelerator whose router is mapped."""

TAPS = 75
"""Rows that share the accumulators of an output, in the row area: those of config ``cap``."""

DENSITIES = (0.25, 0.75)
"""Shares of ones in the cells that programs start from."""

PREPARE = "LOAD planes d=0:16\nSYNC 0\n"
SHOW = "STORE planes a=0:16\nHALT"
"""What runs before and after each of :data:`PROGRAMS`: all columns are loaded, and stored."""

PROGRAMS: dict[str, str] = {
    "prepare": "",
    "dots": "DOT a=0:3 b=4:3\n" * 20,
    "narrow dots": "DOT a=0:1 b=4:1\n" * 40,
    "sums": "ADD a=0:4 b=4:4 d=14\n" * 8,
    "products": "CLEAR d=8:6\nMUL a=0:3 b=4:3 d=8\n" * 4,
    "copies": "COPY a=0:6 d=8\nAND a=0:4 b=4 d=4\nNOT a=8:6 d=8\n" * 4,
    "fills": "SET d=8:6\nCLEAR d=8:6\n" * 12,
    "loads": "LOAD planes d=0:12\nSYNC 0\n" * 6,
    "stores": "STORE planes a=0:12\nSYNC 0\n" * 6,
}
"""What runs on the netlist, each after all columns were loaded and before all are stored."""


@dataclass(frozen=True)
class Mapped:
    """The mapped tiles.

    Parameters
    ----------
    gates : the netlist of :data:`GATES`.
    verilog : the same as Verilog, with models of its cells.
    areas : um2 of :data:`BLOCKS`, by size and block.
    blocks : um2 of each block of :data:`GATES`, and of the router of :data:`MESH`.
    """

    gates: Gates
    verilog: str
    areas: Mapping[str, Mapping[str, float]]
    blocks: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One program on the netlist.

    Parameters
    ----------
    name : of the program, with the share of ones.
    events : what happened, by name.
    energy_pj : of each block, without clocks.
    """

    name: str
    events: Mapping[str, float]
    energy_pj: Mapping[str, float]


def map_tiles(library: Library, liberty: str) -> Mapped:
    """Map :data:`GATES` and :data:`SIZES` to the cells of a library, whose text is ``liberty``.

    Raises
    ------
    ToolError
        If Yosys is missing or fails.
    """
    yosys = find_yosys()
    # Names without a folder: the wheel sees only the one that it is started in.
    with tempfile.TemporaryDirectory(prefix="bfimna-") as folder:
        place = Path(folder)
        (place / "cells.lib").write_text(liberty, encoding="utf-8")
        (place / "limits").write_text(_LIMITS, encoding="utf-8")
        (place / "gates.v").write_text(tile_verilog(GATES), encoding="utf-8")
        script: list[str] = []
        for name, config in SIZES.items():
            (place / f"{name}.v").write_text(tile_verilog(config), encoding="utf-8")
            script += [_alone(f"{name}.v", f"{TOP}_{block}", f"{name}.{block}.json") for block in BLOCKS[name]]
        (place / "router.v").write_text(design_text(Router(MESH), "router"), encoding="utf-8")
        script.append(_alone("router.v", "router", "router.json"))
        script.append(_alone("gates.v", TOP, "gates.json") + _FLAT)
        (place / "map.ys").write_text("".join(script), encoding="utf-8")
        done = subprocess.run(
            [yosys, "-q", "-s", "map.ys"],
            check=False, cwd=place, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise ToolError(f"Yosys failed on the tile: {' '.join(done.stderr.split())}")
        gates = read_netlist(json.loads((place / "flat.json").read_text(encoding="utf-8")), TOP, library)
        used = sorted({gate.cell.name for gate in gates.gates})
        verilog = verilog_models(library, used) + (place / "netlist.v").read_text(encoding="utf-8")
        areas = {
            name: {block: _areas(place / f"{name}.{block}.json", library)[f"{TOP}_{block}"] for block in blocks}
            for name, blocks in BLOCKS.items()
        }
        blocks = _areas(place / "gates.json", library) | _areas(place / "router.json", library)
    return Mapped(gates, verilog, areas, {name.removeprefix(f"{TOP}_"): area for name, area in blocks.items()})


def _alone(file: str, top: str, report: str) -> str:
    """Commands that map one module of a file."""
    return f"design -reset\nread_verilog {file}\nsynth -top {top}\n{_MAP}write_json {report}\n"


_LIMITS = "set_driving_cell INVX4\nset_load 0.05 [all_outputs]\n"
_MAP = "dfflibmap -liberty cells.lib\nabc -liberty cells.lib -constr limits -D 5000\nopt_clean -purge\n"
_FLAT = (
    "rename -enumerate -pattern g%\nflatten\nopt_clean -purge\nwrite_json flat.json\n"
    "write_verilog -noattr -noexpr netlist.v\n"
)


def _areas(file: Path, library: Library) -> dict[str, float]:
    """Area by module, that of the modules in it included, from a netlist."""
    modules: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["modules"]
    kinds = {name: Counter(cell["type"] for cell in module["cells"].values()) for name, module in modules.items()}

    def area(kind: str) -> float:
        if kind in library.cells:
            return library.cells[kind].area_um2
        return sum(count * area(inside) for inside, count in kinds.get(kind, Counter[str]()).items())

    return {name: area(name) for name in modules}


def run_programs(mapped: Mapped, programs: Mapping[str, str] = PROGRAMS, seed: int = 1) -> list[Run]:
    """Run programs on the netlist, each at all :data:`DENSITIES`; what they store must be what the golden tile stores.

    Raises
    ------
    ToolError
        If the netlist and the golden tile do not agree, or there is no Icarus.
    """
    outputs = {gate.name: gate.output for gate in mapped.gates.gates}
    counting = GATES.replace(activity=True)
    golden = GoldenTile(counting, seed)
    names: list[str] = []
    events: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="bfimna-") as folder:
        waves = Path(folder) / "waves.vcd"
        with RtlEngine(GATES, "icarus", verilog=mapped.verilog, waves=waves) as engine:
            for name, body in programs.items():
                text = f"{PREPARE}{body}{SHOW}"
                for density in DENSITIES:
                    job = random_job(assemble(text, counting), density, seed + len(names))
                    expected = golden.run(job)
                    found = engine.run(Job(assemble(text, GATES), job.planes))
                    pairs = zip(found.planes, expected.planes, strict=True)
                    if found.error or not all(np.array_equal(ours, theirs) for ours, theirs in pairs):
                        raise ToolError(f"the netlist and the golden tile do not agree on program {name!r}")
                    names.append(f"{name}, {density:.0%} ones")
                    events.append(events_of(expected.counters, job.program))
        with waves.open(encoding="ascii") as lines:
            counts = changes(lines, outputs, "done")
    if len(counts) != len(names):
        raise ToolError(f"the waves of the netlist must show {len(names)} runs, not {len(counts)}")
    return [
        Run(name, happened, mapped.gates.energy_pj(changed))
        for name, happened, changed in zip(names, events, counts, strict=True)
    ]


def random_job(program: Program, density: float, seed: int) -> Job:
    """A job whose planes are random, with a share ``density`` of ones."""
    generator = np.random.default_rng(seed)
    loads = [op.d_width for op in program.instructions if op.opcode == Opcode.LOAD]
    planes = [(generator.random((width, GATES.rows)) < density).astype(np.uint8) for width in loads]
    return Job(program, planes)


def events_of(counters: Mapping[str, int], program: Program) -> dict[str, float]:
    """Events of a run in the units of the constants; cells of matching rows at the mean width of compares."""
    rows, instructions = GATES.rows, program.instructions
    compares, columns = counters["events.compares"], counters["events.compared_columns"]
    matching = counters["activity.rows_matched"] * columns / compares if compares else 0.0
    return {
        "instructions": counters["events.instructions"],
        "operations": compares + counters["events.writes"],
        "compared_rows": compares * rows,
        "matching_cells": matching,
        "mismatching_cells": columns * rows - matching,
        "counted_rows": rows * sum(op.a_width * op.b_width for op in instructions if op.opcode == Opcode.DOT),
        "driven_cells": counters["events.written_columns"] * rows,
        "written_cells": counters["activity.cells_written"],
        "loaded_cells": rows * sum(op.d_width for op in instructions if op.opcode == Opcode.LOAD),
        "stored_bits": rows * sum(op.a_width for op in instructions if op.opcode == Opcode.STORE),
    }


FITS: dict[str, tuple[str, ...]] = {
    "array": ("matching_cells", "mismatching_cells", "driven_cells", "written_cells", "loaded_cells", "stored_bits"),
    "tags": ("compared_rows",),
    "responders": ("counted_rows",),
    "plane_port": ("loaded_cells", "stored_bits"),
    "sequencer": ("instructions", "operations"),
    "program_buffer": ("instructions",),
}
"""What the energy of each block is fitted to; the event counters are left out, as a product needs none."""


@dataclass(frozen=True)
class Fit:
    """Energy of a block as a sum over events.

    Parameters
    ----------
    fj : for each event, by name, at least 0.
    error : mean relative difference of the sum to what was counted, over all runs.
    """

    fj: Mapping[str, float]
    error: float


def energies(runs: Sequence[Run]) -> dict[str, Fit]:
    """Fit the energy of every block of :data:`FITS` to events, without a clock, by least squares of relative errors."""
    from scipy.optimize import nnls

    fits: dict[str, Fit] = {}
    for block, names in FITS.items():
        counted = np.array([run.energy_pj.get(block, 0.0) for run in runs]) * 1e3
        events = np.array([[run.events[name] for name in names] for run in runs], dtype=np.float64)
        used = (counted > 0) & (events.sum(axis=1) > 0)
        scaled: NDArray[np.float64] = events[used] / counted[used, None]
        weights = np.maximum(scaled.max(axis=0), 1e-30)
        solution = nnls(scaled / weights, np.ones(int(used.sum())))[0] / weights
        fits[block] = Fit(
            dict(zip(names, map(float, solution), strict=True)),
            float(np.abs(scaled @ solution - 1).mean()),
        )
    return fits


def derive(mapped: Mapped, runs: Sequence[Run]) -> dict[str, tuple[float, str]]:
    """Values of constants of :data:`sim.evaluate.technology.CONSTANTS`, each with a note on how it was derived."""
    gates, fits = mapped.gates, energies(runs)
    clock = gates.clock_pj() * 1e3
    array, port, sequencer = fits["array"].fj, fits["plane_port"].fj, fits["sequencer"].fj
    moved = clock * gates.flip_flops("plane_port") / GATES.plane_bits
    counting = clock * gates.flip_flops("responders") / GATES.rows
    deciding = clock * gates.flip_flops("sequencer")
    fetched = sequencer["instructions"] + fits["program_buffer"].fj["instructions"] + clock * INSTRUCTION_BITS
    load = array["loaded_cells"] + port["loaded_cells"] + clock + moved
    store = array["stored_bits"] + port["stored_bits"] + moved
    gated = f"{clock:.4g} fJ for the clock of a flip-flop behind a clock gate"

    def counted(block: str) -> str:
        return f"changes of nets, fitted over {len(runs)} runs with a mean error of {fits[block].error:.0%}"

    cell, row, column = _slopes(mapped.areas)
    others = sum(area for block, area in mapped.blocks.items() if block in ("sequencer", "program_buffer"))
    return {
        "compare_match": (array["matching_cells"], counted("array")),
        "compare_mismatch": (array["mismatching_cells"], counted("array")),
        "compare_row": (fits["tags"].fj["compared_rows"] + clock, f"{counted('tags')}, and {gated}"),
        "write_drive": (array["driven_cells"] + clock, f"{counted('array')}, and {gated}"),
        "write_cell": (array["written_cells"], counted("array")),
        "load_cell": (load, "array and plane port, as write_drive"),
        "store_bit": (store, "array and plane port, as write_drive"),
        "count_row": (
            fits["responders"].fj["counted_rows"] + counting,
            f"{counted('responders')}, and {gated}; an accumulator of {GATES.total_bits} bits serves {GATES.taps} rows",
        ),
        "memory_bit": (store, "as store_bit: a memory of flip-flops is read like the array"),
        "mesh_bit_hop": (load + store, "as load_cell and store_bit: a flit is written to a buffer and read from it"),
        "instruction": (
            fetched,
            f"{counted('sequencer')}, and {gated}; with the program buffer, whose word is {INSTRUCTION_BITS} bits",
        ),
        "micro_operation": (
            sequencer["operations"] + deciding,
            f"{counted('sequencer')}, and {gated}, of which it has {gates.flip_flops('sequencer')}",
        ),
        "leakage_cell": (
            gates.leakage_nw("array") / (GATES.rows * GATES.columns),
            "of the array, by its cells",
        ),
        "cycle_time": (gates.longest_path_ns(), f"longest path of {GATES.rows} rows x {GATES.columns} columns"),
        "cell_area": (cell, "slope over rows x columns of four sizes of the array"),
        "row_area": (row, f"slopes over rows of array, tags, responders and plane port; accumulators for {TAPS} rows"),
        "column_area": (column, "slope over columns of the array"),
        "tile_area": (others, f"sequencer, and a program buffer of {GATES.program_depth} instructions"),
        "router_area": (
            mapped.blocks["router"],
            f"router of config {MESH.name}: {MESH.flit_bits}-bit flits, {MESH.buffer_flits} at each input",
        ),
        "supply": (gates.library.supply_v, "nom_voltage of the library"),
    }


def _slopes(areas: Mapping[str, Mapping[str, float]]) -> tuple[float, float, float]:
    """Area of a cell, of a row and of a column, in um2."""
    array = {name: found["array"] for name, found in areas.items() if "array" in found}
    rows = {name: config.rows for name, config in SIZES.items()}
    more_rows = rows["taps"] - rows["small"]
    more_columns = SIZES["columns"].columns - SIZES["small"].columns
    cell = (array["both"] - array["taps"] - array["columns"] + array["small"]) / (more_rows * more_columns)
    column = (array["columns"] - array["small"]) / more_columns - cell * rows["small"]
    more_tall = rows["tall"] - rows["small"]
    around = {block: (areas["tall"][block] - areas["small"][block]) / more_tall for block in BLOCKS["tall"]}
    row = (array["taps"] - array["small"]) / more_rows - cell * SIZES["small"].columns
    more_outputs = SIZES["outputs"].outputs - SIZES["small"].outputs
    output = (areas["outputs"]["responders"] - areas["small"]["responders"]) / more_outputs
    accumulator = output - around["responders"] * SIZES["small"].taps
    return cell, row + sum(around.values()) + accumulator / TAPS, column
