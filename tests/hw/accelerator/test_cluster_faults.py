"""Faults seeded in the sources of slot, collector, sender and cluster: a named test catches each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import hw.accelerator.cluster
import hw.accelerator.collector
import hw.accelerator.sender
import hw.accelerator.tile_slot
from hw.hierarchy import design_text
from sim.runner import TestsFailed, build, run
from tests.broken_source import broken
from tests.golden.accelerator.streams import TINY
from tests.hw.accelerator import test_cluster, test_collector, test_sender, test_tile_slot

COLLECTOR_CHECKS: dict[str, Callable[[], object]] = {
    "turns": lambda: test_collector.test_one_operation_of_each_by_turns(4, [0, 1, 2, 3], 0.0),
    "pauses": lambda: test_collector.test_one_operation_of_each_by_turns(4, [0, 1, 2, 3], 0.5),
    "some": lambda: test_collector.test_one_operation_of_each_by_turns(4, [1, 3], 0.0),
    "goes": test_collector.test_a_go_begins_anew,
}  # fmt: skip
COLLECTOR_FAULTS = [
    # What the source holds exactly once, what takes its place, and the check that fails then.
    ("self.words.ready & (turn & self.last).any()", "self.words.ready", "turns"),
    ("self.words.valid & self.words.ready & (turn", "self.words.valid & (turn", "pauses"),
    ("Mux(above.any(), _lowest(above), _lowest(members))", "_lowest(above)", "turns"),
    ("turn.eq(_lowest(self.armed))", "turn.eq(1)", "some"),
    ("members.eq(self.armed)", "members.eq(members | self.armed)", "goes"),
    ("~(turn | (turn - 1))", "~(turn - 1)", "turns"),
]


def flits(pattern: str, parts: int = 1, pauses: float = 0.0) -> None:
    config = {1: test_sender.MESH, 2: test_sender.HALVES}[parts]
    test_sender.test_flits_of_a_pattern(pattern, config, pauses)


def refused(register: str, **changes: int) -> None:
    test_sender.test_register_out_of_its_range(changes, register)


SENDER_CHECKS: dict[str, Callable[[], object]] = {
    "one": lambda: flits("one"),
    "two flits": lambda: flits("one", 2),
    "pauses": lambda: flits("one", 1, 0.4),
    "loops": lambda: flits("loops"),
    "host": lambda: flits("host"),
    "sources": lambda: flits("multicast"),
    "past the end": lambda: test_sender.test_word_past_the_end(test_sender.MESH, 4094, 1, 2),
    "shadows": test_sender.test_a_go_without_registers_starts_nothing_and_shadows_do_not_change_what_runs,
    "nowhere": lambda: refused("DESTINATIONS_LOW", DESTINATIONS_LOW=0),
    "far too many": lambda: refused("COUNT1", COUNT1=1 << 16),
    "order": lambda: refused("SOURCE", COUNT2=0, COUNT1=0, SOURCE=9),
    "waits": test_sender.test_what_it_waits_for,
}  # fmt: skip
SENDER_FAULTS = [
    ("address.eq(address + 1)", "address.eq(address)", "two flits"),
    ("word.eq(word >> config.flit_bits)", "word.eq(word)", "two flits"),
    ("(left == 0) | ((left == 1) & self.flits.ready)", "left == 0", "one"),
    ("((left == 1) & self.flits.ready)", "(left == 1)", "pauses"),
    ("            *(place.eq(0) for place in places[:level]),\n", "", "loops"),
    ("begins[: level + 1]", "begins[level : level + 1]", "loops"),
    ("self._address >= config.gather_words", "self._address > config.gather_words", "past the end"),
    ("self._to_clusters & (", "(", "host"),
    ("m.d.sync += armed.eq(0)", "m.d.sync += armed.eq(armed)", "shadows"),
    ("flit.destinations.eq(self._destinations)", "flit.destinations.eq(1)", "one"),
    ("(self._source == number)", "(number == 0)", "sources"),
    ("(wanted == 0) | ", "", "nowhere"),
    (" | (shadows[count] > LARGEST_COUNT)", "", "far too many"),
    ("reversed(wrong.items())", "wrong.items()", "order"),
    ("~self._active & (left == 0) & ~failed", "~self._active & ~failed", "one"),
    ("self.waiting.eq(Waiting.MESH)", "self.waiting.eq(Waiting.WORDS)", "waits"),
]

SLOT_FAULTS = [
    ("read.addr.eq(shown + taken)", "read.addr.eq(shown)", "words_of_one_instruction_each_cycle"),
    ("valid.eq((left - taken)[:REGISTER_BITS] != 0)", "valid.eq(left != 0)", "program_that_is_too_short"),
    ("1 << self.write_address[:part_bits] if parts > 1 else 1", "3", "first_decode_and_idle"),
    ("~program.active & (tile.error == ErrorCode.NONE)", "(tile.error == ErrorCode.NONE)", "first_decode_and_idle"),
    ("~program.active & (tile.error == ErrorCode.NONE)", "~program.active", "error_of_the_tile"),
    ("moves & (part == parts - 1)", "moves & (part == 0)", "taps_wrap_without_a_gap"),
    ("m.d.sync += [part.eq(0), left.eq(planes)]", "m.d.sync += left.eq(planes)", "taps_wrap_without_a_gap"),
    ("self.plane_out_last.eq(tile.plane_out_last)", "self.plane_out_last.eq(1)", "taps_wrap_without_a_gap"),
    ("start = self.go & self.armed", "start = self.go", "shadows_while_running"),
    ("m.d.sync += self.armed.eq(0)", "m.d.sync += self.armed.eq(self.armed)", "shadows_while_running"),
    ("self.armed.eq(self.register_data != 0)", "self.armed.eq(1)", "shadows_while_running"),
    ("tile.plane_in.ready & (tile.plane_in_kind == kind)", "tile.plane_in.ready", "totals_wait_for_ever"),
    ("Mux(moves & last, first,", "Mux(last, first,", "planes_blocks_and_stores_with_pauses"),
]

CLUSTER_FAULTS = [
    ("(size != 0) & (flit.address >= size)", "(size != 0) & (flit.address > size)", "flits_to_no_place"),
    ("with m.If(self.error == AcceleratorError.NONE)", "with m.If(1)", "flits_to_no_place"),
    ("reversed(faults)", "faults", "errors_of_units"),
    ("reversed(waits)", "waits", "what_units_wait_for"),
    ("Cat(cap.armed for cap in caps)", "1", "convolution"),
    ("Cat(slot.beat_taken for slot in slots)", "Cat(slot.beat_taken for slot in reversed(slots))", "convolution"),
    ("Cat(cap.plane_out_last for cap in caps)", "Cat(slots[0].plane_out_last for cap in caps)", "random_phases"),
    ("(gather, sender, *slots)).all()", "(gather, *slots)).all()", "flits_that_wait"),
    ("*works, gather.working, sender.sent", "*works, sender.sent", "convolution"),
    ("bank.snapshot.eq(self.snapshot)", "bank.snapshot.eq(0)", "convolution"),
]


def simulate(text: str, top: str, tests: ModuleType, check: str) -> None:
    assert tests.__file__ is not None
    run(build(text, top, "icarus"), tests.__file__, testcase=check, timeout=120)


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.mark.parametrize("fault", COLLECTOR_FAULTS, ids=lambda fault: fault[2])
def test_fault_of_the_collector(fault: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, replacement, check = fault
    module = broken(hw.accelerator.collector, pattern, replacement, tmp_path)
    COLLECTOR_CHECKS[check]()
    monkeypatch.setattr(test_collector, "Collector", module.Collector)
    with pytest.raises(AssertionError):
        COLLECTOR_CHECKS[check]()


@pytest.mark.parametrize("fault", SENDER_FAULTS, ids=lambda fault: fault[2])
def test_fault_of_the_sender(fault: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, replacement, check = fault
    module = broken(hw.accelerator.sender, pattern, replacement, tmp_path)
    SENDER_CHECKS[check]()
    monkeypatch.setattr(test_sender, "Sender", module.Sender)
    with pytest.raises(AssertionError):
        SENDER_CHECKS[check]()


def test_every_check_catches_something() -> None:
    assert {check for *_, check in COLLECTOR_FAULTS} == set(COLLECTOR_CHECKS)
    assert {check for *_, check in SENDER_FAULTS} == set(SENDER_CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize("fault", SLOT_FAULTS, ids=lambda fault: fault[2])
def test_fault_of_a_slot(fault: tuple[str, str, str], tmp_path: Path) -> None:
    pattern, replacement, check = fault
    module = broken(hw.accelerator.tile_slot, pattern, replacement, tmp_path)
    text = design_text(module.TileSlot(TINY, "map"), "map_slot")
    with pytest.raises(TestsFailed, match=check):
        simulate(text, "map_slot", test_tile_slot, check)


@pytest.mark.slow
@pytest.mark.parametrize("fault", CLUSTER_FAULTS, ids=lambda fault: fault[2])
def test_fault_of_a_cluster(fault: tuple[str, str, str], tmp_path: Path) -> None:
    pattern, replacement, check = fault
    module = broken(hw.accelerator.cluster, pattern, replacement, tmp_path)
    text = design_text(module.Cluster(TINY), "cluster")
    with pytest.raises(TestsFailed, match=check):
        simulate(text, "cluster", test_cluster, check)
