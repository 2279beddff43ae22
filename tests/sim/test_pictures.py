from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from golden.graph import FeatureMap
from sim.errors import UserError
from sim.models import PICTURE, data_file
from sim.pictures import fitted, load_input, load_inputs, quantise, stored_pixels

WANTED = FeatureMap("input", (32, 32, 3), bits=8, zero=0, scale=1.0)
GREY = FeatureMap("input", (4, 6, 1), bits=8, zero=128, scale=0.5)
CAT = data_file("cifar10/cifar10_00_3.png")


def test_packaged_picture() -> None:
    (one,) = load_input(CAT, WANTED)
    assert one.file == str(CAT)
    assert one.values.dtype == np.int8
    with Image.open(CAT) as picture:
        assert np.array_equal(one.values.astype(int) + 128, np.asarray(picture).astype(int))


def test_ten_packaged_pictures() -> None:
    files = sorted(data_file("cifar10").glob("*.png"))
    assert len(load_inputs(files, WANTED)) == 10


def test_grey_picture(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    Image.fromarray(pixels).save(tmp_path / "g.png")
    (one,) = load_input(tmp_path / "g.png", GREY)
    assert np.array_equal(one.values[..., 0].astype(int), pixels.astype(int) - 128)


def test_int8_array_is_taken_as_is(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-128, 128, (4, 6, 1)).astype(np.int8)
    np.save(tmp_path / "a.npy", values)
    (one,) = load_input(tmp_path / "a.npy", GREY)
    assert np.array_equal(one.values, values)


def test_several_inputs_in_one_array(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-128, 128, (3, 4, 6, 1)).astype(np.int8)
    np.save(tmp_path / "a.npy", values)
    found = load_input(tmp_path / "a.npy", GREY)
    assert [one.file for one in found] == [f"{tmp_path}/a.npy[{index}]" for index in range(3)]
    assert np.array_equal(np.stack([one.values for one in found]), values)


def test_float_array_is_quantised(tmp_path: Path) -> None:
    values = np.zeros((4, 6, 1), dtype=np.float64)
    values[0, :, 0] = [0.25, -0.25, 0.24, 1.0, 1000.0, -1000.0]  # scale 0.5, zero point 0
    np.save(tmp_path / "a.npy", values)
    (one,) = load_input(tmp_path / "a.npy", GREY)
    assert one.values[0, :, 0].tolist() == [1, -1, 0, 2, 127, -128]


def test_quantise_rounds_halves_away_from_zero_and_nothing_else() -> None:
    just_below_half = np.nextafter(np.float32(0.5), np.float32(0))  # adding 0.5 in single precision would give 1.0
    values = np.array([0.5, 1.5, -0.5, -1.5, just_below_half, -just_below_half], dtype=np.float32)
    assert quantise(values, 1.0, 3).tolist() == [4, 5, 2, 1, 3, 3]


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^input {tmp_path}/no\.png does not exist$"):
        load_input(tmp_path / "no.png", WANTED)


def test_wrong_size(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    with pytest.raises(
        UserError, match=rf"^input {tmp_path}/a\.png must be a picture of 32x32 pixels, RGB, not 64x48, RGB$"
    ):
        load_input(tmp_path / "a.png", WANTED)


@pytest.mark.parametrize(
    ("mode", "told"), [("L", "grey"), ("RGBA", "RGB with transparency"), ("P", "palette"), ("1", "black and white")]
)
def test_wrong_kind(tmp_path: Path, mode: str, told: str) -> None:
    Image.new(mode, (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(
        UserError, match=rf"^input {tmp_path}/a\.png must be a picture of 32x32 pixels, RGB, not 32x32, {told}$"
    ):
        load_input(tmp_path / "a.png", WANTED)


@pytest.mark.parametrize("content", [b"", b"hello", CAT.read_bytes()[:700], b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_corrupt_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"^input {tmp_path}/a\.png is not a readable picture or \.npy file$"):
        load_input(tmp_path / "a.png", WANTED)


def test_corrupt_array(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"hello")
    with pytest.raises(UserError, match=rf"^input {tmp_path}/a\.npy is not a readable \.npy file$"):
        load_input(tmp_path / "a.npy", WANTED)


def test_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(UserError, match=rf"^input {tmp_path}/a\.npy is not a readable \.npy file$"):
        load_input(tmp_path / "a.npy", WANTED)


@pytest.mark.parametrize(
    ("shape", "told"),
    [((3, 32, 32), "3x32x32"), ((32, 32), "32x32"), ((0, 32, 32, 3), "0x32x32x3"), ((), "a single number")],
)
def test_wrong_shape(tmp_path: Path, shape: tuple[int, ...], told: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, dtype=np.int8))
    with pytest.raises(
        UserError,
        match=rf"^input {tmp_path}/a\.npy must be an array of 32x32x3 or Nx32x32x3 numbers, not {told}$",
    ):
        load_input(tmp_path / "a.npy", WANTED)


def test_wrong_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((32, 32, 3), dtype=np.uint8))
    with pytest.raises(
        UserError, match=rf"^input {tmp_path}/a\.npy must hold int8 or floating-point numbers, not uint8$"
    ):
        load_input(tmp_path / "a.npy", WANTED)


def test_not_finite(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((32, 32, 3), np.nan, dtype=np.float32))
    with pytest.raises(UserError, match=rf"^input {tmp_path}/a\.npy must hold finite numbers, it has NaN or infinity$"):
        load_input(tmp_path / "a.npy", WANTED)


def test_picture_for_a_network_of_other_things() -> None:
    wanted = FeatureMap("input", (10, 49, 2), bits=8, zero=0, scale=1.0)
    with pytest.raises(
        UserError, match=r"^input \S+\.png must be an \.npy file: the model takes 10x49x2 numbers, no picture$"
    ):
        load_input(CAT, wanted)


# ---- pictures that are fitted


IMAGENET = FeatureMap("input", (224, 224, 3), bits=8, zero=128, scale=1.0)


def test_packaged_picture_has_the_size() -> None:
    (one,) = load_input(data_file(PICTURE), IMAGENET, fit=True)
    with Image.open(data_file(PICTURE)) as picture:
        assert picture.size == (224, 224)
        assert np.array_equal(one.values.astype(int) + 128, np.asarray(picture.convert("RGB")).astype(int))
    assert data_file(PICTURE).stat().st_size <= 60_000


@pytest.mark.parametrize(("width", "height", "columns"), [(512, 256, 128), (1024, 512, 256), (300, 150, 75)])
def test_the_middle_of_a_wide_picture_is_cut_out(width: int, height: int, columns: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, columns : width - columns] = 200  # the middle square
    found = fitted(Image.fromarray(pixels), 224, 224)
    assert found.shape == (224, 224, 3)
    assert (found == 200).all()


def test_a_picture_becomes_256_high_before_it_is_cut() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 300, axis=1)
    found = fitted(Image.fromarray(ramp), 224, 224)
    assert np.array_equal(found[:, 0, 0], np.arange(16, 240))
    assert np.array_equal(found, np.broadcast_to(found[:, :1, :1], found.shape))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_pictures_of_all_kinds_are_made_rgb(tmp_path: Path, mode: str) -> None:
    name = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (40, 30)).save(name)
    (one,) = load_input(name, IMAGENET, fit=True)
    assert one.values.shape == (224, 224, 3)
    assert one.values.dtype == np.int8


def test_brightness_of_16_bits_is_refused(tmp_path: Path) -> None:
    Image.new("I;16", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png must be a picture of 8 bits a colour, not 16-bit grey$"):
        load_input(tmp_path / "a.png", IMAGENET, fit=True)


@pytest.mark.parametrize(("bits", "wanted"), [(1, [0, 0, 1]), (4, [0, 6, 15]), (8, [0, 100, 255]), (9, [0, 200, 510])])
def test_bytes_at_other_widths(bits: int, wanted: list[int], tmp_path: Path) -> None:
    pixels = np.array([0, 100, 255], np.uint8)
    assert stored_pixels(pixels, bits).tolist() == wanted
    Image.fromarray(np.broadcast_to(pixels, (4, 6, 3))).save(tmp_path / "a.png")
    (one,) = load_input(tmp_path / "a.png", FeatureMap("input", (4, 6, 3), bits, zero=0, scale=1.0), fit=True)
    assert one.values.dtype == (np.int8 if bits <= 8 else np.int16)
    assert (one.values[1, 2].astype(int) + (1 << (bits - 1))).tolist() == wanted
