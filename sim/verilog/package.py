"""The Verilog of a part and all that stands beside it, as files that refer to each other by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw.accelerator.config import AcceleratorConfig
from hw.config import TileConfig
from sim.errors import UserError
from sim.files import check_output, write_output

if TYPE_CHECKING:
    from sim.verilog.parts import Part

__all__ = ["Package", "make_package", "write_files"]


@dataclass(frozen=True)
class Package:
    """Generated files.

    Parameters
    ----------
    verilog : text of the Verilog.
    description : as :func:`sim.verilog.description.describe` gives it.
    files : the other files, text by name; with the same stem all of them begin with it.
    """

    verilog: str
    description: dict[str, Any]
    files: dict[str, str]


def make_package(part: Part, stem: str, period: float) -> Package:
    """The files of a part, byte for byte the same for the same part, stem and period.

    Parameters
    ----------
    part : what is written.
    stem : the Verilog file's name without its suffix, to which the files refer by it.
    period : of the clock, in ns.
    """
    from sim.report import version
    from sim.verilog.constraints import CONSTRAINTS
    from sim.verilog.description import describe
    from sim.verilog.fusesoc import core_file
    from sim.verilog.ports import ports

    text = part.verilog()
    title = f"{part.top}, config {part.config.name} ({part.config.hash_text})"
    all_ports = ports(part.component)
    files = {f"{stem}.{suffix}": make(title, all_ports, period) for suffix, make in CONSTRAINTS.items()}
    bench = _bench(part, stem)
    vectors = [name for name in bench if name.endswith(".hex")]
    files[f"{stem}.core"] = core_file(
        stem, part.top, part.config.name, version(), f"Module {part.top} of bfimna, config {part.config.name}", vectors
    )
    return Package(text, describe(part, text), files | bench)


def _bench(part: Part, stem: str) -> dict[str, str]:
    """Test bench and vectors; nothing for a part that has none."""
    if isinstance(part.config, TileConfig):
        from sim.verilog.test_bench import tile_test_bench
        from sim.verilog.vectors import tile_runs, tile_vectors

        vectors = tile_vectors(part.config, tile_runs(part.config))
        text = tile_test_bench(part.config, vectors, stem)
    elif isinstance(part.config, AcceleratorConfig) and part.name == "accelerator":
        from sim.verilog.accelerator_bench import accelerator_test_bench
        from sim.verilog.accelerator_vectors import accelerator_vectors

        vectors = accelerator_vectors(part.config)
        if vectors is None:
            return {}
        text = accelerator_test_bench(part.config, vectors, stem)
    else:
        return {}
    return {f"{stem}_tb.v": text, **{f"{stem}_tb_{name}.hex": words for name, words in vectors.files.items()}}


def write_files(files: Sequence[tuple[Path, str]], what: str) -> None:
    """Write texts to files, each of them as a whole; none where one of them cannot be written.

    Raises
    ------
    UserError
        If two of them are the same file, or one cannot be written.
    """
    seen = set[Path]()
    for path, _ in files:
        if path.resolve() in seen:
            raise UserError(f"{what}s must be different files, not {path} twice")
        seen.add(path.resolve())
        check_output(str(path), what)
    for path, text in files:
        write_output(str(path), text, what)
