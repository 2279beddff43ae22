"""``bfimna wave``: a short run with waves, files that open them in GTKWave in a readable order, and pictures."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import STANDARD_OUTPUT, check_output, write_output
from sim.options import add_common, nearest, one_of

if TYPE_CHECKING:
    from golden.engine import Job, Outcome
    from hw.config import TileConfig
    from sim.waves.passes import Trace

__all__ = ["EXAMPLES", "add_parser", "layer_job", "main", "operation_text"]

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


LOADS = "LOAD planes d=0:8\nSYNC 0\n"
"""What comes before an instruction: random bits into columns 0 to 7."""


DESCRIPTION = """\
Record the waves of an instruction, or of one program of a network's layer, as VCD or FST.
Beside FILE.vcd it writes FILE.gtkw, which opens the waves in GTKWave with the signals
grouped and markers where passes begin, and FILE.*.txt, with which GTKWave shows
instructions and states by name. Pictures show the passes one by one: for each its key and
mask, the rows that matched, and the cells that it changed.

  bfimna wave op ADD
  bfimna wave op "MUL a=0:4 b=4:4 d=8" --config small --output mul.fst
  bfimna wave op ADD --svg add.svg --html add.html
  bfimna wave run resnet8 --layer conv1 --fill 3
"""

CONFIGS_USED = {"op": "tiny", "run": "small"}
"""Configs that are just large enough, so that the waves stay small."""

PICTURES = {
    "svg": "a table of the passes, as SVG",
    "png": "the same as PNG",
    "html": "a page of its own with a slider over the passes",
    "wavedrom": "the passes as JSON for WaveDrom, or as its SVG where the name ends in .svg",
}
"""Options for pictures, and what each writes."""

OF_NETWORKS = {"layer": "NAME", "fill": "N"}
"""Options that only a network has, and what they take."""

DEFAULT_OUTPUT = "wave.vcd"

FORMATS = (".vcd", ".fst")
"""Suffixes of wave files."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "wave",
        help="record waves of a short run, and draw its passes",
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
        "--fill",
        metavar="N",
        type=_integer,
        help="which program of the layer, from 0; each fills the rows with other outputs of the layer (default: 0)",
    )
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help=f"waves, ending in .vcd or .fst (default: {DEFAULT_OUTPUT}, or none where a picture is asked for)",
    )
    parser.add_argument(
        "--full", action="store_true", help="waves of every signal that has a name (default: chosen ones)"
    )
    for option, what in PICTURES.items():
        parser.add_argument(f"--{option}", metavar="FILE", help=f"{what}, '-' for standard output")
    parser.add_argument(
        "--passes", metavar="FIRST-LAST", type=_passes, help="passes that pictures show, from 1 (default: all)"
    )
    add_common(parser, "config", "sim", "seed", config="tiny for op, small for run", simulator="icarus")
    parser.set_defaults(main=main, config=None)


def main(arguments: argparse.Namespace) -> int:
    """Record the waves, write what was asked for; 1 when the tile raised its error port."""
    from hw.config import load_config

    pictures = {option: target for option in PICTURES if (target := getattr(arguments, option)) is not None}
    waves = _checked_outputs(arguments, pictures)
    for option in ("layer", "fill"):
        if getattr(arguments, option) is not None and arguments.what == "op":
            raise UserError(f"--{option} is for networks: bfimna wave run MODEL --{option} {OF_NETWORKS[option]}")
    config = load_config(arguments.config or CONFIGS_USED[arguments.what])
    if arguments.what == "op":
        what = "; ".join(line.strip() for line in arguments.name.splitlines())
        job = _operation(arguments.name, config, arguments.seed)
    else:
        what, job = layer_job(arguments.name, arguments.layer, arguments.fill or 0, config, arguments.seed)
    with _recording(waves) as unfinished:
        outcome = _record(unfinished, waves, what, job, config, pictures, arguments)
    stream = sys.stderr if STANDARD_OUTPUT in pictures.values() else sys.stdout
    written = ", ".join(f"{option} in {target}" for option, target in pictures.items() if target != STANDARD_OUTPUT)
    if waves is not None:
        save = waves.with_suffix(".gtkw")
        written = f"waves in {waves}; see: gtkwave {save}" + (f"; {written}" if written else "")
    stream.write(f"{what} on {config.name}: {outcome.cycles:,} cycles{', ' if written else ''}{written}\n")
    if outcome.error:
        stream.write(f"the tile raised error {outcome.error.name} at instruction {outcome.address}\n")
        return 1
    return 0


