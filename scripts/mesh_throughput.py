"""What the mesh takes when every node always has a flit to send: the table of docs/mesh.md.

    python -m scripts.mesh_throughput           4 x 4, queues of 2 and 4 flits; a minute with the cold build

Runs a mesh in Verilator with generators at all clusters and the host. Accepted are flits that left their sources;
received are the copies that arrived, more than that with multicasts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hw.accelerator.config import ACCELERATORS
from tests.hw.accelerator.mesh_checks import difference, period, run_traffic, wrong_sums
from tests.hw.accelerator.traffic import Pattern

WARM = 2_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="what the mesh takes when every node always has a flit to send")
    parser.add_argument("--config", default="mesh4x4", choices=ACCELERATORS, help="an accelerator (%(default)s)")
    parser.add_argument("--buffers", type=int, nargs="+", default=[2, 4], help="flits of each queue (%(default)s)")
    parser.add_argument("--cycles", type=int, default=20_000, help="cycles that are counted (%(default)s)")
    parser.add_argument("--simulator", default="verilator", help="simulator (%(default)s)")
    options = parser.parse_args(arguments)

    patterns = [pattern for pattern in Pattern if pattern != Pattern.MIXED]
    print("| pattern | flits in a queue | accepted flits / cycle / sender | received copies / cycle / receiver |")
    print("| --- | --- | --- | --- |")
    for buffer_flits in options.buffers:
        config = ACCELERATORS[options.config].replace(buffer_flits=buffer_flits)
        clusters = (1 << config.clusters) - 1
        periods = [
            period(
                pattern,
                options.cycles,
                warm=WARM,
                senders=1 << config.host if pattern == Pattern.FROM_HOST else clusters,
            )
            for pattern in patterns
        ]
        counts = run_traffic(periods, config, options.simulator)
        if wrong := wrong_sums(counts):
            raise SystemExit("\n".join(wrong))
        for pattern, count in zip(patterns, counts, strict=True):
            sent, received = (difference(count, name) for name in ("sent", "received"))
            rates = (sum(number) / sum(map(bool, number)) / options.cycles for number in (sent, received))
            print(f"| {pattern.name} | {buffer_flits} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |")


if __name__ == "__main__":
    main()
