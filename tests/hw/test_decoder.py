"""The decoder refuses exactly what :func:`hw.isa.violation` and the loop rules refuse, with the same code."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS, TileConfig
from hw.decoder import Decoder
from hw.isa import FIELDS, OPERATIONS, ErrorCode, Instruction, Opcode, violation

SEED = 20261121
WORDS = 1500


def random_instruction(rng: random.Random, config: TileConfig) -> Instruction:
    """An instruction that is often legal, and if not usually breaks one rule only."""
    opcode = rng.choice([*OPERATIONS, *OPERATIONS, *Opcode, Opcode.DOT, Opcode.DOT, rng.randrange(256)])
    width = rng.choice([1, 2, 3, 8, 12, 16, 32, 33, 64, 65, 0])
    other = rng.choice([width, width, rng.randrange(128)])
    third = rng.choice([width, width + other, 1, 2, rng.randrange(128)]) % 128
    columns = [rng.choice([0, 1, 8, 16, rng.randrange(config.columns), rng.randrange(4096)]) for _ in range(4)]
    return Instruction(
        opcode,
        a=columns[0],
        a_width=width,
        b=columns[1],
        b_width=other,
        d=columns[2],
        d_width=third,
        p=columns[3],
        kind=rng.choice([0, 0, 1, 2, 3, 4, rng.randrange(16)]),
        constant=rng.choice([0, 1, config.taps - 1, config.taps, -config.taps, 1 - config.taps, 1 << 32, -1]),
        a_signed=bool(rng.getrandbits(1)),
        b_signed=bool(rng.getrandbits(1)),
        predicated=bool(rng.getrandbits(1)),
        owner=rng.choice([0, 1, 2, 3, 4, rng.randrange(8)]),
        reserved=rng.choice([0] * 9 + [1]),
    )


def expected(instruction: Instruction, config: TileConfig, *, in_loop: bool, loops_full: bool) -> ErrorCode:
    found = violation(instruction, config)
    if found is not None:
        return found[0]
    refused = {Opcode.LOOP: loops_full, Opcode.END: not in_loop, Opcode.HALT: in_loop}
    return ErrorCode.LOOP if refused.get(Opcode(instruction.opcode), False) else ErrorCode.NONE


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_decoder_equals_the_rules(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    decoder = Decoder(config)
    seen: dict[ErrorCode, int] = {}

    async def bench(context: Any) -> None:
        for _ in range(WORDS):
            instruction = random_instruction(rng, config)
            in_loop, loops_full = bool(rng.getrandbits(1)), bool(rng.getrandbits(1))
            word = instruction.encode()
            context.set(decoder.instruction, {name: word >> at & ((1 << width) - 1) for name, at, width in PLACES})
            context.set(decoder.in_loop, in_loop)
            context.set(decoder.loops_full, loops_full)
            code = expected(instruction, config, in_loop=in_loop, loops_full=loops_full)
            assert ErrorCode(context.get(decoder.error)) == code, instruction
            seen[code] = seen.get(code, 0) + 1

    simulator = Simulator(decoder)
    simulator.add_testbench(bench)
    simulator.run()
    decoded = {code for code in ErrorCode if ErrorCode.OPCODE <= code <= ErrorCode.LOOP} | {ErrorCode.NONE}
    assert seen.keys() == decoded, "every code that a decoder can raise was raised"


PLACES = [
    (name, sum(list(FIELDS.values())[:index]), width) for index, (name, width) in enumerate(FIELDS.items())
]  # fmt: skip
