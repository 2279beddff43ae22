"""A report as people see it."""

from __future__ import annotations

import io

from hw.config import CONFIGS
from sim.synthesis import print_report
from tests.sim.synthesis.made_reports import made_report

TINY = CONFIGS["tiny"]


def printed(target: str) -> list[str]:
    stream = io.StringIO()
    print_report(made_report(TINY, target), stream)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_blocks_and_their_parts_are_rows() -> None:
    lines = printed("ice40")
    assert lines[0] == "config tiny for Lattice iCE40, yosys 0.99"
    cells = [line.split() for line in lines]
    assert ["block", "cells", "LUTs", "flip-flops", "carries"] in cells
    assert ["array", "2,100", "1,580", "512", "0"] in cells
    assert ["bank", "2,000", "1,500", "512", "0"] in cells
    assert ["own", "logic", "100", "80", "0", "0"] in cells
    assert ["sequencer", "300", "250", "50", "9"] in cells
    assert ["top", "4", "4", "0", "0"] in cells
    assert ["sum", "2,404", "1,834", "562", "9"] in cells


def test_what_follows_is_told_below() -> None:
    lines = printed("ice40")
    assert "LUTs per CAM bit (16 x 32 = 512): tile 3.58, array 3.09, bank 2.93" in lines
    assert "flip-flops beside the array: 50, 8.9% of these and the cells of the array" in lines
    placed = "1,834 of 7,680 logic cells (130 for pins), 31.25 MHz, seed 3, nextpnr-ice40 0.9"
    assert f"placed and routed, iCE40 HX8K, ct256: {placed}" in lines
    assert lines[-2:] == ["how cells count", "what is left out"]


def test_gates_have_areas_and_a_period() -> None:
    lines = printed("gates")
    assert lines[0] == "config tiny for gates, yosys 0.99, osu018_stdcells"
    assert ["block", "cells", "flip-flops", "memory", "bits", "um2"] in [line.split() for line in lines]
    assert "um2 per CAM bit (16 x 32 = 512): tile 104, array 99.6, bank 97.7" in lines
    assert "clock period: 8.00 ns (125.0 MHz), from tags/_1_ to counters/_2_, OpenSTA 2.0" in lines
