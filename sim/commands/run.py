"""``bfimna run``: pictures through a network on an engine."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.files import STANDARD_OUTPUT, check_output, read_input, write_output
from sim.options import ENGINE_HELP, MODE_HELP, add_common, parse_bits, whole_number
from sim.work.way import Way

if TYPE_CHECKING:
    from golden.graph import Graph
    from hw.accelerator.config import AcceleratorConfig
    from hw.config import TileConfig
    from sim.pictures import NetworkInput
    from sim.report import RunReport

__all__ = ["PARALLEL_ENGINES", "SPIKING_MODEL", "RunRequest", "add_parser", "main", "prepare", "show"]


DESCRIPTION = """\
Run pictures or arrays through a quantised network, and count the cycles of every layer.
Ends with status 0 only if the output of every layer equals that of the integer operators
and its cycles equal the law, else with 1.
"""

DEFAULT_INPUT = "cifar10/cifar10_00_3.png"
"""Packaged picture that a trained built-in network runs when none is named."""

SPIKING_MODEL = "digits-snn"
"""The packaged spiking network, which :mod:`sim.commands.run_spiking` prepares."""

PARALLEL_ENGINES = ("rtl", "turbo", "golden")
"""Engines whose work takes long enough to be shared out over processes."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Everything that a run of a network depends on.

    Parameters
    ----------
    model : the name that reports print.
    graph : the network, in the model's own widths.
    config : the tile, or the accelerator.
    inputs : at least one.
    engine : one of :data:`sim.options.ENGINES`.
    simulator : name of the simulator, for engine ``rtl``.
    mode : one of :data:`sim.options.MODES`.
    bits : widths for all layers, a file with widths, or None for the model's own.
    seed : of all random numbers.
    way : how the work is shared out, and whether finished layers are kept.
    note : why the network's class means nothing; empty where it means something.
    """

    model: str
    graph: Graph
    config: TileConfig | AcceleratorConfig
    inputs: list[NetworkInput]
    engine: str
    simulator: str
    mode: str
    bits: int | Path | None
    seed: int
    way: Way = field(default_factory=Way)
    note: str = ""


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "run",
        help="run pictures through a network",
        description=DESCRIPTION,
        epilog=f"{ENGINE_HELP}\n{MODE_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a trained network (resnet8, or a .tflite or .onnx file), or alexnet, vgg16, resnet18 or resnet50, which "
        "have random weights: their class means nothing; or digits-snn, a spiking network of digits",
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        nargs="+",
        help="pictures, or .npy arrays (int8 as is, float quantised); built-in networks have one of their own",
    )
    add_common(parser, "config", "mode")
    parser.add_argument(
        "--bits",
        metavar="N|NAME|FILE",
        help="operand widths: 1 to 16, or a JSON file with widths by layer; with random weights also hawq-v3/NAME "
        "(default: the model's own, 8 with random weights); for digits-snn 8x16 or 4x10, weights x potentials",
    )
    parser.add_argument(
        "--array",
        metavar="ARRAY",
        help="for digits-snn: flexspim, a macro for spiking networks (default), or ap, the associative processor",
    )
    add_common(parser, "engine", "sim", "seed")
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=whole_number(1, 1024),
        default=1,
        help="processes that share the inputs, and the parts of each layer (default: 1)",
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="let the workers of a Dask scheduler do it, such as tcp://host:8786"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run of the same was, layer by layer"
    )
    parser.add_argument(
        "--independent",
        action="store_true",
        help="start each layer from the maps of the integer operators, so that all layers can run at once; its output "
        "is compared with what the next one starts from",
    )
    add_common(parser, "json")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the network; 0 when everything that should be equal is, else 1."""
    if arguments.json is not None:
        check_output(arguments.json, "--json file")
    if arguments.model == SPIKING_MODEL:
        from sim.commands.run_spiking import prepare_spiking
        from sim.spiking.run import run_spiking

        return show(run_spiking(prepare_spiking(arguments)), arguments.json)
    if arguments.array is not None:
        raise UserError(f"--array is only for {SPIKING_MODEL}, not for {arguments.model}")
    request = prepare(arguments)
    from sim.host import run_network

    report = run_network(request)
    status = show(report, arguments.json)
    if report.journal is not None:
        report.journal.unlink(missing_ok=True)
    return status


