"""Vectors of a tile's test bench: what goes in, and what the golden tile says must come out, as ``$readmemh`` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from golden.engine import Job, Outcome
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import Opcode
from sim.beats import to_beats
from sim.verilog.exercise import exercise, refusals

__all__ = ["RUN_WORDS", "Run", "Vectors", "numbers", "tile_runs", "tile_vectors"]

RUN_WORDS = ("words", "beats in", "beats out", "stalls", "reset after", "error", "error address", "cycles",
             "limit", "counted", *(counter.name for counter in COUNTERS))  # fmt: skip
"""What ``_runs.hex`` holds of each run, a word of 64 bits each, after the config hash: how many words and beats it has,
whether streams stall, the cycle at which it is reset (0: never), error and address, cycles by the law, cycles after
which it is given up, a bit for each counter that is compared, and the counters."""

MANY_ROWS = 1024  # of a tile whose programs are kept short, as each of their planes is long
RESET_AFTER = 150
LIMIT_FACTOR, LIMIT_CYCLES = 16, 1000  # a run is given up after so many times its cycles and words, and so many more


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
    names = [run.name for run in runs]
    headings = [f"run {number}: {name}" for number, name in enumerate(names)]
    parts: dict[str, list[tuple[str, list[int]]]] = {
        "program": [(heading, run.job.program.words) for heading, run in zip(headings, runs, strict=True)],
        "in": [(heading, _incoming(run, config)) for heading, run in zip(headings, runs, strict=True)],
        "out": [(heading, _outgoing(run, config)) for heading, run in zip(headings, runs, strict=True)],
        "runs": [("config hash", [config.hash])],
    }
    for number, heading in enumerate(headings):
        beats_in, beats_out = len(parts["in"][number][1]), len(parts["out"][number][1])
        parts["runs"].append((heading, _row(runs[number], config, beats_in, beats_out)))
    return numbers(names, parts)


def numbers(names: Sequence[str], parts: Mapping[str, Sequence[tuple[str, Sequence[int]]]]) -> Vectors:
    """Vectors from numbers.

    Parameters
    ----------
    names : of the runs.
    parts : for each file its parts in order, a heading (none if empty) and numbers.
    """
    files: dict[str, str] = {}
    words: dict[str, int] = {}
    for file, content in parts.items():
        lines = list[str]()
        words[file] = 0
        for heading, values in content:
            lines += [f"// {heading}"] if heading else []
            lines += [f"{value:x}" for value in values]
            words[file] += len(values)
        if not words[file]:  # a memory of no words cannot be
            lines.append("0")
            words[file] = 1
        files[file] = "\n".join(lines) + "\n"
    return Vectors(tuple(names), files, words)


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


def _row(run: Run, config: TileConfig, beats_in: int, beats_out: int) -> list[int]:
    """The numbers that :data:`RUN_WORDS` names."""
    words, cycles = len(run.job.program.words), run.expected.cycles
    counters = run.expected.counters | {"identity.config": config.hash}
    counted = sum(1 << index for index, counter in enumerate(COUNTERS) if counter.name in counters)
    return [
        words, beats_in, beats_out, int(run.stalls), run.reset_after, int(run.expected.error), run.expected.address,
        cycles, LIMIT_FACTOR * (cycles + words) + LIMIT_CYCLES, counted,
        *(counters.get(counter.name, 0) for counter in COUNTERS),
    ]  # fmt: skip
