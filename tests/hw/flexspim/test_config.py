"""Configs of macros: what is refused, what is part of the hash, JSON files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hw.config import ConfigError
from hw.flexspim.config import MACROS, MacroConfig, load_macro


def test_named_configs() -> None:
    assert (MACROS["flexspim"].rows, MACROS["flexspim"].columns) == (512, 256)
    assert MACROS["flexspim"].cells == 512 * 256
    assert MACROS["flexspim"].parallel(16) == 16
    assert all(name == config.name for name, config in MACROS.items())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows": 7}, "rows must be an integer from 8 to 4096, not 7"),
        ({"columns": 1025}, "columns must be an integer from 8 to 1024, not 1025"),
        ({"columns": True}, "columns must be an integer from 8 to 1024, not True"),
        ({"operand_columns": 48}, "operand_columns must be a power of two, not 48"),
        ({"operand_columns": 64, "columns": 32}, "operand_columns must be at most columns (32), not 64"),
        ({"event_bits": 31}, "event_bits must be an integer from 32 to 256, not 31"),
        ({"program_depth": 3}, "program_depth must be a power of two, not 3"),
        ({"loop_depth": 9}, "loop_depth must be an integer from 1 to 8, not 9"),
        ({"counter_bits": 15}, "counter_bits must be an integer from 16 to 64, not 15"),
        ({"saturation": 1}, "saturation must be true or false, not 1"),
        ({"name": "a b"}, "name must be letters, digits, '-', '_' and '.', not 'a b'"),
    ],
)
def test_what_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        MACROS["flexspim"].replace(**changes)
    assert str(error.value) == text


def test_hash_is_everything_but_the_name() -> None:
    config = MACROS["flexspim"]
    assert config.replace(name="other").hash == config.hash
    changes: list[dict[str, object]] = [
        {"rows": 256}, {"columns": 128}, {"operand_columns": 32}, {"event_bits": 32}, {"saturation": False},
        {"program_depth": 64}, {"loop_depth": 1}, {"counter_bits": 32},
    ]  # fmt: skip
    assert len({config.hash_text, *(config.replace(**change).hash_text for change in changes)}) == 9


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"rows": 100}))
    assert load_macro(str(file)) == MacroConfig(name="mine", rows=100)
    file.write_text(json.dumps(MACROS["flexspim-tiny"].as_dict()))
    assert load_macro(str(file)) == MACROS["flexspim-tiny"] == load_macro("flexspim-tiny")
    for content, text in (
        ('{"taps": 3}', f"config file {file} must name fields of a macro, not 'taps'"),
        ("[]", f"config file {file} must hold a JSON object, not list"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError) as error:
            load_macro(str(file))
        assert str(error.value) == text
    with pytest.raises(
        ConfigError, match=r"^config must be one of flexspim, flexspim-tiny or a JSON file, not 'none'$"
    ):
        load_macro("none")
