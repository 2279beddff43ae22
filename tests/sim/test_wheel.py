"""A wheel of the project, installed in an empty environment, works outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("tests/", "docs/", "scripts/", "build/", ".")

pytestmark = pytest.mark.slow


def execute(*command: str | Path, folder: Path) -> str:
    """Run a program without this checkout in sight; its output, or all it said in a failure."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    execute(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, folder=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith(LEFT_OUT) or "__pycache__" in name]
    tops = {name.split("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"hw", "golden", "sim"}
    assert "sim/data/resnet8_int8.tflite" in names
    assert sum(name.startswith("sim/data/cifar10/") and name.endswith(".png") for name in names) == 10
    modules = {
        path.relative_to(ROOT).as_posix() for top in ("hw", "golden", "sim") for path in (ROOT / top).rglob("*.py")
    }
    assert modules <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "empty"
    venv.create(environment, with_pip=True, symlinks=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    execute(programs / "python", "-m", "pip", "install", "--quiet", wheel, folder=elsewhere)
    origin = execute(programs / "python", "-c", "import sim; print(sim.__file__)", folder=elsewhere)
    assert Path(origin.strip()).is_relative_to(environment)
    output = execute(
        programs / "bfimna", "run", "resnet8", "--engine", "golden", "--json", "report.json", folder=elsewhere
    )
    assert "cat" in output
    report = json.loads((elsewhere / "report.json").read_text(encoding="utf-8"))
    assert [one["label"] for one in report["inputs"]] == ["cat"]
    assert report["total"]["cycles"] == report["total"]["law"]
    assert all(layer["bit_exact"] for layer in report["layers"])
