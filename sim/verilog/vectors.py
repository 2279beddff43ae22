"""Vectors of a tile's test bench: what goes in, and what the golden tile says must come out, as ``$readmemh`` files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from golden.engine import Job, Outcome
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import LoadKind, Opcode
from sim.rtl_engine import to_beats
from sim.verilog.exercise import exercise, refusals

__all__ = ["RUN_WORDS", "Run", "Vectors", "tile_runs", "tile_vectors"]

RUN_WORDS = ("words", "beats in", "beats out", "stalls", "reset after", "error", "error address", "cycles",
             "limit", "counted", *(counter.name for counter in COUNTERS))  # fmt: skip
"""What ``_runs.hex`` holds of each run, a word of 64 bits each, after the config hash: how many words and beats it has,
whether streams stall, the cycle at which it is reset (0: never), error and address, cycles by the law, cycles after
which it is given up, a bit for each counter that is compared, and the counters."""

MANY_ROWS = 1024  # of a tile whose programs are kept short, as each of their planes is long
RESET_AFTER = 150


@dataclass(frozen=True)
class Run:
    """One program of the test bench.

    Parameters
    ----------
    name : a few words for the log.
    job : the program and its planes.
    expected : what the golden tile makes of it; nothing of it is compared after a reset in its midst.
    stalls : all streams pause now and then.
    reset_after : cycles after the header after which the tile is reset; 0 for never.
    """

    name: str
    job: Job
    expected: Outcome
    stalls: bool = False
    reset_after: int = 0


@dataclass(frozen=True)
class Vectors:
    """The memories of the test bench, by what their files' names end in, as text for ``$readmemh``.

    Parameters
    ----------
    names : of the runs.
    files : the text of each file; addresses begin at 0.
    words : how many words each file has.
    """

    names: tuple[str, ...]
    files: dict[str, str]
    words: dict[str, int]


def tile_runs(config: TileConfig, seed: int = 1) -> list[Run]:
    """What a test bench runs on a tile, one after the other."""
    golden = GoldenTile(config)
    large = config.rows > MANY_ROWS

    def run(name: str, job: Job, *, stalls: bool = False, reset_after: int = 0) -> Run:
        return Run(name, job, golden.run(job), stalls, reset_after)

    every = exercise(config, seed)
    some = exercise(config, seed + 1, every=8 if large else 4, turn=1)
    runs = [run("every form of every instruction", every)]
    runs += [
        run("a program that a reset ends", some, reset_after=RESET_AFTER),
        run("streams that stall", some, stalls=True),
        *(run(f"refused: {name}", job) for name, job in refusals(config).items()),
        run("after errors and resets", exercise(config, seed + 2, every=40, turn=2)),
    ]
    return runs


def tile_vectors(config: TileConfig, runs: Sequence[Run]) -> Vectors:
    """The vectors of these runs, the same text for the same runs."""
    program: list[str] = []
    beats_in: list[str] = []
    beats_out: list[str] = []
    table = [f"{config.hash:x} // config hash"]
    counts = {"program": 0, "in": 0, "out": 0, "runs": 1}
    for number, run in enumerate(runs):
        words = run.job.program.words
        incoming, outgoing = _incoming(run, config), _outgoing(run, config)
        heading = f"// run {number}: {run.name}"
        for lines, name, values in (
            (program, "program", words), (beats_in, "in", incoming), (beats_out, "out", outgoing)
        ):  # fmt: skip
            lines += [heading, *(f"{value:x}" for value in values)]
            counts[name] += len(values)
        row = _row(run, config, len(words), len(incoming), len(outgoing))
        table += [heading, *(f"{value:x} // {name}" for name, value in row.items())]
        counts["runs"] += len(row)
    files = {"program": program, "in": beats_in, "out": beats_out, "runs": table}
    # A memory of no words cannot be.
    for name, lines in files.items():
        if not counts[name]:
            lines.append("0")
            counts[name] = 1
    return Vectors(tuple(run.name for run in runs), {name: _text(lines) for name, lines in files.items()}, counts)


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _incoming(run: Run, config: TileConfig) -> list[int]:
    """Words of ``plane_in``, with the kind of their LOAD above them."""
    loads = [op for op in run.job.program.executed() if op.opcode == Opcode.LOAD] if run.job.planes else []
    return [
        op.kind << config.plane_bits | beat
        for op, planes in zip(loads, run.job.planes, strict=True)
        for beat in to_beats(planes, config)
    ]


def _outgoing(run: Run, config: TileConfig) -> list[int]:
    """Words of ``plane_out``, with a bit above that marks the last one of a STORE; none of a run that a reset ends."""
    if run.reset_after:
        return []
    words: list[int] = []
    for planes in run.expected.planes:
        beats = to_beats(planes, config)
        words += [*beats[:-1], 1 << config.plane_bits | beats[-1]]
    return words


def _row(run: Run, config: TileConfig, words: int, beats_in: int, beats_out: int) -> dict[str, int]:
    counters = run.expected.counters | {"identity.config": config.hash}
    counted = sum(1 << index for index, counter in enumerate(COUNTERS) if counter.name in counters)
    cycles = run.expected.cycles
    values = (
        words, beats_in, beats_out, int(run.stalls), run.reset_after, int(run.expected.error), run.expected.address,
        cycles, 16 * (cycles + words) + 1000, counted, *(counters.get(counter.name, 0) for counter in COUNTERS),
    )  # fmt: skip
    return dict(zip(RUN_WORDS, values, strict=True))


KIND_BITS = max(LoadKind).bit_length()
"""Bits of ``plane_in_kind``."""
