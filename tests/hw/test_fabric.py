"""Configs of fabrics: ranges, and what sizes must fit together."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hw.config import ConfigError
from hw.fabric import FABRICS

LR = FABRICS["lr"]


def test_named_fabrics() -> None:
    assert list(FABRICS) == ["lr", "lr-streamed", "ir"]
    assert len({config.hash for config in FABRICS.values()}) == 3
    assert (LR.clusters, LR.clusters * LR.caps, LR.cap.rows, LR.cap.columns) == (64, 4096, 4800, 16)
    assert "recalled" in LR.notes[0]
    assert "unverified" in LR.notes[0]


def test_the_hash_is_that_of_sizes() -> None:
    assert LR.replace(name="other", notes=()).hash == LR.hash
    assert LR.replace(caps=32).hash != LR.hash
    assert LR.replace(cap=LR.cap.replace(columns=24)).hash != LR.hash
    assert len(LR.hash_text) == 16


def test_sizes_that_follow() -> None:
    assert (LR.caps_per_map, LR.flits_per_word, LR.outputs) == (4, 1, 64)
    assert LR.flits_per_taps_plane == 2  # 75 bits
    assert LR.replace(flit_bits=32).flits_per_word == 2
    small = {"taps": 16, "plane_bits": 1024}
    narrow = LR.replace(cap=LR.cap.replace(**small), map=LR.map.replace(**small))
    assert narrow.flits_per_taps_plane == 1 / 4


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "a b"}, "name must be letters, digits, '-', '_' and '.', not 'a b'"),
        ({"caps": 0}, "caps must be an integer from 1 to 4096, not 0"),
        ({"width": True}, "width must be an integer from 1 to 1024, not True"),
        ({"maps": 5}, "caps must be a multiple of maps (5), not 64"),
        ({"flit_bits": 48}, "flit_bits must be a divisor of outputs (64), not 48"),
        ({"weights": "cached"}, "weights must be one of resident, streamed, not 'cached'"),
        ({"unlimited": 1}, "unlimited must be true or false, not 1"),
        ({"cap": LR.cap.replace(taps=25, plane_bits=1600)}, "taps of cap and map must be the same, not 25 and 75"),
        (
            {"cap": LR.cap.replace(plane_bits=64), "map": LR.map.replace(plane_bits=64)},
            "plane_bits must be rows (4800) on a fabric, whose gather units form whole planes, not 64",
        ),
    ],
)
def test_sizes_out_of_range_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(text) + "$"):
        LR.replace(**changes)
