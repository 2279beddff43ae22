"""Proof by Yosys that a router loses, doubles, changes and overtakes nothing, in any place and under any traffic."""

from __future__ import annotations

import functools

import pytest

from hw.accelerator.config import ACCELERATORS
from tests.hw.accelerator.mesh_faults import FAULTS, seed
from tests.hw.accelerator.router_proof import bound, proof_verilog, prove, prove_departure

MESH = ACCELERATORS["mesh4x4"]
CONFIGS = {
    "3x3": MESH.replace(width=3, height=3, buffer_flits=2),
    "small": MESH.replace(width=2, height=2, buffer_flits=2),
    "2x2": MESH.replace(width=2, height=2, buffer_flits=3),
}


@functools.cache
def verilog(name: str) -> str:
    return proof_verilog(CONFIGS[name])


@pytest.mark.parametrize("name", [pytest.param("3x3", marks=pytest.mark.slow), "2x2"])
def test_each_copy_leaves_once_unchanged_and_in_order(name: str) -> None:
    assert prove(verilog(name))


@pytest.mark.slow
def test_each_flit_leaves_within_its_bound() -> None:
    cycles = bound(CONFIGS["small"])
    assert prove_departure(verilog("small"), cycles)
    # It is the smallest one.
    assert not prove_departure(verilog("small"), cycles - 1)


REFUTED = [name for name, fault in FAULTS.items() if fault.refuted]


@pytest.mark.parametrize("name", [*REFUTED[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in REFUTED[2:])])
def test_a_fault_has_no_proof(name: str) -> None:
    assert not prove(seed(verilog("2x2"), FAULTS[name]))
