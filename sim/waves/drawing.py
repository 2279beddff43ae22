"""Boxes and short texts as SVG and as PNG, from the same list of shapes.

SVG names styles by class, so that its text stays small and readable. PNG is drawn by Pillow with the fonts that
Matplotlib brings, twice as large, so that it is the same on every machine with the same versions of both.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

__all__ = ["Arrow", "Box", "Drawing", "Letters", "Shape", "Style", "Text", "png_bytes", "svg_text"]

SCALE = 2
"""Pixels of a PNG for one unit of a drawing."""

FONTS = {
    (False, False): "DejaVuSans.ttf",
    (False, True): "DejaVuSans-Bold.ttf",
    (True, False): "DejaVuSansMono.ttf",
    (True, True): "DejaVuSansMono-Bold.ttf",
}
"""Files of Matplotlib's fonts by (fixed width, bold)."""

FAMILIES = {
    False: "'DejaVu Sans',Verdana,sans-serif",
    True: "'DejaVu Sans Mono',Consolas,monospace",
}
"""What SVG asks for, by fixed width."""


@dataclass(frozen=True)
class Style:
    """How a kind of shape looks.

    Parameters
    ----------
    fill : colour of a box, an arrow or a text.
    stroke : colour of the edge of a box; none if empty.
    size : of a text.
    bold, fixed : font of a text.
    anchor : which point of a text its place is: ``start``, ``middle`` or ``end``.
    """

    fill: str
    stroke: str = ""
    size: int = 0
    bold: bool = False
    fixed: bool = False
    anchor: str = "start"


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    style: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Arrow:
    """A triangle that points to the right, with its tip at (x, y)."""

    style: str
    x: int
    y: int
    size: int


@dataclass(frozen=True)
class Text:
    """A line of text with its base line at y; *turned*, it runs upwards from (x, y)."""

    style: str
    x: int
    y: int
    text: str
    turned: bool = False


@dataclass(frozen=True)
class Letters:
    """Single letters with a place for each, on the base line y."""

    style: str
    places: tuple[int, ...]
    y: int
    text: str


Shape = Box | Arrow | Text | Letters


@dataclass(frozen=True)
class Drawing:
    """A picture on white.

    Parameters
    ----------
    title : one line that names it.
    description : what it shows, for those who do not see it.
    width, height : in units of about a pixel.
    styles : by name.
    shapes : in the order in which they are drawn.
    """

    title: str
    description: str
    width: int
    height: int
    styles: Mapping[str, Style]
    shapes: Sequence[Shape]


def svg_text(drawing: Drawing) -> str:
    """Return *drawing* as a file of SVG that needs no other; the same text for the same drawing."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width}" height="{drawing.height}" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(drawing.title)}</title>',
        f'<desc id="description">{escape(drawing.description)}</desc>',
        f"<style>{''.join(_rules(drawing.styles))}</style>",
        f'<rect width="{drawing.width}" height="{drawing.height}" fill="#fff"/>',
        *map(_element, drawing.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _rules(styles: Mapping[str, Style]) -> Iterable[str]:
    for name, style in styles.items():
        rule = f"fill:{style.fill}"
        if style.stroke:
            rule += f";stroke:{style.stroke}"
        if style.size:
            weight = "bold " if style.bold else ""
            rule += f";font:{weight}{style.size}px {FAMILIES[style.fixed]};text-anchor:{style.anchor}"
        yield f".{name}{{{rule}}}"


def _element(shape: Shape) -> str:
    if isinstance(shape, Box):
        size = f'width="{shape.width}" height="{shape.height}"'
        return f'<rect class="{shape.style}" x="{shape.x}" y="{shape.y}" {size}/>'
    if isinstance(shape, Arrow):
        half = shape.size // 2
        return f'<path class="{shape.style}" d="M{shape.x} {shape.y}l-{shape.size} -{half}v{2 * half}z"/>'
    if isinstance(shape, Letters):
        places = " ".join(map(str, shape.places))
        return f'<text class="{shape.style}" x="{places}" y="{shape.y}">{escape(shape.text)}</text>'
    place = (
        f'transform="translate({shape.x} {shape.y}) rotate(-90)"' if shape.turned else f'x="{shape.x}" y="{shape.y}"'
    )
    return f'<text class="{shape.style}" {place}>{escape(shape.text)}</text>'


def png_bytes(drawing: Drawing) -> bytes:
    """Return *drawing* as PNG with :data:`SCALE` pixels for a unit."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SCALE * drawing.width, SCALE * drawing.height), "#ffffff")
    draw = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        _paint(image, draw, shape, drawing.styles[shape.style])
    content = io.BytesIO()
    image.quantize(64, dither=Image.Dither.NONE).save(content, format="PNG", optimize=True)
    return content.getvalue()


def _paint(image: Image, draw: ImageDraw, shape: Shape, style: Style) -> None:
    if isinstance(shape, Box):
        corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
        left, top, right, bottom = (SCALE * place for place in corners)
        if style.stroke:
            # An edge lies half outside of its box, as in SVG.
            around = (left - SCALE // 2, top - SCALE // 2, right + SCALE // 2 - 1, bottom + SCALE // 2 - 1)
            draw.rectangle(around, style.fill, style.stroke, SCALE)
        else:
            draw.rectangle((left, top, right - 1, bottom - 1), style.fill)
    elif isinstance(shape, Arrow):
        x, y, size = SCALE * shape.x, SCALE * shape.y, SCALE * shape.size
        draw.polygon([(x, y), (x - size, y - size // 2), (x - size, y + size // 2)], style.fill)
    elif isinstance(shape, Letters):
        for place, letter in zip(shape.places, shape.text, strict=True):
            draw.text((SCALE * place, SCALE * shape.y), letter, style.fill, _font(style), _anchor(style))
    elif shape.turned:
        _paint_turned(image, shape, style)
    else:
        draw.text((SCALE * shape.x, SCALE * shape.y), shape.text, style.fill, _font(style), _anchor(style))


def _paint_turned(image: Image, shape: Text, style: Style) -> None:
    """Draw a text that runs upwards: it is drawn flat as a mask, which is then turned."""
    from PIL import Image, ImageDraw

    font = _font(style)
    rise, fall = font.getmetrics()
    mask = Image.new("L", (int(font.getlength(shape.text)) + 1, rise + fall))
    ImageDraw.Draw(mask).text((0, rise), shape.text, 255, font, "ls")
    turned = mask.transpose(Image.Transpose.ROTATE_90)
    image.paste(style.fill, (SCALE * shape.x - rise, SCALE * shape.y - turned.height), turned)


def _anchor(style: Style) -> str:
    return {"start": "ls", "middle": "ms", "end": "rs"}[style.anchor]


def _font(style: Style) -> FreeTypeFont:
    return _loaded_font(FONTS[style.fixed, style.bold], SCALE * style.size)


@functools.cache
def _loaded_font(name: str, size: int) -> FreeTypeFont:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
