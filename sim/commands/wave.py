"""``bfimna wave``: a short run with waves, and a save file that opens them in GTKWave in a readable order."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import check_output, write_output
from sim.options import add_common, nearest, one_of

if TYPE_CHECKING:
    from golden.engine import Job
    from hw.config import TileConfig

__all__ = ["EXAMPLES", "add_parser", "main", "operation_text"]

EXAMPLES = {
    "LOAD": "",  # every example begins with one
    "STORE": "STORE planes a=0:4",
    "DRAIN": "INIT 5\nDRAIN d=8:4 block=0",
    "RESTORE": "RESTORE a=0:4 block=0",
    "DOT": "INIT 0\nDOT a=0:4 b=4:4\nDRAIN d=8:12 block=0",
    "FILL": "FILL d=8:4 constant=5",
    "COPY": "COPY a=0:4 d=8",
    "NOT": "NOT a=0:4 d=8",
    "AND": "AND a=0:4 b=4 d=8",
    "OR": "OR a=0:4 b=4 d=8",
    "XOR": "XOR a=0:4 b=4 d=8",
    "ADD": "ADD a=0:4 b=4:4 d=8",
    "SUB": "SUB a=0:4 b=4:4 d=8",
    "ADDC": "ADDC b=4:4 constant=5 d=8",
    "RSUB": "RSUB a=0:4 b=4:4 d=8",
    "SUM": "CLEAR d=8:4\nSUM a=0:4 b=4:4 d=8",
    "DIFF": "CLEAR d=8:4\nDIFF a=0:4 b=4:4 d=8",
    "RDIFF": "CLEAR d=8:4\nRDIFF a=0:4 b=4:4 d=8",
    "MUL": "CLEAR d=8:8\nMUL a=0:4 b=4:4 d=8",
    "MULC": "CLEAR d=8:7\nMULC b=4:4 constant=5:3 d=8",
    "MAX": "MAX a=0:4 b=4:4 d=8",
    "MIN": "MIN a=0:4 b=4:4 d=8",
    "MAXC": "MAXC b=4:4 constant=5",
    "MINC": "MINC b=4:4 constant=5",
    "CLAMP": "CLAMP b=4:4 low=-3 high=5 signed=b",
    "RELU": "RELU b=4:4",
    "NEG": "NEG a=0:4 d=8 p=12",
    "ABS": "ABS a=0:4 d=8 p=12",
    "CMP": "CMP lt a=0:4 b=4:4 d=8",
    "CMPC": "CMPC lt b=4:4 constant=5 d=8",
    "MOVE": "MOVE a=0:4 d=8 blocks=1",
    "REDUCE": "COPY a=0:4 d=8\nREDUCE shift d=8 words=4:4 p=14",
}
"""An example of each instruction, on operands in columns 0 to 7."""


DESCRIPTION = """\
Record the waves of an instruction, or of the first program of a network's layer, as VCD.
Beside FILE.vcd it writes FILE.gtkw, which opens the waves in GTKWave with the signals
grouped, and FILE.*.txt, with which GTKWave shows instructions and states by name:

  bfimna wave op ADD
  bfimna wave op "MUL a=0:4 b=4:4 d=8" --config small
  bfimna wave run resnet8 --layer conv1
"""

CONFIGS_USED = {"op": "tiny", "run": "small"}
"""Configs that are just large enough, so that the waves stay small."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "wave",
        help="record waves of a short run",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("what", metavar="op|run", type=one_of("op", "run"), help="an instruction, or a network")
    parser.add_argument(
        "name", metavar="NAME", help='an instruction (ADD, or a whole line: "ADD a=0:4 b=4:4 d=8"), or a network'
    )
    parser.add_argument("--layer", metavar="NAME", help="layer of the network (default: the first that runs a program)")
    parser.add_argument(
        "--output", "-o", metavar="FILE", default="wave.vcd", help="waves, ending in .vcd (default: wave.vcd)"
    )
    add_common(parser, "config", "sim", "seed", config="tiny for op, small for run", simulator="icarus")
    parser.set_defaults(main=main, config=None)


