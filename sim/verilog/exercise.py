"""Programs that make a tile do all that it can: every form of every instruction, port operations, loops, refusals."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from golden.engine import Bits, Job
from golden.laws import plane_size
from hw.config import TileConfig
from hw.isa import (
    OPERATIONS,
    ConstantKind,
    Instruction,
    LoadKind,
    Opcode,
    Program,
    Role,
    StoreKind,
    clamp_constant,
    legal_kinds,
    reduce_levels,
    violation,
)
from hw.isa import scratches as writes_p

__all__ = ["WIDTHS", "Form", "exercise", "forms", "refusals"]

WIDTHS = ((3, 5), (2, 4), (4, 5), (3, 4))
"""Widths of the operands a and b, which forms take by turns. Where a may be narrower than b it is: bits that only b has
are steps of their own."""

NARROW_WIDTHS = ((2, 3), (1, 3), (2, 2), (1, 2), (1, 1))
"""Widths for forms that would not fit the columns otherwise, the first ones that do."""

WINDOW = 32  # columns that are loaded and stored together
LAST_OF_PORT = Opcode.RESTORE  # opcodes up to this one control the program or move planes
SIGNS = {
    Opcode.DOT: "ab", Opcode.ADD: "a", Opcode.SUB: "a", Opcode.RSUB: "a", Opcode.SUM: "a", Opcode.DIFF: "a",
    Opcode.RDIFF: "a", Opcode.MUL: "ab", Opcode.MULC: "b", Opcode.MAX: "a", Opcode.MIN: "a", Opcode.MAXC: "b",
    Opcode.MINC: "b", Opcode.CLAMP: "b", Opcode.CMP: "a", Opcode.CMPC: "b", Opcode.REDUCE: "a",
}  # fmt: skip
"""Operands whose signedness an instruction looks at."""


@dataclass(frozen=True)
class Form:
    """An instruction at columns from 0 on, and how many columns it names."""

    instruction: Instruction
    columns: int

    def moved(self, first: int) -> Instruction:
        """The same from another column on."""
        op = self.instruction
        places = {field: getattr(op, field) + first for field in ("a", "b", "d")}
        p = op.p if op.opcode == Opcode.CLAMP else op.p + first
        return dataclasses.replace(op, **places, p=p)


def forms(config: TileConfig, turn: int = 0) -> list[Form]:
    """Every form of every computing instruction that fits the tile: kinds, signs, predicate, in place or beside.

    Forms for which the tile has too few columns or counter bits are left out.

    Parameters
    ----------
    config : the tile.
    turn : by how many places :data:`WIDTHS` is turned, so that forms get other widths.
    """
    found: list[Form] = []
    for number, (plain, in_place) in enumerate(_variants(config)):
        first = (number + turn) % len(WIDTHS)
        for a, b in (*WIDTHS[first:], *WIDTHS[:first], *NARROW_WIDTHS):
            form = _laid_out(plain, a, b, config, in_place=in_place)
            if violation(form.instruction, config) is None and form.columns <= min(WINDOW, config.columns):
                found.append(form)
                break
    return found


def exercise(config: TileConfig, seed: int, *, every: int = 1, turn: int = 0) -> Job:
    """A program of every ``every``-th form with random planes, which stores all that it computes.

    It begins with a LOAD of all columns and of the tags, so that nothing depends on what the tile held before.

    Parameters
    ----------
    config : the tile.
    seed : of planes and constants.
    every : 1 for all forms.
    turn : as for :func:`forms`.
    """
    rng = np.random.default_rng(seed)
    code = [*_load(0, config.columns), Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1)]
    chosen = forms(config, turn)[::every]
    # Few rows of a REDUCE add, so it is made twice.
    chosen += [form for form in forms(config, turn + 1)[::every] if form.instruction.opcode == Opcode.REDUCE]
    for number, group in enumerate(_groups(chosen, config)):
        columns = sum(form.columns for form in group)
        first = 5 * number % (config.columns - columns + 1)
        code += _load(first, columns)
        code.append(Instruction(Opcode.SYNC))
        place = first
        for form in group:
            code += _prepared(_with_constant(form.moved(place), rng, config), rng, config)
            place += form.columns
        code += _store(first, columns)
        if config.passes == "classical":  # otherwise the tags after additions are left open
            code.append(Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1))
    code += _port_operations(config, rng)
    code += _loops(config)
    code += _store(0, config.columns)
    code.append(Instruction(Opcode.HALT))
    return _job(Program.build(code, config), config, rng)


def refusals(config: TileConfig) -> dict[str, Job]:
    """Programs that a tile refuses, by what is wrong with them."""
    halt = Instruction(Opcode.HALT)
    copy = Instruction(Opcode.COPY, a=0, a_width=3, d=3, d_width=3)
    overlap = dataclasses.replace(copy, d=2)
    beyond = dataclasses.replace(copy, d=config.columns - 2)
    programs = {
        "fields that overlap": (copy, overlap, halt),
        "a field beyond the last column": (copy, copy, beyond, halt),
        "a reserved opcode": (Instruction(Opcode.COUNT), halt),
        "an END without LOOP": (copy, Instruction(Opcode.END), halt),
        "no HALT": (copy,),
    }
    jobs = {name: Job(Program(code, config.hash)) for name, code in programs.items()}
    return jobs | {"the program of another config": Job(Program((halt,), config.hash ^ 1))}


def _variants(config: TileConfig) -> Iterator[tuple[Instruction, bool]]:
    """Instructions without widths and places, and whether d is to lie on its operand."""
    for opcode, rule in OPERATIONS.items():
        if opcode <= LAST_OF_PORT or opcode == Opcode.INIT:
            continue
        kinds = legal_kinds(opcode, config) or (0,)
        signs = itertools.product((False, True), repeat=len(SIGNS.get(opcode, "")))
        for kind, signed in itertools.product(kinds, list(signs)):
            flags = {f"{name}_signed": flag for name, flag in zip(SIGNS.get(opcode, ""), signed, strict=True)}
            plain = Instruction(opcode, kind=int(kind), **flags)
            yield plain, False
            if rule.predicate:
                yield dataclasses.replace(plain, predicated=True), False
            if rule.in_place:
                yield plain, True


def _laid_out(op: Instruction, a: int, b: int, config: TileConfig, *, in_place: bool) -> Form:
    """Fields side by side from column 0 on."""
    rule = OPERATIONS[Opcode(op.opcode)]
    if op.opcode == Opcode.REDUCE:
        op = dataclasses.replace(op, constant=min(config.taps, 3 if a % 2 else 4))
        a = b
    tied = dict(rule.widths)
    if tied.get("b") == "a":
        b = a
    widths = {"a": a, "b": b, "1": 1, "levels": reduce_levels(op.constant)}
    sizes = {field: widths[field] for field in "ab" if getattr(rule, field) is not Role.UNUSED}
    if rule.d is not Role.UNUSED:
        sizes["d"] = sum(widths[term] for term in tied.get("d", "a").split("+"))
    if op.predicated or writes_p(op):
        sizes["p"] = 1
    places, column = dict[str, int](), 0
    for field, size in sizes.items():
        if field == "d" and in_place:
            places["d"] = places[rule.in_place]
        else:
            places[field] = column
            column += size
    given = {f"{field}_width": size for field, size in sizes.items() if field != "p"}
    if rule.free_a:
        given["a_width"] = a
    return Form(dataclasses.replace(op, **places, **given), column)


def _groups(remaining: list[Form], config: TileConfig) -> Iterator[list[Form]]:
    """Forms that fit a window of columns together."""
    window = min(WINDOW, config.columns)
    group: list[Form] = []
    for form in remaining:
        if sum(other.columns for other in group) + form.columns > window:
            yield group
            group = []
        group.append(form)
    if group:
        yield group


def _with_constant(op: Instruction, rng: np.random.Generator, config: TileConfig) -> Instruction:
    """The instruction with a constant of ones and zeros, within what it takes."""
    width = {Opcode.FILL: op.d_width, Opcode.MULC: op.a_width}.get(Opcode(op.opcode), op.b_width)
    if op.opcode == Opcode.CLAMP:
        half = 1 << max(width - 2, 0)
        return dataclasses.replace(op, constant=clamp_constant(-half if op.b_signed else 1, half))
    if op.opcode == Opcode.MOVE:
        return dataclasses.replace(op, constant=1 if config.taps > 1 else 0)
    if op.opcode in (Opcode.FILL, Opcode.ADDC, Opcode.MULC, Opcode.MAXC, Opcode.MINC, Opcode.CMPC):
        constant = int(rng.integers(1, 1 << width))
        signed = op.b_signed and op.opcode in (Opcode.MAXC, Opcode.MINC, Opcode.CMPC)
        return dataclasses.replace(op, constant=constant - (1 << width - 1) if signed else constant)
    return op


def _prepared(op: Instruction, rng: np.random.Generator, config: TileConfig) -> list[Instruction]:
    """The instruction after what it takes for granted, and before what shows its result."""
    if op.opcode == Opcode.MULC and op.kind == ConstantKind.SPARSE:
        return [Instruction(Opcode.FILL, d=op.d, d_width=op.d_width), op]
    if op.opcode in (Opcode.MUL, Opcode.MULC):
        return [Instruction(Opcode.FILL, d=op.d + op.a_width, d_width=op.b_width), op]
    if op.opcode == Opcode.MOVE:
        # Both ways; no farther than the blocks go.
        back = dataclasses.replace(op, constant=-min(2, config.taps - 1))
        return [op, *_store(op.d, op.d_width), Instruction(Opcode.SYNC), back]
    if op.opcode == Opcode.DOT:
        start = int(rng.integers(-100, 100))
        width = min(config.total_bits, op.a_width + op.b_width + config.count_bits + 3)
        store = Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=width)
        zeros = [Instruction(Opcode.FILL, d=op.a + op.a_width - 1, d_width=1)] if op.kind else []
        return [Instruction(Opcode.INIT, constant=start), *zeros, op, store]
    return [op]


def _port_operations(config: TileConfig, rng: np.random.Generator) -> list[Instruction]:
    """Every kind of LOAD and STORE, DRAIN and RESTORE, some of them under way beside a DOT."""
    last = config.taps - 1
    width = min(4, config.total_bits, config.columns // 2)
    first = int(rng.integers(0, config.columns - 2 * width + 1))
    code = [
        Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d=first, d_width=width),
        Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d=first, d_width=1, constant=last),
        Instruction(Opcode.SYNC, constant=1),
        Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1),
        Instruction(Opcode.LOAD, kind=LoadKind.TOTAL, d_width=width),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1),
        Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=config.total_bits),
        Instruction(Opcode.DRAIN, d=first + width, d_width=width, constant=last),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.RESTORE, a=first, a_width=width, constant=0),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=config.total_bits),
        Instruction(Opcode.STORE, kind=StoreKind.BLOCK, a=first + width, a_width=width, constant=last),
    ]
    dot = Instruction(Opcode.DOT, a=first, a_width=width // 2, b=first + width // 2, b_width=width // 2)
    if violation(dot, config) is None:
        beside = Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d=first + width, d_width=width, constant=0)
        code += [Instruction(Opcode.INIT), beside, dot, Instruction(Opcode.SYNC)]
        code.append(Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=config.total_bits))
    return code


def _loops(config: TileConfig) -> list[Instruction]:
    """Loops in loops, as deep as the tile has them (at most two)."""
    add = Instruction(Opcode.ADDC, b=0, b_width=3, d=3, d_width=1, constant=3)
    invert = Instruction(Opcode.NOT, a=4, a_width=2, d=4, d_width=2)
    end = Instruction(Opcode.END)
    inner = [Instruction(Opcode.LOOP, constant=2), add, end] if config.loop_depth > 1 else [add]
    code = [Instruction(Opcode.SYNC), Instruction(Opcode.LOOP, constant=3), *inner, invert, end]
    return code if len(inner) + 2 < config.program_depth else []


def _load(first: int, columns: int) -> list[Instruction]:
    return [
        Instruction(Opcode.LOAD, d=place, d_width=min(64, first + columns - place))
        for place in range(first, first + columns, 64)
    ]


def _store(first: int, columns: int) -> list[Instruction]:
    return [
        Instruction(Opcode.STORE, a=place, a_width=min(64, first + columns - place))
        for place in range(first, first + columns, 64)
    ]


def _job(program: Program, config: TileConfig, rng: np.random.Generator) -> Job:
    """The program with random planes for its LOADs."""
    planes: list[Bits] = []
    for op in program.executed():
        if op.opcode == Opcode.LOAD:
            planes.append(rng.integers(0, 2, (op.d_width, plane_size(op, config)), np.uint8))
    return Job(program, planes)
