"""Kept builds: made once whoever asks, found afterwards, and never taken for finished when they are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from sim import cache_pruning
from sim.builds import KeptBuild, kept_build, read_stamp
from sim.cache import STAMP, cache_folder
from sim.cache_pruning import prune
from sim.simulation_errors import BuildFailed

SHAPE: dict[str, Any] = {"recipe": 1, "verilog": "module a;" * 200}

SCRIPT = """
import os, sys, time
from pathlib import Path
from sim.builds import kept_build

def make(folder):
    (folder / "begun").touch()
    time.sleep(float(sys.argv[1]))
    (folder / "made").write_text(str(os.getpid()))

kept = kept_build({"recipe": 1}, make)
print(os.getpid(), (kept.folder / "made").read_text(), kept.seconds > 0)
"""


def backdate(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path / "cache"))
    return cache_folder()


def build() -> KeptBuild:
    return kept_build(SHAPE, lambda folder: (folder / "made").touch())


def process(seconds: float) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SCRIPT, str(seconds)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_made_once_then_found(root: Path) -> None:
    before = time.time()
    first, again = build(), build()
    assert first.folder == again.folder == root / "builds" / first.key
    assert first.seconds > 0.0
    assert again.seconds == 0.0
    stamp = read_stamp(first.folder / STAMP)
    assert stamp is not None
    assert before <= stamp["made"] <= time.time()
    assert stamp["seconds"] == first.seconds
    assert stamp["shape"]["recipe"] == 1
    assert len(stamp["shape"]["verilog"]) == 64
    assert kept_build({**SHAPE, "recipe": 2}, lambda _: None).key != first.key


@pytest.mark.usefixtures("root")
def test_finding_it_is_using_it() -> None:
    stamp = build().folder / STAMP
    os.utime(stamp, (1, 1))
    build()
    assert time.time() - stamp.stat().st_mtime < 60


@pytest.mark.usefixtures("root")
def test_one_of_many_processes_makes_it() -> None:
    running = [process(0.3) for _ in range(4)]
    lines = [one.communicate()[0].split() for one in running]
    assert [one.returncode for one in running] == [0] * 4
    makers = [line for line in lines if line[2] == "True"]
    assert len(makers) == 1
    assert {line[1] for line in lines} == {makers[0][0]}


@pytest.mark.usefixtures("root")
def test_one_that_was_killed_is_made_anew(root: Path) -> None:
    with process(60) as killed:
        while not list((root / "builds").glob("*/begun")):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not list((root / "builds").glob(f"*/{STAMP}"))
    with process(0) as again:
        out, _ = again.communicate()
    assert out.split() == [str(again.pid), str(again.pid), "True"]


def test_one_that_fails_is_not_kept(root: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "build.log").write_text("wrong")
        raise BuildFailed("it does not compile", folder / "build.log")

    for _ in range(2):
        with pytest.raises(BuildFailed, match=r"^it does not compile"):
            kept_build(SHAPE, fail)
    assert not list((root / "builds").glob(f"*/{STAMP}"))
    assert build().seconds > 0.0


@pytest.mark.usefixtures("root")
def test_one_that_goes_while_somebody_waits_for_it() -> None:
    first = build()
    found: list[KeptBuild] = []
    waits = threading.Thread(target=lambda: found.append(build()))
    with FileLock(first.folder.with_name(f"{first.key}.lock")):
        waits.start()
        time.sleep(0.2)
        assert not found
        for file in first.folder.iterdir():
            file.unlink()
        first.folder.rmdir()
    waits.join()
    assert found[0].seconds > 0.0
    assert (found[0].folder / "made").exists()


@pytest.mark.parametrize("damage", [b"", b'{"shape": ', b"[]", b"{}", b"\xff\xfe"])
@pytest.mark.usefixtures("root")
def test_a_damaged_stamp_is_no_stamp(damage: bytes) -> None:
    stamp = build().folder / STAMP
    stamp.write_bytes(damage)
    assert read_stamp(stamp) is None
    assert build().seconds > 0.0
    assert build().seconds == 0.0


@pytest.mark.usefixtures("root")
def test_a_stamp_of_an_earlier_version_is_one() -> None:
    stamp = build().folder / STAMP
    stamp.write_text('{"recipe": 1, "toplevel": "tile"}')
    assert read_stamp(stamp) == {"shape": {"recipe": 1, "toplevel": "tile"}}
    assert build().seconds == 0.0


def test_a_build_makes_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", "1K")
    monkeypatch.setattr(cache_pruning, "_pruned", set[Path]())
    with process(0) as other:
        other.communicate()
    (old,) = (root / "builds").glob("*/")
    backdate(old / STAMP, 3600)
    made = kept_build(SHAPE, lambda folder: (folder / "tile").write_bytes(bytes(5000)))
    assert not old.exists()
    # Above the limit and in use.
    prune(root, 1)
    assert made.folder.exists()
