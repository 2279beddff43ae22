"""The page ``docs/laws.md``: laws, what the Verilog takes, and what others take; all computed, so that it is not stale.

:func:`measure` runs every example of :mod:`sim.laws_examples` in a simulator; :func:`laws_page` writes the page.
"""

from __future__ import annotations

import ast
import operator
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from golden.engine import Engine, Job
from golden.laws import LAWS, TERMS, body_cycles, events, plane_size, port_steps, run_law
from golden.schedules import STEPS
from hw.config import PASSES, TileConfig
from hw.counter_map import total_cycles
from hw.isa import ConstantKind, DotKind, Instruction, Opcode, Owner, Program, ReduceKind, reduce_levels
from hw.passes import Step, tables
from sim.assembler import assemble
from sim.laws_examples import EXAMPLES, FUNCTIONS, PORT_EXAMPLES, SOURCES, STEPS_OF_OTHERS, Example, Other

__all__ = [
    "COMMAND", "PORT_STEPS", "TILES", "Measurement", "Measurements", "flags_of", "laws_page", "measure", "operation",
    "specialised",
]  # fmt: skip

COMMAND = "python scripts/laws_page.py"
"""Writes the page anew."""

PLAIN = "4r2w"
"""The tile of :data:`TILES` that the laws are about."""

_TILE = TileConfig(
    name="laws", taps=16, outputs=16, columns=132, plane_bits=256, fill_bits=64, total_bits=64, activity=False,
    vertical=True, zero_skip=True,
)  # fmt: skip

TILES = {
    PLAIN: _TILE,
    "3r1w": _TILE.replace(array="3r1w", taps=7, outputs=2, plane_bits=14, activity=True),
    "merged": _TILE.replace(array="3r1w", passes="merged"),
    "two_tags": _TILE.replace(passes="two_tags"),
}
"""Small tiles with every unit that a config may leave out; those of other tests, so that they are built once."""

PORT_STEPS = {
    Opcode.LOAD: "D * ceil(n/P)",
    Opcode.STORE: "A * ceil(n/P)",
    Opcode.DRAIN: "D",
    Opcode.RESTORE: "A",
}
"""Steps of the plane port, as formulas of the widths; n is what :func:`golden.laws.plane_size` gives."""

_STEPS = {
    "unknown": ("a bit added or subtracted in place", ("add", "subtract")),
    "signs": ("the top bits of two's complement words, in REDUCE", ("add_signs",)),
    "apart": ("a bit, with the result beside the operands", ("sum", "diff", "rdiff")),
    "apart_zero": ("likewise a known 0, added or as minuend", ("sum_0", "rdiff_0")),
    "apart_zero_difference": ("likewise a known 0, subtracted", ("diff_0",)),
}
"""Fields of :class:`golden.schedules.Steps`: in words, and the tables of :mod:`hw.passes` that they are about."""


# What is measured.


@dataclass(frozen=True)
class Measurement:
    """What the Verilog took for an example.

    Parameters
    ----------
    cycles : of the instruction alone, its decode cycle included; of a function, of the whole program.
    port_steps : of the whole program.
    agrees : all counters of cycles and events of the program equal the law's.
    """

    cycles: int
    port_steps: int
    agrees: bool


Measurements = dict[str, Measurement]
"""By the example's line or the function's name."""


def measure(engine: Engine) -> Measurements:
    """Run every example and every function on one tile.

    An example's instruction has an owner to itself in its program, so the counter of this owner is its cost.
    """
    found: Measurements = {}
    for example in (*EXAMPLES, *PORT_EXAMPLES):
        program, _ = _program(example, engine.config)
        found[example.line] = _measured(engine, program, example.skipped, "cycles.reduce")
    for function in FUNCTIONS:
        found[function.name] = _measured(engine, assemble(function.text, engine.config), 0, "cycles.")
    return found


def operation(example: Example, config: TileConfig = _TILE) -> Instruction:
    """The instruction that an example is about."""
    return _program(example, config)[1]


def _program(example: Example, config: TileConfig) -> tuple[Program, Instruction]:
    program = assemble("\n".join((example.before, example.line, example.after)), config)
    place = len(example.before.splitlines())
    instructions = list(program.instructions)
    instructions[place] = replace(instructions[place], owner=Owner.REDUCE)
    return Program.build(instructions, config), instructions[place]


def _measured(engine: Engine, program: Program, skipped: int, counted: str) -> Measurement:
    config = engine.config
    loads = [op for op in program.instructions if op.opcode == Opcode.LOAD]
    planes = [np.zeros((op.d_width, plane_size(op, config)), np.uint8) for op in loads]
    counters = engine.run(Job(program, planes)).counters
    law = run_law(program, config, [skipped] if skipped else [])
    return Measurement(
        cycles=sum(value for name, value in counters.items() if name.startswith(counted)),
        port_steps=counters["events.port_steps"],
        agrees=all(counters[name] == law[name] for name in law if name.startswith(("cycles.", "events."))),
    )


# The law of a form: the law of the opcode with what the form settles put in.


def flags_of(op: Instruction) -> dict[str, int]:
    """What a form settles of the names in the texts of laws."""
    return {
        "a_signed": int(op.a_signed),
        "b_signed": int(op.b_signed),
        "predicated": int(op.predicated),
        "in_place": int(op.d == op.b),
        "SKIP": int(op.opcode == Opcode.DOT and op.kind == DotKind.SKIP),
        "SPARSE": int(op.opcode in (Opcode.ADDC, Opcode.MULC) and op.kind == ConstantKind.SPARSE),
        "SHIFT": int(op.opcode == Opcode.REDUCE and op.kind == ReduceKind.SHIFT),
        "PAIRS": int(op.opcode == Opcode.REDUCE and op.kind == ReduceKind.PAIRS),
    }


