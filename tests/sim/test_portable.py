"""Without simulators, and on systems that are not POSIX: what needs neither works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.reference import ROOT

ABSENT = """
import os, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("SIGPIPE", "SIGKILL", "SIGHUP", "SIGQUIT"):
    delattr(signal, name)
for name in ("killpg", "setsid", "fork", "getuid"):
    delattr(os, name)
from sim.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Takes away what Windows does not have, then runs the command."""


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "resnet18"],
        ["run", "resnet8", "--engine", "golden"],
        ["info"],
    ],
    ids=" ".join,
)
def test_no_simulator_and_no_posix(command: list[str], tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PATH", "VERILATOR_ROOT", "BFIMNA_CACHE")
    }
    environment |= {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, *command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout
