"""Budgets as a user gives them: a quantity, and its limit as a number, as a share or as what other widths cost."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from sim.options import nearest

__all__ = ["QUANTITIES", "Budget", "parse_budget", "quantity_text"]

_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}

QUANTITIES: dict[str, dict[str, float]] = {
    "sensitivity": {"": 1.0},
    "latency": {f"{prefix}s": factor for prefix, factor in _PREFIXES.items()},
    "energy": {f"{prefix}J": factor for prefix, factor in _PREFIXES.items()},
    "edp": {f"{prefix}Js": factor for prefix, factor in _PREFIXES.items()},
}
"""What can have a limit, and the units of its numbers: seconds, joules, joule-seconds."""


@dataclass(frozen=True)
class Budget:
    """A limit; one of the last three is given.

    Parameters
    ----------
    quantity : one of :data:`QUANTITIES`.
    text : as the user gave it.
    value : the limit in s, J or Js, or a sum of sensitivities.
    share : part of what the network takes with 8 bits everywhere.
    widths : the limit is what the network takes with these widths, given as for ``--bits``.
    """

    quantity: str
    text: str
    value: float | None = None
    share: float | None = None
    widths: str | None = None


def parse_budget(text: str) -> Budget:
    """A budget from ``QUANTITY=LIMIT``, a type for argparse.

    LIMIT is a number with its unit (``1.5ms``), a share (``0.75x``), or widths (``hawq-v3/latency-0.5``).

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    quantity, _, limit = text.partition("=")
    limit = limit.removeprefix("=").strip()
    if quantity not in QUANTITIES:
        raise argparse.ArgumentTypeError(
            f"must begin with one of {', '.join(QUANTITIES)}, and '=', not {quantity!r}{nearest(quantity, QUANTITIES)}"
        )
    if not limit:
        raise argparse.ArgumentTypeError(f"must have a limit after '=', such as {quantity}=0.75x, not {text!r}")
    match = re.fullmatch(r"([\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)", limit)
    if match is None:
        return Budget(quantity, text, widths=limit)
    number = _number(match[1], text)
    if match[2] == "x":
        return Budget(quantity, text, share=number)
    units = QUANTITIES[quantity]
    if match[2] not in units:
        allowed = ", ".join(filter(None, units)) or "no unit"
        raise argparse.ArgumentTypeError(f"must be in {allowed}, or a share such as 0.75x, not {text!r}")
    return Budget(quantity, text, value=number * units[match[2]])


def quantity_text(quantity: str, value: float) -> str:
    """A value in s, J or Js as people read it: six digits, and the unit with the prefix that suits them."""
    units = QUANTITIES[quantity]
    unit = next((unit for unit, factor in units.items() if abs(value) >= factor), next(iter(units)))
    return f"{value / units[unit]:.6g} {unit}".rstrip()


def _number(digits: str, text: str) -> float:
    try:
        value = float(digits)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value
