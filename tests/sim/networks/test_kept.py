"""Networks that are kept: found as they were made, and made anew when a file is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden.graph import Graph
from golden.widths import apply
from sim.models import load_model
from sim.networks.kept import decoded, encoded, kept_graph
from sim.work.identity import content_hash
from tests.sim.mapping_graphs import KINDS, random_graph


def refused() -> Graph:
    raise AssertionError("the network is there")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path))
    return tmp_path / "networks"


@pytest.mark.parametrize("kind", KINDS)
def test_same_network(kind: str) -> None:
    graph = random_graph(np.random.default_rng(1), kind)
    assert content_hash(decoded(encoded(graph))) == content_hash(graph)


@pytest.mark.parametrize("bits", [1, 11])
def test_networks_with_widths(bits: int) -> None:
    graph = apply(load_model("resnet8"), bits)
    assert content_hash(decoded(encoded(graph))) == content_hash(graph)
    assert len(encoded(graph)) < 400_000


def test_made_once(folder: Path) -> None:
    graphs = [random_graph(np.random.default_rng(seed), "conv2d") for seed in range(2)]
    for number, graph in enumerate(graphs):
        assert kept_graph(str(number), lambda made=graph: made) is graph
    for number, graph in enumerate(graphs):
        assert content_hash(kept_graph(str(number), refused)) == content_hash(graph)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("place", [0, 5, 500, -1])
def test_damage_is_seen(folder: Path, place: int) -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d")
    kept_graph("a", lambda: graph)
    (file,) = folder.iterdir()
    content = bytearray(file.read_bytes())
    content[place] ^= 0x80
    file.write_bytes(content)
    assert kept_graph("a", lambda: graph) is graph
    assert content_hash(kept_graph("a", refused)) == content_hash(graph)
    file.write_bytes(file.read_bytes()[: len(content) // 2])
    assert kept_graph("a", lambda: graph) is graph


def test_what_is_no_network() -> None:
    with pytest.raises(TypeError, match="content must be a network"):
        decoded(b"1\n")
