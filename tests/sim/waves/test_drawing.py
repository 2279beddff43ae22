from __future__ import annotations

import dataclasses
import io
from xml.etree import ElementTree

from PIL import Image

from sim.waves.drawing import SCALE, Arrow, Box, Drawing, Letters, Style, Text, png_bytes, svg_text

STYLES = {
    "box": Style("#ff0000", stroke="#0000ff"),
    "plain": Style("#00ff00"),
    "word": Style("#000000", size=12, bold=True),
    "digit": Style("#000000", size=10, fixed=True, anchor="middle"),
}
DRAWING = Drawing(
    "A <title> & more", "What \"it\" shows", 120, 80, STYLES,
    [
        Box("box", 10, 10, 20, 10), Box("plain", 40, 10, 20, 10), Arrow("plain", 20, 40, 10),
        Text("word", 10, 60, "a < b & c"), Text("word", 100, 60, "up", turned=True),
        Letters("digit", (10, 30), 75, "01"),
    ],
)  # fmt: skip
SPACE = "{http://www.w3.org/2000/svg}"


def pixels(drawing: Drawing) -> Image.Image:
    return Image.open(io.BytesIO(png_bytes(drawing))).convert("RGB")


def dark(image: Image.Image, box: tuple[int, int, int, int]) -> int:
    left, top, right, bottom = (SCALE * place for place in box)
    return sum(image.crop((left, top, right, bottom)).convert("L").histogram()[:100])


def test_svg_has_every_shape_with_its_class() -> None:
    root = ElementTree.fromstring(svg_text(DRAWING))
    assert root.findtext(f"{SPACE}title") == DRAWING.title
    assert root.findtext(f"{SPACE}desc") == DRAWING.description
    assert [(one.get("class"), one.get("x"), one.get("width")) for one in root.iter(f"{SPACE}rect")] == [
        (None, None, "120"), ("box", "10", "20"), ("plain", "40", "20"),
    ]  # fmt: skip
    assert [one.text for one in root.iter(f"{SPACE}text")] == ["a < b & c", "up", "01"]
    assert [one.get("x") for one in root.iter(f"{SPACE}text")] == ["10", None, "10 30"]
    assert [one.get("transform") for one in root.iter(f"{SPACE}text")] == [None, "translate(100 60) rotate(-90)", None]
    rules = root.findtext(f"{SPACE}style") or ""
    assert ".box{fill:#ff0000;stroke:#0000ff}" in rules
    assert ".digit{fill:#000000;font:10px 'DejaVu Sans Mono',Consolas,monospace;text-anchor:middle}" in rules


def test_svg_needs_nothing_else() -> None:
    text = svg_text(DRAWING)
    assert text.count("http") == text.count("http://www.w3.org/2000/svg") == 1
    assert "url(" not in text


def test_png_has_every_shape_in_its_place() -> None:
    image = pixels(DRAWING)
    assert image.size == (SCALE * 120, SCALE * 80)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((SCALE * 20, SCALE * 15)) == (255, 0, 0)
    assert image.getpixel((SCALE * 10, SCALE * 15)) == (0, 0, 255)
    assert image.getpixel((SCALE * 50, SCALE * 15)) == (0, 255, 0)
    assert image.getpixel((SCALE * 18, SCALE * 40)) == (0, 255, 0)
    assert image.getpixel((SCALE * 22, SCALE * 40)) == (255, 255, 255)
    # Letters are where they should be, the turned ones above their place and to its left.
    assert dark(image, (8, 48, 75, 64)) > 20
    assert dark(image, (86, 36, 104, 61)) > 20
    assert dark(image, (5, 66, 15, 76)) > 5
    assert dark(image, (25, 66, 35, 76)) > 5
    assert dark(image, (16, 66, 24, 76)) == 0


def test_the_same_drawing_gives_the_same_bytes() -> None:
    again = dataclasses.replace(DRAWING)
    assert png_bytes(again) == png_bytes(DRAWING)
    assert svg_text(again) == svg_text(DRAWING)
