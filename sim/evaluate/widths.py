"""Widths of a network's layers, and how a user gives them: a number, a published configuration, or a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sim.errors import UserError, one_line
from sim.evaluate.hawq import (
    ALIASES,
    HawqResult,
    hawq_config,
    hawq_layers,
    hawq_names,
    hawq_results,
    sensitivities,
)
from sim.files import read_input
from sim.options import MAXIMUM_BITS, nearest

if TYPE_CHECKING:
    from sim.networks.network import Network

__all__ = [
    "HAWQ", "OWN", "HawqResult", "Widths", "default_widths", "hawq_names", "hawq_results", "parse_widths",
    "sensitivities",
]  # fmt: skip

HAWQ = "hawq-v3/"
"""What names of HAWQ-V3's configurations begin with."""

OWN = "own"
"""The name of the widths that come with an imported network."""

_FILE = "widths file"
_DEFAULT = "default"
_RESIDUAL = "residual"
_FIELDS = ("activation", "weight")


@dataclass(frozen=True)
class Widths:
    """Bits of activations and weights, layer by layer; nothing given: those that an imported network has.

    Parameters
    ----------
    uniform : bits of all activations and weights, 1..16; None when they differ.
    layers : (activation bits, weight bits) by the name of a layer, each 1..16; they go before ``uniform``.  For a layer
        without weights, of an imported network only, the second is not looked at.
    residual_bits : width of the maps that units of a residual network add to, 1..16; None: as wide as their widest
        reader asks.
    label : how reports name these widths.

    Raises
    ------
    UserError
        If a width is outside of its range.
    """

    uniform: int | None = None
    layers: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    residual_bits: int | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if self.uniform is not None:
            _check_bits(self.uniform, "the width")
        if self.residual_bits is not None:
            _check_bits(self.residual_bits, "the residual width")
        for name, pair in self.layers.items():
            for quantity, bits in zip(_FIELDS, pair, strict=True):
                _check_bits(bits, f"layer {name!r}: the {quantity} width")

    @property
    def own(self) -> bool:
        """Whether these are the widths that come with a network."""
        return self.uniform is None and not self.layers

    def of(self, layer: str) -> tuple[int, int]:
        """(activation bits, weight bits) of a layer; raises ``KeyError`` when none are given."""
        if layer in self.layers or self.uniform is None:
            return self.layers[layer]
        return self.uniform, self.uniform

    def check(self, network: Network) -> None:
        """Refuse widths that are not for a network.

        Raises
        ------
        UserError
            If a layer with weights is missed, a name is unknown, the network has no widths of its own where none are
            given, or it has no residual stream that could have the residual width.
        """
        if self.residual_bits is not None and not network.has_residual_stream:
            raise UserError(
                f"network {network.name} takes no residual width: it adds no maps, or the widths of its maps follow "
                "from its graph"
            )
        if self.own:
            if network.has_own_widths:
                return
            raise UserError(f"network {network.name} has no widths of its own; give a number from 1 to {MAXIMUM_BITS}")
        names = [layer.name for layer in network.weight_layers]
        for name in self.layers:
            if name not in names and name not in network.other_layers:
                known = (*names, *network.other_layers)
                raise UserError(f"network {network.name} has no layer {name!r}{nearest(str(name), known)}")
        missing = [name for name in names if name not in self.layers]
        if self.uniform is None and missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"no widths for layer {missing[0]!r}{more} of network {network.name}, and no default")


def _check_bits(bits: object, quantity: str) -> None:
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MAXIMUM_BITS:
        raise UserError(f"{quantity} must be a whole number from 1 to {MAXIMUM_BITS}, not {bits!r}")


def default_widths(network: Network) -> Widths:
    """The widths of a network where a user gives none: its own, else 8 bits."""
    return Widths(label=OWN) if network.has_own_widths else Widths(uniform=8, label="8")


