"""Faults seeded in the sources of the gather unit: a named check catches each, and the unbroken unit passes all."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hw.accelerator.gather import GatherUnit
from tests.gather_checks import CHECKS, simulate

PACKAGE = "hw.accelerator."

FAULTS = [
    # A module, what its source holds exactly once, what takes its place, and the check that fails then.
    ("gather_align", "pad.eq(Mux(row.pad, all_ones(size), 0))", "pad.eq(Mux(row.pad, 0, all_ones(size)))", "padding"),
    ("gather_align", "all_ones(size) >> beyond", "all_ones(size)", "padding"),
    ("gather_align", "row.kernel_column - job.pad_left", "row.kernel_column", "padding"),
    ("gather_align", "columns.eq(Mux(row.inside,", "columns.eq(Mux(1,", "padding"),
    ("gather_align", "((thinned ^ pad) & formed)", "(thinned ^ pad)", "padding"),
    ("gather_align", "aligned[::stride]", "aligned[:: min(stride, 3)]", "strides"),
    ("gather_align", "<< row.place", "<< 0", "stored sets"),
    ("gather_address", "row.offset.eq(within * job.width)", "row.offset.eq(within * job.out_width)", "padding"),
    ("gather_address", "within.eq(y & ((1 << job.rows_log2) - 1))", "within.eq(y & 3)", "stored sets"),
    ("gather_address", "q * self.set_words", "q * job.channel_groups", "stored sets"),
    ("gather_address", "following.live.eq(now.live & ~last_row)", "following.live.eq(now.live)", "tap tiles"),
    ("gather_address", "following.live.eq(now.live & ~last_row)", "following.live.eq(~last_row)", "tap tiles"),
    ("gather_address", "m.d.sync += now.eq(tile_first)", "m.d.sync += now.eq(following)", "tap tiles"),
    ("gather_address", "[now.eq(following), tile_first.eq(following)]", "[now.eq(following), tile_first.eq(now)]",
     "tap tiles"),
    ("gather_address", '"beat": Value.cast(config.beats)', '"beat": Value.cast(config.beats - 1)', "tap tiles"),
    ("gather_address", 'm.If(ends["tile"] | self.start)', "m.If(self.start)", "rounds"),
    ("gather_address", "round_group + job.group_step", "round_group + 1", "rounds"),
    ("gather_address", 'Mux(ends["round"], job.first_group,', 'Mux(ends["round"], 0,', "rounds"),
    ("gather_address", 'Mux(ends["plane"], 0, plane_words + job', 'Mux(ends["plane"], 0, plane_words - job', "planes"),
    ("gather_address", 'job.pad_value.bit_select(counters["plane"], 1)', "job.pad_value[0]", "planes"),
    ("gather_address", 'Mux(ends["plane"], 0, plane_words', "Mux(0, 0, plane_words", "tap tiles"),
    ("gather_address", "shadow.first_row * shadow.stride_y", "shadow.first_row", "first rows"),
    ("gather_address", "signed(bits_for(HIGHEST_ROW) + 1)", "signed(17)", "first rows"),
    ("gather_address", "(y >= 0) & (y < job.height)", "(y < job.height)", "padding"),
    ("gather_address", "(y >= 0) & (y < job.height)", "(y >= 0)", "padding"),
    ("gather_address", "row_distance + job.stride_y", "row_distance + 1", "strides"),
    ("gather_address", "job.out_rows * job.stride_y", "job.out_rows", "strides"),
    ("gather_registers", "self.register_index == max(GatherRegister)", "self.register_index != 0", "arming"),
    ("gather_registers", "m.d.sync += armed.eq(0)", "m.d.sync += armed.eq(armed)", "arming"),
    ("gather_registers", "self.start.eq(self.go & armed)", "self.start.eq(self.go)", "arming"),
    ("gather_registers", "with m.If(self.start):", "with m.If(self.start | self.register_write):", "shadows"),
    ("gather_registers", "registers.PAD_TOP: (0, LARGEST_KERNEL)", "registers.PAD_TOP: (0, 16)", "wrong registers"),
    ("gather_registers", "registers.WIDTH: (1, size)", "registers.WIDTH: (0, size)", "wrong registers"),
    ("gather_registers", "> COUNT_LIMIT + 1", "> COUNT_LIMIT + 2", "wrong registers"),
    ("gather_registers", "last_group > job.channel_groups", "last_group > job.channel_groups + 1", "wrong registers"),
    ("gather_registers", "Mux(alone.any(), alone, self._together())", "alone | self._together()", "wrong registers"),
    ("gather_registers", "in reversed(GatherRegister)", "in GatherRegister", "wrong registers"),
    ("gather", "cancel = registers.descriptor_error", "cancel = Signal()",
     "wrong registers"),
    ("gather", "[here.eq(address.running & ~cancel),", "[here.eq(address.running),", "wrong registers"),
    ("gather", "advance.eq(~self.blocked)", "advance.eq(1)", "slow tiles"),
    ("gather", "memory.read.eq(advance & address.running)", "memory.read.eq(address.running)", "slow tiles"),
    ("gather", "self.blocked.eq(here & row.last & queue.full)", "self.blocked.eq(here & queue.full)", "slow tiles"),
    ("gather", "self.blocked.eq(here & row.last & queue.full)", "self.blocked.eq(0)", "slow tiles"),
    ("gather", "Mux(row.first, 0, assembled)", "assembled", "stored sets"),
    ("gather", "(address.running | here) & ~queue.occupied", "(address.running | here)", "slow tiles"),
    ("gather_queue", "missing.eq(self.receivers & ~done)", "missing.eq(self.receivers)", "receivers"),
    ("gather_queue", "~(missing & ~self.beat_taken).any()", "(missing & self.beat_taken).any()", "receivers"),
    ("gather_queue", "Mux(pop, 0, done |", "Mux(0, 0, done |", "receivers"),
    ("gather_queue", "done | (self.beat_valid & self.beat_taken)", "done | self.beat_taken", "receivers"),
    ("gather_queue", "following == depth)", "following == depth - 1)", "slow tiles"),
    ("gather_queue", "pointer == depth - 1", "0", "slow tiles, queue of three"),
    ("gather_memory", "lane.eq(word)", "lane.eq(~word)", "padding"),
    ("gather_memory", "part.eq(self.write_address % parts)", "part.eq(0)", "random jobs, two-flits"),
    ("gather_memory", "word.eq(self.write_address // parts)", "word.eq(self.write_address)", "random jobs, two-flits"),
]  # fmt: skip


class _Changed(SourceLoader):
    """Loads one module with a change in its source."""

    def __init__(self, path: str, source: str):
        self.path, self.source = path, source

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_data(self, path: str) -> bytes:
        return self.source.encode()

    def path_stats(self, path: str) -> dict[str, Any]:
        raise OSError("never from a cache")


class _Finder(MetaPathFinder):
    """Finds that one module."""

    def __init__(self, name: str, loader: _Changed):
        self.name, self.loader = name, loader

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self.loader) if fullname == self.name else None


@contextmanager
def broken(module: str, pattern: str, replacement: str) -> Iterator[Any]:
    """The gather unit made from sources with a fault; the modules of this process stay as they are."""
    spec = find_spec(PACKAGE + module)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    assert text.count(pattern) == 1, f"{pattern!r} must be in {module} once, not {text.count(pattern)} times"
    finder = _Finder(spec.name, _Changed(spec.origin, text.replace(pattern, replacement)))
    package = sys.modules[PACKAGE[:-1]]
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(f"{PACKAGE}gather")}
    sys.meta_path.insert(0, finder)
    try:
        yield import_module(f"{PACKAGE}gather").GatherUnit
    finally:
        sys.meta_path.remove(finder)
        for name, whole in kept.items():
            sys.modules[name] = whole
            setattr(package, name.removeprefix(PACKAGE), whole)


@pytest.mark.parametrize(
    ("module", "pattern", "replacement", "check"),
    FAULTS,
    ids=[f"{index}-{fault[0]}" for index, fault in enumerate(FAULTS)],
)
def test_fault_is_caught(module: str, pattern: str, replacement: str, check: str) -> None:
    with broken(module, pattern, replacement) as unit:
        assert unit is not GatherUnit
        with pytest.raises(AssertionError, match=r"cycle|register"):
            simulate(*CHECKS[check], unit)


def test_reloaded_sources_without_a_fault_pass() -> None:
    with broken("gather", "advance.eq(~self.blocked)", "advance.eq(~(self.blocked))") as unit:
        assert unit is not GatherUnit
        simulate(*CHECKS["slow tiles"], unit)
