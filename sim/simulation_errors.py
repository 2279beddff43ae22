"""What goes wrong in builds and simulations, said with the end of the log."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "LOG_LINES",
    "AssertionPrinted",
    "BuildFailed",
    "NoTestsRan",
    "SimulationError",
    "SimulatorCrashed",
    "TestsFailed",
    "end_of",
]

LOG_LINES = 25
"""How much of a log an error shows."""


class SimulationError(Exception):
    """A build or a run that went wrong; the text ends with the end of the log, which is at :attr:`log`."""

    def __init__(self, text: str, log: Path | None = None, *, lines: int = LOG_LINES) -> None:
        """Add the last *lines* lines of *log* to *text*."""
        self.summary = text
        self.log = log
        if log is not None:
            text += f"\nlog: {log}"
            end = end_of(log, lines)
            if end:
                text += "\n" + "\n".join(f"    {line}" for line in end)
        super().__init__(text)


class BuildFailed(SimulationError):
    """The simulator's compiler refused the design."""


class SimulatorCrashed(SimulationError):
    """The simulator ended abnormally, ran out of time, or left no readable results."""


class NoTestsRan(SimulationError):
    """The run is green because it executed no test at all."""


class TestsFailed(SimulationError):
    """At least one cocotb test failed."""

    __test__ = False


class AssertionPrinted(SimulationError):
    """All tests passed, but an assertion inside the design failed, which Icarus only prints."""


def end_of(log: Path, lines: int) -> list[str]:
    """Return the last lines of *log*, none if there is no such file."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return []
