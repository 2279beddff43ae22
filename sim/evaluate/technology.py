"""Technologies: what an event costs on a kind of memory cells, constant by constant, each with its source.

A technology is a JSON file; ``docs/energy.md`` has its format, and a table of the constants of the packaged ones.
:data:`CONSTANTS` says what constants there are, in which unit, and which parts of energy, time and area use them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sim.errors import UserError
from sim.files import read_input
from sim.options import nearest

__all__ = [
    "CERTAINTIES", "CONSTANTS", "TECHNOLOGIES", "TIME", "Constant", "Role", "Technology", "load_technology",
    "parse_technology",
]  # fmt: skip

FOLDER = Path(__file__).resolve().parent.parent / "data" / "technologies"

TECHNOLOGIES = ("sram", "reram", "fefet", "stt-mram", "open-cells")
"""Names of the packaged technologies, the default first."""

CERTAINTIES: dict[str, str] = {
    "published": "the number is in the source",
    "derived": "it follows from numbers of the source, as the note says",
    "measured": "the command in the source prints it",
    "assumption": "nobody has published or measured it",
}
"""How sure a constant is, from the surest on."""

TIME = "time"
"""The name under which :data:`CONSTANTS` says that a constant changes how long a cycle takes."""


@dataclass(frozen=True)
class Role:
    """What a constant is.

    Parameters
    ----------
    unit : of its value; files repeat it, so that nobody mistakes it.
    meaning : what it is of, in words.
    parts : what uses it: names of :data:`sim.evaluate.energy.ENERGY_PARTS`, of
        :data:`sim.evaluate.energy.AREA_PARTS`, and :data:`TIME`. Constants of the supply act only through
        :meth:`Technology.at`, and have none.
    scaling : how the value follows the supply: one of "energy", "power", "time", "none".
    positive : whether 0 is refused.
    share : whether the value is at most 1.
    """

    unit: str
    meaning: str
    parts: tuple[str, ...] = ()
    scaling: str = "energy"
    positive: bool = False
    share: bool = False


CONSTANTS: dict[str, Role] = {
    "compare_match": Role("fJ", "a compared cell of a row that matches", ("compare",)),
    "compare_mismatch": Role("fJ", "a compared cell of a row that does not match", ("compare",)),
    "compare_row": Role("fJ", "tag and match line of a compared row", ("compare",)),
    "matching_rows": Role("1", "share of the compared rows that match", ("compare",), "none", share=True),
    "write_drive": Role("fJ", "bit lines of a cell in a column that a write drives, tagged or not", ("write",)),
    "write_cell": Role("fJ", "a written cell: one in a driven column and a tagged row", ("write",)),
    "tagged_rows": Role("1", "share of the driven cells that are in tagged rows", ("write",), "none", share=True),
    "load_cell": Role("fJ", "a cell that the plane port writes", ("load",)),
    "store_bit": Role("fJ", "a bit that the plane port takes out", ("store",)),
    "count_row": Role("fJ", "a row whose tag the responder counters add up", ("count",)),
    "memory_bit": Role("fJ", "a bit read from a gather memory or a taps memory", ("memories",)),
    "mesh_bit_hop": Role("fJ", "a payload bit of a flit that crosses a router and its link", ("mesh",)),
    "instruction": Role("fJ", "an instruction that is fetched and decoded", ("controller",)),
    "micro_operation": Role("fJ", "a compare or write cycle of a tile: sequencer, key and mask", ("controller",)),
    "leakage_cell": Role("nW", "leakage of a cell with its part of the periphery", ("leakage",), "power"),
    "cycle_time": Role("ns", "a cycle", (TIME, "leakage"), "time", positive=True),
    "cell_area": Role("um2", "a cell", ("cap_cells", "map_cells"), "none"),
    "row_area": Role("um2", "periphery of a row: tag, match line, responder counter",
                     ("cap_periphery", "map_periphery"), "none"),
    "column_area": Role("um2", "periphery of a column: drivers of search and bit lines",
                        ("cap_periphery", "map_periphery"), "none"),
    "tile_area": Role("um2", "what every tile has once: program buffer, sequencer",
                      ("cap_periphery", "map_periphery"), "none"),
    "router_area": Role("um2", "the router of a cluster", ("routers",), "none"),
    "supply": Role("V", "the supply that the constants are for", (), "none", positive=True),
    "minimum_supply": Role("V", "the lowest supply that scaling is allowed to", (), "none", positive=True),
    "maximum_supply": Role("V", "the highest supply that scaling is allowed to", (), "none", positive=True),
    "threshold": Role("V", "threshold voltage of the alpha-power law", (), "none"),
    "alpha": Role("1", "exponent of the alpha-power law", (), "none", positive=True),
}  # fmt: skip
"""The constants of a technology by name, in the order of reports; a technology has all of them."""


@dataclass(frozen=True)
class Constant:
    """One number of a technology.

    Parameters
    ----------
    value : in ``unit``, at least 0.
    unit : that of its :class:`Role`.
    source : a publication, a repository or a command; for an assumption the reason.
    certainty : one of :data:`CERTAINTIES`.
    note : how the value follows from the source, and what it leaves out.
    fixed : it does not follow the supply, because a supply of its own drives it.
    """

    value: float
    unit: str
    source: str
    certainty: str
    note: str = ""
    fixed: bool = False


_LAW = ("threshold", "alpha")
"""Constants that act only where a technology is scaled."""

_FIELDS = {field.name: field for field in dataclasses.fields(Constant)}
_REQUIRED = ("value", "unit", "source", "certainty")


@dataclass(frozen=True)
class Technology:
    """A kind of memory cells and of the logic around them.

    Parameters
    ----------
    name : as given on the command line.
    description : one line.
    constants : all of :data:`CONSTANTS`.
    supply_v : the supply that the values are for; None: the nominal one.

    Raises
    ------
    UserError
        If a constant is unknown, missing or out of its range.
    """

    name: str
    description: str
    constants: Mapping[str, Constant]
    supply_v: float | None = None

    def __post_init__(self) -> None:
        for name in self.constants:
            _known(name, f"technology {self.name}")
        missing = [name for name in CONSTANTS if name not in self.constants]
        if missing:
            raise UserError(f"technology {self.name} must have all constants, {missing[0]!r} is missing")
        for name, constant in self.constants.items():
            _check(name, constant, f"technology {self.name}")
        low, nominal, high = (self.constants[name].value for name in ("minimum_supply", "supply", "maximum_supply"))
        if not self.constants["threshold"].value < low <= nominal <= high:
            raise UserError(
                f"technology {self.name}: threshold < minimum_supply <= supply <= maximum_supply must hold, not "
                f"{self.constants['threshold'].value:g}, {low:g}, {nominal:g}, {high:g}"
            )

    def __getitem__(self, name: str) -> float:
        """The value of a constant."""
        return self.constants[name].value

    @property
    def label(self) -> str:
        """Its name, with the supply where that is not the nominal one."""
        return self.name if self.supply_v is None else f"{self.name} at {self.supply_v:g} V"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Sentences that a report must print: constants that nobody has published, and what is carried over."""
        scaled = () if self.supply_v is None else (_scaled(self),)
        measured = [name for name in ("matching_rows", "tagged_rows") if self.constants[name].certainty == "measured"]
        carried = (f"{' and '.join(measured)} of ResNet-8 stand for all networks and modes.",) if measured else ()
        return (
            *(
                f"{name} = {constant.value:g} {_unit(constant.unit)}({CONSTANTS[name].meaning}) is an assumption: "
                f"{constant.source.rstrip('.')}."
                for name, constant in self.constants.items()
                if constant.certainty == "assumption" and (CONSTANTS[name].parts or (scaled and name in _LAW))
            ),
            *carried,
            *scaled,
        )

    def with_constants(self, **values: float) -> Technology:
        """The same technology with other values, which count as assumptions.

        Raises
        ------
        UserError
            If there is no constant of a name, or a value is out of its range.
        """
        for name in values:
            _known(name, f"technology {self.name}")
        changed = {name: _given(name, value, self.constants.get(name)) for name, value in values.items()}
        return dataclasses.replace(self, constants={**self.constants, **changed})

    def at(self, supply_v: float) -> Technology:
        """The technology at another supply: energies by V^2, leakage by V, cycle times by the alpha-power law.

        The law is that of Sakurai and Newton (IEEE JSSC 25(2), 1990): a delay is proportional to
        V / (V - threshold)^alpha. Constants marked ``fixed`` keep their values.

        Raises
        ------
        UserError
            If the supply is out of the technology's range, or the technology is scaled already.
        """
        if self.supply_v is not None:
            raise ValueError(f"{self.label} is scaled already")
        low, high = self["minimum_supply"], self["maximum_supply"]
        if not low <= supply_v <= high:
            raise UserError(f"supply of technology {self.name} must be from {low:g} to {high:g} V, not {supply_v:g}")
        if supply_v == self["supply"]:
            return self
        ratio = supply_v / self["supply"]
        overdrive = (supply_v - self["threshold"]) / (self["supply"] - self["threshold"])
        factors = {"energy": ratio**2, "power": ratio, "time": ratio / overdrive ** self["alpha"], "none": 1.0}
        scaled = {
            name: constant
            if constant.fixed
            else dataclasses.replace(constant, value=constant.value * factors[CONSTANTS[name].scaling])
            for name, constant in self.constants.items()
        }
        return dataclasses.replace(self, constants=scaled, supply_v=supply_v)

    def as_dict(self) -> dict[str, Any]:
        """The content of its file, with the values that are used."""
        constants: dict[str, dict[str, Any]] = {}
        for name in CONSTANTS:
            fields = dataclasses.asdict(self.constants[name])
            constants[name] = {key: value for key, value in fields.items() if key in _REQUIRED or value}
        return {"name": self.name, "description": self.description, "constants": constants}


