"""The journal of a run: what is read is what was written, and damage costs only what is behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.errors import UserError
from sim.work.journal import FinishedLayer, RunJournal, journal_path
from sim.work.maps import pack_numbers

LAYERS = [(0, 0), (0, 1), (1, 0)]


def layer(seed: int, bits: int = 9) -> FinishedLayer:
    numbers = np.random.default_rng(seed).integers(0, 1 << bits, (4, 5, 6))
    return FinishedLayer(pack_numbers(numbers, bits), {"cycles.compute": seed, "identity.config": 1 << 31})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    with RunJournal(path, "key", resume=False) as journal:
        for seed, place in enumerate(LAYERS):
            journal.start(*place)
            journal.finish(*place, layer(seed))
        journal.start(1, 1)
    return path


def agrees(journal: RunJournal, count: int) -> bool:
    """Whether a journal has the first layers, and no others."""
    for seed, place in enumerate(LAYERS[:count]):
        found, wanted = journal.finished[place], layer(seed)
        if found.counters != wanted.counters or found.output.bits != wanted.output.bits:
            return False
        if not np.array_equal(found.output.numbers, wanted.output.numbers):
            return False
    return set(journal.finished) == set(LAYERS[:count]) and journal.resumed == count


def test_journal_is_read_again(written: Path) -> None:
    with RunJournal(written, "key", resume=True) as journal:
        assert agrees(journal, 3)
        assert journal.starts == {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1}
        journal.start(1, 1)
    with RunJournal(written, "key", resume=True) as journal:
        assert journal.starts[1, 1] == 2
        journal.remove()
    assert not written.exists()


def test_journal_is_replaced(written: Path) -> None:
    with RunJournal(written, "key", resume=False) as journal:
        assert agrees(journal, 0)
    with RunJournal(written, "key", resume=True) as journal:
        assert agrees(journal, 0)


def test_journal_of_another_run_is_replaced(written: Path) -> None:
    with RunJournal(written, "other", resume=True) as journal:
        assert agrees(journal, 0)


def test_every_end_of_a_truncated_journal(written: Path) -> None:
    content = written.read_bytes()
    ends = [content.rindex(b'{"finish": [%d, %d]' % place) for place in LAYERS]
    for size in (*range(40), *(end + more for end in ends for more in (-9, 0, 20, 300)), len(content) - 1):
        written.write_bytes(content[:size])
        with RunJournal(written, "key", resume=True) as journal:
            whole = len(journal.finished)
            assert agrees(journal, whole)
            assert whole <= sum(end < size for end in ends)
            journal.finish(0, 9, layer(5))
        with RunJournal(written, "key", resume=True) as journal:  # what follows is found
            assert len(journal.finished) == whole + 1


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_seen(written: Path, seed: int) -> None:
    content = bytearray(written.read_bytes())
    random = np.random.default_rng(seed)
    place = int(random.integers(len(content)))
    content[place] ^= int(random.integers(1, 256))
    written.write_bytes(content)
    with RunJournal(written, "key", resume=True) as journal:
        assert agrees(journal, len(journal.finished))


def test_two_runs_at_once_are_refused(written: Path) -> None:
    with RunJournal(written, "key", resume=True):
        for resume in (True, False):
            with pytest.raises(
                UserError, match=r"^journal .* is in use: the same run is under way in another process$"
            ):
                RunJournal(written, "key", resume=resume)
    with RunJournal(written, "key", resume=True) as journal:
        assert agrees(journal, 3)


def test_place_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path))
    assert journal_path("a").parent == journal_path("b").parent == tmp_path / "journals"
    assert journal_path("a") != journal_path("b")
    journal_path("a").mkdir()
    with pytest.raises(UserError, match=r"^journal .* cannot be used: is a directory$"):
        RunJournal(journal_path("a"), "a", resume=False)
    (tmp_path / "journals").rename(tmp_path / "other")
    (tmp_path / "journals").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"^journal .*journals cannot be used: file exists$"):
        journal_path("a")
