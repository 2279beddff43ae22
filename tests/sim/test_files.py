from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sim.errors import UserError
from sim.files import check_output, read_input, write_output

as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")


def test_reads(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_input(tmp_path / "a", "model") == b"abc"


def test_missing_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^model {tmp_path}/a does not exist$"):
        read_input(tmp_path / "a", "model")


def test_folder_as_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^model {tmp_path} must be a file, it is a folder$"):
        read_input(str(tmp_path), "model")


def test_file_as_folder_of_input(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=rf"^model {tmp_path}/a/b cannot be read: not a directory$"):
        read_input(tmp_path / "a" / "b", "model")


def test_writes_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    check_output(str(target))
    assert list(tmp_path.iterdir()) == []
    write_output(str(target), "text\n")
    assert target.read_text() == "text\n"
    target.chmod(0o640)
    write_output(str(target), b"more")
    assert target.read_bytes() == b"more"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_output(str(tmp_path / "a"), "")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a"
    target.write_text("old")

    def interrupt(_: Path, __: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_output(str(target), "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_output(str(tmp_path / "link"), "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_device_is_not_replaced() -> None:
    check_output("/dev/null")
    write_output("/dev/null", "x")
    assert Path("/dev/null").is_char_device()


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    check_output("-")
    write_output("-", "x\n")
    assert capfdbinary.readouterr().out == b"x\n"


def test_folder_as_output(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^--json file {tmp_path} must be a file, it is a folder$"):
        check_output(str(tmp_path), "--json file")


def test_missing_folder_of_output(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"^output {tmp_path}/no/out cannot be written: folder {tmp_path}/no does not exist$"
    ):
        check_output(str(tmp_path / "no" / "out"))


@as_root
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=rf"^output {tmp_path}/a cannot be written: permission denied$"):
        check_output(str(tmp_path / "a"))


@as_root
def test_read_only_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch(0o400)
    with pytest.raises(UserError, match=rf"^output {tmp_path}/a cannot be written: permission denied$"):
        check_output(str(tmp_path / "a"))


def test_refusing_file_system() -> None:
    with pytest.raises(UserError, match=r"^output /proc/a cannot be written: .+$"):
        check_output("/proc/a")
