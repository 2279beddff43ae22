"""Descriptions: every port has a meaning, every module a sentence, and tables are those of the instruction set."""

from __future__ import annotations

import json
import re

import pytest

from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS, TileConfig
from hw.flexspim.config import MACROS
from hw.flexspim.counter_map import MACRO_COUNTERS
from hw.flexspim.isa import MacroInstruction, MacroOpcode
from hw.isa import FIELDS, OPERATIONS, ErrorCode, Opcode, legal_kinds
from sim.verilog.description import describe
from sim.verilog.parts import Part, find_part
from sim.verilog.ports import Port, ports
from sim.verilog_cache import cached_accelerator_verilog, cached_macro_verilog, cached_tile_verilog
from tests.rtl import FASTER, TINY

MESH = ACCELERATORS["meshtiny"]


@pytest.mark.parametrize(
    "part",
    [
        *(find_part(config) for config in (CONFIGS["tiny"], CONFIGS["cap"], MACROS["flexspim"])),
        *(Part(name, MESH) for name in ("accelerator", "cluster", "cap", "map")),
    ],
    ids=lambda part: part.name,
)
def test_every_port_has_a_meaning_and_is_of_the_component(part: Part) -> None:
    found = ports(part.component)
    assert all(len(port.meaning.split()) > 1 for port in found)
    assert len({port.name for port in found}) == len(found)
    assert {"clk", "rst"} <= {port.name for port in found}


def test_a_port_without_a_meaning_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hw.tile.Tile.__doc__", "A tile.\n\nMembers\n-------\nprogram : words.\n")
    with pytest.raises(KeyError, match="the docstring of Tile must have port plane_in__payload among its members"):
        ports(find_part(CONFIGS["tiny"]).component)


def test_ports_are_those_of_the_verilog() -> None:
    text = cached_tile_verilog(CONFIGS["tiny"])
    top = re.search(r"^module tile ?\((.*?)\);(.*?)^endmodule", text, re.MULTILINE | re.DOTALL)
    assert top is not None
    found = ports(find_part(CONFIGS["tiny"]).component)
    assert {name.strip() for name in top[1].split(",")} == {port.name for port in found}
    for port in found:
        kind = {"in": "input", "out": "output"}[port.direction]
        width = f"[{port.width - 1}:0] " if port.width > 1 else ""
        assert f"  {kind} {width}{port.name};" in top[2]


def test_fields_of_a_macro_are_where_its_words_have_them() -> None:
    part = find_part(MACROS["flexspim-tiny"])
    described = describe(part, cached_macro_verilog(MACROS["flexspim-tiny"]))
    assert [counter["name"] for counter in described["counters"]] == [counter.name for counter in MACRO_COUNTERS]
    for opcode in MacroOpcode:
        entry = described["opcodes"][opcode.name]
        for name, field in entry["fields"].items():
            largest = (1 << field["width"]) - 1
            word = MacroInstruction(opcode, {name: largest}).encode()
            assert word == entry["code"] | largest << field["low"]
    assert set(described["modules"]) >= {"macro", "row_bank_64x16"}


def test_codes_of_a_port() -> None:
    error = next(port for port in ports(find_part(CONFIGS["tiny"]).component) if port.name == "error")
    assert error == Port("error", "out", 4, error.meaning, tuple((code.name, int(code)) for code in ErrorCode))


@pytest.mark.parametrize(
    "config",
    [
        TINY["3r1w"],
        FASTER["two-tags-2d"],
        *(pytest.param(config, marks=pytest.mark.slow) for config in (TINY["cells"], TINY["4r2w"])),
        *(pytest.param(config, marks=pytest.mark.slow) for name, config in FASTER.items() if name != "two-tags-2d"),
    ],
    ids=lambda config: config.name,
)
def test_every_module_of_a_tile_has_a_sentence(config: TileConfig) -> None:
    text = cached_tile_verilog(config)
    found = describe(find_part(config), text)["modules"]
    assert list(found) == re.findall(r"^module (\w+)\($", text, re.MULTILINE)
    assert (
        found["tile"] == "An associative-processor tile: cells that compute on themselves; docs/isa.md is its contract."
    )
    assert all(len(sentence.split()) > 2 for sentence in found.values())


def test_every_module_of_an_accelerator_has_a_sentence() -> None:
    text = cached_accelerator_verilog(MESH)
    described = describe(find_part(MESH), text)
    assert list(described["modules"]) == re.findall(r"^module (\w+)\($", text, re.MULTILINE)
    assert all(len(sentence.split()) > 2 for sentence in described["modules"].values())
    assert described["tiles"]["map"]["opcodes"]["DOT"]["code"] == Opcode.DOT


def test_opcodes_with_fields() -> None:
    config = CONFIGS["tiny"]
    found = json.loads(json.dumps(describe(find_part(config), "module tile (clk);\n")))
    assert {name: entry["code"] for name, entry in found["opcodes"].items()} == {
        opcode.name: int(opcode) for opcode in OPERATIONS
    }
    assert found["opcodes"]["MUL"] == {
        "code": 0x2C,
        "owner": "COMPUTE",
        "fields": {
            "a": {"role": "read", "widest": 32},
            "b": {"role": "read", "widest": 32},
            "d": {"role": "write", "widest": 64},
        },
        "widths": {"d": "a+b"},
        "kinds": {},
        "predicate": False,
        "in_place": "",
        "scratch_p": "signed_a",
    }
    for opcode in OPERATIONS:
        kinds = {kind.name: int(kind) for kind in legal_kinds(opcode, config)}
        assert found["opcodes"][opcode.name]["kinds"] == kinds
    fields = found["instruction"]["fields"]
    assert {name: field["width"] for name, field in fields.items()} == FIELDS
    assert fields["opcode"] == {"low": 0, "width": 8}
    assert found["instruction"]["header"]["config"] == {"low": 64, "width": 64}
    assert {counter["name"] for counter in found["counters"]} >= {"cycles.stall", "identity.config"}
    assert found["error_codes"]["OVERLAP"] == ErrorCode.OVERLAP
