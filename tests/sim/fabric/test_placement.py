"""Where maps lie on a fabric, and that what clusters need arrives there."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from sim.fabric.geometry import WindowCut, cut_map
from sim.fabric.placement import (
    Exchange,
    Mesh,
    Placement,
    exchange,
    least_words,
    path,
    receive,
    send_out,
    transfers,
)
from tests.sim.fabric.exchanges import meshes, random_placement, random_windows


@pytest.mark.parametrize("mesh", [*meshes(4), Mesh(8, 64), Mesh(4, 14), Mesh(5, 3)], ids=str)
def test_numbers_go_along_a_snake(mesh: Mesh) -> None:
    places = [mesh.place(number) for number in range(mesh.clusters)]
    assert places[0] == (0, 0)
    assert len(set(places)) == mesh.clusters
    assert all(abs(r - s) + abs(c - d) == 1 for (r, c), (s, d) in itertools.pairwise(places))
    assert [mesh.number(row, column) for row, column in places] == list(range(mesh.clusters))
    assert mesh.height == max(row for row, _ in places) + 1
    assert mesh.farthest == mesh.width + mesh.height - 2


def test_parts_have_clusters_of_their_own() -> None:
    rng = np.random.default_rng(0)
    for mesh in meshes(4):
        for _ in range(10):
            placement = random_placement(rng, mesh)
            found = [
                placement.where(part, run, mesh) for part in range(placement.sets) for run in range(placement.channels)
            ]
            assert len(set(found)) == placement.clusters
            assert set(found) <= set(range(mesh.clusters))


def test_units_are_not_parted() -> None:
    cut = cut_map((8, 8, 23), 3, 64)
    placement = Placement(1, 3, 2, unit=4)
    assert placement.channel_runs(cut) == [range(8), range(8, 16), range(16, 23)]
    assert placement.map_words(5, 7, 3) == (45, 60)
    assert Placement(1, 4, 1, unit=10).channel_runs(cut) == [range(0), range(10), range(10, 20), range(20, 23)]


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_everything_that_is_needed_arrives(seed: int, local: bool) -> None:
    rng = np.random.default_rng(seed)
    mesh = list(meshes(4))[seed % 16]
    windows = random_windows(rng, local=local)
    source, target = random_placement(rng, mesh, 3), random_placement(rng, mesh)
    arrived: dict[int, set[tuple[int, int]]] = defaultdict(set)
    sent: set[tuple[int, int]] = set()
    for one in transfers(windows, source, target, mesh, local=local):
        own = set(itertools.product(one.sets, one.channels))
        assert not own & sent
        sent |= own
        assert sum(one.words) == len(own) * windows.source.bits
        for receiver in one.receivers:
            arrived[receiver] |= own
    multiplier = windows.target.channels // windows.source.channels
    for part, sets in enumerate(target.set_parts(windows.target)):
        for run, channels in enumerate(target.channel_runs(windows.target)):
            inputs = {channel // multiplier for channel in channels} if local else range(windows.source.channels)
            needed = set(itertools.product(windows.input_sets(sets), inputs))
            assert needed <= arrived[target.where(part, run, mesh)]


@pytest.mark.parametrize("seed", range(20))
def test_senders_have_what_they_send(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = list(meshes(4))[-1 - seed % 16]
    windows = random_windows(rng)
    source, target = random_placement(rng, mesh), random_placement(rng, mesh)
    own = {
        source.where(part, run, mesh): (sets, channels)
        for part, sets in enumerate(source.set_parts(windows.source))
        for run, channels in enumerate(source.channel_runs(windows.source))
    }
    for one in transfers(windows, source, target, mesh):
        sets, channels = own[one.sender]
        assert set(one.sets) <= set(sets)
        assert one.channels == channels


@pytest.mark.parametrize("seed", range(40))
def test_no_exchange_is_shorter_than_what_one_cluster_needs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = list(meshes(4))[seed % 16]
    windows = random_windows(rng)
    source, target = random_placement(rng, mesh), random_placement(rng, mesh)
    least = least_words(windows, target)
    assert exchange(windows, source, target, mesh, 1).cycles >= least
    assert receive(windows, target, mesh, 1, 2).cycles >= least


def test_a_map_that_lies_right_still_goes_to_its_gather_memory() -> None:
    """MAPs keep maps, gather units read other memories."""
    cut = cut_map((8, 8, 4), 3, 64)
    windows = WindowCut(cut, cut, (1, 1), (1, 1), (0, 0))
    found = exchange(windows, Placement(1, 1, 1), Placement(1, 1, 1), Mesh(2, 4), 1)
    assert found == Exchange(12 + 8, 12, 1)


def test_a_path_in_the_mesh() -> None:
    """Along the row of the sender, then along columns; the corner is number 5."""
    tree = path(0, [6], Mesh(3, 9))
    assert (tree.links, tree.hops, tree.first, tree.last) == (3, 2, 0, 6)
    assert path(2, [2], Mesh(3, 9)).links == 1


def test_rows_that_clusters_share_are_written_once() -> None:
    """Two clusters need sets 0 to 2 and 1 to 3: three runs, those in the middle for both."""
    cut = cut_map((4, 64, 1), 8, 64)
    windows = WindowCut(cut, cut, (3, 1), (1, 1), (1, 0))
    found = receive(windows, Placement(2, 1, 1), Mesh(2, 2), 1, 2)
    assert found.flit_hops == 8 * (1 + 2 * 3 + 2)
    assert found.cycles == 3 * 2 + 32 + 2 + 1


def test_what_nobody_needs_is_not_written() -> None:
    """Every third row, by a stride of 3."""
    source, target = cut_map((7, 64, 1), 8, 64), cut_map((3, 64, 1), 8, 64)
    windows = WindowCut(source, target, (1, 1), (3, 1), (0, 0))
    found = receive(windows, Placement(3, 1, 1), Mesh(3, 3), 1, 2)
    assert found.cycles == 3 * (2 + 8) + 3 + 1
    assert found.flit_hops == 8 * (1 + 2 + 3)


def test_a_whole_map_goes_to_the_host() -> None:
    cut = cut_map((2, 64, 3), 8, 64)
    found = send_out(cut, Placement(2, 1, 3), Mesh(1, 2), 1)
    assert found == Exchange(6 * (8 + 1 + 8) + 3, 24 + 48, 6)
