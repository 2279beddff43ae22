"""What follows from a report, as numbers and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from hw.config import CONFIGS
from sim.synthesis.blocks import Block
from sim.synthesis.counts import Counts
from tests.sim.synthesis.made_reports import made_report

TINY = CONFIGS["tiny"]


def test_the_array_and_what_is_beside_it() -> None:
    report = made_report(TINY, "ice40")
    assert report.cam_bits == 512
    assert report.array.counts == Counts(cells=2100, luts=1580, flip_flops=512, area_um2=5.1e4)
    assert report.bank.luts == 1500
    assert report.flip_flops_beside == 50
    assert report.share_beside == 50 / 562
    assert report.per_bit("luts") == {"tile": 1834 / 512, "array": 1580 / 512, "bank": 1500 / 512}


def test_a_tile_without_banks_has_no_figure_for_them() -> None:
    tile = Block("tile", Counts(), (Block("array", Counts(luts=512)),))
    assert replace(made_report(TINY, "ice40"), tile=tile).per_bit("luts") == {"tile": 1.0, "array": 1.0}


def test_the_report_is_json() -> None:
    content = json.loads(json.dumps(made_report(TINY, "ice40").as_dict()))
    assert content["config"] == TINY.as_dict()
    assert content["config_hash"] == TINY.hash_text
    assert (content["target"], content["tool"], content["library"]) == ("ice40", "yosys 0.99", None)
    assert [block["name"] for block in content["blocks"]] == ["array", "program_buffer", "sequencer", "top"]
    assert content["blocks"][0]["parts"] == [
        {"name": "bank", "cells": 2000, "luts": 1500, "flip_flops": 512, "carries": 0, "memories": 0, "logic_cells": 0}
    ]
    assert content["total"]["cells"] == sum(block["cells"] for block in content["blocks"]) == 2404
    assert content["per_cam_bit"]["cells"]["tile"] == 2404 / 512
    assert content["flip_flops_beside_array"] == 50
    assert content["share_beside_array"] == 50 / 562
    assert content["timing"] is None
    assert content["place_and_route"]["frequency_mhz"] == 31.25
    assert content["notes"] == ["how cells count", "what is left out"]


def test_the_longest_path_of_gates_is_in_the_json() -> None:
    content = made_report(TINY, "gates").as_dict()
    assert content["timing"] == {
        "tool": "OpenSTA 2.0", "period_ns": 8.0, "start": "tags/_1_", "end": "counters/_2_"
    }  # fmt: skip
    assert content["library"] == "osu018_stdcells"
