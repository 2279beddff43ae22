"""The frozen configuration of an accelerator: tiles, clusters and mesh."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hw.config import CONFIGS as TILES
from hw.config import ConfigError, TileConfig, identity
from hw.isa import INSTRUCTION_BITS

__all__ = ["ACCELERATORS", "AcceleratorConfig"]

ARCHITECTURE = 1
"""Version of what the accelerator does with a command stream; part of every hash."""

FLIT_BITS = (32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """Sizes of a mesh of clusters.

    Parameters
    ----------
    name : label in reports and folders; not part of the hash.
    width, height : clusters in a row and in a column of the mesh, at most 63 in all.
    caps, maps : compute and memory tiles of a cluster; ``caps`` is a multiple of ``maps``.
    cap, map : their tiles; taps, outputs and plane bits of both are the same, and whole outputs make a plane port.
    flit_bits : F, payload of a flit and width of the host's streams, a divisor of ``outputs``.
    buffer_flits : flits that a router keeps at each input.
    gather_words : S-bit words in each of the L banks of a gather memory.
    gather_queue : beats that wait between the gather unit and the tiles.
    program_words : instructions, headers included, that a tile's program memory holds.
    taps_words : F-bit words of a tile's taps memory.

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
    buffer_flits: int = 4
    gather_words: int = 1024
    gather_queue: int = 8
    program_words: int = 2048
    taps_words: int = 4096

    def __post_init__(self) -> None:
        limits = {
            "width": (1, 16),
            "height": (1, 16),
            "caps": (1, 16),
            "maps": (1, 16),
            "buffer_flits": (2, 256),
            "gather_words": (2, 1 << 16),
            "gather_queue": (2, 256),
            "program_words": (4, 1 << 16),
            "taps_words": (2, 1 << 16),
        }
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise ConfigError(f"name must be letters, digits, '-', '_' and '.', not {self.name!r}")
        for field, (low, high) in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"{field} must be an integer from {low} to {high}, not {value!r}")
        if self.clusters > 63:
            raise ConfigError(f"width * height must be at most 63 clusters, not {self.clusters}")
        if self.caps % self.maps:
            raise ConfigError(f"caps must be a multiple of maps ({self.maps}), not {self.caps}")
        for field in ("taps", "outputs", "plane_bits"):
            ours, theirs = getattr(self.cap, field), getattr(self.map, field)
            if ours != theirs:
                raise ConfigError(f"{field} of cap and map must be the same, not {ours} and {theirs}")
        if self.cap.plane_bits % self.outputs or self.taps % self.lanes or self.lanes & (self.lanes - 1):
            raise ConfigError(
                f"plane_bits must be outputs ({self.outputs}) times a power of two that divides taps ({self.taps}), "
                f"not {self.cap.plane_bits}"
            )
        if self.flit_bits not in FLIT_BITS or self.outputs % self.flit_bits:
            raise ConfigError(
                f"flit_bits must be one of {', '.join(map(str, FLIT_BITS))} that divides outputs ({self.outputs}), "
                f"not {self.flit_bits!r}"
            )
        if self.flit_bits % self.taps:
            raise ConfigError(f"flit_bits must be a multiple of taps ({self.taps}), not {self.flit_bits}")

    @property
    def clusters(self) -> int:
        """N, clusters of the mesh; cluster ``y * width + x`` is at column x of row y."""
        return self.width * self.height

    @property
    def host(self) -> int:
        """The host's bit in the destinations of a flit."""
        return self.clusters

    @property
    def tiles(self) -> int:
        """Tiles of a cluster: CAPs first, then MAPs."""
        return self.caps + self.maps

    @property
    def taps(self) -> int:
        """G of every tile."""
        return self.cap.taps

    @property
    def outputs(self) -> int:
        """S of every tile, bits of a word."""
        return self.cap.outputs

    @property
    def lanes(self) -> int:
        """L = P / S: channels that the gather unit forms side by side."""
        return self.cap.plane_bits // self.cap.outputs

    @property
    def beats(self) -> int:
        """G / L: beats of a plane."""
        return self.taps // self.lanes

    @property
    def flits_per_word(self) -> int:
        """Flits that carry an S-bit word."""
        return self.outputs // self.flit_bits

    @property
    def flits_per_instruction(self) -> int:
        """Flits that carry a program word."""
        return max(1, INSTRUCTION_BITS // self.flit_bits)

    @property
    def planes_per_flit(self) -> int:
        """Planes of G bits in an F-bit word of a taps memory."""
        return self.flit_bits // self.taps

    def tile(self, number: int) -> TileConfig:
        """The config of tile ``number`` of a cluster."""
        return self.cap if number < self.caps else self.map

    def map_of(self, cap: int) -> int:
        """The MAP (0 .. maps - 1) that takes what a CAP stores."""
        return cap // (self.caps // self.maps)

    @property
    def hash(self) -> int:
        """64-bit identity of the hardware: everything but the names."""
        fields: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("name", "cap", "map")
        }
        return identity(fields | {"cap": self.cap.hash_text, "map": self.map.hash_text, "accelerator": ARCHITECTURE})

    @property
    def hash_text(self) -> str:
        """The hash as 16 hexadecimal digits."""
        return f"{self.hash:016x}"

    def replace(self, **changes: Any) -> AcceleratorConfig:
        """The same accelerator with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, object]:
        """Every field, those of the tiles with their rows, for JSON."""
        fields: dict[str, object] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "cap": self.cap.as_dict(), "map": self.map.as_dict()}


def _mesh(name: str, width: int, height: int, **changes: Any) -> AcceleratorConfig:
    cap = TileConfig(name="mesh-cap", taps=16, outputs=64, columns=128, plane_bits=256, activity=False)
    settings: dict[str, Any] = {"caps": 2, "maps": 1, "cap": cap, "map": cap.replace(name="mesh-map", columns=640)}
    return AcceleratorConfig(name=name, width=width, height=height, **(settings | changes))


ACCELERATORS: dict[str, AcceleratorConfig] = {
    config.name: config
    for config in (
        _mesh("mesh1x1", 1, 1),
        _mesh("mesh1x2", 1, 2),
        _mesh("mesh2x2", 2, 2),
        _mesh("mesh2x2-1to1", 2, 2, maps=2),
        _mesh("mesh4x4", 4, 4),
        AcceleratorConfig(
            name="meshtiny", width=2, height=1, caps=2, maps=1, flit_bits=32, gather_words=64, gather_queue=2,
            program_words=256, taps_words=64, buffer_flits=2,
            cap=TILES["tiny"].replace(name="tiny-cap", array="4r2w", outputs=32, columns=64, plane_bits=64),
            map=TILES["tiny"].replace(name="tiny-map", array="4r2w", outputs=32, columns=128, plane_bits=64),
        ),
    )
}  # fmt: skip
"""Named accelerators: meshes of clusters of two CAPs and one MAP of 1,024 rows, one with as many MAPs as CAPs, and one
that Icarus simulates quickly."""
