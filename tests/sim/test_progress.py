"""Progress: silence in a pipe, and a remaining time by cycles that is told only where it is known and long."""

from __future__ import annotations

import io
import sys

import pytest

from sim import progress
from sim.progress import cycle_progress, remaining


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("elapsed", "done", "cycles", "text"),
    [
        (2.9, 1, 1000, ""),  # too early
        (10, 0, 1000, ""),
        (10, 500, 1000, ""),  # ends soon
        (30, 250, 1000, "about 2 min left"),
        (90, 500, 1000, "about 2 min left"),
        (600, 100, 1000, "about 90 min left"),
        (3600, 100, 1000, "about 9 h left"),
        (100, 800, 1000, "less than a minute left"),
        (100, 1000, 1000, "less than a minute left"),
    ],
)
def test_remaining(elapsed: float, done: int, cycles: int, text: str) -> None:
    assert remaining(elapsed, done, cycles) == text


def test_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "SURE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LONG_SECONDS", 0.0)
    with cycle_progress("net", 400) as advance:
        advance("conv1", 100)
        advance("conv2", 100)
    assert "net: conv2" in stream.getvalue()
    assert "50%" in stream.getvalue()
    assert "less than a minute left" in stream.getvalue()


def test_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    with cycle_progress("net", 400) as advance:
        advance("conv1", 400)
    assert capfd.readouterr() == ("", "")
