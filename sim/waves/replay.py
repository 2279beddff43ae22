"""From waves to passes: what the array did in every cycle, done again on a content-addressable memory and compared.

The waves say what was asked of the array (columns, key, mask, planes of the plane port) and what came of it (matches,
tags). :class:`golden.cam.Cam` does the same from the same first cells. Matches and tags have to be equal in every
cycle, and the last cells those of the golden tile, which knows no passes.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import data

from golden.cam import Cam, Lines, Rows
from golden.engine import Bits, Job, TileError
from hw.config import TileConfig
from hw.isa import Opcode, Program
from hw.passes import TAG_REGISTERS
from sim.errors import UserError
from sim.waves.columns import common_names
from sim.waves.cycles import Cycle, clock_cycles
from sim.waves.gtkwave import instruction_texts
from sim.waves.passes import Column, Pass, Trace, Write
from sim.waves.signals import SLOTS

__all__ = ["MOST_PASSES", "SIGNALS", "ReplayError", "Step", "replay", "steps", "trace"]

MOST_PASSES = 4096
"""Passes of a trace: each holds all cells."""

SIGNALS = (
    "run", "sequencer.operation", "sequencer.shift_tag_up", "sequencer.shift_tag_down", "sequencer.executed",
    "sequencer.counter", "sequencer.counted", "sequencer.starved", "sequencer.starting", "sequencer.waiting",
    "array.bus__match", "tags.tag", "tags.other", "tags.load", "plane_port.outstanding", "plane_port.column",
    "plane_port.write", "plane_port.blocks", "plane_port.planes",
)  # fmt: skip
"""Paths below the tile of the signals that a replay reads; the second tag register is not in every tile."""

_PORT = (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE)
_MODES = {
    ("none", False): "set", ("tagged", False): "add", ("tagged", True): "remove", ("all", True): "others",
    ("all", False): "all", ("none", True): "none",
}  # fmt: skip


class ReplayError(TileError):
    """Waves that are not those of their passes; the text says in which cycle, and what differs."""


@dataclass(frozen=True)
class Step:
    """One clock cycle of a run.

    Parameters
    ----------
    run : which run of the waves, from 0.
    number : the clock cycle of the run, from 0.
    start : time of the rising edge at which it begins.
    instruction : assembler text of what runs.
    address : of the instruction.
    decodes : an instruction begins in this cycle.
    passes : what the array did, and after it what the plane port wrote; often nothing.
    slots : the column that each slot of the operation names.
    touched : the cells of the columns that are compared or written, as they were, by the slots of the operation.
    cells : all cells at the end of the cycle.
    """

    run: int
    number: int
    start: int
    instruction: str
    address: int
    decodes: bool
    passes: tuple[Pass, ...]
    slots: Mapping[str, int]
    touched: Mapping[str, Bits]
    cells: Bits


def trace(job: Job, config: TileConfig, *, title: str = "", seed: int = 1, simulator: str = "icarus") -> Trace:
    """Run a job on the Verilog and return its passes.

    Parameters
    ----------
    job : what runs.
    config : the tile.
    title : one line that says what runs (default: the program's first instruction).
    seed : of the simulator.
    simulator : "icarus" or "verilator".

    Raises
    ------
    ToolError
        If the simulator is missing or too old.
    ReplayError
        If the waves are not those of their passes.
    """
    import tempfile

    from sim.engines import create_engine
    from sim.waves.recording import tidy
    from sim.waves.signals import kept_signals

    with tempfile.TemporaryDirectory(prefix="bfimna-waves-") as folder:
        waves = Path(folder) / "trace.vcd"
        engine = create_engine("rtl", config, seed=seed, simulator=simulator, waves=waves)
        try:
            engine.run(job)
        finally:
            engine.close()
        tidy(waves, kept_signals())
        return replay(waves, [job], config, [title or instruction_texts(job.program)[0]])[0]


def replay(
    waves: Path, jobs: Sequence[Job], config: TileConfig, titles: Sequence[str], chosen: range | None = None
) -> list[Trace]:
    """Return the passes of each job that ran while the waves were recorded, one job after the other.

    Parameters
    ----------
    waves : a VCD file that is tidy, from the start of the simulation on, of a tile whose cells and tags began as 0.
    jobs, titles : what ran, and a line about each.
    chosen : numbers of the passes that are wanted, from 1 (default: all of them).

    Raises
    ------
    UserError
        If a run has more passes than :data:`MOST_PASSES`, or none of the chosen ones.
    ReplayError
        If matches or tags differ from those of the passes, the last cells from those of the golden tile, or there are
        not as many runs as jobs.
    """
    from golden.tile import GoldenTile

    golden = GoldenTile(config)
    golden.cells = cells = np.zeros((config.columns, config.rows), np.uint8)
    golden.tag = cells[0]
    runs = itertools.groupby(steps(waves, jobs, config), lambda step: step.run)
    traces: list[Trace] = []
    for job, title, (_, run) in zip(jobs, titles, runs, strict=False):
        one, cells = _trace(job, config, title, cells, run, chosen)
        traces.append(one)
        # What an error leaves half done is not specified.
        if not golden.run(job).error and not np.array_equal(cells, golden.cells):
            wrong = np.flatnonzero((cells != golden.cells).any(axis=1)).tolist()
            raise ReplayError(f"the passes of {title} must leave the cells of the golden tile, not in columns {wrong}")
    next(runs, None)  # raises where there is one more
    if len(traces) != len(jobs):
        raise ReplayError(f"the waves must show {len(jobs)} runs, not {len(traces)}")
    return traces


def _trace(
    job: Job, config: TileConfig, title: str, cells: Bits, run: Iterable[Step], chosen: range | None
) -> tuple[Trace, Bits]:
    """Return the passes of one run that begins with these cells, and the cells with which it ends."""
    first, last, passes, planes = cells, cells, list[Pass](), list[Pass]()
    count = cycles = 0
    for step in run:
        cycles, last = step.number + 1, step.cells
        for one in step.passes:
            if not count and one.kind == "plane":
                planes.append(one)
                continue
            if not count and planes:
                first = planes[-1].cells
            count += 1
            if chosen is None or count in chosen:
                passes.append(one)
            elif count < chosen.start:
                first = one.cells
        if len(passes) > MOST_PASSES:
            raise UserError(
                f"a picture must have at most {MOST_PASSES:,} passes: choose some, --passes 1-{MOST_PASSES}"
            )
    if not count:
        count = len(planes)
        passes = [one for number, one in enumerate(planes, 1) if chosen is None or number in chosen]
    if chosen is not None and not passes:
        raise UserError(f"--passes must be among the {count:,} passes of the run, not {chosen.start}-{chosen.stop - 1}")
    instructions = job.program.instructions
    names = common_names(op for op in instructions if op.opcode not in _PORT)
    moved = common_names(op for op in instructions if op.opcode in _PORT)
    touched = {column for one in passes for column in (*one.key, *one.partner_key, *(w.column for w in one.writes))}
    touched |= {column for one in passes for column, _ in one.changed}
    found = Trace(
        config=config,
        title=title,
        instructions=instruction_texts(job.program),
        columns=tuple(
            Column(column, names.get(column, moved.get(column, ""))) for column in sorted(touched | set(names))
        ),
        first_cells=first,
        passes=tuple(passes),
        cycles=cycles,
        first_number=1 if chosen is None else chosen.start,
    )
    return found, last


def steps(waves: Path, jobs: Sequence[Job], config: TileConfig) -> Iterator[Step]:
    """Yield every cycle that belongs to a run, in order; waves and jobs as for :func:`replay`.

    Raises
    ------
    ReplayError
        If matches or tags differ from those of the passes.
    """
    replayed = _Replay(config)
    run, begin = -1, 0
    for number, cycle in enumerate(clock_cycles(waves, SIGNALS)):
        values = cycle.values
        replayed.check_tags(number, values)
        if values["sequencer.starting"]:
            run += 1
            if run == len(jobs):
                raise ReplayError(f"the waves must show {len(jobs)} runs, not more")
            replayed.begin(jobs[run].program)
            begin = number + 1
        elif run >= 0 and (values["sequencer.counted"] or values["sequencer.starved"]):
            yield replayed.step(run, number - begin, cycle)


class _Replay:
    """Does on a content-addressable memory what the cycles of a wave file ask of the array."""

    def __init__(self, config: TileConfig) -> None:
        from hw.layouts import micro_operation

        self.config = config
        self.cam = Cam(np.zeros((config.columns, config.rows), np.uint8), TAG_REGISTERS[config.passes])
        self._layout = micro_operation(config)
        self._texts: Sequence[str] = ()
        self._program: Program | None = None
        self._address = 0
        self._queue: deque[int] = deque()

    def begin(self, program: Program) -> None:
        """Begin a run."""
        self._program, self._texts, self._address = program, instruction_texts(program), 0
        self._queue.clear()

    def check_tags(self, cycle: int, values: Mapping[str, int]) -> None:
        """Compare the tags with those of the waves."""
        for name, tags in zip(("tag", "other"), self.cam.tags, strict=False):
            if values[f"tags.{name}"] != _number(tags):
                raise ReplayError(
                    f"register {name} of the tags must be what the passes made of it, not in cycle {cycle}"
                )

    def step(self, run: int, number: int, cycle: Cycle) -> Step:
        """Do what one cycle does."""
        values = cycle.values
        decodes = bool(values["sequencer.executed"] and values["run"])
        while len(self._queue) > values["plane_port.outstanding"]:
            self._queue.popleft()
        if decodes or values["sequencer.waiting"] or values["sequencer.starved"]:
            self._address = min(values["sequencer.counter"], len(self._texts) - 1)
        before = self.cam.cells
        operation = _fields(self._layout, values["sequencer.operation"])
        passes = self._passes(number, operation, values) if values["run"] else []
        asked = operation["mask"] if operation["compare"] else operation["write_mask"] if operation["write"] else {}
        if decodes and self._opcode() in _PORT:
            self._queue.append(self._address)
        return Step(
            run=run,
            number=number,
            start=cycle.start,
            instruction=self._texts[self._address],
            address=self._address,
            decodes=decodes,
            passes=tuple(passes),
            slots={slot: operation[slot] for slot in SLOTS},
            touched={slot: before[operation[slot]] for slot in SLOTS if asked.get(slot)},
            cells=self.cam.cells,
        )

    def _opcode(self) -> int:
        assert self._program is not None
        return self._program.instructions[self._address].opcode

    def _passes(self, number: int, operation: dict[str, Any], values: Mapping[str, int]) -> list[Pass]:
        """Return what the array does in a cycle; the plane port comes last, as cells change at the end of a cycle."""
        size = self.config.outputs
        passes: list[Pass] = []
        if operation["clear_c"]:
            self.cam.put(operation["c"], np.zeros(self.config.rows, np.uint8))
        if operation["compare"]:
            passes.append(self._compare(number, operation, values["array.bus__match"]))
        if operation["write"]:
            passes.append(self._write(number, operation))
        for name, way in (("up", 1), ("down", -1)):
            if values[f"sequencer.shift_tag_{name}"]:
                self.cam.shift(way * size)
                passes.append(self._pass(number, "shift", self.cam.cells, distance=way))
        if values["plane_port.write"] or values["tags.load"]:
            passes.append(self._plane(number, values))
        return passes

    def _compare(self, number: int, operation: dict[str, Any], match: int) -> Pass:
        key = {operation[slot]: operation["key"][slot] for slot in SLOTS if operation["mask"][slot]}
        lines = self._lines(operation)
        if lines is not None:
            key = {operation[slot]: operation["key"][slot] for slot in SLOTS[1:] if operation["mask"][slot]}
        start = "tagged" if operation["keep"] else "all" if operation["ones"] else "none"
        register, remove = operation["second"], bool(operation["remove"])
        found = self.cam.compare(key, start=start, remove=remove, register=register, lines=lines)
        if _number(found) != match:
            raise ReplayError(f"rows that match in cycle {number} of the run must be those of its key")
        return self._pass(
            number,
            "compare",
            self.cam.cells,
            key=key,
            matched=found,
            mode=_MODES[start, remove],
            second=bool(register),
            partner_key=dict(lines.key) if lines else {},
            distance=lines.distance // self.config.outputs if lines else 0,
        )

    def _lines(self, operation: dict[str, Any]) -> Lines | None:
        """Return what the vertical lines add to a compare."""
        control = operation.get("vertical", {})
        if not control.get("on"):
            return None
        place = np.arange(self.config.taps) & control["segment"]
        active = (place >= control["first"]) & (place < control["limit"])
        present = place < control["partners"]
        size = self.config.outputs
        key = {operation["x"]: operation["key"]["x"]} if operation["mask"]["x"] else {}
        return Lines(key, control["distance"] * size, np.repeat(active, size), np.repeat(present, size))

    def _write(self, number: int, operation: dict[str, Any]) -> Pass:
        values = {operation[slot]: operation["write_key"][slot] for slot in SLOTS[1:] if operation["write_mask"][slot]}
        before, register = self.cam.cells, operation["second"]
        written = self.cam.write(values, all_rows=bool(operation["all_rows"]), register=register)
        return self._pass(
            number,
            "write",
            before,
            writes=tuple(Write(column, bit) for column, bit in sorted(values.items())),
            matched=written,
            all_rows=bool(operation["all_rows"]),
            second=bool(register),
        )

    def _plane(self, number: int, values: Mapping[str, int]) -> Pass:
        """Return what the plane port writes; the instruction is that at the head of its queue."""
        config, before = self.config, self.cam.cells
        plane = _bits(values["plane_port.planes"], config.rows)
        rows = np.zeros(config.rows, np.bool_)
        if values["tags.load"]:
            self.cam.put_tags(plane)
        else:
            rows = np.repeat(_bits(values["plane_port.blocks"], config.taps), config.outputs).astype(np.bool_)
            self.cam.put(values["plane_port.column"], plane, rows)
        return self._pass(number, "plane", before, matched=rows, address=self._queue[0])

    def _pass(
        self,
        number: int,
        kind: str,
        before: Bits,
        *,
        key: dict[int, int] | None = None,
        writes: tuple[Write, ...] = (),
        matched: Rows | None = None,
        second: bool = False,
        address: int | None = None,
        **details: Any,
    ) -> Pass:
        address = self._address if address is None else address
        after = self.cam.cells
        changed = [] if after is before else np.argwhere(after != before).tolist()
        return Pass(
            cycle=number,
            instruction=self._texts[address],
            address=address,
            kind=kind,
            key=key or {},
            writes=writes,
            tag=tuple(self.cam.tags[int(second)].astype(int).tolist()),
            matched=() if matched is None else tuple(np.flatnonzero(matched).tolist()),
            changed=tuple((column, row) for column, row in changed),
            cells=after,
            second=second,
            **details,
        )


def _fields(layout: data.StructLayout, value: int) -> dict[str, Any]:
    """Return the fields of a structure, those within structures as well, by name."""
    found: dict[str, Any] = {}
    for name, field in layout:
        bits = value >> field.offset & ((1 << field.width) - 1)
        found[name] = _fields(field.shape, bits) if isinstance(field.shape, data.StructLayout) else bits
    return found


def _number(rows: Rows) -> int:
    return int.from_bytes(np.packbits(rows, bitorder="little").tobytes(), "little")


def _bits(number: int, count: int) -> Bits:
    packed = np.frombuffer(number.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little")
