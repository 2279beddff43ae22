"""Targets: how cells count, and names that are none."""

from __future__ import annotations

import pytest

from sim.errors import UserError
from sim.synthesis.counts import HEADINGS, Counts
from sim.synthesis.targets import TARGETS, find_target


@pytest.mark.parametrize(
    ("target", "kind", "expected"),
    [
        ("ice40", "SB_LUT4", Counts(cells=1, luts=1)),
        ("ice40", "SB_DFFESR", Counts(cells=1, flip_flops=1)),
        ("ice40", "SB_CARRY", Counts(cells=1, carries=1)),
        ("ice40", "SB_RAM40_4KNR", Counts(cells=1, memories=1)),
        ("ecp5", "LUT4", Counts(cells=1, luts=1)),
        ("ecp5", "PFUMX", Counts(cells=1)),
        ("ecp5", "CCU2C", Counts(cells=1, luts=2, carries=1)),
        ("ecp5", "TRELLIS_DPR16X4", Counts(cells=1, luts=4, lut_memories=1)),
        ("xilinx", "LUT2", Counts(cells=1, luts=1)),
        ("xilinx", "MUXF7", Counts(cells=1)),
        ("xilinx", "FDRE", Counts(cells=1, flip_flops=1)),
        ("xilinx", "FDCE_1", Counts(cells=1, flip_flops=1)),
        ("xilinx", "RAM64M", Counts(cells=1, luts=4, lut_memories=1)),
        ("xilinx", "RAM32M", Counts(cells=1, luts=4, lut_memories=1)),
        ("xilinx", "RAM64X1D", Counts(cells=1, luts=2, lut_memories=1)),
        ("xilinx", "RAMB36E1", Counts(cells=1, memories=1)),
        ("gates", "$_SDFFE_PP0P_", Counts(cells=1, flip_flops=1)),
        ("gates", "$_AND_", Counts(cells=1)),
        ("gates", "$mem_v2", Counts()),
        ("gates", "$scopeinfo", Counts()),
    ],
)
def test_how_a_cell_counts(target: str, kind: str, expected: Counts) -> None:
    assert find_target(target).count(kind) == expected


def test_an_unknown_target_is_told_the_nearest() -> None:
    message = "^report must be for one of ice40, ecp5, xilinx, gates, not 'xlinx'; the nearest is 'xilinx'$"
    with pytest.raises(UserError, match=message):
        find_target("xlinx")


def test_columns_have_headings() -> None:
    assert {name for target in TARGETS.values() for name in target.columns} <= set(HEADINGS)
