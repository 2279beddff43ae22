"""Step tables: proven over all states by an interpreter of our own, and over all orders of their passes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from hw.config import PASSES
from hw.passes import LONGEST, TAG_REGISTERS, PassError, Step, Table, compared, ordered, prove, tables

State = dict[str, int]
Group = tuple[tuple[Step, ...], Step]
"""Compares and the write that they share."""

SLOTS = "xycfr"
TABLES = {(passes, name): table for passes in PASSES for name, table in tables(passes).items()}
each_table = pytest.mark.parametrize(("passes", "name"), TABLES, ids="-".join)

ORDERED = (
    "add", "add_0", "add_1", "add_signs", "subtract", "subtract_0", "subtract_1", "sum", "sum_0", "diff", "diff_0",
    "rdiff", "rdiff_0", "copy_if", "not_if", "clear_if", "and_in_place", "or_in_place",
)  # fmt: skip
"""Tables whose passes need an order."""

ALIASES = {"not": "x", "negate": "x", "absolute": "x", "absolute_top": "x", "xor": "y", "and": "y", "or": "y"}
"""Where the result may lie when an operation works in place."""

LAST_COMPARES = {
    "add": {"x": 1, "y": 0, "c": 0},
    "add_0": {"y": 1, "c": 1},
    "add_1": {"y": 0, "c": 0},
    "add_signs": {"x": 1, "y": 1, "c": 0},
    "subtract": {"x": 1, "y": 1, "c": 0},
    "subtract_0": {"y": 0, "c": 1},
    "subtract_1": {"y": 1, "c": 0},
    "sum": {"x": 1, "y": 1, "c": 0},
    "sum_0": {"y": 1, "c": 0},
    "diff": {"x": 1, "y": 1, "c": 1},
    "diff_0": {"y": 1, "c": 1},
    "rdiff": {"x": 1, "y": 1, "c": 1},
    "rdiff_0": {"y": 1, "c": 0},
    "copy_if": {"x": 1, "y": 0},
    "not_if": {"x": 1, "y": 1},
    "clear_if": {"y": 1},
    "and_in_place": {"x": 0, "y": 1},
    "or_in_place": {"x": 1, "y": 0},
}
"""Keys of the last classical passes, which decide the tags that an instruction leaves; written from the contract."""

CYCLES = {
    "add": (8, 7, 6), "add_0": (4, 4, 4), "add_1": (4, 4, 4), "add_signs": (12, 11, 10), "subtract": (8, 7, 6),
    "subtract_0": (4, 4, 4), "subtract_1": (4, 4, 4), "sum": (10, 8, 8), "sum_0": (4, 3, 3), "diff": (10, 8, 8),
    "diff_0": (6, 5, 5), "rdiff": (10, 8, 8), "rdiff_0": (4, 3, 3), "copy": (3, 3, 3), "not": (3, 3, 3),
    "copy_if": (4, 4, 4), "not_if": (4, 4, 4), "clear_if": (2, 2, 2), "and": (3, 3, 3), "or": (3, 3, 3),
    "xor": (4, 4, 4), "and_in_place": (2, 2, 2), "or_in_place": (2, 2, 2), "negate": (4, 4, 4), "absolute": (6, 6, 6),
    "absolute_top": (4, 4, 4), "less": (2, 2, 2), "greater": (2, 2, 2), "differ": (2, 2, 2), "add_if_0": (1, 1, 1),
    "add_if_1": (1, 1, 1), "remove_if_0": (1, 1, 1), "remove_if_1": (1, 1, 1), "flag_marked": (2, 2, 2),
    "flag_unmarked": (2, 2, 2), "flag_taken": (2, 2, 2),
}  # fmt: skip
"""What a step takes with classical, merged and two_tags passes; written from the contract."""


def sums(name: str, x: int, y: int, c: int) -> State:
    """What an addition leaves in y and c, from the numbers that the bits stand for."""
    stem, _, known = name.partition("_")
    if name == "add_signs":
        total = c - x - y
        return {"y": total % 2, "c": int(total < 0)}
    x = int(known) if known else x
    total = {"add": x + y + c, "sum": x + y + c, "subtract": y - x - c, "diff": y - x - c, "rdiff": x - y - c}[stem]
    return {"y": total % 2, "c": int(not 0 <= total < 2)}


def meaning(name: str, row: State, tag: int) -> State:
    """What a step must do to a row, from the meaning of the operation; "tag" where the tag is the result."""
    x, y, c, f = (row[slot] for slot in "xycf")
    if name.partition("_")[0] in ("add", "subtract") and "if" not in name:
        return sums(name, x, y, c)
    if name.partition("_")[0] in ("sum", "diff", "rdiff"):
        new = sums(name, x, y, c)
        return {"r": row["r"] | new["y"], "c": new["c"]}
    inverted = x ^ c
    results: dict[str, State] = {
        "copy": {"r": x},
        "not": {"r": 1 - x},
        "copy_if": {"y": x},
        "not_if": {"y": 1 - x},
        "clear_if": {"y": 0},
        "and": {"r": x & y},
        "or": {"r": x | y},
        "xor": {"r": int(x != y)},
        "and_in_place": {"y": x & y},
        "or_in_place": {"y": x | y},
        "negate": {"r": inverted, "c": int(x or c)},
        "absolute": {"r": inverted, "c": int(c or (f and x))},
        "absolute_top": {"r": inverted},
        "less": {"tag": y if x != y else tag},
        "greater": {"tag": x if x != y else tag},
        "differ": {"tag": int(x != y or tag)},
        "add_if_0": {"tag": int(not y or tag)},
        "add_if_1": {"tag": int(y or tag)},
        "remove_if_0": {"tag": int(y and tag)},
        "remove_if_1": {"tag": int(not y and tag)},
        "flag_marked": {"r": tag},
        "flag_unmarked": {"r": 1 - tag},
        "flag_taken": {"f": tag},
    }
    return results[name]


def executed(steps: Sequence[Step], row: State, tags: Sequence[int], alias: str = "") -> tuple[State, list[int]]:
    """A row and its tags after the steps; ``alias``: the slot that is the same column as r."""
    row, tags = dict(row), list(tags)
    for step in steps:
        place = 1 if step.second else 0
        if step.compare:
            hit = all(row[alias if alias and slot == "r" else slot] == key for slot, key in step.compare.items())
            if step.mode == "set":
                tags[place] = int(hit)
            elif hit:
                tags[place] = 1 if step.mode == "add" else 0
        elif step.all_rows or tags[place]:
            for slot, value in step.write.items():
                row[alias if alias and slot == "r" else slot] = value
    return row, tags


def rows() -> Iterator[State]:
    for values in itertools.product((0, 1), repeat=len(SLOTS)):
        yield dict(zip(SLOTS, values, strict=True))


def works(name: str, steps: Sequence[Step], alias: str = "") -> bool:
    """Whether steps do what they should in every state, with every tag before."""
    for row, tag, other in itertools.product(rows(), (0, 1), (0, 1)):
        wanted = meaning(name, row, tag)
        after, tags = executed(steps, row, (tag, other), alias)
        expected = dict(row)
        for slot, value in wanted.items():
            if slot != "tag":
                expected[alias if alias and slot == "r" else slot] = value
        if after != expected or tags[0] != wanted.get("tag", tags[0]):
            return False
    return True


@each_table
def test_tables_compute_their_operation_in_every_state(passes: str, name: str) -> None:
    assert works(name, TABLES[passes, name])


@pytest.mark.parametrize("name", ALIASES)
def test_tables_compute_their_operation_in_place(name: str) -> None:
    for passes in PASSES:
        assert works(name, TABLES[passes, name], ALIASES[name])


def test_every_table_is_looked_at() -> None:
    for passes in PASSES:
        names = {name for other, name in TABLES if other == passes}
        assert names == set(CYCLES)
        assert set(ORDERED) == set(LAST_COMPARES) <= names


@each_table
def test_tables_cost_what_the_contract_says(passes: str, name: str) -> None:
    table = TABLES[passes, name]
    assert len(table) == CYCLES[name][PASSES.index(passes)] <= LONGEST
    for step in table:
        assert bool(step.compare) != bool(step.write), "a cycle has one compare or one write"
        assert "x" not in step.write
        assert not step.second or TAG_REGISTERS[passes] == 2


def groups_of(table: Table) -> list[Group]:
    """The compares of each write, in the order of the writes."""
    groups: list[Group] = []
    waiting: dict[bool, list[Step]] = {False: [], True: []}
    for step in table:
        if step.compare:
            waiting[step.second] = [*(waiting[step.second] if step.mode == "add" else []), step]
        else:
            groups.append((tuple(waiting[step.second]), step))
    return groups


def rounds_of(table: Table) -> list[list[Group]]:
    """Groups whose compares all come before the first of their writes."""
    rounds: list[list[Group]] = []
    groups = iter(groups_of(table))
    for kind, steps in itertools.groupby(table, key=lambda step: bool(step.write)):
        if kind:
            rounds.append([next(groups) for _ in steps])
    return rounds


def arranged(rounds: Sequence[Sequence[Group]]) -> list[Step]:
    """Steps of groups in rounds."""
    steps: list[Step] = []
    for groups in rounds:
        for second, (compares, _) in enumerate(groups):
            steps += [replace(step, second=bool(second)) for step in compares]
        steps += [replace(write, second=bool(second)) for second, (_, write) in enumerate(groups)]
    return steps


def all_arrangements(groups: Sequence[Group], at_once: int) -> Iterator[list[list[Group]]]:
    """Every order of groups in rounds of at most so many."""
    if not groups:
        yield []
        return
    for size in range(1, at_once + 1):
        for chosen in itertools.permutations(groups, size):
            rest = [group for group in groups if group not in chosen]
            for later in all_arrangements(rest, at_once):
                yield [list(chosen), *later]


def obeys(rounds: Sequence[Sequence[Group]]) -> bool:
    """The rule: no group is compared after another one has written what it matches."""
    for index, groups in enumerate(rounds):
        written = [step.compare | write.write for compares, write in groups for step in compares]
        later = [step.compare for others in rounds[index + 1 :] for compares, _ in others for step in compares]
        if any(state | compare == state for state in written for compare in later):
            return False
    return True


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("name", ORDERED)
def test_exactly_the_orders_that_obey_the_rule_work(name: str, passes: str) -> None:
    """Necessary and sufficient, over every order of passes, of groups, and of rounds of two groups."""
    table = TABLES[passes, name]
    chosen = rounds_of(table)
    groups = [group for groups in chosen for group in groups]
    correct = 0
    for rounds in all_arrangements(groups, TAG_REGISTERS[passes]):
        assert obeys(rounds) == works(name, arranged(rounds)), rounds
        correct += obeys(rounds)
    assert obeys(chosen)
    assert arranged(chosen) == list(table)
    assert correct >= 1


@pytest.mark.parametrize("name", ORDERED)
def test_classical_passes_match_what_changes_and_write_the_change(name: str) -> None:
    for row in rows():
        if "r" in meaning(name, row, 0) and row["r"]:
            continue  # a result beside its operands is cleared first
        wanted = row | meaning(name, row, 0)
        current, matches = dict(row), 0
        for (compare,), write in groups_of(TABLES["classical", name]):
            if all(current[slot] == key for slot, key in compare.compare.items()):
                assert all(current[slot] != value for slot, value in write.write.items())
                current |= write.write
                matches += 1
        assert current == wanted
        assert matches == int(wanted != row)


@pytest.mark.parametrize("name", LAST_COMPARES)
def test_last_compares_are_those_of_the_contract(name: str) -> None:
    assert groups_of(TABLES["classical", name])[-1][0][-1].compare == LAST_COMPARES[name]


Map = tuple[tuple[int, int, int], ...]
"""The present x, y, c of the rows that began as each of the eight states."""

STATES: Map = tuple((x, y, c) for x, y, c in itertools.product((0, 1), repeat=3))
WRITES = [
    {slot: value for slot, value in zip("yc", values, strict=True) if value is not None}
    for values in itertools.product((None, 0, 1), repeat=2)
]


def written(state: tuple[int, int, int], write: Mapping[str, int]) -> tuple[int, int, int]:
    return state[0], write.get("y", state[1]), write.get("c", state[2])


def after_one_write(present: Map) -> Iterator[Map]:
    """Whatever one write can make of the rows, when rows that look alike are tagged alike."""
    looks = sorted(set(present))
    for write, count in itertools.product(WRITES, range(len(looks) + 1)):
        for tagged in itertools.combinations(looks, count):
            yield tuple(written(state, write) if state in tagged else state for state in present)


def needs_one_write(present: Map, wanted: Map) -> bool:
    """Whether a single write can be the last one."""
    for write in WRITES:
        goals: dict[tuple[int, int, int], set[bool]] = {}
        for state, goal in zip(present, wanted, strict=True):
            options = {tagged for tagged in (True, False) if goal == (written(state, write) if tagged else state)}
            goals[state] = goals.get(state, {True, False}) & options
        if all(goals.values()):
            return True
    return False


@pytest.mark.parametrize("name", ["add", "subtract"])
def test_sums_have_the_fewest_writes(name: str) -> None:
    wanted: Map = tuple((x, new["y"], new["c"]) for x, y, c in STATES for new in [sums(name, x, y, c)])
    assert not needs_one_write(STATES, wanted), "two tag registers need two writes"
    in_two = [present for present in set(after_one_write(STATES)) if needs_one_write(present, wanted)]
    assert not in_two, "one tag register needs three"
    counts = {passes: len(groups_of(TABLES[passes, name])) for passes in PASSES}
    assert counts == {"classical": 4, "merged": 3, "two_tags": 2}


def add(x: int, y: int, c: int) -> State:
    return sums("add", x, y, c)


def test_a_wrong_order_is_caught() -> None:
    first, first_write, second, second_write, *others = TABLES["classical", "add"]
    text = r"^state \(0, 1, 1\) of columns xyc ends as .*, not .*$"
    with pytest.raises(PassError, match=text):
        prove("xyc", add, [second, second_write, first, first_write, *others])


@pytest.mark.parametrize("passes", PASSES)
def test_a_missing_and_a_wrong_step_are_caught(passes: str) -> None:
    table = list(TABLES[passes, "add"])
    prove("xyc", add, table)
    for index, step in enumerate(table):
        with pytest.raises(PassError, match=r"^state .* of columns xyc ends as .*, not .*$"):
            prove("xyc", add, table[:index] + table[index + 1 :])
        for part in ("compare", "write"):
            for slot, value in getattr(step, part).items():
                wrong = replace(step, **{part: {**getattr(step, part), slot: 1 - value}})
                with pytest.raises(PassError, match=r"^state .* of columns xyc ends as .*, not .*$"):
                    prove("xyc", add, [*table[:index], wrong, *table[index + 1 :]])


IMPOSSIBLE: dict[str, tuple[str, Callable[..., State], str]] = {
    "in-place XOR": (
        "xy",
        lambda x, y: {"y": x ^ y},
        "the passes [(1, 0), (1, 1)] on columns xy have no safe order",
    ),
    "B <- A - B": (
        "xyc",
        lambda x, y, c: sums("rdiff", x, y, c),
        "the passes [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0)] on columns xyc "
        "have no safe order",
    ),
    "writing an operand": (
        "xy",
        lambda x, y: {"x": x | y},
        "slot x is an operand and must not be written (state (0, 1))",
    ),
}


@pytest.mark.parametrize("passes", ["classical", "merged"])
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_operations(name: str, passes: str) -> None:
    inputs, function, text = IMPOSSIBLE[name]
    with pytest.raises(PassError, match=f"^{re.escape(text)}$"):
        ordered(inputs, function, passes)


@pytest.mark.parametrize(("name", "writes"), [("in-place XOR", 2), ("B <- A - B", 4)])
def test_two_tag_registers_need_no_order(name: str, writes: int) -> None:
    inputs, function, _ = IMPOSSIBLE[name]
    table = ordered(inputs, function, "two_tags")
    assert len(groups_of(table)) == writes
    for row in rows():
        after, _ = executed(table, row, (0, 0))
        assert after == row | function(*(row[slot] for slot in inputs))


def test_a_tag_cannot_be_inverted() -> None:
    with pytest.raises(PassError, match=r"^the tag of state \(1,\) of columns y cannot be inverted by a compare$"):
        compared("y", lambda y, tag: tag ^ y)
