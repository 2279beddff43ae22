"""The decoder refuses exactly what :func:`hw.isa.violation` and the loop rules refuse, with the same code."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS, TileConfig
from hw.decoder import Decoder
from hw.isa import FIELDS, OPERATIONS, WIDE_CONSTANTS, ErrorCode, Instruction, Opcode, reduce_levels, violation
from tests.programs import ProgramMaker
from tests.rtl import FASTER, VERTICAL

SEED = 20261121
WORDS = 3000


def random_instruction(rng: random.Random, config: TileConfig) -> Instruction:
    """An instruction that is often legal, and if not usually breaks one rule only."""
    opcode = rng.choice([*OPERATIONS, *OPERATIONS, *Opcode, Opcode.DOT, Opcode.REDUCE, rng.randrange(256)])
    words = rng.choice([1, 2, 3, 4, config.taps, config.taps + 1, 0, -1, rng.randrange(-9, 99)])
    constant = rng.choice([words, words, config.taps - 1, -config.taps, 1 - config.taps, 1 << 32, 0])
    width = rng.choice([1, 2, 3, 8, 12, 16, 32, 33, 63, 64, 65, 0])
    other = rng.choice([width, width, width + 1, rng.randrange(128)]) % 128
    ties = [width, width + other, 1, 2, other + 1, width + reduce_levels(constant), rng.randrange(128)]
    a, b, d, p = (
        rng.choice([0, 1, 8, 16, rng.randrange(config.columns), rng.randrange(config.columns), rng.randrange(4096)])
        for _ in range(4)
    )
    return Instruction(
        opcode,
        a=a,
        a_width=width,
        b=b,
        b_width=other,
        d=rng.choice([d, d, d, a, b]),
        d_width=rng.choice(ties) % 128,
        p=0 if opcode in WIDE_CONSTANTS else p,
        kind=rng.choice([0, 0, 1, 2, 3, 4, 5, 6, rng.randrange(16)]),
        constant=constant,
        a_signed=bool(rng.getrandbits(1)),
        b_signed=bool(rng.getrandbits(1)),
        predicated=bool(rng.getrandbits(1)),
        owner=rng.choice([0, 1, 2, 3, 4, rng.randrange(8)]),
        reserved=rng.choice([0] * 9 + [1]),
    )


def near_legal_instruction(rng: random.Random, maker: ProgramMaker) -> Instruction:
    """A legal instruction, as it is or with one field changed."""
    legal = maker.random_instruction(rng.choice(list(OPERATIONS)))
    if legal.opcode == Opcode.DOT and rng.random() < 0.5:  # perhaps too wide for the fill counter
        return replace(legal, a=0, a_width=rng.randint(1, 32), b=0, b_width=rng.randint(1, 32))
    field = rng.choice(sorted(FIELDS))
    if rng.random() < 0.4 or (legal.opcode in WIDE_CONSTANTS and field in ("constant", "p", "opcode")):
        return legal
    value = rng.getrandbits(rng.randint(1, FIELDS[field]))
    changed = replace(legal, **{field: value})
    return legal if changed.opcode in WIDE_CONSTANTS else changed  # whose constant takes p


def expected(instruction: Instruction, config: TileConfig, *, in_loop: bool, loops_full: bool) -> ErrorCode:
    found = violation(instruction, config)
    if found is not None:
        return found[0]
    refused = {Opcode.LOOP: loops_full, Opcode.END: not in_loop, Opcode.HALT: in_loop}
    return ErrorCode.LOOP if refused.get(Opcode(instruction.opcode), False) else ErrorCode.NONE


@pytest.mark.parametrize(
    "config",
    [CONFIGS["tiny"], CONFIGS["small"], VERTICAL["cells"], FASTER["zero-skip"]],
    ids=lambda config: config.name,
)
def test_decoder_equals_the_rules(config: TileConfig) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    decoder, maker = Decoder(config), ProgramMaker(np.random.default_rng(SEED), config)
    seen: dict[ErrorCode, int] = {}
    taken: set[int] = set()

    async def bench(context: Any) -> None:
        for _ in range(WORDS):
            near = rng.random() < 0.7
            instruction = near_legal_instruction(rng, maker) if near else random_instruction(rng, config)
            in_loop, loops_full = bool(rng.getrandbits(1)), bool(rng.getrandbits(1))
            word = instruction.encode()
            context.set(decoder.instruction, {name: word >> at & ((1 << width) - 1) for name, at, width in PLACES})
            context.set(decoder.in_loop, in_loop)
            context.set(decoder.loops_full, loops_full)
            code = expected(instruction, config, in_loop=in_loop, loops_full=loops_full)
            assert ErrorCode(context.get(decoder.error)) == code, instruction
            seen[code] = seen.get(code, 0) + 1
            if code is ErrorCode.NONE:
                taken.add(instruction.opcode)

    simulator = Simulator(decoder)
    simulator.add_testbench(bench)
    simulator.run()
    decoded = {code for code in ErrorCode if ErrorCode.OPCODE <= code <= ErrorCode.LOOP} | {ErrorCode.NONE}
    assert seen.keys() == decoded, "every code that a decoder can raise was raised"
    assert taken == set(OPERATIONS), "every opcode was taken"


PLACES = [
    (name, sum(list(FIELDS.values())[:index]), width) for index, (name, width) in enumerate(FIELDS.items())
]  # fmt: skip
