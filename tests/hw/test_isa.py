"""Instruction words, operand rules and the binary program."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.config import CONFIGS
from hw.counter_map import COUNTERS, counter_index
from hw.isa import (
    FIELDS,
    INSTRUCTION_BITS,
    OPERATIONS,
    WIDE_CONSTANTS,
    ErrorCode,
    Instruction,
    LoadKind,
    Opcode,
    Owner,
    Program,
    ProgramError,
    StoreKind,
    clamp_bounds,
    clamp_constant,
    fields_used,
    reduce_levels,
    violation,
    with_owner,
)

TINY = CONFIGS["tiny"]
HALT = Instruction(Opcode.HALT)


def make(opcode: int, **fields: int) -> Instruction:
    flags = {name: bool(fields.pop(name, 0)) for name in ("a_signed", "b_signed", "predicated")}
    return Instruction(opcode, **fields, **flags)


def test_an_instruction_has_128_bits() -> None:
    assert sum(FIELDS.values()) == INSTRUCTION_BITS


@given(word=st.integers(0, (1 << INSTRUCTION_BITS) - 1))
def test_every_word_decodes_and_encodes_to_itself(word: int) -> None:
    assert Instruction.decode(word).encode() == word


def widths_but(*names: str) -> Iterator[tuple[str, int]]:
    return ((name, width) for name, width in FIELDS.items() if name not in names)


@given(
    values=st.fixed_dictionaries({name: st.integers(0, (1 << width) - 1) for name, width in widths_but("constant")}),
    constant=st.integers(-(1 << 35), (1 << 35) - 1),
)
def test_every_instruction_encodes_and_decodes_to_itself(values: dict[str, int], constant: int) -> None:
    op = make(constant=constant, **values)
    if op.opcode in WIDE_CONSTANTS:
        op = Instruction(**{**vars(op), "p": 0})
    assert Instruction.decode(op.encode()) == op


@given(constant=st.integers(-(1 << 47), (1 << 47) - 1))
def test_init_has_a_wide_constant(constant: int) -> None:
    op = Instruction(Opcode.INIT, constant=constant)
    assert Instruction.decode(op.encode()) == op


@given(low=st.integers(-(1 << 23), (1 << 23) - 1), high=st.integers(-(1 << 23), (1 << 23) - 1))
def test_clamp_has_two_bounds(low: int, high: int) -> None:
    op = Instruction(Opcode.CLAMP, b_width=8, constant=clamp_constant(low, high))
    assert clamp_bounds(Instruction.decode(op.encode()).constant) == (low, high)


@pytest.mark.parametrize(("name", "low", "high"), [("low", 1 << 23, 0), ("high", 0, -(1 << 23) - 1)])
def test_bounds_that_do_not_fit(name: str, low: int, high: int) -> None:
    text = rf"^{name} bound of a CLAMP must be from -8388608 to 8388607, not {low or high}$"
    with pytest.raises(ProgramError, match=text):
        clamp_constant(low, high)


def test_levels() -> None:
    assert [reduce_levels(words) for words in (-1, 0, 1, 2, 3, 4, 5, 8, 9, 4096)] == [0, 0, 0, 1, 2, 2, 3, 3, 4, 12]


def test_fields_stand_where_the_table_says() -> None:
    position = 0
    for name, width in FIELDS.items():
        op = Instruction.decode((1 << width) - 1 << position)
        assert int(getattr(op, name)) in ((1 << width) - 1, -1)
        others = [other for other in FIELDS if other != name]
        assert not any(getattr(op, other) for other in others)
        position += width


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (make(256), "opcode must be from 0 to 255, not 256"),
        (make(Opcode.COPY, a=4096), "a must be from 0 to 4095, not 4096"),
        (make(Opcode.COPY, d=-1), "d must be from 0 to 4095, not -1"),
        (make(Opcode.COPY, a_width=128), "a_width must be from 0 to 127, not 128"),
        (make(Opcode.FILL, constant=1 << 36), f"constant must be from {-(1 << 35)} to {(1 << 36) - 1}, not {1 << 36}"),
        (
            make(Opcode.INIT, constant=1 << 47),
            f"constant must be from {-(1 << 47)} to {(1 << 47) - 1}, not {1 << 47}",
        ),
    ],
)
def test_values_that_do_not_fit_their_field(op: Instruction, text: str) -> None:
    with pytest.raises(ProgramError, match=f"^{re.escape(text)}$"):
        op.encode()


def test_names_and_owners() -> None:
    assert make(Opcode.DOT).name == "DOT"
    assert make(0xFE).name == "0xfe"
    assert make(Opcode.LOAD).owner is Owner.LOAD
    assert make(0xFE).owner is Owner.COMPUTE
    assert [op.owner for op in with_owner([HALT, make(Opcode.DOT)], Owner.REDUCE)] == [Owner.REDUCE] * 2


KNOWN = ", ".join(opcode.name for opcode in OPERATIONS)
VIOLATIONS = [
    (make(0), ErrorCode.OPCODE, f"opcode must be one of {KNOWN}, not 0x00"),
    (make(Opcode.VERTICAL_COMPARE), ErrorCode.OPCODE, f"opcode must be one of {KNOWN}, not VERTICAL_COMPARE"),
    (make(Opcode.SYNC, reserved=3), ErrorCode.RESERVED, "reserved must be 0, not 3"),
    (make(Opcode.SYNC, owner=5), ErrorCode.RESERVED, "owner must be from 0 to 4, not 5"),
    (make(Opcode.LOAD, kind=5), ErrorCode.RESERVED, "kind must be one of PLANES, BLOCK, TAPS, TOTAL, TAG, not 5"),
    (make(Opcode.STORE, kind=2), ErrorCode.RESERVED, "kind must be one of PLANES, BLOCK, TOTAL, TAG, not 2"),
    (make(Opcode.DOT, kind=1), ErrorCode.RESERVED,
     "kind must be one of PLAIN, not SKIP, which config tiny does not have"),
    (make(Opcode.REDUCE, kind=2), ErrorCode.RESERVED,
     "kind must be one of SHIFT, not SEGMENTS, which config tiny does not have"),
    (make(Opcode.CMP, kind=6), ErrorCode.RESERVED, "kind must be one of EQ, NE, LT, GE, LE, GT, not 6"),
    (make(Opcode.MULC, kind=2), ErrorCode.RESERVED, "kind must be one of DENSE, SPARSE, not 2"),
    (make(Opcode.FILL), ErrorCode.WIDTH, "d_width must be from 1 to 64, not 0"),
    (make(Opcode.FILL, d_width=65), ErrorCode.WIDTH, "d_width must be from 1 to 64, not 65"),
    (make(Opcode.DOT, a_width=33, b_width=1), ErrorCode.WIDTH, "a_width must be from 1 to 32, not 33"),
    (make(Opcode.MUL, a_width=1, b_width=33), ErrorCode.WIDTH, "b_width must be from 1 to 32, not 33"),
    (make(Opcode.MULC, b_width=1, d_width=1), ErrorCode.WIDTH, "a_width must be from 1 to 32, not 0"),
    (make(Opcode.LOAD, kind=LoadKind.TOTAL, d_width=33), ErrorCode.WIDTH, "d_width must be from 1 to 32, not 33"),
    (make(Opcode.LOAD, kind=LoadKind.TAG, d_width=2), ErrorCode.WIDTH, "d_width must be from 1 to 1, not 2"),
    (make(Opcode.STORE, kind=StoreKind.TOTAL, a_width=33), ErrorCode.WIDTH, "a_width must be from 1 to 32, not 33"),
    (make(Opcode.DRAIN, d_width=33), ErrorCode.WIDTH, "d_width must be from 1 to 32, not 33"),
    (make(Opcode.RESTORE, a_width=33), ErrorCode.WIDTH, "a_width must be from 1 to 32, not 33"),
    (make(Opcode.COPY, a_width=3, d_width=4), ErrorCode.WIDTH, "d_width must be 3 (a), not 4"),
    (make(Opcode.AND, a_width=3, b_width=4, d_width=3), ErrorCode.WIDTH, "b_width must be 3 (a), not 4"),
    (make(Opcode.XOR, a_width=3, b_width=3, d_width=2), ErrorCode.WIDTH, "d_width must be 3 (a), not 2"),
    (make(Opcode.ADD, a_width=3, b_width=3, d_width=2), ErrorCode.WIDTH, "d_width must be 1 (1), not 2"),
    (make(Opcode.ADD, a_width=4, b_width=3, d_width=1), ErrorCode.WIDTH, "a_width must be at most b_width (3), not 4"),
    (make(Opcode.MUL, a_width=3, b_width=4, d_width=6), ErrorCode.WIDTH, "d_width must be 7 (a+b), not 6"),
    (make(Opcode.MAX, a_width=3, b_width=3, d_width=2), ErrorCode.WIDTH, "d_width must be 1 (1), not 2"),
    (make(Opcode.SUM, a_width=3, b_width=3, d_width=3), ErrorCode.WIDTH, "d_width must be 4 (b+1), not 3"),
    (make(Opcode.SUM, a_width=3, b_width=64), ErrorCode.WIDTH, "b_width must be from 1 to 63, not 64"),
    (make(Opcode.REDUCE, a_width=64, d_width=64, constant=1), ErrorCode.WIDTH, "a_width must be from 1 to 63, not 64"),
    (
        make(Opcode.REDUCE, a_width=5, d_width=6, constant=3), ErrorCode.WIDTH,
        "d_width must be 7 (a+levels), not 6",
    ),
    (make(Opcode.RELU, b=30, b_width=3), ErrorCode.COLUMN, "b must end below column 32, not at 30+3-1 = 32"),
    (make(Opcode.FILL, d_width=3, predicated=1, p=32), ErrorCode.COLUMN,
     "p must end below column 32, not at 32+1-1 = 32"),
    (
        make(Opcode.COPY, a_width=4, d=3, d_width=4), ErrorCode.OVERLAP,
        "a (columns 0..3) must not overlap d (columns 3..6)",
    ),
    (
        make(Opcode.FILL, d=2, d_width=4, predicated=1, p=5), ErrorCode.OVERLAP,
        "d (columns 2..5) must not overlap p (columns 5..5)",
    ),
    (
        make(Opcode.MUL, a_width=2, b=2, b_width=2, d=4, d_width=4, p=7, a_signed=1), ErrorCode.OVERLAP,
        "d (columns 4..7) must not overlap p (columns 7..7)",
    ),
    (
        make(Opcode.NOT, a_width=4, d_width=4, predicated=1, p=9), ErrorCode.OVERLAP,
        "a (columns 0..3) must not overlap d (columns 0..3)",
    ),
    (
        make(Opcode.AND, a_width=2, b=2, b_width=2, d_width=2), ErrorCode.OVERLAP,
        "a (columns 0..1) must not overlap d (columns 0..1)",
    ),
    (
        make(Opcode.NEG, a_width=2, d_width=2, p=1), ErrorCode.OVERLAP,
        "a (columns 0..1) must not overlap p (columns 1..1)",
    ),
    (
        make(Opcode.REDUCE, a_width=2, d_width=4, constant=3, p=3), ErrorCode.OVERLAP,
        "d (columns 0..3) must not overlap p (columns 3..3)",
    ),
    (
        make(Opcode.MULC, a_width=2, b_width=2, d=2, d_width=4, p=1, kind=1, b_signed=1), ErrorCode.OVERLAP,
        "b (columns 0..1) must not overlap p (columns 1..1)",
    ),
    (
        make(Opcode.REDUCE, a_width=2, d_width=2, p=4), ErrorCode.ROWS,
        "constant (words to add) must be from 1 to 4, not 0",
    ),
    (
        make(Opcode.REDUCE, a_width=2, d_width=5, constant=5, p=5), ErrorCode.ROWS,
        "constant (words to add) must be from 1 to 4, not 5",
    ),
    (
        make(Opcode.DRAIN, d_width=3, constant=4), ErrorCode.ROWS,
        "constant (the row block) must be from 0 to 3, not 4",
    ),
    (
        make(Opcode.STORE, kind=StoreKind.BLOCK, a_width=3, constant=-1), ErrorCode.ROWS,
        "constant (the row block) must be from 0 to 3, not -1",
    ),
    (
        make(Opcode.MOVE, a_width=3, d=3, d_width=3, constant=-4), ErrorCode.ROWS,
        "constant (row blocks to move by) must be from -3 to 3, not -4",
    ),
    (
        make(Opcode.DOT, a_width=10, b_width=11), ErrorCode.FILL,
        "a_width + b_width must be at most 20 for fill_bits = 24, not 10+11",
    ),
    (make(Opcode.LOOP), ErrorCode.LOOP, "constant (the loop count) must be from 1 to 4294967295, not 0"),
    (make(Opcode.LOOP, constant=1 << 32), ErrorCode.LOOP,
     f"constant (the loop count) must be from 1 to 4294967295, not {1 << 32}"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "code", "text"), VIOLATIONS, ids=[text[:60] for *_, text in VIOLATIONS])
def test_violations(op: Instruction, code: ErrorCode, text: str) -> None:
    assert violation(op, TINY) == (code, text)


@pytest.mark.parametrize(
    "op",
    [
        HALT,
        make(Opcode.MUL, a_width=2, b=2, b_width=2, d=4, d_width=4, p=7),  # p is not used
        make(Opcode.AND, a_width=2, b=2, b_width=2, d=2, d_width=2),  # in place
        make(Opcode.NOT, a_width=2, d_width=2),
        make(Opcode.ABS, a_width=2, d_width=2, p=2),
        make(Opcode.MULC, a_width=2, b_width=2, d=2, d_width=4, p=1, b_signed=1),  # p is not used
        make(Opcode.MULC, a_width=2, b_width=2, d=2, d_width=4, p=1, kind=1),
        make(Opcode.REDUCE, a_width=2, d_width=2, constant=1, p=2),
        make(Opcode.CLAMP, b=30, b_width=2, constant=clamp_constant(-5, 5)),
        make(Opcode.DOT, a_width=4, b=2, b_width=4),  # reads may overlap
        make(Opcode.DOT, a_width=10, b_width=10),
        make(Opcode.RELU, b=31, b_width=1),
        make(Opcode.LOAD, kind=LoadKind.TOTAL, d=31, d_width=32),
        make(Opcode.STORE, kind=StoreKind.TAG, a=31, a_width=1, constant=99),
        make(Opcode.MOVE, a_width=3, d=3, d_width=3, constant=-3),
        make(Opcode.LOOP, constant=(1 << 32) - 1),
        make(Opcode.SUB, predicated=1, a_width=1, b=1, b_width=5, d=6, d_width=1, p=7),
    ],
    ids=str,
)
def test_legal_instructions(op: Instruction) -> None:
    assert violation(op, TINY) is None


def test_fields_used_tell_reads_from_writes() -> None:
    op = make(Opcode.MUL, a_width=2, b=2, b_width=3, d=5, d_width=5, p=12, a_signed=1)
    assert fields_used(op) == [("a", 0, 2, False), ("b", 2, 3, False), ("d", 5, 5, True), ("p", 12, 1, True)]
    assert fields_used(make(Opcode.STORE, kind=StoreKind.TOTAL, a_width=3)) == []


LOOP, END = make(Opcode.LOOP, constant=2), make(Opcode.END)


@pytest.mark.parametrize(
    ("instructions", "text"),
    [
        ([], "a program must end with HALT, outside all loops"),
        ([LOOP], "a program must end with HALT, outside all loops"),
        ([LOOP, HALT], "a program must end with HALT, outside all loops"),
        ([HALT, HALT], "instruction 0 (HALT): HALT must be the last instruction"),
        ([END, HALT], "instruction 0 (END): END must close a LOOP"),
        ([LOOP] * 3, "instruction 2 (LOOP): loops must be nested at most 2 deep"),
        (
            [LOOP, *[make(Opcode.INIT)] * 31, END, HALT],
            "instruction 32 (END): a loop body must be at most 31 instructions, not 32",
        ),
        ([make(Opcode.INIT), make(0), HALT], f"instruction 1 (0x00): opcode must be one of {KNOWN}, not 0x00"),
    ],
)
def test_programs_that_are_refused(instructions: list[Instruction], text: str) -> None:
    with pytest.raises(ProgramError, match=f"^{re.escape(text)}$"):
        Program.build(instructions, TINY)


def test_a_program_is_for_one_config() -> None:
    program = Program((HALT,), 5)
    text = f"^program must be for config tiny \\(hash {TINY.hash_text}\\), not hash 0000000000000005$"
    with pytest.raises(ProgramError, match=text):
        program.check(TINY)


def test_loops_unroll() -> None:
    inner = [make(Opcode.LOOP, constant=3), make(Opcode.FILL, d_width=1), END]
    program = Program.build([LOOP, make(Opcode.INIT), *inner, END, HALT], TINY)
    names = [op.name for op in program.executed()]
    rounds = ["INIT", "LOOP", *["FILL", "END"] * 3, "END"]
    assert names == ["LOOP", *rounds, *rounds, "HALT"]


def test_binary_programs() -> None:
    program = Program.build([make(Opcode.INIT, constant=-3), HALT], TINY)
    data = program.to_bytes()
    assert data[:8] == b"BF\x02\x00\x02\x00\x00\x00"
    assert data[8:16] == TINY.hash.to_bytes(8, "little")
    assert data[16:] == program.instructions[0].encode().to_bytes(16, "little") + HALT.encode().to_bytes(16, "little")
    assert Program.from_bytes(data) == program
    for wrong, text in (
        (b"", "a binary program must begin with the letters BF and a 16-byte header"),
        (b"XY" + data[2:], "a binary program must begin with the letters BF and a 16-byte header"),
        (data[:2] + b"\x01\x00" + data[4:], "program version must be 2, not 1"),
        (data[:-1], "a program of 2 instructions must have 48 bytes, not 47"),
    ):
        with pytest.raises(ProgramError, match=f"^{re.escape(text)}$"):
            Program.from_bytes(wrong)


def test_an_image_is_the_words_that_instructions_encode_to() -> None:
    one, equal = make(Opcode.INIT, constant=-5), make(Opcode.INIT, constant=-5)
    program = Program((one, equal, make(Opcode.INIT, constant=5), one, HALT), TINY.hash)
    assert program.words[1:] == [instruction.encode() for instruction in program.instructions]
    assert program.image == b"".join(word.to_bytes(16, "little") for word in program.words)
    assert program.image is program.image
    assert Program.from_bytes(program.image) == program


def test_counter_names_are_unique_and_indexed() -> None:
    names = [counter.name for counter in COUNTERS]
    assert len(set(names)) == len(names)
    assert [counter_index(name) for name in names] == list(range(len(names)))
    assert [name for name in names if name.startswith("cycles.")] == [
        *(f"cycles.{owner.name.lower()}" for owner in Owner),
        "cycles.stall",
    ]
