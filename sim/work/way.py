"""How the work of a run is done."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Way"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How work is done; results do not depend on it, but for what layers start from.

    Parameters
    ----------
    jobs : processes, at least 1, which is this one.
    cluster : address of a Dask scheduler whose workers do everything; None for this machine.
    independent : whether each layer starts from the maps of the integer operators.
    journal : whether finished layers are kept until the caller removes the journal.
    resume : whether layers that the journal of an earlier run has are taken from there.
    """

    jobs: int = 1
    cluster: str | None = None
    independent: bool = False
    journal: bool = False
    resume: bool = False
