"""The assembler: programs as text, one instruction a line, and back.

    .config tiny                       ; a name or 16 hexadecimal digits; the tile must be this one
    LOAD taps d=16:8                   ; kinds: planes (the default), block, taps, total, tag
    DOT skip a=0:8 b=16:8              ; DOT is plain or skip, ADDC and MULC are dense or sparse
    LOOP 16                            ; LOOP, SYNC and INIT take their number plainly
        DOT a=0:8 b=16:8 signed=b
    END
    DRAIN d=24:22 block=3              ; row block of DRAIN, RESTORE, LOAD block and STORE block; MOVE has blocks=
    MULC b=0:8 constant=77:7 d=48:15   ; MULC's constant has a width
    CMP lt a=0:8 b=8:8 d=24            ; CMP and CMPC name what they test: eq, ne, lt, ge, le, gt
    CLAMP b=0:12 low=-100 high=0x7f    ; two bounds
    REDUCE segments d=24:15 words=75:8 ; 75 words of 8 bits; names its form: shift, pairs, segments
    ADD a=0:8 b=8:8 d=24 where=30      ; only in rows whose column 30 is 1
    MUL a=0:8 b=8:8 d=48 signed=ab p=31 owner=requantize
    CLEAR d=3:4                        ; FILL with constant 0; SET is FILL with constant -1
    HALT

Columns are ``first:width``; a width that follows from the others may be left out.  Numbers are Python's (0x10, 1_000).
A field that an instruction does not use is written ``raw.`` and its name in :data:`hw.isa.FIELDS`, so that every legal
instruction has a text.
"""

from __future__ import annotations

import difflib
import re

from hw.config import CONFIGS, TileConfig
from hw.isa import (
    FIELDS,
    OPERATIONS,
    Instruction,
    LoadKind,
    Opcode,
    Owner,
    Program,
    ProgramError,
    Role,
    Scratch,
    clamp_bounds,
    clamp_constant,
    reduce_levels,
    violation,
)

__all__ = ["assemble", "disassemble"]

_ALIASES = {"CLEAR": 0, "SET": -1}  # FILL with this constant
_MNEMONICS = {opcode.name: opcode for opcode in OPERATIONS}
_CONSTANT = {
    Opcode.DRAIN: "block", Opcode.RESTORE: "block", Opcode.LOAD: "block", Opcode.STORE: "block", Opcode.MOVE: "blocks",
    Opcode.FILL: "constant", Opcode.ADDC: "constant", Opcode.MULC: "constant", Opcode.MAXC: "constant",
    Opcode.MINC: "constant", Opcode.CMPC: "constant", Opcode.REDUCE: "words",
    Opcode.LOOP: "", Opcode.SYNC: "", Opcode.INIT: "",
}  # fmt: skip
"""What the constant is called; the empty name stands for a plain number."""
_BOUNDS = ("low", "high")
"""What the constant of a CLAMP is made of."""
_SIGNED = {
    Opcode.DOT: "ab", Opcode.MUL: "ab", Opcode.ADD: "a", Opcode.SUB: "a", Opcode.RSUB: "a", Opcode.SUM: "a",
    Opcode.DIFF: "a", Opcode.RDIFF: "a", Opcode.MAX: "a", Opcode.MIN: "a", Opcode.CMP: "a", Opcode.REDUCE: "a",
    Opcode.MULC: "b", Opcode.MAXC: "b", Opcode.MINC: "b", Opcode.CLAMP: "b", Opcode.CMPC: "b",
}  # fmt: skip
"""Operands that may be signed."""
_MOVES = (Opcode.LOAD, Opcode.STORE)
_NAMES_ITS_KIND = (Opcode.CMP, Opcode.CMPC, Opcode.REDUCE)
"""Opcodes of which no kind is the usual one."""


def assemble(text: str, config: TileConfig) -> Program:
    """The program that a text describes, checked for a tile.

    Raises
    ------
    ProgramError
        With the line's number, the field, the rule and what was received.
    """
    lines: list[int] = []
    instructions: list[Instruction] = []
    number = 0
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition(";")[0].split()
        if not words:
            continue
        try:
            if words[0].startswith("."):
                _directive(words, config)
                continue
            instruction = _instruction(words)
            instruction.encode()
            found = violation(instruction, config)
        except ProgramError as error:
            raise ProgramError(f"line {number}: {error}") from error
        if found is not None:
            raise ProgramError(f"line {number}: {instruction.name}: {found[1]}")
        lines.append(number)
        instructions.append(instruction)
    try:
        return Program.build(instructions, config)
    except ProgramError as error:
        address, rule = _located(str(error))
        where = number if address is None else lines[address]
        raise ProgramError(f"line {where}: {rule}") from error


