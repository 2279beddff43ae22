"""The frozen configuration of a fabric: clusters of tiles, evaluated by laws and not built as a whole.

Its tiles are those of :mod:`hw.config`, and what moves planes between them are the units of :mod:`hw.accelerator`,
with fewer limits: taps need not be a power of two, and maps may be wider than a tile has outputs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from hw.config import ConfigError, TileConfig, identity, tile_from_fields

__all__ = ["FABRICS", "WEIGHTS", "FabricConfig", "fabric_from_fields"]

ARCHITECTURE = 1
"""Version of how layers are run on a fabric; part of every hash."""

WEIGHTS = ("resident", "streamed")
"""Where weights come from: they lie in taps memories before an input arrives, or come through the host's port, those of
a layer while the layer before it runs."""


@dataclass(frozen=True, kw_only=True)
class FabricConfig:
    """Sizes of a mesh of clusters.

    Parameters
    ----------
    name : label in reports; not part of the hash.
    width, height : clusters in a row and in a column of the mesh; with ``unlimited`` they follow from the network.
    caps, maps : compute and memory tiles of a cluster; ``caps`` is a multiple of ``maps``.
    cap, map : their tiles; rows, outputs and plane bits of both are the same.
    flit_bits : F, payload of a flit and width of the host's port, a divisor of ``outputs``.
    gather_queue : planes that wait between the gather unit and the tiles.
    weights : one of :data:`WEIGHTS`.
    unlimited : there are as many clusters as bring the fewest cycles.
    notes : sentences on where sizes come from; not part of the hash.

    Raises
    ------
    ConfigError
        If a size is out of its range or sizes do not fit together.
    """

    name: str
    width: int
    height: int
    caps: int
    maps: int
    cap: TileConfig
    map: TileConfig
    flit_bits: int = 64
    gather_queue: int = 8
    weights: str = WEIGHTS[0]
    unlimited: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        limits = {
            "width": 1024,
            "height": 1024,
            "caps": 4096,
            "maps": 4096,
            "flit_bits": 4096,
            "gather_queue": 256,
        }
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise ConfigError(f"name must be letters, digits, '-', '_' and '.', not {self.name!r}")
        for field, high in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
                raise ConfigError(f"{field} must be an integer from 1 to {high}, not {value!r}")
        if self.caps % self.maps:
            raise ConfigError(f"caps must be a multiple of maps ({self.maps}), not {self.caps}")
        for field in ("taps", "outputs", "plane_bits"):
            ours, theirs = getattr(self.cap, field), getattr(self.map, field)
            if ours != theirs:
                raise ConfigError(f"{field} of cap and map must be the same, not {ours} and {theirs}")
        if self.cap.plane_bits != self.cap.rows:
            raise ConfigError(
                f"plane_bits must be rows ({self.cap.rows}) on a fabric, whose gather units form whole planes, not "
                f"{self.cap.plane_bits}"
            )
        if self.outputs % self.flit_bits:
            raise ConfigError(f"flit_bits must be a divisor of outputs ({self.outputs}), not {self.flit_bits}")
        if self.weights not in WEIGHTS:
            raise ConfigError(f"weights must be one of {', '.join(WEIGHTS)}, not {self.weights!r}")
        if not isinstance(self.unlimited, bool):
            raise ConfigError(f"unlimited must be true or false, not {self.unlimited!r}")

    @property
    def clusters(self) -> int:
        """N, clusters of the mesh; with ``unlimited`` those that :attr:`width` and :attr:`height` name."""
        return self.width * self.height

    @property
    def outputs(self) -> int:
        """S of every tile, bits of a word."""
        return self.cap.outputs

    @property
    def caps_per_map(self) -> int:
        """CAPs whose sums one MAP takes."""
        return self.caps // self.maps

    @property
    def flits_per_word(self) -> int:
        """Flits that carry an S-bit word."""
        return self.outputs // self.flit_bits

    @property
    def flits_per_taps_plane(self) -> float:
        """Flits that carry a plane of weights, G bits: whole flits for a plane, or whole planes in a flit."""
        taps = self.cap.taps
        return -(-taps // self.flit_bits) if taps > self.flit_bits else 1 / (self.flit_bits // taps)

    @property
    def hash(self) -> int:
        """64-bit identity: everything but names and notes."""
        fields: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("name", "notes", "cap", "map")
        }
        return identity(fields | {"cap": self.cap.hash_text, "map": self.map.hash_text, "fabric": ARCHITECTURE})

    @property
    def hash_text(self) -> str:
        """The hash as 16 hexadecimal digits."""
        return f"{self.hash:016x}"

    def replace(self, **changes: Any) -> FabricConfig:
        """The same fabric with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, object]:
        """Every field, those of the tiles with their rows, for JSON."""
        fields: dict[str, object] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "notes": list(self.notes), "cap": self.cap.as_dict(), "map": self.map.as_dict()}


