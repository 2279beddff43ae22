"""What the documents say is so: commands exist, links lead somewhere, figures are those of the code."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from golden import operators, widths
from golden.engine import Job
from golden.graph import Graph
from golden.laws import LAWS, PORT_OPERATIONS, LawEngine, body_cycles, port_steps
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import OPERATIONS, Instruction, LoadKind, Opcode, reduce_levels
from sim.assembler import assemble
from sim.cli import make_parser
from sim.evaluate.cost import PARTS
from sim.host import Network
from sim.laws_examples import EXAMPLES, FUNCTIONS, PORT_EXAMPLES
from sim.laws_page import (
    COMMAND,
    PORT_STEPS,
    TILES,
    Measurements,
    flags_of,
    laws_page,
    measure,
    operation,
    specialised,
)
from sim.models import data_file, load_model
from sim.options import ENGINES, MODES
from sim.pictures import load_inputs
from sim.rtl_engine import RtlEngine
from tests import rtl

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LABEL = re.compile(r"_(\d)\.png$")


def table(name: str) -> list[list[str]]:
    """The cells of the README's table after the comment of that name, without its heading."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert found is not None, f"README has no table {name!r}"
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    return rows[2:]


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.fixture(scope="module")
def resnet8() -> Graph:
    return load_model("resnet8")


def cycles_by_owner(graph: Graph, config: str) -> dict[str, int]:
    """Cycles by owner as ``--engine model`` counts them."""
    owners: dict[str, int] = {}
    for law in Network(graph, CONFIGS[config]).laws:
        for name, value in law.items():
            if name.startswith("cycles."):
                owners[name.removeprefix("cycles.")] = owners.get(name.removeprefix("cycles."), 0) + value
    return owners


def commands() -> list[str]:
    """Every ``bfimna`` command line of the documents."""
    lines: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        lines += [line for block in blocks for line in block.splitlines() if line.startswith("bfimna ")]
        lines += [" ".join(span.split()) for span in re.findall(r"`(bfimna [^`]+)`", text)]
    return sorted(set(lines))


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 10


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["4" if word == "N" else word for word in shlex.split(line, comments=True)[1:]]
    if len(words) == 1 and words[0] != "info":
        with pytest.raises(SystemExit, match="0"):
            make_parser().parse_args([*words, "--help"])
    else:
        make_parser().parse_args(words)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    """Paths in backticks that begin with a folder of ours."""
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:hw|golden|sim|tests|scripts|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


@pytest.fixture(scope="module", params=["golden", pytest.param("verilator", marks=pytest.mark.slow)])
def measured(request: pytest.FixtureRequest) -> dict[str, Measurements]:
    """What the golden tile and the Verilog take for the examples of the laws, by tile."""
    if request.param == "golden":
        return {name: measure(GoldenTile(config)) for name, config in TILES.items()}
    found: dict[str, Measurements] = {}
    for name, config in TILES.items():
        with RtlEngine(config, request.param) as engine:
            found[name] = measure(engine)
    return found


def test_laws_page_is_fresh(measured: dict[str, Measurements]) -> None:
    page = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    assert page == laws_page(measured), f"run: {COMMAND}"


def test_measurements_equal_the_laws(measured: dict[str, Measurements]) -> None:
    for name, config in TILES.items():
        for example in EXAMPLES:
            wanted = 1 + body_cycles(operation(example, config), config, example.skipped)
            found = measured[name][example.line]
            assert (found.cycles, found.agrees) == (wanted, True), (name, example)
        assert all(found.agrees for found in measured[name].values())


def test_laws_page_shows_a_difference(measured: dict[str, Measurements]) -> None:
    assert "**NO**" not in laws_page(measured)
    lines = [EXAMPLES[0].line, PORT_EXAMPLES[0].line, FUNCTIONS[0].name]
    wrong = {
        name: found | {line: replace(found[line], agrees=False) for line in lines} for name, found in measured.items()
    }
    longer = measured["4r2w"] | {
        line: replace(measured["4r2w"][line], cycles=measured["4r2w"][line].cycles + 1) for line in lines
    }
    for changed in (wrong, measured | {"4r2w": longer}):
        assert laws_page(changed).count("| **NO** |") == len(lines)


