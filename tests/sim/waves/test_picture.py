from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sim.errors import UserError
from sim.waves.drawing import Arrow, Box, Drawing, Letters, Text
from sim.waves.passes import Pass, Trace, Write
from sim.waves.picture import MOST_PASSES, picture, svg_text, write_png
from tests.addition_trace import addition
from tests.traces import example

ADD = addition()
LEGEND = 1
"""Boxes of each kind in the legend."""


def boxes(drawing: Drawing, style: str) -> list[Box]:
    return [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.style == style]


def texts(drawing: Drawing, style: str) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Text) and shape.style == style]


def shown_rows(drawing: Drawing) -> list[int]:
    return [int(text.split()[1]) for text in texts(drawing, "row")]


def with_pass(trace: Trace, **changes: object) -> Trace:
    """The trace with its first pass changed."""
    first, *others = trace.passes
    return dataclasses.replace(trace, passes=(dataclasses.replace(first, **changes), *others))


@pytest.mark.parametrize("trace", [ADD, addition(bits=8, seed=3), example()], ids=["add", "add8", "and"])
def test_every_pass_has_its_line(trace: Trace) -> None:
    drawing = picture(trace, 1000)
    count = len(trace.passes)
    lines = [shape for shape in drawing.shapes if isinstance(shape, Text) and shape.x == 52 and shape.style == "number"]
    assert [line.text for line in lines] == [str(number + 1) for number in range(count)]
    cycles = [shape.text for shape in drawing.shapes if isinstance(shape, Text) and shape.x == 96][1:]
    assert cycles == [str(one.cycle) for one in trace.passes]
    kinds = [f"{one.kind}{' all' if one.all_rows else ''}" for one in trace.passes]
    assert texts(drawing, "kind") == ["at first", *kinds]
    assert texts(drawing, "instruction") == [trace.instructions[trace.passes[0].address]]
    assert texts(drawing, "title") == [trace.title]
    for line, one in zip(lines, trace.passes, strict=True):
        told = [shape for shape in drawing.shapes if isinstance(shape, Letters) and shape.y == line.y]
        bits = {style: "".join(one.text for one in told if one.style == style) for style in ("keybit", "writebit")}
        assert bits["keybit"] == "".join(str(bit) for _, bit in sorted(one.key.items()))
        assert bits["writebit"] == "".join(str(write.value) for write in sorted(one.writes, key=lambda w: w.column))
        counts = [
            s.text for s in drawing.shapes if isinstance(s, Text) and s.y == line.y and s.style in ("number", "nothing")
        ]
        assert counts[2:] == [str(len(one.matched)), str(sum(one.tag)), str(len(one.changed))]


@pytest.mark.parametrize("trace", [ADD, example()], ids=["add", "and"])
def test_cells_are_those_of_the_trace(trace: Trace) -> None:
    drawing = picture(trace)
    rows = shown_rows(drawing)
    columns = [column.index for column in trace.columns]
    changed = sum((column, row) in one.changed for one in trace.passes for column in columns for row in rows)
    assert len(boxes(drawing, "changed")) == changed + LEGEND
    matched = sum(row in one.matched for one in trace.passes for row in rows)
    assert len(boxes(drawing, "matched")) == matched + LEGEND
    assert sum(isinstance(shape, Arrow) for shape in drawing.shapes) == matched + LEGEND
    tagged = sum(one.tag[row] for one in trace.passes for row in rows)
    assert len(boxes(drawing, "tag")) == tagged + LEGEND
    letters = [shape for shape in drawing.shapes if isinstance(shape, Letters) and shape.style in ("bit", "newbit")]
    places: dict[int, dict[int, str]] = {}
    for shape in letters[: -1 if letters[-1].y == max(one.y for one in letters) else None]:
        places.setdefault(shape.y, {}).update(zip(shape.places, shape.text, strict=True))
    read = ["".join(bits[x] for x in sorted(bits)) for _, bits in sorted(places.items())]
    cells = [trace.first_cells, *(one.cells for one in trace.passes)]
    assert read[: len(cells)] == ["".join(str(one[column, row]) for row in rows for column in columns) for one in cells]


def test_masked_columns_are_empty() -> None:
    drawing = picture(ADD)
    bits = sum(len(one.key) + len(one.writes) for one in ADD.passes)
    assert len(boxes(drawing, "masked")) == 9 * len(ADD.passes) - bits + LEGEND
    assert len(boxes(drawing, "compare")) == sum(len(one.key) for one in ADD.passes) + LEGEND
    assert len(boxes(drawing, "write")) == sum(len(one.writes) for one in ADD.passes) + LEGEND


