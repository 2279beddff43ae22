"""Runs one program to its end, and never leaves it running when this process ends, however that happens."""

from __future__ import annotations

import functools
import math
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

__all__ = ["execute"]

CANCEL_SECONDS = 0.2
"""How long a wish to cancel may go unheard."""


def execute(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: TextIO | None = None,
    timeout: float | None = None,
    cancel: threading.Event | None = None,
) -> int:
    """Run *command* in *folder* and return its status, which is minus the signal's number if one ended it.

    The command and all that it starts are killed after *timeout* seconds, when *cancel* is set, when this function is
    left by an exception such as KeyboardInterrupt, and (where ``setpriv`` exists) by the kernel when this process dies
    without a word.
    """
    process = subprocess.Popen(
        [*_keeper(os.getpid()), *command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(timeout) if cancel is None else _wait(process, timeout, cancel)
    except subprocess.TimeoutExpired:
        if log is not None:
            log.write(f"\nkilled after {timeout:g} seconds\n")
        return -int(signal.SIGKILL)
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], timeout: float | None, cancel: threading.Event) -> int:
    """Wait for *process*, and look every now and then whether another thread wants it to end."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while not cancel.is_set():
        left = deadline - time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(min(CANCEL_SECONDS, max(left, 0)))
        if left <= 0:
            raise subprocess.TimeoutExpired(process.args, timeout or 0)
    return -int(signal.SIGKILL)


@functools.cache
def _keeper(process: int) -> tuple[str, ...]:
    """Return a prefix that has the kernel end a command when its parent *process* dies, where there is such a thing."""
    program = shutil.which("setpriv")
    if program is None:
        return ()
    # This process may have died before the kernel was asked, so the command starts only while it is still its parent.
    orphan = 'test "$PPID" -eq "$0" || exit 125; exec "$@"'
    keeper = (program, "--pdeathsig", "KILL", "sh", "-c", orphan, str(process))
    tried = subprocess.run([*keeper, "true"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return keeper if tried.returncode == 0 else ()
