"""A naive tile: every cycle a compare, a write or nothing on plain boolean columns, by the hardware's pass tables.

The slow second opinion on the golden tile and the laws.  The plane port moves its planes in the very cycles in which
the contract says so, so a program that breaks the ownership rule ends differently here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits, Job, Outcome
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Owner
from hw.passes import TABLES

Plane = NDArray[np.bool_]


@dataclass
class PortOperation:
    """One entry of the port's queue: steps that are left to make, what the steps do, and how waits for it are named."""

    steps: int
    per_plane: int
    finish_plane: Callable[[int], None]
    owner: Owner
    snapshot: bool
    done: int = 0


class MicroTile:
    """An engine that steps through every cycle; for legal programs only."""

    def __init__(self, config: TileConfig, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.config = config
        self.cells: NDArray[np.bool_] = rng.integers(0, 2, (config.columns, config.rows)).astype(bool)
        self.tag: Plane = rng.integers(0, 2, config.rows).astype(bool)
        self.totals = [0] * config.outputs
        self.everywhere: Plane = np.ones(config.rows, bool)
        self.latched = config.array == "3r1w"

    def run(self, job: Job) -> Outcome:
        self.counters = {counter.name: 0 for counter in COUNTERS}
        self.counters["identity.config"] = self.config.hash
        self.queue: list[PortOperation] = []
        self.outgoing: list[Bits] = []
        incoming = iter(job.planes)
        address, error = 0, ErrorCode.NONE
        rounds: dict[int, int] = {}
        opens: list[int] = []
        code = job.program.instructions
        while True:
            op = code[address]
            while self.must_wait(op):
                self.cycle(self.queue[0].owner, is_open=True)
            self.cycle(Owner(op.owner), is_open=True)
            self.counters["events.instructions"] += 1
            if op.opcode in (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE):
                self.queue.append(self.port_operation(op, incoming))
            for is_open in self.body(op):
                self.cycle(Owner(op.owner), is_open)
            if op.opcode == Opcode.DOT and self.overflowed():
                error = ErrorCode.TOTAL
                break
            if op.opcode == Opcode.HALT:
                break
            address += 1
            if op.opcode == Opcode.LOOP:
                opens.append(address)
                rounds[address] = op.constant
            elif op.opcode == Opcode.END:
                rounds[opens[-1]] -= 1
                if rounds[opens[-1]]:
                    address = opens[-1]
                else:
                    opens.pop()
        if not self.config.activity:
            del self.counters["activity.rows_matched"], self.counters["activity.cells_written"]
        return Outcome(self.outgoing, self.counters, error, address)

    def close(self) -> None:
        pass

    # Time

    def must_wait(self, op: Instruction) -> bool:
        outstanding = len(self.queue)
        if op.opcode == Opcode.SYNC:
            return outstanding > op.constant
        if op.opcode == Opcode.HALT:
            return outstanding > 0
        if op.opcode in (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE):
            snapshot = op.opcode == Opcode.DRAIN or (op.opcode == Opcode.STORE and op.kind == LoadKind.TOTAL)
            busy = any(entry.snapshot for entry in self.queue)
            return outstanding == self.config.port_queue or (snapshot and busy)
        return False

    def cycle(self, owner: Owner, is_open: bool) -> None:
        self.counters[f"cycles.{owner.name.lower()}"] += 1
        if is_open and self.queue:
            head = self.queue[0]
            self.counters["events.port_steps"] += 1
            head.done += 1
            if head.done % head.per_plane == 0:
                head.finish_plane(head.done // head.per_plane - 1)
            if head.done == head.steps:
                self.queue.pop(0)

    # Plane port

    def block(self, op: Instruction) -> slice:
        return slice(op.constant * self.config.outputs, (op.constant + 1) * self.config.outputs)

    def port_operation(self, op: Instruction, incoming: Iterator[Bits]) -> PortOperation:
        owner = Owner.LOAD if op.opcode in (Opcode.LOAD, Opcode.RESTORE) else Owner.STORE
        size = {
            LoadKind.TAPS: self.config.taps,
            LoadKind.BLOCK: self.config.outputs,
            LoadKind.TOTAL: self.config.outputs,
        }
        beats = -(-size.get(LoadKind(op.kind), self.config.rows) // self.config.plane_bits)
        if op.opcode == Opcode.LOAD:
            finish = self.load_finisher(op, next(incoming))
            return PortOperation(op.d_width * beats, beats, finish, owner, snapshot=False)
        if op.opcode == Opcode.STORE:
            finish = self.store_finisher(op)
            return PortOperation(op.a_width * beats, beats, finish, owner, snapshot=op.kind == LoadKind.TOTAL)
        rows, snapshot, gathered = self.block(op), list(self.totals), [0] * self.config.outputs

        def drain(plane: int) -> None:
            self.cells[op.d + plane, rows] = [total >> plane & 1 for total in snapshot]

        def restore(plane: int) -> None:
            weight = -(1 << plane) if plane == op.a_width - 1 else 1 << plane
            for output, bit in enumerate(self.cells[op.a + plane, rows]):
                gathered[output] += weight * int(bit)
            self.totals = list(gathered)

        if op.opcode == Opcode.DRAIN:
            return PortOperation(op.d_width, 1, drain, owner, snapshot=True)
        return PortOperation(op.a_width, 1, restore, owner, snapshot=False)

    def load_finisher(self, op: Instruction, planes: Bits) -> Callable[[int], None]:
        gathered = [0] * self.config.outputs

        def finish(plane: int) -> None:
            bits = planes[plane].astype(bool)
            if op.kind == LoadKind.PLANES:
                self.cells[op.d + plane] = bits
            elif op.kind == LoadKind.BLOCK:
                self.cells[op.d + plane, self.block(op)] = bits
            elif op.kind == LoadKind.TAPS:
                self.cells[op.d + plane] = [bits[row // self.config.outputs] for row in range(self.config.rows)]
            elif op.kind == LoadKind.TAG:
                self.tag = bits
            else:
                weight = -(1 << plane) if plane == op.d_width - 1 else 1 << plane
                for output, bit in enumerate(bits):
                    gathered[output] += weight * int(bit)
                self.totals = list(gathered)

        return finish

    def store_finisher(self, op: Instruction) -> Callable[[int], None]:
        snapshot, planes = list(self.totals), list[Plane]()
        self.outgoing.append(np.zeros((0, 0), np.uint8))
        index = len(self.outgoing) - 1

        def finish(plane: int) -> None:
            if op.kind == LoadKind.PLANES:
                planes.append(self.cells[op.a + plane].copy())
            elif op.kind == LoadKind.BLOCK:
                planes.append(self.cells[op.a + plane, self.block(op)].copy())
            elif op.kind == LoadKind.TAG:
                planes.append(self.tag.copy())
            else:
                planes.append(np.array([total >> plane & 1 for total in snapshot], bool))
            self.outgoing[index] = np.array(planes, np.uint8)

        return finish

    # Array: every generator below yields once per cycle, whether the cycle is open

    def compare(self, keys: dict[int, int], columns: int) -> None:
        self.tag = self.everywhere.copy()
        for column, key in keys.items():
            self.tag &= self.cells[column] == bool(key)
        self.counters["events.compares"] += 1
        self.counters["events.compared_columns"] += columns
        self.counters["activity.rows_matched"] += int(self.tag.sum())

    def write(self, values: dict[int, int], rows: Plane) -> None:
        for column, value in values.items():
            self.cells[column, rows] = bool(value)
        self.counters["events.writes"] += 1
        self.counters["events.written_columns"] += len(values)
        self.counters["activity.cells_written"] += len(values) * int(rows.sum())

    def clear(self, *columns: int) -> Iterator[bool]:
        self.write(dict.fromkeys(columns, 0), self.everywhere)
        yield False

    def spill(self, *columns: int) -> Iterator[bool]:
        for column in columns if self.latched else ():
            self.counters["events.writes"] += 1
            self.counters["events.written_columns"] += 1
            self.counters["activity.cells_written"] += self.config.rows
            assert 0 <= column < self.config.columns
            yield False

    def fetch(self) -> Iterator[bool]:
        if self.latched:
            yield False

    def passes(self, table: str, columns: dict[str, int], only: int | None = None) -> Iterator[bool]:
        for step in TABLES[table]:
            keys = {columns[slot]: key for slot, key in step.compare.items()}
            if only is not None:
                keys[only] = 1
            self.compare(keys, len(keys))
            yield False
            self.write({columns[slot]: value for slot, value in step.write.items()}, self.tag)
            yield False

    def adder(self, stem: str, x: list[int], first: int, carry: int, only: int | None) -> Iterator[bool]:
        """Steps of an adder; x holds for every bit a column, or -1 for a known 0, or -2 for a known 1."""
        for j, operand in enumerate(x):
            columns = {"y": first + j, "c": carry}
            if operand >= 0:
                yield from self.passes(stem, columns | {"x": operand}, only)
            else:
                yield from self.passes(f"{stem}_{-1 - operand}", columns, only)

    def body(self, op: Instruction) -> Iterator[bool]:
        name = Opcode(op.opcode).name.lower()
        return getattr(self, f"body_{name}", lambda _op: iter(()))(op)

    def body_init(self, op: Instruction) -> Iterator[bool]:
        limit = 1 << (self.config.total_bits - 1)
        self.totals = [(op.constant + limit) % (2 * limit) - limit] * self.config.outputs
        yield from ()

    def overflowed(self) -> bool:
        limit = 1 << (self.config.total_bits - 1)
        wrapped = [(total + limit) % (2 * limit) - limit for total in self.totals]
        found = wrapped != self.totals
        self.totals = wrapped
        return found

    def body_dot(self, op: Instruction) -> Iterator[bool]:
        fill = [0] * self.config.outputs
        for diagonal in reversed(range(op.a_width + op.b_width - 1)):
            for i in reversed(range(op.a_width)):
                j = diagonal - i
                if not 0 <= j < op.b_width:
                    continue
                self.compare({op.a + i: 1, op.b + j: 1}, 2)
                counts = self.tag.reshape(self.config.taps, -1).sum(axis=0)
                negative = (op.a_signed and i == op.a_width - 1) != (op.b_signed and j == op.b_width - 1)
                for output, count in enumerate(counts):
                    fill[output] += (-1 if negative else 1) * int(count) << (i + j)
                yield True
        self.totals = [total + part for total, part in zip(self.totals, fill, strict=True)]
        yield True

    def body_fill(self, op: Instruction) -> Iterator[bool]:
        rows = self.everywhere
        if op.predicated:
            self.compare({op.p: 1}, 1)
            yield False
            rows = self.tag
        for j in range(op.d_width):
            self.write({op.d + j: op.constant >> j & 1}, rows)
            yield False

    def two_columns(self, op: Instruction, table: str, target: int) -> Iterator[bool]:
        only = op.p if op.predicated and table in ("copy", "not") else None
        if only is not None:
            yield from self.fetch()
        for j in range(op.a_width):
            yield from self.passes(table, {"x": op.a + j, "y": target + j}, only)

    def body_copy(self, op: Instruction) -> Iterator[bool]:
        return self.two_columns(op, "copy", op.d)

    def body_not(self, op: Instruction) -> Iterator[bool]:
        return self.two_columns(op, "not", op.d)

    def body_and(self, op: Instruction) -> Iterator[bool]:
        return self.two_columns(op, "and", op.b)

    def body_or(self, op: Instruction) -> Iterator[bool]:
        return self.two_columns(op, "or", op.b)

    def body_xor(self, op: Instruction) -> Iterator[bool]:
        for j in range(op.a_width):
            yield from self.fetch()
            yield from self.passes("xor", {"x": op.a + j, "y": op.d + j, "c": op.b + j})

    def sum_of_fields(self, op: Instruction, stem: str) -> Iterator[bool]:
        x: list[int] = [op.a + j for j in range(op.a_width)]
        x += [op.a + op.a_width - 1 if op.a_signed else -1] * (op.b_width - op.a_width)
        yield from self.clear(op.d)
        yield from self.adder(stem, x, op.b, op.d, op.p if op.predicated else None)
        yield from self.spill(op.d)

    def body_add(self, op: Instruction) -> Iterator[bool]:
        return self.sum_of_fields(op, "add")

    def body_sub(self, op: Instruction) -> Iterator[bool]:
        return self.sum_of_fields(op, "subtract")

    def body_addc(self, op: Instruction) -> Iterator[bool]:
        bits: list[int] = [-1 - (op.constant >> j & 1) for j in range(op.b_width)]
        yield from self.clear(op.d)
        yield from self.adder("add", bits, op.b, op.d, op.p if op.predicated else None)
        yield from self.spill(op.d)

    def body_mul(self, op: Instruction) -> Iterator[bool]:
        yield from self.product(op, [op.a + j for j in range(op.a_width)])
        if op.a_signed:
            yield from self.clear(op.p)
            b: list[int] = [op.b + j for j in range(op.b_width)]
            yield from self.adder("subtract", b, op.d + op.a_width, op.p, op.a + op.a_width - 1)
            yield from self.spill(op.p)

    def body_mulc(self, op: Instruction) -> Iterator[bool]:
        return self.product(op, [-1 - (op.constant >> j & 1) for j in range(op.a_width)])

    def product(self, op: Instruction, x: list[int]) -> Iterator[bool]:
        for k in range(op.b_width):
            yield from self.fetch()
            stem = "subtract" if op.b_signed and k == op.b_width - 1 else "add"
            yield from self.adder(stem, x, op.d + k, op.d + k + op.a_width, op.b + k)
            yield from self.spill(op.d + k + op.a_width)

    def extreme(self, op: Instruction, table: str, sign_table: str) -> Iterator[bool]:
        yield from self.clear(op.d, op.d + 1)
        for j in reversed(range(op.a_width)):
            chosen = sign_table if op.a_signed and j == op.a_width - 1 else table
            yield from self.passes(chosen, {"x": op.a + j, "y": op.b + j, "c": op.d, "f": op.d + 1})
        yield from self.spill(op.d, op.d + 1)

    def body_max(self, op: Instruction) -> Iterator[bool]:
        return self.extreme(op, "maximum", "minimum")

    def body_min(self, op: Instruction) -> Iterator[bool]:
        return self.extreme(op, "minimum", "maximum")

    def extreme_constant(self, op: Instruction, flag: int) -> Iterator[bool]:
        yield from self.clear(op.d, op.d + 1)
        for j in reversed(range(op.b_width)):
            sign = "sign_" if op.b_signed and j == op.b_width - 1 else ""
            table = f"decide_{sign}{op.constant >> j & 1}"
            yield from self.passes(table, {"y": op.b + j, "c": op.d, "f": op.d + 1})
        self.compare({flag: 1}, 1)
        yield False
        for j in range(op.b_width):
            self.write({op.b + j: op.constant >> j & 1}, self.tag)
            yield False
        yield from self.spill(op.d, op.d + 1)

    def body_maxc(self, op: Instruction) -> Iterator[bool]:
        return self.extreme_constant(op, op.d)

    def body_minc(self, op: Instruction) -> Iterator[bool]:
        return self.extreme_constant(op, op.d + 1)

    def body_relu(self, op: Instruction) -> Iterator[bool]:
        self.compare({op.b + op.b_width - 1: 1}, 1)
        yield False
        for j in range(op.b_width):
            self.write({op.b + j: 0}, self.tag)
            yield False

    def body_move(self, op: Instruction) -> Iterator[bool]:
        size = self.config.outputs
        for j in range(op.a_width):
            self.compare({op.a + j: 1}, 1)
            yield False
            for _ in range(abs(op.constant)):
                self.tag = np.roll(self.tag, size if op.constant > 0 else -size)
                empty = slice(0, size) if op.constant > 0 else slice(self.config.rows - size, None)
                self.tag[empty] = False
                yield False
            yield from self.clear(op.d + j)
            self.write({op.d + j: 1}, self.tag)
            yield False
