"""Turns picture files and arrays into the quantised input of a network.

A picture's byte p becomes the int8 number p - 128, which is what int8 image networks are converted with; any other
preparation goes into an ``.npy`` file. Quantising is host work: it happens before the first layer.

For networks of the ImageNet kind, pictures of any size and kind are *fitted*: made RGB, their shorter side brought to
8/7 of the input's, and the middle cut out; a byte then takes as many bits as the input has.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from golden.graph import FeatureMap
from sim.errors import UserError
from sim.files import read_input

__all__ = ["NetworkInput", "fitted", "load_input", "load_inputs", "quantise", "stored_pixels"]

KINDS = {1: "L", 3: "RGB"}
KIND_NAMES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with transparency",
    "P": "palette",
    "RGB": "RGB",
    "RGBA": "RGB with transparency",
    "CMYK": "CMYK",
    "I;16": "16-bit grey",
}

FITTED = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
"""Kinds of pictures that can be made RGB without a choice of brightness."""


@dataclass(frozen=True)
class NetworkInput:
    """One input of a network.

    Parameters
    ----------
    file : where it came from; arrays of several inputs add their index in brackets.
    values : signed numbers, shape (height, width, channels): int8, for inputs of more than 8 bits int16.
    """

    file: str
    values: NDArray[np.signedinteger[Any]]


def load_inputs(
    files: Iterable[str | Path], wanted: FeatureMap, *, half_even: bool = False, fit: bool = False
) -> list[NetworkInput]:
    """Return the inputs of all *files*, in their order, each fit for the feature map *wanted*.

    With *half_even*, halves of floating-point numbers are rounded to even numbers, else away from zero; with *fit*,
    pictures are :func:`fitted`.

    Raises
    ------
    UserError
        If one is missing, damaged, or of another size or kind.
    """
    return [found for file in files for found in load_input(file, wanted, half_even=half_even, fit=fit)]


def load_input(
    file: str | Path, wanted: FeatureMap, *, half_even: bool = False, fit: bool = False
) -> list[NetworkInput]:
    """Return the inputs of one picture or ``.npy`` file.

    An array has the shape (height, width, channels), or one more axis in front for several inputs. Its int8 numbers
    (int16 where the input has more than 8 bits) are taken as they are, as the stored number less half its range;
    floating-point numbers are quantised with the input's scale and zero point.

    Raises
    ------
    UserError
        As :func:`load_inputs`.
    """
    content = read_input(file, "input")
    if Path(file).suffix.lower() == ".npy":
        return _from_array(str(file), content, wanted, half_even)
    if fit:
        return [NetworkInput(str(file), _fitted_picture(str(file), content, wanted))]
    return [NetworkInput(str(file), _from_picture(str(file), content, wanted))]


def fitted(picture: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """Return a picture as RGB bytes (height, width, 3): as it is where it has the size, else resized and cut.

    The shorter side becomes 8/7 of the smallest that would do (256 for 224), then the middle is cut out.
    """
    colours = picture.convert("RGB")
    if colours.size != (width, height):
        scale = 8 * max(width / picture.width, height / picture.height) / 7
        size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        colours = colours.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    return np.asarray(colours, np.uint8)


def stored_pixels(pixels: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    """Return bytes as stored numbers of *bits*: their upper bits, or with zeros below."""
    wide = pixels.astype(np.int64)
    return wide >> (8 - bits) if bits < 8 else wide << (bits - 8)


def quantise(
    values: NDArray[np.floating], scale: float, zero_point: int, bits: int = 8, *, half_even: bool = False
) -> NDArray[np.signedinteger[Any]]:
    """Return ``round(values / scale) + zero_point`` clamped to signed numbers of *bits*; single precision.

    Halves are rounded away from zero, or to even numbers.
    """
    steps = (values.astype(np.float32) / np.float32(scale)).astype(np.float64)
    rounded = np.rint(steps) if half_even else np.trunc(steps + np.copysign(0.5, steps))
    limit = 1 << (bits - 1)
    return np.clip(rounded + zero_point, -limit, limit - 1).astype(_kind(bits))


def _kind(bits: int) -> type[np.int8] | type[np.int16]:
    """The data type of an array of inputs."""
    return np.int8 if bits <= 8 else np.int16


def _from_picture(file: str, content: bytes, wanted: FeatureMap) -> NDArray[np.int8]:
    height, width, channels = wanted.shape
    if channels not in KINDS:
        raise UserError(
            f"input {file} must be an .npy file: the model takes {height}x{width}x{channels} numbers, no picture"
        )
    if wanted.bits != 8:
        raise UserError(f"input {file} must be an .npy file: the model takes numbers of {wanted.bits} bits, no picture")
    kind = KINDS[channels]
    picture = _open(file, content)
    found, pixels = (picture.height, picture.width, picture.mode), np.asarray(picture)
    if found != (height, width, kind):
        raise UserError(
            f"input {file} must be a picture of {width}x{height} pixels, {KIND_NAMES[kind]}, "
            f"not {found[1]}x{found[0]}, {KIND_NAMES.get(found[2], found[2])}"
        )
    return (pixels.astype(np.int16) - 128).astype(np.int8).reshape(height, width, channels)


def _fitted_picture(file: str, content: bytes, wanted: FeatureMap) -> NDArray[np.signedinteger[Any]]:
    picture = _open(file, content)
    if picture.mode not in FITTED:
        kind = KIND_NAMES.get(picture.mode, picture.mode)
        raise UserError(f"input {file} must be a picture of 8 bits a colour, not {kind}")
    pixels = fitted(picture, wanted.shape[0], wanted.shape[1])
    return (stored_pixels(pixels, wanted.bits) + wanted.minimum).astype(_kind(wanted.bits))


def _open(file: str, content: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except Exception as error:  # Pillow's readers raise whatever damage leads them to
        raise UserError(f"input {file} is not a readable picture or .npy file") from error
    return picture


def _from_array(file: str, content: bytes, wanted: FeatureMap, half_even: bool) -> list[NetworkInput]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"input {file} is not a readable .npy file") from error
    shape, kind = wanted.shape, _kind(wanted.bits)
    if not isinstance(array, np.ndarray) or array.shape[-3:] != shape or array.ndim > 4 or array.shape[0] == 0:
        sizes = "x".join(map(str, shape))
        found = "x".join(map(str, array.shape)) if isinstance(array, np.ndarray) else "several arrays"
        raise UserError(
            f"input {file} must be an array of {sizes} or Nx{sizes} numbers, not {found or 'a single number'}"
        )
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise UserError(f"input {file} must hold finite numbers, it has NaN or infinity")
        values = quantise(array, wanted.scale, wanted.zero + wanted.minimum, wanted.bits, half_even=half_even)
    elif array.dtype == kind:
        limit = -wanted.minimum
        if array.min() < -limit or array.max() >= limit:
            raise UserError(
                f"input {file} must hold numbers from {-limit} to {limit - 1}, it has {array.min()} to {array.max()}"
            )
        values = array
    else:
        raise UserError(f"input {file} must hold {kind.__name__} or floating-point numbers, not {array.dtype}")
    if values.ndim == 3:
        return [NetworkInput(file, values)]
    return [NetworkInput(f"{file}[{index}]", one) for index, one in enumerate(values)]
