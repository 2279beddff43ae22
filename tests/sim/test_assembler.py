"""The assembler: texts to programs, programs to texts, and what it says to mistakes."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.config import CONFIGS
from hw.isa import (
    OPERATIONS,
    CompareKind,
    ConstantKind,
    DotKind,
    Instruction,
    LoadKind,
    Opcode,
    Owner,
    Program,
    ProgramError,
    ReduceKind,
    StoreKind,
    clamp_constant,
)
from sim.assembler import assemble, disassemble
from tests.programs import ProgramMaker, random_program

TINY, SMALL = CONFIGS["tiny"], CONFIGS["small"]
EVERYTHING = SMALL.replace(vertical=True, zero_skip=True)


def one(line: str) -> Instruction:
    """The instruction of a line, on a tile that has everything; it comes back from its text."""
    program = assemble(f"{line}\nHALT", EVERYTHING)
    assert assemble(disassemble(program), EVERYTHING) == program
    return program.instructions[0]


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        (
            "MUL d=16:16 a=0:8 b=8:8 signed=b p=40 owner=requantize ; comment",
            Instruction(
                Opcode.MUL, a=0, a_width=8, b=8, b_width=8, d=16, d_width=16, b_signed=True, p=40,
                owner=Owner.REQUANTIZE,
            ),
        ),
        ("mul d=16 a=0:8 b=8:4", Instruction(Opcode.MUL, a=0, a_width=8, b=8, b_width=4, d=16, d_width=12)),
        ("LOAD d=100:8", Instruction(Opcode.LOAD, d=100, d_width=8)),
        ("LOAD planes d=100:8", Instruction(Opcode.LOAD, d=100, d_width=8)),
        ("LOAD taps d=100:8", Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d=100, d_width=8)),
        ("LOAD block d=1:8 block=15", Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d=1, d_width=8, constant=15)),
        ("LOAD tag", Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1)),
        ("STORE tag", Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1)),
        ("STORE total a=0:48", Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=48)),
        ("DRAIN d=40:22 block=3", Instruction(Opcode.DRAIN, d=40, d_width=22, constant=3)),
        ("RESTORE a=40:22 block=0", Instruction(Opcode.RESTORE, a=40, a_width=22)),
        ("SYNC 2", Instruction(Opcode.SYNC, constant=2)),
        ("SYNC", Instruction(Opcode.SYNC)),
        ("INIT -0x10", Instruction(Opcode.INIT, constant=-16)),
        ("FILL d=3:4 constant=-1", Instruction(Opcode.FILL, d=3, d_width=4, constant=-1)),
        ("CLEAR d=3:4", Instruction(Opcode.FILL, d=3, d_width=4)),
        ("SET d=3:4 where=9", Instruction(Opcode.FILL, d=3, d_width=4, constant=-1, predicated=True, p=9)),
        ("ADD a=0:4 b=8:8 d=30 where=31", Instruction(
            Opcode.ADD, a=0, a_width=4, b=8, b_width=8, d=30, d_width=1, predicated=True, p=31)),
        ("SUB a=0:4 b=8:8 d=30:1 signed=a", Instruction(
            Opcode.SUB, a=0, a_width=4, b=8, b_width=8, d=30, d_width=1, a_signed=True)),
        ("ADDC b=8:8 d=30 constant=1_000", Instruction(Opcode.ADDC, b=8, b_width=8, d=30, d_width=1, constant=1000)),
        ("MULC d=16 b=8:8 constant=77:7 signed=b", Instruction(
            Opcode.MULC, a_width=7, b=8, b_width=8, d=16, d_width=15, constant=77, b_signed=True)),
        ("XOR a=0:4 b=4 d=8", Instruction(Opcode.XOR, a=0, a_width=4, b=4, b_width=4, d=8, d_width=4)),
        ("XOR a=0:4 b=4:4 d=4", Instruction(Opcode.XOR, a=0, a_width=4, b=4, b_width=4, d=4, d_width=4)),
        ("AND a=0:4 b=4 d=8", Instruction(Opcode.AND, a=0, a_width=4, b=4, b_width=4, d=8, d_width=4)),
        ("MAX a=0:4 b=4:5 d=12 signed=a", Instruction(
            Opcode.MAX, a=0, a_width=4, b=4, b_width=5, d=12, d_width=1, a_signed=True)),
        ("MINC b=4:5 constant=9", Instruction(Opcode.MINC, b=4, b_width=5, constant=9)),
        ("CLAMP b=4:5 low=-3 high=0x7 signed=b", Instruction(
            Opcode.CLAMP, b=4, b_width=5, b_signed=True, constant=clamp_constant(-3, 7))),
        ("DOT skip a=0:4 b=4:4", Instruction(Opcode.DOT, kind=DotKind.SKIP, a_width=4, b=4, b_width=4)),
        ("ADDC sparse b=8:8 d=30 constant=16", Instruction(
            Opcode.ADDC, kind=ConstantKind.SPARSE, b=8, b_width=8, d=30, d_width=1, constant=16)),
        ("MULC sparse d=16 b=8:8 constant=77:7 signed=b p=40", Instruction(
            Opcode.MULC, kind=ConstantKind.SPARSE, a_width=7, b=8, b_width=8, d=16, d_width=15, constant=77,
            b_signed=True, p=40)),
        ("RSUB a=0:4 b=8:8 d=30", Instruction(Opcode.RSUB, a=0, a_width=4, b=8, b_width=8, d=30, d_width=1)),
        ("SUM a=0:4 b=8:8 d=30", Instruction(Opcode.SUM, a=0, a_width=4, b=8, b_width=8, d=30, d_width=9)),
        ("DIFF a=0:4 b=8:8 d=30 signed=a", Instruction(
            Opcode.DIFF, a=0, a_width=4, b=8, b_width=8, d=30, d_width=9, a_signed=True)),
        ("RDIFF a=0:4 b=8:8 d=30:9", Instruction(Opcode.RDIFF, a=0, a_width=4, b=8, b_width=8, d=30, d_width=9)),
        ("NEG a=0:4 d=0 p=9", Instruction(Opcode.NEG, a=0, a_width=4, d=0, d_width=4, p=9)),
        ("ABS a=0:4 d=4 p=9", Instruction(Opcode.ABS, a=0, a_width=4, d=4, d_width=4, p=9)),
        ("CMP eq a=0:4 b=8:8 d=30", Instruction(
            Opcode.CMP, kind=CompareKind.EQ, a=0, a_width=4, b=8, b_width=8, d=30, d_width=1)),
        ("CMP LE a=0:4 b=8:8 d=30", Instruction(
            Opcode.CMP, kind=CompareKind.LE, a=0, a_width=4, b=8, b_width=8, d=30, d_width=1)),
        ("CMPC gt b=8:8 d=30 constant=-1 signed=b", Instruction(
            Opcode.CMPC, kind=CompareKind.GT, b=8, b_width=8, d=30, d_width=1, constant=-1, b_signed=True)),
        ("REDUCE shift d=8 words=10:8 signed=a p=40", Instruction(
            Opcode.REDUCE, kind=ReduceKind.SHIFT, a_width=8, d=8, d_width=12, constant=10, a_signed=True, p=40)),
        ("REDUCE segments d=8:8 words=1:8", Instruction(
            Opcode.REDUCE, kind=ReduceKind.SEGMENTS, a_width=8, d=8, d_width=8, constant=1)),
        ("MOVE a=0:4 d=8 blocks=-3", Instruction(Opcode.MOVE, a=0, a_width=4, d=8, d_width=4, constant=-3)),
        ("  RELU b=5:9;", Instruction(Opcode.RELU, b=5, b_width=9)),
        ("INIT 5 raw.kind=3 raw.a=7", Instruction(Opcode.INIT, constant=5, kind=3, a=7)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_lines(line: str, instruction: Instruction) -> None:
    assert one(line) == instruction


def test_a_whole_program() -> None:
    text = f"""
    ; totals of three DOTs
    .config tiny
    .config {TINY.hash_text.upper()}
    LOOP 3
        DOT a=0:4 b=4:4 signed=ab
    END
    STORE total a=0:32
    HALT
    """
    program = assemble(text, TINY)
    assert program.config_hash == TINY.hash
    assert [instruction.name for instruction in program.instructions] == ["LOOP", "DOT", "END", "STORE", "HALT"]
    assert disassemble(program) == (
        f".config {TINY.hash_text}\nLOOP 3\n    DOT a=0:4 b=4:4 signed=ab\nEND\nSTORE total a=0:32\nHALT\n"
    )


MISTAKES = [
    ("MULL a=0:8", "line 1: the mnemonic must be an instruction, not 'MULL' (did you mean MUL or MULC?)"),
    ("QQQ", "line 1: the mnemonic must be an instruction, not 'QQQ'"),
    (".origin 3", "line 1: a directive must be .config and a name or hash, not '.origin 3'"),
    (".config small", f"line 1: .config must be tiny or {TINY.hash_text}, not small"),
    (".config 0123", f"line 1: .config must be tiny or {TINY.hash_text}, not 0123"),
    ("\n\nRELU b=0:4 d=3", "line 3: RELU: a field must be one of b, owner, not 'd'"),
    ("ADD onwer=load", "line 1: ADD: a field must be one of d, a, b, signed, where, owner, not 'onwer' "
     "(did you mean owner?)"),
    ("RELU b", "line 1: RELU: an operand must be field=value, not 'b'"),
    ("RELU b=x:4", "line 1: RELU: b must be an integer, not 'x'"),
    ("RELU b=3:", "line 1: RELU: the width of b must be an integer, not ''"),
    ("RELU b=3:4 b=3:4", "line 1: RELU: b must be given once, not again by 'b=3:4'"),
    ("CLEAR d=3:4 constant=2", "line 1: CLEAR: constant must be given once, not again by 'constant=2'"),
    ("FILL d=3:4 constant=2:3", "line 1: FILL: constant must be a number without a width, not '2:3'"),
    ("LOOP x", "line 1: LOOP: the number must be an integer, not 'x'"),
    ("LOAD tabs d=0:4", "line 1: LOAD: kind must be one of planes, block, taps, total, tag, not 'tabs' "
     "(did you mean taps?)"),
    ("LOAD d=0:4 block=2", "line 1: LOAD: block must be given with kind block, not with 'block=2' alone"),
    ("DOT a=0:4 b=4:4 signed=c", "line 1: DOT: signed must be a or b or ab, not 'c'"),
    ("MAX a=0:4 b=4 d=8 signed=b", "line 1: MAX: signed must be a, not 'b'"),
    ("RELU b=0:4 low=3", "line 1: RELU: a field must be one of b, owner, not 'low'"),
    ("CLAMP b=0:4 low=3", "line 1: CLAMP: high must be given"),
    ("CLAMP b=0:4", "line 1: CLAMP: low and high must be given"),
    ("CLAMP b=0:4 low=0 high=0x800000",
     "line 1: CLAMP: high bound of a CLAMP must be from -8388608 to 8388607, not 8388608"),
    ("CLAMP b=0:4 low=0 high=1 raw.constant=4", "line 1: CLAMP: constant must be given as low=... and high=..."),
    ("CMP a=0:4 b=4:4 d=8", "line 1: CMP: kind must be given: one of eq, ne, lt, ge, le, gt"),
    ("CMPC ne b=4:4 d=8:2 constant=3", "line 1: CMPC: d_width must be 1 (1), not 2"),
    ("CMP less a=0:4 b=4:4 d=8", "line 1: CMP: kind must be one of eq, ne, lt, ge, le, gt, not 'less' "
     "(did you mean le?)"),
    ("REDUCE segments d=0:8 words=2:7",
     "line 1: REDUCE: kind must be one of SHIFT, not SEGMENTS, which config tiny does not have"),
    ("REDUCE shift d=0:8 words=2:8", "line 1: REDUCE: d_width must be 9 (a+levels), not 8"),
    ("DOT skip a=0:4 b=4:4", "line 1: DOT: kind must be one of PLAIN, not SKIP, which config tiny does not have"),
    ("ADDC sparce b=0:4 d=8 constant=3", "line 1: ADDC: kind must be one of dense, sparse, not 'sparce' "
     "(did you mean sparse?)"),
    ("SYNC owner=me", "line 1: SYNC: owner must be one of load, compute, reduce, requantize, store, not 'me'"),
    ("SYNC raw.opcode=4", "line 1: SYNC: a raw field must be one of the instruction word's, not 'opcode'"),
    ("SYNC raw.a_signed=2", "line 1: SYNC: a_signed must be 0 or 1, not 2"),
    ("RELU b=4096:4", "line 1: b must be from 0 to 4095, not 4096"),
    ("RELU b=0:0", "line 1: RELU: b_width must be from 1 to 64, not 0"),
    ("RELU b=30:4", "line 1: RELU: b must end below column 32, not at 30+4-1 = 33"),
    ("HALT\nHALT", "line 1: HALT: HALT must be the last instruction"),
    ("\nLOOP 2\nHALT\n", "line 3: a program must end with HALT, outside all loops"),
    ("END\nHALT", "line 1: END: END must close a LOOP"),
    ("", "line 0: a program must end with HALT, outside all loops"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ProgramError, match=f"^{re.escape(message)}$"):
        assemble(text, TINY)


@given(seed=st.integers(0, 2**32 - 1))
def test_random_programs_come_back(seed: int) -> None:
    program = random_program(np.random.default_rng(seed), EVERYTHING, 30).program
    assert assemble(disassemble(program), EVERYTHING) == program


@pytest.mark.parametrize("opcode", OPERATIONS, ids=lambda opcode: opcode.name)
def test_fields_that_are_not_used_come_back_as_well(opcode: Opcode) -> None:
    """Every legal instruction word has a text, also with garbage in fields that its opcode ignores."""
    maker = ProgramMaker(np.random.default_rng(opcode), EVERYTHING)
    rng = maker.rng
    halt = Instruction(Opcode.HALT)
    for _ in range(50):
        word = maker.random_instruction(opcode).encode()
        noise = Instruction.decode(word ^ 1 << int(rng.integers(8, 123)))
        before = (Instruction(Opcode.LOOP, constant=1),) if opcode == Opcode.END else ()
        after = (Instruction(Opcode.END), halt) if opcode == Opcode.LOOP else (halt,)
        program = Program((*before, noise) if opcode == Opcode.HALT else (*before, noise, *after), EVERYTHING.hash)
        try:
            program.check(EVERYTHING)
        except ProgramError:
            continue
        assert assemble(disassemble(program), EVERYTHING) == program


def test_reserved_opcodes_have_no_text() -> None:
    with pytest.raises(ProgramError, match=r"^instruction 0: opcode must be known, not VERTICAL_COMPARE$"):
        disassemble(Program((Instruction(Opcode.VERTICAL_COMPARE),), TINY.hash))
    with pytest.raises(ProgramError, match=r"^instruction 0: opcode must be known, not 0xff$"):
        disassemble(Program((Instruction(0xFF),), TINY.hash))
