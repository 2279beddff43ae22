"""``bfimna exec``, ``asm`` and ``disasm``: one's own programs for a tile."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sim.errors import UserError
from sim.files import STANDARD_OUTPUT, check_output, read_input, write_output
from sim.options import add_common, one_of

if TYPE_CHECKING:
    from golden.engine import Bits, Outcome
    from hw.config import TileConfig
    from hw.isa import Program

__all__ = ["EXEC_ENGINES", "add_parser", "assemble_main", "disassemble_main", "exec_main"]

EXEC_ENGINES = ("rtl", "turbo", "golden", "model")
"""Engines that run programs; ``model`` knows cycles only."""


def add_parser(subparsers: Any) -> None:
    """Add the three commands to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "exec",
        help="run a program on a tile",
        description="Run a program (binary, or assembler text ending in .s) on a tile that starts with random cells, "
        "and compare its counters with the cycle laws. Ends with status 0 only if they are equal and nothing failed.",
        allow_abbrev=False,
    )
    parser.add_argument("program", metavar="PROGRAM", help="binary program, or assembler text in a file ending in .s")
    parser.add_argument("--planes", metavar="FILE", help=".npz with arrays load0, load1, ...: the planes of each LOAD")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help=".npz for the planes of each STORE, as store0, store1, ..."
    )
    parser.add_argument(
        "--engine", metavar="ENGINE", type=one_of(*EXEC_ENGINES), default="golden", help=", ".join(EXEC_ENGINES)
    )
    add_common(parser, "config", "sim", "seed", "json", config="small")
    parser.set_defaults(main=exec_main)

    parser = subparsers.add_parser(
        "asm", help="assemble a program", description="Turn assembler text into a binary program.", allow_abbrev=False
    )
    parser.add_argument("source", metavar="SOURCE", help="assembler text")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help="binary program (default: the source's name ending in .bin)"
    )
    add_common(parser, "config", config="small")
    parser.set_defaults(main=assemble_main)

    parser = subparsers.add_parser(
        "disasm", help="disassemble a program", description="Turn a binary program into text.", allow_abbrev=False
    )
    parser.add_argument("program", metavar="PROGRAM", help="binary program")
    parser.add_argument(
        "--output", "-o", metavar="FILE", default=STANDARD_OUTPUT, help="text (default: standard output)"
    )
    parser.set_defaults(main=disassemble_main)


def exec_main(arguments: argparse.Namespace) -> int:
    """Run a program; 1 when the tile raised its error port, or when a counter differs from its law."""
    from golden.engine import Job
    from golden.laws import run_law
    from golden.tile import job_law
    from hw.config import load_config
    from sim.engines import create_engine

    for target, what in ((arguments.json, "--json file"), (arguments.output, "--output file")):
        if target is not None:
            check_output(target, what)
    if arguments.output == STANDARD_OUTPUT == arguments.json:
        raise UserError("--json and --output must not both be standard output")
    config = load_config(arguments.config)
    program = _program(arguments.program, config)
    program.check(config)
    planes = [] if arguments.engine == "model" else _planes(arguments.planes, program, config)
    job = Job(program, planes)
    # Without data the laws are all that there is: they skip nothing.
    law = run_law(program, config) if arguments.engine == "model" else job_law(job, config, arguments.seed)
    options = {"simulator": arguments.sim} if arguments.engine == "rtl" else {}
    engine = create_engine(arguments.engine, config, seed=arguments.seed, **options)
    try:
        outcome = engine.run(job)
    finally:
        engine.close()
    if arguments.output is not None:
        write_output(arguments.output, _packed(outcome.planes), "--output file")
    if arguments.json is not None:
        write_output(arguments.json, _outcome_json(outcome, law, config, arguments), "--json file")
    to_standard_output = STANDARD_OUTPUT in (arguments.json, arguments.output)
    stream = sys.stderr if to_standard_output else sys.stdout
    _print_counters(outcome, law, stream)
    if outcome.error:
        stream.write(f"the tile raised error {outcome.error.name} at instruction {outcome.address}\n")
        return 1
    counted = {name: value for name, value in outcome.counters.items() if name in law and name != "cycles.stall"}
    different = [name for name, value in counted.items() if value != law[name]]
    for name in different:
        stream.write(f"DIFFERENCE {name}: {outcome.counters[name]:,}, the law says {law[name]:,}\n")
    return 1 if different else 0


