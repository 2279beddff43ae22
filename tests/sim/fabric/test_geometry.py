"""How maps are cut into sets, and what windows need of them, beside computations number by number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sim.fabric.geometry import MapCut, WindowCut, cut_map
from sim.mapping.builder import equal_parts
from tests.sim.fabric.exchanges import random_windows

Place = tuple[int, int, int]
"""Image, row, column."""


def places(cut: MapCut, batch: int) -> list[list[Place]]:
    """The pixels of each set; a map whose pixels are those of several images has them side by side."""
    if cut.images == 1 < batch:
        return [[(image, 0, 0) for image in part] for part in equal_parts(batch, cut.pieces)]
    result: list[list[Place]] = []
    for image, top in itertools.product(range(cut.images), range(0, cut.height, cut.rows)):
        rows = range(top, min(top + cut.rows, cut.height))
        for part in equal_parts(cut.width, cut.pieces):
            result.append([(image, row, column) for row in rows for column in part])
    return result


@pytest.mark.parametrize("batch", [1, 3, 70])
def test_every_pixel_lies_in_one_set(batch: int) -> None:
    for height, width in itertools.product((1, 2, 7, 8, 33), (1, 2, 7, 31, 32, 33, 64, 65, 224)):
        cut = cut_map((height, width, 5), 3, 64, batch)
        sets = places(cut, batch)
        assert len(sets) == cut.sets
        assert max(map(len, sets)) <= 64
        assert sum(map(len, sets)) == batch * height * width
        assert cut.rows & (cut.rows - 1) == 0
        assert (cut.blocks, cut.words) == (5 * cut.sets, 15 * cut.sets)


@pytest.mark.parametrize(
    ("size", "rows", "pieces", "sets", "set_rows"),
    [
        ((8, 8), 8, 1, 1, 8),
        ((7, 7), 8, 1, 1, 7),
        ((14, 14), 4, 1, 4, 4),
        ((56, 56), 1, 1, 56, 1),
        ((64, 64), 1, 1, 64, 1),
        ((3, 65), 1, 2, 6, 1),
        ((224, 224), 1, 4, 896, 1),
        ((1, 1), 1, 1, 1, 1),
        ((100, 1), 64, 1, 2, 64),
    ],
)
def test_sets(size: tuple[int, int], rows: int, pieces: int, sets: int, set_rows: int) -> None:
    cut = cut_map((*size, 1), 8, 64)
    assert (cut.rows, cut.pieces, cut.sets, cut.set_rows) == (rows, pieces, sets, set_rows)


def test_maps_of_one_pixel_lie_side_by_side() -> None:
    assert cut_map((1, 1, 10), 8, 64, 5).sets == 1
    assert cut_map((1, 1, 10), 8, 64, 130).sets == 3
    assert cut_map((2, 1, 10), 8, 64, 130).sets == 130


def touched(windows: WindowCut, batch: int) -> list[list[set[tuple[int, int]]]]:
    """For each set of the output and each element of the kernel, the (row of outputs, input set) that it reads."""
    where = {
        place: number for number, own in enumerate(places(windows.source, batch)) for place in own
    }  # fmt: skip
    merged = windows.source.images != windows.target.images
    (height, width), (down, right), (top, left) = windows.kernel, windows.stride, windows.padding
    return [
        [
            {
                (index if merged else row, where[image, row * down + ky - top, column * right + kx - left])
                for index, (image, row, column) in enumerate(own)
                if (image, row * down + ky - top, column * right + kx - left) in where
            }
            for ky in range(height)
            for kx in range(width)
        ]
        for own in places(windows.target, batch)
    ]


def check_windows(windows: WindowCut, batch: int) -> None:
    reads = touched(windows, batch)
    assert len(reads) == windows.target.sets
    most = max(len(found) for own in reads for found in own)
    assert windows.plane_cycles >= most
    simple = windows.source.pieces == 1 and windows.padding == (0, 0)
    assert windows.plane_cycles == most or not simple
    for parts in (1, 2, windows.target.sets):
        for sets in equal_parts(windows.target.sets, parts):
            needed = {number for own in reads[sets.start : sets.stop] for found in own for _, number in found}
            given = windows.input_sets(sets)
            assert needed <= set(given)
            assert set(given) <= set(range(windows.source.sets))
            if needed and windows.source.images == windows.target.images:
                step = windows.source.pieces
                assert (given.start // step, (given.stop - 1) // step) == (min(needed) // step, max(needed) // step)


@pytest.mark.parametrize("seed", range(60))
def test_random_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    windows = random_windows(rng, outputs=16)
    check_windows(windows, max(windows.source.images, windows.target.images))


@pytest.mark.parametrize("batch", [1, 3, 20])
@pytest.mark.parametrize("size", [(4, 4), (1, 20), (7, 1)])
def test_windows_as_large_as_the_map(size: tuple[int, int], batch: int) -> None:
    source, target = cut_map((*size, 2), 4, 16, batch), cut_map((1, 1, 3), 4, 16, batch)
    check_windows(WindowCut(source, target, size, (1, 1), (0, 0)), batch)


def test_each_image_is_a_word_of_a_plane_where_images_lie_side_by_side() -> None:
    source, target = cut_map((7, 7, 8), 8, 64, 20), cut_map((1, 1, 8), 8, 64, 20)
    assert WindowCut(source, target, (7, 7), (1, 1), (0, 0)).plane_cycles == 20


def test_wide_rows_are_several_words() -> None:
    def words(kernel: int, stride: int, padding: int) -> int:
        source = cut_map((224, 224, 3), 8, 64)
        width = (224 + 2 * padding - kernel) // stride + 1
        return WindowCut(
            source, cut_map((width, width, 8), 8, 64), (kernel, kernel), (stride, stride), (padding, padding)
        ).words_per_row

    assert (words(1, 1, 0), words(3, 1, 1), words(7, 2, 3), words(11, 4, 2)) == (1, 2, 3, 4)


def test_no_sets_need_none() -> None:
    cut = cut_map((4, 4, 1), 1, 16)
    assert WindowCut(cut, cut, (1, 1), (1, 1), (0, 0)).input_sets(range(0)) == range(0)
