"""The cache stays within its limit: the least recently used goes first, and nothing that is in use goes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from sim import cache_pruning
from sim.cache import STAMP, cache_folder, cache_limit
from sim.cache_entries import cache_entries
from sim.cache_holds import hold, is_held
from sim.cache_pruning import prune, prune_once
from sim.errors import UserError

OLD = 10_000.0
"""Seconds that count as long ago, but not as days."""


def backdate(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BFIMNA_CACHE_LIMIT", raising=False)
    return cache_folder()


def age(path: Path, seconds: float) -> None:
    for file in (path, *path.rglob("*")):
        backdate(file, seconds)


def made(root: Path, number: int, size: int = 1000, *, unused: float = OLD, finished: bool = True) -> Path:
    """A build of *size* bytes and a stamp of none."""
    folder = root / "builds" / f"{number:020x}"
    folder.mkdir()
    (folder / "tile").write_bytes(bytes(size))
    if finished:
        (folder / STAMP).touch()
    age(folder, unused)
    return folder


def left(root: Path) -> set[str]:
    return {entry.name for entry in cache_entries(root)}


@contextmanager
def another_process(code: str, *arguments: object) -> Iterator[None]:
    """A process that runs some lines and then waits until the block ends."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(flush=True)\nsys.stdin.read()", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield
        process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "limit"),
    [("", 4 << 30), ("0", None), ("0G", None), ("700", 700), ("3K", 3072), ("500M", 500 << 20), ("2T", 2 << 40)],
)
def test_limit(monkeypatch: pytest.MonkeyPatch, text: str, limit: int | None) -> None:
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", text)
    assert cache_limit() == limit


@pytest.mark.parametrize("text", ["much", "-1", "1.5G", "4 G", "4GB", "4g", "9" * 16])
def test_limit_that_is_no_size(root: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", text)
    with pytest.raises(UserError) as caught:
        prune_once(root, grown=False)
    wanted = f"BFIMNA_CACHE_LIMIT must be a size such as 500M or 2G, or 0 for none, not {text!r}"
    assert str(caught.value) == wanted


def test_the_least_recently_used_goes_first(root: Path) -> None:
    for number, unused in ((1, OLD + 20), (2, OLD + 40), (3, OLD), (4, OLD + 10)):
        made(root, number, unused=unused)
    assert prune(root, 4000) == 0
    assert prune(root, 2999) == 2000
    assert left(root) == {f"builds/{number:020x}" for number in (3, 4)}
    backdate(root / "builds" / f"{4:020x}" / STAMP, OLD - 10)
    assert prune(root, 1999) == 1000
    assert left(root) == {f"builds/{4:020x}"}
    assert prune(root, None) == 0
    assert {path.name for path in root.iterdir()} == {"builds", "in-use", "pruned", "pruned.lock", "runs"}


def test_all_kinds_count_and_go(root: Path) -> None:
    made(root, 1)
    for kind, name in (("runtime", "0" * 20), ("runs", "tile-x"), ("journals", "run")):
        folder = root / kind / name
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(100))
        age(folder, OLD)
    (root / "verilog").mkdir()
    for suffix in (".v", ".json"):
        (root / "verilog" / f"{'1' * 20}{suffix}").write_bytes(bytes(50))
    age(root / "verilog", OLD)
    (root / "others").mkdir()
    assert sorted(entry.size for entry in cache_entries(root)) == [100, 100, 100, 100, 1000]
    assert prune(root, 1) == 1400
    assert left(root) == set()
    assert list((root / "verilog").iterdir()) == []
    assert (root / "others").is_dir()


def test_what_was_not_used_for_days_goes_whatever_the_limit(root: Path) -> None:
    made(root, 1, unused=31 * 86400)
    recent = made(root, 2, unused=29 * 86400)
    for name, days in (("early", 1.1), ("late", 0.9)):
        (root / "runs" / name).mkdir()
        age(root / "runs" / name, days * 86400)
    prune(root, None)
    assert left(root) == {f"builds/{recent.name}", "runs/late"}


def test_what_was_just_used_stays_above_the_limit(root: Path) -> None:
    made(root, 1, unused=590)
    made(root, 2, unused=610)
    prune(root, 1)
    assert left(root) == {f"builds/{1:020x}"}


def test_what_interruptions_left_goes(root: Path) -> None:
    made(root, 1, finished=False)
    made(root, 2, unused=0, finished=False)
    removed = root / ".removed-x"
    removed.mkdir()
    (removed / STAMP).touch()
    runtime = root / "runtime" / f"{'0' * 20}.abc"
    runtime.mkdir(parents=True)
    age(runtime, OLD)
    prune(root, None)
    assert left(root) == {f"builds/{2:020x}"}
    assert not removed.exists()


def test_what_another_process_holds_stays(root: Path) -> None:
    held, free = made(root, 1), made(root, 2)
    code = "from pathlib import Path\nfrom sim.cache_holds import hold\nhold(Path(sys.argv[1]), sys.argv[2])"
    with another_process(code, root, f"builds/{held.name}"):
        assert is_held(root, f"builds/{held.name}")
        assert not is_held(root, f"builds/{free.name}")
        prune(root, 1)
        assert left(root) == {f"builds/{held.name}"}
    assert not is_held(root, f"builds/{held.name}")
    prune(root, 1)
    assert left(root) == set()


def test_what_this_process_holds_stays(root: Path) -> None:
    held = made(root, 1)
    hold(root, f"builds/{held.name}")
    hold(root, f"builds/{held.name}")
    # Many look at once, and none of them ends the lock.
    threads = [threading.Thread(target=is_held, args=(root, f"builds/{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    prune(root, 1)
    assert held.exists()
    code = (
        "from pathlib import Path\nfrom sim.cache_holds import is_held\nassert is_held(Path(sys.argv[1]), sys.argv[2])"
    )
    with another_process(code, root, f"builds/{held.name}"):
        pass


def test_what_is_being_built_stays(root: Path) -> None:
    folder = made(root, 1, finished=False)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        prune(root, 1)
        assert folder.exists()
    prune(root, 1)
    assert not folder.exists()


def test_a_journal_that_is_being_written_stays(root: Path) -> None:
    journal = root / "journals" / "run"
    journal.parent.mkdir()
    journal.write_bytes(b"layers")
    backdate(journal, 40 * 86400)
    with journal.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert prune(root, 1) == 0
        assert journal.read_bytes() == b"layers"
    assert prune(root, 1) == 6
    assert not journal.exists()


def test_one_prunes_at_a_time(root: Path) -> None:
    made(root, 1)
    with FileLock(root / "pruned.lock"):
        assert prune(root, 1) == 0
    assert prune(root, 1) == 1000


def test_once_in_a_process_and_rarely_without_need(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", "1")
    calls: list[int | None] = []

    def counted(pruned: Path, limit: int | None) -> int:
        calls.append(limit)
        return prune(pruned, limit)

    monkeypatch.setattr(cache_pruning, "prune", counted)

    def in_a_new_process(*, grown: bool) -> int:
        monkeypatch.setattr(cache_pruning, "_pruned", set[Path]())
        before = len(calls)
        for _ in range(3):
            prune_once(root, grown=grown)
        return len(calls) - before

    assert in_a_new_process(grown=False) == 1
    assert in_a_new_process(grown=False) == 0
    assert in_a_new_process(grown=True) == 1
    age(root / "pruned", 3700)
    assert in_a_new_process(grown=False) == 1
    assert set(calls) == {1}


def test_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        UserError, match=r"^cache folder /\S+/file/cache cannot be written; set BFIMNA_CACHE to a folder that can$"
    ):
        cache_folder()
