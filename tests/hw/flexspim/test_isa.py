"""Instructions of macros as words."""

from __future__ import annotations

import numpy as np
import pytest

from hw.flexspim.config import MACROS
from hw.flexspim.isa import (
    FIELDS,
    MacroInstruction,
    MacroOpcode,
    MacroProgram,
    MacroProgramError,
    instruction,
)
from hw.isa import FIELDS as TILE_FIELDS
from hw.isa import INSTRUCTION_BITS


@pytest.mark.parametrize("opcode", MacroOpcode)
def test_words_come_back(opcode: MacroOpcode) -> None:
    generator = np.random.default_rng(opcode)
    for _ in range(20):
        values = {name: int(generator.integers(0, 1 << min(width, 62))) for name, width in FIELDS[opcode].items()}
        one = MacroInstruction(opcode, values)
        assert MacroInstruction.decode(one.encode()) == one
    assert sum(FIELDS[opcode].values()) + 8 <= INSTRUCTION_BITS


def test_every_word_decodes() -> None:
    generator = np.random.default_rng(3)
    for _ in range(200):
        word = int.from_bytes(generator.bytes(16), "little")
        assert MacroInstruction.decode(word).encode() == word


def test_the_count_of_a_loop_is_where_tiles_have_it() -> None:
    names = list(TILE_FIELDS)
    low = sum(TILE_FIELDS[name] for name in names[: names.index("constant")])
    assert instruction(MacroOpcode.LOOP, count=5).encode() >> low == 5


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (instruction(MacroOpcode.LOAD, rows=1 << 16), "LOAD: rows must be from 0 to 65535, not 65536"),
        (instruction(MacroOpcode.LOAD, kind=1), "LOAD must have fields first, rows, not 'kind'"),
        (MacroInstruction(MacroOpcode.END, {}, 1 << 120), f"END: rest must fit 120 bits, not {1 << 120}"),
    ],
)  # fmt: skip
def test_what_does_not_fit(one: MacroInstruction, text: str) -> None:
    with pytest.raises(MacroProgramError) as error:
        one.encode()
    assert str(error.value) == text


def test_programs() -> None:
    config = MACROS["flexspim"]
    program = MacroProgram.build([instruction(MacroOpcode.LOAD, first=1, rows=2)], config)
    assert [one.name for one in program] == ["LOAD", "HALT"]
    assert program.image == b"".join(word.to_bytes(16, "little") for word in program.words)
    assert program.words[0] >> 64 == config.hash
    assert MacroInstruction(0x55).name == "0x55"
