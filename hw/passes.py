"""Step tables: the compares and writes that a row's state goes through for one bit, generated and proven by program.

A step of an operation looks at up to four columns of every row: x (first operand), y (second operand), c (carry, or "a
one was seen") and f (multiplier bit, predicate, sign), and writes r (the result; in place it is y), c or f.  One *pass*
compares a key on some of them and writes other values into the rows that matched.  A row must be matched at most once
per step, so a write must never create a pattern that a later pass matches: pass P goes before pass Q when Q writes
what P matches.

Three kinds of tables, each made from a truth function and proven on every state:

- :func:`ordered`: passes in a safe order, one write per compare; or compares OR-ed into one write where the order
  allows it; or with two tag registers, where the rows of two writes are marked before either is made.
- :func:`marked`: compares mark all rows whose result bit is not the default; the default goes to all rows, the other
  value to the marked ones.  In place, too, as all compares come before the writes; XOR and NOT have no other way.
- :func:`compared`: compares alone, that add rows to the tags or take rows away.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "LONGEST", "TAG_REGISTERS", "PassError", "State", "Step", "Table", "compared", "marked", "ordered", "prove",
    "tables",
]  # fmt: skip

State = tuple[int, ...]
Row = dict[str, int]
Truth = Callable[..., Row]
LONGEST = 16
"""Most steps of a table."""

TAG_REGISTERS = {"classical": 1, "merged": 1, "two_tags": 2}
"""How many writes may be prepared at once, by ``config.passes``."""


class PassError(ValueError):
    """A truth function that no order of passes can compute, or steps that do not compute theirs."""


@dataclass(frozen=True)
class Step:
    """One compare or one write; slots that are not named are masked off.

    Parameters
    ----------
    compare : key by slot; empty for a write.
    write : key by slot; empty for a compare.
    mode : of a compare: its matches become the tags ("set"), are added ("add") or taken away ("remove").
    all_rows : of a write: it goes to all rows, tagged or not.
    second : which tag register takes the matches or names the rows.
    """

    compare: Row
    write: Row
    mode: str = "set"
    all_rows: bool = False
    second: bool = False


Table = tuple[Step, ...]


def tables(passes: str) -> dict[str, Table]:
    """Every table of a tile by name, for a value of ``config.passes``."""
    return {name: make(passes) for name, make in _MAKERS.items()}


def ordered(inputs: str, truth: Truth, passes: str = "classical") -> Table:
    """Passes that bring every state where ``truth`` wants it, in a safe order.

    ``truth`` takes one 0/1 argument per letter of ``inputs`` and returns the slots that it sets; x is never written,
    and a result that is not among the inputs is 0 before.  Each state that changes is matched once and no other is.
    Classical passes write just what changes.  Otherwise states that end with the same values share a write; of the
    ways with the fewest writes, the first one is taken.

    Raises
    ------
    PassError
        If no order is safe.
    """
    changes = _changes(inputs, truth)
    if passes == "classical":
        rounds: list[tuple[tuple[State, ...], ...]] = [(group,) for group in _classical(inputs, changes)]
    else:
        rounds = _fewest_writes(inputs, changes, TAG_REGISTERS[passes])
    steps: list[Step] = []
    for groups in rounds:
        for second, group in enumerate(groups):
            for index, state in enumerate(group):
                key = dict(zip(inputs, state, strict=True))
                steps.append(Step(key, {}, "add" if index else "set", second=bool(second)))
        for second, group in enumerate(groups):
            steps.append(Step({}, _common_write(inputs, group, changes), second=bool(second)))
    prove(inputs, truth, steps)
    return tuple(steps)


def marked(inputs: str, truth: Truth, *, default: int = 0, writes: Row | None = None) -> Table:
    """Mark the rows whose new r is not ``default``, write the default to all rows and the other value to those.

    ``writes`` names what else the second write sets.  ``truth`` as in :func:`ordered`; r may lie on an input.
    """
    wanted = [state for state in _states(inputs) if truth(*state)["r"] != default]
    keys = _covering(inputs, wanted)
    steps = [Step(key, {}, "add" if index else "set") for index, key in enumerate(keys)]
    steps.append(Step({}, {"r": default}, all_rows=True))
    steps.append(Step({}, {"r": 1 - default} | (writes or {})))
    prove(inputs, truth, steps)
    return tuple(steps)


def compared(inputs: str, mark: Callable[..., int]) -> Table:
    """Compares that change the tags: ``mark`` takes a state and the tag so far, and returns the tag.

    Raises
    ------
    PassError
        If a row's tag would have to be inverted.
    """
    steps: list[Step] = []
    for mode, stays in (("add", 1), ("remove", 0)):
        for state in _states(inputs):
            before = [mark(*state, tag) for tag in (0, 1)]
            if before == [1, 0]:
                raise PassError(f"the tag of state {state} of columns {inputs} cannot be inverted by a compare")
            if before == [stays, stays]:
                steps.append(Step(dict(zip(inputs, state, strict=True)), {}, mode))
    for state, tag in itertools.product(_states(inputs), (0, 1)):
        row = _run(dict(zip(inputs, state, strict=True)), steps, tag)
        if row["tag"] != mark(*state, tag):
            raise PassError(f"state {state} of columns {inputs} with tag {tag} ends with tag {row['tag']}")
    return tuple(steps)


def prove(inputs: str, truth: Truth, steps: Sequence[Step]) -> None:
    """Run the steps on every state, with every tag before and every result where it is not an input.

    Raises
    ------
    PassError
        If a state ends wrong.
    """
    free_result = any(step.write.get("r") is not None and step.all_rows for step in steps) and "r" not in inputs
    for state, tag, result in itertools.product(_states(inputs), (0, 1), (0, 1) if free_result else (0,)):
        row = dict(zip(inputs, state, strict=True))
        wanted = row | truth(*state)
        if "r" in wanted and "r" not in row:
            row["r"] = result
        ended = _run(row, steps, tag)
        if {slot: ended[slot] for slot in wanted} != wanted:
            raise PassError(f"state {state} of columns {inputs} ends as {ended}, not {wanted}")


def _run(row: Row, steps: Sequence[Step], tag: int) -> Row:
    """One row after the steps, with its first tag as "tag"."""
    row, tags = dict(row), [tag, 0]
    for step in steps:
        if step.compare:
            match = int(all(row[slot] == key for slot, key in step.compare.items()))
            old = tags[step.second]
            tags[step.second] = {"set": match, "add": old | match, "remove": old & ~match}[step.mode]
        elif step.all_rows or tags[step.second]:
            row |= step.write
    return row | {"tag": tags[0]}


def _states(inputs: Sequence[str]) -> Iterator[State]:
    return itertools.product((0, 1), repeat=len(inputs))


def _changes(inputs: str, truth: Truth) -> dict[State, Row]:
    """For every state that changes, all values that it ends with."""
    changes: dict[State, Row] = {}
    for state in _states(inputs):
        row = dict(zip(inputs, state, strict=True))
        new = truth(*state)
        if new.get("x", row.get("x")) != row.get("x"):
            raise PassError(f"slot x is an operand and must not be written (state {state})")
        if any(value != row.get(slot, 0) for slot, value in new.items()):
            changes[state] = new
    return changes


def _after(inputs: str, state: State, changes: dict[State, Row]) -> State:
    return tuple(changes[state].get(slot, old) for slot, old in zip(inputs, state, strict=True))


def _common_write(inputs: str, group: Sequence[State], changes: dict[State, Row]) -> Row:
    """What the write of a group writes: the slots that change in any of its states."""
    write: Row = {}
    for state in group:
        old = dict(zip(inputs, state, strict=True))
        write |= {slot: new for slot, new in changes[state].items() if new != old.get(slot, 0)}
    return dict(sorted(write.items()))


def _classical(inputs: str, changes: dict[State, Row]) -> list[tuple[State, ...]]:
    """One state after the other; among those that may go first, the smallest."""
    waiting, order = dict(changes), list[tuple[State, ...]]()
    while waiting:
        # A state may go first when no other waiting pass matches what it writes.
        ready = [state for state in sorted(waiting) if _after(inputs, state, changes) not in set(waiting) - {state}]
        if not ready:
            raise PassError(f"the passes {sorted(waiting)} on columns {inputs} have no safe order")
        order.append((ready[0],))
        del waiting[ready[0]]
    return order


def _fewest_writes(inputs: str, changes: dict[State, Row], at_once: int) -> list[tuple[tuple[State, ...], ...]]:
    """Groups of states that share a write, in rounds of at most ``at_once``, with the fewest groups and rounds."""
    found: list[list[tuple[tuple[State, ...], ...]]] = []
    for groups in _partitions(sorted(changes)):
        if all(_agree(inputs, group, changes) for group in groups):
            rounds = _rounds(inputs, groups, changes, at_once)
            if rounds is not None:
                found.append(rounds)
    if not found:
        raise PassError(f"the passes {sorted(changes)} on columns {inputs} have no safe order")
    return min(found, key=lambda rounds: (sum(map(len, rounds)), len(rounds), rounds))


def _agree(inputs: str, group: Sequence[State], changes: dict[State, Row]) -> bool:
    write = _common_write(inputs, group, changes)
    return all(
        write[slot] == changes[state].get(slot, dict(zip(inputs, state, strict=True)).get(slot, 0))
        for state in group
        for slot in write
    )


def _rounds(
    inputs: str, groups: Sequence[tuple[State, ...]], changes: dict[State, Row], at_once: int
) -> list[tuple[tuple[State, ...], ...]] | None:
    """The groups in a safe order; None where there is none."""
    if not groups:
        return []
    for size in range(min(at_once, len(groups)), 0, -1):
        for chosen in itertools.combinations(groups, size):
            rest = [group for group in groups if group not in chosen]
            waiting = {state for group in rest for state in group}
            written = {_after(inputs, state, changes) for group in chosen for state in group}
            if not waiting & written:
                later = _rounds(inputs, rest, changes, at_once)
                if later is not None:
                    return [chosen, *later]
    return None


def _partitions(states: list[State]) -> Iterator[list[tuple[State, ...]]]:
    """All ways to divide states into groups."""
    if not states:
        yield []
        return
    first, rest = states[0], states[1:]
    for groups in _partitions(rest):
        yield [(first,), *groups]
        for index, group in enumerate(groups):
            yield [*groups[:index], (first, *group), *groups[index + 1 :]]


def _covering(inputs: str, wanted: Sequence[State]) -> list[Row]:
    """The fewest keys that match exactly the wanted states; a key may leave slots out."""
    keys: list[Row] = []
    for size in range(1, len(inputs) + 1):
        for slots in itertools.combinations(inputs, size):
            keys += [dict(zip(slots, values, strict=True)) for values in _states(slots)]

    def matched(key: Row) -> set[State]:
        return {
            state
            for state in _states(inputs)
            if all(dict(zip(inputs, state, strict=True))[slot] == value for slot, value in key.items())
        }

    usable = [key for key in keys if matched(key) <= set(wanted)]
    for count in range(1, len(wanted) + 1):
        for chosen in itertools.combinations(usable, count):
            if set().union(*(matched(key) for key in chosen)) == set(wanted):
                return list(chosen)
    raise PassError(f"states {wanted} of columns {inputs} cannot be matched")


def _add(x: int, y: int, c: int) -> Row:
    return {"y": (x + y + c) & 1, "c": (x + y + c) >> 1}


def _subtract(x: int, y: int, c: int) -> Row:
    return {"y": (y - x - c) & 1, "c": int(y - x - c < 0)}


def _apart(truth: Truth) -> Truth:
    """The same with the result beside y instead of in its place."""

    def step(*state: int) -> Row:
        new = truth(*state)
        return {"r": new["y"], "c": new["c"]}

    return step


def _add_signs(x: int, y: int, c: int) -> Row:
    """The top bits of two's complement numbers: they count negatively, and the carry becomes the sum's sign."""
    value = c - x - y
    return {"y": value & 1, "c": int(value < 0)}


def _absolute(x: int, c: int) -> Row:
    """A bit after the first 1 is inverted."""
    return {"r": x ^ c}


def _first_one(x: int, c: int) -> Row:
    return {"r": x ^ c, "c": x | c}


def _less(x: int, y: int, tag: int) -> int:
    """From the lowest bit up: whether x < y so far."""
    return tag if x == y else y


def _known(truth: Truth, x: int) -> Truth:
    return lambda *state: truth(x, *state)


def _always(table: Table) -> Callable[[str], Table]:
    return lambda _: table


def _ordered(inputs: str, truth: Truth) -> Callable[[str], Table]:
    return lambda passes: ordered(inputs, truth, passes)


def _flag(slot: str, marked_value: int) -> Table:
    """The marks of a compare become a column."""
    return (
        Step({}, {slot: 1 - marked_value}, all_rows=True),
        Step({}, {slot: marked_value}),
    )


def _difference(x: int, y: int, c: int) -> Row:
    """x - y - c beside the operands."""
    return {"r": (x - y - c) & 1, "c": int(x - y - c < 0)}


def _absolute_below_sign() -> Table:
    """Marks of :func:`_absolute`; then the first 1 of a negative number (f = 1) is noted in c."""
    steps = (*marked("xc", _absolute), Step({"r": 1, "c": 0, "f": 1}, {}), Step({}, {"c": 1}))
    prove("xcf", lambda x, c, f: {"r": x ^ c, "c": c | (x & f)}, steps)
    return steps


_MAKERS: dict[str, Callable[[str], Table]] = {
    # Additions: an unknown bit, or a known one (0 or 1) instead of x.
    "add": _ordered("xyc", _add),
    "add_0": _ordered("yc", _known(_add, 0)),
    "add_1": _ordered("yc", _known(_add, 1)),
    "add_signs": _ordered("xyc", _add_signs),
    "subtract": _ordered("xyc", _subtract),
    "subtract_0": _ordered("yc", _known(_subtract, 0)),
    "subtract_1": _ordered("yc", _known(_subtract, 1)),
    "sum": _ordered("xyc", _apart(_add)),
    "sum_0": _ordered("yc", _known(_apart(_add), 0)),
    "diff": _ordered("xyc", _apart(_subtract)),
    "diff_0": _ordered("yc", _known(_apart(_subtract), 0)),
    "rdiff": _ordered("xyc", _difference),
    "rdiff_0": _ordered("yc", _known(_difference, 0)),
    # Moves and logic.
    "copy": _always(marked("x", lambda x: {"r": x})),
    "not": _always(marked("x", lambda x: {"r": 1 - x})),
    "copy_if": _always(ordered("xy", lambda x, _: {"y": x})),
    "not_if": _always(ordered("xy", lambda x, _: {"y": 1 - x})),
    "clear_if": _always(ordered("y", lambda _: {"y": 0})),
    "and": _always(marked("xy", lambda x, y: {"r": x & y})),
    "or": _always(marked("xy", lambda x, y: {"r": x | y}, default=1)),
    "xor": _always(marked("xy", lambda x, y: {"r": x ^ y})),
    "and_in_place": _always(ordered("xy", lambda x, y: {"y": x & y})),
    "or_in_place": _always(ordered("xy", lambda x, y: {"y": x | y})),
    # Signs.
    "negate": _always(marked("xc", _first_one, writes={"c": 1})),
    "absolute": _always(_absolute_below_sign()),
    "absolute_top": _always(marked("xc", _absolute)),
    # Comparisons: rows of the tags.
    "less": _always(compared("xy", _less)),
    "greater": _always(compared("xy", lambda x, y, tag: _less(y, x, tag))),
    "differ": _always(compared("xy", lambda x, y, tag: tag | (x ^ y))),
    "add_if_0": _always(compared("y", lambda y, tag: tag | (1 - y))),
    "add_if_1": _always(compared("y", lambda y, tag: tag | y)),
    "remove_if_0": _always(compared("y", lambda y, tag: tag & y)),
    "remove_if_1": _always(compared("y", lambda y, tag: tag & (1 - y))),
    "flag_marked": _always(_flag("r", 1)),
    "flag_unmarked": _always(_flag("r", 0)),
    "flag_taken": _always(_flag("f", 1)),
}
