"""The folder that keeps what is expensive to make and, for a while, what runs left behind.

::

    builds/<key>/          a compiled design; complete.json is written last and touched when it is used
    builds/<key>.lock      held while it is built, looked up or removed; stays, as others may wait for it
    runtime/<key>/         the compiled runtime of Verilator, see sim.runtime_objects
    verilog/<key>.v, .json the Verilog of a config, and which config it is
    networks/<key>         networks with their constants, see sim.networks.kept
    laws/<key>             counters of layers by the laws, see sim.mapping.kept_laws
    runs/<name>/           results and log of one run
    journals/<name>        finished layers of runs that may go on
    in-use                 locks of those who use something, see sim.cache_holds
    pruned                 touched when it was last pruned, see sim.cache_pruning
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_cache_path

from sim.errors import UserError

__all__ = ["KINDS", "LIMIT", "STAMP", "cache_folder", "cache_limit", "touch"]

STAMP = "complete.json"
"""The file that is written last into the folder of a build."""

KINDS = ("builds", "runtime", "verilog", "networks", "laws", "runs", "journals")
"""The folders that hold entries; others are not ours to remove."""

LIMIT = "BFIMNA_CACHE_LIMIT"
"""Environment variable: the size that the cache may have, such as 500M or 2G, or 0 for any."""

USUAL_LIMIT = "4G"

_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def cache_folder() -> Path:
    """Return the folder of the cache: ``$BFIMNA_CACHE``, else a folder in the user's cache.

    Raises
    ------
    UserError
        If it cannot be made or written.
    """
    chosen = os.environ.get("BFIMNA_CACHE")
    folder = Path(chosen).expanduser().absolute() if chosen else user_cache_path("bfimna")
    try:
        for part in ("builds", "runs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        writable = os.access(folder / "builds", os.W_OK) and os.access(folder / "runs", os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"cache folder {folder} cannot be written; set BFIMNA_CACHE to a folder that can")
    return folder


def cache_limit() -> int | None:
    """Return the bytes that the cache may have, None for any number.

    Raises
    ------
    UserError
        If ``$BFIMNA_CACHE_LIMIT`` is no size: a whole number, then nothing or K, M, G or T for powers of 1,024.
    """
    text = os.environ.get(LIMIT) or USUAL_LIMIT
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text, re.ASCII)
    if found is None:
        raise UserError(f"{LIMIT} must be a size such as 500M or 2G, or 0 for none, not {text!r}")
    return int(found[1]) * 1024 ** _UNITS[found[2]] or None


def touch(path: Path) -> bool:
    """Mark an entry as used now; return whether it is there."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True
