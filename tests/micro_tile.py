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
from hw.isa import (
    CompareKind,
    ConstantKind,
    DotKind,
    ErrorCode,
    Instruction,
    LoadKind,
    Opcode,
    Owner,
    ReduceKind,
    clamp_bounds,
    reduce_levels,
)
from hw.passes import tables

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
        self.second: Plane = self.everywhere.copy()
        self.latched = config.array == "3r1w"
        self.tables = tables(config.passes)

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
        if not self.config.activity or self.config.passes != "classical":
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

    def compare(self, keys: dict[int, int], mode: str = "set") -> None:
        """Compare columns with keys."""
        self.match([(self.cells[column], key) for column, key in keys.items()], mode)

    def match(
        self, keys: list[tuple[Plane, int]], mode: str = "set", active: Plane | None = None, second: bool = False
    ) -> None:
        found = (self.everywhere if active is None else active).copy()
        for plane, key in keys:
            found &= plane == bool(key)
        old = self.second if second else self.tag
        new = {"set": found, "add": old | found, "remove": old & ~found}[mode]
        if second:
            self.second = new
        else:
            self.tag = new
        self.counters["events.compares"] += 1
        self.counters["events.compared_columns"] += len(keys)
        self.counters["activity.rows_matched"] += int(new.sum())

    def write(self, values: dict[int, int], rows: Plane) -> None:
        for column, value in values.items():
            self.cells[column, rows] = bool(value)
        self.counters["events.writes"] += 1
        self.counters["events.written_columns"] += len(values)
        self.counters["activity.cells_written"] += len(values) * int(rows.sum())

    def fill(self, column: int, bit: int = 0) -> Iterator[bool]:
        self.write({column: bit}, self.everywhere)
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

    def passes(
        self,
        table: str,
        columns: dict[str, int],
        only: int | None = None,
        x: Plane | None = None,
        active: Plane | None = None,
    ) -> Iterator[bool]:
        """One step on the columns of the slots; x may be a plane of its own; ``only`` where a column is 1."""
        for step in self.tables[table]:
            if step.compare:
                planes = {slot: self.cells[columns[slot]] for slot in step.compare if slot != "x" or x is None}
                if x is not None:
                    planes["x"] = x
                keys = [(planes[slot], key) for slot, key in step.compare.items()]
                if only is not None:
                    keys.append((self.cells[only], 1))
                self.match(keys, step.mode, active, step.second)
            else:
                rows = self.everywhere if step.all_rows else self.second if step.second else self.tag
                self.write({columns[slot]: value for slot, value in step.write.items()}, rows)
            yield False

    def adder(self, stem: str, x: list[int], first: int, carry: int, only: int | None) -> Iterator[bool]:
        """Steps of an adder; x holds for every bit a column, or -1 for a known 0, or -2 for a known 1."""
        for j, operand in enumerate(x):
            columns = {"y": first + j, "c": carry}
            if operand >= 0:
                yield from self.passes(stem, columns | {"x": operand}, only)
            else:
                yield from self.passes(f"{stem}_{-1 - operand}", columns, only)

    def extended(self, op: Instruction) -> list[int]:
        """For every bit of b the column of a, or -1 for a known 0."""
        a = [op.a + j for j in range(op.a_width)]
        return a + [op.a + op.a_width - 1 if op.a_signed else -1] * (op.b_width - op.a_width)

    def known(self, constant: int, width: int) -> list[int]:
        return [-1 - (constant >> j & 1) for j in range(width)]

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
        width = op.a_width
        while op.kind == DotKind.SKIP and width:
            self.compare({op.a + width - 1: 1})
            yield True
            if self.tag.any():
                break
            width -= 1
            self.counters["events.skipped_planes"] += 1
        for diagonal in reversed(range(width + op.b_width - 1)):
            for i in reversed(range(width)):
                j = diagonal - i
                if not 0 <= j < op.b_width:
                    continue
                keys = [(self.cells[op.a + i], 1), (self.cells[op.b + j], 1)]
                self.match(keys)
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
            self.compare({op.p: 1})
            yield False
            rows = self.tag
        for j in range(op.d_width):
            self.write({op.d + j: op.constant >> j & 1}, rows)
            yield False

    def copies(self, op: Instruction, table: str) -> Iterator[bool]:
        if op.predicated:
            yield from self.fetch()
        for j in range(op.a_width):
            columns = {"x": op.a + j, "y": op.d + j, "r": op.d + j}
            if op.predicated:
                yield from self.passes(f"{table}_if", columns, op.p)
            else:
                yield from self.passes(table, columns)

    def body_copy(self, op: Instruction) -> Iterator[bool]:
        return self.copies(op, "copy")

    def body_not(self, op: Instruction) -> Iterator[bool]:
        return self.copies(op, "not")

    def logic(self, op: Instruction, table: str) -> Iterator[bool]:
        for j in range(op.a_width):
            yield from self.passes(table, {"x": op.a + j, "y": op.b + j, "r": op.d + j})

    def body_and(self, op: Instruction) -> Iterator[bool]:
        return self.logic(op, "and_in_place" if op.d == op.b else "and")

    def body_or(self, op: Instruction) -> Iterator[bool]:
        return self.logic(op, "or_in_place" if op.d == op.b else "or")

    def body_xor(self, op: Instruction) -> Iterator[bool]:
        return self.logic(op, "xor")

    def body_neg(self, op: Instruction) -> Iterator[bool]:
        yield from self.fill(op.p)
        for j in range(op.a_width):
            yield from self.passes("negate", {"x": op.a + j, "r": op.d + j, "c": op.p})
        yield from self.spill(op.p)

    def body_abs(self, op: Instruction) -> Iterator[bool]:
        top = op.a_width - 1
        yield from self.fill(op.p)
        for j in range(op.a_width):
            columns = {"x": op.a + j, "r": op.d + j, "c": op.p, "f": op.a + top}
            yield from self.passes("absolute" if j < top else "absolute_top", columns)
        yield from self.spill(op.p)

    def sum_of_fields(self, op: Instruction, stem: str, x: list[int], start: int = 0) -> Iterator[bool]:
        skipped = op.b_width - len(x)
        yield from self.fill(op.d, start)
        only = op.p if op.predicated and op.opcode in (Opcode.ADD, Opcode.SUB, Opcode.ADDC) else None
        yield from self.adder(stem, x, op.b + skipped, op.d, only)
        yield from self.spill(op.d)

    def body_add(self, op: Instruction) -> Iterator[bool]:
        return self.sum_of_fields(op, "add", self.extended(op))

    def body_sub(self, op: Instruction) -> Iterator[bool]:
        return self.sum_of_fields(op, "subtract", self.extended(op))

    def body_rsub(self, op: Instruction) -> Iterator[bool]:
        yield from self.sum_of_fields(op, "subtract", self.extended(op), start=1)
        for j in range(op.b_width):
            yield from self.passes("not", {"x": op.b + j, "r": op.b + j})

    def body_addc(self, op: Instruction) -> Iterator[bool]:
        bits = self.known(op.constant, op.b_width)
        while op.kind == ConstantKind.SPARSE and bits and bits[0] == -1:
            del bits[0]
        return self.sum_of_fields(op, "add", bits)

    def sum_apart(self, op: Instruction, stem: str) -> Iterator[bool]:
        carry = op.d + op.b_width
        yield from self.fill(carry)
        for j, x in enumerate(self.extended(op)):
            columns = {"x": x, "y": op.b + j, "r": op.d + j, "c": carry}
            yield from self.passes(stem if x >= 0 else f"{stem}_0", columns)
        yield from self.spill(carry)

    def body_sum(self, op: Instruction) -> Iterator[bool]:
        return self.sum_apart(op, "sum")

    def body_diff(self, op: Instruction) -> Iterator[bool]:
        return self.sum_apart(op, "diff")

    def body_rdiff(self, op: Instruction) -> Iterator[bool]:
        return self.sum_apart(op, "rdiff")

    def body_mul(self, op: Instruction) -> Iterator[bool]:
        yield from self.product(op, [op.a + j for j in range(op.a_width)])
        if op.a_signed:
            yield from self.fill(op.p)
            b: list[int] = [op.b + j for j in range(op.b_width)]
            yield from self.adder("subtract", b, op.d + op.a_width, op.p, op.a + op.a_width - 1)
            yield from self.spill(op.p)

    def body_mulc(self, op: Instruction) -> Iterator[bool]:
        bits = self.known(op.constant, op.a_width)
        if op.kind != ConstantKind.SPARSE:
            yield from self.product(op, bits)
            return
        b: list[int] = [op.b + j for j in range(op.b_width)]
        for k, bit in enumerate(bits):
            if bit == -2:
                yield from self.fetch()
                yield from self.adder("add", b, op.d + k, op.d + k + op.b_width, None)
                yield from self.spill(op.d + k + op.b_width)
        if op.b_signed:
            yield from self.fill(op.p)
            yield from self.adder("subtract", bits, op.d + op.b_width, op.p, op.b + op.b_width - 1)
            yield from self.spill(op.p)

    def product(self, op: Instruction, x: list[int]) -> Iterator[bool]:
        for k in range(op.b_width):
            yield from self.fetch()
            stem = "subtract" if op.b_signed and k == op.b_width - 1 else "add"
            yield from self.adder(stem, x, op.d + k, op.d + k + op.a_width, op.b + k)
            yield from self.spill(op.d + k + op.a_width)

    def order(self, op: Instruction, table: str, sign_table: str, zero_table: str) -> Iterator[bool]:
        """Compares of a and b from the lowest bit up."""
        for j, x in enumerate(self.extended(op)):
            chosen = sign_table if op.a_signed and j == op.b_width - 1 else table
            yield from self.passes(chosen if x >= 0 else zero_table, {"x": x, "y": op.b + j})

    def order_of_constant(self, op: Instruction, constant: int, greater: bool) -> Iterator[bool]:
        for j in range(op.b_width):
            bit = constant >> j & 1
            towards = greater != (op.b_signed and j == op.b_width - 1)
            yield from self.passes(f"{'add' if bit != towards else 'remove'}_if_{1 - bit}", {"y": op.b + j})

    def flag(self, op: Instruction) -> Iterator[bool]:
        unmarked = op.kind in (CompareKind.EQ, CompareKind.GE, CompareKind.GT)
        return self.passes("flag_unmarked" if unmarked else "flag_marked", {"r": op.d})

    def body_cmp(self, op: Instruction) -> Iterator[bool]:
        self.tag = self.everywhere & (op.kind in (CompareKind.LE, CompareKind.GT))
        if op.kind in (CompareKind.EQ, CompareKind.NE):
            yield from self.order(op, "differ", "differ", "add_if_1")
        else:
            yield from self.order(op, "less", "greater", "add_if_1")
        yield from self.flag(op)

    def body_cmpc(self, op: Instruction) -> Iterator[bool]:
        self.tag = self.everywhere & (op.kind in (CompareKind.LE, CompareKind.GT))
        if op.kind in (CompareKind.EQ, CompareKind.NE):
            for j in range(op.b_width):
                yield from self.passes(f"add_if_{1 - (op.constant >> j & 1)}", {"y": op.b + j})
        else:
            yield from self.order_of_constant(op, op.constant, greater=False)
        yield from self.flag(op)

    def extreme(self, op: Instruction, table: str, sign_table: str, zero_table: str) -> Iterator[bool]:
        self.tag = ~self.everywhere
        yield from self.order(op, table, sign_table, zero_table)
        yield from self.passes("flag_taken", {"f": op.d})
        for j, x in enumerate(self.extended(op)):
            yield from self.passes("copy_if" if x >= 0 else "clear_if", {"x": x, "y": op.b + j}, op.d)
        yield from self.spill(op.d)

    def body_max(self, op: Instruction) -> Iterator[bool]:
        return self.extreme(op, "greater", "less", "remove_if_1")

    def body_min(self, op: Instruction) -> Iterator[bool]:
        return self.extreme(op, "less", "greater", "add_if_1")

    def bound(self, op: Instruction, constant: int, greater: bool) -> Iterator[bool]:
        self.tag = ~self.everywhere
        yield from self.order_of_constant(op, constant, greater)
        for j in range(op.b_width):
            self.write({op.b + j: constant >> j & 1}, self.tag)
            yield False

    def body_maxc(self, op: Instruction) -> Iterator[bool]:
        return self.bound(op, op.constant, greater=False)

    def body_minc(self, op: Instruction) -> Iterator[bool]:
        return self.bound(op, op.constant, greater=True)

    def body_clamp(self, op: Instruction) -> Iterator[bool]:
        low, high = clamp_bounds(op.constant)
        yield from self.bound(op, low, greater=False)
        yield from self.bound(op, high, greater=True)

    def body_relu(self, op: Instruction) -> Iterator[bool]:
        self.compare({op.b + op.b_width - 1: 1})
        yield False
        for j in range(op.b_width):
            self.write({op.b + j: 0}, self.tag)
            yield False

    def body_move(self, op: Instruction) -> Iterator[bool]:
        for j in range(op.a_width):
            yield from self.through_tags(op.a + j, op.constant, op.d + j)

    def through_tags(self, column: int, distance: int, target: int) -> Iterator[bool]:
        size = self.config.outputs
        self.compare({column: 1})
        yield False
        for _ in range(abs(distance)):
            self.tag = np.roll(self.tag, size if distance > 0 else -size)
            empty = slice(0, size) if distance > 0 else slice(self.config.rows - size, None)
            self.tag[empty] = False
            yield False
        yield from self.fill(target)
        self.write({target: 1}, self.tag)
        yield False

    def body_reduce(self, op: Instruction) -> Iterator[bool]:
        levels = reduce_levels(op.constant)
        blocks = np.arange(self.config.taps)
        if op.kind == ReduceKind.SEGMENTS:
            blocks %= 1 << levels
        for level in range(levels):
            distance = 1 << (levels - 1 - level)
            yield from self.fill(op.d + op.a_width + level)
            if op.kind == ReduceKind.SHIFT:
                yield from self.level(op, level, distance)
            elif op.kind == ReduceKind.SEGMENTS:
                yield from self.level(op, level, distance, blocks, range(distance))
            else:
                for pair in range(distance):
                    yield from self.level(op, level, distance, blocks, range(pair, pair + 1))
            yield from self.spill(op.d + op.a_width + level)

    def level(
        self,
        op: Instruction,
        level: int,
        distance: int,
        blocks: NDArray[np.int64] | None = None,
        adding: range = range(0),
    ) -> Iterator[bool]:
        """One addition of words that are so far apart: on vertical lines into some blocks, or through the tags."""
        width, size = op.a_width + level, self.config.outputs
        for j in range(width):
            table = "add_signs" if op.a_signed and j == width - 1 else "add"
            columns = {"x": op.p, "y": op.d + j, "c": op.d + width}
            if blocks is None:
                yield from self.through_tags(op.d + j, -distance, op.p)
                yield from self.passes(table, columns)
                continue
            partner = np.zeros_like(self.everywhere)
            partner[: self.config.rows - distance * size] = self.cells[op.d + j, distance * size :]
            if level == 0:
                partner &= np.repeat(blocks + distance < op.constant, size)
            active = np.repeat([block in adding for block in blocks.tolist()], size)
            yield from self.passes(table, columns, None, partner, active)
