"""Compares the simulation speed of this checkout with another one, in one run.

    python scripts/compare_speed.py FOLDER            ResNet-8 on config cap in both, by turns, five times

Both simulate the same picture with the same Python and simulator.  A round's figure is simulated tile cycles per second
of wall time; the ratio printed is the median of the rounds' ratios, this checkout to the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def cycles_per_second(folder: Path, config: str) -> float:
    """Run ResNet-8 in a checkout and return its speed.

    Raises
    ------
    subprocess.CalledProcessError
        If the run fails.
    """
    command = [sys.executable, "-m", "sim", "run", "resnet8", "--engine", "rtl", "--config", config, "--json", "-"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    report = json.loads(done.stdout)
    return float(report["total"]["cycles"] / report["wall_s"]["simulate"])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="another checkout")
    parser.add_argument("--config", default="cap", help="a named config that both have (default: cap)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: 5)")
    arguments = parser.parse_args()
    if not (arguments.folder / "sim" / "__main__.py").is_file():
        print(f"error: FOLDER must be a checkout of this project, not {arguments.folder}", file=sys.stderr)
        return 2
    try:
        for folder in (HERE, arguments.folder):
            cycles_per_second(folder, arguments.config)  # builds, and warms the caches
        pairs = [
            tuple(cycles_per_second(folder, arguments.config) for folder in (HERE, arguments.folder))
            for _ in range(arguments.rounds)
        ]
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(error.stderr.split())}", file=sys.stderr)
        return 1
    for ours, theirs in pairs:
        print(f"this {ours:,.0f} cycles/s, other {theirs:,.0f} cycles/s, ratio {ours / theirs:.2f}")
    print(f"median ratio {statistics.median(ours / theirs for ours, theirs in pairs):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