def test_columns_and_numbers_have_names() -> None:
    drawing = picture(ADD)
    assert texts(drawing, "name") == [column.name for column in ADD.columns]
    rows = shown_rows(drawing)
    first = ADD.first_cells.astype(int)
    numbers = [[sum(first[start + bit, row] << bit for bit in range(4)) for start in (0, 4)] for row in rows]
    sums = [(a, (a + b) % 16) for a, b in numbers]
    assert texts(drawing, "value") == [f"a = {a}, b = {b}" for a, b in [*map(tuple, numbers), *sums]]


def test_only_the_first_passes_of_many() -> None:
    drawing = picture(ADD, 9)
    assert texts(drawing, "name") == ["a[0]", "b[0]", "carry"]
    assert "passes 1 to 9 of 33;" in texts(drawing, "note")[0]
    assert picture(ADD, 9).height < picture(ADD).height
    many = addition(bits=8)
    assert f"passes 1 to {MOST_PASSES} of 65;" in svg_text(many)
    assert "are touched; 33 passes; the run" in svg_text(ADD)


def test_rows_that_are_alike_are_counted() -> None:
    same = addition()
    same.first_cells[:] = 1
    passes = [
        dataclasses.replace(one, matched=(), tag=(0,) * 32, cells=same.first_cells, changed=()) for one in same.passes
    ]
    drawing = picture(dataclasses.replace(same, passes=tuple(passes)))
    assert texts(drawing, "row") == ["row 0 (x 32)"]
    assert any(
        note == "The row shown stands for all 32, which do the same in these passes." for note in texts(drawing, "note")
    )


@pytest.mark.parametrize(
    ("changes", "kind", "note"),
    [
        ({"mode": "add"}, "compare +", "compare +:"),
        ({"mode": "remove"}, "compare -", "compare -:"),
        ({"mode": "others"}, "compare not", "compare not:"),
        ({"mode": "all"}, "compare all", "compare all:"),
        ({"mode": "none"}, "compare none", "compare none:"),
        ({"second": True}, "compare (2)", "(2):"),
        ({"kind": "shift", "key": {}, "distance": -2}, "shift -2", "shift:"),
        ({"kind": "plane", "key": {}, "changed": ((1, 0),)}, "plane", "plane (*):"),
        ({"partner_key": {0: 0}, "distance": 1}, "compare", "light blue"),
    ],
)
def test_marks_are_explained(changes: dict[str, object], kind: str, note: str) -> None:
    drawing = picture(with_pass(example(), **changes))
    assert texts(drawing, "kind")[1] == kind
    assert any(text.startswith(note) for text in texts(drawing, "note"))
    plain = picture(example())
    assert not any(text.startswith(note) for text in texts(plain, "note"))


def test_planes_of_the_port_have_a_star() -> None:
    drawing = picture(with_pass(example(), kind="plane", key={}, changed=((1, 0),)))
    assert next(one.text for one in drawing.shapes if isinstance(one, Letters) and one.style == "writebit") == "*"


def test_partner_keys_stand_beside_keys() -> None:
    drawing = picture(with_pass(example(), partner_key={0: 0, 2: 1}, distance=1))
    own, partner = boxes(drawing, "compare"), boxes(drawing, "partner")
    assert [one.width for one in own[:2]] == [9, 18]
    assert [one.width for one in partner] == [9, 18]
    assert partner[0].x == own[0].x + 9


@pytest.mark.parametrize("passes", [(), ADD.passes[:1]], ids=["none", "one"])
def test_few_passes(passes: tuple[Pass, ...], tmp_path: Path) -> None:
    trace = dataclasses.replace(ADD, passes=passes)
    ElementTree.fromstring(svg_text(trace))
    write_png(trace, tmp_path / "few.png")


def test_texts_are_escaped() -> None:
    text = '</text><script>alert(1)</script>&"'
    trace = dataclasses.replace(
        ADD, title=text, columns=tuple(dataclasses.replace(one, name=text) for one in ADD.columns),
        passes=tuple(dataclasses.replace(one, instruction=text) for one in ADD.passes),
    )  # fmt: skip
    svg = svg_text(trace)
    root = ElementTree.fromstring(svg)
    assert "<script" not in svg
    assert [one.text for one in root.iter() if one.get("class") in ("title", "instruction")] == [text, text]


def test_unknown_columns_are_numbered() -> None:
    trace = with_pass(example(), writes=(Write(5, 1),))
    assert texts(picture(trace), "name")[-1] == "column 5"


def test_svg_is_the_same_each_time_and_small() -> None:
    svg = svg_text(ADD)
    assert svg == svg_text(addition())
    assert len(svg) < 80_000
    assert not re.search(r"20\d\d-|url\(|href", svg)


def test_png(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_png(ADD, tmp_path / name)
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert len(data) < 150_000
    drawing = picture(ADD)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (2 * drawing.width, 2 * drawing.height)


def test_png_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^picture .*/nowhere/a\.png cannot be written: folder .* does not exist$"):
        write_png(example(), tmp_path / "nowhere" / "a.png")
