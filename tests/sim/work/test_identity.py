"""Hashes of content: equal for equal content, and for nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from golden.graph import Conv
from hw.config import CONFIGS
from sim.models import load_model
from sim.work.identity import content_hash
from sim.work.units import Work

CONTENTS: list[Any] = [
    None, True, 1, 1.0, "1", "", [], {}, [[]], [1, 2], [[1], 2], ["12"], ["1", "2"], {"a": 1}, {"b": 1}, {"a": 2},
    np.zeros(2, np.int64), np.zeros(2, np.int32), np.zeros((1, 2), np.int64), np.ones(2, np.int64),
]  # fmt: skip


def test_hashes_differ() -> None:
    assert len({content_hash(content) for content in CONTENTS}) == len(CONTENTS)
    assert content_hash([1, 2], 3) != content_hash([1], 2, 3)


def test_hashes_agree() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    array = np.arange(12).reshape(3, 4)
    assert content_hash(array.T) == content_hash(np.ascontiguousarray(array.T))
    assert content_hash(np.int64(3)) == content_hash(np.int64(3))


def test_work_of_a_network() -> None:
    graph = load_model("resnet8")
    work = Work(graph=graph, config=CONFIGS["cap"], engine="turbo", seed=1)
    layer = graph.layers[0]
    assert isinstance(layer, Conv)
    weights = dataclasses.replace(layer, weights=layer.weights + 1)
    others = [
        dataclasses.replace(work, graph=dataclasses.replace(graph, layers=(weights, *graph.layers[1:]))),
        dataclasses.replace(work, config=CONFIGS["cap64"]),
        dataclasses.replace(work, engine="golden"),
        dataclasses.replace(work, seed=2),
        dataclasses.replace(work, mode="lut"),
        dataclasses.replace(work, options={"stall_probability": 0.5}),
    ]
    assert len({content_hash(one) for one in (work, *others)}) == 7
    assert content_hash(work) == content_hash(dataclasses.replace(work))


def test_what_has_no_hash() -> None:
    with pytest.raises(TypeError, match=r"^content must be plain values, arrays and what is made of them, not object$"):
        content_hash(object())
