"""The page ``docs/area.md``: what tiles of several sizes and kinds take, by :func:`sim.synthesis.flow.report`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hw.config import CONFIGS, TileConfig
from sim.errors import UserError
from sim.options import nearest
from sim.synthesis.counts import HEADINGS, Counts
from sim.synthesis.flow import report
from sim.synthesis.reports import Report
from sim.synthesis.table import cell, figures, rows
from sim.synthesis.targets import TARGETS

__all__ = ["COMMAND", "STUDIES", "Study", "area_page", "find_study", "read_tables", "run_study"]

COMMAND = "python scripts/area.py"
"""Writes the page anew."""

Reports = Mapping[str, Report]
"""Reports of one target, by what is told apart in the study."""


@dataclass(frozen=True)
class Study:
    """Some tiles that are mapped to some targets.

    Parameters
    ----------
    name : by which it is run alone.
    title : its heading.
    text : what it is about.
    configs : the tiles, by what a table calls them.
    targets : what they are mapped to.
    table : the lines of a table of one target, in Markdown.
    """

    name: str
    title: str
    text: str
    configs: Mapping[str, TileConfig]
    targets: tuple[str, ...]
    table: Callable[[Reports], list[str]]


def _block_table(reports: Reports) -> list[str]:
    """Blocks of one tile, and what follows from them."""
    lines: list[str] = []
    for one in reports.values():
        lines += _head(("block", *(HEADINGS[name] for name in one.target.columns)))
        for name, counts in rows(one):
            label = name.replace("  ", "&nbsp;&nbsp;")
            lines.append(_row(label, *(cell(counts, field) for field in one.target.columns)))
        lines += ["", *(_filled(f"- {line}") for line in figures(one))]
    return lines


SPLIT = ("luts", "flip_flops", "lut_memories", "memories", "memory_bits", "area_um2", "logic_cells")
"""What the table of a study shows of the array and of what is beside it, as far as the target has it."""


def _split_table(reports: Reports) -> list[str]:
    """Several tiles, each split in the array and what is beside it."""
    target = next(iter(reports.values())).target
    per_bit = "luts" if "luts" in target.columns else "area_um2"
    shown = [name for name in SPLIT if name in target.columns]
    heads = [f"{HEADINGS[name]}, {part}" for part in ("array", "beside") for name in shown]
    timed = ["period [ns]"] if target.name == "gates" else []
    lines = _head(["tile", *heads, f"{HEADINGS[per_bit]} per CAM bit, array", *timed])
    for label, one in reports.items():
        array = one.array.counts
        beside = one.total + array * -1
        cells = [cell(counts, name) for counts in (array, beside) for name in shown]
        cells.append(f"{one.per_bit(per_bit)['array']:.3g}")
        if timed:
            cells.append("" if one.timing is None else f"{one.timing.period_ns:.2f}")
        lines.append(_row(label, *cells))
    return lines


_BANK_HEADS = (
    "array", "LUTs, banks", "LUTs, rest of the array", "LUTs, beside the array",
    "LUTs per CAM bit, banks", "LUTs per CAM bit, array", "of `cells`, banks", "of `cells`, array",
)  # fmt: skip


def _bank_table(reports: Reports) -> list[str]:
    """Arrays of one size, with LUTs per CAM bit as a share of those of ``cells``."""
    first = next(iter(reports.values()))
    lines = _head(_BANK_HEADS)
    for label, one in reports.items():
        bank, array = one.bank, one.array.counts
        shares = [_share(one.bank, first.bank), _share(array, first.array.counts)]
        bits = one.per_bit("luts")
        lines.append(
            _row(
                label,
                cell(bank, "luts"),
                cell(array + bank * -1, "luts"),
                cell(one.total + array * -1, "luts"),
                f"{bits.get('bank', 0):.3g}",
                f"{bits['array']:.3g}",
                *shares,
            )
        )
    return lines


def _share(counts: Counts, of: Counts) -> str:
    return f"{counts.luts / of.luts:.3g}" if of.luts else ""


_TINY = CONFIGS["tiny"]
_WIDE = CONFIGS["small"].replace(columns=64)

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study(
            name="placed",
            title="On an iCE40 HX8K",
            text="What each block of config `tiny` takes on an iCE40, and the tile placed and routed with all of its "
            "ports in use. Where a design leaves some constant, as the worked example in [fpga.md](fpga.md) does, its "
            "tile takes less.",
            configs={"tiny": _TINY},
            targets=("ice40",),
            table=_block_table,
        ),
        Study(
            name="tiny",
            title="Blocks of `tiny`",
            text="What each block of config `tiny` takes elsewhere.",
            configs={"tiny": _TINY},
            targets=("ecp5", "xilinx", "gates"),
            table=_block_table,
        ),
        Study(
            name="small",
            title="Blocks of `small`",
            text="What each block of config `small` takes, and which share of its flip-flops is beside the array.",
            configs={"small": CONFIGS["small"]},
            targets=("gates",),
            table=_block_table,
        ),
        Study(
            name="arrays",
            title="Arrays of 256 rows x 64 columns",
            text="Config `small` with 64 columns: `cells` is a CAM, `3r1w` a memory with two latched columns that "
            "becomes LUTRAM. The banks hold the cells; of a CAM they also compare and write, of a memory that is "
            "the rest of the array. Shares are of the LUTs per CAM bit of `cells`. LUTRAM of an ECP5 has 16 words: the "
            "rest of its banks are multiplexers that join four of them.",
            configs={array: _WIDE.replace(name=f"small64-{array}", array=array) for array in ("cells", "3r1w")},
            targets=("xilinx", "ecp5"),
            table=_bank_table,
        ),
        Study(
            name="scale",
            title="What grows with what",
            text="Config `tiny`, and what one change brings.",
            configs={
                "tiny": _TINY,
                "twice the rows (taps)": _TINY.replace(name="rows", taps=8),
                "twice the columns": _TINY.replace(name="columns", columns=64),
                "`vertical`": _TINY.replace(name="vertical", vertical=True),
                "second tag (`two_tags`)": _TINY.replace(name="two_tags", passes="two_tags"),
                "`zero_skip`": _TINY.replace(name="zero_skip", zero_skip=True),
                "array `4r2w`": _TINY.replace(name="tiny-4r2w", array="4r2w"),
                "array `3r1w`": _TINY.replace(name="tiny-3r1w", array="3r1w"),
            },
            targets=("xilinx", "gates"),
            table=_split_table,
        ),
    )
}
"""The studies by name."""


def find_study(name: str) -> Study:
    """A study by its name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in STUDIES:
        raise UserError(f"study must be one of {', '.join(STUDIES)}, not {name!r}{nearest(name, STUDIES)}")
    return STUDIES[name]