class _Settled(ast.NodeTransformer):
    """Puts numbers in the place of names, and leaves out what they decide."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = values

    def visit(self, node: ast.AST) -> ast.AST:
        """Settle a node whose parts are settled."""
        node = self.generic_visit(node)
        if isinstance(node, ast.Name) and node.id in self.values:
            return ast.Constant(self.values[node.id])
        if isinstance(node, ast.IfExp) and isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        if isinstance(node, ast.BinOp):
            return _without_neutral(node)
        return node


def _without_neutral(node: ast.BinOp) -> ast.expr:
    """A product or a sum without factors 1 and 0, addends 0 and parentheses around addends."""
    left, right = (part.value if isinstance(part, ast.Constant) else None for part in (node.left, node.right))
    if isinstance(node.op, ast.Mult):
        if 0 in (left, right):
            return ast.Constant(0)
        return node.right if left == 1 else node.left if right == 1 else node
    if isinstance(node.op, ast.Add):
        if isinstance(node.right, ast.BinOp) and isinstance(node.right.op, ast.Add):
            return ast.BinOp(ast.BinOp(node.left, ast.Add(), node.right.left), ast.Add(), node.right.right)
        return node.right if left == 0 else node.left if right == 0 else node
    return node


def specialised(text: str, values: Mapping[str, int]) -> str:
    """The expression with some of its names settled."""
    tree = _Settled(values).visit(ast.parse(text, mode="eval"))
    plain = ast.unparse(tree).replace(" ** ", "**").replace(" * ", "*")
    # A generator that is the only argument needs no parentheses of its own.
    return f"sum({plain[5:-2]})" if plain.startswith("sum((") and plain.endswith("))") else plain


# The page.


def laws_page(measured: dict[str, Measurements]) -> str:
    """The text of the page; ``measured`` is what :func:`measure` gave, by the names of :data:`TILES`."""
    return "\n".join(
        [
            _HEAD,
            *_names(),
            _INSTRUCTIONS,
            *_instructions(measured[PLAIN]),
            _OTHERS,
            *_sources(),
            _PORT,
            *_port(measured[PLAIN]),
            _FUNCTIONS,
            *_functions(measured[PLAIN]),
            _NARROW,
            *_narrow(measured["3r1w"]),
            _PASSES,
            *_steps(),
            "",
            *(_item(f"{_source(other)}: {other.why}") for other in STEPS_OF_OTHERS),
            _FASTER,
            *_faster(measured),
            _EVENTS,
            *_events(),
            "",
        ]
    )


def _row(*cells: object) -> str:
    return f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in cells)} |"


def _item(text: str) -> str:
    return textwrap.fill(text, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _code(formula: str) -> str:
    return "" if formula == "0" else f"`{formula}`"


def _yes(agrees: bool) -> str:
    return "yes" if agrees else "**NO**"


def _name(example: Example) -> str:
    opcode = Opcode(operation(example).opcode)
    return f"{opcode.name}, {example.form}" if example.form else opcode.name


def _source(other: Other) -> str:
    return f"{other.source} ({other.certainty.value})"


def _names() -> Iterator[str]:
    for names, meaning in TERMS.items():
        yield _item(f"`{names}`: {meaning}.")


def _body(example: Example, tile: str = PLAIN) -> int:
    return body_cycles(operation(example, TILES[tile]), TILES[tile], example.skipped)


def _instructions(measured: Measurements) -> Iterator[str]:
    for example in EXAMPLES:
        op, found = operation(example), measured[example.line]
        law = specialised(LAWS[Opcode(op.opcode)].body, flags_of(op))
        cycles = 1 + _body(example)
        agrees = _yes(found.agrees and found.cycles == cycles)
        others = "<br>".join(_other(other, example) for other in example.others)
        yield _row(_name(example), _code(law), f"`{example.line}`", cycles, found.cycles, agrees, others)


def _other(other: Other, example: Example) -> str:
    if not other.formula:
        return f"{_source(other)}: {other.why}"
    op, body = operation(example), _body(example)
    theirs = _number(
        other.formula,
        A=op.a_width,
        B=op.b_width,
        s=example.skipped,
        L=reduce_levels(op.constant),
        ones=op.constant.bit_count(),
    )
    shown = f"{theirs:,}" if other.formula.isdecimal() else f"`{other.formula}` = {theirs:,}"
    return f"{_source(other)} {shown}; ours is {_relation(body, theirs)}: {other.why}"


def _number(formula: str, **values: int) -> int:
    """A formula of others in numbers: sums, differences, products and powers."""

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        return values[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)

    return value(ast.parse(formula, mode="eval").body)


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
}


def _relation(ours: int, theirs: int) -> str:
    return "equal" if ours == theirs else "lower" if ours < theirs else "higher"


def _sources() -> Iterator[str]:
    used = {other.source for example in EXAMPLES for other in example.others}
    used |= {other.source for other in STEPS_OF_OTHERS} | {"BF-IMNA"}
    for source in sorted(used, key=str.lower):
        yield _item(f"*{source}*: {SOURCES[source]}.")


def _port(measured: Measurements) -> Iterator[str]:
    for example in PORT_EXAMPLES:
        op, found = operation(example), measured[example.line]
        steps = port_steps(op, _TILE)
        agrees = _yes(found.agrees and found.port_steps == steps and found.cycles == 1)
        law = _code(PORT_STEPS.get(Opcode(op.opcode), "0"))
        yield _row(_name(example), law, f"`{example.line}`", steps, found.port_steps, found.cycles, agrees)


def _functions(measured: Measurements) -> Iterator[str]:
    for function in FUNCTIONS:
        found, theirs = measured[function.name], _number(function.formula, M=8)
        law = total_cycles(run_law(assemble(function.text, _TILE), _TILE))
        why = f"{_relation(law, theirs)}: {function.why}"
        program = "; ".join(function.text.splitlines())
        agrees = _yes(found.agrees and found.cycles == law)
        yield _row(function.name, f"`{program}`", law, found.cycles, agrees, f"`{function.formula}` = {theirs:,}", why)


def _narrow(measured: Measurements) -> Iterator[str]:
    for example in EXAMPLES:
        op = operation(example)
        extra = specialised(LAWS[Opcode(op.opcode)].extra, flags_of(op))
        if extra != "0":
            yield _row(_name(example), _code(extra), *_law_and_rtl("3r1w", example, measured))


def _law_and_rtl(tile: str, example: Example, measured: Measurements) -> tuple[int, int, str]:
    law, found = 1 + _body(example, tile), measured[example.line]
    return law, found.cycles, _yes(found.agrees and found.cycles == law)


def _steps() -> Iterator[str]:
    made = {passes: tables(passes) for passes in PASSES}
    for field, (words, names) in _STEPS.items():
        cells: list[str] = []
        for passes in PASSES:
            step = getattr(STEPS[passes], field)
            counted = {_compares_and_writes(made[passes][name]) for name in names}
            if counted != {(step.compares, step.writes)}:
                raise ValueError(f"tables {names} with {passes} passes have {counted} compares and writes, not {step}")
            cells.append(f"{step.cycles} = {step.compares} + {step.writes}")
        yield _row(words, ", ".join(f"`{name}`" for name in names), *cells)


def _compares_and_writes(table: Iterable[Step]) -> tuple[int, int]:
    steps = list(table)
    return sum(bool(step.compare) for step in steps), sum(bool(step.write) for step in steps)


def _faster(measured: dict[str, Measurements]) -> Iterator[str]:
    for example in EXAMPLES:
        if _body(example, "two_tags") != _body(example):
            yield _row(
                _name(example),
                1 + _body(example),
                *_law_and_rtl("merged", example, measured["merged"]),
                *_law_and_rtl("two_tags", example, measured["two_tags"]),
            )


def _events() -> Iterator[str]:
    for example in EXAMPLES:
        schedule = events(operation(example), _TILE, example.skipped)
        yield _row(_name(example), schedule.cycles, *schedule)


_HEAD = f"""\
# Cycle laws

