"""Interrupts in the middle of a real simulation: a quick end, no process left, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.models import data_file

CAT = str(data_file("cifar10/cifar10_00_3.png"))
SHIP = str(data_file("cifar10/cifar10_02_8.png"))
MARK = "BFIMNA_TEST_MARK"
START = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
runpy.run_module("sim", run_name="__main__", alter_sys=True)
"""


def marked(mark: str) -> dict[int, str]:
    """Return the processes that have *mark* in their environment, and their command lines."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def wait_until(what: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return what()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
@pytest.mark.parametrize(
    ("sent", "status", "text", "jobs"),
    [
        (signal.SIGINT, 130, "interrupted", 2),
        (signal.SIGTERM, 143, "terminated", 1),
        pytest.param(signal.SIGINT, 130, "interrupted", 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, "terminated", 2, marks=pytest.mark.slow),
    ],
)
def test_interrupted_simulation(sent: signal.Signals, status: int, text: str, jobs: int, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    mark = f"{os.getpid()}-{sent.name}-{jobs}"
    inputs = [CAT, SHIP] * 8
    command = ["run", "resnet8", "--input", *inputs, "--config", "small", "--jobs", str(jobs), "--json", str(target)]
    with subprocess.Popen(
        [sys.executable, "-c", START, *command],
        env={**os.environ, MARK: mark, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the signal is for the command, as from a supervisor, and not for its children
    ) as process:
        try:

            def simulators() -> int:
                return sum("/builds/" in line for line in marked(mark).values())

            assert wait_until(lambda: simulators() >= jobs or process.poll() is not None, 300)
            assert process.poll() is None
            time.sleep(0.5)
            process.send_signal(sent)
            started = time.monotonic()
            out, err = process.communicate(timeout=30)
            assert time.monotonic() - started < 10
        finally:
            process.kill()
    assert (process.returncode, out, err) == (status, "", f"bfimna: {text}\n")
    assert wait_until(lambda: not marked(mark), 5), marked(mark)
    assert list(tmp_path.iterdir()) == []
