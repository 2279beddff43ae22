"""A progress bar on a terminal, and silence in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

__all__ = ["cycle_progress", "progress", "remaining"]

Advance = Callable[[str], None]

LONG_SECONDS = 60.0
"""The time left is told of runs that take longer."""

SURE_SECONDS = 3.0
"""So long a run must have lasted before its rate says anything."""


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Show a bar of *total* steps while the block runs.

    Call what it yields at the start of each step, with a few words. The bar is on standard error, goes away at the end,
    and exists only when that is a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        started = 0

        def advance(step: str) -> None:
            nonlocal started
            bar.update(task, description=f"{title}: {step}", completed=min(started, total))
            started += 1

        yield advance


@contextmanager
def cycle_progress(title: str, cycles: int) -> Iterator[Callable[[str, int], None]]:
    """Show how many of so many *cycles* are simulated, and how long the others will take, while the block runs.

    Call what it yields with a few words and the cycles since the call before. Else as :func:`progress`.
    """
    if not sys.stderr.isatty():
        yield lambda _words, _cycles: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=max(cycles, 1), left="")
        started, done = time.monotonic(), 0

        def advance(words: str, more: int) -> None:
            nonlocal done
            done += more
            left = remaining(time.monotonic() - started, done, cycles)
            bar.update(task, description=f"{title}: {words}", completed=done, left=left)

        yield advance


def remaining(elapsed: float, done: int, cycles: int) -> str:
    """Return in words how long the rest takes at the rate so far; nothing where that is not known or not long.

    Parameters
    ----------
    elapsed : seconds since the first cycle.
    done, cycles : simulated since then, and to be simulated in all.
    """
    if not done or elapsed < SURE_SECONDS or elapsed * cycles / done < LONG_SECONDS:
        return ""
    seconds = elapsed * (cycles - done) / done
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    if minutes < 100:
        return f"about {minutes} min left"
    return f"about {seconds / 3600:.0f} h left"
