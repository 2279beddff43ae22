from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from sim.tools import ToolError
from sim.waves.passes import Trace
from sim.waves.wavedrom import wavedrom_json, wavedrom_svg
from tests.addition_trace import addition
from tests.traces import example

ADD = addition()
LETTERS = set("pPnNhHlL01.|=zxud23456789")
BOXES = set("=23456789")


def lanes(signal: list[Any], group: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All lanes of a diagram with the name of their group."""
    for one in signal:
        if isinstance(one, list):
            name, *rest = one
            assert isinstance(name, str)
            yield from lanes(rest, name)
        elif one:
            yield group, one


def check(diagram: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Check a diagram against the rules of WaveJSON, and return its lanes by group and name."""
    assert set(diagram) <= {"signal", "head", "foot", "config"}
    assert json.loads(json.dumps(diagram)) == diagram
    found = {(group, lane["name"]): lane for group, lane in lanes(diagram["signal"])}
    assert len(found) == len([*lanes(diagram["signal"])])
    lengths = {len(lane["wave"]) for lane in found.values()}
    assert len(lengths) == 1
    for lane in found.values():
        assert set(lane) <= {"name", "wave", "data"}
        assert set(lane["wave"]) <= LETTERS
        assert lane["wave"][:1] not in (".", "|")
        assert sum(letter in BOXES for letter in lane["wave"]) == len(lane.get("data", []))
        assert all(isinstance(text, str) for text in lane.get("data", []))
    return found


def values(lane: dict[str, Any]) -> list[str]:
    """What a lane says in each pass: the text of the box, or the level; nothing where it floats."""
    read: list[str] = []
    data = iter(lane.get("data", []))
    last = ""
    for letter in lane["wave"].replace("|", ""):
        if letter in BOXES:
            last = next(data)
        elif letter != ".":
            last = "" if letter == "z" else letter
        read.append(last)
    return read


@pytest.mark.parametrize("trace", [ADD, example()], ids=["add", "and"])
def test_lanes_say_what_the_passes_do(trace: Trace) -> None:
    found = check(wavedrom_json(trace))
    assert values(found["", "pass"]) == [one.kind for one in trace.passes]
    assert values(found["", "cycle"]) == [str(one.cycle) for one in trace.passes]
    assert values(found["", "instruction"]) == [f"{one.address}: {one.instruction}" for one in trace.passes]
    names = {column.name: column.index for column in trace.columns}
    for (group, name), lane in found.items():
        if group == "key":
            assert values(lane) == [str(one.key.get(names[name], "")) for one in trace.passes]
        elif group == "write":
            written = [{write.column: write.value for write in one.writes} for one in trace.passes]
            assert values(lane) == [str(one.get(names[name], "")) for one in written]
        elif group == "tag":
            assert values(lane) == [str(one.tag[int(name.split()[1])]) for one in trace.passes]
    assert {name for group, name in found if group == "key"} == {
        column.name for column in trace.columns if any(column.index in one.key for one in trace.passes)
    }
    assert values(found["rows", "match or written"]) == [str(len(one.matched)) for one in trace.passes]
    assert values(found["rows", "tagged"]) == [str(sum(one.tag)) for one in trace.passes]
    assert values(found["rows", "cells changed"]) == [str(len(one.changed)) for one in trace.passes]
    assert 1 <= sum(group == "tag" for group, _ in found) <= 6


def test_gaps_are_drawn() -> None:
    first, *others = example().passes
    later = [dataclasses.replace(one, cycle=one.cycle + 7) for one in others]
    diagram = wavedrom_json(dataclasses.replace(example(), passes=(first, *later)))
    for lane in check(diagram).values():
        assert lane["wave"][1] == "|"
        assert lane["wave"].count("|") == 1
    together = [dataclasses.replace(one, cycle=1) for one in example().passes]
    for lane in check(wavedrom_json(dataclasses.replace(example(), passes=tuple(together)))).values():
        assert "|" not in lane["wave"]


def test_planes_and_partners() -> None:
    first, *others = example().passes
    first = dataclasses.replace(first, partner_key={2: 1}, distance=1)
    plane = dataclasses.replace(others[0], kind="plane", writes=(), changed=((2, 0),))
    found = check(wavedrom_json(dataclasses.replace(example(), passes=(first, plane, others[1]))))
    assert values(found["key of partner", "d[0]"]) == ["1", "", ""]
    assert values(found["write", "d[0]"]) == ["", "plane", "1"]


def test_only_the_first_passes_of_many() -> None:
    diagram = wavedrom_json(ADD, 5)
    assert {len(lane["wave"]) for lane in check(diagram).values()} == {5}
    assert "passes 1 to 5 of 33" in diagram["foot"]["text"]
    assert wavedrom_json(ADD)["foot"]["text"].startswith("33 passes; ")
    check(wavedrom_json(dataclasses.replace(ADD, passes=())))


def test_it_is_the_same_each_time() -> None:
    assert json.dumps(wavedrom_json(ADD)) == json.dumps(wavedrom_json(addition()))


def test_svg_without_wavedrom_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yowasp_wavedrom", None)
    with pytest.raises(ToolError, match=r"pip install yowasp-wavedrom\); without it, write JSON and paste it into"):
        wavedrom_svg(ADD)


def test_svg_by_wavedrom_itself() -> None:
    pytest.importorskip("yowasp_wavedrom", reason="the Python package yowasp-wavedrom is not installed")
    svg = wavedrom_svg(ADD)
    ElementTree.fromstring(svg)
    for text in (ADD.title, "carry", "b[3]", "compare"):
        assert text in svg
