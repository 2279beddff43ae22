"""A simulator that runs beside us and answers: one process of a cocotb test bench, asked over a local socket."""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from golden.engine import TileError
from sim.runner import Build, run
from sim.simulation_server import ADDRESS_VARIABLE, KEY_VARIABLE

__all__ = ["Simulation"]


class Simulation:
    """One simulator process that serves questions until :meth:`close`. An interrupted question ends it.

    The test bench answers with :func:`sim.simulation_server.serve`.

    Parameters
    ----------
    build : the compiled design.
    module : name of the test bench's Python module.
    seed : of the simulator's initial state.
    waves : a file that records the waves; its suffix is the format.

    Raises
    ------
    SimulationError
        If the simulation ends before it called.
    """

    def __init__(self, build: Build, module: str, *, seed: int, waves: Path | None = None):
        self.build, self.module, self.seed, self.waves = build, module, seed, waves
        self._folder = tempfile.TemporaryDirectory(prefix="bfimna-")
        self._address = str(Path(self._folder.name) / "tile")
        self._failure: BaseException | None = None
        self._cancel = threading.Event()
        self._connection: Connection | None = None
        try:
            key = secrets.token_bytes(16)
            self._listener = Listener(self._address, family="AF_UNIX", authkey=key)
            environment = {ADDRESS_VARIABLE: self._address, KEY_VARIABLE: key.hex()}
            self._thread = threading.Thread(target=self._simulate, args=(environment,), daemon=True)
            self._thread.start()
            self._accept()
        except BaseException:
            self._folder.cleanup()
            raise

    @property
    def closed(self) -> bool:
        """Whether the simulation has ended, by :meth:`close` or by itself."""
        return self._connection is None

    def ask(self, message: Any) -> Any:
        """Send a message and return the answer.

        Raises
        ------
        TileError
            If the simulation was closed or ended.
        """
        if self._connection is None:
            raise TileError("the simulation was closed or ended before")
        try:
            self._connection.send(message)
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended("the simulation ended in the middle of a program") from error
        except BaseException:
            self._abort()  # an answer that is still to come would be taken for that of the next message
            raise

    def close(self) -> None:
        """End the simulation; raises what went wrong in it, if that was not raised before."""
        try:
            if self._connection is not None:
                with suppress(OSError):  # it is gone already
                    self._connection.send(None)
                self._thread.join()
                self._drop()
        except BaseException:
            self._abort()
            raise
        finally:
            self._folder.cleanup()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _simulate(self, environment: dict[str, str]) -> None:
        """In a thread: run the simulator from its start to its end."""
        try:
            run(
                self.build,
                self.module,
                seed=self.seed,
                waves=self.waves,
                environment=environment,
                cancel=self._cancel,
            )
        except BaseException as error:
            self._failure = error
        finally:
            # A simulation that ended before it called would be waited for in vain: call in its place, without the key.
            with suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
                caller.connect(self._address)

    def _accept(self) -> None:
        """Wait for the simulator's call."""
        try:
            self._connection = self._listener.accept()
        except (AuthenticationError, EOFError, OSError) as error:
            raise self._ended("the simulation ended before its first program") from error
        except BaseException:
            self._abort()
            raise
        finally:
            self._listener.close()

    def _ended(self, otherwise: str) -> BaseException:
        """Why the simulation, which no longer answers, ended; asked once."""
        self._thread.join()
        self._drop()
        failure, self._failure = self._failure, None
        return failure or TileError(otherwise)

    def _abort(self) -> None:
        """Kill the simulation, whatever it is doing."""
        self._cancel.set()
        self._thread.join()
        self._drop()
        self._failure = None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
