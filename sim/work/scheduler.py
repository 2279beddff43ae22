"""Finds a Dask scheduler."""

from __future__ import annotations

from typing import Any

from sim.errors import UserError, one_line

__all__ = ["connected"]


def connected(address: str, seconds: float) -> Any:
    """Return a client of the scheduler at *address*, which must answer within so many *seconds*.

    Raises
    ------
    UserError
        If there is none, or Dask is not installed.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import resolve_address
    except ImportError:
        raise UserError("--cluster needs the package distributed: pip install 'bfimna[cluster]'") from None
    try:
        return Client(resolve_address(address), timeout=seconds, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"--cluster must be the address of a Dask scheduler that answers, such as tcp://host:8786; {address!r} "
            f"does not: {one_line(error)}"
        ) from error
