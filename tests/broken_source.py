"""Seeded faults in a Python source of the design: a module made anew from its text with one change."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


def broken(whole: ModuleType, pattern: str, replacement: str, folder: Path) -> Any:
    """The module ``whole`` with ``pattern``, which must be in its source exactly once, replaced."""
    assert whole.__file__ is not None
    text = Path(whole.__file__).read_text(encoding="utf-8")
    assert text.count(pattern) == 1, f"{pattern!r} must be in the source once, not {text.count(pattern)} times"
    file = folder / "broken_part.py"
    file.write_text(text.replace(pattern, replacement), encoding="utf-8")
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
