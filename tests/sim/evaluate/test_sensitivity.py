"""Tables of sensitivities: what they hold, and one line for each way to get them wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim.errors import UserError
from sim.evaluate.sensitivity import only_widths, parse_sensitivities, parse_width, read_sensitivities, width_text

LAYERS = ("conv1", "conv2", "fc1")
GOOD: dict[str, Any] = {"conv1": 8, "conv2": {"4": 0.5, "8": 0}, "fc1": {"4x8": 1, "8x8": 0.25}}
TABLE = {"conv1": {(8, 8): 0.0}, "conv2": {(4, 4): 0.5, (8, 8): 0.0}, "fc1": {(4, 8): 1.0, (8, 8): 0.25}}


@pytest.mark.parametrize(("name", "write"), [("t.json", json.dumps), ("t.yaml", yaml.safe_dump), ("t.yml", json.dumps)])
def test_files(tmp_path: Path, name: str, write: Any) -> None:
    file = tmp_path / name
    file.write_text(write(GOOD))
    assert read_sensitivities(file, LAYERS) == TABLE


def test_widths_of_yaml_may_be_numbers(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text("conv1: 4x8\nconv2: {4: 0.5, 8: 0}\nfc1: 8\n")
    assert read_sensitivities(file, LAYERS) == {"conv1": {(4, 8): 0.0}, "conv2": TABLE["conv2"], "fc1": {(8, 8): 0.0}}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([1], "t must have a sensitivity for each layer and width, not [1]"),
        (GOOD | {"conv": 8}, "t: 'conv' is no layer with weights; the nearest is 'conv2'"),
        (
            {"conv1": 8, "fc1": 8},
            "t: layer 'conv2' is missing; it needs a sensitivity for each width, or one width to keep",
        ),
        (GOOD | {"fc1": {}}, "t: layer 'fc1' must have a sensitivity for each width, or one width to keep, not {}"),
        (GOOD | {"fc1": 8.5}, "t: layer 'fc1' must have a sensitivity for each width, or one width to keep, not 8.5"),
        (GOOD | {"fc1": True}, "t: layer 'fc1' must have a sensitivity for each width, or one width to keep, not True"),
        (
            GOOD | {"fc1": {"17": 1}},
            "t: layer 'fc1': width must be a number of bits from 1 to 16, or activations x weights such as 4x8, "
            "not '17'",
        ),
        (
            GOOD | {"fc1": "8x0"},
            "t: layer 'fc1': width must be a number of bits from 1 to 16, or activations x weights such as 4x8, "
            "not '8x0'",
        ),
        (GOOD | {"fc1": {"4": 1, "4x4": 2}}, "t: layer 'fc1' has width 4 twice"),
        (
            GOOD | {"fc1": {"4": -1}},
            "t: layer 'fc1', width 4: sensitivity must be a number of 0 or more, not -1",
        ),
        (
            GOOD | {"fc1": {"4": float("nan")}},
            "t: layer 'fc1', width 4: sensitivity must be a number of 0 or more, not nan",
        ),
        (
            GOOD | {"fc1": {"4": "much, so much that it does not fit a line"}},
            "t: layer 'fc1', width 4: sensitivity must be a number of 0 or more, not a str",
        ),
    ],
)
def test_refusals(found: Any, text: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_sensitivities(found, LAYERS, "t")
    assert str(raised.value) == text


@pytest.mark.parametrize(("name", "content"), [("t.json", "{"), ("t.yaml", "a: ["), ("t.json", b"\xff")])
def test_broken_files(tmp_path: Path, name: str, content: str | bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=rf"^sensitivity file {file} cannot be read: [^\n]+$"):
        read_sensitivities(file, LAYERS)
    with pytest.raises(UserError, match=rf"^sensitivity file {tmp_path}/none.json does not exist$"):
        read_sensitivities(tmp_path / "none.json", LAYERS)


def test_only_some_widths() -> None:
    eight = only_widths(TABLE, [(8, 8)], "t")
    assert eight == {"conv1": {(8, 8): 0.0}, "conv2": {(8, 8): 0.0}, "fc1": {(8, 8): 0.25}}
    with pytest.raises(UserError) as raised:
        only_widths(TABLE, [(4, 4), (8, 8)], "t")
    assert str(raised.value) == "t: layer 'fc1' has no sensitivity for width 4, only 4x8, 8"


def test_widths_as_text() -> None:
    for bits in ((4, 4), (4, 16), (1, 2)):
        assert parse_width(width_text(bits)) == bits
