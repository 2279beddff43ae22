"""The table of registers, and that what is made from it is fresh, complete and consistent."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import AcceleratorError, Unit
from hw.accelerator.register_map import MAP_BYTES, REGISTERS, constants, register
from hw.accelerator.router import PORTS
from sim.accelerator.register_documents import c_header, register_page
from sim.tools import find_compiler

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("name", "made"), [("registers.md", register_page), ("bfimna_registers.h", c_header)])
def test_generated_file_is_fresh(name: str, made: Callable[[], str]) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == made(), f"docs/{name} is stale; run python scripts/register_map.py"


def test_script_says_that_files_are_fresh_and_when_they_are_not(tmp_path: Path) -> None:
    def check(root: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "scripts" / "register_map.py"), "--check"]
        environment = {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert check(ROOT).returncode == 0
    for folder in ("scripts", "docs"):
        (tmp_path / folder).mkdir()
    for name in ("scripts/register_map.py", "docs/registers.md", "docs/bfimna_registers.h"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    assert check(tmp_path).returncode == 0
    page = tmp_path / "docs" / "registers.md"
    page.write_text(page.read_text(encoding="utf-8").replace("0x040", "0x044"), encoding="utf-8")
    result = check(tmp_path)
    assert result.returncode == 1
    assert result.stderr == "registers.md is stale; run python scripts/register_map.py\n"


def test_registers_have_places_of_their_own() -> None:
    offsets = [entry.offset for entry in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < MAP_BYTES for offset in offsets)
    assert len({entry.name for entry in REGISTERS}) == len(REGISTERS)


def test_fields_do_not_overlap() -> None:
    for entry in REGISTERS:
        bits = [bit for field in entry.fields for bit in range(field.low, field.low + field.width)]
        assert len(bits) == len(set(bits)), entry.name
        assert max(bits, default=0) < 32, entry.name


def test_halves_stand_beside_each_other() -> None:
    by_name = {entry.name: entry for entry in REGISTERS}
    halves = [name for name in by_name if name.endswith(("_LOW", "_HIGH"))]
    assert len(halves) == 8
    for name in halves:
        stem = name.rpartition("_")[0]
        assert by_name[f"{stem}_HIGH"].offset == by_name[f"{stem}_LOW"].offset + 4
        assert by_name[name].access == "ro"


def test_links_are_numbered_as_in_the_router() -> None:
    numbered = ", ".join(f"{name} {number}" for number, name in enumerate(PORTS))
    assert register("LINK_SELECT").field("port").meaning == f"its output: {numbered}"


def test_constants_fit_and_tell_accelerators_apart() -> None:
    values = [constants(other) for other in ACCELERATORS.values()]
    assert all(0 <= value < 1 << 32 for each in values for value in each.values())
    assert len({(each["CONFIG_LOW"], each["CONFIG_HIGH"]) for each in values}) == len(values)


def test_c_header_compiles_and_means_the_same(tmp_path: Path) -> None:
    names = re.findall(r"^#define (\w+) \S+$", c_header(), re.MULTILINE)
    assert len(names) == len(set(names))
    expected = {
        **{f"BFIMNA_{entry.name}": entry.offset for entry in REGISTERS},
        **{f"BFIMNA_{e.name}_{f.name.upper()}_MASK": f.mask for e in REGISTERS for f in e.fields},
        **{f"BFIMNA_{e.name}_{f.name.upper()}_SHIFT": f.low for e in REGISTERS for f in e.fields},
        **{f"BFIMNA_ERROR_CODE_{code.name}": code.value for code in AcceleratorError},
        **{f"BFIMNA_UNIT_{unit.name}": unit.value for unit in Unit},
    }
    assert expected.keys() <= set(names)
    lines = [f"#if {name} != {value}\n#error {name}\n#endif" for name, value in expected.items()]
    source = tmp_path / "uses_header.c"
    source.write_text('#include "bfimna_registers.h"\n' * 2 + "\n".join(lines) + "\nint all_is_well;\n")
    command = [str(find_compiler()), "-x", "c", "-Wall", "-Werror", "-fsyntax-only", "-I", str(ROOT / "docs")]
    result = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_page_names_everything() -> None:
    page = register_page()
    for entry in REGISTERS:
        assert re.search(rf"^\| {entry.offset:#05x} \| `{entry.name}` \|", page, re.MULTILINE), entry.name
        for field in entry.fields:
            assert f"| `{field.name}` |" in page
    assert all(f"| {code.value} | {code.name} |" in page for code in AcceleratorError)
