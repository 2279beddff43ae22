"""The host port of the whole accelerator with masters that are not ours, in both simulators."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.accelerator.config import ACCELERATORS
from hw.accelerator.verilog import BLOCKS, TOP
from sim.runner import build, run
from sim.verilog_cache import cached_accelerator_verilog

BENCH = Path(__file__).with_name("bench_axi.py")
TESTS = (
    "registers_hold_what_is_written_whatever_the_pauses",
    "reads_and_writes_at_the_same_time",
    "accesses_that_are_refused",
    "data_may_come_before_its_address",
    "reset_in_mid_transfer",
    "cycles_of_commands_are_counted_exactly",
    "driver_runs_a_layer",
    "streams_obey_whatever_the_pauses",
    "bad_programs_are_named",
    "watchdog_counts_to_its_limit",
    "a_host_that_takes_nothing_is_named",
    "stop_in_mid_run_leaves_nothing",
    "driver_names_what_failed",
)


@pytest.fixture(scope="module")
def verilog() -> str:
    return cached_accelerator_verilog(ACCELERATORS["meshtiny"])


@pytest.mark.slow
def test_in_verilator(verilog: str, tmp_path: Path) -> None:
    done = run(build(verilog, TOP, "verilator", blocks=BLOCKS), BENCH, testcase=TESTS, folder=tmp_path, timeout=300)
    assert set(done.tests) == set(TESTS)


def test_in_icarus(verilog: str, tmp_path: Path) -> None:
    names = ("accesses_that_are_refused", "driver_runs_a_layer", "bad_programs_are_named")
    run(build(verilog, TOP, "icarus"), BENCH, testcase=names, folder=tmp_path, timeout=300)


def test_every_test_of_the_bench_is_run() -> None:
    text = BENCH.read_text(encoding="utf-8")
    assert [line.partition("(")[0].removeprefix("async def ") for line in text.splitlines()
            if line.startswith("async def ")] == list(TESTS)  # fmt: skip