def _checked_outputs(arguments: argparse.Namespace, pictures: Mapping[str, str]) -> Path | None:
    """Return the wave file, None where none is wanted; everything that is written can be."""
    from sim.waves.fst import find_converter
    from sim.waves.signals import TRANSLATED
    from sim.waves.wavedrom import find_renderer

    if arguments.passes is not None and not pictures:
        raise UserError(f"--passes is for pictures: one of {', '.join(f'--{option}' for option in PICTURES)}")
    if list(pictures.values()).count(STANDARD_OUTPUT) > 1:
        raise UserError("only one picture can go to standard output")
    files = [(target, f"--{option} file") for option, target in pictures.items()]
    if _is_svg(pictures.get("wavedrom", "")):
        find_renderer()
    if arguments.output is None and pictures:
        _check_files(files)
        return None
    waves = Path(arguments.output or DEFAULT_OUTPUT)
    if waves.suffix not in FORMATS:
        raise UserError(f"--output file must end in {' or '.join(FORMATS)}, not {waves.name!r}")
    if waves.suffix == ".fst":
        find_converter()
    suffixes = (waves.suffix, ".gtkw", *(f".{name}.txt" for name in sorted(set(TRANSLATED.values()))))
    _check_files([*files, *((str(waves.with_suffix(suffix)), "--output file") for suffix in suffixes)])
    return waves


def _check_files(files: Sequence[tuple[str, str]]) -> None:
    """Refuse files, each with what it is, that cannot be written or are the same."""
    seen: dict[Path, str] = {}
    for target, what in files:
        check_output(target, what)
        if target == STANDARD_OUTPUT:
            continue
        path = Path(target).resolve()
        if path in seen:
            raise UserError(f"{seen[path]} and {what} must be different files, not {target} twice")
        seen[path] = what


@contextmanager
def _recording(waves: Path | None) -> Iterator[Path]:
    """Give a file to record into, which becomes the wave file in the end where one is wanted."""
    from sim.waves.recording import whole

    if waves is None:
        with tempfile.TemporaryDirectory(prefix="bfimna-waves-") as folder:
            yield Path(folder) / DEFAULT_OUTPUT
    else:
        with whole(waves) as unfinished:
            yield unfinished


def _record(
    unfinished: Path,
    waves: Path | None,
    what: str,
    job: Job,
    config: TileConfig,
    pictures: Mapping[str, str],
    arguments: argparse.Namespace,
) -> Outcome:
    """Run the job, and write pictures and what stands beside the wave file."""
    from sim.engines import create_engine
    from sim.waves.recording import tidy
    from sim.waves.replay import replay
    from sim.waves.signals import kept_signals

    recorded = unfinished.with_suffix(".vcd")
    engine = create_engine("rtl", config, seed=arguments.seed, simulator=arguments.sim, waves=recorded)
    try:
        outcome = engine.run(job)
    finally:
        engine.close()
    tidy(recorded, None if arguments.full else kept_signals())
    if pictures:
        [trace] = replay(recorded, [job], config, [f"{what} on {config.name}"], arguments.passes)
        for option, target in pictures.items():
            _draw(option, trace, target)
    if waves is not None:
        _finish(recorded, unfinished, waves, job, config)
    return outcome


def _finish(recorded: Path, unfinished: Path, waves: Path, job: Job, config: TileConfig) -> None:
    """Make waves with passes of recorded ones, and write the files with which GTKWave shows them as *waves*."""
    from sim.waves.derived import add_passes
    from sim.waves.fst import to_fst
    from sim.waves.gtkwave import save_file, translations
    from sim.waves.recording import read_header
    from sim.waves.replay import steps

    markers = add_passes(recorded, steps(recorded, [job], config), job.program, config.rows)
    if unfinished.suffix == ".fst":
        to_fst(recorded, unfinished)
    texts = translations(config, job.program)
    files = {name: waves.with_suffix(f".{name}.txt") for name in texts}
    names = {name: file.name for name, file in files.items()}
    for name, text in texts.items():
        write_output(str(files[name]), text, "--output file")
    shown = save_file(waves, read_header(recorded), names, markers)
    write_output(str(waves.with_suffix(".gtkw")), shown, "--output file")