def _print_counters(outcome: Outcome, law: dict[str, int], stream: TextIO) -> None:
    """Print what the tile counted beside what the laws say; they say nothing of activity."""
    from hw.counter_map import total_cycles

    rows = [("counter", "counted", "law")]
    for name, value in outcome.counters.items():
        if not name.startswith("identity."):
            rows.append((name, f"{value:,}", f"{law[name]:,}" if name in law else "-"))
    rows.append(("all cycles", f"{outcome.cycles:,}", f"{total_cycles(law):,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, counted, said in rows:
        stream.write(f"{name:<{widths[0]}}  {counted:>{widths[1]}}  {said:>{widths[2]}}\n")


def assemble_main(arguments: argparse.Namespace) -> int:
    """Assemble a program."""
    from hw.config import load_config
    from sim.assembler import assemble

    source = Path(arguments.source)
    target = arguments.output if arguments.output is not None else str(source.with_suffix(".bin"))
    if target == arguments.source:
        raise UserError(f"--output file must not be the source {target} itself")
    check_output(target, "--output file")
    program = assemble(_text(source), load_config(arguments.config))
    write_output(target, program.to_bytes(), "--output file")
    return 0


def disassemble_main(arguments: argparse.Namespace) -> int:
    """Disassemble a program."""
    from hw.isa import Program
    from sim.assembler import disassemble

    check_output(arguments.output, "--output file")
    program = Program.from_bytes(read_input(arguments.program, "program"))
    write_output(arguments.output, disassemble(program), "--output file")
    return 0


def _program(file: str, config: TileConfig) -> Program:
    from hw.isa import Program
    from sim.assembler import assemble

    if Path(file).suffix in {".s", ".asm"}:
        return assemble(_text(file), config)
    return Program.from_bytes(read_input(file, "program"))


def _text(file: str | Path) -> str:
    content = read_input(file, "source")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UserError(f"source {file} must be text in UTF-8") from None


def _planes(file: str | None, program: Program, config: TileConfig) -> list[Bits]:
    """Return the planes of every LOAD that *program* executes, from a file that holds exactly these."""
    import numpy as np

    from golden.laws import plane_size
    from hw.isa import Opcode

    loads = [op for op in program.executed() if op.opcode == Opcode.LOAD]
    if file is None:
        if loads:
            raise UserError(f"--planes is missing: the program executes {len(loads)} LOADs")
        return []
    try:
        with np.load(io.BytesIO(read_input(file, "--planes file")), allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError) as error:
        raise UserError(f"--planes file {file} is not a readable .npz file") from error
    if set(arrays) != {f"load{index}" for index in range(len(loads))}:
        wanted = f"load0 to load{len(loads) - 1}" if loads else "nothing"
        raise UserError(f"--planes file {file} must hold {wanted}, it holds {', '.join(sorted(arrays)) or 'nothing'}")
    for index, op in enumerate(loads):
        shape = (op.d_width, plane_size(op, config))
        array = arrays[f"load{index}"]
        if array.shape != shape or not np.isin(array, (0, 1)).all():
            raise UserError(
                f"--planes file {file}: load{index} must be zeros and ones of shape {shape}, not of shape {array.shape}"
            )
    return [arrays[f"load{index}"].astype(np.uint8) for index in range(len(loads))]


def _packed(planes: Sequence[Bits]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"store{index}": one for index, one in enumerate(planes)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _outcome_json(outcome: Outcome, law: dict[str, int], config: TileConfig, arguments: argparse.Namespace) -> str:
    from sim.report import SCHEMA, json_text, version

    return json_text(
        {
            "schema": SCHEMA,
            "bfimna": version(),
            "program": arguments.program,
            "engine": arguments.engine,
            "seed": arguments.seed,
            "config_hash": config.hash_text,
            "config": config.as_dict(),
            "counters": outcome.counters,
            "cycles": outcome.cycles,
            "law": law,
            "error": None if not outcome.error else {"code": outcome.error.name, "instruction": outcome.address},
        }
    )
