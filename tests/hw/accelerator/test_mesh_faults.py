"""Checks of the mesh, and faults seeded in its routers that they must catch."""

from __future__ import annotations

from functools import partial

import pytest

from hw.accelerator.config import ACCELERATORS
from sim.runner import SimulationError
from tests.faults import FaultNotSeeded, replaced
from tests.hw.accelerator.mesh_checks import CHECKS, Edit, mesh_verilog
from tests.hw.accelerator.mesh_faults import FAULTS, MeshFault, seed

CONFIG = ACCELERATORS["mesh4x4"].replace(width=3, height=2, buffer_flits=3)


def run_check(name: str, edit: Edit = str) -> list[str]:
    """What a check finds; a run that breaks off is a finding."""
    try:
        return CHECKS[name](CONFIG, edit)
    except SimulationError as error:
        return [error.summary]


@pytest.mark.parametrize("name", CHECKS)
def test_unbroken_mesh_passes(name: str) -> None:
    assert run_check(name) == []


QUICK = {fault.caught_by: name for name, fault in FAULTS.items()}.values()
"""Faults of the quick tier: one for each check."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS]
)
def test_fault_is_caught(name: str) -> None:
    fault = FAULTS[name]
    found = run_check(fault.caught_by, partial(seed, fault=fault))
    print(f"{name} is caught by {fault.caught_by}: {'; '.join(found)[:200]}")
    assert found, f"{fault.caught_by} did not catch {name}"


def test_every_check_catches_something() -> None:
    assert {fault.caught_by for fault in FAULTS.values()} == set(CHECKS)


def test_a_fault_that_cannot_be_seeded_is_an_error() -> None:
    with pytest.raises(FaultNotSeeded, match="has no module nothing"):
        seed(mesh_verilog(CONFIG), MeshFault(replaced("a", "b"), "routes", "nothing"))
    with pytest.raises(FaultNotSeeded, match="the text must change"):
        seed(mesh_verilog(CONFIG), MeshFault(replaced("(endmodule)", r"\1"), "routes"))