*This page is generated by `{COMMAND}` from `golden/laws.py`, from the examples in
`sim/laws_examples.py`, and from what the Verilog of a small tile takes for them. A test fails when it is stale.*

How many cycles an instruction takes, exactly: the decode cycle, in which it is checked, and its *body*.

    cycles of a run = sum of (1 + body) over executed instructions + waits for the plane port + stalls

- A body depends on the fields of the instruction and on the config, not on the number of rows. It does not depend on
  the data either, with one exception: DOT of kind SKIP looks for planes that are 0 in all rows.
- *Waits* happen at SYNC, HALT and a full queue of the plane port; the section "Time" of [isa.md](isa.md) says when,
  `golden.laws.Timeline` computes it.
- *Stalls* are cycles in which the tile stood still for a stream. They are counted apart and are no part of the law.

What the instructions do is in [isa.md](isa.md). The formulas are Python, with these names:
"""

_INSTRUCTIONS = """
## Instructions

A row is a form that has a law of its own; the law is that of `golden.laws.LAWS` with what the form settles put in. It
holds for the arrays `cells` and `4r2w`. The examples are assembler text; *law* and *RTL* are their cycles, by formula
and as measured in Verilator, with the decode cycle, for classical passes on `4r2w`. *Equal* means that all counters of
cycles and of schedule events agree.

*Elsewhere* is what others take for it. Formulas and numbers there, and the words lower, equal and higher, are about
bodies, without the decode cycle. How certain they are:

- *read*: the number, formula or statement is in what is cited.
- *derived*: it follows from passes that were read or, for *model*, from the truth table, at two cycles a pass.
- *unverified*: it is remembered and was not read in the source. It must not be quoted as the source's.

| instruction | body | example | law | RTL | equal | elsewhere |
| --- | --- | --- | ---: | ---: | --- | --- |"""

_OTHERS = """
No number was found for the rows without one. Sources:
"""

_PORT = f"""
## Instructions without a body

They take their decode cycle. *Port steps* happen beside the sequencer, one in each cycle that is no pass: every decode
cycle, every cycle of a DOT. A plane has n = R bits (LOAD and STORE of planes and tags), S (blocks and totals) or G
(taps); here P = {_TILE.plane_bits}, and R, S and G are {_TILE.rows}, {_TILE.outputs} and {_TILE.taps}.

| instruction | port steps | example | law | RTL | cycles, RTL | equal |
| --- | --- | --- | ---: | ---: | ---: | --- |"""

_FUNCTIONS = """
## Whole functions

From planes at the port to planes at the port, for 8-bit operands in all rows. The formulas beside them are those of
BF-IMNA as they are remembered, all *unverified*; M is the width, and a column is loaded or read in one cycle.

| function | program | law | RTL | equal | remembered | ours is |
| --- | --- | ---: | ---: | --- | --- | --- |"""

_NARROW = """
## What `3r1w` adds

Fetches and spills of the two latched columns, each in a cycle of its own. The columns *law* and *RTL* are for the
examples above, on `3r1w`.

| instruction | adds | law | RTL | equal |
| --- | --- | ---: | ---: | --- |"""

_PASSES = """
## Passes

Cycles of a step (one bit) of an addition by `passes` of the config: compares + writes, as `hw/passes.py` generates
them. All other steps are the same with every value.

| step | tables | `classical` | `merged` | `two_tags` |
| --- | --- | ---: | ---: | ---: |"""

_FASTER = """
The same examples with other passes; `merged` was measured on `3r1w`, the others on `4r2w`:

| instruction | `classical` | `merged`, law | RTL | equal | `two_tags`, law | RTL | equal |
| --- | ---: | ---: | ---: | --- | ---: | ---: | --- |"""

_EVENTS = """
## Schedule events

What a body does with its cycles: each has a compare, a write, or neither. *Columns* add up how many columns the
compares look at and the writes write. For the examples above, with classical passes on `4r2w`; the RTL's counters of
them are part of *equal* there.

| instruction | body | compares | compared columns | writes | written columns | neither |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""