def disassemble(program: Program) -> str:
    """The text of a program, one line for each instruction; :func:`assemble` makes the same program of it.

    Raises
    ------
    ProgramError
        If an opcode is unknown or reserved.
    """
    lines = [f".config {program.config_hash:016x}"]
    depth = 0
    for address, instruction in enumerate(program.instructions):
        if instruction.opcode not in OPERATIONS:
            raise ProgramError(f"instruction {address}: opcode must be known, not {instruction.name}")
        depth -= instruction.opcode == Opcode.END
        lines.append("    " * max(depth, 0) + _text(instruction))
        depth += instruction.opcode == Opcode.LOOP
    return "\n".join(lines) + "\n"


def _located(text: str) -> tuple[int | None, str]:
    """The address in a text of :meth:`Program.check`, and the text without it."""
    match = re.fullmatch(r"instruction (\d+) \((\w+)\): (.*)", text)
    return (int(match[1]), f"{match[2]}: {match[3]}") if match else (None, text)


def _directive(words: list[str], config: TileConfig) -> None:
    if words[0] != ".config" or len(words) != 2:
        raise ProgramError(f"a directive must be .config and a name or hash, not {' '.join(words)!r}")
    wanted = CONFIGS[words[1]].hash_text if words[1] in CONFIGS else words[1].lower()
    if wanted != config.hash_text:
        raise ProgramError(f".config must be {config.name} or {config.hash_text}, not {words[1]}")


def _number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ProgramError(f"{name} must be an integer, not {text!r}") from None


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.65)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def _instruction(words: list[str]) -> Instruction:
    name = words[0].upper()
    if name not in _MNEMONICS and name not in _ALIASES:
        known = [*_MNEMONICS, *_ALIASES]
        raise ProgramError(f"the mnemonic must be an instruction, not {words[0]!r}{_nearest(name, known)}")
    opcode = _MNEMONICS.get(name, Opcode.FILL)
    values: dict[str, int] = {"constant": _ALIASES[name]} if name in _ALIASES else {}
    try:
        for word in words[1:]:
            for field, value in _operand(opcode, word).items():
                if field in values:
                    raise ProgramError(f"{field} must be given once, not again by {word!r}")
                values[field] = value
        if opcode in _MOVES and values.get("kind") != LoadKind.BLOCK:
            for word in words[1:]:
                if word.startswith("block="):
                    raise ProgramError(f"block must be given with kind block, not with {word!r} alone")
        return _built(opcode, values)
    except ProgramError as error:
        raise ProgramError(f"{name}: {error}") from error


def _built(opcode: Opcode, values: dict[str, int]) -> Instruction:
    """The instruction with these fields, widths that follow from them, and 0 in the others."""
    rule = OPERATIONS[opcode]
    if opcode in _NAMES_ITS_KIND and rule.kinds is not None and "kind" not in values:
        raise ProgramError(f"kind must be given: one of {', '.join(kind.name.lower() for kind in rule.kinds)}")
    if opcode == Opcode.CLAMP:
        missing = [name for name in _BOUNDS if name not in values]
        if missing:
            raise ProgramError(f"{' and '.join(missing)} must be given")
        values["constant"] = clamp_constant(*(values.pop(name) for name in _BOUNDS))
    terms = {field: values.get(f"{field}_width", 0) for field in "ab"}
    terms |= {"1": 1, "levels": reduce_levels(values.get("constant", 0))}
    for field, wanted in rule.widths:
        values.setdefault(f"{field}_width", sum(terms[term] for term in wanted.split("+")))
    if opcode in _MOVES and values.get("kind") == LoadKind.TAG:
        values.setdefault("d_width" if opcode == Opcode.LOAD else "a_width", 1)
    flags: dict[str, bool] = {}
    for flag in ("a_signed", "b_signed", "predicated"):
        value = values.pop(flag, 0)
        if value not in (0, 1):
            raise ProgramError(f"{flag} must be 0 or 1, not {value}")
        flags[flag] = bool(value)
    return Instruction(opcode, **values, **flags)


def _keys(opcode: Opcode) -> list[str]:
    """The names of fields that a line with this opcode may give."""
    rule = OPERATIONS[opcode]
    keys = [name for name, role in (("d", rule.d), ("a", rule.a), ("b", rule.b)) if role is not Role.UNUSED]
    keys += [_CONSTANT[opcode]] if _CONSTANT.get(opcode) else []
    keys += _BOUNDS if opcode == Opcode.CLAMP else []
    keys += ["signed"] if opcode in _SIGNED else []
    keys += ["where"] if rule.predicate else []
    keys += ["p"] if rule.scratch is not Scratch.NEVER else []
    return [*keys, "owner"]


