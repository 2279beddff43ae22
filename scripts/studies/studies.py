"""The list of studies: what each repeats, on which configs, by which command, and whom to cite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import evaluations, hawq_v3
from .comparison import comparison
from .peak import peak
from .table import Table

__all__ = ["README_TABLES", "STUDIES", "Study", "list_markdown"]

PAPER = "BF-IMNA, arXiv:2411.01417"
HAWQ = "HAWQ-V3, arXiv:2011.10680"


@dataclass(frozen=True)
class Study:
    """One study.

    Parameters
    ----------
    name : for the command line.
    title : what it shows.
    repeats : which of the paper's evaluations it stands for.
    config : machine and technology.
    citation : whose evaluation, widths or figures it builds on.
    run : makes the table.
    """

    name: str
    title: str
    repeats: str
    config: str
    citation: str
    run: Callable[[], Table]

    @property
    def command(self) -> str:
        """What runs it."""
        return f"python scripts/studies/run.py {self.name}"


STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study(
            "precision-lr",
            "AlexNet, VGG16 and ResNet50 at 2 to 8 bits and at mixed widths, limited resources",
            "end-to-end inference at fixed and mixed precision, LR",
            "lr, sram",
            f"{PAPER}; {HAWQ}",
            partial(evaluations.precision, "lr"),
        ),
        Study(
            "precision-ir",
            "the same with as many clusters as bring the fewest cycles",
            "end-to-end inference at fixed and mixed precision, IR",
            "ir, sram",
            f"{PAPER}; {HAWQ}",
            partial(evaluations.precision, "ir"),
        ),
        Study(
            "technologies",
            "SRAM against non-volatile cells and open standard cells",
            "different technologies",
            "lr, all technologies",
            PAPER,
            evaluations.technologies,
        ),
        Study("supply", "SRAM at several supplies", "supply voltages", "lr, sram", PAPER, evaluations.supplies),
        Study("batch", "several inputs at once", "batch sizes", "lr, sram", PAPER, evaluations.batches),
        Study("parts", "where cycles and energy go", "breakdown by function", "lr, sram", PAPER, evaluations.parts),
        Study(
            "hawq-resnet18",
            "HAWQ-V3's widths: accuracy against energy x delay, ResNet18",
            "mixed precision under latency budgets",
            "lr, sram",
            f"{PAPER}; {HAWQ}",
            partial(hawq_v3.hawq_study, "resnet18"),
        ),
        Study(
            "hawq-resnet50",
            "the same for ResNet50",
            "not in the paper's abstract: a check on a second network",
            "lr, sram",
            HAWQ,
            partial(hawq_v3.hawq_study, "resnet50"),
        ),
        Study(
            "search",
            "widths that `bfimna search` finds within HAWQ-V3's energy x delay",
            "not in the paper",
            "lr, sram",
            HAWQ,
            hawq_v3.search_study,
        ),
        Study(
            "peak",
            "peak throughput at 1 to 16 bits",
            "peak throughput in the comparison with other accelerators",
            "lr, sram",
            PAPER,
            peak,
        ),
        Study(
            "comparison",
            "published accelerators beside ours",
            "comparison with other accelerators",
            "lr, sram",
            f"{PAPER}; each row has its source",
            comparison,
        ),
    )
}
"""By name, in the order in which ``all`` runs them."""

README_WIDTHS = ("4", "8")
README_COLUMNS = ("network", "bits", "cycles", "latency_ms", "energy_mj", "gops", "gops_per_w", "edp_js")
HAWQ_COLUMNS = ("budget", "mean_bits", "top1", "cycles", "latency_ms", "energy_mj", "edp_js", "edp_to_int8")


def list_markdown() -> str:
    """The table of studies in ``scripts/studies/README.md``."""
    lines = ["| study | what it shows | evaluation in the paper | config | command | cite |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for one in STUDIES.values():
        lines.append(f"| {one.name} | {one.title} | {one.repeats} | {one.config} | `{one.command}` | {one.citation} |")
    return "\n".join(lines)


def results_markdown() -> str:
    """Three networks at 4 and 8 bits on the limited array, for the project's README."""
    found = STUDIES["precision-lr"].run()
    place = [column.name for column in found.columns].index("bits")
    chosen = Table(found.columns, tuple(row for row in found.rows if row[place] in README_WIDTHS))
    return chosen.markdown(README_COLUMNS)


def hawq_markdown() -> str:
    """The study of ResNet18, for the project's README."""
    return STUDIES["hawq-resnet18"].run().markdown(HAWQ_COLUMNS)


README_TABLES: dict[str, Callable[[], str]] = {"studies": results_markdown, "hawq": hawq_markdown}
"""Tables of results by the names of their markers, ``<!-- studies -->`` .. ``<!-- end -->``."""