def parse_widths(text: str, network: Network) -> Widths:
    """Widths for a network as a user gives them.

    Parameters
    ----------
    text : one of

        - a number from 1 to 16: all activations and weights, those of the first and the last layer too;
        - ``own``: those that an imported network has;
        - ``hawq-v3/NAME``: a configuration of HAWQ-V3, one of :func:`hawq_names`, or ``int8``, ``int4``, ``high``,
          ``medium``, ``low`` (budgets of latency: 0.75, 0.5, 0.25);
        - a JSON or YAML file.  Either an object of layer names with bits for both or with ``{"activation": 6,
          "weight": 4}``, where ``"default"`` stands for all layers that are left out and ``"residual"`` is the residual
          width; or a dictionary of HAWQ's as it is, with keys like ``"stage1.unit1.quant_convbn1"``.

    Raises
    ------
    UserError
        If the text is none of these, the file cannot be read, or the widths are not for this network: a layer without
        any is an error.
    """
    try:
        bits = int(text)
    except ValueError:
        bits = None
    if bits is not None:
        widths = Widths(uniform=bits, label=str(bits))
    elif text == OWN:
        widths = Widths(label=OWN)
    elif text.startswith(HAWQ):
        name = text.removeprefix(HAWQ)
        layers, residual = hawq_layers(network, hawq_config(network, name), text)
        widths = Widths(layers=layers, residual_bits=residual, label=HAWQ + ALIASES.get(name, name))
    elif Path(text).suffix.lower() in _READERS:
        return _from_file(Path(text), network)
    else:
        names = [OWN, *(HAWQ + name for name in (*hawq_names(network), *ALIASES))]
        raise UserError(
            f"bits must be a number from 1 to {MAXIMUM_BITS}, {OWN}, a name like {HAWQ}latency-0.75, or a .json or "
            f".yaml file, not {text!r}{nearest(text, names)}"
        )
    widths.check(network)
    return widths


def _from_file(path: Path, network: Network) -> Widths:
    table = _read(path)
    try:
        if any(str(key).rpartition(".")[2].startswith("quant_") for key in table):
            layers, residual = hawq_layers(network, table, "HAWQ's bit_config")
        else:
            layers, residual = _table_layers(table, network)
        if not layers:
            raise UserError(
                f"no widths for layer {network.weight_layers[0].name!r} of network {network.name}, and no default"
            )
        widths = Widths(layers=layers, residual_bits=residual, label=str(path))
        widths.check(network)
    except UserError as error:
        raise UserError(f"{_FILE} {path}: {error}") from error
    return widths


def _yaml(text: bytes) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error


_READERS: dict[str, Callable[[bytes], object]] = {".json": json.loads, ".yaml": _yaml, ".yml": _yaml}


def _read(path: Path) -> Mapping[str, object]:
    """The object in a file."""
    text = read_input(path, _FILE)
    try:
        content = _READERS[path.suffix.lower()](text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{_FILE} {path} must be {path.suffix[1:].upper()}: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{_FILE} {path} must be an object of layer names, is {type(content).__name__}")
    return {str(name): value for name, value in cast("dict[object, object]", content).items()}


def _table_layers(table: Mapping[str, object], network: Network) -> tuple[dict[str, tuple[int, int]], int | None]:
    """Widths of layers and of the residual stream; layers that a default stands for are filled in."""
    entries = {name: _entry(name, value) for name, value in table.items() if name != _RESIDUAL}
    default = entries.pop(_DEFAULT, {})
    weighted = [layer.name for layer in network.weight_layers]
    names = dict.fromkeys((*weighted, *network.other_layers)) if default else {}
    layers: dict[str, tuple[int, int]] = {}
    for name in {**names, **entries}:
        entry: dict[str, Any] = default | entries.get(name, {})
        if name in network.other_layers:
            if "weight" in entries.get(name, {}) and isinstance(table[name], dict):
                raise UserError(f"layer {name!r} has no weights; only an 'activation' width can be given")
            entry = {"activation": entry.get("activation"), "weight": entry.get("activation")}
        missing = [quantity for quantity in _FIELDS if entry.get(quantity) is None]
        if missing:
            raise UserError(f"layer {name!r}: no {missing[0]} width")
        layers[name] = (entry["activation"], entry["weight"])
    residual: Any = table.get(_RESIDUAL)
    return layers, residual


def _entry(name: str, value: object) -> dict[str, Any]:
    """A layer's widths by quantity."""
    if not isinstance(value, dict):
        return dict.fromkeys(_FIELDS, value)
    entry = cast("dict[str, Any]", value)
    for key in entry:
        if key not in _FIELDS:
            raise UserError(f"layer {name!r}: a width is of 'activation' or 'weight', not of {key!r}")
    return entry