def _operand(opcode: Opcode, word: str) -> dict[str, int]:
    """The fields that one word of a line sets."""
    key, equals, value = word.partition("=")
    if not equals:
        return _plain_word(opcode, word)
    if key.startswith("raw."):
        name = key.removeprefix("raw.")
        if name not in FIELDS or name in ("opcode", "owner"):
            raise ProgramError(f"a raw field must be one of the instruction word's, not {name!r}")
        if opcode == Opcode.CLAMP and name == "constant":
            raise ProgramError("constant must be given as low=... and high=...")
        return {name: _number(key, value)}
    keys = _keys(opcode)
    if key not in keys:
        raise ProgramError(f"a field must be one of {', '.join(keys)}, not {key!r}{_nearest(key, keys)}")
    if key in ("a", "b", "d"):
        return _ranged(key, key, value, True)
    if key == _CONSTANT.get(opcode):
        return _ranged(key, "constant", value, OPERATIONS[opcode].free_a)
    if key in _BOUNDS:
        return {key: _number(key, value)}
    if key == "signed":
        return _signed(opcode, value)
    if key == "owner":
        return {"owner": Owner[_choice("owner", value, [owner.name.lower() for owner in Owner]).upper()]}
    return {"p": _number(key, value)} | ({"predicated": 1} if key == "where" else {})


def _plain_word(opcode: Opcode, word: str) -> dict[str, int]:
    if _CONSTANT.get(opcode) == "":
        return {"constant": _number("the number", word)}
    kinds = OPERATIONS[opcode].kinds
    if kinds is None:
        raise ProgramError(f"an operand must be field=value, not {word!r}")
    return {"kind": kinds[_choice("kind", word, [kind.name.lower() for kind in kinds]).upper()]}


def _ranged(key: str, field: str, value: str, may_have_width: bool) -> dict[str, int]:
    """``number`` or ``number:width``; the width of a constant is a_width."""
    first, colon, width = value.partition(":")
    numbers = {field: _number(key, first)}
    if colon and not may_have_width:
        raise ProgramError(f"{key} must be a number without a width, not {value!r}")
    if colon:
        numbers["a_width" if field == "constant" else f"{field}_width"] = _number(f"the width of {key}", width)
    return numbers


def _signed(opcode: Opcode, value: str) -> dict[str, int]:
    legal = _SIGNED[opcode]
    if not value or value not in legal:
        raise ProgramError(f"signed must be {' or '.join(dict.fromkeys([*legal, legal]))}, not {value!r}")
    return {f"{field}_signed": 1 for field in value}


def _choice(name: str, word: str, known: list[str]) -> str:
    if word.lower() not in known:
        raise ProgramError(f"{name} must be one of {', '.join(known)}, not {word!r}{_nearest(word.lower(), known)}")
    return word.lower()


def _text(instruction: Instruction) -> str:
    """One line: what the opcode uses in its own words, then whatever else is not 0 as raw fields."""
    opcode = Opcode(instruction.opcode)
    rule, keys = OPERATIONS[opcode], _keys(opcode)
    left = {name: int(getattr(instruction, name)) for name in FIELDS if name not in ("opcode", "owner")}
    words = [opcode.name]
    block = False
    if rule.kinds is not None:
        kind = rule.kinds(left.pop("kind"))
        block = opcode in _MOVES and kind.value == LoadKind.BLOCK
        words += [kind.name.lower()] if kind.value or opcode in _NAMES_ITS_KIND else []
    if _CONSTANT.get(opcode) == "":
        words.append(str(left.pop("constant")))
    words += [f"{name}={left.pop(name)}:{left.pop(f'{name}_width')}" for name in ("d", "a", "b") if name in keys]
    name = _CONSTANT.get(opcode)
    if name and (opcode not in _MOVES or block):
        width = f":{left.pop('a_width')}" if rule.free_a else ""
        words.append(f"{name}={left.pop('constant')}{width}")
    if opcode == Opcode.CLAMP:
        words += [f"{name}={bound}" for name, bound in zip(_BOUNDS, clamp_bounds(left.pop("constant")), strict=True)]
    signed = "".join(field for field in _SIGNED.get(opcode, "") if left.pop(f"{field}_signed"))
    words += [f"signed={signed}"] if signed else []
    if rule.predicate and left.pop("predicated"):
        words.append(f"where={left.pop('p')}")
    if rule.scratch is not Scratch.NEVER and left["p"]:
        words.append(f"p={left.pop('p')}")
    words += [f"raw.{name}={value}" for name, value in left.items() if value]
    if instruction.owner != rule.owner:
        words.append(f"owner={Owner(instruction.owner).name.lower()}")
    return " ".join(words)
