"""``bfimna wave``: a short run with waves, and a save file that opens them in GTKWave in a readable order."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import check_output, write_output
from sim.options import add_common, one_of

if TYPE_CHECKING:
    from golden.engine import Job, Outcome
    from hw.config import TileConfig

__all__ = ["EXAMPLES", "add_parser", "find_scope", "main", "operation_text", "save_file"]

EXAMPLES = {
    "LOAD": "",  # every example begins with one
    "STORE": "STORE planes a=0:4",
    "DRAIN": "INIT 5\nDRAIN d=8:4 block=0",
    "RESTORE": "RESTORE a=0:4 block=0",
    "DOT": "INIT 0\nDOT a=0:4 b=4:4\nDRAIN d=8:12 block=0",
    "FILL": "FILL d=8:4 constant=5",
    "COPY": "COPY a=0:4 d=8",
    "NOT": "NOT a=0:4 d=8",
    "AND": "AND a=0:4 b=4",
    "OR": "OR a=0:4 b=4",
    "XOR": "XOR a=0:4 b=4 d=8",
    "ADD": "ADD a=0:4 b=4:4 d=8",
    "SUB": "SUB a=0:4 b=4:4 d=8",
    "ADDC": "ADDC b=4:4 constant=5 d=8",
    "MUL": "CLEAR d=8:8\nMUL a=0:4 b=4:4 d=8",
    "MULC": "CLEAR d=8:7\nMULC b=4:4 constant=5:3 d=8",
    "MAX": "MAX a=0:4 b=4 d=8",
    "MIN": "MIN a=0:4 b=4 d=8",
    "MAXC": "MAXC b=4:4 constant=5 d=8",
    "MINC": "MINC b=4:4 constant=5 d=8",
    "RELU": "RELU b=4:4",
    "MOVE": "MOVE a=0:4 d=8 blocks=1",
}
"""An example of each instruction, on operands in columns 0 to 7."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "wave",
        help="record waves of a short run",
        description="Record the waves of an instruction, or of a network's first program, with a GTKWave save file.",
        allow_abbrev=False,
    )
    parser.add_argument("what", metavar="op|run", type=one_of("op", "run"), help="an instruction, or a network")
    parser.add_argument(
        "name", metavar="NAME", help='an instruction (ADD, or a whole line: "ADD a=0:4 b=4:4 d=8"), or a network'
    )
    parser.add_argument(
        "--output", metavar="FILE", default="wave.vcd", help="waves, ending in .vcd (default: wave.vcd)"
    )
    add_common(parser, "config", "sim", "seed", config="tiny")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Record the waves and write the save file beside them."""
    from hw.config import load_config
    from hw.verilog import TOP
    from sim.commands.verilog import describe
    from sim.engines import create_engine

    waves = Path(arguments.output)
    if waves.suffix != ".vcd":
        raise UserError(f"--output file must end in .vcd, not {waves.name!r}")
    save = waves.with_suffix(".gtkw")
    for file in (waves, save):
        check_output(str(file), "--output file")
    config = load_config(arguments.config)
    runner = _operation if arguments.what == "op" else _network
    job = runner(arguments.name, config, arguments.seed)
    with _whole(waves) as unfinished:
        engine = create_engine("rtl", config, seed=arguments.seed, simulator=arguments.sim, waves=unfinished)
        try:
            outcome = engine.run(job)
        finally:
            engine.close()
        scope = find_scope(unfinished, TOP) or TOP
    ports = {port["name"]: port["width"] for port in describe(config)["ports"]}
    write_output(str(save), save_file(waves, scope, _groups(ports)), "--output file")
    sys.stdout.write(f"{waves} and {save}: {outcome.cycles:,} cycles of {arguments.name} on {config.name}\n")
    return 0


def operation_text(name: str) -> str:
    """Return the program for the instruction *name*, or for one line of assembler text.

    Raises
    ------
    UserError
        If there is no such instruction.
    """
    words = name.split()
    mnemonic = words[0].upper() if words else ""
    if len(words) <= 1 and mnemonic not in EXAMPLES:
        raise UserError(f"instruction must be one of {', '.join(EXAMPLES)}, or a line of assembler text, not {name!r}")
    line = EXAMPLES[mnemonic] if len(words) == 1 else name
    return f"LOAD planes d=0:8\nSYNC 0\n{line}\nHALT\n"


def save_file(waves: Path, scope: str, groups: Mapping[str, Sequence[tuple[str, int]]]) -> str:
    """Return the text of a GTKWave save file.

    Parameters
    ----------
    waves : the wave file, which is named relative to the save file beside it.
    scope : path of the module in which the signals are.
    groups : title of each group, and names and widths of its signals.
    """
    from vcd.gtkw import GTKWSave

    buffer = io.StringIO()
    save = GTKWSave(buffer)
    save.dumpfile(waves.name, abspath=False)
    save.treeopen(f"{scope}.")
    save.sst_expanded(True)
    for title, signals in groups.items():
        with save.group(title):
            for name, width in signals:
                save.trace(f"{scope}.{name}" + (f"[{width - 1}:0]" if width > 1 else ""), datafmt="hex")
    return buffer.getvalue()


def find_scope(waves: Path, module: str) -> str | None:
    """Return the path of the first scope of a VCD file that is called *module*, or None.

    Verilator gives its outermost scope no name, which readers of the format refuse; it is left out of the path.
    """
    path: list[str] = []
    with waves.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["$scope"]:
                path.append(words[2] if len(words) == 4 else "")
                if path[-1] == module:
                    return ".".join(filter(None, path))
            elif words[:1] == ["$upscope"]:
                path.pop()
            elif words[:1] == ["$enddefinitions"]:
                break
    return None


def _groups(ports: Mapping[str, int]) -> dict[str, list[tuple[str, int]]]:
    """Sort the ports of the tile: clock first, then each stream, then the rest."""
    groups: dict[str, list[tuple[str, int]]] = {"clock": []}
    for name, width in ports.items():
        stream, separator, _ = name.partition("__")
        title = "clock" if name in {"clk", "rst"} else stream if separator else "status"
        groups.setdefault(title, []).append((name, width))
    return groups


def _operation(name: str, config: TileConfig, seed: int) -> Job:
    import numpy as np

    from golden.engine import Job
    from sim.assembler import assemble

    planes = np.random.default_rng(seed).integers(0, 2, (8, config.rows)).astype(np.uint8)
    return Job(assemble(operation_text(name), config), [planes])


def _network(name: str, config: TileConfig, seed: int) -> Job:
    """Return the first program that a network's first layer runs, on a random input."""
    import numpy as np

    from sim.host import run_graph
    from sim.models import load_model

    graph = load_model(name)
    wanted = graph.maps[graph.input]
    values = np.random.default_rng(seed).integers(0, 1 << wanted.bits, wanted.shape)
    recorder = _Recorder(config)
    with suppress(_FirstJob):
        run_graph(graph, [values], recorder, check=False)
    if recorder.job is None:
        raise UserError(f"network {name} runs no program on config {config.name}")
    return recorder.job


class _FirstJob(Exception):
    """Leaves a network once its first job is known."""


class _Recorder:
    """An engine that keeps the first job instead of running it."""

    def __init__(self, config: TileConfig) -> None:
        self.config = config
        self.job: Job | None = None

    def run(self, job: Job) -> Outcome:
        self.job = job
        raise _FirstJob

    def close(self) -> None:
        pass


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a file to write that becomes *target* when the block ends well, and goes away when it does not."""
    unfinished = target.with_name(f".{target.stem}.unfinished{target.suffix}")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        with suppress(OSError):
            unfinished.unlink()
