"""Pass tables: proven over all states, and over all orders of their passes."""

import itertools
import re
from collections.abc import Callable, Mapping

import pytest

from hw.passes import SLOTS, TABLES, Pass, PassError, generate, prove

LAST_PASSES = {
    "add": {"x": 1, "y": 0, "c": 0},
    "subtract": {"x": 1, "y": 1, "c": 0},
    "add_0": {"y": 1, "c": 1},
    "subtract_0": {"y": 0, "c": 1},
    "add_1": {"y": 0, "c": 0},
    "subtract_1": {"y": 1, "c": 0},
    "copy": {"x": 1, "y": 0},
    "not": {"x": 1, "y": 1},
    "and": {"x": 0, "y": 1},
    "or": {"x": 1, "y": 0},
    "xor": {"x": 1, "y": 1, "c": 1},
    "maximum": {"x": 1, "y": 0, "c": 1, "f": 0},
    "minimum": {"x": 1, "y": 0, "c": 1, "f": 0},
}
"""Keys of the last pass, which decide the tags that an instruction leaves; written from the contract."""


def truth(name: str) -> Callable[..., dict[str, int]]:
    """What a step must do to a row, from the meaning of the operation; arguments are slots by name."""

    def step(x: int = 0, y: int = 0, c: int = 0, f: int = 0) -> dict[str, int]:
        stem, _, known = name.rpartition("_")
        if stem in ("add", "subtract"):
            x = int(known)
        if name.startswith("add"):
            return {"y": (y + x + c) % 2, "c": (y + x + c) // 2}
        if name.startswith("subtract"):
            return {"y": (y - x - c) % 2, "c": int(y < x + c)}
        if name in ("maximum", "minimum"):
            if f and not c:
                return {}
            if c:
                return {} if f else {"y": x}
            wins = x > y if name == "maximum" else x < y
            return {"y": x if wins else y, "c": int(wins), "f": int(x != y and not wins)}
        if stem in ("decide", "decide_sign"):
            if c or f or y == int(known):
                return {}
            larger = (y > int(known)) != (stem == "decide_sign")
            return {"f" if larger else "c": 1}
        return {"y": {"copy": x, "not": 1 - x, "and": x & y, "or": x | y, "xor": x ^ c}[name]}

    return step


def slots_of(name: str) -> str:
    """All slots that the passes of a table look at, in the order of SLOTS."""
    return "".join(slot for slot in SLOTS if slot in TABLES[name][0].compare)


def positional(name: str) -> Callable[..., dict[str, int]]:
    slots = slots_of(name)
    return lambda *values: truth(name)(**dict(zip(slots, values, strict=True)))


def run(row: Mapping[str, int], passes: tuple[Pass, ...]) -> tuple[dict[str, int], int]:
    row, matched = dict(row), 0
    for step in passes:
        if all(row[slot] == key for slot, key in step.compare.items()):
            row |= step.write
            matched += 1
    return row, matched


@pytest.mark.parametrize("name", TABLES)
def test_tables_compute_their_operation_in_every_state(name: str) -> None:
    slots = slots_of(name)
    for state in itertools.product((0, 1), repeat=len(slots)):
        before = dict(zip(slots, state, strict=True))
        wanted = before | truth(name)(**before)
        after, matched = run(before, TABLES[name])
        assert after == wanted
        assert matched == int(before != wanted)


@pytest.mark.parametrize("name", TABLES)
def test_exactly_the_orders_that_obey_the_rule_work(name: str) -> None:
    """Pass P goes before pass Q when Q writes what P matches: necessary and sufficient, over every order."""
    passes = TABLES[name]
    slots = slots_of(name)
    safe = 0
    for order in itertools.permutations(passes):
        obeys = not any(
            earlier.compare | earlier.write == later.compare
            for index, earlier in enumerate(order)
            for later in order[index + 1 :]
        )
        works = True
        try:
            prove(slots, positional(name), order)
        except PassError:
            works = False
        assert works == obeys
        safe += works
    assert safe >= 1


@pytest.mark.parametrize("name", TABLES)
def test_passes_fit_the_hardware(name: str) -> None:
    passes = TABLES[name]
    assert 1 <= len(passes) <= 4
    for step in passes:
        assert set(step.compare) == set(slots_of(name))
        assert 1 <= len(step.write) <= 2
        assert "x" not in step.write
        assert all(step.compare[slot] != value for slot, value in step.write.items())


@pytest.mark.parametrize("name", LAST_PASSES)
def test_last_passes_are_those_of_the_contract(name: str) -> None:
    assert TABLES[name][-1].compare == LAST_PASSES[name]


def test_a_wrong_order_is_caught() -> None:
    first, second, *others = TABLES["add"]
    text = r"^state \(0, 1, 1\) of columns xyc ends as .* after 2 matches, not .*$"
    with pytest.raises(PassError, match=text):
        prove("xyc", positional("add"), [second, first, *others])


def test_a_missing_and_a_wrong_pass_are_caught() -> None:
    passes = TABLES["add"]
    with pytest.raises(PassError, match=r"^state \(1, 0, 0\) of columns xyc ends as .* after 0 matches, not .*$"):
        prove("xyc", positional("add"), passes[:-1])
    with pytest.raises(PassError, match=r"^state \(1, 0, 0\) of columns xyc ends as .* after 1 matches, not .*$"):
        prove("xyc", positional("add"), [*passes[:-1], Pass(passes[-1].compare, {"y": 1, "c": 1})])


def test_a_pass_that_changes_nothing_is_caught_when_it_matches_twice() -> None:
    again = TABLES["and"][0]
    with pytest.raises(PassError, match=r"^state \(0, 1\) of columns xy ends as .* after 2 matches, not .*$"):
        prove("xy", positional("and"), [Pass(again.compare, {}), again])


@pytest.mark.parametrize(
    ("inputs", "function", "text"),
    [
        (
            "xy",
            lambda x, y: {"y": x ^ y},
            "the passes [(1, 0), (1, 1)] on columns xy have no safe order",
        ),
        (
            "xyc",
            lambda x, y, c: {"y": (x - y - c) & 1, "c": int(x - y - c < 0)},
            "the passes [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0)] on columns xyc "
            "have no safe order",
        ),
        (
            "xy",
            lambda x, y: {"x": x | y},
            "slot x is an operand and must not be written (state (0, 1))",
        ),
    ],
    ids=["in-place XOR", "B <- A - B", "writing an operand"],
)
def test_impossible_operations(inputs: str, function: Callable[..., dict[str, int]], text: str) -> None:
    with pytest.raises(PassError, match=f"^{re.escape(text)}$"):
        generate(inputs, function)
