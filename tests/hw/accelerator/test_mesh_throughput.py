"""The table of the documentation is what the script prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.mesh_throughput import main

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mesh.md"


@pytest.mark.slow
def test_the_page_has_what_the_mesh_takes(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    found = re.search(r"<!-- saturation -->\n(.*?)<!-- end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert capsys.readouterr().out == found[1]