def main(arguments: argparse.Namespace) -> int:
    """Record the waves and write the save file beside them; 1 when the tile raised its error port."""
    from hw.config import load_config
    from sim.engines import create_engine
    from sim.waves import read_header, save_file, tidy, translations, whole

    waves = Path(arguments.output)
    if waves.suffix != ".vcd":
        raise UserError(f"--output file must end in .vcd, not {waves.name!r}")
    if arguments.layer is not None and arguments.what == "op":
        raise UserError("--layer is for networks: bfimna wave run MODEL --layer NAME")
    config = load_config(arguments.config or CONFIGS_USED[arguments.what])
    if arguments.what == "op":
        what, job = arguments.name, _operation(arguments.name, config, arguments.seed)
    else:
        layer, job = _first_job(arguments.name, arguments.layer, config, arguments.seed)
        what = f"layer {layer} of {arguments.name}, its first program"
    texts = translations(config, job.program)
    save = waves.with_suffix(".gtkw")
    files = {name: waves.with_suffix(f".{name}.txt") for name in texts}
    for file in (waves, save, *files.values()):
        check_output(str(file), "--output file")
    with whole(waves) as unfinished:
        engine = create_engine("rtl", config, seed=arguments.seed, simulator=arguments.sim, waves=unfinished)
        try:
            outcome = engine.run(job)
        finally:
            engine.close()
        tidy(unfinished)
        shown = save_file(waves, read_header(unfinished), {name: file.name for name, file in files.items()})
        for name, text in texts.items():
            write_output(str(files[name]), text, "--output file")
        write_output(str(save), shown, "--output file")
    sys.stdout.write(f"{what} on {config.name}: {outcome.cycles:,} cycles, waves in {waves}; see: gtkwave {save}\n")
    if outcome.error:
        sys.stdout.write(f"the tile raised error {outcome.error.name} at instruction {outcome.address}\n")
        return 1
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


def _operation(name: str, config: TileConfig, seed: int) -> Job:
    import numpy as np

    from golden.engine import Job
    from sim.assembler import assemble

    planes = np.random.default_rng(seed).integers(0, 2, (8, config.rows)).astype(np.uint8)
    return Job(assemble(operation_text(name), config), [planes])


def _first_job(name: str, layer_name: str | None, config: TileConfig, seed: int) -> tuple[str, Job]:
    """Return a layer of a network and the first program that it runs, on a random input of the network.

    The layers before it are computed by the integer operators.
    """
    import numpy as np

    from golden import operators
    from golden.engine import Job
    from sim.mapping import layer_shape, plan_layer
    from sim.mapping.bits import to_bits
    from sim.mapping.plan import feeder
    from sim.models import load_model

    graph = load_model(name)
    names = [layer.name for layer in graph.layers]
    if layer_name is not None and layer_name not in names:
        raise UserError(f"layer must be one of {', '.join(names)}, not {layer_name!r}{nearest(layer_name, names)}")
    wanted = graph.maps[graph.input]
    values = np.random.default_rng(seed).integers(0, 1 << wanted.bits, wanted.shape)
    maps = {graph.input: values, **operators.run(graph, values)}
    for layer in graph.layers:
        if layer_name not in (None, layer.name):
            continue
        plan = plan_layer(layer_shape(layer, graph), config, layer)
        if plan.jobs:
            stored = [to_bits(maps[source].astype(np.int64), graph.maps[source].bits) for source in layer.inputs]
            planes = feeder(plan, layer)
            planes.begin(stored)
            first = plan.jobs[0]
            return layer.name, Job(first.program, [planes.planes(first, source) for source in first.loads])
    raise UserError(
        f"{f'layer {layer_name} of ' if layer_name else ''}network {name} runs no program, it only moves data"
    )
