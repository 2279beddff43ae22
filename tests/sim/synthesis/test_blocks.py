"""Blocks of a mapped design by instance path."""

from __future__ import annotations

from sim.synthesis.blocks import Block, read_blocks
from sim.synthesis.counts import Counts

OWN = {
    "tile": Counts(cells=1),
    "tile_array": Counts(cells=2, luts=2),
    "cam_bank": Counts(cells=10, luts=6, flip_flops=4),
    "tile_tags": Counts(cells=3, flip_flops=3),
}
HIERARCHY = {
    "modules": {
        "tile": {"cells": {"tags": {"type": "tile_tags"}, "array": {"type": "tile_array"}, "_1_": {"type": "LUT4"}}},
        "tile_array": {"cells": {"bank_0": {"type": "cam_bank"}, "bank_1": {"type": "cam_bank"}}},
        "cam_bank": {"cells": {}},
        "tile_tags": {"cells": {}},
    }
}


def test_banks_are_one_block_and_numbers_add_up() -> None:
    tile = read_blocks(HIERARCHY, "tile", OWN)
    bank = Block("bank", Counts(cells=20, luts=12, flip_flops=8))
    assert tile == Block(
        "tile", OWN["tile"], (Block("array", OWN["tile_array"], (bank,)), Block("tags", OWN["tile_tags"]))
    )
    assert tile.part("array").counts == Counts(cells=22, luts=14, flip_flops=8)
    assert tile.counts == Counts(cells=26, luts=14, flip_flops=11)


def test_a_part_that_is_not_there_is_empty() -> None:
    assert read_blocks(HIERARCHY, "tile", OWN).part("counters") == Block("counters", Counts())


def test_counts_are_added_and_multiplied() -> None:
    one = Counts(cells=2, area_um2=1.5, memory_bits=8, flip_flops=1)
    assert one * 3 + one == Counts(cells=8, area_um2=6.0, memory_bits=32, flip_flops=4)
    assert one + one * -1 == Counts()