def run_study(study: Study, target: str, make: Callable[[TileConfig, str], Report] = report) -> str:
    """Map the tiles of a study to a target; its table with the tools that made it, in Markdown.

    Parameters
    ----------
    study, target : what is mapped to what.
    make : makes a report.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    reports = {label: make(config, target) for label, config in study.configs.items()}
    first = next(iter(reports.values()))
    library = f", {first.library}" if first.library else ""
    notes = dict.fromkeys(note for one in reports.values() for note in one.notes)
    return "\n".join(
        [
            _filled(f"`{COMMAND} {study.name} {target}`, {first.tool}{library}:"),
            "",
            *study.table(reports),
            "",
            _filled(f"{'; '.join(notes)}."),
        ]
    )


def area_page(tables: Mapping[tuple[str, str], str]) -> str:
    """The text of the page.

    Parameters
    ----------
    tables : what :func:`run_study` gave, by names of study and target; empty or left out where nothing was measured.
    """
    lines = [_head_of_page()]
    for study in STUDIES.values():
        lines += [f"\n## {study.title}\n", textwrap.fill(study.text, 120)]
        for target in study.targets:
            begin, end = _markers(study.name, target)
            lines += [
                f"\n### {TARGETS[target].title}\n",
                begin,
                tables.get((study.name, target)) or _unmeasured(study.name, target),
                end,
            ]
    return "\n".join([*lines, ""])


def read_tables(page: str) -> dict[tuple[str, str], str]:
    """The tables of a page, by names of study and target; those that it does not have are empty."""
    found: dict[tuple[str, str], str] = {}
    for study in STUDIES.values():
        for target in study.targets:
            begin, end = map(re.escape, _markers(study.name, target))
            table = re.search(f"{begin}\n(.*?)\n{end}", page, re.DOTALL)
            found[study.name, target] = table[1] if table and not table[1].startswith(UNMEASURED) else ""
    return found


def _markers(study: str, target: str) -> tuple[str, str]:
    """The lines around a table of the page."""
    return f"<!-- {study} {target} -->", "<!-- end -->"


def _head(heads: Iterable[str]) -> list[str]:
    names = list(heads)
    return [_row(*names), _row("---", *("---:" for _ in names[1:]))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _filled(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


UNMEASURED = "Not measured yet"
"""How the page begins what it says in place of a table."""


def _unmeasured(study: str, target: str) -> str:
    return f"{UNMEASURED}: `{COMMAND} {study} {target}`."


def _head_of_page() -> str:
    return "\n".join(
        [
            "# Area\n",
            _filled(
                f"*This page is generated by `{COMMAND}`, with the tools that each table names. A run takes about an "
                "hour; the command above a table measures that table alone.*"
            ),
            "",
            _filled(
                f"`bfimna verilog --report {'|'.join(TARGETS)} --config NAME` prints the same for any tile. The "
                "hierarchy is kept, so that each block is mapped for itself; mapped flat, a tile takes a few in a "
                "hundred less. CAM bits are the cells of the array, rows x columns. *Beside* is everything but the "
                "array."
            ),
        ]
    )
