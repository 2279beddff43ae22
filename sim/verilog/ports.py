"""Ports of a component as its Verilog has them, with their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from sim.verilog.members import members, port_meaning

if TYPE_CHECKING:
    from hw.component import Component

__all__ = ["CLOCK", "Port", "ports"]

CLOCK = {
    "clk": "clock of all registers, which change at its rising edge",
    "rst": "synchronous reset, active high; memories, cells, tags and totals keep what they hold",
}
"""Ports that Amaranth adds to what has registers."""


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module.

    Parameters
    ----------
    name : as the Verilog has it.
    direction : "in" or "out".
    width : in bits.
    meaning : in words.
    codes : of a port that shows a code, their names and values.
    """

    name: str
    direction: str
    width: int
    meaning: str
    codes: tuple[tuple[str, int], ...] = ()


def ports(component: Component) -> list[Port]:
    """Every port of a component's Verilog, clock and reset first.

    Raises
    ------
    KeyError
        If the component's docstring says nothing of one.
    """
    from amaranth.hdl import Shape

    # Only its ports are looked at; without this Amaranth warns that the component itself never is.
    vars(component)["_MustUse__used"] = True
    meanings = members(type(component))
    found: list[Port] = []
    for path, member, _ in component.signature.flatten(component):
        name = "__".join(map(str, path))
        meaning = port_meaning(name, meanings)
        if meaning is None:
            raise KeyError(f"the docstring of {type(component).__name__} must have port {name} among its members")
        kind: Any = member.shape
        found.append(
            Port(
                name,
                "in" if member.flow.name == "In" else "out",
                Shape.cast(kind).width,
                meaning,
                _codes(kind),
            )
        )
    names = {port.name for port in found}
    return [Port(name, "in", 1, meaning) for name, meaning in CLOCK.items() if name not in names] + found


def _codes(shape: Any) -> tuple[tuple[str, int], ...]:
    """Names and values of an enumeration; nothing of another shape."""
    if not (isinstance(shape, type) and issubclass(shape, IntEnum)):
        return ()
    return tuple((code.name, int(code)) for code in list(shape))
