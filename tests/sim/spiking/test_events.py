"""Pictures that move become events: by hand, against a pixel-by-pixel loop, and in both formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import UserError
from sim.spiking.events import (
    Saccade,
    address_bits,
    bitmap_bits,
    cheaper_format,
    crossover,
    from_addresses,
    from_bitmap,
    picture_events,
    to_addresses,
    to_bitmap,
)

SHAPE = (3, 5, 2)


def test_the_three_moves_lead_back() -> None:
    assert Saccade(steps=1, pixels=1).positions == ((0, -1), (1, 0), (0, 1), (0, -1))
    assert Saccade(steps=2, pixels=1).positions == ((0, -2), (1, -1), (2, 0), (1, 1), (0, 2), (0, 0), (0, -2))
    assert Saccade(steps=1, pixels=3).positions == ((0, -3), (3, 0), (0, 3), (0, -3))
    assert Saccade(steps=4).timesteps == 12


def test_a_bright_pixel_leaves_one_dark_event_and_one_bright_event() -> None:
    picture = np.zeros((5, 5), dtype=np.uint8)
    picture[2, 2] = 200
    events = picture_events(picture, Saccade(steps=1, pixels=1, threshold=200))
    assert events.shape == (3, 5, 5, 2)
    # At rest it is seen at (2, 1).
    assert np.argwhere(events).tolist() == [
        [0, 2, 1, 1],
        [0, 3, 2, 0],
        [1, 2, 3, 0],
        [1, 3, 2, 1],
        [2, 2, 1, 0],
        [2, 2, 3, 1],
    ]


def test_a_change_below_the_threshold_adds_up() -> None:
    """Brightness 0, 60, 120 at one pixel: the second step is 120 above what the pixel remembers."""
    picture = np.zeros((1, 6), dtype=np.uint8)
    picture[0] = [120, 60, 0, 0, 0, 0]
    scene = np.tile(picture, (6, 1))
    events = picture_events(scene, Saccade(steps=2, pixels=1, threshold=100))
    assert not events[0, 3, 0].any()
    assert events[1, 3, 0].tolist() == [True, False]


def test_a_picture_of_one_brightness_has_events_at_its_edge_only() -> None:
    picture = np.full((8, 8), 255, dtype=np.uint8)
    events = picture_events(picture, Saccade(steps=1, pixels=1))
    assert not events[:, 2:-2, 2:-2].any()
    assert events.any()


def test_dark_pictures_have_no_events() -> None:
    assert not picture_events(np.zeros((2, 4, 4), dtype=np.uint8)).any()


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3),
    st.integers(1, 255),
)  # fmt: skip
def test_events_are_those_of_a_loop(
    seed: int, height: int, width: int, steps: int, pixels: int, threshold: int
) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (2, height, width), dtype=np.uint8)
    saccade = Saccade(steps=steps, pixels=pixels, threshold=threshold)
    found = picture_events(pictures, saccade)
    assert np.array_equal(found, picture_events(pictures, saccade))
    for picture, events in zip(pictures.tolist(), found, strict=True):
        for y, x in np.ndindex(height, width):

            def brightness(place: tuple[int, int], y: int = y, x: int = x, picture: Any = picture) -> int:
                row, column = y - place[0], x - place[1]
                return picture[row][column] if 0 <= row < height and 0 <= column < width else 0

            remembered = brightness(saccade.positions[0])
            for timestep, place in enumerate(saccade.positions[1:]):
                change = brightness(place) - remembered
                wanted = [change >= threshold, -change >= threshold]
                assert events[timestep, y, x].tolist() == wanted
                remembered = brightness(place) if any(wanted) else remembered


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.booleans(), min_size=30, max_size=30))
def test_both_formats_keep_the_events(bits: list[bool]) -> None:
    events = np.array(bits).reshape(SHAPE)
    addresses = to_addresses(events)
    assert addresses.tolist() == [number for number, bit in enumerate(bits) if bit]
    assert np.array_equal(from_addresses(addresses, SHAPE), events)
    content = to_bitmap(events)
    assert [content[number // 8] >> number % 8 & 1 for number in range(32)] == [int(bit) for bit in bits] + [0, 0]
    assert np.array_equal(from_bitmap(content, SHAPE), events)
    wanted = "addresses" if 5 * len(addresses) < 30 else "bitmap"
    assert cheaper_format(events) == wanted
    assert (wanted == "addresses") == (events.mean() < crossover(30))


def test_bits_of_the_formats() -> None:
    assert [address_bits(inputs) for inputs in (1, 2, 3, 4, 5, 1568)] == [0, 1, 2, 2, 3, 11]
    assert bitmap_bits(1568) == 1568
    assert crossover(1568) == 1 / 11
    assert crossover(1) == 1


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"steps": 0}, "steps of a saccade must be 1..64, got 0"),
        ({"pixels": 65}, "pixels of a saccade must be 1..64, got 65"),
        ({"threshold": 256}, "threshold of a saccade must be 1..255, got 256"),
    ],
)
def test_impossible_saccades_are_refused(values: dict[str, int], text: str) -> None:
    with pytest.raises(UserError) as refused:
        Saccade(**values)
    assert str(refused.value) == text


def test_other_input_is_refused() -> None:
    floats: Any = np.zeros((4, 4))
    with pytest.raises(UserError, match=r"^pictures must be 8-bit numbers of shape .*, got float64 of shape \(4, 4\)$"):
        picture_events(floats)
    with pytest.raises(UserError, match=r"^addresses must be 0..29, got 3..30$"):
        from_addresses(np.array([3, 30]), SHAPE)
    with pytest.raises(UserError, match=r"^addresses must occur once each in a timestep$"):
        from_addresses(np.array([3, 3]), SHAPE)
    with pytest.raises(UserError, match=r"^a bitmap of 30 inputs must have 4 bytes, got 3$"):
        from_bitmap(bytes(3), SHAPE)
