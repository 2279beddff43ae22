"""Runs that end in the middle and go on: the same results, and no finished layer twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sim import cli
from sim.models import data_file
from sim.work.journal import RunJournal

PICTURES = [str(data_file(f"cifar10/cifar10_{name}.png")) for name in ("00_3", "02_8", "16_5")]
KEPT = ("builds", "runtime", "verilog")


def command(target: Path, *options: str, engine: str = "golden") -> list[str]:
    return ["run", "resnet8", "--input", *PICTURES, "--engine", engine, "--json", str(target), *options]


def result(target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run found, and how it was done."""
    found = json.loads(target.read_text())
    return found, found.pop("wall_s")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without journals, with the builds of the usual one."""
    from sim.cache import cache_folder

    usual, folder = cache_folder(), tmp_path / "cache"
    folder.mkdir()
    for kind in KEPT:
        if (usual / kind).is_dir():
            (folder / kind).symlink_to(usual / kind)
    monkeypatch.setenv("BFIMNA_CACHE", str(folder))
    return folder


def finished(journal: Path) -> set[tuple[int, int]]:
    """Layers that a journal has; its last record may be half-written."""
    return set(read(journal).finished)


def read(journal: Path) -> RunJournal:
    """A copy of a journal, as a run would find it."""
    copy = journal.with_name("copy")
    copy.write_bytes(journal.read_bytes())
    key = copy.read_bytes().partition(b"\n")[0].decode().rpartition(" ")[2]
    with RunJournal(copy, key, resume=True) as found:
        copy.unlink()
        return found


@pytest.mark.parametrize(
    ("engine", "jobs"), [("turbo", 2), pytest.param("golden", 1), pytest.param("rtl", 2, marks=pytest.mark.slow)]
)
def test_killed_run_goes_on(engine: str, jobs: int, cache: Path, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole.json", tmp_path / "resumed.json"
    assert cli.main(command(whole, engine=engine)) == 0
    assert list((cache / "journals").iterdir()) == []
    given = command(resumed, "--jobs", str(jobs), engine=engine)
    with subprocess.Popen(
        [sys.executable, "-m", "sim", *given],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            journal = wait_for_layers(cache / "journals", 9, process)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not resumed.exists()
    before = finished(journal)
    assert 9 <= len(before) < 45
    seen = tmp_path / "seen"
    os.link(journal, seen)  # the run removes its journal, and what it wrote is still here
    assert cli.main([*given, "--resume"]) == 0
    found, how = result(resumed)
    assert found == result(whole)[0]
    assert how["resumed_layers"] == len(before)
    assert list((cache / "journals").iterdir()) == []
    starts = read(seen).starts
    assert len(starts) == 45
    assert {starts[place] for place in before} == {1}
    assert set(starts.values()) <= {1, 2}


def wait_for_layers(folder: Path, count: int, process: subprocess.Popen[bytes]) -> Path:
    """Wait until the journal of a run has so many layers."""
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        for journal in folder.iterdir():
            if journal.read_bytes().count(b'{"finish"') >= count:
                return journal
        time.sleep(0.005)
    raise AssertionError("the run ended before it could be killed")


def test_without_resume_a_run_begins_anew(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    monkeypatch.setattr("sim.commands.run.show", lambda *_: 1)  # the journal stays when something goes wrong
    monkeypatch.setattr(Path, "unlink", lambda *_args, **_kinds: None)
    assert cli.main(command(target)) == 1
    monkeypatch.undo()
    monkeypatch.setenv("BFIMNA_CACHE", str(cache))
    (journal,) = (cache / "journals").iterdir()
    assert len(finished(journal)) == 45
    content = journal.read_bytes()
    assert cli.main(command(target, "--resume")) == 0
    assert result(target)[1]["resumed_layers"] == 45
    journal.write_bytes(content)
    assert cli.main(command(target)) == 0
    assert result(target)[1]["resumed_layers"] == 0


def test_other_work_has_another_journal(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    monkeypatch.setattr("sim.work.run.run_units", stopped)
    options = [(), ("--seed", "2"), ("--bits", "3"), ("--config", "cap64"), ("--independent",), ("--jobs", "2")]
    for option in options:
        with pytest.raises(InterruptedError):
            cli.main(command(target, *option))
    assert len(list((cache / "journals").iterdir())) == len(options) - 1  # processes change nothing


def stopped(*_parameters: Any, **_named: Any) -> NoReturn:
    raise InterruptedError
