"""Standard cells: a Liberty file, a netlist's area, energy and longest path, and the constants made of them."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from golden.engine import Job, Outcome
from golden.tile import GoldenTile
from hw.config import TileConfig
from sim.assembler import assemble
from sim.errors import UserError
from sim.evaluate import open_cells
from sim.evaluate.gates import Gates, changes, read_netlist
from sim.evaluate.liberty import Library, parse_liberty, verilog_models
from sim.evaluate.open_cells import (
    BLOCKS,
    FITS,
    GATES,
    PROGRAMS,
    SIZES,
    Mapped,
    Run,
    derive,
    energies,
    map_tiles,
    run_programs,
)
from sim.evaluate.technology import CONSTANTS, load_technology
from sim.tools import ToolError

ROOT = Path(__file__).parents[3]

LIBERTY = """
/* two cells
   and a comment */
library (demo) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW";
  capacitive_load_unit (1, pf);
  nom_voltage : 2;
  cell (NAND2) {
    area : 10; cell_leakage_power : 0.5;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (B) { direction : input; capacitance : 0.02; }
    pin (Y) { direction : output; function : "(!(A B))";
      timing () { related_pin : "A";
        cell_rise (t) { index_1 ("0, 0.1"); index_2 ("0.1, 0.2"); values ("1, 9", \\
          "2, 9"); }
        cell_fall (t) { index_1 ("0, 0.1"); index_2 ("0.1, 0.2"); values ("0.5, 9", "3, 9"); } }
      internal_power () {
        rise_power (t) { index_1 ("0, 0.1"); index_2 ("0.1, 0.2"); values ("0.2, 9", "9, 9"); }
        fall_power (t) { index_1 ("0, 0.1"); index_2 ("0.1, 0.2"); values ("0.4, 9", "9, 9"); } }
    }
  }
  cell (DFF) {
    area : 40; cell_leakage_power : 2;
    ff (S0, S1) { next_state : "D"; clocked_on : "CLK"; }
    pin (CLK) { direction : input; clock : true; capacitance : 0.03;
      internal_power () { rise_power (p) { index_1 ("0.1, 1"); values ("0.05, 9"); }
                          fall_power (p) { index_1 ("0.1, 1"); values ("0.15, 9"); } } }
    pin (D) { direction : input; capacitance : 0.01;
      timing () { related_pin : "CLK"; timing_type : setup_rising;
        rise_constraint (c) { index_1 ("0.1, 1"); index_2 ("0.1, 1"); values ("0.25, 0.5", "9, 9"); } } }
    pin (Q) { direction : output; function : "S0";
      timing () { related_pin : "CLK"; cell_rise (t) { index_1 ("0, 0.1"); index_2 ("0.1"); values ("1", "2"); } } }
  }
}
"""

NETLIST = {
    "modules": {
        "tile": {
            "cells": {
                "array.g1": {"type": "DFF", "connections": {"CLK": [2], "D": [5], "Q": [3]}},
                "array.g2": {"type": "NAND2", "connections": {"A": [3], "B": [4], "Y": [5]}},
                "tags.g1": {"type": "NAND2", "connections": {"A": [5], "B": ["1"], "Y": [4]}},
            }
        }
    }
}
"""A loop of gates is no problem for areas; its feedback goes over a net that only the test of paths cuts."""

WAVES = """$scope module tile $end
$var wire 1 ! clk $end
$var wire 1 % done $end
$scope module array.g1 $end
$var wire 1 ! CLK $end
$var wire 1 " Q $end
$upscope $end
$scope module \\tags.g1  $end
$var wire 1 # Y $end
$var wire 1 " A $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
$dumpvars
0!
0"
x#
0%
$end
#5
1!
1"
1#
#10
0#
0!
1%
#15
0%
0"
1#
b101 *
#20
1%
"""


@pytest.fixture(scope="module")
def library() -> Library:
    return parse_liberty(LIBERTY, "file demo.lib")


def test_a_liberty_file_is_read(library: Library) -> None:
    assert (library.name, library.supply_v, list(library.cells)) == ("demo", 2.0, ["NAND2", "DFF"])
    gate, flip_flop = library.cells.values()
    assert (gate.area_um2, gate.leakage_nw, gate.state) == (10.0, 0.5, "")
    assert gate.pins["B"].capacitance_pf == 0.02
    assert gate.pins["Y"].energy_pj == pytest.approx(0.3)
    assert gate.pins["Y"].delay_ns == ((0.0, 1.0), (0.1, 3.0))
    assert [gate.pins["Y"].delay(load) for load in (0.0, 0.05, 0.2)] == pytest.approx([1.0, 2.0, 5.0])
    assert (flip_flop.state, flip_flop.state_name, flip_flop.setup_ns) == ("D", "S0", 0.5)
    assert flip_flop.pins["CLK"].clock
    assert flip_flop.pins["CLK"].energy_pj == pytest.approx(0.1)
    assert flip_flop.pins["CLK"].delay(1.0) == 0.0


def test_models_are_verilog(library: Library) -> None:
    text = verilog_models(library, ["NAND2", "DFF"])
    assert "module NAND2(input A, input B, output Y);\nassign Y = (!(A & B));\nendmodule" in text
    assert "reg S0 = 1'b0;\nalways @(posedge CLK) S0 <= D;\nassign Q = S0;" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "file x must hold one library in the Liberty format"),
        ("library (a) {", "file x: time_unit must be 1ns, not missing"),
        ("library a", "file x must hold one library in the Liberty format"),
        ("cell (a) { }", "file x must hold a library, not 'cell'"),
        (LIBERTY.replace("1nW", "1uW"), "file x: leakage_power_unit must be 1nW, not 1uW"),
    ],
)
def test_other_files_are_refused(text: str, told: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        parse_liberty(text, "file x")


@pytest.fixture(scope="module")
def gates(library: Library) -> Gates:
    return read_netlist(NETLIST, "tile", library)


def test_a_netlist_adds_up(gates: Gates) -> None:
    assert [gate.block for gate in gates.gates] == ["array", "array", "tags"]
    assert gates.flip_flops("array") == 1
    assert gates.leakage_nw("array") == 2.5
    assert gates.load_pf == pytest.approx({2: 0.03, 5: 0.02, 3: 0.01, 4: 0.02})
    # Clock pin: 0.03 pF at 2 V and the energies of both edges.
    assert gates.clock_pj() == pytest.approx(0.03 * 4 + 2 * 0.1)


def test_energy_is_half_of_c_v_squared_and_what_the_driver_takes(gates: Gates) -> None:
    found = gates.energy_pj({"array.g1": 3, "array.g2": 10, "tags.g1": 1})
    assert found == pytest.approx({"array": 3 * 0.01 * 2 + 10 * (0.02 * 2 + 0.3), "tags": 0.02 * 2 + 0.3})


def test_the_longest_path_ends_with_the_setup_time(library: Library) -> None:
    cells = dict(NETLIST["modules"]["tile"]["cells"])
    cells["tags.g1"] = {"type": "NAND2", "connections": {"A": [3], "B": ["1"], "Y": [4]}}
    gates = read_netlist({"modules": {"tile": {"cells": cells}}}, "tile", library)
    clocked, gate = 1.0 + 10 * 0.02, 1.0 + 20 * 0.02
    last = 1.0 + 20 * gates.load_pf[5]
    assert gates.longest_path_ns() == pytest.approx(clocked + gate + last + 0.5)


def test_changes_are_counted_from_waves_run_by_run() -> None:
    found = changes(WAVES.splitlines(keepends=True), {"array.g1": "Q", "tags.g1": "Y"}, "done")
    assert found == [{"array.g1": 1, "tags.g1": 1}, {"array.g1": 1, "tags.g1": 1}]


# --- constants ------------------------------------------------------------------------------------------------------


def made_runs(costs: dict[str, dict[str, float]]) -> list[Run]:
    """Runs whose blocks take exactly so many fJ for each event."""
    runs: list[Run] = []
    names = sorted({name for block in FITS.values() for name in block})
    for index in range(3 * len(names)):
        events = {name: float(1 + (7 * index + 5 * place * index + place) % 23) for place, name in enumerate(names)}
        energy = {
            block: sum(costs[block][name] * events[name] for name in wanted) * 1e-3 for block, wanted in FITS.items()
        }
        runs.append(Run(str(index), events, energy))
    return runs


COSTS = {
    block: {name: 10.0 * (place + 1) + index for place, name in enumerate(names)}
    for index, (block, names) in enumerate(FITS.items())
}


def test_fits_find_what_events_cost() -> None:
    found = energies(made_runs(COSTS))
    for block, fit in found.items():
        assert fit.fj == pytest.approx(COSTS[block], rel=1e-6)
        assert fit.error == pytest.approx(0, abs=1e-9)


def test_constants_are_made_of_fits_clocks_and_slopes(gates: Gates) -> None:
    cell, row, column = 300.0, 50.0, 20.0
    areas = {
        name: {
            block: 1000.0 + (cell * config.rows * config.columns + column * config.columns if block == "array" else 0)
            + row * config.rows + (700.0 * config.outputs if block == "responders" else 0)
            for block in BLOCKS[name]
        }
        for name, config in SIZES.items()
    }  # fmt: skip
    blocks = {"sequencer": 5.0, "program_buffer": 7.0, "router": 11.0, "sequencer.decoder": 1.0}
    cut = Gates(gates.library, gates.gates[:2])
    found = {name: value for name, (value, _) in derive(Mapped(cut, "", areas, blocks), made_runs(COSTS)).items()}
    clock = 1e3 * gates.clock_pj()
    assert found["compare_match"] == pytest.approx(COSTS["array"]["matching_cells"])
    assert found["write_drive"] == pytest.approx(COSTS["array"]["driven_cells"] + clock)
    assert found["compare_row"] == pytest.approx(COSTS["tags"]["compared_rows"] + clock)
    assert found["mesh_bit_hop"] == pytest.approx(found["load_cell"] + found["store_bit"])
    assert found["cell_area"] == pytest.approx(cell)
    assert found["column_area"] == pytest.approx(column)
    assert found["row_area"] == pytest.approx(4 * row + 700.0 / 75)
    assert (found["tile_area"], found["router_area"], found["supply"]) == (12.0, 11.0, 2.0)
    assert set(found) <= set(CONSTANTS)


def test_programs_fit_the_tile_and_have_every_event() -> None:
    seen: dict[str, float] = {}
    golden = GoldenTile(GATES.replace(activity=True))
    for body in PROGRAMS.values():
        program = assemble(f"{open_cells.PREPARE}{body}{open_cells.SHOW}", golden.config)
        job = open_cells.random_job(program, 0.5, seed=1)
        outcome = golden.run(job)
        assert not outcome.error
        for name, value in open_cells.events_of(outcome.counters, program).items():
            seen[name] = seen.get(name, 0) + value
    assert set(seen) == {name for names in FITS.values() for name in names}
    assert all(seen.values())


class FakeNetlist:
    """Runs what the golden tile runs, and leaves waves of a gate that never changes.

    ``wrong`` turns the first bit that it stores, ``ends`` says whether its waves show when a run ends.
    """

    wrong, ends = False, True

    def __init__(self, config: TileConfig, simulator: str, *, verilog: str, waves: Path) -> None:
        assert (config, simulator, verilog) == (GATES, "icarus", "netlist")
        self.tile, self.waves, self.body = GoldenTile(config, seed=5), waves, ""

    def __enter__(self) -> FakeNetlist:
        return self

    def __exit__(self, *_: object) -> None:
        self.waves.write_text(WAVES.partition("#0\n")[0] + self.body, encoding="ascii")

    def run(self, job: Job) -> Outcome:
        self.body += "1%\n0%\n" if self.ends else ""
        outcome = self.tile.run(job)
        if self.wrong:
            outcome.planes[-1][0, 0] ^= 1
        return outcome


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, ""),
        ({"wrong": True}, "the netlist and the golden tile do not agree on program 'sums'"),
        ({"ends": False}, "the waves of the netlist must show 2 runs, not 0"),
    ],
)
def test_a_netlist_must_do_what_the_golden_tile_does(
    gates: Gates, fields: dict[str, bool], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_cells, "RtlEngine", type("Fake", (FakeNetlist,), fields))
    mapped = Mapped(gates, "netlist", {}, {})
    programs = {"sums": PROGRAMS["sums"]}
    if told:
        with pytest.raises(ToolError, match=f"^{re.escape(told)}$"):
            run_programs(mapped, programs)
    else:
        found = run_programs(mapped, programs)
        assert [run.name for run in found] == ["sums, 25% ones", "sums, 75% ones"]
        assert all(run.energy_pj == {} and run.events["compared_rows"] > 0 for run in found)


def test_what_yosys_refuses_is_told(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_cells, "find_yosys", lambda: "false")
    for writer in ("tile_verilog", "design_text"):
        monkeypatch.setattr(open_cells, writer, lambda *_: "")
    with pytest.raises(ToolError, match=r"^Yosys failed on the tile: $"):
        map_tiles(library, LIBERTY)


def test_the_file_is_of_this_script() -> None:
    technology = load_technology("open-cells")
    derived = [name for name, constant in technology.constants.items() if "scripts/open_cells.py" in constant.source]
    assert len(derived) == 20
    assert technology["supply"] == 1.8


def test_a_missing_library_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.lib"
    monkeypatch.setattr(sys, "argv", ["open_cells.py", "--library", str(file)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / "open_cells.py"), run_name="__main__")
    assert ended.value.code == 2
    told = f"open_cells: error: {file} does not exist: apt-get install -y qflow-tech-osu018 brings it\n"
    assert capsys.readouterr().err == told
