"""The other end of :mod:`sim.simulation`, inside the simulator: takes messages and sends answers."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Client
from typing import Any

__all__ = ["ADDRESS_VARIABLE", "KEY_VARIABLE", "serve"]

ADDRESS_VARIABLE = "BFIMNA_TILE_ADDRESS"
KEY_VARIABLE = "BFIMNA_TILE_KEY"
"""Environment variables that tell the test bench where to call, and its key, in hexadecimal digits."""


async def serve(answer: Callable[[Any], Awaitable[Any]]) -> None:
    """Answer messages until there are no more, or whoever sent them is gone."""
    address, key = os.environ[ADDRESS_VARIABLE], bytes.fromhex(os.environ[KEY_VARIABLE])
    with Client(address, authkey=key) as connection:
        while True:
            try:
                message = connection.recv()
            except EOFError:
                return
            if message is None:
                return
            connection.send(await answer(message))
