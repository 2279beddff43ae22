"""Without its extra, the training of digits says what to install."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_digits.py"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    spec = importlib.util.spec_from_file_location("train_digits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(SystemExit, match=r"^train_digits.py needs torch; run: pip install 'bfimna\[training\]'$"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
