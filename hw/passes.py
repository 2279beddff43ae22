"""Pass tables: ordered compare/write passes, generated from a truth function and proven by exhaustion.

A step of an operation looks at up to four columns of every row: x (first operand), y (second operand and result),
c (carry, or "first is larger"), f (multiplier bit, predicate, or "second is larger").  One pass compares a key on some
of them and writes other values into the rows that matched.  A row must be matched at most once per step, so a write
must never create a pattern that a later pass matches: pass P goes before pass Q when Q writes what P matches.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["SLOTS", "TABLES", "Pass", "PassError", "State", "generate", "prove"]

SLOTS = ("x", "y", "c", "f")
State = tuple[int, ...]


class PassError(ValueError):
    """A truth function that no order of passes can compute in place."""


@dataclass(frozen=True)
class Pass:
    """One compare and one write; slots that are not named are masked off."""

    compare: dict[str, int]
    write: dict[str, int]


def generate(inputs: str, function: Callable[..., dict[str, int]]) -> tuple[Pass, ...]:
    """Passes that compute ``function`` in place, in a safe order.

    ``function`` takes one 0/1 argument per letter of ``inputs`` and returns the new values of the slots that it changes
    or keeps; x is never written.  One pass per state that changes, each writing just the slots that change, so that a
    row that changes is matched exactly once and no other row is matched.  Among safe orders the one that is smallest
    by compare key is taken.

    Raises
    ------
    PassError
        If the changes form a cycle.
    """
    changes: dict[State, State] = {}
    for state in itertools.product((0, 1), repeat=len(inputs)):
        new = dict(zip(inputs, state, strict=True)) | function(*state)
        if "x" in inputs and new["x"] != state[inputs.index("x")]:
            raise PassError(f"slot x is an operand and must not be written (state {state})")
        after = tuple(new[slot] for slot in inputs)
        if after != state:
            changes[state] = after
    waiting, order = dict(changes), list[State]()
    while waiting:
        # A state may go first when no other waiting pass matches what it writes.
        ready = [state for state, after in sorted(waiting.items()) if after not in waiting]
        if not ready:
            raise PassError(f"the passes {sorted(waiting)} on columns {inputs} have no safe order")
        order.append(ready[0])
        del waiting[ready[0]]
    passes = tuple(
        Pass(
            compare=dict(zip(inputs, state, strict=True)),
            write={s: new for s, old, new in zip(inputs, state, changes[state], strict=True) if old != new},
        )
        for state in order
    )
    prove(inputs, function, passes)
    return passes


def prove(inputs: str, function: Callable[..., dict[str, int]], passes: Iterable[Pass]) -> None:
    """Run the passes on every state and compare with ``function``.

    Raises
    ------
    PassError
        If a state ends wrong, or is matched more than once.
    """
    for state in itertools.product((0, 1), repeat=len(inputs)):
        row = dict(zip(inputs, state, strict=True))
        wanted = row | function(*state)
        matched = 0
        for step in passes:
            if all(row[slot] == key for slot, key in step.compare.items()):
                row |= step.write
                matched += 1
        if row != wanted or matched > 1:
            raise PassError(f"state {state} of columns {inputs} ends as {row} after {matched} matches, not {wanted}")


def _add(x: int, y: int, c: int) -> dict[str, int]:
    return {"y": (x + y + c) & 1, "c": (x + y + c) >> 1}


def _subtract(x: int, y: int, c: int) -> dict[str, int]:
    return {"y": (y - x - c) & 1, "c": int(y - x - c < 0)}


def _copy(x: int, y: int) -> dict[str, int]:
    """Whatever y was, it becomes x."""
    return {"y": y if x == y else x}


def _greater(x: int, y: int, c: int, f: int) -> dict[str, int]:
    """Maximum, most significant bit first: c = x is larger, f = y is larger; once decided they stay."""
    if c or f:
        return {"y": x if c and not f else y}
    return {"y": x | y, "c": int(x > y), "f": int(y > x)}


def _smaller(x: int, y: int, c: int, f: int) -> dict[str, int]:
    """Minimum, most significant bit first: c = x is smaller, f = y is smaller."""
    if c or f:
        return {"y": x if c and not f else y}
    return {"y": x & y, "c": int(x < y), "f": int(y < x)}


def _decide(bit: int, slot: str) -> Callable[..., dict[str, int]]:
    """Compare with a constant, most significant bit first: the first y unequal to ``bit`` decides and sets ``slot``."""

    def step(y: int, c: int, f: int) -> dict[str, int]:
        return {slot: 1} if y != bit and not c and not f else {}

    return step


TABLES: dict[str, tuple[Pass, ...]] = {
    "add": generate("xyc", _add),
    "subtract": generate("xyc", _subtract),
    "add_0": generate("yc", lambda y, c: _add(0, y, c)),
    "add_1": generate("yc", lambda y, c: _add(1, y, c)),
    "subtract_0": generate("yc", lambda y, c: _subtract(0, y, c)),
    "subtract_1": generate("yc", lambda y, c: _subtract(1, y, c)),
    "copy": generate("xy", _copy),
    "not": generate("xy", lambda x, y: _copy(1 - x, y)),
    "and": generate("xy", lambda x, y: {"y": x & y}),
    "or": generate("xy", lambda x, y: {"y": x | y}),
    "xor": generate("xyc", lambda x, y, c: _copy(x ^ c, y)),
    "maximum": generate("xycf", _greater),
    "minimum": generate("xycf", _smaller),
    # Against a constant bit k: f = the number is larger than the constant, c = it is smaller.
    "decide_0": generate("ycf", _decide(0, "f")),
    "decide_1": generate("ycf", _decide(1, "c")),
    "decide_sign_0": generate("ycf", _decide(0, "c")),
    "decide_sign_1": generate("ycf", _decide(1, "f")),
}
"""Every table of the tile by name; at most four passes each."""