_CAP = TileConfig(
    name="lr-cap", taps=75, outputs=64, columns=16, plane_bits=4800, array="4r2w", activity=False, vertical=True
)
_MAP = TileConfig(name="lr-map", taps=75, outputs=64, columns=256, plane_bits=4800, array="4r2w", activity=False)

_SIZES = (
    "64 clusters of 64 CAPs of 4,800 rows x 16 columns: recalled sizes of the limited array of arXiv:2411.01417, "
    "unverified",
    "16 MAPs of 256 columns in each cluster, 64-bit flits, 75 taps x 64 outputs: our choice, the paper's are unknown",
)
_RESIDENT = "weights, programs and registers of all phases lie in their memories before an input arrives"
_STREAMED = "programs and registers of all phases lie in their memories before an input arrives"
_UNLIMITED = "as many clusters as bring the fewest cycles, up to those that the layer with the most work has use for"

FABRICS: dict[str, FabricConfig] = {
    config.name: config
    for config in (
        FabricConfig(
            name="lr", width=8, height=8, caps=64, maps=16, cap=_CAP, map=_MAP, notes=(*_SIZES, _RESIDENT)
        ),
        FabricConfig(
            name="lr-streamed", width=8, height=8, caps=64, maps=16, cap=_CAP, map=_MAP, weights="streamed",
            notes=(*_SIZES, _STREAMED),
        ),
        FabricConfig(
            name="ir", width=8, height=8, caps=64, maps=16, cap=_CAP, map=_MAP, unlimited=True,
            notes=(_UNLIMITED, *_SIZES, _RESIDENT),
        ),
    )
}  # fmt: skip
"""Named fabrics: ``lr`` has limited resources, ``lr-streamed`` gets its weights from the host, ``ir`` is unlimited."""


def fabric_from_fields(fields: dict[str, Any], name: str, origin: str) -> FabricConfig:
    """A fabric from the fields of a JSON object: ``fabric`` names the one that the others change.

    ``cap`` and ``map`` are objects with the fields of a tile that change.

    Parameters
    ----------
    name : of the fabric where the object has none.
    origin : what error texts call the object.

    Raises
    ------
    ConfigError
        If a field is unknown or out of its range.
    """
    base = fields.get("fabric")
    if base not in FABRICS:
        raise ConfigError(f"{origin} must name one of {', '.join(FABRICS)} as its fabric, not {base!r}")
    known = {field.name for field in dataclasses.fields(FabricConfig)}
    changes: dict[str, Any] = {"name": name}
    for field, value in fields.items():
        if field == "fabric":
            continue
        if field not in known:
            raise ConfigError(f"{origin} must name fields of a fabric, not {field!r}")
        changes[field] = value
    for kind in ("cap", "map"):
        if kind in changes:
            if not isinstance(changes[kind], dict):
                raise ConfigError(f"{origin} must have an object for {kind}, not {changes[kind]!r}")
            tile = getattr(FABRICS[base], kind)
            given = dataclasses.asdict(tile) | cast("dict[str, Any]", changes[kind])
            changes[kind] = tile_from_fields(given, tile.name, f"{origin}, {kind},")
    if "notes" not in changes:
        resident = changes.get("weights", FABRICS[base].weights) == "resident"
        changes["notes"] = ("sizes of the fabric come from a config file", _RESIDENT if resident else _STREAMED)
    changes["notes"] = tuple(changes["notes"])
    return FABRICS[base].replace(**changes)
