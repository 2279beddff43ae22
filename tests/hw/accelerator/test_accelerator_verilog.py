"""Verilog of whole accelerators: each block once, the same wherever it is made, accepted by both simulators."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hw.accelerator.config import ACCELERATORS
from hw.accelerator.verilog import BLOCKS, TOP
from sim.runner import build
from sim.verilog_cache import cached_accelerator_verilog

ROOT = Path(__file__).resolve().parents[3]
MOST_CHARACTERS = 3_000_000
"""Of the text of any accelerator: its blocks are in it once, however many clusters it has."""

PROGRAM = """
import sys
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.verilog import accelerator_verilog
sys.stdout.write(accelerator_verilog(ACCELERATORS["meshtiny"]))
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("meshtiny",), id="meshtiny"),
        pytest.param(("meshtiny", "mesh2x2"), id="both", marks=pytest.mark.slow),
    ],
)
def texts(request: pytest.FixtureRequest) -> dict[str, str]:
    return {name: cached_accelerator_verilog(ACCELERATORS[name]) for name in request.param}


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\S+?) ?\(", text, re.MULTILINE)


def instances(text: str, module: str) -> int:
    return len(re.findall(rf"^  {re.escape(module)} +\S+ +\($", text, re.MULTILINE))


def test_each_block_is_there_once_however_often_it_is_used(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        config, found = ACCELERATORS[name], modules(text)
        assert len(found) == len(set(found))
        assert found[0] == TOP
        assert {"cluster", "cap_slot", "map_slot", "router", "link_counters", *BLOCKS} <= set(found)
        assert instances(text, "cluster") == instances(text, "router") == config.clusters
        # CAPs of all clusters are one module, MAPs are another.
        assert sum(module.endswith("tile_sequencer") for module in found) == 2


@pytest.mark.slow
def test_size_hardly_grows_with_the_mesh() -> None:
    small, largest = (cached_accelerator_verilog(ACCELERATORS[name]) for name in ("mesh2x2", "mesh4x4"))
    assert len(largest) < MOST_CHARACTERS
    assert len(largest) < 1.3 * len(small)


def test_text_is_the_same_wherever_it_is_made(texts: dict[str, str], tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PROGRAM]
    made = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert made == texts["meshtiny"]
    assert str(ROOT) not in made
    assert not re.search(r"\(\* src", made)


def test_text_is_verilog_2005(texts: dict[str, str], tmp_path: Path) -> None:
    for name, text in texts.items():
        file = tmp_path / f"{name}.v"
        file.write_text(text, encoding="utf-8")
        command = ["iverilog", "-g2005", "-s", TOP, "-t", "null", str(file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, ""), name


def test_ports_are_those_of_axi(texts: dict[str, str]) -> None:
    header = re.search(r"^module accelerator\((.*?)\);", texts["meshtiny"], re.MULTILINE | re.DOTALL)
    assert header is not None
    ports = {port.strip() for port in header[1].split(",")}
    lite = "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready araddr arprot arvalid arready"
    expected = {"clk", "rst"} | {f"s_axi_{name}" for name in f"{lite} rdata rresp rvalid rready".split()}
    expected |= {f"{side}_axis_t{name}" for side in "sm" for name in ("data", "valid", "ready", "last")}
    assert ports == expected


@pytest.mark.slow
def test_verilator_builds_the_largest_mesh() -> None:
    built = build(cached_accelerator_verilog(ACCELERATORS["mesh4x4"]), TOP, "verilator", blocks=BLOCKS)
    print(f"{built.seconds:.0f} s")
    assert built.seconds < 600