def load_technology(name_or_file: str) -> Technology:
    """A packaged technology, or one read from a JSON file.

    Raises
    ------
    UserError
        If there is neither such a name nor such a file, or the file's content is no technology.
    """
    if name_or_file in TECHNOLOGIES:
        file = FOLDER / f"{name_or_file}.json"
        return parse_technology(file.read_text(encoding="utf-8"), name_or_file, f"technology {name_or_file}")
    path = Path(name_or_file)
    if not path.exists():
        raise UserError(
            f"technology must be one of {', '.join(TECHNOLOGIES)} or a JSON file, not {name_or_file!r}"
            f"{nearest(name_or_file, TECHNOLOGIES)}"
        )
    content = read_input(path, "technology file")
    return parse_technology(content, path.stem, f"technology file {path}")


def parse_technology(content: str | bytes, name: str, origin: str) -> Technology:
    """A technology from the text of a file; ``name`` where it gives none, ``origin`` for error texts.

    A file may say ``"base": "sram"`` and give only some constants, each as an object or as a plain number, which
    counts as an assumption.

    Raises
    ------
    UserError
        If it is no JSON, a field or a constant is unknown, missing or out of its range, or the base is unknown.
    """
    try:
        given: object = json.loads(content)
    except ValueError as error:
        raise UserError(f"{origin} must hold JSON: {error}") from error
    fields = _object(given, origin)
    for field in fields:
        if field not in _FILE:
            raise UserError(f"{origin} must have the fields {', '.join(_FILE)}, not {field!r}{nearest(field, _FILE)}")
    for field in ("name", "description", "base"):
        if not isinstance(fields.get(field, ""), str):
            raise UserError(f"{origin}: {field} must be a text, not {fields[field]!r}")
    base: Technology | None = None
    if "base" in fields:
        if fields["base"] not in TECHNOLOGIES:
            raise UserError(
                f"{origin}: base must be one of {', '.join(TECHNOLOGIES)}, not {fields['base']!r}"
                f"{nearest(fields['base'], TECHNOLOGIES)}"
            )
        base = load_technology(fields["base"])
    inherited = base.constants if base else {}
    constants: dict[str, Constant] = {}
    for constant, value in _object(fields.get("constants", {}), f"{origin}: constants").items():
        _known(constant, origin)
        constants[constant] = _constant(constant, value, inherited.get(constant), origin)
    missing = [constant for constant in CONSTANTS if constant not in constants and constant not in inherited]
    if missing:
        raise UserError(
            f"{origin} must have all constants or a base, {missing[0]!r} is missing"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    return Technology(
        fields.get("name", name),
        fields.get("description", base.description if base else ""),
        {constant: constants.get(constant) or inherited[constant] for constant in CONSTANTS},
    )


_FILE = ("name", "description", "base", "constants")


def _object(value: object, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{origin} must be a JSON object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _known(name: str, origin: str) -> None:
    if name not in CONSTANTS:
        raise UserError(f"{origin} must have constants that there are, not {name!r}{nearest(name, CONSTANTS)}")


def _constant(name: str, value: object, inherited: Constant | None, origin: str) -> Constant:
    """A constant from its JSON value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        constant = _given(name, value, inherited, origin)
    else:
        fields = _object(value, f"{origin}: {name}")
        for field in fields:
            if field not in _FIELDS:
                known = ", ".join(_FIELDS)
                raise UserError(
                    f"{origin}: {name} must have the fields {known}, not {field!r}{nearest(field, _FIELDS)}"
                )
        for field in _REQUIRED:
            if field not in fields:
                raise UserError(f"{origin}: {name} must have the fields {', '.join(_REQUIRED)}, not without {field!r}")
        for field in ("source", "note"):
            if not isinstance(fields.get(field, ""), str):
                raise UserError(f"{origin}: {field} of {name} must be a text, not {fields[field]!r}")
        if not isinstance(fields.get("fixed", False), bool):
            raise UserError(f"{origin}: fixed of {name} must be true or false, not {fields['fixed']!r}")
        constant = Constant(**fields)
    _check(name, constant, origin)
    return constant


def _given(name: str, value: float, inherited: Constant | None, origin: str = "on request") -> Constant:
    fixed = inherited is not None and inherited.fixed
    return Constant(value, CONSTANTS[name].unit, f"given {origin}", "assumption", fixed=fixed)


def _check(name: str, constant: Constant, origin: str) -> None:
    role, value = CONSTANTS[name], constant.value
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    rule = "a number from 0 to 1" if role.share else "a number above 0" if role.positive else "a number from 0 on"
    if not number or value < 0 or (role.positive and value == 0) or (role.share and value > 1):
        raise UserError(f"{origin}: {name} must be {rule}, not {value!r}")
    if constant.unit != role.unit:
        raise UserError(f"{origin}: unit of {name} must be {role.unit!r}, not {constant.unit!r}")
    if constant.certainty not in CERTAINTIES:
        raise UserError(
            f"{origin}: certainty of {name} must be one of {', '.join(CERTAINTIES)}, not {constant.certainty!r}"
            f"{nearest(str(constant.certainty), CERTAINTIES)}"
        )
    if not constant.source:
        raise UserError(f"{origin}: source of {name} must say where the value is from, it is empty")


def _unit(unit: str) -> str:
    return "" if unit == "1" else f"{unit} "


def _scaled(technology: Technology) -> str:
    fixed = [name for name, constant in technology.constants.items() if constant.fixed]
    kept = f"; {', '.join(fixed)} are kept" if fixed else ""
    return (
        f"Values for {technology.supply_v:g} V are scaled from {technology['supply']:g} V: energies by V^2, leakage by "
        f"V, time by V / (V - {technology['threshold']:g})^{technology['alpha']:g}{kept}."
    )
