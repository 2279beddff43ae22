"""Tables of sensitivities: what each width of a layer costs in accuracy, as somebody else has measured it.

A table is a JSON or YAML file. A layer has a sensitivity for each of its widths, or one width that it keeps::

    {"conv1": 8, "conv2": {"4": 0.21, "8": 0.0016}, "conv3": {"4x8": 0.05, "8x8": 0.001}}

A width is a number of bits for activations and weights, or ``activations x weights``. Sensitivities of layers are
added, so they must be in one unit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.errors import UserError, one_line
from sim.files import read_input
from sim.options import MAXIMUM_BITS, nearest

__all__ = [
    "Bits",
    "Sensitivities",
    "only_widths",
    "parse_sensitivities",
    "parse_width",
    "read_sensitivities",
    "width_text",
]

Bits = tuple[int, int]
"""(activation bits, weight bits)."""

Sensitivities = Mapping[str, Mapping[Bits, float]]
"""By layer with weights and by its widths; a layer of one width keeps it."""

WIDTH_RULE = f"a number of bits from 1 to {MAXIMUM_BITS}, or activations x weights such as 4x8"


def read_sensitivities(path: str | Path, layers: Sequence[str]) -> Sensitivities:
    """Read a table from a file whose name ends in ``.json``, ``.yaml`` or ``.yml``.

    Parameters
    ----------
    layers : names of the network's layers with weights.

    Raises
    ------
    UserError
        If the file cannot be read or :func:`parse_sensitivities` refuses its content.
    """
    path = Path(path)
    what = "sensitivity file"
    text = read_input(path, what)
    try:
        found = _yaml(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except ValueError as error:
        raise UserError(f"{what} {path} cannot be read: {one_line(error)}") from error
    return parse_sensitivities(found, layers, f"{what} {path}")


def parse_sensitivities(found: Any, layers: Sequence[str], source: str) -> Sensitivities:
    """A table from plain JSON values.

    Parameters
    ----------
    layers : names of the network's layers with weights; each must be in the table, and no other.
    source : how errors name the table.

    Raises
    ------
    UserError
        If a layer is unknown or missing, has no width, or a width or a sensitivity is none.
    """
    if not isinstance(found, dict):
        raise UserError(f"{source} must have a sensitivity for each layer and width, not {_shown(found)}")
    table: dict[Any, Any] = found
    for name in table:
        if name not in layers:
            raise UserError(f"{source}: {name!r} is no layer with weights{nearest(str(name), layers)}")
    for name in layers:
        if name not in table:
            raise UserError(
                f"{source}: layer {name!r} is missing; it needs a sensitivity for each width, or one width to keep"
            )
    return {name: _layer(table[name], f"{source}: layer {name!r}") for name in layers}


def only_widths(table: Sensitivities, widths: Sequence[Bits], source: str) -> Sensitivities:
    """The table with some widths alone; layers that keep their width have it still.

    Raises
    ------
    UserError
        If a layer has no sensitivity for one of the widths.
    """
    for name, values in table.items():
        for bits in widths:
            if len(values) > 1 and bits not in values:
                known = ", ".join(map(width_text, values))
                raise UserError(
                    f"{source}: layer {name!r} has no sensitivity for width {width_text(bits)}, only {known}"
                )
    return {
        name: values if len(values) == 1 else {bits: values[bits] for bits in dict.fromkeys(widths)}
        for name, values in table.items()
    }


def parse_width(text: str) -> Bits:
    """A width from ``"4"`` or ``"4x8"``.

    Raises
    ------
    ValueError
        If it is neither, or out of range.
    """
    match = re.fullmatch(r"(\d{1,3})(?:x(\d{1,3}))?", text.strip())
    bits = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(1 <= width <= MAXIMUM_BITS for width in bits):
        raise ValueError(f"must be {WIDTH_RULE}, not {text!r}")
    return bits


def width_text(bits: Bits) -> str:
    """The shortest text that :func:`parse_width` reads."""
    activation, weight = bits
    return str(weight) if activation == weight else f"{activation}x{weight}"


def _yaml(text: bytes) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error


def _layer(found: Any, where: str) -> Mapping[Bits, float]:
    if isinstance(found, dict) and found:
        entries: dict[Any, Any] = found
        values: dict[Bits, float] = {}
        for key, value in entries.items():
            bits = _width(key, where)
            if bits in values:
                raise UserError(f"{where} has width {width_text(bits)} twice")
            values[bits] = _sensitivity(value, f"{where}, width {width_text(bits)}")
        return values
    if isinstance(found, int | str) and not isinstance(found, bool):
        return {_width(found, where): 0.0}
    raise UserError(f"{where} must have a sensitivity for each width, or one width to keep, not {_shown(found)}")


def _width(found: Any, where: str) -> Bits:
    try:
        return parse_width(str(found))
    except ValueError as error:
        raise UserError(f"{where}: width {error}") from None


def _sensitivity(found: Any, where: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
        raise UserError(f"{where}: sensitivity must be a number of 0 or more, not {_shown(found)}")
    return float(found)


def _shown(found: Any) -> str:
    """A value of a file in an error: as it is when it is short, else its kind."""
    text = repr(found)
    return text if len(text) <= 40 else f"a {type(found).__name__}"
