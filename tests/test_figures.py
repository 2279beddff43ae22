"""Figures of docs/mapping.md that follow from the laws are those of the present programs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from golden.graph import Graph
from golden.laws import body_cycles, searches
from golden.ternary import ternarise
from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS
from hw.counter_map import total_cycles
from sim.host import Network
from sim.mapping.constant import additions
from sim.models import load_model

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
ZERO_PLANES = 4
"""Of the operand of the DOT in the ablation: 8 bits below 16."""


def rows(heading: str) -> dict[str, list[str]]:
    """The table whose first heading is ``heading``: the other cells of each row, by the first one."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    return {row[0]: row[1:] for row in cells[2:]}


def number(cell: str) -> int:
    """The number that a cell begins with."""
    return int(cell.split(maxsplit=1)[0].replace(",", ""))


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablation", ROOT / "scripts" / "ablation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "mode", ["count", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("lut", "constant"))]
)
def test_costs_of_the_modes(resnet8: Graph, mode: str) -> None:
    wide = CONFIGS["cap2d"]
    found: list[int] = []
    for config in (wide, wide.replace(plane_bits=64)):
        laws = Network(resnet8, config, mode=mode).laws
        if config is wide:
            owners = ("cycles.compute", "cycles.reduce", "cycles.requantize")
            found.append(sum(law.get(owner, 0) for law in laws for owner in owners))
        found.append(sum(map(total_cycles, laws)))
    assert [number(cell) for cell in rows("mode | array cycles without loads | total, P = R")[mode]] == found


def test_shared_sums_of_ternary_weights(resnet8: Graph) -> None:
    plans = [
        plan
        for plan in Network(ternarise(resnet8), CONFIGS["cap256"], mode="constant").plans
        if plan.mode == "constant"
    ]
    shown = rows("layer")
    made = {plan.shape.name: additions(plan.jobs) for plan in plans}
    found = {name: [unshared, shared] for name, (shared, unshared) in made.items()}
    found["all"] = np.sum(list(found.values()), axis=0).tolist()
    cycles = {plan.shape.name: plan.law_cycles for plan in plans}
    cycles["all"] = sum(cycles.values())
    for name, (unshared, shared) in found.items():
        assert [number(shown[name][0]), number(shown[name][1])] == [unshared, shared]
        assert shown[name][2] == f"{1 - shared / unshared:.1%}"
        assert name == "all" or number(shown[name][3]) == cycles[name]
    assert found["all"][1] <= 0.75 * found["all"][0]


def test_cycles_of_the_faster_passes(resnet8: Graph, ablation: ModuleType) -> None:
    shown = rows("operation, 8 bits, 256 rows")
    for place, options in enumerate(ablation.VARIANTS.values()):
        config = CONFIGS["small"].replace(**options)
        for name, op in ablation.operations(config):
            skipped = ZERO_PLANES if searches(op) else 0
            assert number(shown[name][place]) == 1 + body_cycles(op, config, skipped), (name, options)
        if not config.zero_skip:  # else cycles depend on the picture
            laws = Network(resnet8, CONFIGS["cap"].replace(**options)).laws
            assert number(shown["ResNet-8, config cap"][place]) == sum(map(total_cycles, laws))


MESHES = ("mesh1x1", "mesh1x2", "mesh2x2", "mesh2x2-1to1", "mesh4x4")


@pytest.mark.parametrize("name", MESHES)
def test_both_tables_of_meshes_say_the_same(name: str) -> None:
    config = ACCELERATORS[name]
    clusters, caps, maps, cycles, *_ = rows("config | clusters | CAPs | MAPs | cycles")[f"`{name}`"]
    assert [number(cell) for cell in (clusters, caps, maps)] == [
        config.clusters * times for times in (1, config.caps, config.maps)
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {config.width} x {config.height} | {caps} | {maps} | {cycles} |" in readme


@pytest.mark.slow
def test_tables_of_accelerators_are_what_the_scripts_print() -> None:
    for script, mark in (("scaling", "scaling"), ("overlap", "overlap")):
        done = subprocess.run(
            [sys.executable, f"scripts/{script}.py", "--engine", "model"],
            capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert PAGE.split(f"<!-- {mark} -->\n")[1].split("\n<!-- end -->")[0] == done.stdout.strip()
