from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sim.errors import UserError
from sim.evaluate import journal as journal_module
from sim.evaluate.journal import Journal, content_key, source_hash


@dataclass(frozen=True)
class Thing:
    name: str
    values: Any = field(default_factory=dict[str, int])


def keep(path: Path, **results: int) -> None:
    with Journal(path) as journal:
        for key, value in results.items():
            journal.add(key, {"value": value})


def test_results_stay(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    keep(path, a=1)
    keep(path, b=2, a=3)
    assert Journal(path).results == {"a": {"value": 3}, "b": {"value": 2}}
    assert Journal(path).get("a") == {"value": 3}
    assert Journal(path).get("c") is None


def test_every_line_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        assert not path.exists()
        journal.add("a", {"value": 0.1})
        assert path.read_text() == '{"key": "a", "result": {"value": 0.1}}\n'


@pytest.mark.parametrize("broken", ['{"key": "b", "resu', "[]", '{"key": "b"}', '{"key": "b", "result": 1}', "\xff"])
def test_broken_lines(broken: str, tmp_path: Path) -> None:
    """What an interruption leaves is passed over, and does not spoil the line after it."""
    path = tmp_path / "journal"
    keep(path, a=1)
    with path.open("ab") as file:
        file.write(broken.encode("latin1"))
    keep(path, c=3)
    assert Journal(path).results == {"a": {"value": 1}, "c": {"value": 3}}
    assert len(path.read_bytes().splitlines()) == 3


def test_fresh(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    keep(path, a=1)
    with Journal(path, fresh=True) as journal:
        assert journal.results == {}
        assert path.exists()
        journal.add("b", {"value": 2})
        journal.add("c", {"value": 3})
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["b", "c"]


def test_memory_only() -> None:
    with Journal(None) as journal:
        journal.add("a", {"value": 1})
        assert journal.get("a") == {"value": 1}


def test_unusable(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^journal {tmp_path} cannot be used: is a directory$"):
        Journal(tmp_path)
    missing = tmp_path / "folder" / "journal"
    with pytest.raises(UserError, match=rf"^journal {missing} cannot be used: no such file or directory$"):
        Journal(missing).add("a", {})


def test_key_is_of_content() -> None:
    key = content_key(thing=Thing("a", {"x": 1, "y": 2}), more=(1, 2.5, None, True))
    assert len(key) == 32
    assert key == content_key(more=[1, 2.5, None, True], thing=Thing("a", MappingProxyType({"y": 2, "x": 1})))
    for other in (Thing("b", {"x": 1, "y": 2}), Thing("a", {"x": 1}), Thing("a", {"x": 1, "y": 2.5})):
        assert content_key(thing=other, more=(1, 2.5, None, True)) != key
    assert content_key(thing=Thing("a", {"x": 1, "y": 2}), more=(2.5, 1, None, True)) != key


def test_source_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    source_hash.cache_clear()
    whole = source_hash()
    assert whole == source_hash()
    source_hash.cache_clear()
    monkeypatch.setattr(journal_module, "PACKAGES", ("golden", "hw"))
    assert source_hash() != whole
    source_hash.cache_clear()
