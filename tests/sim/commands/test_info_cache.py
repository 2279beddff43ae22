"""``bfimna info --cache`` tells size, limit and builds of the cache."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from hw.config import CONFIGS
from sim import cli
from sim.builds import kept_build
from sim.cache import STAMP, cache_folder
from sim.verilog_cache import cached_tile_verilog


def backdate(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", "3M")
    return cache_folder()


def test_builds_and_sizes(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    verilog = cached_tile_verilog(CONFIGS["tiny"])
    (size,) = (sum(file.stat().st_size for file in folder.iterdir()) for folder in [root / "verilog"])
    simulator = kept_build(
        {"verilog": [verilog], "toplevel": "tile", "tool": "icarus 11.0"},
        lambda folder: (folder / "sim.vvp").write_bytes(bytes(2048)),
    )
    turbo = kept_build(
        {"verilog": "module", "engine": "turbo", "tool": "verilator 5.048", "flags": ["--top-module", "top"]},
        lambda _: None,
    )
    backdate(simulator.folder / STAMP, 7300)
    unfinished = root / "builds" / ("0" * 20)
    unfinished.mkdir()
    backdate(unfinished, 3 * 86400)

    assert cli.main(["info", "--cache", "--json", "-"]) == 0
    found = json.loads(capfd.readouterr().out)["cache"]
    assert (found["path"], found["limit"]) == (str(root), 3 << 20)
    kinds = {kind["kind"]: (kind["entries"], kind["bytes"]) for kind in found["kinds"]}
    stamps = sum((kept.folder / STAMP).stat().st_size for kept in (simulator, turbo))
    assert kinds["builds"] == (3, 2048 + stamps)
    assert kinds["verilog"] == (1, size)
    assert kinds["runs"] == kinds["runtime"] == kinds["journals"] == (0, 0)
    assert found["bytes"] == sum(size for _, size in kinds.values())

    assert [build["key"] for build in found["builds"]] == [turbo.key, simulator.key, unfinished.name]
    fast, slow, half = found["builds"]
    assert (fast["engine"], fast["toplevel"], fast["config"]) == ("turbo", "top", None)
    assert (slow["engine"], slow["toplevel"], slow["config"]) == ("rtl", "tile", "tiny")
    assert (slow["simulator"], slow["held"], slow["complete"]) == ("icarus 11.0", True, True)
    assert slow["bytes"] == 2048 + (simulator.folder / STAMP).stat().st_size
    assert 0 <= slow["age_s"] < 600
    assert 7300 <= slow["unused_s"] < 7900
    assert slow["build_s"] == simulator.seconds
    assert (half["complete"], half["engine"], half["age_s"], half["held"]) == (False, None, None, False)

    assert cli.main(["info", "--cache"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(f"{root}: ")
    assert lines[0].endswith(" KiB, limit 3.0 MiB")
    (line,) = (line for line in lines if simulator.key in line)
    assert line.split()[1:6] == ["tiny", "tile", "rtl", "icarus", "11.0"]
    assert "2 h" in line
    (line,) = (line for line in lines if unfinished.name in line)
    assert line.split()[1:] == ["not", "finished", "0", "B", "3", "d"]


def test_an_empty_cache_without_limit(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", "0")
    assert cli.main(["info", "--cache"]) == 0
    assert capfd.readouterr().out.startswith(f"{root}: 0 B, no limit\n")


def test_only_the_last_builds_are_shown(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(1003):
        (root / "builds" / f"{number:020x}").mkdir()
    assert cli.main(["info", "--cache"]) == 0
    out = capfd.readouterr().out
    assert out.count("not finished") == 20
    assert out.endswith("and 983 more, used before; --json has all\n")


@pytest.mark.usefixtures("root")
def test_a_limit_that_is_no_size(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BFIMNA_CACHE_LIMIT", "big")
    assert cli.main(["info", "--cache"]) == 2
    wanted = "BFIMNA_CACHE_LIMIT must be a size such as 500M or 2G, or 0 for none, not 'big'"
    assert capfd.readouterr().err == f"bfimna: error: {wanted}\n"
