"""Sizes of accelerators: what is refused, what follows from them, and what comes from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hw.accelerator.commands import End, Run, Wait, Write, command_word, stream_words
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.named import load_accelerator, load_system
from hw.accelerator.protocol import TileRegister, Unit, unit_size
from hw.config import CONFIGS, ConfigError

SMALL = ACCELERATORS["mesh2x2"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"width": 0}, r"width must be an integer from 1 to 16, not 0"),
        ({"height": "2"}, r"height must be an integer from 1 to 16, not '2'"),
        ({"width": 8, "height": 8}, r"width \* height must be at most 63 clusters, not 64"),
        ({"caps": 3, "maps": 2}, r"caps must be a multiple of maps \(2\), not 3"),
        ({"name": ""}, r"name must be letters, digits, '-', '_' and '\.', not ''"),
        ({"map": SMALL.map.replace(taps=8)}, r"taps of cap and map must be the same, not 16 and 8"),
        ({"map": SMALL.map.replace(plane_bits=64)}, r"plane_bits of cap and map must be the same, not 256 and 64"),
        ({"flit_bits": 48}, r"flit_bits must be one of 32, 64, 128, 256 that divides outputs \(64\), not 48"),
        ({"flit_bits": 128}, r"flit_bits must be one of .* that divides outputs \(64\), not 128"),
        ({"buffer_flits": 1}, r"buffer_flits must be an integer from 2 to 256, not 1"),
        (
            {"cap": SMALL.cap.replace(plane_bits=192), "map": SMALL.map.replace(plane_bits=192)},
            r"plane_bits must be outputs \(64\) times a power of two that divides taps \(16\), not 192",
        ),
        (
            {"cap": SMALL.cap.replace(taps=24, plane_bits=64), "map": SMALL.map.replace(taps=24, plane_bits=64)},
            r"flit_bits must be a multiple of taps \(24\), not 64",
        ),
    ],
)
def test_refused_sizes(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}$"):
        SMALL.replace(**changes)


def test_derived_sizes() -> None:
    assert (SMALL.clusters, SMALL.host, SMALL.tiles) == (4, 4, 3)
    assert (SMALL.lanes, SMALL.beats, SMALL.flits_per_word, SMALL.flits_per_instruction) == (4, 4, 1, 2)
    assert [SMALL.tile(number).name for number in range(3)] == ["mesh-cap", "mesh-cap", "mesh-map"]
    two = ACCELERATORS["mesh2x2-1to1"]
    assert [two.map_of(cap) for cap in range(2)] == [0, 1]
    assert unit_size(Unit.TILE + 2, SMALL) == len(TileRegister)
    assert unit_size(Unit.TILE + 3, SMALL) == 0
    assert unit_size(Unit.PROGRAM, SMALL) == 2 * SMALL.program_words


def test_hash_is_of_all_but_names() -> None:
    renamed = SMALL.replace(name="other", cap=SMALL.cap.replace(name="c"), map=SMALL.map.replace(name="m"))
    assert renamed.hash == SMALL.hash
    changes: tuple[dict[str, Any], ...] = (
        {"width": 3}, {"buffer_flits": 5}, {"map": SMALL.map.replace(columns=512)}, {"gather_words": 512}
    )  # fmt: skip
    assert len({SMALL.hash, *(SMALL.replace(**change).hash for change in changes)}) == 1 + len(changes)


@pytest.mark.parametrize("name", [*CONFIGS, *ACCELERATORS])
def test_named_and_written(name: str, tmp_path: Path) -> None:
    config = load_system(name)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(config.as_dict()), encoding="utf-8")
    assert load_system(str(path)) == config


def test_tiles_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    fields = {"width": 1, "height": 2, "caps": 1, "maps": 1, "cap": "small", "flit_bits": 64}
    cap = {"taps": 4, "outputs": 64, "columns": 96, "plane_bits": 64}
    path.write_text(json.dumps(fields | {"cap": cap}), encoding="utf-8")
    config = load_accelerator(str(path))
    assert (config.name, config.cap, config.map.name) == ("mine", config.map.replace(name="mine-cap"), "mine-map")
    path.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^flit_bits must be one of .* that divides outputs \(16\), not 64$"):
        load_accelerator(str(path))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, r"config must be one of tiny, .*, mesh2x2, .* or a JSON file, not '.*mine\.json'"),
        ({"cap": "small", "hight": 2}, r"config file .*mine\.json must name fields of an accelerator, not 'hight'"),
        ({"cap": "smal"}, r"config file .*mine\.json must have a name or an object for cap, not 'smal'"),
        ({"cap": {"tabs": 1}}, r"config file .*mine\.json, cap, must name fields of a tile, not 'tabs'"),
        ({"cap": "small"}, r"config file .*mine\.json is incomplete: .*'width', 'height', 'caps', and 'maps'"),
        ({"taps": 4}, r"config file .*mine\.json is incomplete: .*"),
    ],
)
def test_refused_files(content: object, text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"^{text}$"):
        load_system(str(path))


def test_a_tile_is_no_accelerator() -> None:
    with pytest.raises(ConfigError, match=r"^config must be an accelerator \(mesh1x1, .*\), not the tile 'cap'$"):
        load_accelerator("cap")


@pytest.mark.parametrize("flit_bits", [32, 64])
def test_stream_words(flit_bits: int) -> None:
    config: AcceleratorConfig = SMALL.replace(flit_bits=flit_bits)
    words = list(stream_words([Write(0x42, 5, [7, 8], 0b1001), Run(), Wait(0b11), End()], config))
    size = 128 // flit_bits
    assert len(words) == 4 * size + 2
    assert words[size : size + 2] == [7, 8]
    joined = [sum(word << position * flit_bits for position, word in enumerate(words[at : at + size]))
              for at in (0, size + 2, 2 * size + 2, 3 * size + 2)]  # fmt: skip
    assert joined == [1 | 0x42 << 8 | 5 << 16 | 2 << 40 | 0b1001 << 64, 2, 3 | 0b11 << 64, 4]


def test_fields_too_wide() -> None:
    with pytest.raises(ValueError, match=r"^address of a command must fit 24 bits, not 16777216$"):
        command_word(1, address=1 << 24)