def prepare(arguments: argparse.Namespace) -> RunRequest:
    """Read what the command line names, quickest first, and refuse what does not fit."""
    from hw.accelerator.named import load_system
    from hw.config import TileConfig
    from sim.models import MODEL_FILES, MODELS, PICTURE, data_file
    from sim.networks.named import NETWORKS
    from sim.pictures import load_inputs
    from sim.tools import find_compiler, find_simulator

    described = arguments.model in NETWORKS
    bits = None if described or arguments.bits is None else _bits(arguments.bits)
    if arguments.input is None and arguments.model not in MODELS and arguments.model.lower().endswith(MODEL_FILES):
        raise UserError("--input must be given for a model that is not built in")
    shared = _shared(arguments)
    if shared and arguments.engine not in PARALLEL_ENGINES:
        rule = "must be 1 for" if shared[0] == "--jobs" else "is not for"
        raise UserError(
            f"{shared[0]} {rule} engine {arguments.engine}: only rtl, turbo and golden share out their work"
        )
    config = load_system(arguments.config)
    if not isinstance(config, TileConfig):
        for option, value, only in (("--mode", arguments.mode, "count"), ("--jobs", arguments.jobs, 1)):
            if value != only:
                raise UserError(f"{option} must be {only} for an accelerator ({config.name}), not {value}")
        if shared:
            raise UserError(f"{shared[0]} is not for an accelerator ({config.name}), whose layers run together")
        if arguments.engine == "turbo":
            raise UserError(
                f"--engine must be rtl, golden, model or integer for an accelerator ({config.name}), not turbo"
            )
    if arguments.engine in ("rtl", "turbo"):
        simulator = arguments.sim if arguments.engine == "rtl" else "verilator"
        find_simulator(simulator)
        if simulator == "verilator":
            find_compiler()
    graph = _network(arguments.model, arguments.bits)
    return RunRequest(
        model=graph.name,
        graph=graph,
        config=config,
        inputs=load_inputs(
            arguments.input or [data_file(PICTURE if described else DEFAULT_INPUT)],
            graph.maps[graph.input],
            half_even=graph.half_even_input,
            fit=described,
        ),
        engine=arguments.engine,
        simulator=arguments.sim,
        mode=arguments.mode,
        bits=bits,
        seed=arguments.seed,
        way=Way(
            jobs=arguments.jobs,
            cluster=arguments.cluster,
            independent=arguments.independent,
            journal=arguments.engine in PARALLEL_ENGINES and isinstance(config, TileConfig),
            resume=arguments.resume,
        ),
        note=_note() if described else "",
    )


def _shared(arguments: argparse.Namespace) -> list[str]:
    """The options that ask for parts of a run to be done by themselves."""
    if arguments.cluster is not None and arguments.jobs > 1:
        raise UserError("--jobs must be 1 with --cluster, whose workers do everything")
    asked = {
        "--jobs": arguments.jobs > 1,
        "--cluster": arguments.cluster is not None,
        "--resume": arguments.resume,
        "--independent": arguments.independent,
    }
    return [option for option, given in asked.items() if given]


def _note() -> str:
    """What reports say of networks with random weights."""
    from sim.networks.weights import NOTE

    return NOTE


def _network(model: str, bits: str | None) -> Graph:
    """The network with its constants; ``bits`` are of account where weights are random."""
    from sim.models import MODELS, PICTURE, data_file, load_described, load_model
    from sim.networks.kept import kept_graph
    from sim.networks.named import NETWORKS

    if model in NETWORKS:
        widths = read_input(bits, "--bits file") if bits is not None and Path(bits).is_file() else b""
        source = repr((model, bits, widths, data_file(PICTURE).read_bytes()))
        return kept_graph(source, lambda: load_described(model, bits))
    if model in MODELS or (model.lower().endswith(".tflite") and Path(model).is_file()):
        content = read_input(data_file(MODELS[model]) if model in MODELS else model, "model")
        return kept_graph(repr((Path(model).stem, content)), lambda: load_model(model, NETWORKS))
    return load_model(model, (*NETWORKS, SPIKING_MODEL))


def _bits(text: str) -> int | Path:
    """The widths of a trained network."""
    try:
        return parse_bits(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--bits {error}; see bfimna run --help") from error


def show(report: RunReport, json_target: str | None) -> int:
    """Print *report* for people and write it for programs; return the exit status that it deserves."""
    from sim.report import differences, json_text, print_run, run_json

    if json_target is not None:
        write_output(json_target, json_text(run_json(report)), "--json file")
    # With JSON on standard output, people read on standard error.
    stream = sys.stderr if json_target == STANDARD_OUTPUT else sys.stdout
    if report.spiking is None:
        print_run(report, stream)
    else:
        from sim.spiking.printed import print_spiking

        print_spiking(report, stream)
    return 1 if differences(report) else 0
