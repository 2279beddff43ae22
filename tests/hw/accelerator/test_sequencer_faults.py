"""Faults seeded in the source of the command sequencer: a named test catches each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hw.accelerator.command_sequencer as whole
from hw.accelerator.commands import command_word
from hw.accelerator.protocol import AcceleratorError, Command, Unit
from tests.broken_source import broken
from tests.hw.accelerator import test_command_sequencer as tests

WRITE = Command.WRITE


def refused(command: int, error: AcceleratorError, unit: int, detail: int = 0) -> None:
    tests.test_a_command_that_is_refused(command, error, unit, detail)


CHECKS: dict[str, Callable[[], object]] = {
    "a word a cycle": lambda: tests.test_one_word_a_cycle_without_a_pause_between_commands(64),
    "commands of half a word": lambda: tests.test_one_word_a_cycle_without_a_pause_between_commands(256),
    "goes": lambda: tests.test_run_goes_in_the_cycle_after_all_is_idle(32),
    "clusters idle": lambda: tests.test_run_and_end_wait_for_each_part("clusters_idle"),
    "mesh empty": lambda: tests.test_run_and_end_wait_for_each_part("mesh_empty"),
    "host empty": lambda: tests.test_run_and_end_wait_for_each_part("host_empty"),
    "barriers": tests.test_wait_looks_at_its_clusters_and_the_mesh,
    "no destination": lambda: refused(command_word(WRITE, 0xC0, 0, 1, 0), AcceleratorError.DESTINATION, 0xC0),
    "destination host": lambda: refused(command_word(WRITE, 0xC0, 0, 1, 5), AcceleratorError.DESTINATION, 0xC0),
    "order of checks": lambda: refused(command_word(WRITE, 0x99, 0, 0, 0), AcceleratorError.DESTINATION, 0x99),
    "unit": lambda: refused(command_word(WRITE, 0x43, 0, 0, 1), AcceleratorError.UNIT, 0x43),
    "end of a unit": lambda: refused(command_word(WRITE, 0xC1, 60, 5, 1), AcceleratorError.ADDRESS, 0xC1, 64),
    "beyond a unit": lambda: refused(command_word(WRITE, 0xC1, 70, 5, 1), AcceleratorError.ADDRESS, 0xC1, 70),
    "largest address": lambda: refused(
        command_word(WRITE, 0, 0xFFFFFF, 2, 1), AcceleratorError.ADDRESS, 0, 0xFFFFFF
    ),
    "opcode": lambda: refused(command_word(0x5A), AcceleratorError.OPCODE, 0, 0x5A),
    "missing cluster": lambda: refused(command_word(Command.WAIT, 0, 0, 0, 4), AcceleratorError.BARRIER, 0),
    "last address": lambda: tests.test_the_last_address_is_written(Unit.TAPS, 63, 1),
    "no words": lambda: tests.test_the_last_address_is_written(Unit.TAPS, 5000, 0),
    "after an error": tests.test_nothing_goes_on_after_an_error,
    "halt": lambda: [tests.test_halt_stops_for_good_wherever_it_comes(cycle) for cycle in range(2, 17)],
    "second run": tests.test_a_second_run_begins_anew,
    "start": tests.test_words_wait_for_start,
    "waiting": tests.test_waiting_for_words_is_told,
    "pauses": lambda: [tests.test_random_streams_with_pauses_on_both_sides(seed) for seed in range(3)],
}  # fmt: skip
"""Tests by the name that a fault gives."""

FAULTS = [
    # What the source holds exactly once, what takes its place, and the check that fails then.
    ("part == parts - 1", "part == 0", "a word a cycle"),
    ("Cat(command.as_value(), self.words.payload[:COMMAND_BITS])[-COMMAND_BITS:]",
     "Cat(command.as_value(), self.words.payload)[-COMMAND_BITS:]", "commands of half a word"),
    ("command.address.eq(command.address + 1)", "command.address.eq(command.address)", "a word a cycle"),
    ("command.count.eq(command.count - 1)", "command.count.eq(command.count - 2)", "pauses"),
    ("(~complete | (is_write & fine & (command.count == 0)))", "~complete", "a word a cycle"),
    ("self.words.ready.eq(collect | (send & self.flits.ready))", "self.words.ready.eq(collect | send)", "pauses"),
    ("self.flits.valid.eq(send & self.words.valid)", "self.flits.valid.eq(send)", "pauses"),
    ("self.flits.payload.destinations.eq(command.destinations[:clusters])",
     "self.flits.payload.destinations.eq(1)", "a word a cycle"),
    ("self.clusters_idle.all() &", "self.clusters_idle.any() &", "clusters idle"),
    ("& self.mesh_empty & self.host_empty", "& self.host_empty", "mesh empty"),
    ("& self.mesh_empty & self.host_empty", "& self.mesh_empty", "host empty"),
    ("(self.clusters_idle | ~named).all() & self.mesh_empty", "(self.clusters_idle | ~named).all()", "barriers"),
    ("(self.clusters_idle | ~named).all()", "(self.clusters_idle & named).any()", "barriers"),
    ("(self.clusters_idle | ~named).all()", "self.clusters_idle.all()", "barriers"),
    ("self.go.eq(~self.halt), complete.eq(0)", "self.go.eq(~self.halt)", "goes"),
    ("        m.d.sync += self.go.eq(0)\n", "", "goes"),
    ("self.phases.eq(self.phases + 1)", "self.phases.eq(1)", "goes"),
    ("foreign | ~named.any()", "foreign", "no destination"),
    ("foreign | ~named.any()", "~named.any()", "destination host"),
    ("command.destinations[clusters:].any()", "command.destinations[clusters + 1 :].any()", "destination host"),
    ("with m.If(foreign | ~named.any())", "with m.If((foreign | ~named.any()) & (size != 0))", "order of checks"),
    ("m.Elif(size == 0)", "m.Elif((size == 0) & (command.count != 0))", "unit"),
    ("(end > size)", "(end > size + 1)", "end of a unit"),
    ("(end > size)", "(end >= size)", "last address"),
    ("(command.count != 0) & (end > size)", "(end > size)", "no words"),
    ("Mux(command.address > size, command.address, size)", "size", "beyond a unit"),
    ("end = Signal(ADDRESS_BITS + 1)", "end = Signal(ADDRESS_BITS)", "largest address"),
    ("code.eq(AcceleratorError.BARRIER)", "code.eq(AcceleratorError.NONE)", "missing cluster"),
    ("code.eq(AcceleratorError.OPCODE)", "code.eq(AcceleratorError.NONE)", "opcode"),
    ("detail.eq(command.opcode)", "detail.eq(0)", "opcode"),
    ("Mux(is_write, command.unit, 0)", "0", "unit"),
    ("self.start & ~self.running & ~stopped", "self.start & ~self.running", "after an error"),
    ("self.start & ~self.running & ~stopped", "self.start & ~stopped", "second run"),
    ("m.If(self.halt | (self.running & ~fine))", "m.If(self.running & ~fine)", "halt"),
    ("self.go.eq(~self.halt)", "self.go.eq(1)", "halt"),
    ("self.done.eq(~self.halt)", "self.done.eq(1)", "halt"),
    ("self.done.eq(0), self.phases.eq(0)", "self.done.eq(0)", "second run"),
    ("collect.eq(self.running &", "collect.eq(1 &", "start"),
    ("(collect | (send & self.flits.ready)) & ~self.words.valid", "collect & ~self.words.valid", "waiting"),
    ("(collect | (send & self.flits.ready)) & ~self.words.valid", "(collect | send) & ~self.words.valid", "waiting"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{index}-{fault[2]}" for index, fault in enumerate(FAULTS)])
def test_fault_is_caught(fault: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, replacement, check = fault
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(tests, "CommandSequencer", broken(whole, pattern, replacement, tmp_path).CommandSequencer)
    with pytest.raises(AssertionError):
        CHECKS[check]()


@pytest.mark.parametrize("check", CHECKS)
def test_unbroken_source_passes(check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = broken(
        whole,
        "is_write.eq(command.opcode == Command.WRITE)",
        "is_write.eq(Command.WRITE == command.opcode)",
        tmp_path,
    )
    monkeypatch.setattr(tests, "CommandSequencer", again.CommandSequencer)
    CHECKS[check]()


def test_every_check_catches_something() -> None:
    assert {check for _, _, check in FAULTS} == set(CHECKS)
