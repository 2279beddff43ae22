from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from sim.waves.page import html_text
from tests import browser
from tests.addition_trace import addition

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def screenshot() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "scripts" / "screenshot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(screenshot: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["screenshot.py", *arguments])
    return screenshot.main()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "add.html"
    file.write_text(html_text(addition()), encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="not installed: chromium")
def test_screenshot_shows_the_pass(
    screenshot: ModuleType, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    for number in (1, 33):
        target = tmp_path / f"{number}.png"
        assert run(screenshot, monkeypatch, str(page), str(target), "--pass", str(number), "--size", "800,600") == 0
        assert target.stat().st_size < 150_000
        with Image.open(target) as image:
            assert image.size == (800, 600)
            # The slider, above the strip of passes, is blue as far as it has been moved.
            slider = image.convert("RGB").crop((0, 100, 800, 180))
            colours = {colour: count for count, colour in slider.getcolors(64_000) or []}
            counts.append(colours.get((11, 90, 148), 0))
    assert counts[1] > counts[0] + 600


def test_mistakes(
    screenshot: ModuleType,
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = str(tmp_path / "a.png")
    monkeypatch.setenv("PATH", str(tmp_path))
    for arguments, error in (
        ((str(tmp_path / "nope.html"), target), "nope.html does not exist"),
        ((str(page), str(tmp_path / "nowhere" / "a.png")), "nowhere does not exist"),
        ((str(page), target), "needs a browser, one of chromium, chromium-browser, google-chrome: install the package"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(screenshot, monkeypatch, *arguments)
        assert error in capsys.readouterr().err
    assert not Path(target).exists()
