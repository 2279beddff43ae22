"""The Verilog of the gather unit in both simulators: golden beats, in the cycles of the clock."""

from pathlib import Path

import pytest

from sim.runner import build, run
from tests.gather import SHAPES, WIDE, unit_verilog

BENCH = Path(__file__).with_name("bench_gather.py")


@pytest.mark.parametrize(
    ("simulator", "shape", "jobs"),
    [
        pytest.param("verilator", "wide", 25, marks=pytest.mark.slow),
        ("icarus", "tiny", 20),
        ("icarus", "two-flits", 10),
    ],
)
def test_random_jobs(simulator: str, shape: str, jobs: int, tmp_path: Path) -> None:
    config = {**SHAPES, "wide": WIDE}[shape]
    settings = {"BFIMNA_SHAPE": shape, "BFIMNA_JOBS": str(jobs), "BFIMNA_ROWS": "500", "BFIMNA_SEED": "5"}
    run(build(unit_verilog(config), "gather", simulator), BENCH, environment=settings, folder=tmp_path, timeout=200)
