"""Merges the functional coverage of all processes of a session, and prints it at its end."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.coverage import COVERAGE, FOLDER_VARIABLE, Coverage

MADE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder, before any worker starts and inherits its name."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells leave it to what they run in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started here can be interrupted
    if FOLDER_VARIABLE not in os.environ:
        config.stash[MADE] = Path(tempfile.mkdtemp(prefix="bfimna-coverage-"))
        os.environ[FOLDER_VARIABLE] = str(config.stash[MADE])
    Path(os.environ[FOLDER_VARIABLE]).mkdir(parents=True, exist_ok=True)


def pytest_sessionfinish() -> None:
    """Leave what this process counted."""
    if COVERAGE.counts:
        COVERAGE.save(Path(os.environ[FOLDER_VARIABLE]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what all processes counted."""
    merged = Coverage.merged(Path(os.environ[FOLDER_VARIABLE]))
    if merged.counts:
        terminalreporter.write_line(merged.summary())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder if this process made it."""
    if MADE in config.stash:
        shutil.rmtree(config.stash[MADE], ignore_errors=True)
        del os.environ[FOLDER_VARIABLE]
