"""Budgets: what their texts mean, and one line for each way to get them wrong."""

from __future__ import annotations

import argparse

import pytest

from sim.evaluate.budget import Budget, parse_budget, quantity_text


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("latency=1.5ms", Budget("latency", "latency=1.5ms", value=1.5e-3)),
        ("energy=2e3uJ", Budget("energy", "energy=2e3uJ", value=2e3 * 1e-6)),
        ("edp=3 nJs", Budget("edp", "edp=3 nJs", value=3 * 1e-9)),
        ("sensitivity=0.5", Budget("sensitivity", "sensitivity=0.5", value=0.5)),
        ("edp=0.75x", Budget("edp", "edp=0.75x", share=0.75)),
        ("latency=hawq-v3/latency-0.5", Budget("latency", "latency=hawq-v3/latency-0.5", widths="hawq-v3/latency-0.5")),
        ("latency==hawq-v3/w4", Budget("latency", "latency==hawq-v3/w4", widths="hawq-v3/w4")),
        ("energy=./bits.json", Budget("energy", "energy=./bits.json", widths="./bits.json")),
    ],
)
def test_texts(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "latncy=1ms",
            "must begin with one of sensitivity, latency, energy, edp, and '=', not 'latncy'; the nearest is 'latency'",
        ),
        ("latency", "must have a limit after '=', such as latency=0.75x, not 'latency'"),
        ("latency=1", "must be in s, ms, us, ns, ps, fs, or a share such as 0.75x, not 'latency=1'"),
        ("latency=1mJ", "must be in s, ms, us, ns, ps, fs, or a share such as 0.75x, not 'latency=1mJ'"),
        ("sensitivity=1s", "must be in no unit, or a share such as 0.75x, not 'sensitivity=1s'"),
        ("energy=0J", "must be a number above 0, not 'energy=0J'"),
        ("energy=1.2.3J", "must be a number above 0, not 'energy=1.2.3J'"),
        ("energy=1e999J", "must be a number above 0, not 'energy=1e999J'"),
    ],
)
def test_refusals(text: str, problem: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        parse_budget(text)
    assert str(raised.value) == problem


def test_values_as_text() -> None:
    assert quantity_text("latency", 0.00123456789) == "1.23457 ms"
    assert quantity_text("energy", 2.0) == "2 J"
    assert quantity_text("edp", 3.5e-14) == "35 fJs"
    assert quantity_text("edp", 3.5e-20) == "3.5e-20 Js"
    assert quantity_text("latency", 0.0) == "0 s"
    assert quantity_text("sensitivity", 0.25) == "0.25"
