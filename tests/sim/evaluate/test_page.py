from __future__ import annotations

import dataclasses
import html.parser
import re
from xml.etree import ElementTree

import pytest

from sim.evaluate.cost import PARTS, Events, NetworkCost
from sim.evaluate.energy import ENERGY_PARTS
from sim.evaluate.page import html_page
from tests.evaluations import TECHNOLOGY, layer_cost, network_cost

COST = network_cost(layer_cost("conv1", seed=1), layer_cost("pool", weight_bits=None), layer_cost("fc", seed=3))
SWEEP = [network_cost(layer_cost("conv", weight_bits=bits, seed=bits), bits=str(bits)) for bits in (8, 6, 4)]
IDLE = dataclasses.replace(layer_cost("idle"), cycles={}, events=Events(), utilisation=None)
VOID = {"meta", "br"}
LOADING = {"script", "link", "img", "iframe", "object", "embed", "source", "base", "form", "image", "audio", "video"}


class Reader(html.parser.HTMLParser):
    """Checks that elements are closed in their order, and collects what there is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.identifiers: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.identifiers.append(value or "")
            elif name.split(":")[-1] in ("href", "src", "action", "data", "srcset", "poster"):
                self.references.append(value or "")
            self.references += re.findall(r"url\(['\"]?([^)'\"]*)", value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert not re.search(r"url\(|@import|@font-face", data)
        self.texts.append(data.strip())


def check(text: str) -> Reader:
    """Read a page: it needs nothing else, and its plots are well-formed."""
    reader = Reader(text)
    assert not reader.tags & LOADING
    assert all(reference.startswith("#") for reference in reader.references)
    assert {reference[1:] for reference in reader.references} <= set(reader.identifiers)
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    return reader


def test_page_is_self_contained_and_has_all_layers() -> None:
    page = html_page([COST], TECHNOLOGY)
    reader = check(page)
    for layer in COST.layers:
        assert reader.texts.count(layer.name) >= 3
        assert layer.mapping in reader.texts
        assert f"{layer.total:,}" in reader.texts
    for text in (*PARTS.values(), *ENERGY_PARTS.values(), *COST.assumptions, *TECHNOLOGY.assumptions):
        assert text in reader.texts
    for name in (*TECHNOLOGY.constants, "0123456789abcdef", "latency [ms]", "[GOPS/W/mm2]", "EDP [J s]"):
        assert any(name in text for text in reader.texts)
    assert [text for text in reader.texts if text.startswith(("Runs", "Accuracy"))] == []
    assert page.count("<svg") == 3


def test_identifiers_are_unique() -> None:
    reader = check(html_page(SWEEP, TECHNOLOGY, accuracy={("net", "8"): 71.0}))
    figures = [one for one in reader.identifiers if one.endswith("figure_1")]
    assert sorted(figures) == sorted({*figures})
    assert len(figures) == 5


def test_page_is_the_same_each_time() -> None:
    assert html_page(SWEEP, TECHNOLOGY) == html_page(SWEEP, TECHNOLOGY)


def test_sweep_and_accuracy() -> None:
    text = html_page(SWEEP, TECHNOLOGY, accuracy={("net", "8"): 71.56, ("net", "4"): 68.45}, accuracy_source="A & B")
    reader = check(text)
    assert "Runs" in reader.texts
    assert "71.56" in reader.texts
    assert "68.45" in reader.texts
    assert any("Accuracy: A & B." in one for one in reader.texts)
    for run in SWEEP:
        assert f"{run.total:,}" in reader.texts
    assert "conv" in reader.texts


def test_names_are_escaped() -> None:
    name = "</td><script>alert(1)</script>&$title"
    cost = network_cost(layer_cost(name), name=name, bits=name)
    cost = dataclasses.replace(cost, config=name, mode=name, assumptions=(name,), sizes={"name": name})
    text = html_page([cost, cost], dataclasses.replace(TECHNOLOGY, name=name), accuracy={(name, name): 1.0})
    reader = check(text)
    assert reader.texts.count(name) >= 4
    assert "<script>" not in text


@pytest.mark.parametrize(
    "cost", [network_cost(), network_cost(IDLE), network_cost(layer_cost("pool", weight_bits=None))],
    ids=["no layers", "no cycles", "no products"],
)  # fmt: skip
def test_degenerate_networks(cost: NetworkCost) -> None:
    reader = check(html_page([cost], TECHNOLOGY))
    assert f"{cost.total:,}" in reader.texts
    check(html_page([cost, cost], TECHNOLOGY))
