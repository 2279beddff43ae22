"""Measures activity on the golden tile: the shares of compared rows that match and of driven cells that are written."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np

from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from sim.host import run_graph
from sim.models import data_file, load_model
from sim.pictures import load_inputs

CASES = (("count", "cap"), ("lut", "cap2d"))
PICTURE = "cifar10/cifar10_00_3.png"


def shares(mode: str, config: TileConfig, picture: str = PICTURE) -> tuple[float, float]:
    """Rows matched by rows compared, and cells written by cells of driven columns, over all of ResNet-8."""
    graph = load_model("resnet8")
    (found,) = load_inputs([data_file(picture)], graph.maps[graph.input])
    result = run_graph(graph, [found.values.astype(np.int64) + 128], GoldenTile(config), mode=mode)
    events: Counter[str] = Counter()
    for layer in result.layers:
        events.update(layer.counters)
    return (
        events["activity.rows_matched"] / (events["events.compares"] * config.rows),
        events["activity.cells_written"] / (events["events.written_columns"] * config.rows),
    )


def main() -> int:
    argparse.ArgumentParser(description=__doc__, allow_abbrev=False).parse_args()
    print("| mode | config | matching_rows | tagged_rows |\n| --- | --- | ---: | ---: |")
    for mode, name in CASES:
        matching, tagged = shares(mode, CONFIGS[name].replace(activity=True))
        print(f"| {mode} | {name} | {matching:.5f} | {tagged:.5f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
