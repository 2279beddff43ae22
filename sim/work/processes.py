"""Units on processes of this machine, each with an engine of its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, NoReturn

from golden.engine import TileError
from sim.host import Network
from sim.work.units import Answer, Unit, Work, Worker

__all__ = ["Processes"]

GRACE_SECONDS = 3.0
"""How long a process may take to end in order before it is killed."""

_END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""


class Processes:
    """A pool of processes, which take up units at once and live until it is closed.

    Parameters
    ----------
    work : what the units belong to.
    network : the network mapped to the tile; processes that are copies of this one need not map it again.
    workers : number of processes, at least 1.
    """

    def __init__(self, work: Work, network: Network, workers: int) -> None:
        self.workers = workers
        self.built = 0.0
        self._processes: list[Any] = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, Unit] = {}
        copies = sys.platform == "linux" and threading.active_count() == 1
        context: Any = multiprocessing.get_context("fork" if copies else "spawn")
        # Children inherit the mask: an interrupt from the keyboard is for this process, which ends them in order.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(workers):
                ours, theirs = context.Pipe()
                # A copy has all our ends, and must close them: it ends when nobody has the other end of its own.
                others = [*self._idle, ours] if copies else []
                arguments = (theirs, others, os.getpid(), work, network if copies else None)
                process = context.Process(target=_serve, args=arguments, daemon=True)
                self._processes.append(process)
                process.start()
                theirs.close()
                self._idle.append(ours)
        except BaseException:
            self.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def room(self) -> int:
        """Processes that have nothing to do."""
        return len(self._idle)

    def give(self, unit: Unit) -> None:
        """Send a unit to the process that was last done, which may have begun with the layer."""
        connection = self._idle.pop()
        self._busy[connection] = unit
        try:
            connection.send(unit)
        except OSError as error:
            raise TileError("a process ended in the middle of its inputs") from error

    def take(self) -> tuple[Unit, Answer]:
        """Wait for a process."""
        connection = wait(list(self._busy))[0]
        assert isinstance(connection, Connection)
        try:
            answer = connection.recv()
        except (EOFError, OSError) as error:
            raise TileError("a process ended in the middle of its inputs") from error
        if isinstance(answer, BaseException):
            raise answer
        found, built = answer
        self.built = max(self.built, built)
        self._idle.append(connection)
        return self._busy.pop(connection), found

    def close(self) -> None:
        """End all processes: in order when they soon look, else at once."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                process.terminate()
        for process in self._processes:
            if process.pid is not None:
                process.join(GRACE_SECONDS)
                if process.is_alive():
                    process.kill()
                    process.join()
        self._processes, self._idle, self._busy = [], [], {}


def _serve(connection: Connection, others: list[Connection], parent: int, work: Work, network: Network | None) -> None:
    """Run in a process of its own: answer each unit with what it gave and the seconds of making the engine."""
    signal.signal(signal.SIGTERM, _leave)
    for other in others:
        other.close()
    _end_with(parent)
    with Worker(work, network) as worker:
        while True:
            try:
                unit = connection.recv()
            except (EOFError, OSError):
                return  # nobody has anything to do any longer
            try:
                answer: Any = (worker.do(unit), worker.built)
            except Exception as error:
                answer = error
            try:
                connection.send(answer)
            except OSError:
                return


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies without a word, where the kernel can."""
    try:
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, int(signal.SIGKILL))
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End in order, so that the engine ends its simulator."""
    sys.exit(1)