def test_every_form_of_a_law_has_an_example() -> None:
    """Whatever values the flags in a law's text take, the law that is left is one of the page's."""
    examples = [operation(example) for example in (*EXAMPLES, *PORT_EXAMPLES)]
    assert {op.opcode for op in examples} == set(LAWS)
    for opcode, law in LAWS.items():
        shown = {specialised(law.body, flags_of(op)) for op in examples if op.opcode == opcode}
        flags = [flag for flag in flags_of(examples[0]) if re.search(rf"\b{flag}\b", law.body)]
        for values in itertools.product((0, 1), repeat=len(flags)):
            settled = dict(zip(flags, values, strict=True))
            if not (settled.get("SHIFT") and settled.get("PAIRS")):
                assert specialised(law.body, settled) in shown, (opcode, settled)


def test_settled_laws_mean_the_same() -> None:
    """A law with its flags put in has the value of the whole one."""
    functions = {"step": lambda bits: 8 * bits, "wide": lambda bits: 10 * bits}
    for example in EXAMPLES:
        op = operation(example)
        levels = reduce_levels(op.constant) if op.opcode == Opcode.REDUCE else 0
        low = op.constant & -op.constant
        names = functions | {
            "A": op.a_width, "B": op.b_width, "D": op.d_width, "ext": op.b_width - op.a_width, "L": levels,
            "constant": op.constant, "classical": 1, "s": example.skipped, "ones": f"{op.constant:b}".count("1"),
            "zeros": low.bit_length() - 1,
        }  # fmt: skip
        for text in (LAWS[Opcode(op.opcode)].body, specialised(LAWS[Opcode(op.opcode)].body, flags_of(op))):
            assert eval(text, names | flags_of(op)) == body_cycles(op, TILES["4r2w"], example.skipped), (example, text)


def test_tiles_of_the_laws_page_are_those_of_other_tests() -> None:
    """So that they are built once."""
    groups = [group for group in vars(rtl).values() if isinstance(group, dict)]
    hashes = {tile.hash for group in groups for tile in group.values() if isinstance(tile, TileConfig)}
    assert {tile.hash for tile in TILES.values()} <= hashes


def test_readme_has_the_laws() -> None:
    laws = {
        (Opcode(op.opcode), example.form): specialised(LAWS[Opcode(op.opcode)].body, flags_of(op))
        for example in EXAMPLES
        for op in [operation(example)]
    }
    rows = table("laws")
    assert len(rows) > 5
    for names, formula in rows:
        opcodes, _, form = names.rstrip(")").partition(" (")
        for name in opcodes.split(", "):
            assert laws[Opcode[name], form] == formula, name


