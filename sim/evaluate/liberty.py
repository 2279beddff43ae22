"""Standard cells from a Liberty file: area, leakage, pins with their capacitances and energies, and functions.

Only what an estimate of area and energy needs is read, from the part of the format that describes combinational cells
and flip-flops: groups, attributes, and tables with ``index_1`` as the load of an output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean

from sim.errors import UserError

__all__ = ["Cell", "Library", "Pin", "parse_liberty", "verilog_models"]

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}();:,]|[^\s{}();:,"]+')
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass
class _Group:
    """A group of a Liberty file, as it is written."""

    kind: str
    name: str
    attributes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    groups: list[_Group] = field(default_factory=list["_Group"])

    def of(self, kind: str) -> Iterator[_Group]:
        return (group for group in self.groups if group.kind == kind)

    def number(self, name: str, default: float = 0.0) -> float:
        return float(self.attributes[name][0]) if name in self.attributes else default

    def text(self, name: str) -> str:
        return self.attributes[name][0] if name in self.attributes else ""


@dataclass(frozen=True)
class Pin:
    """A pin of a cell.

    Parameters
    ----------
    name : of the pin.
    output : whether the cell drives it.
    capacitance_pf : of an input.
    energy_pj : inside the cell, for a change of this pin: mean of rise and fall at the fastest slope and least load.
    delay_ns : of an output, from the slowest input to this pin, at the fastest slope, by ``(load in pF, delay)``.
    clock : whether it clocks a flip-flop.
    function : of an output, in Verilog; the state of a flip-flop for its outputs.
    """

    name: str
    output: bool
    capacitance_pf: float
    energy_pj: float
    delay_ns: tuple[tuple[float, float], ...]
    clock: bool
    function: str

    def delay(self, load_pf: float) -> float:
        """Delay in ns at a load, between and beyond the points of the table on straight lines."""
        points = self.delay_ns
        if len(points) < 2:
            return points[0][1] if points else 0.0
        after = next((index for index, (load, _) in enumerate(points) if load >= load_pf), len(points) - 1)
        (low, first), (high, second) = points[max(after, 1) - 1], points[max(after, 1)]
        return first + (second - first) * (load_pf - low) / (high - low)


@dataclass(frozen=True)
class Cell:
    """A standard cell.

    Parameters
    ----------
    name, area_um2, leakage_nw : of the cell.
    pins : by name.
    state : what a flip-flop takes at its clock edge, in Verilog; empty for a combinational cell.
    state_name : the name of its state in the functions of its outputs.
    setup_ns : that its data must be there before the edge.
    """

    name: str
    area_um2: float
    leakage_nw: float
    pins: dict[str, Pin]
    state: str
    state_name: str
    setup_ns: float


@dataclass(frozen=True)
class Library:
    """Cells by name, and the supply that their tables are for."""

    name: str
    supply_v: float
    cells: dict[str, Cell]


def parse_liberty(text: str, origin: str) -> Library:
    """Read the text of a Liberty file, which error texts call ``origin``.

    Capacitances must be in pF, times in ns, leakage in nW and voltages in V; energies are then in pJ.

    Raises
    ------
    UserError
        If it is no Liberty file, or its units are others.
    """
    tokens = iter(_TOKEN.findall(_COMMENT.sub(" ", text.replace("\\\n", " "))))
    try:
        (library,) = _groups(tokens)
    except (ValueError, StopIteration):
        raise UserError(f"{origin} must hold one library in the Liberty format") from None
    if library.kind != "library":
        raise UserError(f"{origin} must hold a library, not {library.kind!r}")
    for attribute, unit in _UNITS.items():
        if library.attributes.get(attribute) != unit:
            raise UserError(
                f"{origin}: {attribute} must be {', '.join(unit)}, not {library.text(attribute) or 'missing'}"
            )
    cells = {group.name: _cell(group) for group in library.of("cell")}
    return Library(library.name, library.number("nom_voltage"), cells)


_UNITS = {
    "time_unit": ["1ns"],
    "voltage_unit": ["1V"],
    "leakage_power_unit": ["1nW"],
    "capacitive_load_unit": ["1", "pf"],
}


def verilog_models(library: Library, names: list[str]) -> str:
    """Behavioural Verilog of some cells, without delays; flip-flops start at 0."""
    return "\n".join(_model(library.cells[name]) for name in names)


def _model(cell: Cell) -> str:
    ports = ", ".join(f"{'output' if pin.output else 'input'} {pin.name}" for pin in cell.pins.values())
    lines = [f"module {cell.name}({ports});"]
    if cell.state:
        (clock,) = (pin.name for pin in cell.pins.values() if pin.clock)
        lines += [f"reg {cell.state_name} = 1'b0;", f"always @(posedge {clock}) {cell.state_name} <= {cell.state};"]
    lines += [f"assign {pin.name} = {pin.function};" for pin in cell.pins.values() if pin.output]
    return "\n".join([*lines, "endmodule", ""])


def _groups(tokens: Iterator[str]) -> list[_Group]:
    """All groups up to the end."""
    root = _Group("", "")
    _fill(root, tokens)
    return root.groups


def _fill(group: _Group, tokens: Iterator[str]) -> None:
    """Read the statements of a group up to its closing brace."""
    for word in tokens:
        if word == "}":
            return
        if word == ";":
            continue
        follows = next(tokens)
        if follows == ":":
            group.attributes[word] = [_plain(value) for value in _until(tokens, ";")]
        elif follows == "(":
            values = [_plain(value) for value in _until(tokens, ")") if value != ","]
            after = next(tokens, ";")
            if after == "{":
                inner = _Group(word, values[0] if values else "")
                _fill(inner, tokens)
                group.groups.append(inner)
            else:
                group.attributes[word] = values
        else:
            raise ValueError(word)


def _until(tokens: Iterator[str], end: str) -> list[str]:
    found: list[str] = []
    for token in tokens:
        if token == end:
            return found
        found.append(token)
    raise ValueError(end)


def _plain(token: str) -> str:
    return token[1:-1] if token.startswith('"') else token


def _cell(group: _Group) -> Cell:
    state, state_name = "", ""
    for flip_flop in group.of("ff"):
        state, state_name = _verilog(flip_flop.text("next_state")), flip_flop.name
    pins = {pin.name: _pin(pin) for pin in group.of("pin")}
    setups = [
        max(_first_row(constraint))
        for pin in group.of("pin")
        for timing in pin.of("timing")
        if timing.text("timing_type").startswith("setup")
        for constraint in timing.groups
    ]
    return Cell(
        group.name, group.number("area"), group.number("cell_leakage_power"), pins, state, state_name,
        max(setups, default=0.0),
    )  # fmt: skip


def _pin(group: _Group) -> Pin:
    energies = [_first_row(table)[0] for power in group.of("internal_power") for table in power.groups]
    delays: dict[float, float] = {}
    for timing in group.of("timing"):
        for table in timing.groups:
            if table.kind in ("cell_rise", "cell_fall") and "index_2" in table.attributes:
                loads = _numbers(table.attributes["index_1"])
                slopes = len(_numbers(table.attributes["index_2"]))
                values = _numbers(table.attributes["values"])
                for index, load in enumerate(loads):
                    delays[load] = max(delays.get(load, 0.0), values[index * slopes])
    return Pin(
        name=group.name,
        output=group.text("direction") == "output",
        capacitance_pf=group.number("capacitance"),
        energy_pj=fmean(energies) if energies else 0.0,
        delay_ns=tuple(sorted(delays.items())),
        clock=group.text("clock") == "true",
        function=_verilog(group.text("function")),
    )


def _first_row(table: _Group) -> list[float]:
    """The values at the first index, where a table has two."""
    values = _numbers(table.attributes["values"])
    return values[: len(_numbers(table.attributes["index_2"]))] if "index_2" in table.attributes else values


def _numbers(values: list[str]) -> list[float]:
    return [float(number) for value in values for number in value.replace(",", " ").split()]


def _verilog(function: str) -> str:
    """A Liberty function in Verilog's operators; two operands side by side are a product."""
    spaced = re.sub(r"(?<=[\w)'])\s+(?=[\w(!])", " & ", function.strip())
    return re.sub(r"(\w+)'", r"!\1", spaced).replace("*", "&").replace("+", "|")
