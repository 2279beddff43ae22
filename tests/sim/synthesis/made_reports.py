"""Reports that no tool made, for tests of what is done with them."""

from __future__ import annotations

from hw.config import TileConfig
from sim.synthesis.blocks import Block
from sim.synthesis.counts import Counts
from sim.synthesis.place_and_route import PlaceAndRoute
from sim.synthesis.reports import Report
from sim.synthesis.targets import TARGETS
from sim.synthesis.timing import Timing

__all__ = ["made_report"]


def made_report(config: TileConfig, target: str) -> Report:
    """A report of a tile of three blocks; numbers are the same for every target."""
    bank = Block("bank", Counts(cells=2000, luts=1500, flip_flops=config.rows * config.columns, area_um2=5e4))
    array = Block("array", Counts(cells=100, luts=80, flip_flops=0, area_um2=1e3), (bank,))
    sequencer = Block("sequencer", Counts(cells=300, luts=250, flip_flops=50, carries=9, area_um2=2e3))
    buffer = Block("program_buffer", Counts(memory_bits=4096))
    return Report(
        config=config,
        target=TARGETS[target],
        tool="yosys 0.99",
        tile=Block("tile", Counts(cells=4, luts=4), (array, buffer, sequencer)),
        library="osu018_stdcells" if target == "gates" else None,
        timing=Timing("OpenSTA 2.0", 8.0, "tags/_1_", "counters/_2_") if target == "gates" else None,
        placed=PlaceAndRoute("nextpnr-ice40 0.9", "iCE40 HX8K, ct256", 3, 1834, 130, 7680, 31.25)
        if target == "ice40"
        else None,
        notes=("how cells count", "what is left out"),
    )