def test_laws_page_has_the_port_steps() -> None:
    config = CONFIGS["small"]
    assert set(PORT_STEPS) == PORT_OPERATIONS
    for opcode, formula in PORT_STEPS.items():
        op = Instruction(opcode, a_width=3, d_width=5, kind=LoadKind.PLANES)
        text = formula.replace("ceil(n/P)", str(-(-config.rows // config.plane_bits)))
        factors = [{"A": 3, "D": 5}.get(factor) or int(factor) for factor in text.split(" * ")]
        assert port_steps(op, config) == np.prod(factors)


def test_readme_has_the_configs() -> None:
    wanted = [
        [
            c.name,
            f"{c.rows:,}",
            f"{c.taps:,}",
            f"{c.outputs:,}",
            f"{c.columns:,}",
            f"{c.plane_bits:,}",
            c.array,
            "yes" if c.vertical else "no",
        ]
        for c in CONFIGS.values()
    ]
    assert table("configs") == wanted


def test_readme_has_the_engines() -> None:
    for engine in ENGINES:
        assert f"| `{engine}` |" in README


@pytest.mark.parametrize("config", ["cap", "cap64"])
def test_cycles_of_resnet8(resnet8: Graph, config: str) -> None:
    owners = cycles_by_owner(resnet8, config)
    total = sum(owners.values())
    assert f"| {total:,} <!-- cycles {config} --> |" in README
    row = next(row for row in table("owners") if row[0] == config)
    names = ("load", "compute", "reduce", "requantize", "store", "stall")
    assert [number(cell) for cell in row[1:]] == [*(owners[name] for name in names), total]


def test_excerpt_of_the_demo(resnet8: Graph) -> None:
    network = Network(resnet8, CONFIGS["cap"])
    cycles = {plan.shape.name: sum(v for k, v in plan.law.items() if k.startswith("cycles.")) for plan in network.plans}
    cycles["total"] = sum(cycles.values())
    # layer, cycles, four owners, law
    found = re.findall(
        r"^ (\w+) .*?([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +(?:\d+% +)?yes$", README, re.MULTILINE
    )
    assert [name for name, *_ in found] == ["conv1", "conv2", "total"]
    for name, counted, *owners, law in found:
        assert number(counted) == sum(map(number, owners)) == number(law) == cycles[name]


@pytest.mark.parametrize("row", table("bits"), ids=lambda row: row[0])
def test_bits(resnet8: Graph, row: list[str]) -> None:
    bits, right, *cycles = (number(cell) for cell in row)
    graph = widths.apply(resnet8, bits)
    for config, wanted in zip(("cap", "cap64"), cycles, strict=True):
        assert sum(cycles_by_owner(graph, config).values()) == wanted
    source = resnet8.maps[resnet8.input]
    files = sorted(str(file) for file in data_file("cifar10").glob("*.png"))
    assert len(files) == 10
    hits = 0
    for file, given in zip(files, load_inputs(files, source), strict=True):
        stored = widths.resample(given.values.astype(np.int64) - source.minimum, source, bits)
        label = LABEL.search(file)
        assert label is not None
        hits += int(np.argmax(operators.run(graph, stored)[graph.output])) == int(label[1])
    assert hits == right


def test_parts_of_evaluations_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- parts -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert found is not None
    assert found[1].splitlines()[2:] == [f"| {part} | {what} |" for part, what in PARTS.items()]


def test_pages_are_readable() -> None:
    """Lines fit a screen, outside of tables; nothing about the machine that they were written on."""
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 120 or line.startswith("|"), (page.name, line)
            assert not re.search(r"/(?:tmp|root|home|work)/", line), (page.name, line)


def test_limits_that_the_readme_states(resnet8: Graph) -> None:
    reserved = (Opcode.VERTICAL_COMPARE, Opcode.VERTICAL_WRITE, Opcode.COMPARE, Opcode.WRITE, Opcode.COUNT)
    assert set(Opcode) - set(OPERATIONS) == set(reserved)
    assert not any(config.zero_skip or config.passes != "classical" for config in CONFIGS.values())
    assert [config.name for config in CONFIGS.values() if config.activity] == ["tiny", "small"]
    for name in ("tiny", "cap16"):
        with pytest.raises(ValueError, match="needs columns of at least"):
            Network(resnet8, CONFIGS[name])


def test_contract_has_every_instruction() -> None:
    text = (ROOT / "docs" / "isa.md").read_text(encoding="utf-8")
    for opcode in OPERATIONS:
        assert re.search(rf"^\|[^|]*\b{opcode.name}\b[^|]*\|", text, re.MULTILINE), opcode.name


def test_readme_has_the_modes() -> None:
    for mode in MODES:
        assert f"`{mode}`" in README


def test_programs_of_the_how_to_page() -> None:
    """They assemble for their config, and take the cycles that the page gives."""
    text = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    flat = TileConfig(name="flat", **json.loads(next(block for language, block in blocks if language == "json")))
    saturate, words = (block for language, block in blocks if not language)
    shift = words.replace("REDUCE segments", "REDUCE shift p=40")
    for program, config in (
        (saturate, CONFIGS["small"]),
        (words, flat),
        (words.replace("segments", "pairs"), flat),
        (shift, flat.replace(vertical=False)),
        (words, flat.replace(passes="two_tags")),
    ):
        cycles = LawEngine(config).run(Job(assemble(program, config))).cycles
        assert f"{cycles:,} cycles" in text


def test_digits_of_the_mapping_page() -> None:
    """The ranges of maps in the table of ``docs/mapping.md`` are those of the rule."""
    text = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    assert "| C | 3/8 | 1/2 | 3/4 | 1 |" in text
    parts = [widths._part(bits) for bits in (1, 4, 5, 6, 7, 8, 16)]
    assert parts == [*[Fraction(3, 8)] * 2, *[Fraction(1, 2)] * 2, Fraction(3, 4), Fraction(1), Fraction(1)]
