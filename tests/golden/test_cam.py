"""The content-addressable memory against loops over single cells."""

from __future__ import annotations

import numpy as np
import pytest

from golden.cam import STARTS, Cam, Lines

COLUMNS, ROWS = 5, 24
SEED = 11


@pytest.fixture
def cam() -> Cam:
    memory = Cam(np.random.default_rng(SEED).integers(0, 2, (COLUMNS, ROWS), np.uint8), registers=2)
    memory.tags = np.random.default_rng(SEED + 1).integers(0, 2, (2, ROWS)).astype(np.bool_)
    return memory


@pytest.mark.parametrize("register", [0, 1])
@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("start", STARTS)
def test_compare(cam: Cam, start: str, *, remove: bool, register: int) -> None:
    key = {1: 1, 3: 0}
    before, cells, other = cam.tags[register].copy(), cam.cells.copy(), cam.tags[1 - register].copy()
    found = cam.compare(key, start=start, remove=remove, register=register)
    for row in range(ROWS):
        matches = cells[1, row] == 1 and cells[3, row] == 0
        begins = {"none": False, "all": True, "tagged": bool(before[row])}[start]
        assert found[row] == matches
        assert cam.tags[register, row] == (begins and not matches if remove else begins or matches)
    assert np.array_equal(cam.cells, cells)
    assert np.array_equal(cam.tags[1 - register], other)


def test_a_key_without_columns_matches_every_row(cam: Cam) -> None:
    assert cam.matches({}).all()


def test_start_must_be_known(cam: Cam) -> None:
    with pytest.raises(ValueError, match=r"^start must be one of none, all, tagged, not 'some'$"):
        cam.compare({}, start="some")


@pytest.mark.parametrize("all_rows", [False, True])
@pytest.mark.parametrize("register", [0, 1])
def test_write(cam: Cam, *, all_rows: bool, register: int) -> None:
    before, tags = cam.cells, cam.tags.copy()
    kept = before.copy()
    written = cam.write({0: 1, 4: 0}, all_rows=all_rows, register=register)
    for row in range(ROWS):
        assert written[row] == (all_rows or tags[register, row])
        for column in range(COLUMNS):
            wanted = {0: 1, 4: 0}.get(column, kept[column, row]) if written[row] else kept[column, row]
            assert cam.cells[column, row] == wanted
    assert np.array_equal(before, kept), "who holds the old cells keeps them"
    assert np.array_equal(cam.tags, tags)


@pytest.mark.parametrize("rows", [-ROWS, -8, -1, 0, 1, 8, ROWS])
def test_shift(cam: Cam, rows: int) -> None:
    before = cam.tags.copy()
    cam.shift(rows)
    for row in range(ROWS):
        source = row - rows
        assert cam.tags[0, row] == (0 <= source < ROWS and before[0, source])
    assert np.array_equal(cam.tags[1], before[1])


def test_put(cam: Cam) -> None:
    before = cam.cells
    plane = 1 - before[2]
    chosen = np.arange(ROWS) < 8
    cam.put(2, plane, chosen)
    assert np.array_equal(cam.cells[2, :8], plane[:8])
    assert np.array_equal(cam.cells[2, 8:], before[2, 8:])
    cam.put(2, plane)
    assert np.array_equal(cam.cells[2], plane)
    assert np.array_equal(np.delete(cam.cells, 2, axis=0), np.delete(before, 2, axis=0))
    cam.put_tags(plane)
    assert np.array_equal(cam.tags[0], plane == 1)


def test_lines(cam: Cam) -> None:
    """A row is compared together with the row eight further up, where it takes part and has a partner."""
    active, present = np.arange(ROWS) % 2 == 0, np.arange(ROWS) < 12
    lines = Lines({1: 0, 2: 0}, 8, active, present)
    found = cam.matches({1: 1}, lines)
    for row in range(ROWS):
        partner = [int(cam.cells[column, row + 8]) if row + 8 < ROWS and present[row] else 0 for column in (1, 2)]
        assert found[row] == (active[row] and cam.cells[1, row] == 1 and partner == [0, 0])
    assert not cam.matches({}, Lines({1: 1}, 8, active, present & False)).any()
