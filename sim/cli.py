"""The command ``bfimna``: finds the subcommand, and turns every way to fail into one line and a status.

========  ==============================================================
status    meaning
========  ==============================================================
0         all went well
1         results differ, or a simulation failed
2         a user's mistake: one line says what is wrong and what would be right
130, 143  interrupted, terminated; nothing is half-written, simulators are gone
========  ==============================================================
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from sim.commands import evaluate, info, program, run, search, sweep, table, verilog, wave
from sim.errors import UserError, one_line

__all__ = ["entry_point", "main"]

COMMANDS = ("run", "evaluate", "sweep", "table", "search", "exec", "asm", "disasm", "info", "verilog", "wave")

BROKEN_PIPE = 128 + 13
"""The status of a shell for a process that SIGPIPE ended; not every system has that signal."""

USER_ERRORS = (
    ("hw.config", "ConfigError"),
    ("hw.isa", "ProgramError"),
    ("sim.importers", "ModelError"),
    ("golden.rescale", "NoExactRescaleError"),
)
"""Exceptions of modules that know nothing of the command line, but mean a user's mistake."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`UserError` instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong as one line, with where to read what would be right."""
        # "argument --seed: must be ..." reads better as "--seed must be ..."
        if message.startswith("argument "):
            message = message.removeprefix("argument ").replace(": ", " ", 1)
        raise UserError(f"{one_line(Exception(message))}; see {self.prog} --help")


class TerminatedError(BaseException):
    """SIGTERM has arrived; a BaseException so that clean-up runs and nothing takes it for a failure."""


def make_parser() -> Parser:
    """Return the parser of all subcommands."""
    parser = Parser(
        prog="bfimna",
        description="Runs quantised networks on an associative-processor tile, cycle for cycle.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for module in (run, evaluate, sweep, table, search, program, info, verilog, wave):
        module.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments* (default: this process's) and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(given)
    except KeyboardInterrupt:
        return _say("interrupted", 128 + signal.SIGINT)
    except TerminatedError:
        return _say("terminated", 128 + signal.SIGTERM)
    except BrokenPipeError:
        # Who reads our output has gone; there is nobody to tell. Python must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if is_user_error(error):
            return _say(one_line(error), 2)
        if is_instance_of(error, "sim.runner", "SimulationError") or is_instance_of(
            error, "golden.engine", "TileError"
        ):
            return _say(str(error), 1)
        raise


def entry_point() -> NoReturn:
    """Run as a program: like :func:`main`, with SIGTERM ending it in the same orderly way as an interrupt."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())


def is_user_error(error: BaseException) -> bool:
    """Return whether *error* means a user's mistake."""
    return isinstance(error, UserError) or any(is_instance_of(error, *name) for name in USER_ERRORS)


def is_instance_of(error: BaseException, module: str, name: str) -> bool:
    """Return whether *error* is of a class of a module that need not have been imported."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(error, found)


def _dispatch(given: list[str]) -> int:
    if not given:
        raise UserError(f"a command is missing: {', '.join(COMMANDS)}; see bfimna --help")
    if not given[0].startswith("-") and given[0] not in COMMANDS:
        raise UserError(f"command must be one of {', '.join(COMMANDS)}, not {given[0]!r}")
    parser = make_parser()
    arguments = parser.parse_args(given)
    if arguments.version:
        from sim.report import version

        sys.stdout.write(f"bfimna {version()}\n")
        return 0
    status: int = arguments.main(arguments)
    sys.stdout.flush()
    return status


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"bfimna: {'error: ' if status < 128 else ''}{text}\n")
    return status


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise TerminatedError
