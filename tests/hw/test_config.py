"""Every rule of a tile's configuration, by its text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hw.config import CONFIGS, ConfigError, TileConfig, load_config

SIZES: dict[str, Any] = {"name": "t", "taps": 4, "outputs": 8, "columns": 32, "plane_bits": 8}
TINY = CONFIGS["tiny"]


def tile(**changes: Any) -> TileConfig:
    return TileConfig(**(SIZES | changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "name must be letters, digits, '-', '_' and '.', not ''"),
        ({"name": "a b"}, "name must be letters, digits, '-', '_' and '.', not 'a b'"),
        ({"taps": 0}, "taps must be an integer from 1 to 4096, not 0"),
        ({"taps": 4097}, "taps must be an integer from 1 to 4096, not 4097"),
        ({"taps": "4"}, "taps must be an integer from 1 to 4096, not '4'"),
        ({"outputs": -1}, "outputs must be an integer from 1 to 4096, not -1"),
        ({"outputs": True}, "outputs must be an integer from 1 to 4096, not True"),
        ({"columns": 4097}, "columns must be an integer from 1 to 4096, not 4097"),
        ({"columns": 7}, "columns must be at least 8, not 7"),
        ({"plane_bits": 33}, "plane_bits must be an integer from 1 to 32, not 33"),
        ({"plane_bits": 8.0}, "plane_bits must be an integer from 1 to 32, not 8.0"),
        ({"fill_bits": 73}, "fill_bits must be an integer from 1 to 72, not 73"),
        ({"fill_bits": 4}, "fill_bits must be at least 5 for 4 taps, not 4"),
        ({"total_bits": 65}, "total_bits must be an integer from 1 to 64, not 65"),
        ({"total_bits": 39}, "total_bits must be at least fill_bits (40), not 39"),
        ({"program_depth": 65537}, "program_depth must be an integer from 1 to 65536, not 65537"),
        ({"program_depth": 48}, "program_depth must be a power of two and at least 2, not 48"),
        ({"port_queue": 17}, "port_queue must be an integer from 1 to 16, not 17"),
        ({"loop_depth": 9}, "loop_depth must be an integer from 1 to 8, not 9"),
        ({"counter_bits": 65}, "counter_bits must be an integer from 1 to 64, not 65"),
        ({"counter_bits": 15}, "counter_bits must be at least 16, not 15"),
        ({"array": "2r1w"}, "array must be one of cells, 4r2w, 3r1w, not '2r1w'"),
        ({"activity": 1}, "activity must be true or false, not 1"),
        ({"vertical": None}, "vertical must be true or false, not None"),
        ({"zero_skip": 0}, "zero_skip must be true or false, not 0"),
        ({"passes": "fast"}, "passes must be one of classical, merged, two_tags, not 'fast'"),
    ],
)
def test_refused_sizes(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        tile(**changes)


def test_derived_sizes() -> None:
    config = CONFIGS["cap64"]
    assert (config.rows, config.count_bits) == (4800, 7)
    assert [config.beats(bits) for bits in (1, 64, 65, 75, 4800)] == [1, 1, 2, 2, 75]
    assert tile(taps=3).count_bits == 2
    assert tile(taps=4).count_bits == 3
    assert TINY.as_dict()["rows"] == 16


def test_hash_covers_everything_but_the_name() -> None:
    hashes = {config.hash for config in CONFIGS.values()}
    assert len(hashes) == len(CONFIGS)
    assert TINY.replace(name="other").hash == TINY.hash
    assert TINY.hash_text == f"{TINY.hash:016x}"
    others = {
        "taps": 5, "outputs": 9, "columns": 33, "plane_bits": 9, "array": "4r2w", "fill_bits": 25, "total_bits": 33,
        "program_depth": 64, "port_queue": 5, "loop_depth": 3, "activity": False,
        "vertical": True, "passes": "merged", "zero_skip": True, "counter_bits": 31,
    }  # fmt: skip
    assert set(others) == set(TINY.as_dict()) - {"name", "rows"}
    for field, value in others.items():
        assert TINY.replace(**{field: value}).hash != TINY.hash, field


def test_replace_validates() -> None:
    with pytest.raises(ConfigError, match=r"^columns must be at least 8, not 1$"):
        TINY.replace(columns=1)


def test_configs_are_frozen_and_named() -> None:
    assert all(name == config.name for name, config in CONFIGS.items())
    with pytest.raises(AttributeError):
        TINY.taps = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", CONFIGS)
def test_named_configs_and_files(name: str, tmp_path: Path) -> None:
    assert load_config(name) is CONFIGS[name]
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(CONFIGS[name].as_dict()), encoding="utf-8")
    assert load_config(str(path)) == CONFIGS[name]


def test_a_file_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({key: value for key, value in SIZES.items() if key != "name"}), encoding="utf-8")
    assert load_config(str(path)) == tile(name="mine")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, r"config must be one of tiny, small, .* or a JSON file, not '.*mine\.json'"),
        ("{", r"config file .*mine\.json must hold JSON: .*"),
        ("[]", r"config file .*mine\.json must hold a JSON object, not list"),
        ('{"tabs": 4}', r"config file .*mine\.json must name fields of a tile, not 'tabs'"),
        ('{"taps": 4}', r"config file .*mine\.json is incomplete: .*'outputs', 'columns', and 'plane_bits'.*"),
        ('{"taps": 0, "outputs": 1, "columns": 8, "plane_bits": 1}', r"taps must be an integer from 1 to 4096, not 0"),
    ],
)
def test_refused_files(content: str | None, text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"^{text}$"):
        load_config(str(path))