def _draw(option: str, trace: Trace, target: str) -> None:
    """Draw passes as the option says."""
    if option == "png":
        from sim.waves.picture import write_png

        write_png(trace, target)
        return
    if option == "svg":
        from sim.waves.picture import svg_text

        text = svg_text(trace)
    elif option == "html":
        from sim.waves.page import html_text

        text = html_text(trace)
    elif _is_svg(target):
        from sim.waves.wavedrom import wavedrom_svg

        text = wavedrom_svg(trace)
    else:
        from sim.waves.wavedrom import wavedrom_json

        text = json.dumps(wavedrom_json(trace), indent=1) + "\n"
    write_output(target, text, f"--{option} file")


def _is_svg(name: str) -> bool:
    return name.lower().endswith(".svg")


def _integer(text: str) -> int:
    """Take an integer; its range is known later."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, not {text!r}") from None


def _passes(text: str) -> range:
    """Take the passes of ``--passes``, ``3-17`` or ``3``."""
    found = re.fullmatch(r"([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?", text)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise argparse.ArgumentTypeError(f"must be two numbers from 1, as 3-17, not {text!r}")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


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
        raise UserError(
            f"instruction must be one of {', '.join(EXAMPLES)}, or a line of assembler text, not {name!r}"
            f"{nearest(mnemonic, EXAMPLES)}"
        )
    line = EXAMPLES[mnemonic] if len(words) == 1 else name
    return f"{LOADS}{line}\nHALT\n"


def _operation(name: str, config: TileConfig, seed: int) -> Job:
    import numpy as np

    from golden.engine import Job
    from hw.isa import ProgramError
    from sim.assembler import assemble

    text = operation_text(name)
    try:
        program = assemble(text, config)
    except ProgramError as error:
        raise ProgramError(_as_given(str(error), name)) from error
    planes = np.random.default_rng(seed).integers(0, 2, (8, config.rows)).astype(np.uint8)
    return Job(program, [planes])


def _as_given(text: str, name: str) -> str:
    """An error of the assembler with the line's number in what was given, or without it if that is a single line."""
    found = re.match(r"line (\d+): ", text)
    count = len(name.splitlines())
    if found is None:
        return text
    number = int(found[1]) - LOADS.count("\n")
    return f"line {min(number, count)}: {text[found.end() :]}" if count > 1 else text[found.end() :]


def layer_job(name: str, layer_name: str | None, number: int, config: TileConfig, seed: int) -> tuple[str, Job]:
    """Return a program of a layer of a network, on a random input of the network, and a text that says which it is.

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
    plans = (
        (layer, plan_layer(layer_shape(layer, graph), config, layer))
        for layer in graph.layers
        if layer_name in (None, layer.name)
    )
    layer, plan = next(((layer, plan) for layer, plan in plans if plan.jobs), (None, None))
    if layer is None or plan is None:
        where = f"layer {layer_name} of " if layer_name else ""
        raise UserError(f"{where}network {name} runs no program, it only moves data")
    count = len(plan.jobs)
    if not 0 <= number < count:
        raise UserError(
            f"--fill must be from 0 to {count - 1}, as layer {layer.name} takes {count} "
            f"program{'s' if count != 1 else ''} on {config.name}, not {number}"
        )
    wanted = graph.maps[graph.input]
    values = np.random.default_rng(seed).integers(0, 1 << wanted.bits, wanted.shape)
    maps = {graph.input: values, **operators.run(graph, values)}
    planes = feeder(plan, layer)
    planes.begin([to_bits(maps[source].astype(np.int64), graph.maps[source].bits) for source in layer.inputs])
    job = plan.jobs[number]
    what = f"layer {layer.name} of {name}, program {number} of 0 to {count - 1}"
    return what, Job(job.program, planes.job_planes(job))
