"""The wrappers of docs/asic.md in the place of the banks that they are for: the test bench passes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hw.config import CONFIGS
from sim.verilog.exercise import exercise
from sim.verilog_cache import cached_tile_verilog
from tests.sim.verilog.benches import few_runs, prepare, simulate

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "asic.md").read_text(encoding="utf-8")
BANKS = {"cells": "cam_bank_16x32", "3r1w": "column_bank_16x32_3r1w"}


def ports(text: str, module: str) -> set[str]:
    """Names of the ports of a module."""
    found = re.search(rf"^module {module} ?\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return set(re.findall(r"\w+(?=,|\s*$)", re.sub(r"\b(input|output)\b|\[[^]]*\]", "", found[1])))


@pytest.mark.parametrize("array", BANKS)
def test_ports_are_those_of_the_bank_and_of_the_page(array: str) -> None:
    bank = BANKS[array]
    text = cached_tile_verilog(CONFIGS["tiny"].replace(array=array))
    theirs = ports(text, bank)
    assert ports((DOCS / "asic" / f"{bank}.v").read_text(), bank) == theirs
    section = PAGE.partition(f"## `{bank.partition('_16')[0]}`")[2].partition("\n## ")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"\w+", row)}
    assert theirs <= listed <= theirs | {"partner_column", "partner_data"}


@pytest.mark.parametrize("array", BANKS)
def test_wrapper_takes_the_place_of_the_bank(array: str, tmp_path: Path) -> None:
    config, bank = CONFIGS["tiny"].replace(array=array), BANKS[array]
    text = cached_tile_verilog(config)
    # What the sed command of the page does.
    rest, count = re.subn(rf"^module {bank}\(.*?^endmodule\n", "", text, flags=re.MULTILINE | re.DOTALL)
    assert count == 1
    shutil.copy(DOCS / "asic" / f"{bank}.v", tmp_path)
    prepare(tmp_path, config, few_runs(config, exercise(config, 5, every=25)), rest, f"{bank}.v")
    status, lines = simulate(tmp_path)
    assert (status, lines[-1].partition(":")[0]) == (0, "PASS"), lines


def test_page_has_the_command() -> None:
    assert "sed '/^module cam_bank_16x32(/,/^endmodule/d' tile.v > rest.v" in PAGE
