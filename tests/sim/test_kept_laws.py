"""Laws of a network that are kept: found as they were made, for the same shapes, ways and tile only."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.config import CONFIGS
from sim.mapping import MappingError, layer_shape
from sim.mapping import kept_laws as module
from sim.mapping.kept_laws import kept_laws, laws_of_shapes
from sim.models import load_model

CAP = CONFIGS["cap"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path))
    return tmp_path / "laws"


def test_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load_model("resnet8")
    shapes = [layer_shape(layer, graph) for layer in graph.layers[:2]]
    made = laws_of_shapes(shapes, ["count", "count"], CAP)
    assert kept_laws(shapes, ["count", "count"], CAP) == made
    others = [(shapes, ["count", "lut"], CAP), (shapes[:1], ["count"], CAP), (shapes, ["count"] * 2, CONFIGS["cap64"])]
    laws = [kept_laws(*other) for other in others]
    assert len({str(law) for law in [made, *laws]}) == 4 == len(list(folder.iterdir()))

    def refused(*_: object) -> None:
        raise AssertionError("the laws are there")

    monkeypatch.setattr(module, "plan_layer", refused)
    assert kept_laws(shapes, ["count", "count"], CAP) == made
    assert [kept_laws(*other) for other in others] == laws


def test_what_does_not_fit_is_not_kept(folder: Path) -> None:
    graph = load_model("resnet8")
    shapes = [layer_shape(graph.layers[0], graph)]
    for _ in range(2):
        with pytest.raises(MappingError, match="columns"):
            kept_laws(shapes, ["count"], CAP.replace(columns=16))
    assert not folder.exists()
